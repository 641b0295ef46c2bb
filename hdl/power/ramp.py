"""Ramp arbiter: one domain at a time may close its switches."""

from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RampArbiter"]


class RampArbiter(wiring.Component):
    """Share the supply's capacity for a rush of current among the domains of one level.

    Round robin: whoever waits sees at most ``count - 1`` others served first.  From a request to a
    free arbiter to its grant it takes 1 cycle; a grant that is returned passes on in the cycle
    after ``ramps`` has fallen.

    Parameters
    ----------
    count : int
        Domains, at least 1.

    Members
    -------
    ramps : In(count)
        Levels: wants to ramp, and until it has.  May be withdrawn at any time.
    grants : Out(count)
        At most one bit; stays while its bit of ``ramps`` does.
    pause : In(1)
        Level: give no more grants; the other level wants the supply for itself.
    paused : Out(1)
        While ``pause``: no grant is out and none will be given.  Falls after ``pause``.
    """

    def __init__(self, count: int):
        if count < 1:
            raise ValueError(f"count must be at least 1, not {count!r}")
        self.count = count
        super().__init__(
            {
                "ramps": In(count),
                "grants": Out(count),
                "pause": In(1),
                "paused": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build the turn and the grant."""
        m = Module()
        count = self.count
        last = Signal(range(count))  # who had the last grant
        chosen = Signal(range(count))
        held, free = Signal(), Signal()
        m.d.comb += [
            held.eq((self.grants & self.ramps).any()),
            free.eq(~held & ~self.pause),
        ]
        with m.Switch(last):
            for turn in range(count):
                with m.Case(turn):
                    # The later assignment wins: the one right behind `turn`.
                    for behind in range(count, 0, -1):
                        with m.If(self.ramps[(turn + behind) % count]):
                            m.d.comb += chosen.eq((turn + behind) % count)
        with m.If(~held):
            m.d.sync += [self.grants.eq(0), self.paused.eq(self.pause)]
        with m.If(free & self.ramps.any()):
            m.d.sync += [self.grants.eq(1 << chosen), last.eq(chosen)]

        if platform == "formal":  # proved once and for all: a simulation need not ask again
            self.promise(m, last, free)
        return m

    def promise(self, m: Module, last: Signal, free: Signal) -> None:
        """Assert exclusion, and that nobody starves."""
        count = self.count
        grants = self.grants
        was_free = Signal()
        was_held, was_ramps, was_grants = (Signal(count) for _ in range(3))
        m.d.sync += [
            was_free.eq(free & self.ramps.any()),
            was_held.eq(grants & self.ramps),
            was_ramps.eq(self.ramps),
            was_grants.eq(grants),
            Assert((grants & (grants - 1)) == 0, "two domains ramp at once"),
            Assert(~self.paused | (grants == 0), "a grant during a pause"),
            Assert((was_held & ~grants) == 0, "a grant is taken away"),
            Assert(~was_free | (grants & was_ramps).any(), "nobody gets a grant that is free"),
            Assert(last < count, "a turn of nobody"),
        ]
        for who in range(count):
            passed = Signal(range(count + 1), name=f"passed_{who}")  # others served meanwhile
            away = Signal(range(count + 1), name=f"away_{who}")  # turns until its own
            m.d.comb += away.eq(Mux(last < who, who - last, count + who - last))
            waits = self.ramps[who] & ~grants[who]
            served = (grants & ~was_grants).any()
            with m.If(~waits):
                m.d.sync += passed.eq(0)
            with m.Elif(served):
                m.d.sync += passed.eq(passed + 1)
            m.d.sync += Assert(~waits | (passed + served <= count - away), "a domain starves")
