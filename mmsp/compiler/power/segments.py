"""Which segments of the activation memory each job uses, and which must keep their contents."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from operator import or_

import numpy as np

from hdl.config import ChipConfig
from hdl.engine.descriptor import Operation
from mmsp.compiler.lower.jobs import Job
from mmsp.compiler.memory_plan import Lifetime, MemoryPlan
from mmsp.compiler.placement import Placement
from mmsp.compiler.power.reach import job_segments, range_segments

__all__ = [
    "assign_segments",
    "footprint",
    "live_in_step",
    "live_segments",
    "loop_turns",
    "placement_segments",
]


def placement_segments(placement: Placement, config: ChipConfig) -> int:
    """Segments that a tensor lies in, a bit each."""
    if not placement.words:
        return 0
    ends = (placement.base, placement.base + placement.words - 1)
    return range_segments(np.array(ends[:1]), np.array(ends[1:]), config)


def footprint(plan: MemoryPlan, config: ChipConfig, names: Iterable[str] | None = None) -> int:
    """Segments of the stored tensors of ``names``; by default, of all."""
    segments = 0
    for name in plan.placements if names is None else names:
        segments |= placement_segments(plan.placements[name], config)
    return segments


def live_segments(plan: MemoryPlan, step: int, config: ChipConfig) -> int:
    """Segments of the tensors that are alive in a step of the plan."""
    alive = [name for name, life in plan.lifetimes.items() if life.first <= step <= life.last]
    return footprint(plan, config, alive)


def loop_turns(jobs: Sequence[Job]) -> list[int]:
    """How often each job runs."""
    turns, current = [], 1
    for job in jobs:
        match job.fields["operation"]:
            case Operation.LOOP:
                current = job.fields["turns_last"] + 1
                turns.append(1)
            case Operation.AGAIN:
                current = 1
                turns.append(1)
            case _:
                turns.append(current)
    return turns


def assign_segments(jobs: Sequence[Job], live: Sequence[int], config: ChipConfig) -> None:
    """Give every job its ``used`` and ``live``.

    Parameters
    ----------
    jobs : sequence of Job
        In the order of the program; their fields are added to.
    live : sequence of int
        Segments whose contents must survive each job, or in which it may work.
    config : ChipConfig
        The chip.

    Raises
    ------
    ValueError
        When a job touches a segment in which no tensor is alive: a fault of the compiler.
    """
    for index, (job, used, alive) in enumerate(
        zip(jobs, used_segments(jobs, config), live, strict=True)
    ):
        if used & ~alive:
            raise ValueError(f"job {index} uses segments {used:#b}, and {alive:#b} hold tensors")
        job.fields |= {"used": used, "live": alive}


def used_segments(jobs: Sequence[Job], config: ChipConfig) -> list[int]:
    """Segments that each job touches, in any turn of a loop."""
    turns = loop_turns(jobs)
    return [job_segments(job.fields, n, config) for job, n in zip(jobs, turns, strict=True)]


def live_in_step(jobs: Sequence[Job], plan: MemoryPlan, step: int, config: ChipConfig) -> list[int]:
    """Segments whose contents must survive each of the jobs of one step.

    What is read for the last time in this step is given up behind the last job that works in its
    segments, and what is new holds nothing before the first such job.  A loop counts as one job.
    """
    whole, units = used_segments(jobs, config), loop_units(jobs)
    used = [0] * len(jobs)
    for unit, of_job in zip(units, whole, strict=True):
        used[unit] |= of_job
    before = list(itertools.accumulate(used, or_))
    after = list(itertools.accumulate(reversed(used), or_))[::-1]

    def segments(kind: Callable[[Lifetime], bool]) -> int:
        alive = [n for n, life in plan.lifetimes.items() if life.first <= step <= life.last]
        return footprint(plan, config, (n for n in alive if kind(plan.lifetimes[n])))

    through = segments(lambda life: life.first < step < life.last)
    last = segments(lambda life: life.first < step == life.last)
    new = segments(lambda life: life.first == step < life.last)
    inside = segments(lambda life: life.first == step == life.last)
    return [
        through | last & after[unit] | new & before[unit] | inside & before[unit] & after[unit]
        for unit in units
    ]


def loop_units(jobs: Sequence[Job]) -> list[int]:
    """Index of each job, and within a loop that of its LOOP."""
    units, start = [], None
    for index, job in enumerate(jobs):
        if job.fields["operation"] is Operation.LOOP:
            start = index
        units.append(index if start is None else start)
        if job.fields["operation"] is Operation.AGAIN:
            start = None
    return units
