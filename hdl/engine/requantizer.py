"""Rescaling of one accumulator: the multiplier lane of the engine's last stage."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.engine.accumulators import ACCUMULATOR_BITS

__all__ = ["REDUCED_BITS", "Requantizer"]

FRACTION_BITS = 31
"""The multiplier is Q0.31, so the product is divided by ``2**31`` before the shift."""

REDUCED_BITS = 15
"""The same with one rounding, where the multiplier is Q0.15."""

TOP_BITS = 15
"""Of a wide sum, what is above 32 bits.

It has 41 bits, so nine do, and up to six more for a left shift; one by seven moves the 41st to bit
47, which does not reach the low 32 bits of the result.
"""


class Requantizer(wiring.Component):
    """Scale an accumulator by a multiplier and a power of two, rounding as TFLite does.

    Without ``average`` and ``single``, bit-exact with
    `models.fixedpoint.multiply_by_quantized_multiplier` of the wrapped sum ``value + bias``, of
    whose bits the low 32 count::

        scaled = RDBPOT(SRDHM((value + bias) << max(shift, 0), multiplier), max(-shift, 0))

    With ``average``, a division by a count whose reciprocal is ``multiplier * 2**(shift - 31)``
    (`models.engine.reciprocal`), truncating towards zero::

        scaled = sign(value) * (((|value| + bias) * multiplier) >> (31 - shift))

    which needs ``0 <= (|value| + bias) << max(shift, 0) < 2**31`` (again of the low 32 bits).

    With ``single``, bit-exact with `models.fixedpoint.multiply_and_round_once` of the whole sum of
    41 bits, for a ``multiplier`` below ``2**15`` and a ``shift`` up to 7::

        scaled = ((value + bias) * multiplier + (1 << (14 - shift))) >> (15 - shift)

    A bare pipeline: one lane of a bank whose lanes share ``advance``.  Zero point and clamp follow
    outside, where they are narrow.

    Members
    -------
    advance : In(1)
        Moves the pipeline by one stage.
    value : In(signed(40))
        Accumulator.
    bias : In(signed(32))
        Added to ``value``, wrapping in 32 bits; with ``average``, half the count.
    multiplier : In(unsigned(31))
        UQ0.31 scale; with ``single``, UQ0.15.
    shift : In(signed(6))
        Exponent of two, -31 .. 31: positive shifts left before the multiplication (wrapping in 32
        bits), negative shifts right after it.
    average : In(1)
        Divide and truncate instead of scaling and rounding.
    single : In(1)
        Scale a wide sum and round once.
    scaled : Out(signed(32))
        Result, `LATENCY` cycles of ``advance`` after its inputs.

    All inputs belong to one value, travel with it, and may change every cycle.
    """

    LATENCY = 5

    advance: In(1)
    value: In(signed(ACCUMULATOR_BITS))
    bias: In(signed(32))
    multiplier: In(unsigned(31))
    shift: In(signed(6))
    average: In(1)
    single: In(1)
    scaled: Out(signed(32))

    def elaborate(self, platform):
        """Build the five stages."""
        m = Module()
        modes = data.StructLayout({"average": 1, "single": 1, "flip": 1, "right": range(32)})
        modes_0, modes_1, modes_2, modes_3 = (Signal(modes, name=f"modes_{i}") for i in range(4))

        # Stage 0: what arrives comes out of much logic, so nothing is done but to take the
        # magnitude's complement.
        flip = Signal()
        value = Signal(signed(ACCUMULATOR_BITS))
        bias, multiplier_0 = Signal(signed(32)), Signal(unsigned(31))
        left, right = Signal(range(32)), Signal(range(32))
        m.d.comb += [
            flip.eq(self.average & self.value[31]),
            right.eq(Mux(self.shift < 0, -self.shift, 0)),
        ]

        # Stage 1: add the bias; then the left shift.  What is above 32 bits matters with `single`
        # only, where the shift is at most 7.
        total = Signal(signed(ACCUMULATOR_BITS + 1))
        m.d.comb += total.eq(value + bias + modes_0.flip)
        low, top = Signal(32), Signal(signed(TOP_BITS))
        multiplier = Signal(unsigned(31))

        # Stage 2: multiply.  |operand| <= 2**31 and multiplier < 2**31: 63 bits hold the product;
        # with `single`, |operand| <= 2**47 and multiplier < 2**15, so they do, too.  Four products
        # of at most 17 bits each: as that multiplier has no upper half, one of them is free for
        # the top of the wide operand.
        lows = Cat(low[:16], Const(0, 1)).as_signed()
        highs = Cat(low[16:], low[31] & ~modes_1.single).as_signed()
        by_lows = Cat(multiplier[:16], Const(0, 1)).as_signed()
        by_highs = Cat(multiplier[16:], Const(0, 2)).as_signed()
        free, by_free = Signal(signed(17)), Signal(signed(17))
        m.d.comb += [
            free.eq(Mux(modes_1.single, top, highs)),
            by_free.eq(Mux(modes_1.single, by_lows, by_highs)),
        ]
        ends, middle = Signal(signed(63)), Signal(signed(34))
        product = Signal(signed(63))
        m.d.comb += [
            ends.eq(Cat((lows * by_lows)[:32], free * by_free)),
            middle.eq(highs * by_lows + lows * by_highs),
        ]

        # Stage 3: SRDHM is floor((product + 2**30) / 2**31), that is, add bit 30 to the high part
        # (its saturating case needs both operands -2**31, and the multiplier is not negative).
        # Stage 4 rounds half away from zero, which for a negative x is round-half-up of x - 1:
        # that decrement is taken here, where it merges into the same adder.  A product that is
        # negative but rounds to zero counts as negative too; -1 then rounds back to zero.
        # With `single` nothing is rounded here.
        negative = ~modes_2.average & (product < 0)
        half = ~modes_2.average & product[FRACTION_BITS - 1]
        round_high = Signal(signed(2))  # half - negative
        m.d.comb += round_high.eq(Cat(half ^ negative, negative & ~half))
        rounded = Signal(signed(32))
        m.d.comb += rounded.eq((product >> FRACTION_BITS) + round_high)
        high, below = Signal(signed(63 - REDUCED_BITS)), Signal()

        # Stage 4: the right shift keeps one bit more, which is the rounding increment.  For a
        # shift by zero that bit is the decrement of stage 3, so that it is taken back.
        shifted = Signal(signed(33))
        m.d.comb += shifted.eq(Cat(below, high).as_signed() >> modes_3.right)

        with m.If(self.advance):
            m.d.sync += [
                value.eq(self.value ^ flip.replicate(ACCUMULATOR_BITS)),
                bias.eq(self.bias),
                multiplier_0.eq(self.multiplier),
                left.eq(Mux(self.shift > 0, self.shift, 0)),
                Cat(modes_0.average, modes_0.single, modes_0.flip, modes_0.right).eq(
                    Cat(self.average, self.single, flip, right)
                ),
                low.eq(total[:32] << left),
                top.eq((total << left[:3]) >> 32),
                multiplier.eq(multiplier_0),
                modes_1.eq(modes_0),
                product.eq(Cat(ends[:16], (ends >> 16) + middle)),
                modes_2.eq(modes_1),
                high.eq(Mux(modes_2.single, product >> REDUCED_BITS, rounded)),
                below.eq(Mux(modes_2.single, product[REDUCED_BITS - 1], negative)),
                modes_3.eq(modes_2),
                self.scaled.eq(
                    (shifted[1:] ^ modes_3.flip.replicate(32))
                    + Mux(modes_3.average, modes_3.flip, shifted[0])
                ),
            ]
        return m
