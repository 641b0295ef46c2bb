"""From the sensor's colours at 12 bits to a display's at 8, and to luma and chroma."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.audio.table import TablePort
from hdl.image.colour import COLOUR_MATRIX, ColourMatrix, ToYcbcr
from hdl.image.gamma import KNOT_BITS, KNOTS, Gamma
from hdl.image.pixels import BYTE_BITS, PIXEL_BITS, pixel_stream, rgb_pixel, ycbcr_pixel

__all__ = ["ColourPath"]


class ColourPath(wiring.Component):
    """Colour matrix, gamma and the conversion to YCbCr, one after another.

    Bit-exact with these three stages of `models.image.pipeline.process`.

    Members
    -------
    matrix : In(COLOUR_MATRIX)
        May change while no frame is in progress.
    gamma : In(TablePort(257, unsigned(12)))
        Knots, see `hdl.image.gamma.Gamma`.
    i : In(stream of rgb_pixel(12), always ready)
    abort : In(1)
        Forget the frame in progress, here and behind; a pixel in the clock of ``abort`` as well.
    rgb : Out(stream of rgb_pixel(8), always ready)
        `RGB_LATENCY` clocks behind ``i``.
    rgb_aborted : Out(1)
        ``abort``, in its place in ``rgb``.
    ycbcr : Out(stream of ycbcr_pixel(), always ready)
        `YCBCR_LATENCY` clocks behind ``i``.
    ycbcr_aborted : Out(1)
    """

    RGB_LATENCY = ColourMatrix.LATENCY + Gamma.LATENCY
    YCBCR_LATENCY = RGB_LATENCY + ToYcbcr.LATENCY

    matrix: In(COLOUR_MATRIX)
    gamma: In(TablePort(KNOTS, unsigned(KNOT_BITS)))
    i: In(pixel_stream(rgb_pixel(PIXEL_BITS)))
    abort: In(1)
    rgb: Out(pixel_stream(rgb_pixel(BYTE_BITS)))
    rgb_aborted: Out(1)
    ycbcr: Out(pixel_stream(ycbcr_pixel()))
    ycbcr_aborted: Out(1)

    def elaborate(self, platform):
        """Connect the stages."""
        m = Module()
        m.submodules.matrix = matrix = ColourMatrix()
        m.submodules.gamma = gamma = Gamma()
        m.submodules.to_ycbcr = to_ycbcr = ToYcbcr()
        wiring.connect(m, wiring.flipped(self.i), matrix.i)
        wiring.connect(m, matrix.o, gamma.i)
        wiring.connect(m, wiring.flipped(self.ycbcr), to_ycbcr.o)
        wiring.connect(m, wiring.flipped(self.gamma), gamma.table)
        m.d.comb += [
            matrix.matrix.eq(self.matrix),
            matrix.abort.eq(self.abort),
            gamma.abort.eq(matrix.aborted),
            to_ycbcr.abort.eq(gamma.aborted),
            self.rgb_aborted.eq(gamma.aborted),
            self.ycbcr_aborted.eq(to_ycbcr.aborted),
        ]
        for pixels in (self.rgb, to_ycbcr.i):
            m.d.comb += [pixels.valid.eq(gamma.o.valid), pixels.payload.eq(gamma.o.payload)]
        return m
