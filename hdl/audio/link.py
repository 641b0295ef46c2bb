"""The core's end of the audio domain: streams on its own clock, which may stop."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.audio.domain import AudioCommand, AudioDomain, AudioStatus
from hdl.power.handshake import HandshakeSink, HandshakeSource

__all__ = ["AudioLink"]


class AudioLink(wiring.Component):
    """What an `AudioDomain` gives and takes, in clock ``sync``; outside of its power domain.

    Parameters
    ----------
    domain : AudioDomain
        Whose words and tables.

    Members
    -------
    words, tables, commands : In, Out, Out
        The handshakes of ``domain``.
    domain_status : In(AudioStatus)
        Of ``domain``.
    o : Out(stream of window_word)
        Words for the activation memory.
    i : In(stream of table_write)
        Rows for tables.
    status : Out(AudioStatus)
        2 cycles late; ``idle`` is low while a row is on its way, too.
    clear, resume : In(1)
        Pulses, see `AudioCommand`.  Those that come while one is on its way go together.
    """

    def __init__(self, domain: AudioDomain):
        members = domain.signature.members
        self.word, self.write = domain.word, domain.write
        super().__init__(
            {
                **{name: members[name].flip() for name in ("words", "tables", "commands")},
                "domain_status": In(AudioStatus),
                "o": Out(stream.Signature(self.word)),
                "i": In(stream.Signature(self.write)),
                "status": Out(AudioStatus),
                "clear": In(1),
                "resume": In(1),
            }
        )

    def elaborate(self, platform):
        """Build the ends of the handshakes."""
        m = Module()
        m.submodules.receiver = words = HandshakeSink(self.word)
        m.submodules.rows = rows = HandshakeSource(self.write)
        m.submodules.orders = orders = HandshakeSource(AudioCommand)
        connect(m, flipped(self.words), words.i)
        connect(m, words.o, flipped(self.o))
        connect(m, flipped(self.i), rows.i)
        connect(m, rows.o, flipped(self.tables))
        connect(m, orders.o, flipped(self.commands))

        wanted, waiting = Signal(AudioCommand), Signal(AudioCommand)
        m.d.comb += [
            wanted.clear.eq(waiting.clear | self.clear),
            wanted.resume.eq(waiting.resume | self.resume),
            orders.i.payload.eq(wanted),
            orders.i.valid.eq(wanted.as_value().any()),
        ]
        m.d.sync += waiting.eq(wanted)
        with m.If(orders.i.ready):
            m.d.sync += waiting.eq(0)

        there = Signal(AudioStatus)
        m.submodules.status = FFSynchronizer(self.domain_status.as_value(), there.as_value())
        m.d.comb += [
            self.status.eq(there),
            self.status.idle.eq(there.idle & rows.i.ready & ~self.i.valid),
        ]
        return m
