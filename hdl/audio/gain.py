"""Gain and saturation: the last step to 16-bit samples."""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.arith import saturate
from hdl.audio.dc import DIFFERENCE_BITS
from hdl.audio.fir import SAMPLE_BITS

__all__ = ["GAIN_BITS", "PCM_BITS", "UNITY_GAIN", "Amplifier"]

GAIN_BITS = 17
GAIN_FRACTION_BITS = 10
UNITY_GAIN = 1 << GAIN_FRACTION_BITS
PCM_BITS = 16
SHIFT = GAIN_FRACTION_BITS + SAMPLE_BITS - PCM_BITS


class Amplifier(wiring.Component):
    """Multiply, round half up, saturate.  Bit-exact with `models.audio.gain.amplify`.

    Serial, one bit of the gain a cycle: there are 64 cycles from one sample to the next.

    Members
    -------
    gain : In(17)
        UQ7.10.  Taken with each sample.
    i : In(stream of signed(19), always ready)
        Not more often than every ``LATENCY`` cycles.
    o : Out(stream of signed(16), always ready)
        `LATENCY` cycles after ``i``.
    clipped : Out(1)
        With ``o``: it had to be saturated.
    """

    LATENCY = GAIN_BITS + 1

    gain: In(GAIN_BITS)
    i: In(stream.Signature(signed(DIFFERENCE_BITS), always_ready=True))
    o: Out(stream.Signature(signed(PCM_BITS), always_ready=True))
    clipped: Out(1)

    def elaborate(self, platform):
        """Build the shift-and-add multiplier."""
        m = Module()
        operand = Signal(signed(DIFFERENCE_BITS))
        # Product: `high` sums, and what will not change any more leaves it for `low`, from whose
        # other end the bits of the gain come.
        high, low = Signal(signed(DIFFERENCE_BITS)), Signal(GAIN_BITS)
        left = Signal(range(GAIN_BITS + 1))
        total = Signal(signed(DIFFERENCE_BITS + 1))
        m.d.comb += total.eq(high + Mux(low[0], operand, 0))
        with m.If(left != 0):
            m.d.sync += [
                high.eq(total >> 1),
                low.eq(Cat(low[1:], total[0])),
                left.eq(left - 1),
            ]
        with m.If(self.i.valid):
            m.d.sync += [
                operand.eq(self.i.payload),
                high.eq(0),
                low.eq(self.gain),
                left.eq(GAIN_BITS),
            ]
        m.d.sync += self.o.valid.eq(left == 1)

        product = Cat(low, high).as_signed()
        rounded = Signal(signed(DIFFERENCE_BITS + GAIN_BITS + 1 - SHIFT))
        m.d.comb += [
            rounded.eq((product + (1 << (SHIFT - 1))) >> SHIFT),
            self.o.payload.eq(saturate(rounded, signed(PCM_BITS))),
            self.clipped.eq(self.o.valid & (rounded != self.o.payload)),
        ]

        m.d.sync += Assert(
            ~self.i.valid | (left <= 1), "a sample came while the last one was in work"
        )
        return m
