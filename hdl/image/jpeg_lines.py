"""Line buffer of the JPEG encoder, written with the camera's clock and read with the encoder's."""

from amaranth.hdl import Assert, Cat, DomainRenamer, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.fifo import AsyncFIFO, SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.image.jpeg_subsample import ROW_COUNT_BITS, JpegSubsampler
from hdl.image.jpeg_words import LINE_PAIRS, JpegSettings, McuRow, SampleAddress
from hdl.image.pixels import BYTE_BITS, MAX_WIDTH, pixel_stream, ycbcr_pixel

__all__ = ["JpegLines"]

MESSAGES = 16
"""Rows and broken pictures on their way: at most `MAX_ROWS` rows, each of another picture at worst,
a broken one behind each of them, and one whose rows have been read."""


class JpegLines(wiring.Component):
    """Not quite two rows of MCUs, 8 bits a sample: 30 lines of luma, 15 of each chroma.

    A line is a place in all columns' groups, so that an address is ``column * 30 + line``.  Domain
    ``pixel`` writes, ``sync`` reads; what crosses are rows of MCUs, through a queue, and the count
    of those read, in Gray code.  Both domains are reset together.

    Parameters
    ----------
    pixel_domain : str
        What is called ``pixel`` here: with ``sync`` there is one clock, and nothing crosses.

    Members
    -------
    enable, abort, i, dropped
        Of `JpegSubsampler`, in domain ``pixel``.
    settings : In(JpegSettings)
        Constant from a picture's first pixel until its file has ended.
    rows : Out(stream.Signature(McuRow))
        Rows in the buffer; the transfer gives its lines back.
    address : In(SampleAddress)
    sample : Out(8)
        `LATENCY` cycles after its address.
    """

    LATENCY = 2

    enable: In(1)
    abort: In(1)
    settings: In(JpegSettings)
    i: In(pixel_stream(ycbcr_pixel()))
    dropped: Out(1)
    rows: Out(stream.Signature(McuRow))
    address: In(SampleAddress)
    sample: Out(BYTE_BITS)

    def __init__(self, pixel_domain: str = "pixel"):
        self.pixel_domain = pixel_domain
        super().__init__()

    def elaborate(self, platform):
        """Build the memories and both crossings."""
        m = Module()
        domain = self.pixel_domain
        luma = Memory(shape=unsigned(BYTE_BITS), depth=MAX_WIDTH * 2 * LINE_PAIRS, init=[])
        chroma = Memory(shape=unsigned(2 * BYTE_BITS), depth=MAX_WIDTH // 2 * LINE_PAIRS, init=[])
        m.submodules.luma, m.submodules.chroma = luma, chroma

        subsampler = JpegSubsampler()
        m.submodules.subsampler = DomainRenamer(domain)(subsampler)
        connect(m, flipped(self.i), subsampler.i)
        write = subsampler.write
        m.d.comb += [
            subsampler.enable.eq(self.enable),
            subsampler.abort.eq(self.abort),
            subsampler.settings.eq(self.settings),
            self.dropped.eq(subsampler.dropped),
        ]
        luma_write, chroma_write = (each.write_port(domain=domain) for each in (luma, chroma))
        m.d.comb += [
            luma_write.en.eq(subsampler.write_luma),
            luma_write.addr.eq(times_30(write.column) + Cat(write.lower, write.pair)),
            luma_write.data.eq(write.y),
            chroma_write.en.eq(subsampler.write_chroma),
            chroma_write.addr.eq((times_30(write.column >> 1) >> 1) + write.pair),
            chroma_write.data.eq(Cat(write.cb, write.cr)),
        ]

        luma_read, chroma_read = luma.read_port(), chroma.read_port()
        component = Signal.like(self.address.component)
        luma_address = Signal(range(luma.depth))
        chroma_address = Signal(range(chroma.depth))
        delayed = Signal.like(component)
        cb, cr = Signal(BYTE_BITS), Signal(BYTE_BITS)
        wide = times_30(self.address.column)
        m.d.sync += [
            luma_address.eq(wide + Cat(self.address.lower, self.address.pair)),
            chroma_address.eq((wide >> 1) + self.address.pair),
            component.eq(self.address.component),
            delayed.eq(component),
        ]
        m.d.comb += [
            luma_read.addr.eq(luma_address),
            chroma_read.addr.eq(chroma_address),
            cb.eq(chroma_read.data[:BYTE_BITS]),
            cr.eq(chroma_read.data[BYTE_BITS:]),
            self.sample.eq(Mux(delayed == 0, luma_read.data, Mux(delayed == 2, cr, cb))),
        ]

        # Behind a row come at least two cycles of `sync`: its samples have been written.
        width = data.Layout.cast(McuRow).size
        if domain == "sync":
            messages = SyncFIFOBuffered(width=width, depth=MESSAGES)
        else:
            messages = AsyncFIFO(width=width, depth=MESSAGES, r_domain="sync", w_domain=domain)
        m.submodules.messages = messages
        m.d.comb += [
            messages.w_en.eq(subsampler.row_valid),
            messages.w_data.eq(subsampler.row.as_value()),
            self.rows.valid.eq(messages.r_rdy),
            self.rows.payload.eq(messages.r_data),
            messages.r_en.eq(self.rows.ready),
        ]
        m.d[domain] += Assert(~subsampler.row_valid | messages.w_rdy, "a row is lost")

        count, gray, gray_pixel = (Signal(ROW_COUNT_BITS) for _ in range(3))
        following = Signal(ROW_COUNT_BITS)
        if domain == "sync":
            m.d.comb += gray_pixel.eq(gray)
        else:
            m.submodules.read_rows = FFSynchronizer(
                gray, gray_pixel, o_domain=domain, reset_less=False
            )
        m.d.comb += following.eq(count + 1)
        with m.If(self.rows.valid & self.rows.ready & ~self.rows.p.broken):
            m.d.sync += [count.eq(following), gray.eq(following ^ (following >> 1))]
        for bit in range(ROW_COUNT_BITS):
            m.d.comb += subsampler.read_rows[bit].eq(gray_pixel[bit:].xor())
        return m


def times_30(column):
    """``30 * column`` without a multiplier."""
    return (column << 5) - (column << 1)
