"""The image front end with its encoder and both clocks, as the chip has them: for a simulator."""

from amaranth.hdl import DomainRenamer, Module, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.image.domain import COUNTERS, REGISTERS, ImageDomain, ImageMode, ImageStatus, gamma_knot
from hdl.image.encoder import PictureEncoder
from hdl.image.image_block import PINS
from hdl.image.link import ImageLink
from hdl.image.pixels import MAX_WIDTH

__all__ = ["ImageSubsystem"]

CHANGE = ("change", "map_row", "map")
PULSES = ("clear", "restart", "resume")
TABLES = ("header", "quantisers", "codes")
PICTURES = ("rgb", "rgb_aborted", "ycbcr", "ycbcr_aborted")


class ImageSubsystem(wiring.Component):
    """`ImageDomain` on the camera's clock, `PictureEncoder` on the core's, and what crosses.

    Domain ``pixel`` is the camera's clock, ``sync`` the core's, which must be at least twice as
    fast while files are made, and may stop at other times.  Both domains are reset together.
    `hdl.soc.image_path` connects the same parts behind power switches.

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
    restart, resume : In(1), sync
        Pulses: see `hdl.image.domain.ImageCommand`.
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
        self.domain = ImageDomain(word_bytes, address_bits, max_width)
        self.encoder = PictureEncoder()
        members, encoder = self.domain.signature.members, self.encoder.signature.members
        block = self.domain.block.signature.members
        super().__init__(
            {
                "mode": In(ImageMode),
                **{name: members[name] for name in (*REGISTERS, *PINS)},
                "knots": In(stream.Signature(gamma_knot())),
                "jpeg": encoder["settings"],
                **{name: encoder[name] for name in TABLES},
                "file": encoder["o"],
                "done": Out(1),
                "failed": Out(1),
                "jpeg_idle": Out(1),
                "o": members["o"],
                "ready": Out(1),
                **{name: In(unsigned(1)) for name in PULSES},
                "hold": In(1),
                "wake": Out(1),
                **{name: members[name] for name in CHANGE},
                "change_done": Out(1),
                "statistics": members["statistics"],
                "statistics_done": Out(1),
                "status": Out(ImageStatus),
                **{name: members[name] for name in COUNTERS},
                **{name: block[name] for name in PICTURES},
            }
        )

    def elaborate(self, platform):
        """Connect the parts."""
        m = Module()
        domain, encoder = self.domain, self.encoder
        link = ImageLink(domain)
        m.submodules.domain = DomainRenamer("pixel")(domain)
        m.submodules.link = DomainRenamer({"codec": "sync"})(link)
        m.submodules.encoder = encoder
        connect(m, domain.o, link.words)
        connect(m, link.knots, domain.knots)
        connect(m, link.commands, domain.commands)
        connect(m, link.events, encoder.events)
        connect(m, flipped(self.knots), link.i)
        connect(m, link.o, flipped(self.o))
        connect(m, encoder.o, flipped(self.file))
        for name in TABLES:
            connect(m, flipped(getattr(self, name)), getattr(encoder, name))
        for name in ("rgb", "ycbcr"):
            connect(m, getattr(domain.block, name), flipped(getattr(self, name)))
        for name in ("mode", *REGISTERS, *PINS, "hold", "map_row"):
            m.d.comb += getattr(domain, name).eq(getattr(self, name))
        for name in (*COUNTERS, "wake", "change", "map", "statistics"):
            m.d.comb += getattr(self, name).eq(getattr(domain, name))
        m.d.comb += [getattr(link, name).eq(getattr(self, name)) for name in PULSES]
        m.d.comb += [
            link.encoder.eq(domain.encoder),
            link.domain_status.eq(domain.status),
            link.change_done.eq(domain.change_done),
            link.statistics_done.eq(domain.statistics_done),
            link.encoder_dropped.eq(encoder.dropped),
            domain.file_dropped.eq(link.file_dropped),
            encoder.settings.eq(self.jpeg),
            self.done.eq(encoder.done),
            self.failed.eq(encoder.failed),
            self.jpeg_idle.eq(encoder.idle & ~link.events.valid),
            self.ready.eq(self.o.valid & self.o.ready & self.o.p.last),
            self.change_done.eq(link.changed),
            self.statistics_done.eq(link.measured),
            self.status.eq(link.status),
            self.rgb_aborted.eq(domain.block.rgb_aborted),
            self.ycbcr_aborted.eq(domain.block.ycbcr_aborted),
        ]
        return m
