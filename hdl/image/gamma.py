"""Gamma: from linear 12 bits to a display's 8, between knots of a table."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.audio.table import TablePort
from hdl.image.colour import COLOURS
from hdl.image.delay import delays
from hdl.image.pixels import BYTE_BITS, PIXEL_BITS, pixel_stream, rgb_pixel
from hdl.image.stage import pass_on

__all__ = ["KNOTS", "KNOT_BITS", "Gamma"]

SEGMENT_BITS = 4
KNOT_BITS = 12
INDEX_BITS = PIXEL_BITS - SEGMENT_BITS
KNOTS = (1 << INDEX_BITS) + 1
OUTPUT_SHIFT = 8
"""Fraction bits of a knot (UQ8.4), and those of the place in its segment."""


class Gamma(wiring.Component):
    """Interpolate between the two knots around each value; one table for all colours.

    Bit-exact with `models.image.gamma.apply_gamma`.  Three multipliers of 13 x 4.  Even and odd
    knots lie in memories of their own, so that one clock reads both ends of a segment, and each
    colour has its own copy: six memories of 128 x 12 bits.  The last knot is a register.

    Members
    -------
    table : In(TablePort(257, unsigned(12)))
        Knots of 0, 16, ... 4096, UQ8.4.  Written while no frame is in progress; not reset.
    abort, aborted : In(1), Out(1)
        Forget the frame in progress, here and behind; a pixel in the clock of ``abort`` as well.
    i : In(stream of rgb_pixel(12), always ready)
    o : Out(stream of rgb_pixel(8), always ready)
        `LATENCY` clocks behind.
    """

    LATENCY = 4

    table: In(TablePort(KNOTS, unsigned(KNOT_BITS)))
    abort: In(1)
    aborted: Out(1)
    i: In(pixel_stream(rgb_pixel(PIXEL_BITS)))
    o: Out(pixel_stream(rgb_pixel(BYTE_BITS)))

    def elaborate(self, platform):
        """Build the tables and three interpolations."""
        m = Module()
        valids = pass_on(m, self)
        last_knot = Signal(KNOT_BITS)
        with m.If(self.table.enable & self.table.address[INDEX_BITS]):
            m.d.sync += last_knot.eq(self.table.data)

        for colour in COLOURS:
            value = self.i.p[colour]
            index = value[SEGMENT_BITS:]
            knots = []
            for parity, name in enumerate(("even", "odd")):
                memory = Memory(shape=unsigned(KNOT_BITS), depth=KNOTS // 2, init=[])
                m.submodules[f"{colour}_{name}"] = memory
                write, read = memory.write_port(), memory.read_port()
                m.d.comb += [
                    write.addr.eq(self.table.address[1:INDEX_BITS]),
                    write.data.eq(self.table.data),
                    write.en.eq(
                        self.table.enable
                        & ~self.table.address[INDEX_BITS]
                        & (self.table.address[0] == parity)
                    ),
                    # An odd knot is followed by the next even one.
                    read.addr.eq(index[1:] + (0 if parity else index[0])),
                    read.en.eq(valids[0]),
                ]
                knots.append(read.data)
            fraction = delays(m, value[:SEGMENT_BITS], 2)[-1]
            (odd,), (end,) = delays(m, index[0], 1), delays(m, index.all(), 1)
            even_knot, odd_knot = Mux(end, last_knot, knots[0]), knots[1]

            low, rise = Signal(KNOT_BITS), Signal(signed(KNOT_BITS + 1))
            with m.If(valids[1]):
                m.d.sync += [
                    low.eq(Mux(odd, odd_knot, even_knot)),
                    rise.eq(Mux(odd, even_knot - odd_knot, odd_knot - even_knot)),
                ]
            total = Signal(KNOT_BITS + SEGMENT_BITS + 1, name=f"{colour}_sum")
            with m.If(valids[2]):
                whole = (low << SEGMENT_BITS) + (1 << (OUTPUT_SHIFT - 1))
                m.d.sync += total.eq(whole + rise * fraction)
            with m.If(valids[3]):
                limit = (1 << BYTE_BITS) - 1
                rounded = total[OUTPUT_SHIFT:]
                m.d.sync += self.o.p[colour].eq(Mux(rounded > limit, limit, rounded))
        return m
