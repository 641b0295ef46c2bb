"""Black level: what the sensor gives without light."""

from amaranth.hdl import Module, Mux, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.image.phases import PhaseCounter
from hdl.image.pixels import BAYER_ORDERS, PHASES, PIXEL_BITS, pixel_stream, raw_pixel
from hdl.image.stage import pass_on

__all__ = ["BlackLevel"]


class BlackLevel(wiring.Component):
    """Subtract the level of each pixel's phase, not below 0.

    Bit-exact with `models.image.black_level.subtract_black`.

    Members
    -------
    order : In(2)
        Bayer order, an index of `hdl.image.pixels.BAYER_ORDERS`.
    levels : In(4 x unsigned(12))
        Red, green in red rows, green in blue rows, blue.
    abort, aborted : In(1), Out(1)
        Forget the frame in progress, here and behind; a pixel in the clock of ``abort`` as well.
    i, o : In, Out(stream of raw_pixel(), always ready)
        ``o`` is `LATENCY` clock behind.
    """

    LATENCY = 1

    order: In(range(len(BAYER_ORDERS)))
    levels: In(data.ArrayLayout(unsigned(PIXEL_BITS), PHASES))
    abort: In(1)
    aborted: Out(1)
    i: In(pixel_stream(raw_pixel()))
    o: Out(pixel_stream(raw_pixel()))

    def elaborate(self, platform):
        """Build the subtraction."""
        m = Module()
        m.submodules.phases = phases = PhaseCounter()
        phases.look_at(m, self)
        level, value = self.levels[phases.phase], self.i.p.value
        [valid, _] = pass_on(m, self)
        with m.If(valid):
            m.d.sync += self.o.p.value.eq(Mux(value > level, value - level, 0))
        return m
