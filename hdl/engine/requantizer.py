"""Rescaling of one accumulator: the multiplier lane of the engine's last stage."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Requantizer"]

FRACTION_BITS = 31
"""The multiplier is Q0.31, so the product is divided by ``2**31`` before the shift."""


class Requantizer(wiring.Component):
    """Scale an int32 accumulator by a Q0.31 multiplier and a power of two, rounding as TFLite does.

    Without ``average``, bit-exact with `models.fixedpoint.multiply_by_quantized_multiplier` of the
    wrapped sum ``value + bias``::

        scaled = RDBPOT(SRDHM((value + bias) << max(shift, 0), multiplier), max(-shift, 0))

    With ``average``, a division by a count whose reciprocal is ``multiplier * 2**(shift - 31)``
    (`models.engine.reciprocal`), truncating towards zero::

        scaled = sign(value) * (((|value| + bias) * multiplier) >> (31 - shift))

    which needs ``0 <= (|value| + bias) << max(shift, 0) < 2**31``.

    A bare pipeline: one lane of a bank whose lanes share ``advance``.  Zero point and clamp follow
    outside, where they are narrow.

    Members
    -------
    advance : In(1)
        Moves the pipeline by one stage.
    value : In(signed(32))
        Accumulator.
    bias : In(signed(32))
        Added to ``value``, wrapping in 32 bits; with ``average``, half the count.
    multiplier : In(unsigned(31))
        UQ0.31 scale.
    shift : In(signed(6))
        Exponent of two, -31 .. 31: positive shifts left before the multiplication (wrapping in 32
        bits), negative shifts right after it.
    average : In(1)
        Divide and truncate instead of scaling and rounding.
    scaled : Out(signed(32))
        Result, `LATENCY` cycles of ``advance`` after its inputs.

    All inputs belong to one value, travel with it, and may change every cycle.
    """

    LATENCY = 4

    advance: In(1)
    value: In(signed(32))
    bias: In(signed(32))
    multiplier: In(unsigned(31))
    shift: In(signed(6))
    average: In(1)
    scaled: Out(signed(32))

    def elaborate(self, platform):
        """Build the four stages."""
        m = Module()

        # Stage 0: add the bias, or add it to the magnitude; then the left shift.
        flip = Signal()
        total = Signal(signed(32))
        left, right = Signal(range(32)), Signal(range(33))
        m.d.comb += [
            flip.eq(self.average & (self.value < 0)),
            total.eq((self.value ^ flip.replicate(32)) + self.bias + flip),
            left.eq(Mux(self.shift > 0, self.shift, 0)),
            right.eq(Mux(self.shift < 0, -self.shift, 0)),
        ]
        operand = Signal(signed(32))
        multiplier = Signal(unsigned(31))
        right_0, average_0, flip_0 = Signal(range(33)), Signal(), Signal()

        # Stage 1: multiply.  |operand| <= 2**31 and multiplier < 2**31: 63 bits hold the product.
        product = Signal(signed(63))
        right_1, average_1, flip_1 = Signal(range(33)), Signal(), Signal()

        # Stage 2: SRDHM is floor((product + 2**30) / 2**31), that is, add bit 30 to the high part
        # (its saturating case needs both operands -2**31, and the multiplier is not negative).
        # Stage 3 rounds half away from zero, which for a negative x is round-half-up of x - 1:
        # that decrement is taken here, where it merges into the same adder.  A product that is
        # negative but rounds to zero counts as negative too; -1 then rounds back to zero.
        negative = ~average_1 & (product < 0)
        half = ~average_1 & product[FRACTION_BITS - 1]
        round_high = Signal(signed(2))  # half - negative
        m.d.comb += round_high.eq(Cat(half ^ negative, negative & ~half))
        high = Signal(signed(32))
        right_2, average_2, flip_2, negative_2 = Signal(range(33)), Signal(), Signal(), Signal()

        # Stage 3: the right shift keeps one bit more, which is the rounding increment.  For a
        # shift by zero that bit is the decrement of stage 2, so that it is taken back.
        shifted = Signal(signed(33))
        m.d.comb += shifted.eq(Cat(negative_2, high).as_signed() >> right_2)

        with m.If(self.advance):
            m.d.sync += [
                operand.eq(total << left),
                multiplier.eq(self.multiplier),
                Cat(right_0, average_0, flip_0).eq(Cat(right, self.average, flip)),
                product.eq(operand * multiplier),
                Cat(right_1, average_1, flip_1).eq(Cat(right_0, average_0, flip_0)),
                high.eq((product >> FRACTION_BITS) + round_high),
                negative_2.eq(negative),
                Cat(right_2, average_2, flip_2).eq(Cat(right_1, average_1, flip_1)),
                self.scaled.eq(
                    (shifted[1:] ^ flip_2.replicate(32)) + Mux(average_2, flip_2, shifted[0])
                ),
            ]
        return m
