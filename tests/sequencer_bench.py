"""A sequencer on its own, for tests: a free arbiter, and a supply that takes its time."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.sim import Simulator

from hdl.power.domains import Level, PowerDomain
from hdl.power.ramp import RampArbiter
from hdl.power.sequencer import Sequencer


def domain(retention, steps=2):
    return PowerDomain(
        name="x", level=Level.FAST, retention=retention, steps=steps, contents="a test"
    )


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
