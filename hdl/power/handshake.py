"""Streams between clocks that may stop and supplies that may fail: handshakes of four phases."""

from amaranth.hdl import Assert, Module, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["Handshake", "HandshakeSink", "HandshakeSource"]


class Handshake(wiring.Signature):
    """Wires from one clock to another, seen from the source.

    Both sides return to 0 after every word, so that either may be reset, or switched off with its
    outputs clamped to 0, at any time: at most the word on its way is lost.

    Members
    -------
    request : Out(1)
        Straight from a flip-flop: ``payload`` is there, and stays until ``acknowledge``.
    payload : Out(shape)
        Straight from flip-flops.
    acknowledge : In(1)
        Straight from a flip-flop: it has been taken.
    """

    def __init__(self, shape: ShapeLike):
        super().__init__({"request": Out(1), "payload": Out(shape), "acknowledge": In(1)})


class HandshakeSource(wiring.Component):
    """A stream's end in the clock that it comes from.

    A word takes 3 to 4 cycles of each clock there and as many back.

    Parameters
    ----------
    shape : shape-like
        Of a word.

    Members
    -------
    i : In(stream.Signature(shape))
        One word is taken and kept here.
    o : Out(Handshake(shape))
        To a `HandshakeSink`.
    """

    def __init__(self, shape: ShapeLike):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(Handshake(shape))})

    def elaborate(self, platform):
        """Build the register and its request."""
        m = Module()
        answer = Signal()
        m.submodules.answer = FFSynchronizer(self.o.acknowledge, answer)
        m.d.comb += self.i.ready.eq(~self.o.request & ~answer)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [self.o.payload.eq(self.i.payload), self.o.request.eq(1)]
        with m.Elif(answer):
            m.d.sync += self.o.request.eq(0)
        return m


class HandshakeSink(wiring.Component):
    """A stream's end in the clock that it goes to.

    Parameters
    ----------
    shape : shape-like
        Of a word.

    Members
    -------
    i : In(Handshake(shape))
        From a `HandshakeSource`.
    o : Out(stream.Signature(shape))
        The word, still in the source's register.  The offer is withdrawn if the source is reset.
    """

    def __init__(self, shape: ShapeLike):
        super().__init__({"i": In(Handshake(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        """Build the synchroniser and the answer."""
        m = Module()
        arrived = Signal()
        m.submodules.arrived = FFSynchronizer(self.i.request, arrived)
        m.d.comb += [
            self.o.valid.eq(arrived & ~self.i.acknowledge),
            self.o.payload.eq(self.i.payload),
        ]
        with m.If(~arrived):
            m.d.sync += self.i.acknowledge.eq(0)
        with m.Elif(self.o.ready):
            m.d.sync += self.i.acknowledge.eq(1)

        waiting, offered = Signal(), Signal.like(self.o.payload)
        m.d.sync += [
            waiting.eq(self.o.valid & ~self.o.ready),
            offered.eq(self.o.payload),
            Assert(
                ~(waiting & self.o.valid) | (self.o.payload == offered), "a word on its way changed"
            ),
        ]
        return m
