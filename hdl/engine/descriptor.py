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

__all__ = [
    "DESCRIPTOR_WORDS",
    "SOFTMAX_TABLE_WORDS",
    "Descriptor",
    "Drain",
    "Feed",
    "Operand",
    "Operation",
    "Reduction",
    "parameter_words",
]


class Operation(enum.Enum, shape=unsigned(2)):
    """What a descriptor asks for."""

    END = 0
    JOB = 1
    SOFTMAX = 2


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


class Drain(enum.Enum, shape=unsigned(2)):
    """What turns an accumulator into an int8 output."""

    SCALE = 0
    """Bias and requantisation per channel."""
    AVERAGE = 1
    """Truncating division by a count, given as its reciprocal."""
    ADD = 2
    """Two passes hold two operands; each is rescaled, and so is their sum."""


class Operand(data.Struct):
    """Where a tensor lies in the activation banks and how it is walked.

    Row ``y`` lies in bank ``(y + row0) % 4`` at word
    ``base + (y + row0) // 4 * row_words + x * pixel_words + block``.
    """

    base: unsigned(16)
    row0: unsigned(12)
    row_words: unsigned(12)
    pixel_words: unsigned(10)
    zero_point: signed(8)


class Descriptor(data.Struct):
    """One job: a nest ``group > stripe > pass > pixel`` over one output tensor.

    Loop counts are stored minus one where the name ends in ``_last``: the index of the last turn.
    """

    operation: Operation
    feed: Feed
    reduction: Reduction
    drain: Drain
    ones: unsigned(1)
    """Weights are all one and take no words from the stream (pooling, element-wise)."""
    refetch: unsigned(1)
    """The tiles of a group exceed the cache: fetch them again for every stripe."""

    a: Operand
    b: Operand
    """Second operand of `Drain.ADD`; the second pass reads it."""
    in_h: unsigned(12)
    in_w: unsigned(12)
    """Pixels of an input row; bytes for `Feed.PACKED`."""

    remaining: unsigned(20)
    """Words of the program behind this descriptor: nothing is prefetched from beyond its end."""

    groups_last: unsigned(10)
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
    out_row_words: unsigned(12)
    out_pixel_step: unsigned(12)
    """Words from one output pixel to the next."""
    out_row_step: unsigned(3)
    """Tensor rows from one output row to the next."""
    out_zero_point: signed(8)
    out_min: signed(8)
    out_max: signed(8)

    a_multiplier: unsigned(31)
    a_shift: signed(6)
    b_multiplier: unsigned(31)
    b_shift: signed(6)
    left_shift: unsigned(5)
    """`Drain.ADD`: rescaling of the two operands."""


WORD_BITS = 128
DESCRIPTOR_WORDS = -(-Descriptor.as_shape().size // WORD_BITS)
"""MRAM words of one descriptor."""

SOFTMAX_TABLE_WORDS = 256 * 4 // 16
"""MRAM words of the table of exponentials that follows a softmax descriptor."""


def parameter_words(rows: int) -> int:
    """MRAM words of one group's parameters: int32 biases, int32 multipliers, int8 shifts."""
    return 2 * (rows * 4 // 16) + 1
