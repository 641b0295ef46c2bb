"""Streams between clocks that may stop and supplies that may fail: handshakes of four phases."""

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["Handshake", "HandshakeSink", "HandshakeSource"]


CONFIRMED = 3
"""Cycles from a copy of a word to a request that was sampled later: 2 flip-flops, and 1 of skew."""


class Handshake(wiring.Signature):
    """Wires from one clock to another, seen from the source.

    Both sides return to 0 after every word, so that either may be reset, or switched off with its
    outputs clamped to 0, at any time: of the source's, at most the word on its way is lost; of the
    sink's, it may also come once more.  A reset takes 4 cycles of each clock that runs; the other
    side's may stand still all the time.

    Members
    -------
    request : Out(1)
        Straight from a flip-flop: ``payload`` is there, and stays until ``acknowledge``.
    payload : Out(shape)
        Straight from flip-flops.
    acknowledge : In(1)
        Straight from a flip-flop: it has been taken.
    seen : In(1)
        Straight from a flip-flop: the sink knows of a request.  If that was one of before a reset,
        and the sink's clock has stood still since, the next one has to wait.
    """

    def __init__(self, shape: ShapeLike):
        super().__init__(
            {"request": Out(1), "payload": Out(shape), "acknowledge": In(1), "seen": In(1)}
        )


class HandshakeSource(wiring.Component):
    """A stream's end in the clock that it comes from.

    A word takes 6 to 7 cycles of the sink's clock and 3 to 4 of its own there, and 3 of each back.

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
        self.answer = Signal()  # both of the sink's, here
        self.seen = Signal()

    def elaborate(self, platform):
        """Build the register and its request."""
        m = Module()
        answer, seen = self.answer, self.seen
        m.submodules.answer = FFSynchronizer(self.o.acknowledge, answer)
        m.submodules.seen = FFSynchronizer(self.o.seen, seen)
        m.d.comb += self.i.ready.eq(~(self.o.request | answer | seen))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [self.o.payload.eq(self.i.payload), self.o.request.eq(1)]
        with m.Elif(answer):
            m.d.sync += self.o.request.eq(0)
        return m


class HandshakeSink(wiring.Component):
    """A stream's end in the clock that it goes to.

    The word is copied, and the copy offered when the request is known to have outlived it: no part
    of it can be what a reset or a clamp made of the source's register.

    Parameters
    ----------
    shape : shape-like
        Of a word.

    Members
    -------
    i : In(Handshake(shape))
        From a `HandshakeSource`.
    o : Out(stream.Signature(shape))
        The word.  The offer is withdrawn if the source is reset.
    """

    def __init__(self, shape: ShapeLike):
        super().__init__({"i": In(Handshake(shape)), "o": Out(stream.Signature(shape))})
        self.arrived = Signal()  # the request, here
        self.age = Signal(range(CONFIRMED + 1))  # of the copy

    def elaborate(self, platform):
        """Build the synchroniser, the copy and the answer."""
        m = Module()
        arrived, age = self.arrived, self.age
        m.submodules.arrived = FFSynchronizer(self.i.request, arrived)
        m.d.comb += [
            self.i.seen.eq(arrived),
            self.o.valid.eq(arrived & (age == CONFIRMED) & ~self.i.acknowledge),
        ]
        with m.If(~arrived):
            m.d.sync += [self.i.acknowledge.eq(0), age.eq(0)]
        with m.Elif(age != CONFIRMED):
            m.d.sync += age.eq(age + 1)
            with m.If(age == 0):
                m.d.sync += self.o.payload.eq(self.i.payload)
        with m.Elif(self.o.ready):
            m.d.sync += self.i.acknowledge.eq(1)
        return m
