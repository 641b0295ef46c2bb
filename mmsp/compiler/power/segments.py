"""Which segments of the activation memory each job uses, and which must keep their contents."""

from collections.abc import Iterable, Sequence

import numpy as np

from hdl.config import ChipConfig
from hdl.engine.descriptor import Operation
from mmsp.compiler.lower.jobs import Job
from mmsp.compiler.memory_plan import MemoryPlan
from mmsp.compiler.placement import Placement
from mmsp.compiler.power.reach import job_segments, range_segments

__all__ = [
    "assign_segments",
    "footprint",
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
        Segments that hold something in the step of each job.
    config : ChipConfig
        The chip.

    Raises
    ------
    ValueError
        When a job touches a segment in which no tensor is alive: a fault of the compiler.
    """
    for index, (job, turns, alive) in enumerate(zip(jobs, loop_turns(jobs), live, strict=True)):
        used = job_segments(job.fields, turns, config)
        if used & ~alive:
            raise ValueError(f"job {index} uses segments {used:#b}, and {alive:#b} hold tensors")
        job.fields |= {"used": used, "live": alive}
