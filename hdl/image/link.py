"""The core's end of the image domain: words, pictures for the encoder, orders."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.fifo import AsyncFIFO
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.image.domain import ImageCommand, ImageDomain, ImageStatus, encoder_event, gamma_knot
from hdl.power.crossing import EventCrossing
from hdl.power.handshake import HandshakeSource

__all__ = ["ImageLink"]

WORDS = 16
"""Depth of the FIFO of words: what comes while the activation memory is being switched on."""
EVENTS = 8
"""Depth of the FIFO of pixels: what a round trip of the pointers takes at full rate."""


class ImageLink(wiring.Component):
    """What an `ImageDomain` gives and takes, in clock ``sync``; outside of its power domain.

    Domain ``pixel`` is the camera's clock, ``sync`` the core's, which may stop, ``codec`` that of
    the encoder, the core's or another.  The FIFOs have a side in two of them and are never switched
    off; a domain that is, gives nothing.

    Parameters
    ----------
    domain : ImageDomain
        Whose.

    Members
    -------
    words : In(stream of window_word), pixel
    encoder : In(encoder_event()), pixel
    knots, commands : Out
        Of ``domain``.
    domain_status : In(ImageStatus)
    change_done, statistics_done : In(1), pixel
    o : Out(stream of window_word)
        Words for the activation memory.
    events : Out(stream of encoder_event()), codec
        For an encoder; to be taken at least as fast as they come.
    encoder_dropped : In(1), codec
        Pulse: the encoder has dropped a picture.
    file_dropped : Out(1), pixel
        Pulse: it has, or an event was lost because they were taken too slowly.
    i : In(stream of gamma_knot())
    status : Out(ImageStatus)
        2 cycles late; ``idle`` is low while a knot is on its way, too.
    clear, restart, resume : In(1)
        Pulses, see `ImageCommand`.
    changed, measured : Out(1)
        Pulses: new results of change detection, new statistics.
    """

    def __init__(self, domain: ImageDomain):
        members = domain.signature.members
        word = members["o"].signature.members["payload"].shape
        super().__init__(
            {
                "words": In(stream.Signature(word)),
                "encoder": In(encoder_event()),
                "knots": members["knots"].flip(),
                "commands": members["commands"].flip(),
                "domain_status": In(ImageStatus),
                "change_done": In(1),
                "statistics_done": In(1),
                "o": Out(stream.Signature(word)),
                "events": Out(stream.Signature(encoder_event())),
                "encoder_dropped": In(1),
                "file_dropped": Out(1),
                "i": In(stream.Signature(gamma_knot())),
                "status": Out(ImageStatus),
                "clear": In(1),
                "restart": In(1),
                "resume": In(1),
                "changed": Out(1),
                "measured": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build the FIFOs and the ends of the handshakes."""
        m = Module()
        m.submodules.word_fifo = words = fifo(len(self.o.payload.as_value()), WORDS, "sync")
        m.d.comb += [
            words.w_data.eq(self.words.payload),
            words.w_en.eq(self.words.valid),
            self.words.ready.eq(words.w_rdy),
            self.o.payload.eq(words.r_data),
            self.o.valid.eq(words.r_rdy),
            words.r_en.eq(self.o.ready),
        ]
        m.submodules.event_fifo = events = fifo(len(self.encoder.as_value()), EVENTS, "codec")
        happens = self.encoder.valid | self.encoder.abort
        m.d.comb += [
            events.w_data.eq(self.encoder),
            events.w_en.eq(happens),
            self.events.payload.eq(events.r_data),
            self.events.valid.eq(events.r_rdy),
            events.r_en.eq(self.events.ready),
        ]

        m.submodules.drops = drops = EventCrossing("codec", "pixel")
        m.d.comb += [
            drops.i.eq(self.encoder_dropped),
            self.file_dropped.eq(drops.o | (happens & ~events.w_rdy)),
        ]

        m.submodules.rows = rows = HandshakeSource(gamma_knot())
        m.submodules.orders = orders = HandshakeSource(ImageCommand)
        connect(m, flipped(self.i), rows.i)
        connect(m, rows.o, flipped(self.knots))
        connect(m, orders.o, flipped(self.commands))
        wanted, waiting = Signal(ImageCommand), Signal(ImageCommand)
        names = ("clear", "restart", "resume")
        m.d.comb += [getattr(wanted, n).eq(getattr(waiting, n) | getattr(self, n)) for n in names]
        m.d.comb += [
            orders.i.payload.eq(wanted),
            orders.i.valid.eq(wanted.as_value().any()),
        ]
        m.d.sync += waiting.eq(wanted)
        with m.If(orders.i.ready):
            m.d.sync += waiting.eq(0)

        for name, pulse, target in (
            ("changes", self.change_done, self.changed),
            ("measures", self.statistics_done, self.measured),
        ):
            m.submodules[name] = crossing = EventCrossing("pixel", "sync")
            m.d.comb += [crossing.i.eq(pulse), target.eq(crossing.o)]
        there = Signal(ImageStatus)
        m.submodules.status = FFSynchronizer(self.domain_status.as_value(), there.as_value())
        m.d.comb += [
            self.status.eq(there),
            self.status.idle.eq(there.idle & rows.i.ready & ~self.i.valid),
        ]
        return m


def fifo(width: int, depth: int, domain: str) -> AsyncFIFO:
    """From the camera's clock to another."""
    return AsyncFIFO(width=width, depth=depth, w_domain="pixel", r_domain=domain)
