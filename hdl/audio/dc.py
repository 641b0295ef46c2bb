"""Removal of DC: a first-order high pass without a multiplier."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.audio.fir import SAMPLE_BITS

__all__ = ["DIFFERENCE_BITS", "SHIFT_BITS", "DcRemover"]

SHIFT_BITS = 4
DIFFERENCE_BITS = SAMPLE_BITS + 1
TOTAL_BITS = SAMPLE_BITS + (1 << SHIFT_BITS) - 1
"""The total over its divisor stays within the range of the samples."""


class DcRemover(wiring.Component):
    """Subtract a running mean.  Bit-exact with `models.audio.dc.remove_dc`.

    Members
    -------
    shift : In(4)
        The mean is over about ``2**shift`` samples; 0: change nothing.  May change in reset only.
    i : In(stream of signed(18), always ready)
    o : Out(stream of signed(19), always ready)
        `LATENCY` cycle after ``i``.
    """

    LATENCY = 1

    shift: In(SHIFT_BITS)
    i: In(stream.Signature(signed(SAMPLE_BITS), always_ready=True))
    o: Out(stream.Signature(signed(DIFFERENCE_BITS), always_ready=True))

    def elaborate(self, platform):
        """Build the total and the subtraction."""
        m = Module()
        total = Signal(signed(TOTAL_BITS))
        mean, difference = Signal(signed(SAMPLE_BITS)), Signal(signed(DIFFERENCE_BITS))
        m.d.comb += [
            mean.eq(total >> self.shift),
            difference.eq(self.i.payload - mean),
        ]
        m.d.sync += self.o.valid.eq(self.i.valid)
        with m.If(self.i.valid):
            m.d.sync += [
                self.o.payload.eq(difference),
                total.eq(Mux(self.shift == 0, 0, total + difference)),
            ]
        return m
