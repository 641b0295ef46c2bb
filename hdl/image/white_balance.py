"""White balance: a gain for each phase of the mosaic."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.arith import saturate
from hdl.image.phases import PhaseCounter
from hdl.image.pixels import BAYER_ORDERS, PHASES, PIXEL_BITS, pixel_stream, raw_pixel
from hdl.image.stage import pass_on

__all__ = ["GAIN_BITS", "UNITY_GAIN", "WhiteBalance"]

GAIN_BITS = 14
GAIN_FRACTION_BITS = 10
UNITY_GAIN = 1 << GAIN_FRACTION_BITS


class WhiteBalance(wiring.Component):
    """Multiply by the phase's gain, round half up, saturate.

    Bit-exact with `models.image.white_balance.balance`.  One multiplier of 12 x 14.

    Members
    -------
    order : In(2)
        Bayer order, an index of `hdl.image.pixels.BAYER_ORDERS`.
    gains : In(4 x unsigned(14))
        UQ4.10: of red, green in red rows, green in blue rows, blue.
    abort, aborted : In(1), Out(1)
        Forget the frame in progress, here and behind; a pixel in the clock of ``abort`` as well.
    i, o : In, Out(stream of raw_pixel(), always ready)
        ``o`` is `LATENCY` clocks behind.
    """

    LATENCY = 3

    order: In(range(len(BAYER_ORDERS)))
    gains: In(data.ArrayLayout(unsigned(GAIN_BITS), PHASES))
    abort: In(1)
    aborted: Out(1)
    i: In(pixel_stream(raw_pixel()))
    o: Out(pixel_stream(raw_pixel()))

    def elaborate(self, platform):
        """Build the multiplier between its registers."""
        m = Module()
        m.submodules.phases = phases = PhaseCounter()
        phases.look_at(m, self)
        [taken, multiplies, rounds, _] = pass_on(m, self)
        value, gain = Signal(PIXEL_BITS), Signal(GAIN_BITS)
        with m.If(taken):
            m.d.sync += [value.eq(self.i.p.value), gain.eq(self.gains[phases.phase])]
        product = Signal(PIXEL_BITS + GAIN_BITS)
        with m.If(multiplies):
            m.d.sync += product.eq(value * gain)
        rounded = (product + (UNITY_GAIN >> 1)) >> GAIN_FRACTION_BITS
        with m.If(rounds):
            m.d.sync += self.o.p.value.eq(saturate(rounded, unsigned(PIXEL_BITS)))
        return m
