"""The weight cache's ring and the MRAM, cycle by cycle, fed to the compiler's own consumption.

Not a test: `test_wake_marks.py` imports this.  It knows the rule of docs/mram.md for bursts, and no
more of the engine than when it would take each word if none were ever late.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from hdl.engine.descriptor import WAKE_UNIT


@dataclass
class Bursts:
    """What a run cost.

    ``late``: cycles by which the program ends later than without a wait.  ``awake``: cycles from
    the end of each wake-up to the last request of the burst.
    """

    late: int = 0
    wakes: int = 0
    awake: int = 0
    words: int = 0


def run_bursts(words, marks, config, *, overhead, gated=True):
    """Run a stream to its end.

    ``words``: cycle, job and address of each word that is taken, see `Timeline.words`.
    ``marks``: of each job.  ``overhead``: cycles that a wake-up takes beside the macro's own.
    """
    times, owners, addresses = (part.tolist() for part in words)
    # What nobody comes back to is given up: the ring's base.
    bases = np.minimum.accumulate(np.array(addresses)[::-1])[::-1].tolist()
    total, capacity = max(addresses) + 1, config.cache_words
    result = Bursts(words=total)
    requested = stored = taken = cycle = 0
    ready_at, burst = 0, False
    flying = deque()
    while taken < len(times):
        while flying and flying[0] <= cycle:
            flying.popleft()
            stored += 1
        read, base = addresses[taken], bases[taken]
        ahead, held = stored - read, requested - base
        full, more = held >= capacity, requested < total
        if burst:
            if cycle >= ready_at:
                result.awake += 1
                if more and not full:
                    requested += 1
                    flying.append(cycle + config.mram_latency + 1)
            if gated and (full or not more) and not flying:
                burst = False
        else:
            room = held <= capacity - capacity // 4 or base != read or ahead <= 0
            mark = marks[owners[taken]] * WAKE_UNIT
            if more and not full and room and ahead <= mark:
                burst, ready_at = True, cycle + 1 + config.mram_wakeup + overhead
                result.wakes += 1
        if times[taken] + result.late <= cycle:
            if ahead > 0:
                taken += 1
            else:
                result.late += 1
        cycle += 1
    return result
