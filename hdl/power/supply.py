"""The supply, as the two levels share it: one ramp at a time in the whole chip."""

from amaranth.hdl import Assert, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.power.ramp import RampArbiter

__all__ = ["SharedSupply"]


class SharedSupply(wiring.Component):
    """Let coarse domains ramp while no fast one does.

    Before the first grant the fast level is asked to pause, and has to answer; after the last one
    it is let go, and has to answer again.  If the core clock stands still nothing ramps there.

    Parameters
    ----------
    count : int
        Coarse domains.

    Members
    -------
    ramps, grants
        As of `RampArbiter`.
    pause : Out(1)
        `CoreLink.pause`, from a flip-flop.
    paused : In(1)
        `CoreLink.paused`, synchronised.
    core_clock : In(1)
        The core's clock runs.  Rises only while ``free``.
    probe : In(1)
        Level: ask the fast level for an answer, to see whether its clock runs.
    alive : Out(1)
        It has answered since ``core_clock`` rose.
    free : Out(1)
        Nothing is asked for or granted, and no answer is due: ``core_clock`` may change.
    """

    def __init__(self, count: int):
        self.count = count
        super().__init__(
            {
                "ramps": In(count),
                "grants": Out(count),
                "pause": Out(1),
                "paused": In(1),
                "core_clock": In(1),
                "probe": In(1),
                "alive": Out(1),
                "free": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build the handshake around the arbiter."""
        m = Module()
        m.submodules.arbiter = arbiter = RampArbiter(self.count)
        wanted = Signal()
        m.d.comb += [
            arbiter.ramps.eq(self.ramps),
            self.grants.eq(arbiter.grants),
            wanted.eq(self.ramps.any() | self.probe),
            arbiter.pause.eq(1),
        ]
        with m.FSM(name="supply") as fsm:
            with m.State("FREE"):
                m.d.comb += self.free.eq(~wanted)
                with m.If(wanted):
                    m.d.sync += self.pause.eq(1)
                    m.next = "ASK"
            with m.State("ASK"):
                with m.If(self.paused | ~self.core_clock):
                    m.d.sync += self.alive.eq(self.core_clock)
                    m.next = "OURS"
            with m.State("OURS"):
                m.d.comb += arbiter.pause.eq(0)
                with m.If(~self.ramps.any()):
                    m.d.sync += self.pause.eq(0)
                    m.next = "RETURN"
            with m.State("RETURN"):
                with m.If(~self.paused | ~self.core_clock):
                    m.next = "FREE"
        with m.If(~self.core_clock):
            m.d.sync += self.alive.eq(0)

        was_ask, was_paused = Signal(), Signal()
        m.d.sync += [
            was_ask.eq(fsm.ongoing("ASK")),
            was_paused.eq(self.paused | ~self.core_clock),
        ]
        legal = [fsm.ongoing(state) for state in ("FREE", "ASK", "OURS", "RETURN")]
        m.d.sync += [
            Assert(sum(legal) == 1, "no state"),
            Assert(~(was_ask & legal[2]) | was_paused, "takes the supply without an answer"),
            Assert(fsm.ongoing("OURS") | (self.grants == 0), "a ramp without the supply"),
            Assert(self.pause == (legal[1] | legal[2]), "pauses for nothing"),
        ]
        return m
