"""The image front end as the chip sees it: block, JPEG encoder, and what crosses two clocks."""

from amaranth.hdl import DomainRenamer, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.fifo import AsyncFIFO
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.image.gamma import KNOT_BITS, KNOTS
from hdl.image.image_block import PINS, ImageBlock
from hdl.image.jpeg import JpegEncoder
from hdl.image.pixels import MAX_WIDTH
from hdl.power.crossing import EventCrossing
from hdl.power.handshake import HandshakeSink, HandshakeSource

__all__ = ["ImageMode", "ImageStatus", "ImageSubsystem", "gamma_knot"]

FAULTS = ("short_line", "long_line", "few_lines", "missing_vsync", "bad_size")
REGISTERS = ("config", "size", "raw", "matrix", "tensor")
COUNTERS = ("good", "dropped")
CHANGE = ("change", "map_row", "map")
WORDS = 8
"""Depth of the FIFO: what a round trip of the pointers takes at full rate."""
JPEG_SIDE = ("header", "quantisers", "codes", "done", "failed")


class ImageMode(data.Struct):
    """What runs.  Each bit crosses on its own, and every combination means something."""

    receive: unsigned(1)
    """Frames, from the next whole one on."""
    jpeg: unsigned(1)
    """Files of the frames that begin while it is high."""
    tensor: unsigned(1)
    """Words of those frames for the activation memory."""
    change: unsigned(1)
    """Change detection looks at them."""


class ImageStatus(data.Struct):
    """What the core sees.  The first eight stay until ``clear``."""

    short_line: unsigned(1)
    long_line: unsigned(1)
    few_lines: unsigned(1)
    missing_vsync: unsigned(1)
    bad_size: unsigned(1)
    """See `hdl.image.dvp.DvpFaults`."""
    file_dropped: unsigned(1)
    """A picture was dropped because its file was read too slowly."""
    tensor_dropped: unsigned(1)
    """A tensor was given up because its words were taken too slowly."""
    unfit: unsigned(1)
    """A frame was too small for the rectangle that is scaled."""
    idle: unsigned(1)
    """No frame is received or on its way; files and words in the FIFO apart."""
    receiving: unsigned(1)
    """``mode.receive`` has arrived."""


def gamma_knot() -> data.StructLayout:
    """A row for the table of gamma."""
    return data.StructLayout({"address": range(KNOTS), "data": unsigned(KNOT_BITS)})


class ImageSubsystem(wiring.Component):
    """`ImageBlock` on the camera's clock, the JPEG encoder on both, and what crosses.

    Domain ``pixel`` is the camera's clock, ``sync`` the core's, which must be at least twice as
    fast while files are made, and may stop at other times.  Both domains are reset together.

    Parameters
    ----------
    word_bytes, address_bits : int
        Of the activation memory.
    max_width : int
        Pixels of the longest line, at least 4.

    Members
    -------
    mode : In(ImageMode)
        From flip-flops of any clock.
    config, size, raw, matrix, tensor : In
        As in `ImageBlock`; the enables of ``tensor`` are those of ``mode``.  Registers of any clock
        that hold while ``mode.receive`` is high, and after that until ``status.idle``.
    knots : In(stream of gamma_knot()), sync
        Rows of the gamma table.  They wait while frames are received or on their way.
    jpeg : In(JpegSettings), sync
    header, quantisers, codes : In(TablePort), sync
        See `hdl.image.jpeg.JpegEncoder`; while ``jpeg_idle`` and ``status.idle``.
    vsync, href, data : In, pixel
        The camera's pins.
    file : Out(stream of file_word()), sync
    jpeg_idle, done, failed : Out(1), sync
        Of the encoder.
    statistics : Out(FRAME_STATISTICS), pixel
        Of the last complete frame, constant from one frame's end to the next one's.
    statistics_done : Out(1), sync
        Pulse: ``statistics`` is a new frame's, and may be read until the next frame ends.
    o : Out(stream.Signature(window_word(word_bytes, address_bits))), sync
        Words for the activation memory.
    ready : Out(1), sync
        A tensor's last word leaves in this cycle.
    restart : In(1), sync
        Pulse: the next complete frame becomes the reference of change detection.
    hold : In(1)
        From a flip-flop of any clock: ``change`` and ``map`` stay as they are.
    wake : Out(1), pixel
        From a flip-flop, for the PMU: the last complete frame had changed enough.  Low while
        ``mode.change`` is.
    change : Out(ChangeResult), pixel
    change_done : Out(1), sync
        Pulse: ``change``, ``wake`` and ``map`` are a new frame's, and constant until the next one
        ends or as long as ``hold`` is high.
    map_row : In(range(30))
    map : Out(40), pixel
        A row of the map, from the second clock after ``map_row`` has changed.
    status : Out(ImageStatus), sync
        Levels, 2 cycles late.
    clear : In(1), sync
        Flags and counters to 0; a pulse of any length.
    good, dropped : Out(16), pixel
        Frames.
    rgb, rgb_aborted, ycbcr, ycbcr_aborted : Out, pixel
        See `ImageBlock`.
    """

    def __init__(self, word_bytes: int, address_bits: int, max_width: int = MAX_WIDTH):
        self.block = ImageBlock(word_bytes, address_bits, max_width)
        self.encoder = JpegEncoder()
        block, encoder = self.block.signature.members, self.encoder.signature.members
        pictures = ("rgb", "rgb_aborted", "ycbcr", "ycbcr_aborted")
        super().__init__(
            {
                "mode": In(ImageMode),
                **{name: block[name] for name in (*REGISTERS, *PINS)},
                "knots": In(stream.Signature(gamma_knot())),
                "jpeg": encoder["settings"],
                **{name: encoder[name] for name in JPEG_SIDE},
                "file": encoder["o"],
                "jpeg_idle": Out(1),
                "o": block["o"],
                "ready": Out(1),
                "restart": In(1),
                "hold": In(1),
                "wake": Out(1),
                **{name: block[name] for name in CHANGE},
                "change_done": Out(1),
                "statistics": block["statistics"],
                "statistics_done": Out(1),
                "status": Out(ImageStatus),
                "clear": In(1),
                **{name: block[name] for name in (*COUNTERS, *pictures)},
            }
        )

    def elaborate(self, platform):
        """Connect the block and the encoder; bring each group of wires across."""
        m = Module()
        block = self.block
        m.submodules.block = DomainRenamer("pixel")(block)
        for name in (*REGISTERS, *PINS):
            if name != "tensor":
                m.d.comb += getattr(block, name).eq(getattr(self, name))
        for name in ("scaling", "format", "place", "change"):
            m.d.comb += block.tensor[name].eq(self.tensor[name])
        for name in (*COUNTERS, "statistics", "change", "map", "rgb_aborted", "ycbcr_aborted"):
            m.d.comb += getattr(self, name).eq(getattr(block, name))
        connect(m, block.rgb, flipped(self.rgb))
        connect(m, block.ycbcr, flipped(self.ycbcr))
        receive = block.enable
        m.submodules.receive = FFSynchronizer(self.mode.receive, receive, o_domain="pixel")
        m.submodules.clear = clear = EventCrossing("sync", "pixel")
        m.submodules.measured = measured = EventCrossing("pixel", "sync")
        m.d.comb += [
            clear.i.eq(self.clear),
            block.clear.eq(clear.o),
            measured.i.eq(block.statistics_done),
            self.statistics_done.eq(measured.o),
        ]
        self.connect_encoder(m)
        self.connect_gamma(m)
        self.connect_tensors(m)
        self.connect_change(m)

        # Straight from flip-flops, as `block.idle` may glitch.
        here, there = Signal(ImageStatus), Signal(ImageStatus)
        m.d.pixel += [getattr(here, name).eq(getattr(block.faults, name)) for name in FAULTS]
        for name, event in (
            ("file_dropped", self.encoder.dropped),
            ("tensor_dropped", block.overrun),
            ("unfit", block.unfit & (block.tensor.tensor_enable | block.tensor.change_enable)),
        ):
            flag = getattr(here, name)
            m.d.pixel += flag.eq((flag & ~block.clear) | event)
        m.d.pixel += [
            here.idle.eq(block.idle),
            here.receiving.eq(receive),
        ]
        m.submodules.status = FFSynchronizer(here.as_value(), there.as_value())
        m.d.comb += self.status.eq(there)
        return m

    def connect_encoder(self, m: Module) -> None:
        """Pictures to the encoder, files from it."""
        m.submodules.encoder = encoder = self.encoder
        m.submodules.encode = FFSynchronizer(self.mode.jpeg, encoder.enable, o_domain="pixel")
        for name in ("header", "quantisers", "codes"):
            connect(m, flipped(getattr(self, name)), getattr(encoder, name))
        connect(m, encoder.o, flipped(self.file))
        m.d.comb += [
            encoder.settings.eq(self.jpeg),
            encoder.i.valid.eq(self.block.ycbcr.valid),
            encoder.i.payload.eq(self.block.ycbcr.payload),
            encoder.abort.eq(self.block.ycbcr_aborted),
            self.jpeg_idle.eq(encoder.idle),
            self.done.eq(encoder.done),
            self.failed.eq(encoder.failed),
        ]

    def connect_gamma(self, m: Module) -> None:
        """Knots to the block, while nothing uses them."""
        table = self.block.gamma
        m.submodules.knots = source = HandshakeSource(gamma_knot())
        sink = HandshakeSink(gamma_knot())
        m.submodules.knots_there = DomainRenamer("pixel")(sink)
        connect(m, flipped(self.knots), source.i)
        connect(m, source.o, sink.i)
        m.d.comb += [
            sink.o.ready.eq(self.block.idle),
            table.enable.eq(sink.o.valid & sink.o.ready),
            table.address.eq(sink.o.p.address),
            table.data.eq(sink.o.p.data),
        ]

    def connect_tensors(self, m: Module) -> None:
        """Words to the core."""
        block = self.block
        m.submodules.tensor = FFSynchronizer(
            self.mode.tensor, block.tensor.tensor_enable, o_domain="pixel"
        )
        m.submodules.words = words = AsyncFIFO(
            width=len(self.o.p.as_value()), depth=WORDS, w_domain="pixel", r_domain="sync"
        )
        m.d.comb += [
            words.w_data.eq(block.o.payload),
            words.w_en.eq(block.o.valid),
            block.o.ready.eq(words.w_rdy),
            self.o.payload.eq(words.r_data),
            self.o.valid.eq(words.r_rdy),
            words.r_en.eq(self.o.ready),
            self.ready.eq(self.o.valid & self.o.ready & self.o.p.last),
        ]

    def connect_change(self, m: Module) -> None:
        """Change detection, which runs with the core's clock stopped."""
        block = self.block
        m.submodules.change = FFSynchronizer(
            self.mode.change, block.tensor.change_enable, o_domain="pixel"
        )
        m.submodules.hold = FFSynchronizer(self.hold, block.hold, o_domain="pixel")
        m.submodules.restart = restart = EventCrossing("sync", "pixel")
        m.submodules.changed = changed = EventCrossing("pixel", "sync")
        m.d.comb += [
            restart.i.eq(self.restart),
            block.restart.eq(restart.o),
            changed.i.eq(block.change_done),
            self.change_done.eq(changed.o),
            block.map_row.eq(self.map_row),
        ]
        with m.If(block.change_done):
            m.d.pixel += self.wake.eq(block.change_wake)
        with m.If(~block.tensor.change_enable):
            m.d.pixel += self.wake.eq(0)
