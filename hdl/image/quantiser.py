"""Quantiser: pixels to a tensor's scale and zero point."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.arith import saturate
from hdl.image.colour import COLOURS
from hdl.image.pixels import BYTE_BITS, pixel_layout, pixel_stream, rgb_pixel
from hdl.image.stage import pass_on

__all__ = ["Quantiser", "TensorFormat", "tensor_pixel"]

FRACTION_BITS = 14
MULTIPLIER_BITS, OFFSET_BITS = 18, 26
PRODUCT_BITS = BYTE_BITS + MULTIPLIER_BITS


class TensorFormat(data.Struct):
    """``q = multiplier * pixel + offset``, both in units of ``2**-14``.

    See `models.image.quantiser.tensor_format`.
    """

    multiplier: signed(MULTIPLIER_BITS)
    offset: signed(OFFSET_BITS)


def tensor_pixel() -> data.StructLayout:
    """Lay out the int8 of each colour, and the flags of `hdl.image.pixels.raw_pixel`."""
    return pixel_layout({colour: signed(BYTE_BITS) for colour in COLOURS})


class Quantiser(wiring.Component):
    """Multiply, add, round half up, saturate to int8.

    Bit-exact with `models.image.quantiser.quantise`.  Three multipliers of 8 x 18, of which one
    works if the tensor is grey.

    Members
    -------
    format : In(TensorFormat)
        May change while no frame is in progress.
    grey : In(1)
        Only ``red`` counts; the others are held.
    abort, aborted : In(1), Out(1)
        Forget the frame in progress, here and behind; a pixel in the clock of ``abort`` as well.
    i : In(stream of rgb_pixel(8), always ready)
    o : Out(stream of tensor_pixel(), always ready)
        `LATENCY` clocks behind.
    """

    LATENCY = 3

    format: In(TensorFormat)
    grey: In(1)
    abort: In(1)
    aborted: Out(1)
    i: In(pixel_stream(rgb_pixel(BYTE_BITS)))
    o: Out(pixel_stream(tensor_pixel()))

    def elaborate(self, platform):
        """Build products, sums and bounds."""
        m = Module()
        valids = pass_on(m, self)
        for colour in COLOURS:
            used = Mux(self.grey, colour == "red", 1)
            product = Signal(signed(PRODUCT_BITS + 1), name=f"{colour}_product")
            total = Signal(signed(PRODUCT_BITS + 2), name=f"{colour}_sum")
            with m.If(valids[0] & used):
                m.d.sync += product.eq(self.i.p[colour] * self.format.multiplier)
            with m.If(valids[1] & used):
                m.d.sync += total.eq(product + self.format.offset + (1 << (FRACTION_BITS - 1)))
            with m.If(valids[2] & used):
                m.d.sync += self.o.p[colour].eq(saturate(total >> FRACTION_BITS, signed(BYTE_BITS)))
        return m
