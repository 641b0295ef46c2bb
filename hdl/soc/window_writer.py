"""Words of a front end into the activation memory between runs, and the run that they start."""

from amaranth.hdl import Assert, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.audio.feature_window import window_word
from hdl.config import ChipConfig
from hdl.engine.memory import HostPort

__all__ = ["WindowWriter"]


class WindowWriter(wiring.Component):
    """Takes windows one at a time: the next one when the results of the last have been read.

    Each word waits until the engine and the host leave the memory alone, has its segments switched
    on, and lets them go again: words of a front end come a thousand core cycles apart.

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
        with m.FSM() as fsm:
            with m.State("WAIT"):
                with m.If(self.i.valid & ~self.full & ~self.busy & ~self.host):
                    m.next = "OPEN"
            with m.State("OPEN"):
                m.d.comb += [memory.open.eq(~self.busy), self.taken.eq(~self.busy)]
                with m.If(self.busy | ~self.i.valid):  # a run was begun, or the supply taken away
                    m.next = "WAIT"
                with m.Elif(memory.ready):
                    m.d.comb += [memory.enable.eq(1), self.i.ready.eq(1)]
                    m.d.sync += self.full.eq(word.last)
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
