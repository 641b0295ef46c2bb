# amaranth: UnusedElaboratable=no

"""Sequencer, switches and domain together: all comes back, unless one protection is taken away."""

import pytest
from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from switched_toy import CLAMPS, TABLE, WORDS, Toy, contents, domain, simulate, wait, work

from hdl.power.domains import PowerState, Retention
from hdl.power.scramble import SwitchModel
from hdl.power.sequencer import Sequencer
from hdl.power.signals import PowerRequest
from hdl.power.switched import Switched
from hdl.power.tamper import Tamper, tampered

SEEDS = range(1, 6)
SLEEPS = 3


class Sequenced(wiring.Component):
    """The toy under its sequencer."""

    def __init__(self, retention):
        self.domain = domain(retention)
        self.toy = Toy()
        retained = [self.toy.setting] if retention is Retention.REGISTERS else []
        self.switched = Switched(
            self.toy, self.domain, power_aware=True, clamps=CLAMPS, retained=retained
        )
        super().__init__({"request": In(PowerRequest()), "tamper": In(Tamper)})

    def elaborate(self, platform):
        m = Module()
        steps = self.domain.steps
        m.submodules.sequencer = sequencer = Sequencer(self.domain, timeout=40)
        m.submodules.model = model = SwitchModel(steps, 7)
        m.submodules.switched = switched = self.switched
        wiring.connect(m, wiring.flipped(self.request), sequencer.request)
        passed = tampered(m, sequencer.control, self.tamper, domain=self.domain)
        wiring.connect(m, passed, switched.control)
        m.d.comb += [
            sequencer.granted.eq(sequencer.ramp),
            model.switches.eq(passed.switches),
            switched.supply.eq(model.good),
        ]
        # The world outside: what is not ON says nothing.
        clamped = Mux(switched.o.valid, switched.status == CLAMPS["status"], 0)
        on, was_on = self.request.state == PowerState.ON, Signal()
        m.d.sync += [
            was_on.eq(on),
            Assert(on | was_on | clamped, "a dead domain talks"),
        ]
        return m


def sleep(retention, seed, fault=None):
    """Work, sleep a few times, and see what is there: count, setting and memory."""
    dut = Sequenced(retention)
    toy, found = dut.switched, []

    async def reach(ctx, target, state):
        ctx.set(dut.request.target, target)
        for _ in range(80):
            await ctx.tick()
            if ctx.get(dut.request.state) == state:
                return
        raise AssertionError(f"{state} is not reached")

    async def testbench(ctx):
        keeps = retention in (Retention.ARRAY, Retention.REGISTERS)
        ctx.set(dut.request.permit, 1)
        ctx.set(toy.seed, seed)
        await reach(ctx, PowerState.ON, PowerState.ON)
        await work(ctx, toy)
        if fault:
            ctx.set(getattr(dut.tamper, fault), 1)
        for _ in range(SLEEPS):
            await reach(ctx, PowerState.RETAIN, PowerState.RETAIN if keeps else PowerState.OFF)
            await wait(ctx, 25)
            await reach(ctx, PowerState.ON, PowerState.ON)
        count, setting = ctx.get(toy.count), ctx.get(toy.threshold)
        memory, table = await contents(ctx, toy)
        found.append((count, setting, memory, table))

    simulate(dut, testbench)
    (result,) = found
    return result


def is_well(retention, seed, fault=None):
    """Whether all is there that must be, and nobody has heard a dead domain."""
    try:
        count, setting, memory, table = sleep(retention, seed, fault)
    except AssertionError as failure:
        print(failure)
        return False
    kept = setting == (257 * WORDS[3] if retention is Retention.REGISTERS else 0x1234)
    words = (memory == WORDS) == (retention is Retention.ARRAY)
    return count == 7 and kept and words and table == TABLE


@pytest.mark.parametrize("retention", Retention)
def test_sleeps_and_wakes(retention):
    for seed in SEEDS:
        assert is_well(retention, seed), f"seed {seed}"


@pytest.mark.parametrize(
    ("retention", "fault"),
    [
        (Retention.NONE, "isolate"),
        (Retention.NONE, "reset"),
        (Retention.REGISTERS, "keep"),
        (Retention.ARRAY, "retain"),
    ],
)
def test_every_protection_is_missed(retention, fault):
    for seed in SEEDS:
        assert not is_well(retention, seed, fault), f"nobody misses {fault} with seed {seed}"


def test_protection_that_a_domain_has_not_is_not_missed():
    assert is_well(Retention.NONE, 1, "keep")
    assert is_well(Retention.NONE, 1, "retain")
