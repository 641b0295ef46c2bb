# amaranth: UnusedElaboratable=no

"""The softmax unit: a small check in Amaranth's simulator, volume under Verilator."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from hdl.config import SMALL
from hdl.engine.softmax import Softmax
from models.engine import softmax, softmax_exponentials
from verif.sim import simulate

# An input scale of 1/16, as in the classifiers of MLPerf Tiny.
PARAMETERS = {"beta_multiplier": 1 << 30, "beta_shift": 23, "minimum_difference": -248}


@pytest.mark.parametrize(
    "vector",
    [[5], [-128] * 4, [-128, 127], [20, 20, 19, -3, -128, 10, 0, 127, 126, 100, 90, 80]],
    ids=len,
)
def test_small_vectors(vector):
    unit = Softmax(SMALL)
    table = softmax_exponentials(**PARAMETERS).astype("<u4").tobytes()
    results = []

    async def feed(ctx):
        ctx.set(unit.table.valid, 1)
        for at in range(0, len(table), 16):
            ctx.set(unit.table.payload, int.from_bytes(table[at : at + 16], "little"))
            await ctx.tick()
        ctx.set(unit.table.valid, 0)
        ctx.set(unit.count, len(vector))
        ctx.set(unit.start, 1)
        await ctx.tick()
        ctx.set(unit.start, 0)
        ctx.set(unit.i.valid, 1)
        for current_pass in range(3):
            for number in vector:
                ctx.set(unit.i.payload, number)
                (seen,) = await ctx.tick().sample(unit.pass_).until(unit.i.ready)
                assert seen == current_pass
        ctx.set(unit.i.valid, 0)

    async def check(ctx):
        ctx.set(unit.o.ready, 1)
        while len(results) < len(vector):
            assert len(results) == 0 or ctx.get(unit.busy)
            if ctx.get(unit.o.valid):
                results.append(ctx.get(unit.o.payload))
            await ctx.tick()
        assert not ctx.get(unit.busy)

    sim = Simulator(unit)
    sim.add_clock(1e-6)
    sim.add_testbench(feed)
    sim.add_testbench(check)
    sim.run()
    assert results == softmax(np.array(vector, dtype=np.int8), **PARAMETERS).tolist()


@pytest.mark.sim
def test_softmax_matches_model():
    simulate(Softmax(SMALL), bench="verif.tb_softmax", name="softmax")
