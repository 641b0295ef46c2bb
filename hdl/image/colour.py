"""Colours: from the sensor's to the display's, and to luma and chroma."""

from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.arith import saturate
from hdl.image.delay import delays
from hdl.image.pixels import (
    BYTE_BITS,
    PIXEL_BITS,
    pixel_layout,
    pixel_stream,
    rgb_pixel,
    ycbcr_pixel,
)
from hdl.image.stage import pass_on

__all__ = ["COLOURS", "COLOUR_MATRIX", "ColourMatrix", "ToLuma", "ToYcbcr", "luma_pixel"]

COLOURS = ("red", "green", "blue")

COEFFICIENT_BITS, FRACTION_BITS = 14, 10
COLOUR_MATRIX = data.ArrayLayout(data.ArrayLayout(signed(COEFFICIENT_BITS), 3), 3)
"""Row i gives colour i; Q3.10 with a sign."""

YCBCR_FRACTION_BITS = 14
CHROMA_ZERO = 128


class ColourMatrix(wiring.Component):
    """Multiply each pixel by a matrix of 3 x 3, round half up, saturate to 12 bits.

    Bit-exact with `models.image.colour.correct_colour`.  Nine multipliers of 12 x 14.

    Members
    -------
    matrix : In(COLOUR_MATRIX)
        May change while no frame is in progress.
    abort, aborted : In(1), Out(1)
        Forget the frame in progress, here and behind; a pixel in the clock of ``abort`` as well.
    i, o : In, Out(stream of rgb_pixel(12), always ready)
        ``o`` is `LATENCY` clocks behind.
    """

    LATENCY = 3

    matrix: In(COLOUR_MATRIX)
    abort: In(1)
    aborted: Out(1)
    i: In(pixel_stream(rgb_pixel(PIXEL_BITS)))
    o: Out(pixel_stream(rgb_pixel(PIXEL_BITS)))

    def elaborate(self, platform):
        """Build products, sums and bounds."""
        m = Module()
        valids = pass_on(m, self)
        product_bits = PIXEL_BITS + COEFFICIENT_BITS
        for row, to in enumerate(COLOURS):
            products = []
            for column, of in enumerate(COLOURS):
                product = Signal(signed(product_bits), name=f"{of}_to_{to}")
                with m.If(valids[0]):
                    m.d.sync += product.eq(self.i.p[of] * self.matrix[row][column])
                products.append(product)
            total = Signal(signed(product_bits + 2), name=f"{to}_sum")
            rounding = 1 << (FRACTION_BITS - 1)
            with m.If(valids[1]):
                m.d.sync += total.eq(sum(products[1:], products[0]) + rounding)
            with m.If(valids[2]):
                m.d.sync += self.o.p[to].eq(saturate(total >> FRACTION_BITS, unsigned(PIXEL_BITS)))
        return m


def luma_pixel() -> data.StructLayout:
    """Lay out luma, ``value`` of 8 bits, and the flags of `hdl.image.pixels.raw_pixel`."""
    return pixel_layout({"value": unsigned(BYTE_BITS)})


def multiply(value: Value, constant: int) -> Value:
    """Multiply by a positive constant: additions and subtractions, one for each signed digit."""
    total, shift = None, 0
    while constant:
        if constant & 1:
            digit = 2 - (constant & 3)  # -1 in front of another 1
            term = value << shift
            if total is None:
                total = term if digit > 0 else -term
            else:
                total = total + term if digit > 0 else total - term
            constant -= digit
        constant >>= 1
        shift += 1
    return total


class Difference:
    """Red and blue less green, which is all that luma and chroma need.

    ITU-R BT.601 at full range, in units of ``2**-14``.  Luma's weights sum to 1 and each chroma's
    to 0, so that of three products two remain, and a chroma's 8192 is a shift:

    ``y = g + 4899 (r - g) + 1868 (b - g)``, ``cb = 8192 (b - g) - 2765 (r - g)``,
    ``cr = 8192 (r - g) - 1332 (b - g)``.
    """

    def __init__(self, m: Module, pixel, valids: list[Value]):
        self.m, self.valids = m, valids
        self.red, self.blue = Signal(signed(BYTE_BITS + 1)), Signal(signed(BYTE_BITS + 1))
        self.green = delays(m, pixel.green, 2)[-1]  # when the sums are there
        with m.If(valids[0]):
            m.d.sync += [
                self.red.eq(pixel.red - pixel.green),
                self.blue.eq(pixel.blue - pixel.green),
            ]

    def weigh(self, name: str, total: Value) -> Value:
        """Register ``total`` of the differences, and round it half up to units of 1."""
        register = Signal(signed(BYTE_BITS + YCBCR_FRACTION_BITS + 2), name=name)
        with self.m.If(self.valids[1]):
            self.m.d.sync += register.eq(total + (1 << (YCBCR_FRACTION_BITS - 1)))
        return register >> YCBCR_FRACTION_BITS

    def luma(self) -> Value:
        """Y, for a register behind the sums'; it never leaves 8 bits."""
        weighed = multiply(self.red, 4899) + multiply(self.blue, 1868)
        return (self.green + self.weigh("luma", weighed))[:BYTE_BITS]

    def chroma(self, name: str, plus: Value, minus: Value) -> Value:
        """Cb or Cr: half a byte's steps of ``plus``, less ``minus``; saturated at 255, above 0."""
        value = self.weigh(name, (plus << (YCBCR_FRACTION_BITS - 1)) - minus) + CHROMA_ZERO
        return Mux(value[BYTE_BITS], (1 << BYTE_BITS) - 1, value[:BYTE_BITS])


class ToYcbcr(wiring.Component):
    """Convert to luma and chroma of JFIF.

    Bit-exact with `models.image.colour.to_ycbcr`.  Constants only, no multiplier.

    Members
    -------
    abort, aborted : In(1), Out(1)
        Forget the frame in progress, here and behind; a pixel in the clock of ``abort`` as well.
    i : In(stream of rgb_pixel(8), always ready)
    o : Out(stream of ycbcr_pixel(), always ready)
        `LATENCY` clocks behind.
    """

    LATENCY = 3

    abort: In(1)
    aborted: Out(1)
    i: In(pixel_stream(rgb_pixel(BYTE_BITS)))
    o: Out(pixel_stream(ycbcr_pixel()))

    def elaborate(self, platform):
        """Build differences, sums and bounds."""
        m = Module()
        valids = pass_on(m, self)
        difference = Difference(m, self.i.p, valids)
        red, blue = difference.red, difference.blue
        luma = difference.luma()
        chroma_blue = difference.chroma("chroma_blue", blue, multiply(red, 2765))
        chroma_red = difference.chroma("chroma_red", red, multiply(blue, 1332))
        with m.If(valids[2]):
            m.d.sync += [
                self.o.p.y.eq(luma),
                self.o.p.cb.eq(chroma_blue),
                self.o.p.cr.eq(chroma_red),
            ]
        return m


class ToLuma(wiring.Component):
    """Give the luma alone, for grey tensors and change detection.

    Bit-exact with `models.image.colour.luma`.  Constants only, no multiplier.

    Members
    -------
    abort, aborted : In(1), Out(1)
        Forget the frame in progress, here and behind; a pixel in the clock of ``abort`` as well.
    i : In(stream of rgb_pixel(8), always ready)
    o : Out(stream of luma_pixel(), always ready)
        `LATENCY` clocks behind.
    """

    LATENCY = 3

    abort: In(1)
    aborted: Out(1)
    i: In(pixel_stream(rgb_pixel(BYTE_BITS)))
    o: Out(pixel_stream(luma_pixel()))

    def elaborate(self, platform):
        """Build differences and a sum."""
        m = Module()
        valids = pass_on(m, self)
        difference = Difference(m, self.i.p, valids)
        luma = difference.luma()
        with m.If(valids[2]):
            m.d.sync += self.o.p.value.eq(luma)
        return m
