# amaranth: UnusedElaboratable=no

"""The sequencer of one power domain: times, order, failures, and the proof of its promises."""

import pytest
from amaranth.hdl import Module, Mux, Signal
from amaranth.sim import Simulator

from hdl.power.domains import Level, PowerDomain, PowerState, Retention
from hdl.power.ramp import RampArbiter
from hdl.power.sequencer import Sequencer
from verif.formal import prove


def domain(retention, steps=2):
    return PowerDomain(
        name="x", level=Level.FAST, retention=retention, steps=steps, contents="a test"
    )


@pytest.mark.formal
@pytest.mark.parametrize(
    ("retention", "steps", "settle"),
    [
        (Retention.NONE, 4, 1),
        (Retention.REGISTERS, 2, 0),
        (Retention.ARRAY, 2, 2),
        (Retention.ARRAY, 1, 0),
        (Retention.NON_VOLATILE, 2, 2),
    ],
)
def test_sequencer_keeps_its_promises(retention, steps, settle):
    dut = Sequencer(domain(retention, steps), timeout=6, settle=settle)
    prove(dut, name=f"sequencer_{retention.name.lower()}_{steps}_{settle}", max_steps=40)


class Bench:
    """A sequencer, a free arbiter, and a supply that is good `delay` cycles after it closed."""

    def __init__(self, retention, *, steps=2, delay=0, timeout=30, settle=0):
        self.steps, self.delay, self.timeout = steps, delay, timeout
        self.dut = dut = Sequencer(domain(retention, steps), timeout=timeout, settle=settle)
        self.arbiter = arbiter = RampArbiter(1)
        self.top = Module()
        self.top.submodules.dut = dut
        self.top.submodules.arbiter = arbiter
        self.good_for = Signal(range(1000))
        self.dead = Signal()
        closed = dut.control.switches.all()
        self.top.d.sync += self.good_for.eq(Mux(closed, self.good_for + 1, 0))
        self.top.d.comb += [
            arbiter.ramps.eq(dut.ramp),
            dut.granted.eq(arbiter.grants),
            dut.control.good.eq(closed & (self.good_for >= delay) & ~self.dead),
            dut.request.permit.eq(1),
        ]

    def run(self, testbench):
        sim = Simulator(self.top)
        sim.add_clock(1e-6)
        sim.add_testbench(testbench)
        sim.run()

    def want(self, ctx, state):
        ctx.set(self.dut.request.target, state)

    async def until(self, ctx, condition, limit=200):
        """Cycles until ``condition()`` holds."""
        for cycle in range(limit):
            if condition():
                return cycle
            await ctx.tick()
        raise AssertionError(f"not within {limit} cycles")

    async def until_state(self, ctx, state, limit=200):
        return await self.until(ctx, lambda: ctx.get(self.dut.request.state) == state, limit)


KINDS = {
    Retention.NONE: (0, 0),
    Retention.NON_VOLATILE: (0, 0),
    Retention.ARRAY: (1, 1),
    Retention.REGISTERS: (2, 2),
}
"""Cycles that a kind takes more than others on the way up and down."""


@pytest.mark.parametrize("retention", KINDS, ids=lambda kind: kind.name.lower())
@pytest.mark.parametrize(("steps", "delay"), [(1, 0), (2, 0), (2, 50), (4, 3)])
def test_takes_the_stated_cycles(retention, steps, delay):
    bench = Bench(retention, steps=steps, delay=delay, timeout=steps + delay + 5)
    control = bench.dut.control
    up, down = KINDS[retention]

    async def testbench(ctx):
        for target in (PowerState.OFF, PowerState.RETAIN):
            bench.want(ctx, PowerState.ON)
            assert await bench.until_state(ctx, PowerState.ON) == steps + delay + 4 + up
            bench.want(ctx, target)
            assert await bench.until(ctx, lambda: ctx.get(control.isolate)) == 2
            left = await bench.until(ctx, lambda: ctx.get(control.switches) == 0)
            assert left == steps + 2 + down
            kept = target == PowerState.RETAIN and down > 0
            await bench.until(ctx, lambda: ctx.get(bench.dut.rest))
            state = PowerState.RETAIN if kept else PowerState.OFF
            assert ctx.get(bench.dut.request.state) == state
            assert ctx.get(control.retain) == (kept and retention is Retention.ARRAY)

    bench.run(testbench)
