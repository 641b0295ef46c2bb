# amaranth: UnusedElaboratable=no

"""Fetch: by itself in Amaranth's simulator; from a job to operands under Verilator."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, flipped
from amaranth.sim import Simulator

from hdl.config import ACT_BANKS, ECP5, FULL, SMALL
from hdl.engine.align import Align
from hdl.engine.descriptor import Descriptor
from hdl.engine.fetch import BankRead, Fetch
from hdl.engine.walker import Step, Walker
from models.engine.dataflow import step_count, steps
from verif.front_jobs import pack_step, random_job, unpack
from verif.sim import simulate


class FrontEnd(wiring.Component):
    """Walker, fetch and align, connected as in `hdl.engine.engine.Engine`."""

    def __init__(self, config):
        self.config = config
        fetch, align = Fetch(config).signature.members, Align(config).signature.members
        super().__init__(
            {
                "start": In(1),
                "job": In(Descriptor),
                "advance": In(1),
                "busy": Out(1),
                "banks": Out(BankRead(config)).array(ACT_BANKS),
                "tag": Out(Step),
                "tag_valid": Out(1),
                "inside": fetch["inside"],
                "in_flight": fetch["in_flight"],
                "lanes": align["lanes"],
                "window": align["window"],
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.walker = walker = Walker(self.config)
        m.submodules.fetch = fetch = Fetch(self.config)
        m.submodules.align = align = Align(self.config)
        for inner, outer in zip(fetch.banks, self.banks, strict=True):
            wiring.connect(m, inner, flipped(outer))
        m.d.comb += [
            walker.start.eq(self.start),
            walker.job.eq(self.job),
            fetch.job.eq(self.job),
            align.job.eq(self.job),
            walker.advance.eq(self.advance),
            fetch.advance.eq(self.advance),
            fetch.step.eq(walker.step),
            fetch.valid.eq(walker.busy),
            align.step.eq(fetch.tag),
            align.history.eq(fetch.history),
            self.busy.eq(walker.busy),
            self.tag.eq(fetch.tag),
            self.tag_valid.eq(fetch.tag_valid),
            self.inside.eq(fetch.inside),
            self.in_flight.eq(fetch.in_flight),
            self.lanes.eq(align.lanes),
            self.window.eq(align.window),
        ]
        return m


def new_column(job, step):
    """Words of the rows that a step reads: operands, zero outside of the tensor."""
    nest, tensor = job.nest, job.tensors[step.operand_b]
    (height, width, _), rows = nest.size, nest.array.rows
    words = np.zeros((step.rows, rows), int)
    for row in range(step.rows):
        if 0 <= step.y + row < height and 0 <= step.x < width:
            words[row] = tensor.operands(nest, step.y + row, step.x, step.block)
    return words.tolist()


@pytest.mark.parametrize("feed", ["dense", "window"])
def test_history(feed, rng):
    """The newest column of every row in use is the word that the step reads."""
    jobs = [random_job(rng, SMALL, feed) for _ in range(40)]
    jobs = [job for job in jobs if step_count(job.nest) < 150][:8]
    assert len(jobs) > 4
    dut = Fetch(SMALL)

    async def testbench(ctx):
        for job in jobs:
            ctx.set(dut.job.as_value(), job.descriptor())
            walked = list(steps(job.nest))
            given = taken = cycles = 0
            while taken < len(walked):
                cycles += 1
                assert cycles < 100 + 5 * len(walked)
                advance = rng.random() < 0.7
                ctx.set(dut.advance, int(advance))
                ctx.set(dut.valid, int(given < len(walked)))
                ctx.set(dut.step.as_value(), pack_step(walked[min(given, len(walked) - 1)]))
                requests = [
                    (bank, job.banks[b, ctx.get(bank.address)])
                    for b, bank in enumerate(dut.banks)
                    if ctx.get(bank.enable)
                ]
                assert advance or not requests
                if advance and ctx.get(dut.tag_valid):
                    assert taken == given - dut.LATENCY or given == len(walked)
                    step = walked[taken]
                    assert ctx.get(dut.tag.as_value()) == pack_step(step)
                    for row, word in enumerate(new_column(job, step)):
                        got = unpack(ctx.get(dut.history[row][0].as_value()), len(word))
                        assert got == word, (job.nest, step)
                    taken += 1
                await ctx.tick()
                for bank, word in requests:
                    ctx.set(bank.data, int.from_bytes(word.tobytes(), "little"))
                given = min(given + advance, len(walked))
            ctx.set(dut.advance, 1)
            await ctx.tick()
            assert not ctx.get(dut.in_flight)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


@pytest.mark.sim
@pytest.mark.parametrize(
    "config",
    # FULL takes a minute to build; the operators on the whole chip cover it otherwise.
    [SMALL, ECP5, pytest.param(FULL, marks=pytest.mark.long)],
    ids=lambda config: config.name,
)
def test_operands_match_model(config):
    simulate(
        FrontEnd(config),
        bench="verif.tb_fetch",
        name=f"front_end_{config.name.lower()}",
        parameters={"config": config.name},
    )
