"""Sums over blocks of a picture: their brightness, and the steps between neighbours in a row."""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.image.colour import luma_pixel
from hdl.image.delay import delays
from hdl.image.pixels import BYTE_BITS, pixel_stream
from hdl.image.scaler import MAX_OUTPUT_HEIGHT, MAX_OUTPUT_WIDTH

__all__ = [
    "BLOCK_BITS",
    "BLOCK_COLUMNS",
    "BLOCK_ROWS",
    "FEATURES",
    "STATISTIC_BITS",
    "BlockSums",
    "block_statistics",
]

FEATURES = ("mean", "activity")
LEAST_BLOCK_BITS, MOST_BLOCK_BITS = 3, 5
BLOCK_BITS = range(MOST_BLOCK_BITS + 1)
"""A block has ``2**block_bits`` rows and columns, 3 to 5."""
BLOCK_COLUMNS = MAX_OUTPUT_WIDTH >> LEAST_BLOCK_BITS
BLOCK_ROWS = MAX_OUTPUT_HEIGHT >> LEAST_BLOCK_BITS

STATISTIC_BITS, FRACTION_BITS = 12, 4
LINE_BITS = BYTE_BITS + MOST_BLOCK_BITS
SUM_BITS = BYTE_BITS + 2 * MOST_BLOCK_BITS


def block_statistics() -> data.StructLayout:
    """Lay out a block's mean and activity, and where it lies.

    Fields
    ------
    mean, activity : unsigned(12)
        UQ8.4, see `models.image.change.block_statistics`.
    column : range(40)
        Of blocks.
    last_column, last_row : 1
        It is its row's last, and of the last row.
    """
    return data.StructLayout(
        {
            **dict.fromkeys(FEATURES, unsigned(STATISTIC_BITS)),
            "column": range(BLOCK_COLUMNS),
            "last_column": 1,
            "last_row": 1,
        }
    )


class BlockSums(wiring.Component):
    """Mean and activity of each block, when its last pixel has come.

    Bit-exact with `models.image.change.block_statistics`.  Keeps one row of sums, 40 x 36 bits.
    Multipliers: none.

    Members
    -------
    block_bits : In(range(6))
        3 to 5; may change while no frame is in progress.
    i : In(stream of luma_pixel(), always ready)
        At most 320 x 240; lines begin at least three clocks apart.
    abort, aborted : In(1), Out(1)
        Forget the frame in progress, here and behind; a pixel in the clock of ``abort`` as well.
    o : Out(stream of block_statistics(), always ready)
        Blocks in raster order, `LATENCY` clocks behind their last pixels.
    """

    LATENCY = 3

    block_bits: In(BLOCK_BITS)
    i: In(pixel_stream(luma_pixel()))
    abort: In(1)
    aborted: Out(1)
    o: Out(pixel_stream(block_statistics()))

    def elaborate(self, platform):
        """Build the stages; a number in a name counts clocks from the input."""
        m = Module()
        pixel, valid = self.i.p, self.i.valid & ~self.abort
        m.d.comb += self.aborted.eq(delays(m, self.abort, self.LATENCY)[-1])

        # Places in the block, and the block's column.
        across, down = Signal(MOST_BLOCK_BITS), Signal(MOST_BLOCK_BITS)
        column = Signal(range(BLOCK_COLUMNS))
        last_place = Signal(MOST_BLOCK_BITS)
        m.d.comb += last_place.eq((1 << self.block_bits) - 1)
        line_ends = (across == last_place) | pixel.last_column
        with m.If(valid):
            m.d.sync += across.eq(Mux(line_ends, 0, across + 1))
            with m.If(pixel.last_column):
                block_ends = (down == last_place) | pixel.last_row
                m.d.sync += [column.eq(0), down.eq(Mux(block_ends, 0, down + 1))]
            with m.Elif(line_ends):
                m.d.sync += column.eq(column + 1)
        with m.If(self.abort):
            m.d.sync += [across.eq(0), down.eq(0), column.eq(0)]

        # Clock 0 to 1: a line of a block.
        before, step = Signal(BYTE_BITS), Signal(BYTE_BITS)
        rises = pixel.value > before
        m.d.comb += step.eq(Mux(rises, pixel.value - before, before - pixel.value))
        lines_1 = []
        for name, value in zip(FEATURES, (pixel.value, Mux(across == 0, 0, step)), strict=True):
            line = Signal(LINE_BITS, name=f"{name}_line")
            with m.If(valid):
                m.d.sync += line.eq(Mux(across == 0, 0, line) + value)
            lines_1.append(line)
        with m.If(valid):
            m.d.sync += before.eq(pixel.value)
        place = Signal(block_statistics())
        first, complete = Signal(), Signal()
        m.d.comb += [
            place.column.eq(column),
            place.last_column.eq(pixel.last_column),
            place.last_row.eq(pixel.last_row),
            first.eq(down == 0),
            complete.eq((down == last_place) | pixel.last_row),
        ]
        place_1, place_2 = delays(m, place, 2)
        first_2, complete_2 = delays(m, first, 2)[-1], delays(m, complete, 2)[-1]
        valid_1, valid_2 = delays(m, valid & line_ends, 2)

        # Clock 1 to 2: the kept row is read; 2: added to, and written.
        m.submodules.kept = kept = Memory(
            shape=unsigned(SUM_BITS * len(FEATURES)), depth=BLOCK_COLUMNS, init=[]
        )
        read, write = kept.read_port(), kept.write_port()
        totals = []
        for index, name in enumerate(FEATURES):
            (line_2,) = delays(m, lines_1[index], 1)
            total = Signal(SUM_BITS, name=f"{name}_sum")
            sum_before = read.data[SUM_BITS * index :][:SUM_BITS]
            m.d.comb += total.eq(Mux(first_2, 0, sum_before) + line_2)
            totals.append(total)
            mean = total >> (2 * MOST_BLOCK_BITS - FRACTION_BITS)
            for bits in range(LEAST_BLOCK_BITS, MOST_BLOCK_BITS):
                mean = Mux(self.block_bits == bits, total >> (2 * bits - FRACTION_BITS), mean)
            with m.If(valid_2):
                m.d.sync += self.o.p[name].eq(mean)
        m.d.comb += [
            read.addr.eq(place_1.column),
            read.en.eq(valid_1),
            write.addr.eq(place_2.column),
            write.en.eq(valid_2),
            write.data.eq(Cat(totals)),
        ]
        (place_3,) = delays(m, place_2, 1)
        m.d.comb += [
            self.o.valid.eq(delays(m, valid_2 & complete_2, 1)[0]),
            self.o.p.column.eq(place_3.column),
            self.o.p.last_column.eq(place_3.last_column),
            self.o.p.last_row.eq(place_3.last_row),
        ]
        same = valid_1 & valid_2 & (place_1.column == place_2.column)
        m.d.sync += Assert(~same, "lines are too short")
        return m
