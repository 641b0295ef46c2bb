# amaranth: UnusedElaboratable=no

"""The activation memory: conflicts by hand, volume under Verilator, arbitration by proof."""

from dataclasses import asdict, replace

import pytest
from amaranth.hdl import Assert, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.sim import Simulator

from hdl.config import ACT_BANKS, FULL, SMALL
from hdl.engine.memory import ActivationMemory
from verif.formal import prove
from verif.sim import simulate

ONE = replace(SMALL, name="ONE", activation_segments=1)
UNEVEN = replace(SMALL, name="UNEVEN", activation_kib=20)
"""1280 words a bank: segments of 512, 512 and 256, and none."""
CONFIGS = [SMALL, ONE, UNEVEN, FULL]


def run(memory, testbench):
    async def ready(ctx):
        ctx.set(memory.on, (1 << memory.config.activation_segments) - 1)
        ctx.set(memory.host_ready, 1)
        await testbench(ctx)

    sim = Simulator(memory)
    sim.add_clock(1e-6)
    sim.add_testbench(ready)
    sim.run()


def test_read_wins_and_the_write_waits():
    memory = ActivationMemory(SMALL)
    word, read = memory.write.word, memory.reads[2]

    async def testbench(ctx):
        ctx.set(word.p.bank, 2)
        ctx.set(word.p.address, 7)
        ctx.set(word.p.data, 0x01020304)
        ctx.set(word.p.mask, 0b1111)
        ctx.set(word.valid, 1)
        ctx.set(read.address, 7)
        ctx.set(read.enable, 1)
        for _ in range(3):
            assert not ctx.get(word.ready)
            await ctx.tick()
            assert ctx.get(read.data) == 0
        ctx.set(read.enable, 0)
        assert ctx.get(word.ready)
        await ctx.tick()
        ctx.set(word.valid, 0)
        assert ctx.get(read.data) == 0  # held
        ctx.set(read.enable, 1)
        await ctx.tick()
        assert ctx.get(read.data) == 0x01020304

    run(memory, testbench)


def test_write_keeps_bytes_outside_of_its_mask():
    memory = ActivationMemory(SMALL)
    word, host = memory.write.word, memory.host
    steps = [(0b1111, 0x01020304, 0x01020304), (0b0101, 0xAABBCCDD, 0x01BB03DD),
             (0b0000, 0x55555555, 0x01BB03DD), (0b1000, 0x00000000, 0x00BB03DD)]  # fmt: skip

    async def testbench(ctx):
        ctx.set(word.p.bank, 1)
        ctx.set(host.bank, 1)
        for mask, data, expected in steps:
            ctx.set(word.p.data, data)
            ctx.set(word.p.mask, mask)
            ctx.set(word.valid, 1)
            assert ctx.get(word.ready)
            await ctx.tick()
            ctx.set(word.valid, 0)
            ctx.set(host.enable, 1)
            await ctx.tick()
            ctx.set(host.enable, 0)
            assert ctx.get(host.q) == expected

    run(memory, testbench)


def test_host_writes_whole_words():
    memory = ActivationMemory(SMALL)
    host = memory.host

    async def testbench(ctx):
        ctx.set(host.enable, 1)
        ctx.set(host.write, 1)
        ctx.set(host.data, 0x01020304)
        await ctx.tick()
        ctx.set(host.write, 0)
        await ctx.tick()
        assert ctx.get(host.q) == 0x01020304

    run(memory, testbench)


@pytest.mark.parametrize("other", ["read", "write"])
def test_host_beside_the_engine_is_caught(other):
    memory = ActivationMemory(SMALL)

    async def testbench(ctx):
        ctx.set(memory.host.enable, 1)
        ctx.set(memory.reads[3].enable if other == "read" else memory.write.word.valid, 1)
        await ctx.tick()
        await ctx.tick()

    with pytest.raises(AssertionError, match="host access while the engine uses the memory"):
        run(memory, testbench)


@pytest.mark.parametrize("who", ["read", "write", "host"])
@pytest.mark.parametrize(
    ("config", "address", "segment"),
    [(SMALL, 0, 0), (SMALL, 511, 0), (SMALL, 512, 1), (SMALL, 2047, 3), (UNEVEN, 1279, 2),
     (ONE, 2047, 0), (FULL, 1024, 2)],
)  # fmt: skip
@pytest.mark.parametrize("on", [True, False])
def test_access_to_a_segment_that_is_not_on_is_caught(config, address, segment, who, on):
    memory = ActivationMemory(config)
    read, word, host = memory.reads[1], memory.write.word, memory.host

    async def testbench(ctx):
        everything = (1 << config.activation_segments) - 1
        ctx.set(memory.on, 1 << segment if on else everything & ~(1 << segment))
        for port in (read, word.p, host):
            ctx.set(port.address, address)
        ctx.set(word.p.mask, 0b0100)
        ctx.set({"read": read.enable, "write": word.valid, "host": host.enable}[who], 1)
        await ctx.tick()
        await ctx.tick()

    if on:
        run(memory, testbench)
    else:
        with pytest.raises(AssertionError, match="access to an activation segment that is not on"):
            run(memory, testbench)


def test_segment_that_is_not_there_is_never_on():
    memory = ActivationMemory(UNEVEN)

    async def testbench(ctx):
        ctx.set(memory.reads[0].address, 3 * UNEVEN.segment_words)
        ctx.set(memory.reads[0].enable, 1)
        await ctx.tick()
        await ctx.tick()

    assert [segment.words for segment in memory.segments] == [512, 512, 256]
    with pytest.raises(AssertionError, match="access to an activation segment that is not on"):
        run(memory, testbench)


def test_only_one_segment_works():
    memory = ActivationMemory(SMALL)

    async def testbench(ctx):
        ctx.set(memory.reads[1].enable, 1)
        ctx.set(memory.write.word.p.bank, 2)
        ctx.set(memory.write.word.p.mask, 0b0110)
        ctx.set(memory.write.word.valid, 1)
        for k in range(SMALL.activation_segments):
            ctx.set(memory.reads[1].address, k * SMALL.segment_words + 5)
            ctx.set(memory.write.word.p.address, k * SMALL.segment_words + 6)
            for other, segment in enumerate(memory.segments):
                reads = [ctx.get(port.read) for port in segment.banks]
                writes = [ctx.get(port.write) for port in segment.banks]
                assert reads == [0, int(other == k), 0, 0]
                assert writes == [0, 0, 0b0110 * (other == k), 0]
            await ctx.tick()

    run(memory, testbench)


def test_host_that_does_not_wait_is_caught():
    memory = ActivationMemory(SMALL)

    async def testbench(ctx):
        assert ctx.get(memory.host.ready)
        ctx.set(memory.host_ready, 0)
        assert not ctx.get(memory.host.ready)
        ctx.set(memory.host.enable, 1)
        await ctx.tick()
        await ctx.tick()

    with pytest.raises(AssertionError, match="host access while its segments are not ready"):
        run(memory, testbench)


@pytest.mark.sim
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_memory_matches_model(config):
    simulate(
        ActivationMemory(config),
        bench="verif.tb_memory",
        name=f"memory_{config.name.lower()}",
        parameters={"config": asdict(config)},
    )


class SharedMemory(wiring.Component):
    """A memory whose host keeps away from the engine; all else may happen in any cycle."""

    reads: In(ACT_BANKS)
    write: In(1)
    write_bank: In(2)
    write_mask: In(SMALL.rows)
    write_address: In(SMALL.bank_address_bits)
    read_address: In(SMALL.bank_address_bits)
    host: In(1)
    host_write: In(1)
    host_bank: In(2)

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = ActivationMemory(SMALL)
        word = memory.write.word
        m.d.comb += [
            memory.on.eq(~0),
            memory.host_ready.eq(1),
            word.valid.eq(self.write),
            word.p.address.eq(self.write_address),
            word.p.mask.eq(self.write_mask),
            word.p.bank.eq(self.write_bank),
            memory.host.enable.eq(self.host & ~self.write & ~self.reads.any()),
            memory.host.write.eq(self.host_write),
            memory.host.bank.eq(self.host_bank),
            memory.host.address.eq(self.write_address),
            *(memory.reads[b].enable.eq(self.reads[b]) for b in range(ACT_BANKS)),
            *(memory.reads[b].address.eq(self.read_address) for b in range(ACT_BANKS)),
        ]
        busy = self.reads.bit_select(self.write_bank, 1)
        m.d.sync += [
            Assert(~self.write | (word.ready == ~busy), "a write waits for its own bank only"),
            Assert(self.write | ~word.ready, "accepted what was not offered"),
        ]
        return m


@pytest.mark.formal
def test_one_access_a_bank():
    prove(SharedMemory(), name="shared_memory")
