# amaranth: UnusedElaboratable=no

"""Windows into the activation memory: by hand, at random beside runs and a host, and by proof."""

import random

import pytest
from amaranth.hdl import Assert, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.sim import Simulator
from window_bench import Bench, word, written

from hdl.audio.feature_window import window_word
from hdl.config import SMALL
from hdl.soc.window_writer import LINGER, WindowWriter
from verif.formal import prove

WORD = window_word(SMALL.rows, SMALL.bank_address_bits)
CYCLES = 30_000


def run(testbench):
    dut = WindowWriter(SMALL)

    async def wrapped(ctx):
        await testbench(ctx, dut)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(wrapped)
    sim.run()


def test_windows_between_runs_and_a_host():
    seed = 5
    bench = Bench(random.Random(seed))

    async def testbench(ctx, dut):
        print("seed", seed)
        for _ in range(CYCLES):
            bench.cycle(ctx, dut)
            await ctx.tick()

    run(testbench)
    print(bench.seen)
    assert bench.seen["words"] > 500
    assert bench.seen["windows"] > 100
    assert bench.seen["starts"] > 50
    for name in (
        "withdrawn", "run over a word", "host over a word", "released unstarted",
        "released in its run", "back to back", "written while lingering", "run while lingering",
        "host while lingering", "lingered",
    ):  # fmt: skip
        assert bench.seen[name] > 5, name


def test_a_word_is_written_once_when_the_memory_is_ready():
    async def testbench(ctx, dut):
        fields = word(random.Random(1), last=True)
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload, fields)
        await ctx.tick()
        for _ in range(4):
            assert ctx.get(dut.memory.open)
            assert ctx.get(dut.taken)
            assert not ctx.get(dut.i.ready)
            await ctx.tick()
        ctx.set(dut.memory.ready, 1)
        assert ctx.get(dut.memory.enable)
        assert ctx.get(dut.i.ready)
        assert written(ctx, dut.memory) == fields | {"last": 0}
        await ctx.tick()
        for _ in range(5):  # the next window waits
            assert ctx.get(dut.full)
            assert not ctx.get(dut.memory.open)
            assert not ctx.get(dut.i.ready)
            assert not ctx.get(dut.start)
            await ctx.tick()
        ctx.set(dut.automatic, 1)
        assert ctx.get(dut.start)
        await ctx.tick()
        assert ctx.get(dut.started)
        assert not ctx.get(dut.start), "started twice"
        ctx.set(dut.release, 1)
        await ctx.tick()
        ctx.set(dut.release, 0)
        assert not ctx.get(dut.full)
        assert not ctx.get(dut.started)
        await ctx.tick()
        assert ctx.get(dut.memory.open)

    run(testbench)


@pytest.mark.parametrize("ends", ["nothing", "run", "word"])
def test_lingers_behind_a_word(ends):
    """Segments stay on for `LINGER` cycles, unless a run begins."""

    async def testbench(ctx, dut):
        rng = random.Random(3)
        ctx.set(dut.memory.ready, 1)
        ctx.set(dut.i.valid, 1)
        await ctx.tick()
        for _ in range(3):  # back to back
            fields = word(rng, last=False)
            ctx.set(dut.i.payload, fields)
            assert ctx.get(dut.i.ready)
            assert written(ctx, dut.memory) == fields
            await ctx.tick()
        ctx.set(dut.i.valid, 0)
        for _ in range(LINGER if ends == "nothing" else LINGER - 1):
            assert ctx.get(dut.memory.open)
            assert ctx.get(dut.taken)
            assert not ctx.get(dut.memory.enable)
            await ctx.tick()
        if ends == "word":  # in the last cycle, and it begins anew
            ctx.set(dut.i.valid, 1)
            assert ctx.get(dut.memory.enable)
            await ctx.tick()
            ctx.set(dut.i.valid, 0)
            for _ in range(LINGER):
                assert ctx.get(dut.memory.open)
                await ctx.tick()
        elif ends == "run":  # in this very cycle; a word that comes waits for its end
            ctx.set(dut.busy, 1)
            ctx.set(dut.i.valid, 1)
            for _ in range(5):
                assert not ctx.get(dut.memory.open)
                assert not ctx.get(dut.i.ready)
                await ctx.tick()
            ctx.set(dut.busy, 0)
            await ctx.tick()
            assert ctx.get(dut.i.ready)
            return
        assert not ctx.get(dut.memory.open)
        assert not ctx.get(dut.taken)

    run(testbench)


def test_a_host_ends_the_lingering_at_once():
    async def testbench(ctx, dut):
        ctx.set(dut.memory.ready, 1)
        ctx.set(dut.i.valid, 1)
        await ctx.tick()
        ctx.set(dut.host, 1)  # over a word: the word is first
        assert ctx.get(dut.memory.enable)
        await ctx.tick()
        ctx.set(dut.i.valid, 0)
        assert ctx.get(dut.taken)
        await ctx.tick()
        ctx.set(dut.i.valid, 1)
        for _ in range(5):
            assert not ctx.get(dut.taken)
            assert not ctx.get(dut.memory.open)
            assert not ctx.get(dut.i.ready)
            await ctx.tick()
        ctx.set(dut.host, 0)
        await ctx.tick()
        assert ctx.get(dut.i.ready)

    run(testbench)


def test_lingering_that_was_cut_short_counts_for_nothing():
    """A word that is withdrawn before it is written has all of the time."""

    async def testbench(ctx, dut):
        ctx.set(dut.i.valid, 1)
        await ctx.tick()
        ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(LINGER // 2)
        assert ctx.get(dut.taken)
        ctx.set(dut.busy, 1)
        await ctx.tick()
        ctx.set(dut.busy, 0)
        ctx.set(dut.i.valid, 1)
        await ctx.tick()
        ctx.set(dut.i.valid, 0)
        for _ in range(LINGER):
            assert ctx.get(dut.taken)
            await ctx.tick()
        assert not ctx.get(dut.taken)

    run(testbench)


def test_a_release_of_nothing_releases_nothing_later():
    async def testbench(ctx, dut):
        ctx.set(dut.release, 1)
        ctx.set(dut.memory.ready, 1)
        await ctx.tick().repeat(3)
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload, word(random.Random(2), last=True))
        await ctx.tick()
        assert ctx.get(dut.i.ready)
        await ctx.tick()  # released in the cycle that completes it: that is of before
        ctx.set(dut.release, 0)
        assert ctx.get(dut.full)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.full)

    run(testbench)


class Surroundings(wiring.Component):
    """Anything may come in; what a chip relies on is asserted from outside."""

    valid: In(1)
    word: In(WORD)
    ready: In(1)
    busy: In(1)
    host: In(1)
    automatic: In(1)
    release: In(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = WindowWriter(SMALL)
        memory = dut.memory
        m.d.comb += [
            dut.i.valid.eq(self.valid),
            dut.i.payload.eq(self.word),
            memory.ready.eq(self.ready & memory.open),
            dut.busy.eq(self.busy),
            dut.host.eq(self.host),
            dut.automatic.eq(self.automatic),
            dut.release.eq(self.release),
        ]
        was_host, was_taken, was_full, may_fall, completed, begun = (Signal() for _ in range(6))
        gives_way = Signal()
        m.d.sync += [
            was_host.eq(self.host),
            was_taken.eq(dut.taken),
            was_full.eq(dut.full),
            may_fall.eq(self.release),
            completed.eq(memory.enable & self.word.last),
            begun.eq((begun | dut.start) & ~self.release),
            gives_way.eq(dut.taken & self.host & ~self.valid),
            Assert(~gives_way | ~dut.taken, "lingers though the host waits"),
            Assert(memory.open == dut.taken, "the host is not told"),
            Assert(~memory.open | ~self.busy, "open while a program runs"),
            Assert(~dut.taken | was_taken | ~was_host, "opened over the host"),
            Assert(~was_taken | ~dut.taken | ~dut.full, "a word after a window's last"),
            Assert(memory.enable == dut.i.ready, "a word leaves when it is written"),
            Assert(~memory.enable | (memory.ready & memory.write), "written too early"),
            Assert(~memory.enable | (self.valid & ~dut.full), "written without a word"),
            Assert(
                ~dut.start | (dut.full & self.automatic & ~self.busy & ~self.host),
                "a run at the wrong time",
            ),
            Assert(~dut.start | ~begun, "a window starts two runs"),
            Assert(begun == dut.started, "a run that nobody is told of"),
            Assert(dut.full == (completed | (was_full & ~may_fall)), "a window comes or goes"),
        ]
        return m


@pytest.mark.formal
def test_invariants():
    prove(Surroundings(), name="window_writer", max_steps=8)
