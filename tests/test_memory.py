# amaranth: UnusedElaboratable=no

"""The activation memory: conflicts by hand, volume under Verilator, arbitration by proof."""

from dataclasses import asdict

import pytest
from amaranth.hdl import Assert, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.sim import Simulator

from hdl.config import ACT_BANKS, FULL, SMALL
from hdl.engine.memory import ActivationMemory
from verif.formal import prove
from verif.sim import simulate


def run(memory, testbench):
    sim = Simulator(memory)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
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


@pytest.mark.sim
@pytest.mark.parametrize("config", [SMALL, FULL], ids=lambda config: config.name)
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
    host: In(1)
    host_write: In(1)
    host_bank: In(2)

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = ActivationMemory(SMALL)
        word = memory.write.word
        m.d.comb += [
            word.valid.eq(self.write),
            word.p.bank.eq(self.write_bank),
            memory.host.enable.eq(self.host & ~self.write & ~self.reads.any()),
            memory.host.write.eq(self.host_write),
            memory.host.bank.eq(self.host_bank),
            *(memory.reads[b].enable.eq(self.reads[b]) for b in range(ACT_BANKS)),
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
