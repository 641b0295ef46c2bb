# amaranth: UnusedElaboratable=no

"""The loader: a program without stalls in Amaranth's simulator, volume under Verilator, proof."""

from itertools import pairwise

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.sim import Simulator

from hdl.config import CONFIGS, SMALL
from hdl.engine.descriptor import DESCRIPTOR_WORDS, Operation
from hdl.engine.loader import Loader
from verif.formal import prove
from verif.program_stream import CacheModel, random_program
from verif.sim import simulate


def test_takes_a_word_a_cycle(rng):
    """Without stalls, every action takes its one cycle, and a descriptor one more to decode."""
    dut, cache = Loader(SMALL), CacheModel(rng, idle=0)
    programs, missing = [], {"rewind", "seek", "table", "tiles"}
    while missing or len(programs) < 5:
        jobs = len(programs) * 3 % 7
        programs.append(random_program(rng, SMALL, jobs, start=77 * jobs))
        missing -= {event.kind for event in programs[-1].events}
        assert len(programs) < 50

    async def run(ctx, program):
        cycles = 0
        cache.load(program)
        ctx.set(dut.start, 1)
        ctx.set(dut.program, program.start)
        stopped = False
        while not stopped:
            assert cycles < 2 * len(program.events), "the program does not end"
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
        # One action a cycle.  A descriptor takes one more to be decoded, in which a loop goes back,
        # and what does not begin with parameters waits until it is taken.
        kinds = [event.kind for event in program.events if event.kind != "end"]
        descriptors = kinds.count("descriptor") // DESCRIPTOR_WORDS
        backs = sum(a == "descriptor" and b in ("seek", "rewind") for a, b in pairwise(kinds))
        waits = sum(job & 0b111 != Operation.JOB.value for job in program.jobs)
        assert cycles == len(kinds) + descriptors - backs + waits

    async def testbench(ctx):
        for sink in (dut.parameters, dut.tiles, dut.table):
            ctx.set(sink.ready, 1)
        for program in programs:
            await run(ctx, program)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


class LoaderInUse(wiring.Component):
    """A loader with any stream and any sinks, and a sequencer like the engine's."""

    def __init__(self, config):
        self.config = config
        self.loader = loader = Loader(config)
        free = ("start", "program", "words", "address", "parameters", "tiles", "table", "seek")
        members = {name: loader.signature.members[name] for name in free}
        super().__init__({"done": In(1), **members})

    def elaborate(self, platform):
        m = Module()
        m.submodules.loader = loader = self.loader
        running = Signal()
        for sink in ("parameters", "tiles", "table", "seek"):
            wiring.connect(m, getattr(loader, sink), wiring.flipped(getattr(self, sink)))
        wiring.connect(m, wiring.flipped(self.words), loader.words)
        m.d.comb += [
            loader.start.eq(self.start & ~running),
            loader.program.eq(self.program),
            loader.address.eq(self.address),
            loader.taken.eq(loader.job_valid & ~running),
            loader.running.eq(running),
        ]
        with m.If(loader.taken):
            m.d.sync += running.eq(1)
        with m.Elif(self.done):
            m.d.sync += running.eq(0)
        return m


@pytest.mark.formal
@pytest.mark.parametrize("config", [CONFIGS["SMALL"], CONFIGS["ECP5"]], ids=lambda c: c.name)
def test_control_is_proved(config):
    """By induction, for every stream of words, descriptors or not, and every pattern of stalls."""
    prove(LoaderInUse(config), name=f"loader_{config.name.lower()}", max_steps=4)


@pytest.mark.sim
@pytest.mark.parametrize("config", [CONFIGS["SMALL"], CONFIGS["ECP5"]], ids=lambda c: c.name)
def test_loader_matches_programs(config):
    simulate(
        Loader(config),
        bench="verif.tb_loader",
        name=f"loader_{config.name.lower()}",
        parameters={"config": config.name},
    )
