# amaranth: UnusedElaboratable=no

"""Words between clocks that stop and sides that are reset: for all time, and with real clocks."""

import random
from collections import Counter
from functools import partial
from itertools import groupby

import pytest
from amaranth.hdl import Assert, ClockDomain, DomainRenamer, EnableInserter, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, connect
from amaranth.sim import Simulator

from hdl.power.handshake import CONFIRMED, HandshakeSink, HandshakeSource
from verif.formal import prove


class Crossing(wiring.Component):
    """Both ends, each with a clock that ticks when it likes, and a judge of what arrives.

    What the sink samples while it changes is noise.
    """

    clk: In(1)
    source_ticks: In(1)
    sink_ticks: In(1)
    offer: In(1)
    word: In(1)
    noise: In(1)
    take: In(1)

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = always = ClockDomain(reset_less=True)
        m.d.comb += always.clk.eq(self.clk)
        source, sink = HandshakeSource(1), HandshakeSink(1)
        m.submodules.source = EnableInserter(self.source_ticks)(source)
        m.submodules.sink = EnableInserter(self.sink_ticks)(sink)
        accepted, taken = Signal(), Signal()
        m.d.comb += [
            source.i.valid.eq(self.offer),
            source.i.payload.eq(self.word),
            accepted.eq(source.i.valid & source.i.ready & self.source_ticks),
            sink.i.request.eq(source.o.request),
            sink.i.payload.eq(Mux(accepted, self.noise, source.o.payload)),
            source.o.acknowledge.eq(sink.i.acknowledge),
            source.o.seen.eq(sink.i.seen),
            sink.o.ready.eq(self.take),
            taken.eq(sink.o.valid & sink.o.ready & self.sink_ticks),
        ]
        waiting, word = Signal(), Signal()
        with m.If(accepted):
            m.d.sync += [
                Assert(~waiting, "a word is lost"),
                waiting.eq(1),
                word.eq(self.word),
            ]
        with m.If(taken):
            m.d.sync += [
                Assert(waiting, "a word comes twice"),
                Assert(sink.o.payload == word, "not the word that was sent"),
                waiting.eq(0),
            ]
        # What holds in every phase, for the induction.
        request, taken_there, answer = source.o.request, sink.i.acknowledge, source.answer
        age = Mux(taken_there, CONFIRMED, 0)
        m.d.sync += Assert(waiting == (request & ~taken_there))
        with m.If(request):
            m.d.sync += [
                Assert(~answer | taken_there),
                Assert(~taken_there | sink.arrived),
                Assert(~taken_there | (sink.age == CONFIRMED)),
                Assert(sink.arrived | (sink.age == 0)),
                Assert(source.o.payload == word),
                Assert((sink.age == 0) | (sink.o.payload == word)),
            ]
        with m.Else():
            m.d.sync += [
                Assert(~sink.arrived | taken_there),
                Assert(~taken_there | answer),
                Assert(sink.age == age),
            ]
        return m


@pytest.mark.formal
def test_no_word_is_lost_or_doubled():
    prove(Crossing(), name="handshake", max_steps=30)


WORD_BITS = 16
WORDS = 150
RESET_TICKS = 4
SEEDS = range(2)


class Ends(wiring.Component):
    """Both ends in clock domains of their own, which the test drives.

    The source's reset is asynchronous, as a clamp is.
    """

    def __init__(self):
        super().__init__({})
        self.source, self.sink = HandshakeSource(WORD_BITS), HandshakeSink(WORD_BITS)
        self.here, self.there = ClockDomain("here", async_reset=True), ClockDomain("there")

    def elaborate(self, platform):
        m = Module()
        m.domains.here, m.domains.there = self.here, self.there
        m.submodules.source = DomainRenamer("here")(self.source)
        m.submodules.sink = DomainRenamer("there")(self.sink)
        connect(m, self.source.o, self.sink.i)
        return m


class Link:
    """Two clocks of any ratio that sometimes stand still, a source and a sink that stall.

    No word is 0, which is what a reset makes of it.
    """

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.ends = Ends()
        self.sent, self.received = [], []
        self.ticks, self.seen = Counter(), Counter()
        self.stopped = {"here": False, "there": False}
        self.resetting = False

    def pause(self, most_bits):
        """A count or a time of any magnitude."""
        return 2 ** self.rng.uniform(0, most_bits)

    async def clock(self, ctx, side):
        """Tick; now and then with another period, or not at all for a while."""
        clk, period = getattr(self.ends, side).clk, self.pause(5)
        while True:
            if self.rng.random() < 0.005:
                period, self.stopped[side] = self.pause(5), True
                await ctx.delay(self.pause(11) * 1e-9)
                self.stopped[side] = False
                self.seen[f"{side} stops"] += 1
            for level in (1, 0):
                ctx.set(clk, level)
                await ctx.delay(period / 2 * 1e-9)
            self.ticks[side] += 1

    async def reset(self, ctx, side):
        """Reset a side at any time, for its own cycles and for those of a clock that runs."""
        rst, other = getattr(self.ends, side).rst, {"here": "there", "there": "here"}[side]
        while True:
            await ctx.delay(self.pause(12) * 1e-9)
            was = self.ends.source.o.request, self.ends.sink.i.acknowledge
            self.seen[f"{side} reset with {''.join(str(ctx.get(level)) for level in was)}"] += 1
            self.seen[f"{side} reset, {other} stopped"] += self.stopped[other]
            ctx.set(rst, 1)
            self.seen[f"{side} resets"] += 1
            for name in (side, other):
                last = self.ticks[name] + RESET_TICKS + 1
                while self.ticks[name] < last and not (name == other and self.stopped[other]):
                    await ctx.delay(10e-9)
            ctx.set(rst, 0)

    async def send(self, ctx):
        """Offer words, with pauses of any length; in the end, time for the last ones."""
        port = self.ends.source.i
        for number in range(1, WORDS + 1):
            word = number * 0x9E37 % (1 << WORD_BITS)
            for _ in range(int(self.pause(4))):
                await ctx.tick("here")
            ctx.set(port.payload, word)
            ctx.set(port.valid, 1)
            taken = False
            while not taken:
                edge, reset, ready = await ctx.tick("here").sample(port.ready)
                taken = edge and ready and not reset
            self.sent.append(word)
            ctx.set(port.valid, 0)
        await ctx.delay(5e-6)

    async def receive(self, ctx):
        """Take words, with pauses of any length."""
        port = self.ends.sink.o
        while True:
            ready = self.rng.random() < 0.3
            ctx.set(port.ready, ready)
            edge, reset, valid, word = await ctx.tick("there").sample(port.valid, port.payload)
            if edge and valid and ready and not reset:
                self.received.append(word)

    def run(self, *reset_sides):
        """All words from one end to the other."""
        sim = Simulator(self.ends)
        for side in ("here", "there"):
            sim.add_process(partial(self.clock, side=side))
        for side in reset_sides:
            sim.add_testbench(partial(self.reset, side=side), background=True)
        sim.add_testbench(self.receive, background=True)
        sim.add_testbench(self.send)
        sim.run()


@pytest.mark.parametrize("seed", SEEDS)
def test_words_between_clocks_that_stop(seed):
    link = Link(seed)
    link.run()
    assert link.received == link.sent, f"seed {seed}"
    assert len(link.sent) == WORDS
    assert min(link.seen[f"{side} stops"] for side in ("here", "there")) > 5


def test_resets_of_the_source_lose_the_word_on_its_way():
    lost = 0
    for seed in SEEDS:
        link = Link(seed)
        link.run("here")
        print("seed", seed, link.seen)
        arrived = iter(link.sent)
        assert all(word in arrived for word in link.received), "none that was sent, or twice"
        assert len(link.sent) - len(link.received) <= link.seen["here resets"]
        lost += len(link.sent) - len(link.received)
        for name in ("here reset with 00", "here reset with 10", "here reset with 11",
                     "here reset, there stopped"):  # fmt: skip
            assert link.seen[name] > 0, name
    assert lost > 0


def test_resets_of_the_sink_repeat_the_word_on_its_way():
    repeats = 0
    for seed in SEEDS:
        link = Link(seed)
        link.run("there")
        print("seed", seed, link.seen)
        once = [word for word, _ in groupby(link.received)]
        assert once == link.sent
        assert len(link.received) - len(once) <= link.seen["there resets"]
        repeats += len(link.received) - len(once)
        for name in ("there reset with 00", "there reset with 10", "there reset with 11",
                     "there reset, here stopped"):  # fmt: skip
            assert link.seen[name] > 0, name
    assert repeats > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_resets_of_both_sides_make_up_no_word(seed):
    link = Link(seed)
    link.run("here", "there")
    arrived = iter(link.sent)
    assert all(word in arrived for word, _ in groupby(link.received))
    assert len(link.received) > WORDS // 2


@pytest.mark.parametrize("cycles", range(12))
def test_what_a_clamp_makes_of_a_word_is_not_taken(cycles):
    """The payload falls in one cycle, the request only in the next: the wires are not equal."""
    dut, word, taken = HandshakeSink(WORD_BITS), 0xBEEF, []

    async def source(ctx):
        ctx.set(dut.i.request, 1)
        ctx.set(dut.i.payload, word)
        for _ in range(cycles):
            await ctx.tick()
        ctx.set(dut.i.payload, 0)
        await ctx.tick()
        ctx.set(dut.i.request, 0)
        for _ in range(12):
            await ctx.tick()

    async def sink(ctx):
        ctx.set(dut.o.ready, 1)
        while True:
            _, _, valid, offered = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid:
                taken.append(offered)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(source)
    sim.add_testbench(sink, background=True)
    sim.run()
    assert taken in ([], [word])
    assert taken or cycles < 2 * CONFIRMED


def test_a_sink_that_sleeps_through_a_reset_gets_what_comes_after_it():
    """Its clock stands with a word on offer, of which nothing is left when it goes on."""
    ends, received = Ends(), []

    async def tick(ctx, domain):
        for level in (1, 0):
            ctx.set(domain.clk, level)
            await ctx.delay(1e-9)

    async def send(ctx, word):
        ctx.set(ends.source.i.payload, word)
        ctx.set(ends.source.i.valid, 1)
        sent = ctx.get(ends.source.i.ready)
        await tick(ctx, ends.here)
        return sent

    async def testbench(ctx):
        assert await send(ctx, 1)
        ctx.set(ends.source.i.valid, 0)
        for _ in range(10):
            await tick(ctx, ends.there)
        assert ctx.get(ends.sink.o.valid)
        ctx.set(ends.here.rst, 1)
        for _ in range(RESET_TICKS):
            await tick(ctx, ends.here)
        ctx.set(ends.here.rst, 0)
        words = [2, 3]
        for _ in range(10):  # the sink sleeps
            words = words[await send(ctx, words[0]) :]
        ctx.set(ends.sink.o.ready, 1)
        for _ in range(100):
            if ctx.get(ends.sink.o.valid):
                received.append(ctx.get(ends.sink.o.payload))
            await tick(ctx, ends.there)
            if words:
                words = words[await send(ctx, words[0]) :]
            else:
                ctx.set(ends.source.i.valid, 0)
                await tick(ctx, ends.here)
        assert not words

    sim = Simulator(ends)
    sim.add_testbench(testbench)
    sim.run()
    assert received in ([2, 3], [1, 2, 3])
