# amaranth: UnusedElaboratable=no

"""The MRAM controller: its bench, its timing, and the proofs of arbitration and retries."""

from dataclasses import replace

import pytest
from amaranth.sim import Simulator
from mram_system import ControlledMram

from hdl.config import SMALL
from hdl.mram.controller import MramController
from hdl.mram.secded import BLANK
from hdl.mram.signals import WordOperation, WordStatus
from hdl.mram.word_arbiter import WordArbiter
from hdl.mram.word_unit import WordUnit
from verif.sim import simulate

TINY = replace(SMALL, mram_kib=8, mram_wakeup=6, mram_write_cycles=5)


@pytest.mark.sim
@pytest.mark.parametrize(
    "config",
    [
        replace(TINY, name="EIGHT", mram_latency=4),
        replace(
            TINY,
            name="TWO",
            mram_kib=1,
            mram_banks=2,
            mram_latency=2,
            mram_wakeup=1,
            mram_write_cycles=1,
        ),
    ],
    ids=lambda config: config.name,
)
def test_controller_matches_model(config):
    ports, patience = 3, 40
    simulate(
        ControlledMram(config, ports=ports, patience=patience),
        bench="verif.tb_mram_controller",
        name=f"controlled_mram_{config.name.lower()}",
        parameters={
            "latency": config.mram_latency,
            "banks": config.mram_banks,
            "ports": ports,
            "patience": patience,
        },
    )


def run(dut, testbench):
    async def process(ctx):
        await testbench(ctx, dut)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(process)
    sim.run()


def offer(ctx, word, operation, address, *, hold=False):
    ctx.set(word.request.payload, {"operation": operation, "address": address, "data": 0})
    ctx.set(word.request.valid, 1)
    ctx.set(word.hold, hold)


async def end(ctx, word):
    """Until a request that is on offer has ended: its status and data, and the cycles it took."""
    for cycle in range(200):
        if ctx.get(word.done):
            result = ctx.get(word.status), ctx.get(word.data), cycle
            await ctx.tick()
            return result
        taken = ctx.get(word.request.ready) and ctx.get(word.request.valid)
        await ctx.tick()
        if taken:
            ctx.set(word.request.valid, 0)
    raise AssertionError("the request did not end")


def test_operations_take_the_documented_cycles():
    """docs/mram.md: from offer to end, with the bank asleep and held."""
    cycles = {}

    async def testbench(ctx, dut):
        for operation in WordOperation:
            for again in range(2):  # the first one wakes the bank, and the other finds it held
                offer(ctx, dut.words[0], operation, 1, hold=True)
                status, _, cycles[operation, again] = await end(ctx, dut.words[0])
                assert status == WordStatus.OK
            ctx.set(dut.words[0].hold, 0)
            await ctx.tick().repeat(3)

    config = replace(TINY, mram_wakeup=9, mram_write_cycles=20, mram_latency=4)
    run(ControlledMram(config, ports=1, patience=5), testbench)
    read, pulse, wake = config.mram_latency, 1 + config.mram_write_cycles, config.mram_wakeup
    for operation, expected in {
        WordOperation.READ: 3 + read,
        WordOperation.READ_CODE: 3 + read,
        WordOperation.WRITE: 3 + pulse + read,
        WordOperation.WRITE_CODE: 3 + pulse,
    }.items():
        assert cycles[operation, 1] == expected - 1, operation  # its turn was kept
        assert cycles[operation, 0] == expected + wake, operation


def test_held_bank_stays_awake_until_it_is_let_go():
    async def testbench(ctx, dut):
        offer(ctx, dut.words[0], WordOperation.READ, 1, hold=True)
        await end(ctx, dut.words[0])
        for _ in range(20):
            assert ctx.get(dut.awake) == 1
            await ctx.tick()
        ctx.set(dut.words[0].hold, 0)
        await ctx.tick()
        assert ctx.get(dut.awake) == 0

    run(ControlledMram(TINY, ports=1, patience=5), testbench)


def test_lowest_port_goes_first():
    order = []

    async def testbench(ctx, dut):
        for word in dut.words:
            offer(ctx, word, WordOperation.READ, 1)
        for _ in range(100):
            order.extend(port for port, word in enumerate(dut.words) if ctx.get(word.done))
            taken = [word for word in dut.words if ctx.get(word.request.ready)]
            await ctx.tick()
            for word in taken:
                ctx.set(word.request.valid, 0)

    run(ControlledMram(TINY, ports=3, patience=5), testbench)
    assert order == [0, 1, 2]


@pytest.mark.parametrize(
    ("code", "counter"), [(0, "uncorrectable"), (BLANK ^ 1 ^ 1 << 80, "corrected")]
)
def test_counters_stay_at_their_highest_value(monkeypatch, code, counter):
    monkeypatch.setattr("hdl.mram.controller.COUNTER_BITS", 3)
    counts = []

    async def testbench(ctx, dut):
        ctx.set(dut.banks[0].ready, 1)
        ctx.set(dut.banks[0].q, code)
        ctx.set(dut.stream.wake, 1)
        ctx.set(dut.stream.enable, 1)
        for cycle in range(24):
            ctx.set(dut.clear, cycle == 20)
            counts.append(ctx.get(getattr(dut, counter)))
            await ctx.tick()

    run(MramController(TINY), testbench)
    step = 1 if counter == "uncorrectable" else 2
    latency = TINY.mram_latency
    counted = [min(7, step * max(0, cycle - latency + 1)) for cycle in range(21)]
    assert counts == [*counted, step, 2 * step, 3 * step]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WordArbiter(TINY, ports=0), "ports must be at least 1, not 0"),
        (lambda: WordUnit(TINY, patience=0), "patience must be at least 1, not 0"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()
