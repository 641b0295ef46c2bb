"""Golden model of the engine's front half: which activation meets which lane, step by step.

A job is a nest ``group > stripe > pass > pixel``.  A pass is one tile of weights, the taps of the
kernel that the lanes hold at once, on one plane of the activations: int8, or the low or the high
bytes of int16.  `passes` lists them, `operands` says what the multipliers must
see, straight from the tensor, and `steps` is what the walker does to get it there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.fixedpoint import IntArray

__all__ = [
    "HISTORY",
    "ArrayShape",
    "Nest",
    "Pass",
    "Step",
    "Tap",
    "operands",
    "passes",
    "step_count",
    "steps",
]

HISTORY = 3
"""Columns of the sliding window."""

BANKS = 4
"""Rows that can be read at once."""

LOW_DIGIT = 0
"""Weights of 16 bits are ``digit0 + 256 * (digit1 + digit2)``."""


@dataclass(frozen=True, kw_only=True)
class ArrayShape:
    """The multiplier array; an activation word holds ``rows`` bytes."""

    rows: int
    lanes: int
    window_rows: int


@dataclass(frozen=True, kw_only=True)
class Nest:
    """One job.

    Parameters
    ----------
    feed : "dense", "window" or "packed"
    size : (int, int, int)
        Input ``(H, W, C)``.
    kernel, stride, dilation : (int, int)
        Rows and columns.
    padding : (int, int)
        Input rows above and columns left of the first window; negative to start inside.
    output : (int, int)
        Rows and columns; any size, as what lies outside of the input reads as zero.
    groups : int
        Groups of ``rows`` output channels.
    stripe : int
        Output pixels between two changes of the weights.
    one_tap : bool
        Window feed: one tap a pass, as a maximum needs.
    addition : bool
        Window feed: a pass for each of two operands.
    wide : bool
        Activations are int16: each tile works on the low bytes, unsigned, then on the high bytes.
    digits : int
        Tiles that make the weights of a pass; the third of three has the weight 256.
    """

    array: ArrayShape
    feed: Literal["dense", "window", "packed"]
    size: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int]
    output: tuple[int, int]
    groups: int
    stripe: int
    one_tap: bool = False
    addition: bool = False
    wide: bool = False
    digits: Literal[1, 3] = 1

    @property
    def pixels(self) -> int:
        """Output pixels."""
        return self.output[0] * self.output[1]


class Tap(NamedTuple):
    """Position within the kernel, and input channel."""

    row: int
    column: int
    channel: int


class Pass(NamedTuple):
    """A tile: the window's first row and column in the kernel, its extent, one tap a lane.

    ``taps`` is empty for the window feed, where every row of the array has its own channel.
    ``plane``: 0 for int8 and for low bytes, 1 for high bytes.
    """

    row: int
    column: int
    rows: int
    columns: int
    taps: tuple[Tap, ...] = ()
    operand: int = 0
    digit: int = 0
    plane: int = 0

    @property
    def shift(self) -> int:
        """Bytes by which the products are shifted left."""
        return self.plane + (self.digit != LOW_DIGIT)


class Step(NamedTuple):
    """One cycle of the front end; the members are those of `hdl.engine.walker.Step`."""

    read: int
    mac: int
    new_tile: int
    first: int
    last: int
    operand_b: int
    low_bytes: int
    shift: int
    pixel: int
    y: int
    x: int
    reach: int
    block: int
    rows: int
    cols: int
    lanes: int
    offset: int


def passes(nest: Nest) -> list[Pass]:
    """The passes of every stripe, in order."""
    feeds = {"dense": _dense_passes, "window": _window_passes, "packed": _packed_passes}
    return [
        turn._replace(digit=digit, plane=plane)
        for turn in feeds[nest.feed](nest)
        for digit in range(nest.digits)
        for plane in range(1 + nest.wide)
    ]


def _dense_passes(nest: Nest) -> list[Pass]:
    """A pass is up to ``lanes`` channels of one word."""
    (height, width), word, lanes = nest.kernel, nest.array.rows, nest.array.lanes
    runs = [
        range(start, min(start + lanes, block + word, nest.size[2]))
        for block in range(0, nest.size[2], word)
        for start in range(block, min(block + word, nest.size[2]), lanes)
    ]
    return [
        Pass(row, column, 1, 1, tuple(Tap(row, column, channel) for channel in run))
        for row in range(height)
        for column in range(width)
        for run in runs
    ]


def _window_passes(nest: Nest) -> list[Pass]:
    """A pass is a block of taps that touch one another, one if they are dilated."""
    (height, width), (dilation_h, dilation_w) = nest.kernel, nest.dilation
    if nest.addition:
        return [Pass(0, 0, 1, 1, operand=operand) for operand in range(2)]
    rows = 1 if dilation_h > 1 or nest.one_tap else min(nest.array.window_rows, height)
    columns = 1 if dilation_w > 1 or nest.one_tap else min(HISTORY, width)
    return [
        Pass(row, column, min(rows, height - row), min(columns, width - column))
        for row in range(0, height, rows)
        for column in range(0, width, columns)
    ]


def segment_columns(nest: Nest) -> int:
    """Packed feed: kernel columns whose bytes fit one word."""
    return min(nest.kernel[1], nest.array.rows // nest.size[2])


def _packed_passes(nest: Nest) -> list[Pass]:
    """A pass is a run of the bytes of a segment, row after row; columns may exceed the kernel."""
    (height, width), channels = nest.kernel, nest.size[2]
    columns = segment_columns(nest)
    segment = columns * channels
    lanes = min(nest.array.lanes, BANKS * segment, height * segment)
    # Wherever in a segment a pass begins, it must not touch more rows than there are banks.
    while lanes % segment and -(-(segment - 1 + lanes) // segment) > BANKS:
        lanes -= 1
    result = []
    for left in range(0, width, columns):
        taps = [
            Tap(row, left + column, channel)
            for row in range(height)
            for column in range(columns)
            for channel in range(channels)
        ]
        for at in range(0, len(taps), lanes):
            run = taps[at : at + lanes]
            rows = run[-1].row - run[0].row + 1
            result.append(Pass(run[0].row, left, rows, columns, tuple(run)))
    return result


def operands(
    nest: Nest, tensor: NDArray[np.integer], zero_point: int, turn: Pass, group: int
) -> IntArray:
    """What the multipliers see in one pass of one group, for all output pixels.

    ``tensor`` is ``(H, W, stored channels)``.  Returns ``(pixels, lanes)`` for the broadcast feeds
    and ``(pixels, rows, 3 * window_rows)`` for the window feed, whose newest column is the last of
    three; what lies outside of the tensor, and lanes without a tap, are 0.
    """
    (stride_h, stride_w), (dilation_h, dilation_w) = nest.stride, nest.dilation
    out_y, out_x = np.divmod(np.arange(nest.pixels), nest.output[1])
    origin_y, origin_x = out_y * stride_h - nest.padding[0], out_x * stride_w - nest.padding[1]

    def pick(row: int, column: int, channel: int | slice) -> IntArray:
        y, x = origin_y + row * dilation_h, origin_x + column * dilation_w
        inside = (y >= 0) & (y < nest.size[0]) & (x >= 0) & (x < nest.size[1])
        values = tensor[np.where(inside, y, 0), np.where(inside, x, 0), channel].astype(np.int64)
        if nest.wide:
            values = values >> 8 if turn.plane else values & 0xFF
        return (values - zero_point) * inside.reshape(-1, *[1] * (values.ndim - 1))

    shape = nest.array
    if nest.feed != "window":
        lanes = np.zeros((nest.pixels, shape.lanes), np.int64)
        for lane, tap in enumerate(turn.taps):
            lanes[:, lane] = pick(*tap)
        return lanes
    window = np.zeros((nest.pixels, shape.rows, HISTORY * shape.window_rows), np.int64)
    channels = slice(group * shape.rows, (group + 1) * shape.rows)
    for row in range(turn.rows):
        for column in range(turn.columns):
            lane = HISTORY * row + HISTORY - turn.columns + column
            window[:, :, lane] = pick(turn.row + row, turn.column + column, channels)
    return window


def steps(nest: Nest) -> Iterator[Step]:
    """Every step of the job: reads that only fill the history, and products."""
    turns = passes(nest)
    for group in range(nest.groups):
        for start in range(0, nest.pixels, nest.stripe):
            for index, turn in enumerate(turns):
                flags = {"first": int(index == 0), "last": int(index == len(turns) - 1)}
                yield from _pass_steps(nest, turn, start, group, flags)


def _pass_steps(
    nest: Nest, turn: Pass, start: int, group: int, flags: dict[str, int]
) -> Iterator[Step]:
    """Steps of one pass over the stripe that begins at pixel ``start``."""
    word, channels = nest.array.rows, nest.size[2]
    tap = turn.taps[0] if turn.taps else Tap(0, turn.column, group * word)
    block = tap.channel // word if nest.feed != "packed" else 0
    common = {
        "read": 1, "reach": 0, "operand_b": turn.operand, "rows": turn.rows, **flags,
        "low_bytes": int(nest.wide and not turn.plane), "shift": turn.shift,
        "cols": turn.columns if nest.feed == "window" else 0,
        "block": 2 * block + turn.plane if nest.wide else block,
        "lanes": len(turn.taps),
        "offset": tap.channel % word,
    }  # fmt: skip
    segment = turn.columns * channels
    if nest.feed == "packed":
        common["offset"] = (tap.column - turn.column) * channels + tap.channel
    held = 0  # packed: the word read last
    for at in range(start, min(start + nest.stripe, nest.pixels)):
        out_y, out_x = divmod(at, nest.output[1])
        y = out_y * nest.stride[0] - nest.padding[0] + turn.row * nest.dilation[0]
        x = out_x * nest.stride[1] - nest.padding[1] + turn.column * nest.dilation[1]
        fresh_run = at == start or out_x == 0
        if nest.feed == "packed":
            x *= channels
            last = x + segment - 1
            reaches = (x, last) if fresh_run else (last,)
            reads = [fresh_run or reach // word != held for reach in reaches]
            variants = [
                {"x": x, "reach": reach, "read": int(read)}
                for reach, read in zip(reaches, reads, strict=True)
            ]
            held = last // word
        else:
            # Columns that the pixel before has left in the history are not read again.
            count = turn.columns if fresh_run else min(nest.stride[1], turn.columns)
            variants = [{"x": x + turn.columns - count + i} for i in range(count)]
        for i, variant in enumerate(variants):
            mac = int(i == len(variants) - 1)
            new_tile = int(mac and at == start and not turn.plane)
            yield Step(**common | variant | {
                "y": y, "pixel": at - start, "mac": mac, "new_tile": new_tile
            })  # fmt: skip


def step_count(nest: Nest) -> int:
    """Number of `steps`, in closed form.

    A run is a stripe's part of one output row: each begins with an empty history.
    """
    boundaries = range(nest.stripe, nest.pixels, nest.stripe)
    runs = nest.output[0] + sum(at % nest.output[1] != 0 for at in boundaries)
    total = 0
    for turn in passes(nest):
        if nest.feed == "packed":
            total += nest.pixels + runs
        else:
            columns = turn.columns
            total += runs * columns + (nest.pixels - runs) * min(nest.stride[1], columns)
    return nest.groups * total
