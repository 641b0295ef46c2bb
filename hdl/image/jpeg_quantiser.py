"""Quantiser of the JPEG encoder: a product and a shift divide exactly."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.audio.table import TablePort
from hdl.image.jpeg_dct import COEFFICIENT_BITS
from hdl.image.jpeg_words import BLOCK_SAMPLES, LEVEL_BITS, tagged

__all__ = ["JpegQuantiser", "Reciprocal"]

DIVIDEND_BITS = 11
RECIPROCAL_BITS = 13
TABLES = 2


class Reciprocal(data.Struct):
    """A quantiser, its reciprocal and a shift; see `models.image.jpeg_dct.Reciprocals`."""

    quantiser: unsigned(8)
    value: unsigned(RECIPROCAL_BITS)
    shift: unsigned(3)


class JpegQuantiser(wiring.Component):
    """Divide coefficients by quantisers and round, ties away from zero.

    Bit-exact with `models.image.jpeg_dct.quantise`.  A coefficient a cycle, one multiplier.

    Members
    -------
    table : In(TablePort(128, Reciprocal))
        Luma, then chroma, each row by row; written while no picture is in progress.
    i : In(tagged(signed(14)))
        Coefficients, column by column.
    o : Out(tagged(signed(11)))
        Levels, `LATENCY` cycles later.
    """

    LATENCY = 4

    table: In(TablePort(TABLES * BLOCK_SAMPLES, Reciprocal))
    i: In(tagged(signed(COEFFICIENT_BITS)))
    o: Out(tagged(signed(LEVEL_BITS)))

    def elaborate(self, platform):
        """Build the table and the product."""
        m = Module()
        m.submodules.reciprocals = reciprocals = Memory(
            shape=Reciprocal, depth=TABLES * BLOCK_SAMPLES, init=[]
        )
        write, read = reciprocals.write_port(), reciprocals.read_port()
        place = Signal(range(BLOCK_SAMPLES))
        with m.If(self.i.valid):
            m.d.sync += place.eq(place + 1)
        m.d.comb += [
            write.en.eq(self.table.enable),
            write.addr.eq(self.table.address),
            write.data.eq(self.table.data),
            read.addr.eq(Cat(place[3:], place[:3], self.i.p.tag.component != 0)),
        ]

        coefficient = Signal(signed(COEFFICIENT_BITS))
        magnitude = Signal(COEFFICIENT_BITS)
        dividend, value = Signal(DIVIDEND_BITS), Signal(RECIPROCAL_BITS)
        product = Signal(DIVIDEND_BITS + RECIPROCAL_BITS)
        shifts, negatives = [Signal(3) for _ in range(2)], [Signal() for _ in range(2)]
        quotient = (product >> 12) >> shifts[1]
        m.d.comb += magnitude.eq(Mux(coefficient < 0, -coefficient, coefficient))
        m.d.sync += [
            coefficient.eq(self.i.p.value),
            # The divisor is 8 times the quantiser: 4 times is half of it.
            dividend.eq((magnitude + (read.data.quantiser << 2)) >> 3),
            value.eq(read.data.value),
            shifts[0].eq(read.data.shift),
            negatives[0].eq(coefficient < 0),
            product.eq(dividend * value),
            shifts[1].eq(shifts[0]),
            negatives[1].eq(negatives[0]),
            self.o.p.value.eq(Mux(negatives[1], -quotient, quotient)),
        ]
        valid, tag = self.i.valid, self.i.p.tag
        for _ in range(self.LATENCY):
            later, later_tag = Signal(), Signal.like(tag)
            m.d.sync += [later.eq(valid), later_tag.eq(tag)]
            valid, tag = later, later_tag
        m.d.comb += [self.o.valid.eq(valid), self.o.p.tag.eq(tag)]
        return m
