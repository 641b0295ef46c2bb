# amaranth: UnusedElaboratable=no

"""The serial path: one small softmax in Amaranth's simulator, volume under Verilator."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from hdl.config import CONFIGS, SMALL
from hdl.engine.serial import Serial
from models.engine import softmax
from verif.sim import simulate
from verif.tb_serial import Grid, SoftmaxJob

MAX_CYCLES = 1000

SCALE = {"beta_multiplier": 1 << 30, "beta_shift": 23, "minimum_difference": -248}


@pytest.mark.parametrize("channels", [1, 4, 5])
def test_grid(channels, rng):
    """Two rows of two pixels: words where the descriptor says, one table for all."""
    x = rng.integers(-128, 128, (2, 2, channels)).astype(np.int8)
    job = SoftmaxJob(x, SCALE, Grid(3, 3, 8, 3), Grid(20, 2, 9, 2))
    expected, blocks = softmax(x, **SCALE), -(-channels // SMALL.rows)
    banks, written = np.zeros((4, 64, SMALL.rows), np.uint8), {}
    for y, column, block in np.ndindex(2, 2, blocks):
        values = x[y, column, block * 4 :][:4].view(np.uint8)
        banks[job.source.word(y, column, block)][: len(values)] = values
    dut, words = Serial(SMALL), job.table()

    async def testbench(ctx):
        ctx.set(dut.job.as_value(), job.descriptor())
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        ctx.set(dut.write.word.ready, 1)
        for _ in range(MAX_CYCLES):
            if not ctx.get(dut.busy):
                break
            ctx.set(dut.table.valid, int(bool(words)))
            ctx.set(dut.table.payload, words[0] if words else 0)
            if words and ctx.get(dut.table.ready):
                words.pop(0)
            reads = [
                (bank, banks[b, ctx.get(bank.address)])
                for b, bank in enumerate(dut.banks)
                if ctx.get(bank.enable)
            ]
            assert len(reads) <= 1
            if ctx.get(dut.write.word.valid):
                word = dut.write.word.p
                place = ctx.get(word.bank), ctx.get(word.address)
                assert place not in written
                written[place] = ctx.get(word.data).to_bytes(SMALL.rows, "little")
            await ctx.tick()
            for bank, word in reads:
                ctx.set(bank.data, int.from_bytes(word.tobytes(), "little"))
        assert not ctx.get(dut.busy)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    assert len(written) == 4 * blocks
    for y, column, block in np.ndindex(2, 2, blocks):
        values = expected[y, column, block * 4 :][:4].tobytes()
        assert written[job.target.word(y, column, block)][: len(values)] == values


@pytest.mark.sim
@pytest.mark.parametrize("config", [CONFIGS["SMALL"], CONFIGS["FULL"]], ids=lambda c: c.name)
def test_serial_matches_model(config):
    simulate(
        Serial(config),
        bench="verif.tb_serial",
        name=f"serial_{config.name.lower()}",
        parameters={"config": config.name},
    )
