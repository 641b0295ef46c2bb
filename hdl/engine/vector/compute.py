"""From operands to what is rescaled, or is the result itself."""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.config import MRAM_WORD_BYTES
from hdl.engine.vector.curve import Curve
from hdl.engine.vector.reader import Values
from hdl.engine.vector_descriptor import TABLE_WORDS, VectorDescriptor, VectorFunction

__all__ = ["OPERAND", "Compute", "Pair", "is_curve"]

OPERAND = signed(17)
"""A value less its zero point."""

PAYLOAD_BITS = 8 * MRAM_WORD_BYTES
BYTE_BITS = exact_log2(MRAM_WORD_BYTES)
LARGEST_MULTIPLIER_BITS = 16
"""Of the argument of LOGISTIC and TANH; `models.engine.curves.LARGEST_CURVE_MULTIPLIER`."""


class Pair(data.Struct):
    """Two operands, for functions that rescale both."""

    a: OPERAND
    b: OPERAND


def is_curve(function):
    """Whether ``function`` interpolates."""
    return (function == VectorFunction.LOGISTIC) | (function == VectorFunction.TANH)


class Compute(wiring.Component):
    """Zero points, the product, plain functions, the table, the curves; LOAD's elements, too.

    Members
    -------
    start : In(1)
        A new job: TABLE has no table, LOAD is at the first byte of its next word.
    running : In(1)
        There is a job, from the cycle after ``start`` on.
    job : In(VectorDescriptor)
        Must not change while ``running``.
    words : In(stream.Signature(unsigned(128)))
        The payload.
    i : In(stream.Signature(Values))
    o : Out(stream.Signature(signed(34)))
        For ADD and SUBTRACT a `Pair`, otherwise the value.
    """

    LATENCY = 2
    """Cycles from `i` to `o`; LOGISTIC and TANH take those of `Curve`, too."""

    i: In(stream.Signature(Values()))
    o: Out(stream.Signature(signed(Pair.as_shape().size)))
    start: In(1)
    running: In(1)
    job: In(VectorDescriptor)
    words: In(stream.Signature(unsigned(PAYLOAD_BITS)))

    def elaborate(self, platform):
        """Build payload, operands, value, curve."""
        m = Module()
        job, function, words = self.job, self.job.function, self.words
        loading, raw, curving = Signal(), Signal(), Signal()
        advance, entering = Signal(), Signal()
        m.d.comb += [
            loading.eq(function == VectorFunction.LOAD),
            raw.eq((function == VectorFunction.COPY) | (function == VectorFunction.TABLE)),
            curving.eq(is_curve(function)),
            advance.eq(~self.o.valid | self.o.ready),
        ]

        # --- the payload ----------------------------------------------------------------------
        m.submodules.table = table = Memory(shape=PAYLOAD_BITS, depth=TABLE_WORDS, init=[])
        fill, read = table.write_port(), table.read_port()
        filled, full = Signal(range(TABLE_WORDS)), Signal()
        filling = Signal()
        position = Signal(BYTE_BITS)  # of the element within the word that LOAD takes
        following = Signal(BYTE_BITS + 1)
        m.d.comb += [
            filling.eq(self.running & (function == VectorFunction.TABLE) & ~full),
            fill.en.eq(filling & words.valid),
            fill.addr.eq(filled),
            fill.data.eq(words.payload),
            read.en.eq(advance),
            read.addr.eq(self.i.p.a[BYTE_BITS:8]),
            following.eq(position + 1 + job.out.wide),
            words.ready.eq(filling | (entering & loading & (following[BYTE_BITS] | self.i.p.last))),
        ]
        with m.If(self.start):
            m.d.sync += [filled.eq(0), full.eq(0), position.eq(0)]
        with m.Elif(fill.en):
            m.d.sync += [filled.eq(filled + 1), full.eq(filled == TABLE_WORDS - 1)]
        with m.Elif(entering & loading):
            m.d.sync += position.eq(following)

        # --- operands -------------------------------------------------------------------------
        usable = Signal()
        m.d.comb += [
            usable.eq(
                Mux(
                    loading,
                    words.valid,
                    (function != VectorFunction.TABLE) | full,
                )
            ),
            self.i.ready.eq(advance & usable),
            entering.eq(self.i.valid & self.i.ready),
        ]
        low, high = (words.payload.word_select(position | offset, 8) for offset in (0, 1))
        loaded = Signal(signed(16))
        m.d.comb += loaded.eq(Mux(job.out.wide, Cat(low, high).as_signed(), low.as_signed()))
        a, b, operands_valid = Signal(OPERAND), Signal(OPERAND), Signal()
        with m.If(advance):
            m.d.sync += [
                operands_valid.eq(entering),
                a.eq(Mux(loading, loaded, self.i.p.a - Mux(raw, 0, job.a.zero_point))),
                b.eq(self.i.p.b - job.b.zero_point),
            ]

        # --- value ------------------------------------------------------------------------------
        product, result, less = Signal(signed(34)), Signal(signed(34)), Signal()
        value, value_valid = Signal(signed(34)), Signal()
        factor = Signal(OPERAND)
        m.d.comb += [
            factor.eq(Mux(curving, job.a_multiplier[:LARGEST_MULTIPLIER_BITS], b)),
            product.eq(a * factor),
            less.eq(a < b),
            result.eq(a),
        ]
        with m.Switch(function):
            with m.Case(VectorFunction.TABLE):
                byte = read.data.word_select(a[:BYTE_BITS], 8)
                m.d.comb += result.eq(byte.as_signed())
            with m.Case(VectorFunction.LOGISTIC, VectorFunction.TANH, VectorFunction.MULTIPLY):
                m.d.comb += result.eq(product)
            with m.Case(VectorFunction.ADD, VectorFunction.SUBTRACT):
                m.d.comb += result.eq(Cat(a, b))
            with m.Case(VectorFunction.SUM):
                m.d.comb += result.eq(a + b)
            with m.Case(VectorFunction.DIFFERENCE):
                m.d.comb += result.eq(a - b)
            with m.Case(VectorFunction.MAXIMUM):
                m.d.comb += result.eq(Mux(less, b, a))
            with m.Case(VectorFunction.MINIMUM):
                m.d.comb += result.eq(Mux(less, a, b))
        with m.If(advance):
            m.d.sync += [value.eq(result), value_valid.eq(operands_valid)]

        # --- curve ------------------------------------------------------------------------------
        m.submodules.curve = curve = Curve()
        curve_valid = Signal(Curve.LATENCY)
        m.d.comb += [
            curve.advance.eq(advance & curving),
            curve.tanh.eq(function == VectorFunction.TANH),
            curve.left_shift.eq(job.left_shift),
            curve.scaled.eq(value),
            self.o.valid.eq(Mux(curving, curve_valid[-1], value_valid)),
            self.o.payload.eq(Mux(curving, curve.result, value)),
        ]
        with m.If(advance):
            m.d.sync += curve_valid.eq(Cat(value_valid & curving, curve_valid))
        too_large = job.a_multiplier[LARGEST_MULTIPLIER_BITS:].any()
        m.d.sync += [
            Assert(~(self.start & (operands_valid | value_valid | curve_valid.any())), "started"),
            Assert(~(self.running & curving & too_large), "a curve's multiplier is too large"),
        ]
        return m
