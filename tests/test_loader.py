# amaranth: UnusedElaboratable=no

"""The loader: a program without stalls in Amaranth's simulator, volume under Verilator, proof."""

import pytest
from amaranth.sim import Simulator

from hdl.config import CONFIGS, SMALL
from hdl.engine.loader import Loader
from verif.program_stream import CacheModel, random_program
from verif.sim import simulate


def test_takes_a_word_a_cycle(rng):
    """Without stalls, every action takes its one cycle, and a descriptor one more to decode."""
    dut, cache = Loader(SMALL), CacheModel(rng, idle=0)
    programs = [random_program(rng, SMALL, jobs, start=77 * jobs) for jobs in (1, 4, 0, 6)]
    kinds = {event.kind for program in programs for event in program.events}
    assert {"rewind", "seek", "table", "tiles"} < kinds

    async def run(ctx, program):
        cycles = 0
        cache.load(program)
        ctx.set(dut.start, 1)
        ctx.set(dut.program, program.start)
        stopped = False
        while not stopped:
            ctx.set(dut.words.valid, cache.valid)
            ctx.set(dut.words.payload, cache.payload)
            ctx.set(dut.address, cache.address)
            ctx.set(dut.taken, ctx.get(dut.job_valid))
            stopped = ctx.get(dut.stop)
            actions = {
                "seek": ctx.get(dut.seek.payload) if ctx.get(dut.seek.valid) else None,
                "rewind": ctx.get(dut.rewind),
                "ready": ctx.get(dut.words.ready),
                "keep": ctx.get(dut.keep),
            }
            await ctx.tick()
            cache.cycle(**actions)
            ctx.set(dut.start, 0)
            cycles += 1
        assert ctx.get(dut.ended)
        assert cache.address == program.here
        # One action a cycle; a job's descriptor is decoded and, before a table, taken.
        tables = sum(event.kind == "table" for event in program.events) // 64
        assert cycles == len(program.events) + len(program.jobs) + tables

    async def testbench(ctx):
        for sink in (dut.parameters, dut.tiles, dut.table):
            ctx.set(sink.ready, 1)
        for program in programs:
            await run(ctx, program)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


@pytest.mark.sim
@pytest.mark.parametrize("config", [CONFIGS["SMALL"], CONFIGS["ECP5"]], ids=lambda c: c.name)
def test_loader_matches_programs(config):
    simulate(
        Loader(config),
        bench="verif.tb_loader",
        name=f"loader_{config.name.lower()}",
        parameters={"config": config.name},
    )
