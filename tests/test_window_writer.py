# amaranth: UnusedElaboratable=no

"""Windows into the activation memory: by hand, at random beside runs and a host, and by proof."""

import random
from collections import Counter

import pytest
from amaranth.hdl import Assert, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.sim import Simulator

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


def word(rng, *, last):
    return {
        "bank": rng.randrange(4),
        "address": rng.randrange(1 << SMALL.bank_address_bits),
        "data": [rng.randrange(256) for _ in range(SMALL.rows)],
        "last": int(last),
    }


def written(ctx, port):
    """What the memory is told to write, as a word that is not its window's last."""
    data = ctx.get(port.data)
    return {
        "bank": ctx.get(port.bank),
        "address": ctx.get(port.address),
        "data": [data >> 8 * k & 0xFF for k in range(SMALL.rows)],
        "last": 0,
    }


class Bench:
    """All around a writer: a source of windows, a memory that takes its time, runs, and a host.

    What happens is counted in ``seen``; what the writer may do is checked in every cycle.
    """

    def __init__(self, rng):
        self.rng = rng
        self.seen = Counter()
        self.queue, self.windows = [], 0
        self.offered, self.ready_in = False, 0
        self.running, self.host_for = 0, 0
        self.full, self.started, self.was_host, self.was_taken = False, False, False, False
        self.opened, self.was_enable = False, False
        self.lone, self.silent, self.calm = 0, 0, False

    def new_window(self):
        """Words of a window; the source offers no other one before its last."""
        count = self.rng.randint(1, 6)
        self.queue = [word(self.rng, last=k == count - 1) for k in range(count)]

    def offer(self, ctx, dut):
        """A word now and then; sometimes the source is reset, and starts its window again."""
        chance = self.rng.random
        if not self.queue:
            self.new_window()
        if self.offered and chance() < 0.02:
            self.offered = False
            self.seen["withdrawn"] += self.was_taken
            self.new_window()
        elif not self.offered and self.silent:
            self.silent -= 1
        elif not self.offered:
            self.offered = chance() < 0.3
            if chance() < 0.04:
                self.silent = self.rng.randint(LINGER - 5, 2 * LINGER)
                self.calm = chance() < 0.7
        ctx.set(dut.i.valid, self.offered)
        ctx.set(dut.i.payload, self.queue[0] if self.offered else {})

    def surroundings(self, ctx, dut):
        """Runs that begin at any time, a host, an automatic start that changes, releases."""
        chance = self.rng.random
        calm = self.silent > 0 and self.calm
        if self.running == 0 and not calm and chance() < 0.02:
            self.running = self.rng.randint(1, 30)
            self.seen["run over a word"] += self.was_taken
        if self.host_for == 0 and not calm and chance() < 0.03:
            self.host_for = self.rng.randint(1, 12)
        release = chance() < 0.03
        self.automatic = chance() < 0.7
        ctx.set(dut.busy, self.running > 0)
        ctx.set(dut.host, self.host_for > 0)
        ctx.set(dut.release, release)
        ctx.set(dut.automatic, self.automatic)
        return release

    def memory(self, ctx, dut):
        """Ready some cycles after it was opened, and that at once if its segments are on."""
        if not ctx.get(dut.memory.open):
            self.ready_in = self.rng.choice((0, 0, 1, 5))
            ctx.set(dut.memory.ready, 0)
            return
        ctx.set(dut.memory.ready, self.ready_in == 0)
        self.ready_in = max(0, self.ready_in - 1)

    def cycle(self, ctx, dut):
        """Set the inputs of a cycle and check what the writer does in it."""
        assert ctx.get(dut.full) == self.full
        assert ctx.get(dut.started) == self.started
        self.offer(ctx, dut)
        release = self.surroundings(ctx, dut)
        self.memory(ctx, dut)
        busy, host = self.running > 0, self.host_for > 0
        taken, enable, start = (
            ctx.get(signal) for signal in (dut.taken, dut.memory.enable, dut.start)
        )
        assert ctx.get(dut.memory.open) == taken
        assert taken == (self.opened and not busy), "open at the wrong time"
        assert not (taken and not self.was_taken and self.was_host), "opened over the host"
        assert ctx.get(dut.i.ready) == enable
        if enable:
            assert taken
            assert self.offered
            assert not self.full
            assert ctx.get(dut.memory.ready)
            assert ctx.get(dut.memory.write)
            expected = self.queue.pop(0)
            assert written(ctx, dut.memory) == expected | {"last": 0}
            self.offered = False
            self.seen["words"] += 1
        was_full, completed = self.full, enable and expected["last"]
        may = self.full and not self.started and self.automatic and not busy and not host
        assert start == (may and not release)
        self.seen["starts"] += start
        self.seen["released unstarted"] += release and self.full and not self.started
        self.seen["released in its run"] += release and self.started and busy
        if release and self.full:
            self.full = self.started = False
        if start:
            self.started, self.running = True, self.rng.randint(2, 30)
        elif self.running:
            self.running -= 1
        if completed:
            self.full = True
            self.seen["windows"] += 1
        self.host_for = max(0, self.host_for - 1) if not taken else self.host_for
        self.follow(enable, busy, host, was_full)
        self.opened &= not completed
        self.was_host, self.was_taken, self.was_enable = host, taken, enable

    def follow(self, enable, busy, host, full):
        """Model of the writer: it opens for a word, and lingers until there is a reason not to."""
        waiting = self.offered or enable
        if not self.opened:
            self.opened, self.lone = waiting and not full and not busy and not host, 0
            return
        lingers = not waiting and not busy
        self.seen["back to back"] += enable and self.was_enable
        self.seen["written while lingering"] += enable and self.lone > 0
        self.seen["run while lingering"] += busy and self.lone > 0 and not waiting
        self.seen["host while lingering"] += host and lingers
        self.seen["host over a word"] += host and waiting and not enable
        self.lone = 0 if enable else self.lone + lingers
        self.seen["lingered"] += lingers and self.lone == LINGER
        self.opened = not busy and not (lingers and (host or self.lone == LINGER))


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
