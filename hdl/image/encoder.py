"""The JPEG encoder on one clock: what a camera's clock gives has been brought there."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.image.domain import encoder_event
from hdl.image.jpeg import JpegEncoder

__all__ = ["PORTS", "PictureEncoder"]

PORTS = ("settings", "header", "quantisers", "codes", "o", "done", "failed", "idle")


class PictureEncoder(wiring.Component):
    """`JpegEncoder` with pixels on its own clock, at most one in two cycles for long.

    Members
    -------
    events : In(stream of encoder_event())
        Taken at once.
    dropped : Out(1)
    settings, header, quantisers, codes, o, done, failed, idle
        See `JpegEncoder`.
    """

    def __init__(self):
        self.encoder = JpegEncoder(pixel_domain="sync")
        members = self.encoder.signature.members
        super().__init__(
            {
                "events": In(stream.Signature(encoder_event())),
                "dropped": Out(1),
                **{name: members[name] for name in PORTS},
            }
        )

    def elaborate(self, platform):
        """Connect the encoder."""
        m = Module()
        encoder, event = self.encoder, self.events.p
        m.submodules.encoder = encoder
        m.d.comb += [
            self.events.ready.eq(1),
            encoder.enable.eq(1),
            encoder.i.valid.eq(self.events.valid & event.valid),
            encoder.i.payload.eq(event.pixel),
            encoder.abort.eq(self.events.valid & event.abort),
            self.dropped.eq(encoder.dropped),
            encoder.settings.eq(self.settings),
        ]
        for name in ("header", "quantisers", "codes"):
            connect(m, flipped(getattr(self, name)), getattr(encoder, name))
        connect(m, encoder.o, flipped(self.o))
        m.d.comb += [getattr(self, n).eq(getattr(encoder, n)) for n in ("done", "failed", "idle")]
        return m
