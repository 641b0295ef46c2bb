"""JPEG encoder: pictures in, complete files out."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.audio.table import TablePort
from hdl.image.jpeg_blocks import BlockReader
from hdl.image.jpeg_bytes import FileWriter, WordJoiner
from hdl.image.jpeg_codes import CODE_ROWS, CodePacker, HuffmanCode
from hdl.image.jpeg_dct import ForwardDct
from hdl.image.jpeg_lines import JpegLines
from hdl.image.jpeg_quantiser import TABLES, JpegQuantiser, Reciprocal
from hdl.image.jpeg_runs import RunCoder
from hdl.image.jpeg_words import (
    BLOCK_SAMPLES,
    HEADER_WORDS,
    WORD_BYTES,
    JpegSettings,
    file_word,
)
from hdl.image.pixels import BYTE_BITS, pixel_stream, ycbcr_pixel

__all__ = ["JpegEncoder", "JpegSettings"]


class JpegEncoder(wiring.Component):
    """Encode pictures, or a region of each, as baseline JPEG files, grey or 4:2:0.

    Bit-exact with `models.image.jpeg.encode`.  64 cycles of ``sync`` a block: 1 a pixel grey, 1.5
    in colour, so that ``sync`` must be at least twice as fast as pixels come.  Pixels come in
    domain ``pixel`` and nothing stops them; the file does wait for its reader.  A picture that
    the line buffer has no room for, because the file is read too slowly or because small pictures
    follow each other at once, is dropped.

    Registers and tables may change while the encoder is ``idle`` and no picture is coming in.

    Parameters
    ----------
    pixel_domain : str
        What is called ``pixel`` here; ``sync`` if pixels come on the encoder's own clock.

    Members
    -------
    enable : In(1)
        Domain ``pixel``.  Looked at with a picture's first pixel: encode it.
    abort : In(1)
        Domain ``pixel``.  The picture in progress will not be complete; the next pixel is the
        first of another.
    i : In(pixel_stream(ycbcr_pixel()))
        Domain ``pixel``.  Whole pictures.
    dropped : Out(1)
        Domain ``pixel``.  Pulse: a picture was dropped because the buffer was full, or ended
        before its region did.  If its file has begun, it ends with ``bad``.
    settings : In(JpegSettings)
    header : In(TablePort(256, unsigned(32)))
        Of `FileWriter`.
    quantisers : In(TablePort(128, Reciprocal))
        Of `JpegQuantiser`.
    codes : In(TablePort(512, HuffmanCode))
        Of `CodePacker`.
    o : Out(stream.Signature(file_word()))
        Files, one after the other.
    done, failed : Out(1)
        Pulse: a file's last word leaves in this cycle, and is good, or ``bad``.
    idle : Out(1)
        Neither rows nor files are on their way.
    """

    enable: In(1)
    abort: In(1)
    i: In(pixel_stream(ycbcr_pixel()))
    dropped: Out(1)
    settings: In(JpegSettings)
    header: In(TablePort(HEADER_WORDS, unsigned(WORD_BYTES * BYTE_BITS)))
    quantisers: In(TablePort(TABLES * BLOCK_SAMPLES, Reciprocal))
    codes: In(TablePort(CODE_ROWS, HuffmanCode))
    o: Out(stream.Signature(file_word()))
    done: Out(1)
    failed: Out(1)
    idle: Out(1)

    def __init__(self, pixel_domain: str = "pixel"):
        self.pixel_domain = pixel_domain
        super().__init__()

    def elaborate(self, platform):
        """Connect the stages."""
        m = Module()
        m.submodules.lines = lines = JpegLines(self.pixel_domain)
        m.submodules.reader = reader = BlockReader(RunCoder.BLOCKS, JpegLines.LATENCY)
        m.submodules.dct = dct = ForwardDct()
        m.submodules.quantiser = quantiser = JpegQuantiser()
        m.submodules.runs = runs = RunCoder()
        m.submodules.packer = packer = CodePacker()
        m.submodules.writer = writer = FileWriter()
        m.submodules.joiner = joiner = WordJoiner()

        connect(m, flipped(self.i), lines.i)
        connect(m, lines.rows, reader.rows)
        connect(m, reader.o, dct.i)
        connect(m, dct.o, quantiser.i)
        connect(m, quantiser.o, runs.i)
        connect(m, runs.o, packer.i)
        connect(m, packer.o, writer.i)
        connect(m, writer.o, joiner.i)
        connect(m, joiner.o, flipped(self.o))
        connect(m, flipped(self.header), writer.table)
        connect(m, flipped(self.quantisers), quantiser.table)
        connect(m, flipped(self.codes), packer.table)
        m.d.comb += [
            lines.enable.eq(self.enable),
            lines.abort.eq(self.abort),
            self.dropped.eq(lines.dropped),
            lines.settings.eq(self.settings),
            reader.settings.eq(self.settings),
            writer.settings.eq(self.settings),
            lines.address.eq(reader.address),
            reader.sample.eq(lines.sample),
            reader.released.eq(runs.released),
            runs.go.eq(packer.go),
        ]

        # A file begins with its picture's first row.
        row, fresh = lines.rows, Signal(init=1)
        ends = self.o.valid & self.o.ready & self.o.p.last
        with m.If(row.valid):
            m.d.sync += fresh.eq(row.ready & (row.p.last | row.p.broken))
        m.d.comb += [
            writer.begin.eq(row.valid & fresh),
            self.done.eq(ends & ~self.o.p.bad),
            self.failed.eq(ends & self.o.p.bad),
            self.idle.eq(~row.valid & writer.idle & joiner.idle),
        ]
        return m
