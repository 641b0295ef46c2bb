"""Which words of the activation memory a job touches, from the fields of its descriptor.

A walk is described by its outermost rows, columns and blocks: what lies between them counts as
touched.  All of a tensor's rows in one place of the banks have the same word address, so a walk is
a few ranges of word addresses, the same in all banks.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdl.config import ACT_BANKS, ChipConfig
from hdl.engine.descriptor import Drain, Feed, Operation
from hdl.engine.vector_descriptor import Axis, VectorFunction

__all__ = ["Reach", "find_reach", "job_segments", "range_segments"]

Fields = Mapping[str, Any]

TWO_OPERANDS = (Drain.ADD, Drain.SUBTRACT, Drain.MULTIPLY)
"""Drains whose second pass reads operand `b`."""

TWO_PLACES = (
    VectorFunction.MULTIPLY,
    VectorFunction.ADD,
    VectorFunction.SUBTRACT,
    VectorFunction.SUM,
    VectorFunction.DIFFERENCE,
    VectorFunction.MAXIMUM,
    VectorFunction.MINIMUM,
)
"""Functions of the vector unit that read `b`."""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Words ``base + slot * row_words + low .. high`` for each row slot, in every bank.

    Row slot ``s`` holds the rows ``4 s .. 4 s + 3`` of a tensor, its row phase included.
    """

    writes: bool
    base: int
    slots: range
    row_words: int
    low: int
    high: int
    step: int
    """Words by which a loop moves the base each turn."""

    def ranges(self, turns: int = 1) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and last word address of each range, over so many turns of a loop."""
        start = self.base + np.array(self.slots, np.int64) * self.row_words
        start = (start + self.step * np.arange(turns)[:, None]).reshape(-1)
        return start + self.low, start + self.high


def find_reach(fields: Fields, config: ChipConfig) -> list[Reach]:
    """What the job of a descriptor reads and writes; nothing for LOOP, AGAIN and END."""
    job = defaultdict(int, fields)
    match job["operation"]:
        case Operation.JOB:
            return job_reach(job, config)
        case Operation.SOFTMAX:
            return softmax_reach(job, config)
        case Operation.VECTOR:
            return vector_reach(job, config)
        case _:
            return []


def job_segments(fields: Fields, turns: int, config: ChipConfig) -> int:
    """Segments that a job reads or writes in any turn of a loop, a bit each."""
    used = 0
    for reach in find_reach(fields, config):
        used |= range_segments(*reach.ranges(turns), config)
    return used


def range_segments(first: NDArray[np.int64], last: NDArray[np.int64], config: ChipConfig) -> int:
    """Segments of ranges of word addresses, a bit each."""
    size = config.segment_words
    pairs = set(zip((first // size).tolist(), (last // size).tolist(), strict=True))
    return sum(1 << k for k in {k for low, high in pairs for k in range(low, high + 1)})


def span(
    place: Fields, rows: range, columns: range, blocks: range, *, writes: bool, step: int
) -> list[Reach]:
    """The reach of some rows, columns and blocks of a tensor; nothing when one of them is empty."""
    if not rows or not columns:
        return []
    first, last = (place["row0"] + row for row in (rows[0], rows[-1]))
    pixel = place.get("pixel_words", 0)
    return [
        Reach(
            writes=writes,
            base=place["base"],
            slots=range(first // ACT_BANKS, last // ACT_BANKS + 1),
            row_words=place["row_words"],
            low=columns[0] * pixel + blocks[0],
            high=columns[-1] * pixel + blocks[-1],
            step=step,
        )
    ]


def job_reach(job: Fields, config: ChipConfig) -> list[Reach]:
    """Operands and output of the array; see `hdl.engine.walker` and `hdl.engine.fetch`."""
    packed, window = job["feed"] is Feed.PACKED, job["feed"] is Feed.WINDOW
    planes = 1 + job["wide_in"]
    height, width = max(job["window_rows"], 1), max(job["window_cols"], 1)
    if packed:
        height = -(-(job["inner_last"] + 1) * job["packed_lanes"] // job["segment"])
        width = job["segment"]
    bottom = job["out_h_last"] * job["stride_h"] + job["rows_passes_last"] * job["row_step"]
    right = job["out_w_last"] * job["stride_w"] + job["cols_passes_last"] * job["col_step"]
    rows = range(max(0, -job["pad_h"]), min(job["in_h"], bottom - job["pad_h"] + height))
    columns = range(max(0, -job["pad_w"]), min(job["in_w"], right - job["pad_w"] + width))
    chunks = -(-config.rows // config.lanes)
    blocks = range(planes * ((job["groups_last"] if window else job["inner_last"] // chunks) + 1))
    if packed:  # columns are bytes, of which whole words are read
        columns = range(columns.start // config.rows, -(-columns.stop // config.rows))
        blocks = range(1)

    reaches = []
    for name in ("a", "b") if job["drain"] in TWO_OPERANDS else ("a",):
        place = job[name] | {"pixel_words": 1} if packed else job[name]
        kept = range(1) if place.get("one_row") and rows else rows
        reaches += span(place, kept, columns, blocks, writes=False, step=job[f"{name}_step"])
    return reaches + output_reach(job, (1 + job["wide_out"]) * (job["groups_last"] + 1))


def output_reach(job: Fields, blocks: int) -> list[Reach]:
    """What the array or the serial path writes."""
    rows = range(job["out_h_last"] * job["out_row_step"] + 1)
    place = {
        "base": job["out_base"],
        "row0": job["out_row0"],
        "row_words": job["out_row_words"],
        "pixel_words": job["out_pixel_step"],
    }
    columns = range(job["out_w_last"] + 1)
    return span(place, rows, columns, range(blocks), writes=True, step=job["out_step"])


def softmax_reach(job: Fields, config: ChipConfig) -> list[Reach]:
    """Pixels of the operand and as many of the output; see `hdl.engine.serial`."""
    blocks = job["inner_last"] // config.rows + 1
    rows, columns = range(job["out_h_last"] + 1), range(job["out_w_last"] + 1)
    source = span(job["a"], rows, columns, range(blocks), writes=False, step=job["a_step"])
    return source + output_reach(defaultdict(int, job) | {"out_row_step": 1}, blocks)


def vector_reach(job: Fields, config: ChipConfig) -> list[Reach]:
    """Places of the vector unit, in the coordinates that its walks take."""
    size = [job[f"out_{axis}_last"] + 1 for axis in "hwc"]
    reaches = []
    if job["function"] is not VectorFunction.LOAD:
        low, high = [0, 0, 0], [0, 0, 0]
        for level in job["a_levels"] or ():
            axis, length = Axis(level["axis"]).value, level["last"] * level["step"]
            low[axis] += min(length, 0)
            high[axis] += max(length, 0)
        walked = [range(first, last + 1) for first, last in zip(low, high, strict=True)]
        reaches += vector_span(job["a"], walked, config, writes=False, step=job["a_step"])
    if job["function"] in TWO_PLACES:
        moves = zip(size, job["b_moves"], strict=True)
        walked = [range(count if moving else 1) for count, moving in moves]
        reaches += vector_span(job["b"], walked, config, writes=False, step=job["b_step"])
    whole = [range(count) for count in size]
    return reaches + vector_span(job["out"], whole, config, writes=True, step=job["out_step"])


def vector_span(
    place: Fields, walked: list[range], config: ChipConfig, *, writes: bool, step: int
) -> list[Reach]:
    """The reach of rows, columns and channels, counted from the place's first element."""
    rows, columns, channels = walked
    planes = 1 + place.get("wide", 0)
    first, last = (
        (place.get("channel", 0) + channel) // config.rows
        for channel in (channels[0], channels[-1])
    )
    blocks = range(planes * first, planes * (last + 1))
    return span(place, rows, columns, blocks, writes=writes, step=step)
