"""Between the always-on clock and the others: every wire that crosses, and how."""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["CoreLink", "EventCrossing", "synchronise"]


class CoreLink(wiring.Signature):
    """Between the PMU and the fast level, seen from the PMU.

    Levels straight from flip-flops; whoever receives one synchronises it.  Each pair is a handshake
    of four phases, correct for any ratio of the clocks, also when the core's stands still: neither
    side moves on before the other has answered.

    Members
    -------
    permit_act, permit_mram : Out(1)
        Activation segments and MRAM banks may be switched on.
    quiet_act, quiet_mram : In(1)
        The permission has been withdrawn, and all of them are at rest.  Falls when it is back.
    pause : Out(1)
        The PMU wants the supply for a ramp of its own.
    paused : In(1)
        No fast domain ramps, and none will while ``pause`` stays.  Falls after ``pause``.
    """

    def __init__(self):
        super().__init__(
            {
                "permit_act": Out(1),
                "permit_mram": Out(1),
                "quiet_act": In(1),
                "quiet_mram": In(1),
                "pause": Out(1),
                "paused": In(1),
            }
        )


def synchronise(m: Module, source: Value, *, name: str, init: int = 0) -> Signal:
    """Bring a level into ``sync`` through two flip-flops; return it there."""
    target = Signal(name=f"{name}_sync", init=init)
    m.submodules[f"{name}_synchroniser"] = FFSynchronizer(source, target, init=init)
    return target


class EventCrossing(wiring.Component):
    """Take a pulse of any clock, however short, to another one, however slow.

    A handshake of four phases.  After every pulse of ``i`` one of ``o`` begins; pulses that
    come while one is on its way share the next one.

    Parameters
    ----------
    i_domain, o_domain : str
        Clock domains of ``i`` and ``o``.

    Members
    -------
    i : In(1)
        Pulse, one cycle or more.
    o : Out(1)
        Pulse of one cycle, 2 to 3 cycles of ``o_domain`` after that of ``i`` if none is on its way.
    """

    def __init__(self, i_domain: str, o_domain: str):
        self.i_domain, self.o_domain = i_domain, o_domain
        super().__init__({"i": In(1), "o": Out(1)})

    def elaborate(self, platform):
        """Build both ends."""
        m = Module()
        here, there = m.d[self.i_domain], m.d[self.o_domain]
        request, again, answer, arrived, was_arrived = (Signal() for _ in range(5))
        m.submodules.request = FFSynchronizer(request, arrived, o_domain=self.o_domain)
        m.submodules.answer = FFSynchronizer(was_arrived, answer, o_domain=self.i_domain)
        with m.If(~request & ~answer):
            here += [request.eq(self.i | again), again.eq(0)]
        with m.Else():
            with m.If(request & answer):
                here += request.eq(0)
            with m.If(self.i):
                here += again.eq(1)
        there += was_arrived.eq(arrived)
        m.d.comb += self.o.eq(arrived & ~was_arrived)
        return m
