"""Scaler: a rectangle of the picture, averaged down to any smaller size."""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.image.colour import COLOURS
from hdl.image.delay import delays
from hdl.image.overlap import Overlap
from hdl.image.pixels import BYTE_BITS, MAX_HEIGHT, MAX_WIDTH, pixel_stream, rgb_pixel

__all__ = ["MAX_OUTPUT_HEIGHT", "MAX_OUTPUT_WIDTH", "Scaler", "Scaling"]

MAX_OUTPUT_WIDTH, MAX_OUTPUT_HEIGHT = 320, 240
ROW_SUM_BITS = 19
"""255 of each of 1280 pixels."""
SUM_BITS = 29
"""255 of each of 1280 x 1024 pixels."""
MANTISSA_BITS = 18
LEAST_SHIFT, MOST_SHIFT = 17, 37


class Scaling(data.Struct):
    """What is averaged down, and to what size.

    Attributes
    ----------
    left, top : range
        First column and row of the rectangle.
    source_width, source_height : range
        Its size, within the frame.
    width, height : range
        The output's, at least 1 and at most the rectangle's.
    mantissa, shift : unsigned
        Reciprocal of the rectangle's area, see `models.image.scaler.reciprocal`; 17 to 37.
    """

    left: range(MAX_WIDTH)
    top: range(MAX_HEIGHT)
    source_width: range(MAX_WIDTH + 1)
    source_height: range(MAX_HEIGHT + 1)
    width: range(MAX_OUTPUT_WIDTH + 1)
    height: range(MAX_OUTPUT_HEIGHT + 1)
    mantissa: unsigned(MANTISSA_BITS)
    shift: range(MOST_SHIFT + 1)


class RowOverlap(data.Struct):
    """The row's `Overlap`, which all of its pixels share."""

    ends: unsigned(1)
    part: range(MAX_OUTPUT_HEIGHT + 1)
    rest: range(MAX_OUTPUT_HEIGHT + 1)
    first: unsigned(1)
    """No row has been summed before."""
    last: unsigned(1)
    """It ends the last row of the output."""


class Scaler(wiring.Component):
    """Average a rectangle down to at most 320 x 240.

    Bit-exact with `models.image.scaler.scale_down`.  Keeps one row of sums, 320 x 3 x 29 bits.
    Multipliers: six of 8 x 9 (a pixel's part for the output in progress, and its rest for the next
    one), six of 19 x 8 (the same of a row), three of 29 x 18 (division by the area).

    Members
    -------
    scaling : In(Scaling)
        May change while no frame is in progress.
    abort, aborted : In(1), Out(1)
        Forget the frame in progress, here and behind; a pixel in the clock of ``abort`` as well.
    unfit : Out(1)
        With ``aborted``: a frame has ended before the output was complete, because ``scaling``
        does not fit it.
    i : In(stream of rgb_pixel(8), always ready)
        Frames of at least 4 columns.
    o : Out(stream of rgb_pixel(8), always ready)
        `LATENCY` clocks behind the last pixel that it averages; the last one, behind the frame's
        last pixel.
    """

    LATENCY = 8

    scaling: In(Scaling)
    abort: In(1)
    aborted: Out(1)
    unfit: Out(1)
    i: In(pixel_stream(rgb_pixel(BYTE_BITS)))
    o: Out(pixel_stream(rgb_pixel(BYTE_BITS)))

    def elaborate(self, platform):
        """Build the stages; a number in a name counts clocks from the input."""
        m = Module()
        abort_4 = delays(m, self.abort, 4)[-1]
        pixel_1, inside_1, first_column_1, first_row_1, end_1 = self.cut_out(m)
        end_4 = delays(m, end_1, 3)[-1]

        row_sums_3, column_3, valid_3, row_3 = self.sum_columns(
            m, pixel_1, inside_1, first_column_1, first_row_1
        )
        sums_5, valid_5, last_column_5, last_row_5 = self.sum_rows(
            m, row_sums_3, column_3, valid_3, row_3
        )

        # The output's last pixel stays in its register until the frame has ended, too: the rest of
        # the frame may still be found to be wrong.
        over, waits, complete_5 = Signal(), Signal(), Signal()
        (end_5,), (abort_5,) = delays(m, end_4, 1), delays(m, abort_4, 1)
        m.d.comb += [
            over.eq(valid_5 & last_column_5 & last_row_5),
            complete_5.eq((over | waits) & end_5),
        ]
        m.d.sync += waits.eq((waits | over) & ~end_5 & ~abort_5)
        unfit_5 = end_5 & ~complete_5
        m.d.comb += [
            self.unfit.eq(delays(m, unfit_5, 3)[-1]),
            self.aborted.eq(delays(m, unfit_5 | abort_5, 3)[-1]),
            self.o.valid.eq(delays(m, complete_5 | (valid_5 & ~over), 3)[-1]),
            self.o.p.last_column.eq(delays(m, complete_5 | last_column_5, 3)[-1]),
            self.o.p.last_row.eq(delays(m, complete_5 | last_row_5, 3)[-1]),
        ]
        for colour, total in zip(COLOURS, sums_5, strict=True):
            self.divide(m, colour, total)
        return m

    def cut_out(self, m: Module):
        """Clock 0 to 1: whether the pixel is in the rectangle, and where; the frame's end."""
        scaling, valid = self.scaling, self.i.valid & ~self.abort
        column, row = Signal(range(MAX_WIDTH)), Signal(range(MAX_HEIGHT))
        with m.If(valid):
            m.d.sync += column.eq(Mux(self.i.p.last_column, 0, column + 1))
            with m.If(self.i.p.last_column):
                m.d.sync += row.eq(Mux(self.i.p.last_row, 0, row + 1))
        with m.If(self.abort):
            m.d.sync += [column.eq(0), row.eq(0)]

        pixel, inside = Signal.like(self.i.payload), Signal()
        first_column, first_row, end = Signal(), Signal(), Signal()
        m.d.sync += [
            inside.eq(
                valid
                & (column >= scaling.left)
                & (column < scaling.left + scaling.source_width)
                & (row >= scaling.top)
                & (row < scaling.top + scaling.source_height)
            ),
            first_column.eq(column == scaling.left),
            first_row.eq(row == scaling.top),
            end.eq(valid & self.i.p.last_column & self.i.p.last_row),
        ]
        with m.If(valid):
            m.d.sync += pixel.eq(self.i.payload)
        return pixel, inside, first_column, first_row, end

    def sum_columns(self, m: Module, pixel_1, inside_1, first_column_1, first_row_1):
        """Clock 1 to 3: sums of each row, the column of the output, and the row's overlap."""
        scaling = self.scaling
        m.submodules.columns = columns = Overlap(MAX_WIDTH, MAX_OUTPUT_WIDTH)
        m.submodules.rows = rows = Overlap(MAX_HEIGHT, MAX_OUTPUT_HEIGHT)
        row_2 = Signal(RowOverlap)
        m.d.comb += [
            columns.source.eq(scaling.source_width),
            columns.outputs.eq(scaling.width),
            columns.step.eq(inside_1),
            columns.first.eq(first_column_1),
            rows.source.eq(scaling.source_height),
            rows.outputs.eq(scaling.height),
            rows.step.eq(inside_1 & first_column_1),
            rows.first.eq(first_row_1),
        ]
        with m.If(rows.step):
            m.d.sync += [
                row_2.ends.eq(rows.ends),
                row_2.part.eq(rows.part),
                row_2.rest.eq(rows.rest),
                row_2.first.eq(first_row_1),
                row_2.last.eq(rows.ends & (rows.index == scaling.height - 1)),
            ]
        (inside_2,), (first_2,) = delays(m, inside_1, 1), delays(m, first_column_1, 1)
        (ends_2,), (column_2,) = delays(m, columns.ends, 1), delays(m, columns.index, 1)
        row_sums = []
        for colour in COLOURS:
            product, rest = (
                Signal(BYTE_BITS + len(columns.part), name=f"{colour}_{name}")
                for name in ("part", "rest")
            )
            kept, total, row_sum = (
                Signal(ROW_SUM_BITS, name=f"{colour}_{name}")
                for name in ("kept", "total", "row_sum")
            )
            m.d.comb += total.eq(Mux(first_2, 0, kept) + product)
            with m.If(inside_1):
                m.d.sync += [
                    product.eq(pixel_1[colour] * columns.part),
                    rest.eq(pixel_1[colour] * columns.rest),
                ]
            with m.If(inside_2):
                m.d.sync += [kept.eq(Mux(ends_2, rest, total)), row_sum.eq(total)]
            row_sums.append(row_sum)
        (column_3,), (row_3,) = delays(m, column_2, 1), delays(m, row_2, 1)
        (valid_3,) = delays(m, inside_2 & ends_2, 1)
        return row_sums, column_3, valid_3, row_3

    def sum_rows(self, m: Module, row_sums_3, column_3, valid_3, row_3):
        """Clock 3 to 5: the kept row, and the sums of complete outputs."""
        m.submodules.kept = kept = Memory(
            shape=unsigned(SUM_BITS * len(COLOURS)), depth=MAX_OUTPUT_WIDTH, init=[]
        )
        read, write = kept.read_port(), kept.write_port()
        (column_4,), (valid_4,), (row_4,) = (
            delays(m, value, 1) for value in (column_3, valid_3, row_3)
        )
        sums, written = [], []
        for index, (colour, row_sum) in enumerate(zip(COLOURS, row_sums_3, strict=True)):
            product, rest = (
                Signal(ROW_SUM_BITS + len(row_3.part), name=f"{colour}_row_{name}")
                for name in ("part", "rest")
            )
            before, total, result = (
                Signal(SUM_BITS, name=f"{colour}_{name}") for name in ("before", "sum", "result")
            )
            with m.If(valid_3):
                m.d.sync += [product.eq(row_sum * row_3.part), rest.eq(row_sum * row_3.rest)]
            with m.If(valid_4):
                m.d.sync += result.eq(total)
            m.d.comb += [
                before.eq(read.data[SUM_BITS * index :]),
                total.eq(Mux(row_4.first, 0, before) + product),
            ]
            written.append(Mux(row_4.ends, rest, total)[:SUM_BITS])
            sums.append(result)
        m.d.comb += [
            read.addr.eq(column_3),
            read.en.eq(valid_3),
            write.addr.eq(column_4),
            write.en.eq(valid_4),
            write.data.eq(Cat(written)),
        ]
        m.d.sync += Assert(~(valid_3 & valid_4 & (column_3 == column_4)), "lines are too short")
        (valid_5,) = delays(m, valid_4 & row_4.ends, 1)
        (last_column_5,) = delays(m, column_4 == self.scaling.width - 1, 1)
        (last_row_5,) = delays(m, row_4.last, 1)
        return sums, valid_5, last_column_5, last_row_5

    def divide(self, m: Module, colour: str, total: Signal) -> None:
        """Clock 5 to 8: multiply by the area's reciprocal, and round half up."""
        product = Signal(SUM_BITS + MANTISSA_BITS, name=f"{colour}_product")
        twice = Signal(BYTE_BITS + 1, name=f"{colour}_twice")  # of the quotient
        value = Signal(BYTE_BITS, name=f"{colour}_value")
        places = Signal(range(MOST_SHIFT - LEAST_SHIFT + 1), name=f"{colour}_places")
        m.d.comb += [
            places.eq(self.scaling.shift - LEAST_SHIFT),
            self.o.p[colour].eq(value),
        ]
        m.d.sync += [
            product.eq(total * self.scaling.mantissa),
            twice.eq(product[LEAST_SHIFT - 1 :] >> places),
            value.eq((twice + 1) >> 1),
        ]
