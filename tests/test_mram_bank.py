# amaranth: UnusedElaboratable=no

"""One MRAM bank: timing, contents, what a lost supply does, and what is refused."""

from collections import Counter, deque
from dataclasses import replace

import numpy as np
import pytest
from amaranth.sim import Simulator

from hdl.config import SMALL
from hdl.mram.bank import HALF_WRITTEN, MramBank
from models.mram import secded
from verif.sim import simulation_seed

TINY = replace(SMALL, mram_kib=2, mram_banks=2, mram_wakeup=4, mram_write_cycles=3)
CODE_BITS = 144


def run(testbench, config=TINY):
    bank = MramBank(config)

    async def process(ctx):
        await testbench(ctx, bank)

    sim = Simulator(bank)
    sim.add_clock(1e-6)
    sim.add_testbench(process)
    sim.run()


async def wake(ctx, bank):
    ctx.set(bank.port.supply, 1)
    while not ctx.get(bank.port.awake):
        await ctx.tick()


async def access(ctx, bank, address, data=None):
    """One cycle of a read, or of a write of ``data``."""
    ctx.set(bank.port.enable, 1)
    ctx.set(bank.port.write, data is not None)
    ctx.set(bank.port.address, address)
    ctx.set(bank.port.data, data or 0)
    await ctx.tick()
    ctx.set(bank.port.enable, 0)


async def read(ctx, bank, address):
    """The stored bits; checks that they are there in one cycle only."""
    await access(ctx, bank, address)
    for _ in range(bank.config.mram_latency - 2):
        assert ctx.get(bank.port.q) == 0
        await ctx.tick()
    q = ctx.get(bank.port.q)
    await ctx.tick()
    assert ctx.get(bank.port.q) == 0
    return q


@pytest.mark.parametrize(("latency", "wakeup", "write_cycles"), [(2, 1, 1), (3, 50, 77), (7, 2, 3)])
def test_bank_keeps_the_stated_times(latency, wakeup, write_cycles):
    async def testbench(ctx, bank):
        ctx.set(bank.port.supply, 1)
        for _ in range(wakeup):
            assert not ctx.get(bank.port.awake)
            await ctx.tick()
        assert ctx.get(bank.port.awake)
        await access(ctx, bank, 5, 0xC0FFEE << 100)
        for _ in range(write_cycles):
            assert ctx.get(bank.port.busy)
            await ctx.tick()
        assert not ctx.get(bank.port.busy)
        assert await read(ctx, bank, 5) == 0xC0FFEE << 100
        ctx.set(bank.port.supply, 0)
        assert not ctx.get(bank.port.awake)

    run(
        testbench,
        replace(TINY, mram_latency=latency, mram_wakeup=wakeup, mram_write_cycles=write_cycles),
    )


def test_new_bank_holds_zeros():
    async def testbench(ctx, bank):
        await wake(ctx, bank)
        code = (await read(ctx, bank, 7)).to_bytes(18, "little")
        decoded = secded.decode(np.frombuffer(code, np.uint8).reshape(1, 18))
        assert not decoded.words.any()
        assert not decoded.corrected.any()
        assert not decoded.uncorrectable.any()

    run(testbench)


@pytest.mark.parametrize("cycles", range(TINY.mram_write_cycles + 1))
def test_lost_supply_leaves_one_word_half_written(cycles):
    """``cycles`` after the one of ``enable``; the write is complete after `mram_write_cycles`."""

    async def testbench(ctx, bank):
        await wake(ctx, bank)
        for address in (4, 5, 6):
            await access(ctx, bank, address, address << 130)
            while ctx.get(bank.port.busy):
                await ctx.tick()
        await access(ctx, bank, 5, 0xABC << 70)
        for _ in range(cycles):
            await ctx.tick()
        ctx.set(bank.port.supply, 0)
        await ctx.tick()
        assert not ctx.get(bank.port.busy)
        await wake(ctx, bank)
        complete = cycles == TINY.mram_write_cycles
        assert await read(ctx, bank, 4) == 4 << 130
        assert await read(ctx, bank, 5) == 0xABC << 70 ^ (0 if complete else HALF_WRITTEN)
        assert await read(ctx, bank, 6) == 6 << 130

    run(testbench)


def test_half_written_word_is_uncorrectable():
    words = np.random.default_rng(simulation_seed()).integers(0, 256, (100, 16), dtype=np.uint8)
    half = np.frombuffer(HALF_WRITTEN.to_bytes(18, "little"), np.uint8)
    assert secded.decode(secded.encode(words) ^ half).uncorrectable.all()


async def asleep(ctx, bank):
    await access(ctx, bank, 0)


async def while_writing(ctx, bank):
    await wake(ctx, bank)
    await access(ctx, bank, 0, 1)
    await access(ctx, bank, 0)


async def supply_lost_in_a_read(ctx, bank):
    await wake(ctx, bank)
    await access(ctx, bank, 0)
    await ctx.tick()
    ctx.set(bank.port.supply, 0)
    await ctx.tick()
    await ctx.tick()


async def factory_while_writing(ctx, bank):
    await wake(ctx, bank)
    await access(ctx, bank, 0, 1)
    ctx.set(bank.factory_enable, 1)
    await ctx.tick()
    await ctx.tick()


@pytest.mark.parametrize(
    ("testbench", "message"),
    [
        (asleep, "access to a sleeping MRAM bank"),
        (while_writing, "access to an MRAM bank that is writing"),
        (supply_lost_in_a_read, "MRAM supply lost with a read in flight"),
        (factory_while_writing, "factory write while the MRAM bank writes"),
    ],
)
def test_bank_refuses(testbench, message):
    with pytest.raises(AssertionError, match=message):
        run(testbench)


class BankModel:
    """A dictionary, a delay line and two counters."""

    def __init__(self, config, cells):
        self.config, self.cells = config, cells
        self.results = deque([0] * (config.mram_latency - 1))
        self.awake_for = self.write_left = 0
        self.written = (0, 0)
        self.counts = Counter()

    def awake(self, supply):
        return supply and self.awake_for >= self.config.mram_wakeup

    def step(self, *, supply, enable, write, address, data):
        """One cycle."""
        read = enable and not write
        self.results.append(self.cells[address] if read else 0)
        if self.write_left and not supply:
            self.write_left = 0
            self.counts["spoiled"] += 1
        elif self.write_left:
            self.write_left -= 1
            if self.write_left == 0:
                self.cells[self.written[0]] = self.written[1]
        if enable and write:
            self.cells[address], self.written = data ^ HALF_WRITTEN, (address, data)
            self.write_left = self.config.mram_write_cycles
        self.awake_for = self.awake_for + 1 if supply else 0
        self.counts.update(
            reads=read, writes=enable and write, asleep=not supply, full=all(self.results)
        )


@pytest.mark.parametrize("latency", [2, 5])
def test_bank_matches_model(latency):
    """Random supply, reads, writes and factory writes, every cycle against a dictionary."""
    config = replace(TINY, mram_latency=latency, mram_kib=1)
    rng = np.random.default_rng(simulation_seed() + latency)
    model = BankModel(config, {})

    async def program(ctx, bank, address):
        model.cells[address] = int.from_bytes(rng.bytes(18), "little")
        ctx.set(bank.factory_enable, 1)
        ctx.set(bank.factory_address, address)
        ctx.set(bank.factory_data, model.cells[address])
        await ctx.tick()
        ctx.set(bank.factory_enable, 0)

    async def testbench(ctx, bank):
        for address in range(config.mram_bank_words):
            await program(ctx, bank, address)
        stay, supply = 0, False
        for _ in range(4000):
            assert ctx.get(bank.port.busy) == (model.write_left > 0)
            assert ctx.get(bank.port.q) == model.results.popleft()
            if stay == 0 and not any(model.results):
                supply, stay = not supply, int(2 ** rng.uniform(0, 7))
            stay = max(0, stay - 1)
            write = bool(rng.random() < 0.2)
            free = model.awake(supply) and not model.write_left
            enable = free and (write or stay > latency) and bool(rng.random() < 0.8)
            inputs = {
                "supply": supply,
                "enable": enable,
                "write": write,
                "address": int(rng.integers(len(model.cells))),
                "data": int.from_bytes(rng.bytes(18), "little"),
            }
            for name, value in inputs.items():
                ctx.set(getattr(bank.port, name), value)
            assert ctx.get(bank.port.awake) == model.awake(supply)
            if not supply and not model.write_left and rng.random() < 0.2:
                await program(ctx, bank, inputs["address"])
            else:
                await ctx.tick()
            model.step(**inputs)

    run(testbench, config)
    print(f"seed {simulation_seed()}: {model.counts}")
    assert model.counts["reads"] > 500
    assert min(model.counts.values()) > 10, model.counts
