# amaranth: UnusedElaboratable=no

"""Time of day, events that are remembered, and pulses that cross clocks."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from hdl.power.crossing import EventCrossing
from hdl.power.wake import Rtc, WakeSources
from verif.formal import prove


@pytest.mark.formal
def test_no_event_is_lost_or_forgotten():
    prove(WakeSources(), name="wake_sources", max_steps=10)


def run(dut, testbench):
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


def test_time_counts_seconds_and_is_set():
    dut = Rtc()

    async def testbench(ctx):
        assert ctx.get(dut.time.as_value()) == 0
        await ctx.tick().repeat(5)
        assert ctx.get(dut.time.fraction) == 5
        ctx.set(dut.set_time, {"seconds": 41, "fraction": 32766})
        ctx.set(dut.set, 1)
        await ctx.tick()
        ctx.set(dut.set, 0)
        await ctx.tick().repeat(2)
        assert (ctx.get(dut.time.seconds), ctx.get(dut.time.fraction)) == (42, 0)

    run(dut, testbench)


def test_alarm_is_due_in_time_and_when_it_is_past():
    dut = Rtc()

    async def testbench(ctx):
        ctx.set(dut.alarm.fraction, 10)
        ctx.set(dut.armed, 1)
        for time in range(20):
            assert ctx.get(dut.time.fraction) == time
            assert ctx.get(dut.due) == (time > 10)
            await ctx.tick()
        ctx.set(dut.armed, 0)
        await ctx.tick()
        assert ctx.get(dut.due) == 0
        ctx.set(dut.armed, 1)
        await ctx.tick()
        assert ctx.get(dut.due) == 1

    run(dut, testbench)


def test_events_are_edges_and_stay_until_cleared():
    dut = WakeSources()

    async def testbench(ctx):
        ctx.set(dut.mask, 0b0010)
        for source in (0, 1, 2):
            ctx.set(dut.wake, 1 << source)
            await ctx.tick().repeat(4)
            assert ctx.get(dut.pending) == (2 << source) - 1
            assert ctx.get(dut.request) == (source >= 1)
        ctx.set(dut.timer, 1)
        ctx.set(dut.clear, 0b1111)
        await ctx.tick()  # the event of this cycle is kept
        assert ctx.get(dut.pending) == 0b1000
        await ctx.tick().repeat(4)
        assert ctx.get(dut.pending) == 0  # levels that stay are no new events

    run(dut, testbench)


@pytest.mark.parametrize(("fast", "slow"), [(1.0, 7.3), (1.0, 1.1), (5.7, 1.0)])
def test_pulses_cross_between_any_clocks(fast, slow):
    seed = 3
    rng = random.Random(seed)
    dut = EventCrossing("fast", "slow")
    top = Module()
    top.submodules.dut = dut
    log = []

    async def send(ctx):
        for _ in range(150):
            for _ in range(rng.randint(1, 3)):
                ctx.set(dut.i, 1)
                await ctx.tick("fast")
                log.append("sent")
                ctx.set(dut.i, 0)
                await ctx.tick("fast").repeat(int(2 ** rng.uniform(0, 5)))
            await ctx.tick("slow").repeat(12)
            await ctx.tick("fast").repeat(12)
            assert log[-1] == "arrived", f"seed {seed}: a pulse is lost: {log[-6:]}"

    async def receive(ctx):
        while True:
            _, _, pulse = await ctx.tick("slow").sample(dut.o)
            if pulse:
                log.append("arrived")

    sim = Simulator(top)
    sim.add_clock(fast * 1e-6, domain="fast")
    sim.add_clock(slow * 1e-6, domain="slow")
    sim.add_testbench(send)
    sim.add_testbench(receive, background=True)
    sim.run()
    assert 150 <= log.count("arrived") <= log.count("sent"), f"seed {seed}"
