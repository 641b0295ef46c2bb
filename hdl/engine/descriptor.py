"""The engine's program format: one descriptor a job, followed by what the job consumes.

A program is one linear stream of 128-bit words in the order of consumption::

    descriptor                      DESCRIPTOR_WORDS words
    for each group of output channels:
        parameters                  bias, multiplier, shift of `rows` channels
        weight tiles                one a pass, a lane of `rows` bytes after the other
    descriptor of the next job ...
    descriptor with operation END

The compiler packs descriptors with the same `Descriptor` layout that the hardware reads, so there
is no second definition to keep in step.
"""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, enum

from hdl.config import MOST_SEGMENTS

__all__ = [
    "DESCRIPTOR_WORDS",
    "SOFTMAX_TABLE_WORDS",
    "WAKE_UNIT",
    "WORD_BITS",
    "Descriptor",
    "Drain",
    "Feed",
    "Header",
    "LoopDescriptor",
    "Operand",
    "Operation",
    "Reduction",
    "WeightFormat",
    "parameter_words",
]


class Operation(enum.Enum, shape=unsigned(3)):
    """What a descriptor asks for, and which layout it has."""

    END = 0
    JOB = 1
    """`Descriptor`: the multiplier array."""
    SOFTMAX = 2
    """`Descriptor`: the serial path; followed by a table of exponentials."""
    VECTOR = 3
    """`hdl.engine.vector_descriptor.VectorDescriptor`: the vector unit."""
    LOOP = 4
    """`LoopDescriptor`: what follows, up to AGAIN, runs several times."""
    AGAIN = 5
    """`LoopDescriptor`: the end of what LOOP began."""


class Feed(enum.Enum, shape=unsigned(2)):
    """How activations reach the multipliers."""

    DENSE = 0
    """A word is one pixel's channels: lane = input channel, broadcast to all rows."""
    WINDOW = 1
    """Depthwise: row r works on channel r, its lanes are up to 3 x 3 taps of a sliding window."""
    PACKED = 2
    """Few channels: lanes are bytes of up to four window rows, broadcast to all rows."""


class Reduction(enum.Enum, shape=unsigned(1)):
    """How the passes of one output are combined in the accumulators."""

    SUM = 0
    MAX = 1


class Drain(enum.Enum, shape=unsigned(3)):
    """What turns an accumulator into an output."""

    SCALE = 0
    """Bias and requantisation per channel."""
    AVERAGE = 1
    """Truncating division by a count, given as its reciprocal."""
    ADD = 2
    """Two passes hold two operands; each is rescaled, and so is their sum."""
    SUBTRACT = 3
    """The same with their difference."""
    MULTIPLY = 4
    """Two passes hold two operands; their product is rescaled per channel."""
    LEAKY = 5
    """One pass.  Values >= 0 are rescaled by `a_multiplier`, others by `b_multiplier`."""
    PRELU = 6
    """Two passes: the value, and the value times its channel's slope.  Values >= 0 are rescaled by
    `a_multiplier`, of the others the product by `b_multiplier`."""


class WeightFormat(enum.Enum, shape=unsigned(2)):
    """Width of a weight in the program stream."""

    INT8 = 0
    INT4 = 1
    """Two lanes where int8 has one; the lower nibble is the earlier lane."""
    INT2 = 2
    """Four lanes where int8 has one."""
    INT16 = 3
    """Three int8 tiles a pass, ``weight = tile0 + 256 * (tile1 + tile2)``: two int8 digits alone
    cannot express 32767."""


class Operand(data.Struct):
    """Where a tensor lies in the activation banks and how it is walked.

    Row ``y`` lies in bank ``(y + row0) % 4`` at word
    ``base + (y + row0) // 4 * row_words + x * pixel_words + block``.  int16 tensors hold two words
    a block: the low bytes, then the high bytes.
    """

    base: unsigned(16)
    row0: unsigned(12)
    row_words: unsigned(14)
    pixel_words: unsigned(12)
    one_row: unsigned(1)
    """The tensor has one row, which stands for all (`Descriptor.b`, element-wise operators)."""
    zero_point: signed(8)


class Header(data.Struct):
    """How every descriptor begins: all layouts have these members first."""

    operation: Operation
    remaining: unsigned(20)
    """Words of the program behind this descriptor: nothing is prefetched from beyond its end."""
    a_step: unsigned(14)
    b_step: unsigned(14)
    out_step: unsigned(14)
    """Words by which a tensor's base moves from one turn of a loop to the next."""
    wake_mark: unsigned(7)
    """Gating per burst: the MRAM wakes when no more than ``wake_mark * WAKE_UNIT`` words of the
    stream are left in the weight cache, so that the next burst arrives before they are used up."""
    used: unsigned(MOST_SEGMENTS)
    """Segments of the activation memory that the job reads or writes, a bit each."""
    live: unsigned(MOST_SEGMENTS)
    """Segments whose contents must survive the job: those in use, and those needed later."""


class LoopDescriptor(data.Struct):
    """LOOP and AGAIN.  Loops do not nest."""

    operation: Operation
    remaining: unsigned(20)
    a_step: unsigned(14)
    b_step: unsigned(14)
    out_step: unsigned(14)
    wake_mark: unsigned(7)
    used: unsigned(MOST_SEGMENTS)
    live: unsigned(MOST_SEGMENTS)

    turns_last: unsigned(12)
    """LOOP: turns less one."""
    keep: unsigned(1)
    """LOOP: the body fits the weight cache, jobs of several stripes do not occur in it: it is kept
    there; otherwise each turn fetches it again."""


class Descriptor(data.Struct):
    """One job: a nest ``group > stripe > pass > pixel`` over one output tensor.

    Loop counts are stored minus one where the name ends in ``_last``: the index of the last turn.
    """

    operation: Operation
    remaining: unsigned(20)
    a_step: unsigned(14)
    b_step: unsigned(14)
    out_step: unsigned(14)
    wake_mark: unsigned(7)
    used: unsigned(MOST_SEGMENTS)
    live: unsigned(MOST_SEGMENTS)

    feed: Feed
    reduction: Reduction
    drain: Drain
    weight_format: WeightFormat
    ones: unsigned(1)
    """Weights are all one and take no words from the stream (pooling, element-wise)."""
    refetch: unsigned(1)
    """The tiles of a group exceed the cache: fetch them again for every stripe."""
    wide_in: unsigned(1)
    """Operand `a` is int16: a tile works on the low bytes (unsigned), then on the high bytes."""
    wide_out: unsigned(1)
    """Outputs are int16: a word of low bytes, then one of high bytes."""
    single_rounding: unsigned(1)
    """Requantise 40-bit sums with 15-bit multipliers and one rounding, as TFLite does for int16
    activations."""

    a: Operand
    b: Operand
    """Second operand of the drains that take two; the second pass reads it."""
    in_h: unsigned(12)
    in_w: unsigned(12)
    """Pixels of an input row; bytes for `Feed.PACKED`."""

    groups_last: unsigned(12)
    stripes_last: unsigned(12)
    stripe_pixels_last: unsigned(16)
    out_h_last: unsigned(12)
    out_w_last: unsigned(12)
    rows_passes_last: unsigned(8)
    """Passes over kernel rows, the outermost of the three pass loops."""
    cols_passes_last: unsigned(8)
    inner_last: unsigned(12)
    """Passes over the reduction within a kernel position; softmax: channels of a pixel."""
    row_step: unsigned(8)
    """Input rows from one pass over kernel rows to the next."""
    col_step: unsigned(8)
    """The same along a row, in pixels; bytes for `Feed.PACKED`."""
    stride_h: unsigned(8)
    stride_w: unsigned(8)
    """Pixels; bytes for `Feed.PACKED`."""
    pad_h: signed(13)
    pad_w: signed(13)

    window_rows: unsigned(2)
    window_rows_last: unsigned(2)
    """Kernel rows in a pass of `Feed.WINDOW`, and in the last one."""
    window_cols: unsigned(2)
    window_cols_last: unsigned(2)
    lanes_last: unsigned(5)
    """Lanes in use in the last inner pass."""
    segment: unsigned(5)
    """`Feed.PACKED`: bytes of a window row."""
    segment_rows: unsigned(3)
    segment_bytes: unsigned(5)
    """`Feed.PACKED`: lanes of a full pass, ``divmod`` by `segment`."""
    packed_lanes: unsigned(5)
    """`Feed.PACKED`: lanes of a full pass."""

    out_base: unsigned(16)
    out_row0: unsigned(12)
    out_row_words: unsigned(14)
    out_pixel_step: unsigned(14)
    """Words from one output pixel to the next."""
    out_row_step: unsigned(3)
    """Tensor rows from one output row to the next."""
    out_zero_point: signed(16)
    out_min: signed(16)
    out_max: signed(16)

    a_multiplier: unsigned(31)
    a_shift: signed(6)
    b_multiplier: unsigned(31)
    b_shift: signed(6)
    """Rescaling of the operands of ADD and SUBTRACT, and of both signs of LEAKY and PRELU."""
    left_shift: unsigned(5)
    """Bits by which the operands of ADD and SUBTRACT are widened first."""


WAKE_UNIT = 8
"""MRAM words that a unit of `Header.wake_mark` stands for."""

WORD_BITS = 128
DESCRIPTOR_WORDS = -(-Descriptor.as_shape().size // WORD_BITS)
"""MRAM words of one descriptor, of whichever layout."""

SOFTMAX_TABLE_WORDS = 256 * 4 // 16
"""MRAM words of the table of exponentials that follows a softmax descriptor."""


def parameter_words(rows: int) -> int:
    """MRAM words of one group's parameters: int32 biases, int32 multipliers, int8 shifts."""
    return 2 * (rows * 4 // 16) + 1
