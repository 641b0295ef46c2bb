"""Where the elements of a vector job lie: two ways to walk a tensor."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.config import ACT_BANKS, ChipConfig
from hdl.engine.vector_descriptor import SOURCE_LEVELS, Axis, Level, Place

__all__ = ["ADDRESS", "LevelWalk", "RasterWalk", "Spot"]

ADDRESS = unsigned(16)
"""Of a word, as in the descriptors: it wraps, and must lie within the memory when it is used."""

COORDINATE = signed(15)
"""Row, column or channel."""

BANK_BITS = exact_log2(ACT_BANKS)


class Spot(data.StructLayout):
    """The word of an element, of int16 the one with the low bytes, and its byte there."""

    def __init__(self, config: ChipConfig):
        super().__init__(
            {
                "bank": unsigned(BANK_BITS),
                "address": ADDRESS,
                "byte": unsigned(exact_log2(config.rows)),
            }
        )


class LevelWalk(wiring.Component):
    """Three nested counters, each of which moves one coordinate by a signed step a turn.

    After the outermost counter's last turn it begins again.  Two stages: counters and offsets, then
    the products of coordinates and words.

    Members
    -------
    load : In(1)
        Back to the first element.
    place : In(Place)
    levels : In
        Both from the job; must not change while it runs.
    advance : In(1)
        Moves both stages.
    spot : Out(Spot)
        The element that the counters showed before the latest `advance`.
    borrow : In(1)
        The row multiplier works for somebody else in this cycle; not together with `advance`.
    borrow_row0, borrow_row_words : In
        A tensor.
    borrowed : Out(ADDRESS)
        In the next cycle: words before the tensor's first row.
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        place = Place.as_shape()
        super().__init__(
            {
                "load": In(1),
                "place": In(Place),
                "levels": In(data.ArrayLayout(Level, SOURCE_LEVELS)),
                "advance": In(1),
                "spot": Out(Spot(config)),
                "borrow": In(1),
                "borrow_row0": In(place["row0"].shape),
                "borrow_row_words": In(place["row_words"].shape),
                "borrowed": Out(ADDRESS),
            }
        )

    def elaborate(self, platform):
        """Build the counters, then the products."""
        m = Module()
        place, byte_bits = self.place, exact_log2(self.config.rows)

        # --- counters: the innermost that is not at its end moves, those inside of it return -----
        turns = [
            Signal(level.last.shape(), name=f"turn_{i}") for i, level in enumerate(self.levels)
        ]
        offsets = [Signal(COORDINATE, name=f"offset_{i}") for i in range(SOURCE_LEVELS)]
        with m.If(self.load):
            m.d.sync += [counter.eq(0) for counter in (*turns, *offsets)]
        with m.Elif(self.advance):
            inner_end = 1
            for level, turn, offset in zip(self.levels, turns, offsets, strict=True):
                end = turn == level.last
                with m.If(inner_end):
                    m.d.sync += [
                        turn.eq(Mux(end, 0, turn + 1)),
                        offset.eq(Mux(end, 0, offset + level.step)),
                    ]
                inner_end = inner_end & end

        def along(axis: Axis):
            return sum(
                Mux(level.axis == axis, offset, 0)
                for level, offset in zip(self.levels, offsets, strict=True)
            )

        row, column, channel = (Signal(COORDINATE, name=axis.name.lower()) for axis in Axis)
        m.d.comb += [
            row.eq(place.row0 + along(Axis.ROW)),
            column.eq(along(Axis.COLUMN)),
            channel.eq(place.channel + along(Axis.CHANNEL)),
        ]

        # --- products -----------------------------------------------------------------------------
        slot, row_words = Signal(COORDINATE), Signal.like(place.row_words)
        row_part, column_part, block = Signal(ADDRESS), Signal(ADDRESS), Signal(COORDINATE)
        m.d.comb += [
            slot.eq(Mux(self.borrow, self.borrow_row0, row) >> BANK_BITS),
            row_words.eq(Mux(self.borrow, self.borrow_row_words, place.row_words)),
            self.borrowed.eq(row_part),
            self.spot.address.eq(place.base + row_part + column_part + (block << place.wide)),
        ]
        with m.If(self.advance | self.borrow):
            m.d.sync += row_part.eq(slot * row_words)
        with m.If(self.advance):
            m.d.sync += [
                column_part.eq(column * place.pixel_words),
                block.eq(channel >> byte_bits),
                self.spot.bank.eq(row),
                self.spot.byte.eq(channel),
            ]
        return m


class RasterWalk(wiring.Component):
    """Rows, columns, channels in order: additions only.

    Members
    -------
    load : In(1)
        To the first element.
    row_start : In(ADDRESS)
        With `load`: address of the first row, that is, base and the slots before it.
    place : In(Place)
    moves : In
        By `Axis`: the tensor has more than one element along it.
    h_last, w_last, c_last : In
        All from the job; must not change while it runs.
    advance : In(1)
        To the next element.
    spot : Out(Spot)
        The element.
    pixel_end : Out(1)
        It is the last channel of its pixel.
    last : Out(1)
        It is the last of all.
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        super().__init__(
            {
                "load": In(1),
                "row_start": In(ADDRESS),
                "place": In(Place),
                "moves": In(data.ArrayLayout(unsigned(1), len(Axis))),
                "h_last": In(12),
                "w_last": In(12),
                "c_last": In(13),
                "advance": In(1),
                "spot": Out(Spot(config)),
                "pixel_end": Out(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build the counters and the parts of the address."""
        m = Module()
        place, moves, byte_bits = self.place, self.moves, exact_log2(self.config.rows)
        y, x, c = Signal(12), Signal(12), Signal(13)
        phase = Signal(BANK_BITS)  # the row's bank
        row_start, column_part = Signal(ADDRESS), Signal(ADDRESS)
        channel, block = Signal(14), Signal(14)
        line_end = Signal()
        m.d.comb += [
            channel.eq(place.channel + Mux(moves[Axis.CHANNEL.value], c, 0)),
            block.eq(channel >> byte_bits),
            self.pixel_end.eq(c == self.c_last),
            line_end.eq(self.pixel_end & (x == self.w_last)),
            self.last.eq(line_end & (y == self.h_last)),
            self.spot.bank.eq(phase),
            self.spot.address.eq(row_start + column_part + (block << place.wide)),
            self.spot.byte.eq(channel),
        ]
        with m.If(self.load):
            m.d.sync += [
                y.eq(0), x.eq(0), c.eq(0),
                phase.eq(place.row0), row_start.eq(self.row_start), column_part.eq(0),
            ]  # fmt: skip
        with m.Elif(self.advance):
            m.d.sync += c.eq(Mux(self.pixel_end, 0, c + 1))
            with m.If(line_end):
                m.d.sync += [x.eq(0), y.eq(y + 1), column_part.eq(0)]
                with m.If(moves[Axis.ROW.value]):
                    m.d.sync += phase.eq(phase + 1)
                    with m.If(phase == ACT_BANKS - 1):
                        m.d.sync += row_start.eq(row_start + place.row_words)
            with m.Elif(self.pixel_end):
                m.d.sync += x.eq(x + 1)
                with m.If(moves[Axis.COLUMN.value]):
                    m.d.sync += column_part.eq(column_part + place.pixel_words)
        return m
