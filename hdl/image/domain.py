"""All that lies in the image power domain, on the camera's clock alone."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.image.gamma import KNOT_BITS, KNOTS
from hdl.image.image_block import PINS, ImageBlock
from hdl.image.pixels import MAX_WIDTH, ycbcr_pixel
from hdl.power.handshake import Handshake, HandshakeSink

__all__ = [
    "COUNTERS",
    "REGISTERS",
    "ImageCommand",
    "ImageDomain",
    "ImageMode",
    "ImageStatus",
    "encoder_event",
    "gamma_knot",
]

FAULTS = ("short_line", "long_line", "few_lines", "missing_vsync", "bad_size")
REGISTERS = ("config", "size", "raw", "matrix", "tensor")
COUNTERS = ("good", "dropped")
RESULTS = ("change", "change_done", "map_row", "map", "statistics", "statistics_done")
WAKE_PAUSE = 8192
"""Clocks: two periods of the always-on clock, which has to see the wire low, at up to 100 MHz."""


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


class ImageCommand(data.Struct):
    """What the core can order."""

    clear: 1
    """Flags and counters to 0."""
    restart: 1
    """The next complete frame becomes the reference of change detection."""
    resume: 1
    """``wake`` falls for two periods of the always-on clock, and rises again with a later frame."""


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


def encoder_event() -> data.StructLayout:
    """What happens in a clock for an encoder: a pixel, the end of all hope for its frame, both."""
    return data.StructLayout({"pixel": ycbcr_pixel(), "valid": 1, "abort": 1})


class ImageDomain(wiring.Component):
    """`ImageBlock` behind synchronisers: every input is of another clock, the pins apart.

    Domain ``sync`` is the camera's clock.  The other end is `hdl.image.link.ImageLink`.

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
    knots : In(Handshake(gamma_knot()))
        Rows of the gamma table.  They wait while frames are received or on their way.
    commands : In(Handshake(ImageCommand))
    vsync, href, data : In
        The camera's pins.
    o : Out(stream of window_word)
        Words for the activation memory.
    encoder : Out(encoder_event())
        The pictures, while ``mode.jpeg``: plain wires, new in each clock.
    file_dropped : In(1)
        Pulse: the encoder has dropped a picture.
    wake : Out(1)
        From a flip-flop, for the PMU: the last complete frame had changed enough.
    hold : In(1)
        From a flip-flop of any clock: ``change`` and ``map`` stay as they are.
    change, change_done, map_row, map, statistics, statistics_done
        Of `ImageBlock`.
    status : Out(ImageStatus)
        From flip-flops.
    good, dropped : Out(16)
        Frames.
    """

    def __init__(self, word_bytes: int, address_bits: int, max_width: int = MAX_WIDTH):
        self.block = ImageBlock(word_bytes, address_bits, max_width)
        members = self.block.signature.members
        super().__init__(
            {
                "mode": In(ImageMode),
                **{name: members[name] for name in (*REGISTERS, *PINS)},
                "knots": In(Handshake(gamma_knot())),
                "commands": In(Handshake(ImageCommand)),
                "o": members["o"],
                "encoder": Out(encoder_event()),
                "file_dropped": In(1),
                "wake": Out(1),
                "hold": In(1),
                **{name: members[name] for name in RESULTS},
                "status": Out(ImageStatus),
                **{name: members[name] for name in COUNTERS},
            }
        )

    def elaborate(self, platform):
        """Connect the block; bring each group of wires in."""
        m = Module()
        m.submodules.block = block = self.block
        for name in (*REGISTERS, *PINS):
            if name != "tensor":
                m.d.comb += getattr(block, name).eq(getattr(self, name))
        for name in ("scaling", "format", "place", "change"):
            m.d.comb += block.tensor[name].eq(self.tensor[name])
        for name in (*COUNTERS, *RESULTS):
            if name != "map_row":
                m.d.comb += getattr(self, name).eq(getattr(block, name))
        m.d.comb += block.map_row.eq(self.map_row)
        connect(m, block.o, flipped(self.o))

        encode = Signal()
        for name, target in (
            ("receive", block.enable),
            ("jpeg", encode),
            ("tensor", block.tensor.tensor_enable),
            ("change", block.tensor.change_enable),
        ):
            m.submodules[name] = FFSynchronizer(getattr(self.mode, name), target)
        m.submodules.hold = FFSynchronizer(self.hold, block.hold)
        self.connect_encoder(m, encode)
        self.connect_gamma(m)
        self.connect_commands(m)
        self.connect_status(m)
        return m

    def connect_encoder(self, m: Module, encode: Signal) -> None:
        """Frames that begin while ``encode``, whole ones or with their abort, and no others."""
        pixels, aborted = self.block.ycbcr, self.block.ycbcr_aborted
        fresh, taken, take = Signal(init=1), Signal(), Signal()
        m.d.comb += [
            take.eq(Mux(fresh, encode, taken)),
            self.encoder.pixel.eq(pixels.payload),
            self.encoder.valid.eq(pixels.valid & take),
            self.encoder.abort.eq(aborted & take & (pixels.valid | ~fresh)),
        ]
        with m.If(pixels.valid):
            m.d.sync += [taken.eq(take), fresh.eq(pixels.p.last_column & pixels.p.last_row)]
        with m.If(aborted):
            m.d.sync += fresh.eq(1)

    def connect_gamma(self, m: Module) -> None:
        """Knots to the block, while nothing uses them."""
        table = self.block.gamma
        m.submodules.knots = sink = HandshakeSink(gamma_knot())
        connect(m, flipped(self.knots), sink.i)
        m.d.comb += [
            sink.o.ready.eq(self.block.idle),
            table.enable.eq(sink.o.valid & sink.o.ready),
            table.address.eq(sink.o.p.address),
            table.data.eq(sink.o.p.data),
        ]

    def connect_commands(self, m: Module) -> None:
        """Orders from the core, and the wake-up, which waits for one."""
        block = self.block
        m.submodules.commands = commands = HandshakeSink(ImageCommand)
        connect(m, flipped(self.commands), commands.i)
        order, valid = commands.o.p, commands.o.valid
        m.d.comb += [
            commands.o.ready.eq(1),
            block.clear.eq(valid & order.clear),
            block.restart.eq(valid & order.restart),
        ]
        pause, changed = Signal(range(WAKE_PAUSE + 1)), Signal()
        with m.If(block.change_done):
            m.d.sync += changed.eq(block.change_wake)
        with m.If(pause != 0):
            m.d.sync += pause.eq(pause - 1)
        with m.If(valid & order.resume):
            m.d.sync += [pause.eq(WAKE_PAUSE), changed.eq(0)]
        m.d.sync += self.wake.eq(changed & (pause == 0) & block.tensor.change_enable)

    def connect_status(self, m: Module) -> None:
        """Flags, straight from flip-flops, as `block.idle` may glitch."""
        block, status = self.block, self.status
        m.d.sync += [getattr(status, name).eq(getattr(block.faults, name)) for name in FAULTS]
        enables = block.tensor.tensor_enable | block.tensor.change_enable
        for name, event in (
            ("file_dropped", self.file_dropped),
            ("tensor_dropped", block.overrun),
            ("unfit", block.unfit & enables),
        ):
            flag = getattr(status, name)
            m.d.sync += flag.eq((flag & ~block.clear) | event)
        m.d.sync += [status.idle.eq(block.idle), status.receiving.eq(block.enable)]
