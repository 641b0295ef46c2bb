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
NEWTON_STEPS = 3
OUTPUT_BITS = 8

MULTIPLICATIONS = 1 + 2 * NEWTON_STEPS
"""Of one reciprocal: the first estimate, then an error and a correction a step."""

EXPONENTIALS_PER_WORD = MRAM_WORD_BYTES // 4


class Softmax(wiring.Component):
    """Exponentials from a table, their sum, its reciprocal, and the products of both.

    Bit-exact with `models.engine.softmax` for the table of `models.engine.softmax_exponentials`.
    A vector of ``n`` values takes ``3 * n + 28 + z`` cycles from ``start`` to the end of ``busy``
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
        """Build the table, the three passes and the reciprocal between them."""
        m = Module()

        # Results leave through a pipeline that stalls as a whole; the sum never stalls.
        advance = Signal()
        m.d.comb += advance.eq(~self.o.valid | self.o.ready)

        # --- table: the difference to the maximum selects an exponential, one cycle later --------
        m.submodules.exponentials = exponentials = Memory(
            shape=data.ArrayLayout(32, EXPONENTIALS_PER_WORD),
            depth=256 // EXPONENTIALS_PER_WORD,
            init=[],
        )
        write_port, read_port = exponentials.write_port(), exponentials.read_port()
        table_index = Signal(range(exponentials.depth))
        m.d.comb += [
            self.table.ready.eq(~self.busy),
            write_port.en.eq(self.table.valid & self.table.ready),
            write_port.addr.eq(table_index),
            write_port.data.eq(self.table.payload),
        ]
        with m.If(write_port.en):
            m.d.sync += table_index.eq(table_index + 1)

        maximum = Signal(signed(8))
        difference, selected = Signal(8), Signal(range(EXPONENTIALS_PER_WORD))
        looked_up, exponential = Signal(), Signal(31)
        take = Signal()
        m.d.comb += [
            take.eq(self.i.valid & self.i.ready),
            difference.eq(maximum - self.i.payload),
            read_port.en.eq(advance),
            read_port.addr.eq(difference[len(selected) :]),
            exponential.eq(read_port.data[selected]),
        ]
        with m.If(advance):
            m.d.sync += [
                selected.eq(difference),
                looked_up.eq(take & (self.pass_ != 0)),
            ]

        # --- the multiplier, with registers on both sides ----------------------------------------
        left, right, product = Signal(signed(32)), Signal(signed(32)), Signal(signed(64))
        high = Signal(signed(32))  # SRDHM; its saturating case, both -2**31, does not occur
        m.d.comb += high.eq((product + (1 << 30)) >> 31)

        # --- results: scale * exponential, rounded to 8 bits -------------------------------------
        # The sum is below 2**32, so its leading zeros are all that bits_over_unit depends on.
        total, leading_zeros = Signal(32), Signal(range(32))
        reciprocal = Signal(signed(32))  # Q2.29 of 1 / half_denominator
        scale, scaled = Signal(31), Signal(31)
        operands_valid, product_valid, scaled_valid = Signal(), Signal(), Signal()
        right_shift = Signal(range(64))
        halves, quotient = Signal(31), Signal(31)
        results = self.pass_ == 2
        m.d.comb += [
            # Q2.29 of 1..2 becomes Q0.31 of 1/2..1, where 1 itself saturates.
            scale.eq(Mux(reciprocal[30], (1 << 31) - 1, reciprocal << 1)),
            # bits_over_unit + 31 - OUTPUT_BITS; the last bit shifted out is the rounding.
            right_shift.eq(ACCUMULATION_INTEGER_BITS + 31 - OUTPUT_BITS - leading_zeros),
            halves.eq(scaled >> (right_shift - 1).as_unsigned()),
            quotient.eq(halves[1:] + halves[0]),
        ]
        with m.If(advance):
            m.d.sync += [
                operands_valid.eq(looked_up & results),
                product_valid.eq(operands_valid & results),
                scaled_valid.eq(product_valid),
                scaled.eq(high),
                self.o.valid.eq(scaled_valid),
                self.o.payload.eq(
                    Mux(quotient >= 255, Const(127, signed(8)), (quotient[:8] ^ 0x80).as_signed())
                ),
            ]

        # --- sequence ----------------------------------------------------------------------------
        count, remaining, unsent = Signal(12), Signal(12), Signal(12)
        half_denominator, error = Signal(signed(32)), Signal(signed(32))
        step = Signal(range(MULTIPLICATIONS))
        m.d.comb += half_denominator.eq(total[1:])
        with m.If(take):
            m.d.sync += remaining.eq(remaining - 1)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += unsent.eq(unsent - 1)
        last_taken = take & (remaining == 1)

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [
                    self.pass_.eq(0),
                    maximum.eq(-128),
                    total.eq(0),
                    leading_zeros.eq(0),
                    count.eq(self.count),
                    remaining.eq(self.count),
                    unsent.eq(self.count),
                ]
                with m.If(self.start):
                    m.d.sync += self.busy.eq(1)
                    m.next = "MAXIMUM"
            with m.State("MAXIMUM"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(take & (self.i.payload > maximum)):
                    m.d.sync += maximum.eq(self.i.payload)
                with m.If(last_taken):
                    m.d.sync += [self.pass_.eq(1), remaining.eq(count)]
                    m.next = "SUM"
            with m.State("SUM"):
                m.d.comb += self.i.ready.eq(remaining != 0)
                with m.If(looked_up):
                    # Q0.31 to Q12.19, rounded to nearest.
                    half = 1 << (ACCUMULATION_INTEGER_BITS - 1)
                    m.d.sync += total.eq(
                        total + ((exponential + half) >> ACCUMULATION_INTEGER_BITS)
                    )
                    with m.If(remaining == 0):
                        m.next = "NORMALIZE"
            with m.State("NORMALIZE"):
                # A sum of zero, which no proper table gives, must not hang.
                with m.If(total[-1] | (leading_zeros == 31)):
                    m.d.sync += step.eq(0)
                    m.next = "OPERANDS"
                with m.Else():
                    m.d.sync += [total.eq(total << 1), leading_zeros.eq(leading_zeros + 1)]
            with m.State("OPERANDS"):
                m.d.sync += [left.eq(half_denominator), right.eq(reciprocal)]
                with m.If(step == 0):
                    m.d.sync += right.eq(MINUS_THIRTY_TWO_SEVENTEENTHS)
                with m.Elif(~step[0]):
                    m.d.sync += left.eq(error)
                m.next = "MULTIPLY"
            with m.State("MULTIPLY"):
                m.next = "UPDATE"
            with m.State("UPDATE"):
                m.d.sync += step.eq(step + 1)
                with m.If(step == 0):
                    m.d.sync += reciprocal.eq(FORTY_EIGHT_SEVENTEENTHS + high)
                with m.Elif(step[0]):
                    m.d.sync += error.eq(ONE_Q2_29 - high)
                with m.Else():
                    # gemmlowp saturates the shifted correction; as |error| <= 1/17, it never does.
                    m.d.sync += reciprocal.eq(reciprocal + (high << 2))
                m.next = "OPERANDS"
                with m.If(step == MULTIPLICATIONS - 1):
                    m.d.sync += [self.pass_.eq(2), remaining.eq(count)]
                    m.next = "RESULTS"
            with m.State("RESULTS"):
                m.d.comb += self.i.ready.eq(advance & (remaining != 0))
                with m.If(advance):
                    m.d.sync += [left.eq(scale), right.eq(exponential)]
                with m.If(self.o.valid & self.o.ready & (unsent == 1)):
                    m.d.sync += self.busy.eq(0)
                    m.next = "IDLE"

        with m.If(advance):
            m.d.sync += product.eq(left * right)
        return m
