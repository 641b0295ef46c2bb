"""Words of a front end into the activation memory between runs, and the run that they start."""

from amaranth.hdl import Assert, Module, Signal, unsigned
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.audio.feature_window import window_word
from hdl.config import ChipConfig
from hdl.engine.memory import HostPort

__all__ = ["LINGER", "WindowPort", "WindowSource", "WindowWriter"]

LINGER = 64
"""Cycles without a word until the segments are let go: a few times what their ramp takes."""


class WindowSource(enum.Enum, shape=unsigned(1)):
    """Who gives words."""

    AUDIO = 0
    IMAGE = 1


class WindowPort(wiring.Signature):
    """What the core orders and is told, seen from who orders.

    Members
    -------
    source : Out(WindowSource)
        May change while the front end that it names is off.
    automatic : Out(1)
        A complete window starts the program at ``program``.
    release : Out(1)
        Pulse: the results have been read; the next window may be written.
    full, started : In(1)
        A window is complete; its program has been started.
    """

    def __init__(self):
        super().__init__(
            {
                "source": Out(WindowSource),
                "automatic": Out(1),
                "release": Out(1),
                "full": In(1),
                "started": In(1),
            }
        )


class WindowWriter(wiring.Component):
    """Takes windows one at a time: the next one when the results of the last have been read.

    Words wait until the engine and the host leave the memory alone, and have its segments switched
    on until none has come for a while: those of a recording come a thousand core cycles apart,
    those of a picture row by row.

    Parameters
    ----------
    config : ChipConfig
        Of the activation memory.

    Members
    -------
    i : In(stream of window_word)
        Words; one with ``last`` completes a window.
    memory : Out(HostPort(config))
        To the activation memory.
    busy : In(1)
        A program runs, or begins to, or may not be begun.
    host : In(1)
        The host has the memory open.
    taken : Out(1)
        A word is being written; the host has to wait.
    automatic : In(1)
        A complete window starts the network.
    start : Out(1)
        Pulse: start it.
    release : In(1)
        Pulse: the memory may take the next window.  Only counts while ``full``.
    full : Out(1)
        A window is complete, and not released.
    started : Out(1)
        Its network has been started.
    """

    def __init__(self, config: ChipConfig):
        word = window_word(config.rows, config.bank_address_bits)
        super().__init__(
            {
                "i": In(stream.Signature(word)),
                "memory": Out(HostPort(config)),
                "busy": In(1),
                "host": In(1),
                "taken": Out(1),
                "automatic": In(1),
                "start": Out(1),
                "release": In(1),
                "full": Out(1),
                "started": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build the writer of a word, and the two flags of a window."""
        m = Module()
        memory, word = self.memory, self.i.p
        m.d.comb += [
            memory.write.eq(1),
            memory.bank.eq(word.bank),
            memory.address.eq(word.address),
            memory.data.eq(word.data),
        ]
        idle = Signal(range(LINGER))
        with m.FSM() as fsm:
            with m.State("WAIT"):
                m.d.sync += idle.eq(0)
                with m.If(self.i.valid & ~self.full & ~self.busy & ~self.host):
                    m.next = "OPEN"
            with m.State("OPEN"):
                m.d.comb += [memory.open.eq(~self.busy), self.taken.eq(~self.busy)]
                with m.If(self.busy):  # a run was begun
                    m.next = "WAIT"
                with m.Elif(~self.i.valid):
                    m.d.sync += idle.eq(idle + 1)
                    with m.If(self.host | (idle == LINGER - 1)):
                        m.next = "WAIT"
                with m.Elif(memory.ready):
                    m.d.comb += [memory.enable.eq(1), self.i.ready.eq(1)]
                    m.d.sync += [self.full.eq(word.last), idle.eq(0)]
                    with m.If(word.last):
                        m.next = "WAIT"
        ready = self.full & ~self.started & self.automatic & ~self.busy & ~self.host
        m.d.comb += self.start.eq(ready & ~self.release)
        with m.If(self.start):
            m.d.sync += self.started.eq(1)
        with m.If(self.release & self.full):
            m.d.sync += [self.full.eq(0), self.started.eq(0)]

        m.d.sync += [
            Assert(~self.full | fsm.ongoing("WAIT"), "a word on top of a window"),
            Assert(~self.started | self.full, "a run without a window"),
        ]
        return m
