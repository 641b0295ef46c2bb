"""Input of a PDM microphone: one bit a cycle to samples at 16 kHz."""

from amaranth.hdl import Module, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.audio.cic import CicFilter
from hdl.audio.fir import COEFFICIENTS, PASS_OVERHEAD, SAMPLE_BITS, FirDecimator

__all__ = ["PdmReceiver"]


class PdmReceiver(wiring.Component):
    """Decimate by 64.  Bit-exact with `models.audio.pdm.receive_bits`.

    Members
    -------
    bit : In(1)
        The pin: straight to the first integrator, in every cycle from the first one after reset.
    o : Out(stream of signed(18), always ready)
        Q1.17, one every 64 cycles; `LATENCY` cycles after the cycle of its last bit.
    """

    LATENCY = CicFilter.LATENCY + len(COEFFICIENTS) + PASS_OVERHEAD

    bit: In(1)
    o: Out(stream.Signature(signed(SAMPLE_BITS), always_ready=True))

    def elaborate(self, platform):
        """Connect both filters."""
        m = Module()
        m.submodules.cic = cic = CicFilter()
        m.submodules.fir = fir = FirDecimator()
        m.d.comb += cic.bit.eq(self.bit)
        connect(m, cic.o, fir.i)
        connect(m, fir.o, flipped(self.o))
        return m
