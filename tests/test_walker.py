# amaranth: UnusedElaboratable=no

"""The walker: its model, its steps in Amaranth's simulator and under Verilator, its proof."""

import numpy as np
import pytest
from amaranth.hdl import Assert, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.sim import Simulator

from hdl.config import CONFIGS
from hdl.engine.descriptor import Descriptor, Feed, WeightFormat
from hdl.engine.walker import Walker
from models.engine.dataflow import passes, step_count, steps
from verif.formal import prove
from verif.front_jobs import FEEDS, pack_step, random_job, random_nest
from verif.sim import simulate


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_model_has_every_product_once(config, feed, rng):
    """Tap by tap and channel by channel, for every output pixel, and nothing else."""
    for _ in range(150):
        nest = random_nest(rng, config, feed)
        turns, walked = passes(nest), list(steps(nest))
        (height, width), channels = nest.kernel, nest.size[2]
        tiles = (nest.digits, 2 if nest.wide else 1, 2 if nest.addition else 1)
        count = np.zeros((*tiles, height, width, channels), int)
        for turn in turns:
            counted = count[turn.digit, turn.plane, turn.operand]
            if feed == "window":
                rows, columns = slice(turn.row, turn.row + turn.rows), slice(turn.column, None)
                counted[rows, columns][:, : turn.columns] += 1
            for tap in turn.taps:
                if tap.column < width:
                    counted[tap.row, tap.column, tap.channel] += 1
            assert len(turn.taps) <= config.lanes
            assert turn.rows <= 4
        assert (count == 1).all(), nest
        assert len(walked) == step_count(nest)
        products = [step for step in walked if step.mac]
        assert len(products) == nest.groups * len(turns) * nest.pixels
        stripes = -(-nest.pixels // nest.stripe)
        loaded = [turn for turn in turns if turn.plane == 0]  # high bytes use the same tile
        assert sum(step.new_tile for step in products) == nest.groups * len(loaded) * stripes
        # A pixel of a group leaves once, in raster order.
        assert sum(step.last for step in products) == nest.groups * nest.pixels


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_steps(config, feed, rng):
    jobs = [random_job(rng, config, feed) for _ in range(40)]
    jobs = [job for job in jobs if step_count(job.nest) < 300][:12]
    assert len(jobs) > 5
    dut = Walker(config)

    async def testbench(ctx):
        ctx.set(dut.advance, 1)
        for job in jobs:
            ctx.set(dut.job.as_value(), job.descriptor())
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            for step in steps(job.nest):
                assert ctx.get(dut.busy)
                assert ctx.get(dut.step.as_value()) == pack_step(step), (job.nest, step)
                await ctx.tick()
            assert not ctx.get(dut.busy)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


@pytest.mark.sim
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_walker_matches_model(config):
    simulate(
        Walker(config),
        bench="verif.tb_walker",
        name=f"walker_{config.name.lower()}",
        parameters={"config": config.name},
    )


class WalkerInUse(wiring.Component):
    """A walker whose job is legal and holds while it runs, as the engine sees to."""

    def __init__(self, config):
        self.config = config
        super().__init__({"request": In(1), "job": In(Descriptor), "advance": In(1)})

    def elaborate(self, platform):
        m = Module()
        held, begin = Signal(Descriptor), Signal()
        m.submodules.walker = walker = Walker(self.config)
        m.d.sync += begin.eq(0)
        with m.If(self.request & self.legal(self.job) & ~begin & ~walker.busy):
            m.d.sync += [held.eq(self.job), begin.eq(1)]
        m.d.comb += [
            walker.start.eq(begin),
            walker.job.eq(held),
            walker.advance.eq(self.advance),
        ]
        # What the induction has to know of the register.
        m.d.sync += Assert(~(begin | walker.busy) | self.legal(held), "the job changed")
        return m

    def legal(self, job):
        """The compiler's rules that the walker relies on."""
        single = (
            (job.rows_passes_last == 0) & (job.cols_passes_last == 0) & (job.inner_last == 0)
            & ~job.wide_in & (job.weight_format != WeightFormat.INT16)
        )  # fmt: skip
        return (
            (single | (job.stripe_pixels_last < self.config.accumulator_depth))
            & (job.stride_w != 0)
            & (job.window_cols != 0)
            & (job.window_cols_last != 0)
            & ((job.feed != Feed.PACKED) | (job.segment_bytes < job.segment) & ~job.wide_in)
        )


@pytest.mark.formal
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_counters_stay_in_range(config):
    """By induction: for every legal job and every pattern of stalls."""
    prove(WalkerInUse(config), name=f"walker_{config.name.lower()}", max_steps=4)
