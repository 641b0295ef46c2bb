"""Softmax over one vector of int8, a value a cycle."""

from amaranth.hdl import Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.config import MRAM_WORD_BYTES, ChipConfig

__all__ = ["Softmax"]

# The names and values are gemmlowp's; see `models.engine.softmax`.
ACCUMULATION_INTEGER_BITS = 12
FORTY_EIGHT_SEVENTEENTHS = 1515870810  # Q2.29
MINUS_THIRTY_TWO_SEVENTEENTHS = -1010580540  # Q2.29
ONE_Q2_29 = 1 << 29
ONE_Q0_31 = (1 << 31) - 1  # the largest number below one
NEWTON_STEPS = 3
OUTPUT_BITS = 8
OUTPUT_ZERO_POINT = -128
MAX_RESULT = 127

MULTIPLICATIONS = 1 + 2 * NEWTON_STEPS
"""Of one reciprocal: the first estimate, then an error and a correction a step."""

PASS_SUM, PASS_RESULTS = 1, 2

EXPONENTIALS_PER_WORD = MRAM_WORD_BYTES // 4


class ExponentialTable(wiring.Component):
    """256 exponentials, written four at a time.

    Members
    -------
    table : In(stream.Signature(unsigned(128)))
        See `Softmax`; always ready.
    enable : In(1)
        Look up; the result holds its value otherwise.
    difference : In(8)
        Index.
    exponential : Out(31)
        UQ0.31, in the cycle after ``enable``.
    """

    table: In(stream.Signature(unsigned(8 * MRAM_WORD_BYTES)))
    enable: In(1)
    difference: In(8)
    exponential: Out(31)

    def elaborate(self, platform):
        """Build the memory, its write counter and the choice within a word."""
        m = Module()
        m.submodules.memory = memory = Memory(
            shape=data.ArrayLayout(32, EXPONENTIALS_PER_WORD),
            depth=256 // EXPONENTIALS_PER_WORD,
            init=[],
        )
        write_port, read_port = memory.write_port(), memory.read_port()
        index = Signal(range(memory.depth))
        selected = Signal(range(EXPONENTIALS_PER_WORD))
        m.d.comb += [
            self.table.ready.eq(1),
            write_port.en.eq(self.table.valid),
            write_port.addr.eq(index),
            write_port.data.eq(self.table.payload),
            read_port.en.eq(self.enable),
            read_port.addr.eq(self.difference[len(selected) :]),
            self.exponential.eq(read_port.data[selected]),
        ]
        m.d.sync += index.eq(index + self.table.valid)
        with m.If(self.enable):
            m.d.sync += selected.eq(self.difference)
        return m


class Reciprocal(wiring.Component):
    """Newton-Raphson reciprocal of a sum, on a multiplier outside.

    Bit-exact with `models.engine.softmax_reciprocal`, whose ``bits_over_unit`` is
    ``12 - leading_zeros``.

    Members
    -------
    start : In(1)
        Pulse.
    total : In(32)
        Sum of exponentials, UQ12.19; sampled with ``start``.
    multiply : Out(1)
        Pulse: ``left`` and ``right`` are the factors.
    left, right : Out(signed(32))
        Factors.
    high : In(signed(32))
        SRDHM of the factors, two cycles after ``multiply``.
    done : Out(1)
        Pulse: from the next cycle, and until the next ``start``, the results hold.
    scale : Out(31)
        UQ0.31 of ``1 / total``, normalised: 1/2 to 1.
    leading_zeros : Out(range(32))
        Of ``total``.
    """

    start: In(1)
    total: In(32)
    multiply: Out(1)
    left: Out(signed(32))
    right: Out(signed(32))
    high: In(signed(32))
    done: Out(1)
    scale: Out(31)
    leading_zeros: Out(range(32))

    def elaborate(self, platform):
        """Build the sequence: normalise, then three cycles a multiplication."""
        m = Module()
        normalised = Signal(32)
        reciprocal = Signal(signed(32))  # Q2.29 of 1 / half_denominator, 1 to 2
        error = Signal(signed(32))
        step = Signal(range(MULTIPLICATIONS))
        m.d.comb += [
            # Half of the sum in 1..2, as Q0.31: the model's half_denominator.
            self.left.eq(Mux((step == 0) | step[0], normalised[1:], error)),
            self.right.eq(Mux(step == 0, MINUS_THIRTY_TWO_SEVENTEENTHS, reciprocal)),
            # Q2.29 of 1..2 becomes Q0.31 of 1/2..1, where 1 itself saturates.
            self.scale.eq(Mux(reciprocal[30], ONE_Q0_31, reciprocal << 1)),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += step.eq(0)
                with m.If(self.start):
                    m.d.sync += [normalised.eq(self.total), self.leading_zeros.eq(0)]
                    m.next = "NORMALIZE"
            with m.State("NORMALIZE"):
                # A sum of zero, which no proper table gives, must not hang.
                with m.If(normalised[-1] | self.leading_zeros.all()):
                    m.next = "FACTORS"
                with m.Else():
                    m.d.sync += [
                        normalised.eq(normalised << 1),
                        self.leading_zeros.eq(self.leading_zeros + 1),
                    ]
            with m.State("FACTORS"):
                m.d.comb += self.multiply.eq(1)
                m.next = "WAIT"
            with m.State("WAIT"):
                m.next = "UPDATE"
            with m.State("UPDATE"):
                with m.If(step == 0):
                    m.d.sync += reciprocal.eq(FORTY_EIGHT_SEVENTEENTHS + self.high)
                with m.Elif(step[0]):
                    m.d.sync += error.eq(ONE_Q2_29 - self.high)
                with m.Else():
                    # gemmlowp saturates the shifted correction; as |error| <= 1/17, it never does.
                    m.d.sync += reciprocal.eq(reciprocal + (self.high << 2))
                m.d.sync += step.eq(step + 1)
                m.next = "FACTORS"
                with m.If(step == MULTIPLICATIONS - 1):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
        return m


class Softmax(wiring.Component):
    """Exponentials from a table, their sum, its reciprocal, and the products of both.

    Bit-exact with `models.engine.softmax` for the table of `models.engine.softmax_exponentials`.
    A vector of ``n`` values takes ``3 * n + 29 + z`` cycles from ``start`` to the end of ``busy``
    if nothing stalls, where ``z`` is 12 - floor(log2(sum of exponentials)), 0 to 12.  It has one
    multiplier, of 32 x 32 bits.

    Members
    -------
    table : In(stream.Signature(unsigned(128)))
        Exponentials of the differences 0, -1, .. -255 to the maximum, UQ0.31 in 32 bits, four a
        word with the first in the low bits.  64 words make a table, which serves any number of
        vectors, until the next 64 words.  Ready while not ``busy``.
    start : In(1)
        Pulse: begin a vector; only while not ``busy``.
    count : In(12)
        Values in the vector, 1 .. 4095; sampled with ``start``.
    i : In(stream.Signature(signed(8)))
        The vector, three times in the same order.
    o : Out(stream.Signature(signed(8)))
        Results in the same order (scale 1/256, zero point -128), during the third pass.
    busy : Out(1)
        From the cycle after ``start`` until the last result has been transferred.
    pass_ : Out(2)
        Which of the three times ``i`` takes: 0 to find the maximum, 1 for the sum, 2 for results.
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        super().__init__(
            {
                "table": In(stream.Signature(unsigned(8 * MRAM_WORD_BYTES))),
                "start": In(1),
                "count": In(12),
                "i": In(stream.Signature(signed(8))),
                "o": Out(stream.Signature(signed(8))),
                "busy": Out(1),
                "pass_": Out(2),
            }
        )

    def elaborate(self, platform):
        """Build the sequence of passes around the table, the sum and the results."""
        m = Module()
        m.submodules.exponentials = exponentials = ExponentialTable()
        m.submodules.reciprocal = reciprocal = Reciprocal()
        maximum = Signal(signed(8))
        total = Signal(32)
        advance, take, looked_up = Signal(), Signal(), Signal()
        m.d.comb += [
            self.table.ready.eq(~self.busy),
            exponentials.table.valid.eq(self.table.valid & self.table.ready),
            exponentials.table.payload.eq(self.table.payload),
            # Results leave through a pipeline that stalls as a whole; earlier passes never stall.
            advance.eq(~self.o.valid | self.o.ready),
            take.eq(self.i.valid & self.i.ready),
            exponentials.enable.eq(advance),
            exponentials.difference.eq(maximum - self.i.payload),
            reciprocal.total.eq(total),
        ]
        with m.If(advance):
            m.d.sync += looked_up.eq(take & (self.pass_ != 0))
        self._scale_exponentials(m, exponentials, reciprocal, advance, looked_up)

        count, remaining, unsent = Signal(12), Signal(12), Signal(12)
        last_taken = take & (remaining == 1)
        with m.If(take):
            m.d.sync += remaining.eq(remaining - 1)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += unsent.eq(unsent - 1)

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [self.pass_.eq(0), maximum.eq(-128), total.eq(0)]
                m.d.sync += [signal.eq(self.count) for signal in (count, remaining, unsent)]
                with m.If(self.start):
                    m.d.sync += self.busy.eq(1)
                    m.next = "MAXIMUM"
            with m.State("MAXIMUM"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(take & (self.i.payload > maximum)):
                    m.d.sync += maximum.eq(self.i.payload)
                with m.If(last_taken):
                    m.d.sync += [self.pass_.eq(PASS_SUM), remaining.eq(count)]
                    m.next = "SUM"
            with m.State("SUM"):
                m.d.comb += self.i.ready.eq(remaining != 0)
                # Q0.31 to Q12.19, rounded to nearest.
                half = 1 << (ACCUMULATION_INTEGER_BITS - 1)
                addend = (exponentials.exponential + half) >> ACCUMULATION_INTEGER_BITS
                with m.If(looked_up):
                    m.d.sync += total.eq(total + addend)
                with m.Elif(remaining == 0):
                    m.d.comb += reciprocal.start.eq(1)
                    m.next = "RECIPROCAL"
            with m.State("RECIPROCAL"):
                with m.If(reciprocal.done):
                    m.d.sync += [self.pass_.eq(PASS_RESULTS), remaining.eq(count)]
                    m.next = "RESULTS"
            with m.State("RESULTS"):
                m.d.comb += self.i.ready.eq(advance & (remaining != 0))
                with m.If(self.o.valid & self.o.ready & (unsent == 1)):
                    m.d.sync += self.busy.eq(0)
                    m.next = "IDLE"
        return m

    def _scale_exponentials(self, m, exponentials, reciprocal, advance, looked_up):
        """Add the multiplier and, behind it, what rounds the results of the third pass."""
        left, right, product = Signal(signed(32)), Signal(signed(32)), Signal(signed(64))
        high = Signal(signed(32))  # SRDHM; its saturating case, both -2**31, does not occur
        m.d.comb += [high.eq((product + (1 << 30)) >> 31), reciprocal.high.eq(high)]
        with m.If(reciprocal.multiply):
            m.d.sync += [left.eq(reciprocal.left), right.eq(reciprocal.right)]
        with m.Elif(advance & looked_up):
            m.d.sync += [left.eq(reciprocal.scale), right.eq(exponentials.exponential)]

        factors_valid, product_valid, scaled_valid = Signal(), Signal(), Signal()
        scaled = Signal(31)
        right_shift = Signal(range(64))
        halves, quotient = Signal(31), Signal(31)
        m.d.comb += [
            # bits_over_unit + 31 - OUTPUT_BITS; the last bit shifted out is the rounding.
            right_shift.eq(ACCUMULATION_INTEGER_BITS + 31 - OUTPUT_BITS - reciprocal.leading_zeros),
            halves.eq(scaled >> (right_shift - 1).as_unsigned()),
            quotient.eq(halves[1:] + halves[0]),
        ]
        with m.If(advance):
            m.d.sync += [
                factors_valid.eq(looked_up & (self.pass_ == PASS_RESULTS)),
                product.eq(left * right),
                product_valid.eq(factors_valid),
                scaled.eq(high),
                scaled_valid.eq(product_valid),
                self.o.valid.eq(scaled_valid),
                self.o.payload.eq(
                    Mux(
                        quotient > MAX_RESULT - OUTPUT_ZERO_POINT,
                        Const(MAX_RESULT, signed(8)),
                        quotient + OUTPUT_ZERO_POINT,
                    )
                ),
            ]
