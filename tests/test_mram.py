# amaranth: UnusedElaboratable=no

"""The MRAM macro: timing, contents and what it refuses."""

from dataclasses import replace

import pytest
from amaranth.sim import Simulator

from hdl.config import SMALL
from hdl.mram import MramMacro
from verif.sim import simulate

TINY = replace(SMALL, mram_kib=2)


def run(testbench, macro):
    async def process(ctx):
        await testbench(ctx, macro)

    sim = Simulator(macro)
    sim.add_clock(1e-6)
    sim.add_testbench(process)
    sim.run()


@pytest.mark.parametrize(("latency", "wakeup"), [(1, 1), (3, 50), (7, 2)])
def test_wakes_up_and_reads_in_the_stated_times(latency, wakeup):
    async def testbench(ctx, macro):
        ctx.set(macro.write.enable, 1)
        ctx.set(macro.write.address, 5)
        ctx.set(macro.write.data, 0xC0FFEE)
        await ctx.tick()
        ctx.set(macro.write.enable, 0)

        ctx.set(macro.read.power, 1)
        for _ in range(wakeup):
            assert not ctx.get(macro.read.ready)
            await ctx.tick()
        assert ctx.get(macro.read.ready)

        ctx.set(macro.read.enable, 1)
        ctx.set(macro.read.address, 5)
        for _ in range(latency):
            assert not ctx.get(macro.read.valid)
            await ctx.tick()
            ctx.set(macro.read.enable, 0)
        assert ctx.get(macro.read.valid)
        assert ctx.get(macro.read.data) == 0xC0FFEE
        await ctx.tick()
        assert not ctx.get(macro.read.valid)

        ctx.set(macro.read.power, 0)
        assert not ctx.get(macro.read.ready)

    run(testbench, MramMacro(replace(TINY, mram_latency=latency, mram_wakeup=wakeup)))


def test_reading_a_sleeping_macro_is_an_error():
    async def testbench(ctx, macro):
        ctx.set(macro.read.enable, 1)
        await ctx.tick()

    with pytest.raises(AssertionError, match="read from a sleeping MRAM"):
        run(testbench, MramMacro(TINY))


def test_removing_power_with_a_read_in_flight_is_an_error():
    async def testbench(ctx, macro):
        ctx.set(macro.read.power, 1)
        while not ctx.get(macro.read.ready):
            await ctx.tick()
        ctx.set(macro.read.enable, 1)
        await ctx.tick()
        ctx.set(macro.read.enable, 0)
        ctx.set(macro.read.power, 0)
        await ctx.tick()
        await ctx.tick()  # one by one: an error inside of repeat() leaves a generator behind

    with pytest.raises(AssertionError, match="MRAM power removed before a read returned"):
        run(testbench, MramMacro(TINY))


@pytest.mark.sim
@pytest.mark.parametrize(("latency", "wakeup"), [(1, 3), (3, 50)])
def test_macro_matches_model(latency, wakeup):
    simulate(
        MramMacro(replace(TINY, mram_latency=latency, mram_wakeup=wakeup)),
        bench="verif.tb_mram",
        name=f"mram_macro_{latency}_{wakeup}",
        parameters={"latency": latency, "wakeup": wakeup},
    )
