"""Which place of the mosaic a pixel is, counted from its frame's first."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.image.pixels import BAYER_ORDERS, PHASES, pixel_stream, raw_pixel

__all__ = ["PhaseCounter"]


class PhaseCounter(wiring.Component):
    """Count columns and rows modulo 2.  Bit-exact with `models.image.bayer.phases`.

    Members
    -------
    order : In(2)
        Bayer order, an index of `BAYER_ORDERS`.
    abort : In(1)
        The next pixel is the first of a frame; a pixel in this clock does not count.
    i : In(stream of raw_pixel(), always ready)
        Only looked at.
    phase : Out(2)
        Of the pixel in this clock: bit 1 in rows with blue, bit 0 in the second column of a pair.
    """

    order: In(range(len(BAYER_ORDERS)))
    abort: In(1)
    i: In(pixel_stream(raw_pixel()))
    phase: Out(range(PHASES))

    def look_at(self, m: Module, stage) -> None:
        """Connect the inputs with those of a stage: its ``order``, ``abort`` and ``i``."""
        m.d.comb += [
            self.order.eq(stage.order),
            self.abort.eq(stage.abort),
            self.i.payload.eq(stage.i.payload),
            self.i.valid.eq(stage.i.valid),
        ]

    def elaborate(self, platform):
        """Build the two bits."""
        m = Module()
        column, row = Signal(), Signal()
        m.d.comb += self.phase.eq(Cat(column, row) ^ self.order)
        with m.If(self.i.valid):
            m.d.sync += column.eq(~column & ~self.i.p.last_column)
            with m.If(self.i.p.last_column):
                m.d.sync += row.eq(~row & ~self.i.p.last_row)
        with m.If(self.abort):
            m.d.sync += [column.eq(0), row.eq(0)]
        return m
