"""Samples of the JPEG encoder's blocks, in the order of the file."""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.image.jpeg_words import (
    BLOCK_SAMPLES,
    LINE_PAIRS,
    BlockTag,
    End,
    JpegSettings,
    McuRow,
    SampleAddress,
    tagged,
)
from hdl.image.pixels import BYTE_BITS, MAX_HEIGHT, MAX_WIDTH

__all__ = ["BlockReader"]

CENTRE = 128


class BlockReader(wiring.Component):
    """Read each row of MCUs block by block, a sample a cycle without a pause.

    In the order of `models.image.jpeg_planes.mcu_blocks`; what reaches over an edge repeats the
    last sample of its plane, which is an address that stops counting.  A block is begun only if
    fewer than ``blocks`` have been begun and not been ``released``: nothing behind needs to wait.
    A broken picture ends with one block more, which is outside.

    Parameters
    ----------
    blocks : int
        Room behind.
    latency : int
        Cycles from ``address`` to its ``sample``.

    Members
    -------
    settings : In(JpegSettings)
    rows : In(stream.Signature(McuRow))
        Rows in the line buffer; taken with their last sample.
    address : Out(SampleAddress)
    sample : In(8)
    released : In(1)
        A block has left.
    o : Out(tagged(signed(8)))
        Samples less 128.
    """

    def __init__(self, blocks: int, latency: int):
        self.blocks, self.latency = blocks, latency
        super().__init__(
            {
                "settings": In(JpegSettings),
                "rows": In(stream.Signature(McuRow)),
                "address": Out(SampleAddress),
                "sample": In(BYTE_BITS),
                "released": In(1),
                "o": Out(tagged(signed(BYTE_BITS))),
            }
        )

    def elaborate(self, platform):
        """Build the counters of samples, blocks, MCUs and lines."""
        m = Module()
        settings, address = self.settings, self.address
        grey, broken = settings.grey, self.rows.p.broken
        sample, block = Signal(range(BLOCK_SAMPLES)), Signal(range(6))
        left, above = Signal(range(MAX_WIDTH + 16)), Signal(range(MAX_HEIGHT + 16))
        base = Signal(range(LINE_PAIRS))

        started = Signal(range(self.blocks + 1))
        begin, step, last_sample = Signal(), Signal(), Signal()
        m.d.comb += [
            begin.eq(self.rows.valid & (sample == 0) & (started != self.blocks)),
            step.eq(begin | (sample != 0)),
            last_sample.eq(sample.all()),
        ]
        m.d.sync += [
            started.eq(started + begin - self.released),
            Assert(~self.released | (started != 0), "a block leaves that never came"),
            Assert(self.rows.valid | (sample == 0), "a row vanishes"),
        ]

        # Where the block is: of luma four, upper two first, or one of grey.
        is_chroma = block[2] & ~grey
        right, lower = block[0], block[1]
        side = Mux(grey, 8, 16)
        column, line = Signal(range(MAX_WIDTH + 16)), Signal(range(16))
        last_column, last_line = Signal(range(MAX_WIDTH)), Signal(range(MAX_HEIGHT))
        lines_left = Signal(range(MAX_HEIGHT + 1))
        outside = Signal()
        m.d.comb += [
            lines_left.eq(settings.height - above),
            column.eq(Mux(is_chroma, left >> 1, left + (right << 3)) + sample[:3]),
            line.eq(Cat(sample[3:], lower & ~is_chroma)),
            last_column.eq((settings.width - 1) >> is_chroma),
            last_line.eq((lines_left - 1) >> is_chroma),
            outside.eq(
                broken
                | (~is_chroma & (left + (right << 3) >= settings.width))
                | (~is_chroma & lower & (lines_left <= 8))
            ),
        ]
        clipped = Mux(line > last_line, last_line, line)[:4]
        pair = Signal(range(LINE_PAIRS + 8))
        m.d.comb += [
            pair.eq(base + Mux(is_chroma, clipped, clipped >> 1)),
            address.component.eq(Mux(is_chroma, Cat(~right, right), 0)),
            address.column.eq(Mux(column > last_column, last_column, column)),
            address.pair.eq(Mux(pair >= LINE_PAIRS, pair - LINE_PAIRS, pair)),
            address.lower.eq(clipped[0]),
        ]

        # Where the MCU is, and what follows its last block.
        interval = Signal.like(settings.restart_interval)
        last_block, last_mcu, row_ends = Signal(), Signal(), Signal()
        following_base = Signal(range(LINE_PAIRS + 8))
        end = Signal(End)
        m.d.comb += [
            last_block.eq(grey | broken | (block == 5)),
            last_mcu.eq(broken | (left + side >= settings.width)),
            row_ends.eq(step & last_sample & last_block & last_mcu),
            following_base.eq(base + (side >> 1)),
            self.rows.ready.eq(row_ends),
        ]
        with m.If(broken):
            m.d.comb += end.eq(End.BROKEN)
        with m.Elif(last_block & last_mcu & self.rows.p.last):
            m.d.comb += end.eq(End.LAST)
        with m.Elif(last_block & (interval + 1 == settings.restart_interval)):
            m.d.comb += end.eq(End.RESTART)

        with m.If(step):
            m.d.sync += sample.eq(sample + 1)
            with m.If(last_sample):
                m.d.sync += block.eq(block + 1)
                with m.If(last_block):
                    m.d.sync += [block.eq(0), left.eq(left + side), interval.eq(interval + 1)]
                    with m.If(end != End.NONE):
                        m.d.sync += interval.eq(0)
        with m.If(row_ends):
            m.d.sync += [left.eq(0), above.eq(above + side)]
            with m.If(broken | self.rows.p.last):
                m.d.sync += above.eq(0)
            with m.If(~broken):
                m.d.sync += base.eq(
                    Mux(following_base >= LINE_PAIRS, following_base - LINE_PAIRS, following_base)
                )

        # The tag waits for the sample.
        valid, tag = step, Cat(address.component, outside, end)
        for _ in range(self.latency):
            later_valid, later_tag = Signal(), Signal(BlockTag)
            m.d.sync += [later_valid.eq(valid), later_tag.as_value().eq(tag)]
            valid, tag = later_valid, later_tag.as_value()
        m.d.comb += [
            self.o.valid.eq(valid),
            self.o.p.tag.as_value().eq(tag),
            self.o.p.value.eq(self.sample - CENTRE),
        ]
        return m
