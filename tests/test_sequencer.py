# amaranth: UnusedElaboratable=no

"""The sequencer of one power domain: times, order, failures, and the proof of its promises."""

from dataclasses import replace

import pytest
from sequencer_bench import Bench, domain

from hdl.power.domains import Level, PowerState, Retention
from hdl.power.sequencer import Sequencer
from verif.formal import prove


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


@pytest.mark.parametrize(
    ("changes", "timeout", "settle", "message"),
    [
        ({"level": Level.ALWAYS_ON}, 9, 0, "domain 'x' is always on and has no sequencer"),
        ({"steps": 0}, 9, 0, "domain 'x' must have at least 1 step, not 0"),
        ({}, 9, -1, "settle must be at least 0, not -1"),
        ({}, 4, 2, r"timeout must be more than steps \+ settle \(4\), not 4"),
    ],
)
def test_rejects_parameters(changes, timeout, settle, message):
    with pytest.raises(ValueError, match=message):
        Sequencer(replace(domain(Retention.NONE), **changes), timeout=timeout, settle=settle)


@pytest.mark.parametrize("retention", KINDS, ids=lambda kind: kind.name.lower())
def test_dead_supply_is_an_error_in_a_safe_state(retention):
    bench = Bench(retention, delay=900, timeout=12)
    control, request = bench.dut.control, bench.dut.request

    async def testbench(ctx):
        for _ in range(2):
            bench.want(ctx, PowerState.ON)
            # The grant, the first switch, 12 cycles with it, two switches open again.
            assert await bench.until(ctx, lambda: ctx.get(request.error)) == 2 + 12 + 2
            for _ in range(20):
                assert ctx.get(request.error) == 1
                assert ctx.get(control.switches) == 0
                assert ctx.get(control.isolate) & ctx.get(control.reset)
                assert ctx.get(request.state) == PowerState.OFF
                await ctx.tick()
            bench.want(ctx, PowerState.OFF)
            assert await bench.until(ctx, lambda: not ctx.get(request.error)) == 1

    bench.run(testbench)


@pytest.mark.parametrize("retention", KINDS, ids=lambda kind: kind.name.lower())
def test_change_of_mind_before_a_switch_opens_keeps_the_supply(retention):
    for cycles in range(1, 4 + KINDS[retention][1]):
        bench = Bench(retention)
        control = bench.dut.control

        async def testbench(ctx, cycles=cycles, bench=bench, control=control):
            bench.want(ctx, PowerState.ON)
            await bench.until_state(ctx, PowerState.ON)
            bench.want(ctx, PowerState.RETAIN)
            await ctx.tick().repeat(cycles)
            bench.want(ctx, PowerState.ON)
            for _ in range(20):
                assert ctx.get(control.switches) == 0b11, f"after {cycles} cycles"
                await ctx.tick()
            assert ctx.get(bench.dut.request.state) == PowerState.ON

        bench.run(testbench)
