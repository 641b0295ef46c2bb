"""Change detection: blocks of the down-scaled luma against a kept reference."""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.image.block_sums import (
    BLOCK_BITS,
    BLOCK_COLUMNS,
    BLOCK_ROWS,
    FEATURES,
    STATISTIC_BITS,
    BlockSums,
)
from hdl.image.colour import luma_pixel
from hdl.image.delay import delays
from hdl.image.pixels import pixel_stream
from hdl.image.stage import select_frames

__all__ = ["BLOCKS", "ChangeDetector", "ChangeResult", "ChangeSettings"]

BLOCKS = BLOCK_COLUMNS * BLOCK_ROWS
REFERENCE_FRACTION_BITS = 8
REFERENCE_BITS = STATISTIC_BITS + REFERENCE_FRACTION_BITS
MAX_SHIFT = 8
COUNT_BITS = 11


class ChangeSettings(data.Struct):
    """What firmware sets; `models.image.change.ChangeSettings` says what it means."""

    block_bits: BLOCK_BITS
    mean_threshold: unsigned(STATISTIC_BITS)
    activity_threshold: unsigned(STATISTIC_BITS)
    count: unsigned(COUNT_BITS)
    shift: range(MAX_SHIFT + 1)


class ChangeResult(data.Struct):
    """What a frame gave: how many blocks have changed, and the rectangle around them."""

    count: unsigned(COUNT_BITS)
    top: range(BLOCK_ROWS)
    """First and last row and column of changed blocks; they mean nothing if ``count`` is 0."""
    left: range(BLOCK_COLUMNS)
    bottom: range(BLOCK_ROWS)
    right: range(BLOCK_COLUMNS)


class ChangeDetector(wiring.Component):
    """Compare each frame's blocks with the reference, which follows them slowly.

    Bit-exact with `models.image.change.ChangeDetector`.  Keeps the reference, 1200 x 40 bits, a row
    of sums, 40 x 36 bits, and two maps, 30 x 40 bits each: one is read while the other is made.
    Multipliers: none.

    Members
    -------
    settings : In(ChangeSettings)
        May change while no frame is in progress; ``block_bits`` as well as the frame's size need a
        ``restart`` then.
    enable : In(1)
        Compare frames that begin while it is high.
    restart : In(1)
        Forget the reference: the next complete frame becomes it.
    hold : In(1)
        Frames that end while it is high leave map and result as they are; all else goes on.
    i : In(stream of luma_pixel(), always ready)
        At most 320 x 240.  Lines begin at least three clocks apart, and so many pass between the
        end of a frame and that of the next one's first block: all this holds behind the scaler.
    abort : In(1)
        Forget the frame in progress, and a pixel in this clock.  Blocks that were complete have
        moved the reference.
    done : Out(1)
        A frame was complete `LATENCY` clocks ago.
    wake : Out(1)
        With ``done``: as many of its blocks have changed as it takes.
    result : Out(ChangeResult)
        Of the last complete frame, new with ``done``.
    map_row : In(range(30))
        Row of blocks to look at.
    map : Out(40)
        Changed blocks of the row that was asked for one clock before, of the frame of ``result``;
        bit 0 is on the left.
    """

    LATENCY = BlockSums.LATENCY + 4

    settings: In(ChangeSettings)
    enable: In(1)
    restart: In(1)
    hold: In(1)
    i: In(pixel_stream(luma_pixel()))
    abort: In(1)
    done: Out(1)
    wake: Out(1)
    result: Out(ChangeResult)
    map_row: In(range(BLOCK_ROWS))
    map: Out(BLOCK_COLUMNS)

    def elaborate(self, platform):
        """Build the comparison; a number in a name counts clocks from a block's statistics."""
        m = Module()
        m.submodules.sums = sums = BlockSums()
        m.d.comb += [
            sums.block_bits.eq(self.settings.block_bits),
            sums.i.valid.eq(select_frames(m, self.i, self.abort, self.enable)),
            sums.i.payload.eq(self.i.payload),
            sums.abort.eq(self.abort),
        ]
        block, valid, abort = sums.o.p, sums.o.valid, sums.aborted
        ends = valid & block.last_column & block.last_row
        begun, index = Signal(), Signal(range(BLOCKS))
        with m.If(valid):
            m.d.sync += [begun.eq(1), index.eq(index + 1)]
        with m.If(ends | abort):
            m.d.sync += [begun.eq(0), index.eq(0)]

        known, void, compares_1 = Signal(), Signal(), Signal()
        block_1, _, block_3 = delays(m, block, 3)
        valid_3, abort_3 = delays(m, valid, 3)[-1], delays(m, abort, 3)[-1]
        under_way = delays(m, ends, 3)
        ends_3 = under_way[-1]
        with m.If(valid & ~begun):
            # A reference that was forgotten since does not count, whatever this frame brings.
            m.d.sync += [compares_1.eq(known & ~self.restart), void.eq(0)]
        with m.If(ends_3 & ~void):
            m.d.sync += known.eq(1)
        with m.If(self.restart):
            m.d.sync += [known.eq(0), void.eq(1)]

        far_3 = self.compare(m, index, valid, block_1, compares_1)
        self.collect(m, block_3, valid_3, abort_3, ends_3, far_3)
        m.d.sync += [
            Assert(~(valid & ~begun & Cat(under_way).any()), "frames are too short"),
            Assert(~valid | (index < BLOCKS), "a block beyond the reference"),
        ]
        return m

    def compare(self, m: Module, index, valid, block_1, compares_1):
        """Clock 0 to 3: read the reference, compare with it, move and write it."""
        m.submodules.reference = reference = Memory(
            shape=unsigned(REFERENCE_BITS * len(FEATURES)), depth=BLOCKS, init=[]
        )
        read, write = reference.read_port(), reference.write_port()
        valid_1, valid_2, valid_3 = delays(m, valid, 3)
        index_3 = delays(m, index, 3)[-1]
        far, moved = [], []
        for number, name in enumerate(FEATURES):
            kept = read.data[REFERENCE_BITS * number :][:REFERENCE_BITS]
            start, difference, far_3, moved_3 = (
                Signal(REFERENCE_BITS, name=f"{name}_start"),
                Signal(signed(REFERENCE_BITS + 1), name=f"{name}_difference"),
                Signal(name=f"{name}_far"),
                Signal(REFERENCE_BITS, name=f"{name}_moved"),
            )
            with m.If(valid_1):
                current = block_1[name] << REFERENCE_FRACTION_BITS
                m.d.sync += [
                    start.eq(Mux(compares_1, kept, current)),
                    difference.eq(Mux(compares_1, current - kept, 0)),
                ]
            with m.If(valid_2):
                threshold = self.settings[f"{name}_threshold"] << REFERENCE_FRACTION_BITS
                m.d.sync += [
                    far_3.eq(abs(difference) > threshold),
                    moved_3.eq(start + (difference >> self.settings.shift)),
                ]
            far.append(far_3)
            moved.append(moved_3)
        m.d.comb += [
            read.addr.eq(index),
            read.en.eq(valid),
            write.addr.eq(index_3),
            write.en.eq(valid_3),
            write.data.eq(Cat(moved)),
        ]
        return Cat(far).any()

    def collect(self, m: Module, block, valid, abort, ends, far) -> None:
        """Clock 3: the map's rows, the count and the rectangle; the result at the frame's end."""
        m.submodules.maps = maps = Memory(
            shape=unsigned(BLOCK_COLUMNS), depth=2 * BLOCK_ROWS, init=[]
        )
        read, write = maps.read_port(), maps.write_port()
        shown, row = Signal(), Signal(range(BLOCK_ROWS))
        kept_row, this_row = Signal(BLOCK_COLUMNS), Signal(BLOCK_COLUMNS)
        total, new = Signal(ChangeResult), Signal(ChangeResult)
        shown_at, made_at = Mux(shown, BLOCK_ROWS, 0), Mux(shown, 0, BLOCK_ROWS)
        none = total.count == 0
        m.d.comb += [
            this_row.eq(kept_row | (far << block.column)),
            read.addr.eq(self.map_row + shown_at),
            self.map.eq(read.data),
            write.addr.eq(row + made_at),
            write.data.eq(this_row),
            write.en.eq(valid & block.last_column),
            new.eq(total),
        ]
        with m.If(far):
            m.d.comb += [
                new.count.eq(total.count + 1),
                new.top.eq(Mux(none, row, total.top)),
                new.left.eq(Mux(none | (block.column < total.left), block.column, total.left)),
                new.bottom.eq(row),
                new.right.eq(Mux(none | (block.column > total.right), block.column, total.right)),
            ]
        with m.If(valid):
            m.d.sync += [total.eq(new), kept_row.eq(this_row)]
            with m.If(block.last_column):
                m.d.sync += [kept_row.eq(0), row.eq(row + 1)]
        with m.If(ends | abort):
            m.d.sync += [total.eq(0), kept_row.eq(0), row.eq(0)]
        m.d.sync += [
            self.done.eq(ends),
            self.wake.eq(ends & (new.count >= self.settings.count)),
        ]
        with m.If(ends & ~self.hold):
            m.d.sync += [self.result.eq(new), shown.eq(~shown)]
        changed = self.result.count != 0
        m.d.sync += [
            Assert(~self.wake | self.done, "woken by no frame"),
            Assert(~changed | (self.result.top <= self.result.bottom), "a box upside down"),
            Assert(~changed | (self.result.left <= self.result.right), "a box inside out"),
            Assert(~valid | (row < BLOCK_ROWS), "a row beyond the map"),
        ]
