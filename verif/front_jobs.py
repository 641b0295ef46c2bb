"""Random jobs for the front half of the engine: nests, their descriptors, and their memory.

What a descriptor means is restated here, not taken from the compiler: a misunderstanding between
compiler and hardware would otherwise verify itself.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hdl.config import ACT_BANKS, ChipConfig
from hdl.engine.descriptor import Descriptor, Drain, Feed, Operation, WeightFormat
from hdl.engine.walker import Step as StepLayout
from models.engine.dataflow import ArrayShape, Nest, Step, operands, passes

__all__ = [
    "FEEDS",
    "Feeds",
    "Job",
    "descriptor",
    "pack_step",
    "random_job",
    "random_nest",
    "unpack",
]

HUGE_STRIDE = 40
HUGE_STRIDE_SHARE = 0.1

Feeds = Literal["dense", "window", "packed"]

FEEDS: dict[Feeds, Feed] = {"dense": Feed.DENSE, "window": Feed.WINDOW, "packed": Feed.PACKED}

TWO_OPERANDS = (Drain.ADD, Drain.SUBTRACT, Drain.MULTIPLY)
ONE_OPERAND = (Drain.SCALE, Drain.AVERAGE, Drain.LEAKY, Drain.PRELU)

STEP_FIELDS = [
    (name, field.offset, (1 << field.width) - 1) for name, field in StepLayout.as_shape()
]


def pack_step(step: Step) -> int:
    """The bits of a step."""
    return sum((getattr(step, name) & mask) << offset for name, offset, mask in STEP_FIELDS)


def unpack(bits: int, count: int, width: int = 9) -> list[int]:
    """``count`` signed numbers of ``width`` bits each, first in the lowest bits."""
    half, mask = 1 << (width - 1), (1 << width) - 1
    return [((bits >> (width * i) & mask) ^ half) - half for i in range(count)]


def array_shape(config: ChipConfig) -> ArrayShape:
    """The array of a configuration, in the terms of the model."""
    return ArrayShape(rows=config.rows, lanes=config.lanes, window_rows=config.window_rows)


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A tensor in the activation memory.

    ``stored`` is ``(H, W, channels)`` int8 or int16, with random values in what the last word has
    too much.  ``height``: rows in memory, one if it stands for all (``one_row``).
    """

    stored: NDArray[np.integer]
    height: int
    base: int
    row0: int
    row_words: int
    pixel_words: int
    zero_point: int
    one_row: bool

    def fields(self) -> dict[str, int]:
        """The operand's fields of a descriptor."""
        names = ("base", "row0", "row_words", "pixel_words", "zero_point", "one_row")
        return {name: int(getattr(self, name)) for name in names}

    def operands(self, nest: Nest, y: int, x: int, block: int) -> NDArray[np.int64]:
        """The operands of word ``block`` of a pixel that is not packed."""
        plane, word = 0, nest.array.rows
        if nest.wide:
            block, plane = divmod(block, 2)
        values = self.stored[y, x, block * word : (block + 1) * word].astype(np.int64)
        if nest.wide:
            values = values >> 8 if plane else values & 0xFF
        return values - self.zero_point


@dataclass(frozen=True)
class Job:
    """A nest, its operands ``a`` (and ``b`` of an addition), and the banks that hold them.

    ``banks``: ``(4, words, rows)`` uint8.
    """

    nest: Nest
    tensors: list[Tensor]
    banks: NDArray[np.uint8]

    def products(self) -> list[NDArray[np.int64]]:
        """What the multipliers must see: one array of operands a product, in order."""
        nest, result = self.nest, []
        for group in range(nest.groups):
            turns = []
            for turn in passes(nest):
                tensor = self.tensors[turn.operand]
                turns.append(operands(nest, tensor.stored, tensor.zero_point, turn, group))
            for start in range(0, nest.pixels, nest.stripe):
                for turn in turns:
                    result.extend(turn[start : start + nest.stripe])
        return result

    def descriptor(self) -> int:
        """The bits of the job's descriptor."""
        fields = descriptor(self.nest)
        for name, tensor in zip("ab", self.tensors, strict=False):
            fields[name] = tensor.fields()
        return Descriptor.const(fields).as_value().value


def descriptor(nest: Nest) -> dict[str, Any]:
    """Fields of the descriptor that the walker, the fetch and the loader look at."""
    turns, (kernel_h, kernel_w) = passes(nest), nest.kernel
    first, final = turns[0], turns[-1]
    channels = nest.size[2] if nest.feed == "packed" else 1
    fields: dict[str, Any] = {
        "operation": Operation.JOB,
        "feed": FEEDS[nest.feed],
        "in_h": nest.size[0],
        "in_w": nest.size[1] * channels,
        "groups_last": nest.groups - 1,
        "stripes_last": -(-nest.pixels // nest.stripe) - 1,
        "stripe_pixels_last": nest.stripe - 1,
        "out_h_last": nest.output[0] - 1,
        "out_w_last": nest.output[1] - 1,
        "stride_h": nest.stride[0],
        "stride_w": nest.stride[1] * channels,
        "pad_h": nest.padding[0],
        "pad_w": nest.padding[1] * channels,
        "drain": ONE_OPERAND[nest.pixels % len(ONE_OPERAND)],
        "wide_in": int(nest.wide),
        "weight_format": WeightFormat.INT16 if nest.digits > 1 else WeightFormat.INT8,
    }
    turns = [turn for turn in turns if turn.digit == turn.plane == 0]
    if nest.addition:
        drain = TWO_OPERANDS[nest.pixels % len(TWO_OPERANDS)]
        return fields | {
            "drain": drain, "rows_passes_last": 1,
            "window_rows": 1, "window_rows_last": 1, "window_cols": 1, "window_cols_last": 1,
        }  # fmt: skip
    if nest.feed == "window":
        row_passes = len({turn.row for turn in turns})
        return fields | {
            "rows_passes_last": row_passes - 1,
            "cols_passes_last": len(turns) // row_passes - 1,
            "row_step": first.rows * nest.dilation[0],
            "col_step": first.columns * nest.dilation[1],
            "window_rows": first.rows,
            "window_rows_last": final.rows,
            "window_cols": first.columns,
            "window_cols_last": final.columns,
        }
    fields["lanes_last"] = len(final.taps)
    if nest.feed == "dense":
        return fields | {
            "rows_passes_last": kernel_h - 1,
            "cols_passes_last": kernel_w - 1,
            "inner_last": len(turns) // (kernel_h * kernel_w) - 1,
            "row_step": nest.dilation[0],
            "col_step": nest.dilation[1],
        }
    segment, lanes = first.columns * channels, len(first.taps)
    column_passes = -(-kernel_w // first.columns)
    return fields | {
        "cols_passes_last": column_passes - 1,
        "inner_last": len(turns) // column_passes - 1,
        "col_step": segment,
        "segment": segment,
        "segment_rows": lanes // segment,
        "segment_bytes": lanes % segment,
        "packed_lanes": lanes,
    }


def small(rng: np.random.Generator, limit: int) -> int:
    """1 to ``limit``, small numbers more often."""
    return int(2 ** rng.uniform(0, np.log2(limit + 1)))


def pair(rng: np.random.Generator, limit: int) -> tuple[int, int]:
    """Two `small` numbers."""
    return small(rng, limit), small(rng, limit)


def random_nest(rng: np.random.Generator, config: ChipConfig, feed: Feeds) -> Nest:
    """A job with any corner that the compiler's rules leave: most are small, some absurd.

    Kernels may be larger than the input, padding larger than the kernel or negative, strides larger
    than the window, the output may lie anywhere.
    """
    height, width = (int(n) for n in rng.integers(1, 9, 2))
    channels, kernel, dilation = small(rng, 2 * config.rows + 3), pair(rng, 5), pair(rng, 3)
    stride = pair(rng, HUGE_STRIDE if rng.random() < HUGE_STRIDE_SHARE else 4)
    groups = small(rng, 3)
    one_tap = addition = False
    if feed == "packed":
        channels, dilation = small(rng, config.rows // 4), (1, 1)
        kernel = small(rng, 6), small(rng, 2 * config.rows // channels)
        stride = stride[0], small(rng, config.rows // channels)
        width = int(rng.integers(1, 3 * config.rows // channels + 2))
    elif feed == "window":
        groups = -(-channels // config.rows)  # one for every word, or pair of them, of a pixel
        one_tap, addition = (bool(n) for n in rng.integers(0, 6, 2) == 0)
        if addition:
            kernel = dilation = (1, 1)
    wide = feed != "packed" and not addition and rng.random() < 1 / 3
    output = pair(rng, 7)
    depth = min(output[0] * output[1], config.accumulator_depth)
    top, left = (int(rng.integers(-2, k * d + 3)) for k, d in zip(kernel, dilation, strict=True))
    return Nest(
        array=array_shape(config),
        feed=feed,
        size=(height, width, channels),
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        padding=(top, left),
        output=output,
        groups=groups,
        stripe=int(rng.integers(1, depth + 1)),
        one_tap=one_tap,
        addition=addition,
        wide=wide,
        digits=3 if rng.random() < 1 / 4 and not addition else 1,
    )


def random_tensor(
    rng: np.random.Generator,
    nest: Nest,
    config: ChipConfig,
    banks: NDArray[np.uint8],
    base: int,
    *,
    repeated: tuple[bool, bool] = (False, False),
) -> Tensor:
    """Random activations at ``base`` or somewhat behind, written into ``banks``.

    ``repeated``: one row, one column in memory stands for all.
    """
    (full_height, full_width, channels), word = nest.size, config.rows
    height, width = (
        1 if once else full for once, full in zip(repeated, (full_height, full_width), strict=True)
    )
    row0 = int(rng.integers(0, 4)) + (4 * int(rng.integers(0, 3)))
    blocks = -(-channels // word)
    pixel_words = 0 if nest.feed == "packed" else blocks * (1 + nest.wide)
    row_bytes = width * (pixel_words * word or channels)
    row_words = -(-row_bytes // word)
    rows = rng.integers(-128, 128, (height, row_words * word)).astype(np.int8)
    base += int(rng.integers(0, 200))
    for y in range(height):
        bank, at = (y + row0) % ACT_BANKS, base + (y + row0) // ACT_BANKS * row_words
        banks[bank, at : at + row_words] = rows[y].view(np.uint8).reshape(-1, word)
    stored = rows[:, :row_bytes].reshape(height, width, -1)
    if nest.wide:  # a word of low bytes, then one of high bytes
        planes = stored.reshape(height, width, blocks, 2, word).astype(np.int16)
        stored = planes[:, :, :, 1] << 8 | planes[:, :, :, 0] & 0xFF
        stored = stored.reshape(height, width, -1)
    return Tensor(
        stored=np.broadcast_to(stored, (full_height, full_width, stored.shape[2])),
        height=height,
        base=base,
        row0=row0,
        row_words=row_words,
        pixel_words=0 if repeated[1] else pixel_words,
        zero_point=0 if nest.wide else int(rng.integers(-128, 128)),
        one_row=repeated[0],
    )


def random_job(rng: np.random.Generator, config: ChipConfig, feed: Feeds) -> Job:
    """A nest with its tensors in a memory that is random everywhere else.

    The second operand of two may be repeated along rows and columns.
    """
    nest = random_nest(rng, config, feed)
    shape = (ACT_BANKS, config.bank_words, config.rows)
    banks = rng.integers(0, 256, shape).astype(np.uint8)
    half, repeated = config.bank_words // 2, (bool(rng.integers(2)), bool(rng.integers(2)))
    tensors = [
        random_tensor(rng, nest, config, banks, 0),
        random_tensor(rng, nest, config, banks, half, repeated=repeated),
    ]
    return Job(nest, tensors, banks)
