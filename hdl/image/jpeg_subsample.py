"""The camera's side of the JPEG encoder: the region, chroma of half the size, rows of MCUs."""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.image.jpeg_words import LINE_PAIRS, JpegSettings, McuRow
from hdl.image.pixels import BYTE_BITS, MAX_HEIGHT, MAX_WIDTH, pixel_stream, ycbcr_pixel

__all__ = ["MAX_ROWS", "ROW_COUNT_BITS", "JpegSubsampler", "LineWrite"]

MAX_ROWS = 4
"""Complete and not yet read: grey, the last with 3 pairs of lines or fewer."""
ROW_COUNT_BITS = 3
"""Of the counters of MCU rows, whose difference is at most `MAX_ROWS`."""
SUM_BITS = BYTE_BITS + 1


class LineWrite(data.Struct):
    """A pixel for the line buffer; the chroma is that of four pixels."""

    column: range(MAX_WIDTH)
    pair: range(LINE_PAIRS)
    lower: 1
    y: unsigned(BYTE_BITS)
    cb: unsigned(BYTE_BITS)
    cr: unsigned(BYTE_BITS)


class JpegSubsampler(wiring.Component):
    """Take the region's pixels out of a picture, with the means of 2 x 2 of their chroma.

    Bit-exact with `models.image.jpeg_planes.subsample`: ``(sum + 1 + column % 2) >> 2``, an odd
    last row or column with itself.  Takes a pixel a cycle; all writes come one cycle later, and the
    row that they complete together with its last one.

    A picture that finds the buffer full, or is smaller than its region, or is aborted, is dropped:
    nothing more of it is written, and if rows of it have been given, a ``broken`` one follows.

    Members
    -------
    enable : In(1)
        Looked at with the first pixel of a picture: encode it.
    abort : In(1)
        Forget the picture in progress; the next pixel is the first of one.
    settings : In(JpegSettings)
    i : In(pixel_stream(ycbcr_pixel()))
        Whole pictures.
    read_rows : In(3)
        Count of MCU rows that the reader has done with.
    write_luma, write_chroma : Out(1)
    write : Out(LineWrite)
        A sample of luma; a sample of each chroma.
    row_valid : Out(1)
    row : Out(McuRow)
        Of all that is written.
    dropped : Out(1)
        Pulse: a picture did not fit into the buffer, or ended within its region.
    """

    enable: In(1)
    abort: In(1)
    settings: In(JpegSettings)
    i: In(pixel_stream(ycbcr_pixel()))
    read_rows: In(ROW_COUNT_BITS)
    write_luma: Out(1)
    write_chroma: Out(1)
    write: Out(LineWrite)
    row_valid: Out(1)
    row: Out(McuRow)
    dropped: Out(1)

    def elaborate(self, platform):
        """Build the counters, the line of sums and the account of free lines."""
        m = Module()
        settings, pixel = self.settings, self.i.p
        column, row = Signal(range(MAX_WIDTH)), Signal(range(MAX_HEIGHT))
        take = Signal()
        m.d.comb += take.eq(self.i.valid & ~self.abort)
        with m.If(take):
            m.d.sync += column.eq(column + 1)
            with m.If(pixel.last_column):
                m.d.sync += [column.eq(0), row.eq(Mux(pixel.last_row, 0, row + 1))]
        with m.If(self.abort):
            m.d.sync += [column.eq(0), row.eq(0)]

        # Place in the region, and in its row of MCUs.
        x, y = Signal(range(MAX_WIDTH)), Signal(range(MAX_HEIGHT))
        on, active, inside = Signal(), Signal(), Signal()
        last_x, last_y, last_line = Signal(), Signal(), Signal()
        pair = Signal(range(8))
        m.d.comb += [
            x.eq(column - settings.left),
            y.eq(row - settings.top),
            active.eq(Mux((column == 0) & (row == 0), self.enable, on)),
            inside.eq(
                take
                & active
                & (column >= settings.left)
                & (row >= settings.top)
                & (x < settings.width)  # below the region the picture is no longer active
            ),
            last_x.eq(x == settings.width - 1),
            last_y.eq(y == settings.height - 1),
            last_line.eq(Mux(settings.grey, y[:3].all(), y[:4].all())),
            pair.eq(Mux(settings.grey, y[1:3], y[1:4])),
        ]

        # Lines in use: those of complete rows, and the pairs of this one.
        given_rows, waiting = Signal(ROW_COUNT_BITS), Signal(ROW_COUNT_BITS)
        base, place = Signal(range(LINE_PAIRS)), Signal(range(LINE_PAIRS))
        used = Signal(range(8 * 8 + 8))
        overflow, cut, complete, broke, any_given = (Signal() for _ in range(5))
        ends = inside & last_x & last_y
        m.d.comb += [
            waiting.eq(given_rows - self.read_rows),
            used.eq(Mux(settings.grey, waiting << 2, waiting << 3) + pair),
            place.eq(wrapped(base + pair)),
            overflow.eq(inside & (used >= LINE_PAIRS)),
            cut.eq(take & active & pixel.last_column & pixel.last_row & ~ends),
            complete.eq(inside & ~overflow & ~cut & last_x & (last_y | last_line)),
            broke.eq((self.abort & on) | overflow | cut),
        ]
        with m.If(take):
            m.d.sync += on.eq(active)
        with m.If(complete):
            m.d.sync += [
                given_rows.eq(given_rows + 1),
                base.eq(wrapped(base + Mux(settings.grey, 4, 8))),
                any_given.eq(~last_y),
            ]
            with m.If(last_y):
                m.d.sync += on.eq(0)
        with m.If(broke):
            m.d.sync += [on.eq(0), any_given.eq(0)]
        m.d.sync += [
            self.dropped.eq(overflow | cut),
            self.row_valid.eq(complete | (broke & any_given)),
            self.row.broken.eq(broke),
            self.row.last.eq(last_y),
            Assert(waiting <= MAX_ROWS, "a row was given without room for it"),
            Assert(~(complete & broke), "a broken picture gives a row"),
        ]

        # Sums of two pixels wait in a line of their own for those below them.
        m.submodules.sums = sums = Memory(
            shape=unsigned(2 * SUM_BITS), depth=MAX_WIDTH // 2, init=[]
        )
        sums_write = sums.write_port()
        sums_read = sums.read_port(transparent_for=[sums_write])
        pair_done, below, upper_only = Signal(), Signal(), Signal()
        halves = [(pixel.cb, self.write.cb), (pixel.cr, self.write.cr)]
        across = [Signal(SUM_BITS, name=f"across_{n}") for n in range(2)]
        held = [Signal(BYTE_BITS, name=f"held_{n}") for n in range(2)]
        m.d.comb += [sums_read.addr.eq(x >> 1), sums_write.data.eq(Cat(across))]
        m.d.comb += sums_write.addr.eq(self.write.column >> 1)
        m.d.comb += sums_write.en.eq(pair_done & ~below & ~upper_only)
        for n, (chroma, mean) in enumerate(halves):
            with m.If(take):
                m.d.sync += [
                    held[n].eq(chroma),
                    across[n].eq(chroma + Mux(x[0], held[n], chroma)),
                ]
            above = sums_read.data.word_select(n, SUM_BITS)
            total = across[n] + Mux(below, above, across[n])
            m.d.comb += mean.eq((total + 1 + self.write.column[1]) >> 2)

        m.d.sync += [
            self.write_luma.eq(inside & ~overflow),
            self.write.column.eq(x),
            self.write.pair.eq(place),
            self.write.lower.eq(y[0]),
            self.write.y.eq(pixel.y),
            pair_done.eq(inside & ~overflow & ~settings.grey & (x[0] | last_x)),
            below.eq(y[0]),
            upper_only.eq(last_y & ~y[0]),
        ]
        m.d.comb += self.write_chroma.eq(pair_done & (below | upper_only))
        return m


def wrapped(pairs):
    """``pairs`` modulo those of the buffer, of which it is less than twice as many."""
    return Mux(pairs >= LINE_PAIRS, pairs - LINE_PAIRS, pairs)
