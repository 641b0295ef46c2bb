"""When memories are needed: segments of the activation memory, and when the MRAM must wake."""

from mmsp.compiler.power.reach import Reach, find_reach, job_segments
from mmsp.compiler.power.segments import (
    assign_segments,
    footprint,
    live_in_step,
    live_segments,
    loop_turns,
    placement_segments,
)
from mmsp.compiler.power.stream_timing import wake_marks

__all__ = [
    "Reach",
    "assign_segments",
    "find_reach",
    "footprint",
    "job_segments",
    "live_in_step",
    "live_segments",
    "loop_turns",
    "placement_segments",
    "wake_marks",
]
