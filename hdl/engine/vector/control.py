"""The order of events in a job of the vector unit."""

from amaranth.hdl import Assert, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Control"]


class Control(wiring.Component):
    """First rows are found, then elements walk until the last one, then writes end.

    Members
    -------
    start : In(1)
        Begin a job; only when not `busy`.
    busy : Out(1)
        From the cycle after `start` until the job ends.
    find_b : Out(1)
        The first row of operand ``b`` is being found, in the cycle of `start`.
    find_out : Out(1)
        The next cycle: that row is known, and the output's is being found.
    begin : Out(1)
        The cycle after: that one is known, too, and the writer starts.
    step : Out(1)
        The walks go on to the next element.
    last : In(1)
        The walks are at the last element.
    found : Out(1)
        The element before the latest `step` is offered to the reader.
    accepted : In(1)
        The reader takes what is offered.
    writing : In(1)
        From the cycle after `begin` until the last word is accepted.
    """

    start: In(1)
    busy: Out(1)
    find_b: Out(1)
    find_out: Out(1)
    begin: Out(1)
    step: Out(1)
    last: In(1)
    found: Out(1)
    accepted: In(1)
    writing: In(1)

    def elaborate(self, platform):
        """Build the sequence, and the walk beside it."""
        m = Module()
        walking, running = Signal(), Signal()
        m.d.comb += self.busy.eq(1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.busy.eq(0), self.find_b.eq(self.start)]
                with m.If(self.start):
                    m.next = "OUTPUT"
            with m.State("OUTPUT"):
                m.d.comb += self.find_out.eq(1)
                m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += self.begin.eq(1)
                m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += running.eq(1)
                with m.If(~self.writing):
                    m.next = "IDLE"

        free = ~self.found | self.accepted
        m.d.comb += self.step.eq(walking & free)
        with m.If(free):
            m.d.sync += self.found.eq(walking)
        with m.If(self.begin):
            m.d.sync += walking.eq(1)
        with m.Elif(self.step & self.last):
            m.d.sync += walking.eq(0)

        elements = walking | self.found
        m.d.sync += [
            Assert(~(self.start & self.busy), "job started while another one runs"),
            Assert(~elements | running, "elements without a job"),
            Assert(~elements | self.writing, "elements that nobody writes"),
            Assert(~self.begin | ~self.writing, "a job began before the last one had ended"),
        ]
        return m
