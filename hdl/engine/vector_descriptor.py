"""Descriptors of the vector unit: element-wise operators, tables, and movement of elements."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, enum

from hdl.config import MOST_SEGMENTS
from hdl.engine.descriptor import DESCRIPTOR_WORDS, WORD_BITS, Operation

__all__ = [
    "SOURCE_LEVELS",
    "TABLE_WORDS",
    "Axis",
    "Level",
    "Place",
    "VectorDescriptor",
    "VectorFunction",
]

TABLE_WORDS = 256 // 16
"""MRAM words of the table that follows a descriptor with `VectorFunction.TABLE`."""

SOURCE_LEVELS = 3
"""Nested counters that walk the first operand."""


class VectorFunction(enum.Enum, shape=unsigned(4)):
    """What becomes of an element ``a``, or of two, ``a`` and ``b``.

    ``a`` and ``b`` are less their zero points, except in COPY and TABLE.  ``scale(x)`` is
    `models.fixedpoint.multiply_by_quantized_multiplier` by ``multiplier`` and ``shift``; every
    operator from SCALE on adds the output's zero point and clamps.
    """

    COPY = 0
    """``a``, bit for bit; both ends of one width."""
    LOAD = 1
    """COPY of bytes that follow the descriptor in the program, in the order of the output; int16:
    low byte first."""
    TABLE = 2
    """int8: byte ``a & 0xFF`` of the table that follows the descriptor."""
    LOGISTIC = 3
    TANH = 4
    """int16 to int16: interpolation in TFLite's sigmoid table, at
    ``(a * a_multiplier + round) >> left_shift``, where round is half of ``1 << left_shift``."""
    SCALE = 5
    """``scale(a)`` for ``a >= 0``, else by ``b_multiplier`` and ``b_shift``."""
    MULTIPLY = 6
    """``scale(a * b)``"""
    ADD = 7
    """``scale(scale_a(a << left_shift) + scale_b(b << left_shift))``; three turns an element."""
    SUBTRACT = 8
    SUM = 9
    """``a + b`` without scaling."""
    DIFFERENCE = 10
    MAXIMUM = 11
    MINIMUM = 12


class Axis(enum.Enum, shape=unsigned(2)):
    """A coordinate of an element."""

    ROW = 0
    COLUMN = 1
    CHANNEL = 2


class Place(data.Struct):
    """Where a tensor lies, as `hdl.engine.descriptor.Operand` has it."""

    base: unsigned(16)
    row0: unsigned(12)
    row_words: unsigned(14)
    pixel_words: unsigned(12)
    wide: unsigned(1)
    """int16: two words a block, low bytes and high bytes."""
    channel: unsigned(13)
    """Channel of the first element.  First row and column are part of ``row0`` and ``base``."""
    zero_point: signed(16)


class Level(data.Struct):
    """One counter of a walk: after ``last + 1`` turns the next outer one moves."""

    last: unsigned(13)
    axis: Axis
    step: signed(14)
    """Added to the coordinate each turn; the level's first turn has its start value."""


class VectorDescriptor(data.Struct):
    """Output elements in the order rows, columns, channels, each from one of ``a`` (and ``b``).

    ``a`` is walked by its own three counters, so that it may be transposed, sliced with a step,
    mirrored or reshaped; ``b`` in the order of the output, repeated along the axes where its
    ``b_moves`` bit is 0.
    """

    operation: Operation
    remaining: unsigned(20)
    a_step: unsigned(14)
    b_step: unsigned(14)
    out_step: unsigned(14)
    wake_mark: unsigned(7)
    used: unsigned(MOST_SEGMENTS)
    live: unsigned(MOST_SEGMENTS)

    function: VectorFunction
    payload_words: unsigned(16)
    """MRAM words behind the descriptor: a table, or what LOAD stores."""

    a: Place
    a_levels: data.ArrayLayout(Level, SOURCE_LEVELS)
    """The innermost counter first."""
    b: Place
    b_moves: data.ArrayLayout(unsigned(1), 3)
    """By `Axis`: ``b`` has more than one element along it."""
    out: Place
    out_h_last: unsigned(12)
    out_w_last: unsigned(12)
    out_c_last: unsigned(13)
    out_min: signed(16)
    out_max: signed(16)

    multiplier: unsigned(31)
    shift: signed(6)
    a_multiplier: unsigned(31)
    a_shift: signed(6)
    b_multiplier: unsigned(31)
    b_shift: signed(6)
    left_shift: unsigned(5)


if VectorDescriptor.as_shape().size > DESCRIPTOR_WORDS * WORD_BITS:
    raise ValueError("a vector descriptor needs more words than a job's descriptor")
