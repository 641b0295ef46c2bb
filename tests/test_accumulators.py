# amaranth: UnusedElaboratable=no

"""The accumulators: a reduction by hand, volume under Verilator, the handshake by proof."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from amaranth.hdl import Assert, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.sim import Simulator

from hdl.config import FULL, SMALL
from hdl.engine.accumulators import Accumulators
from models.engine.datapath import AccumulatorStore
from verif.formal import prove
from verif.sim import simulate

BELOW_ALL_SUMS = -(1 << 21)

DEEP = replace(SMALL, name="DEEP", accumulator_depth=100)
"""A depth that is no power of two."""


def reduce(steps):
    """Finished totals of ``(tag fields, sum of every row)``, one step a cycle."""
    accumulators = Accumulators(SMALL)
    totals = []

    async def testbench(ctx):
        ctx.set(accumulators.o.ready, 1)
        for at in range(len(steps) + Accumulators.LATENCY):
            ctx.set(accumulators.tag_valid, at < len(steps))
            if at < len(steps):
                ctx.set(accumulators.tag, steps[at][0])
            if 0 < at <= len(steps):
                ctx.set(accumulators.sums, [steps[at - 1][1]] * SMALL.rows)
            assert ctx.get(accumulators.advance)
            await ctx.tick()
            if ctx.get(accumulators.o.valid):
                totals.append(ctx.get(accumulators.o.p.total[SMALL.rows - 1]))

    sim = Simulator(accumulators)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    return totals


def test_sums_of_two_pixels():
    steps = [
        ({"pixel": 0, "first": 1}, 5),
        ({"pixel": 1, "first": 1}, -7),
        ({"pixel": 0}, 100),
        ({"pixel": 0}, 1000),
        ({"pixel": 1, "last": 1, "skip": 1}, 1),
        ({"pixel": 0, "last": 1}, 10000),
        ({"pixel": 0, "first": 1, "last": 1}, 3),
    ]
    assert reduce(steps) == [-6, 11105, 3]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([(-9, 0), (-12, 0), (-3, 0), (-5, 0)], -3),
        ([(-9, 1), (-12, 0), (-3, 1), (-20, 0)], -12),
        ([(0, 1), (0, 1)], BELOW_ALL_SUMS),
        ([(7, 1)], BELOW_ALL_SUMS),
        ([(-128, 0)], -128),
    ],
)
def test_maximum_skips_padding(steps, expected):
    last = len(steps) - 1
    tagged = [
        ({"pixel": 3, "first": i == 0, "last": i == last, "maximum": 1, "skip": skip}, value)
        for i, (value, skip) in enumerate(steps)
    ]
    assert reduce(tagged) == [expected]


def test_planes_are_shifted_by_bytes():
    """-300 * 2**16 + 255 * 2**8 + 7; then the ends of what 40 bits hold."""
    planes = [(7, 0), (255, 1), (-300, 2)]
    steps = [
        ({"pixel": 1, "first": i == 0, "last": i == 2, "shift": shift}, value)
        for i, (value, shift) in enumerate(planes)
    ]
    assert reduce(steps) == [-300 * 65536 + 255 * 256 + 7]
    top = (1 << 20) - 1
    many = [({"pixel": 0, "first": i == 0, "last": i == 7, "shift": 2}, top) for i in range(8)]
    assert reduce(many) == [8 * top << 16]
    assert reduce([({"pixel": 0, "first": 1, "last": 1, "shift": 2}, -top - 1)]) == [-1 << 36]


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ({"shift": 3}, "shifted by too many bytes"),
        ({"shift": 1, "maximum": 1}, "a maximum of shifted sums"),
        ({"pixel": SMALL.accumulator_depth}, "a pixel without an accumulator"),
    ],
)
def test_impossible_tags_are_caught(tag, message):
    with pytest.raises(AssertionError, match=message):
        reduce([({"first": 1, **tag}, 1), ({"pixel": 0, "first": 1, "last": 1}, 1)])


def test_model_needs_a_first_step():
    with pytest.raises(KeyError):
        AccumulatorStore(4).step(
            np.zeros(4, np.int64), pixel=0, first=False, last=True, maximum=False, skip=False
        )


@pytest.mark.sim
@pytest.mark.parametrize("config", [DEEP, FULL], ids=lambda config: config.name)
def test_accumulators_match_model(config):
    simulate(
        Accumulators(config),
        bench="verif.tb_accumulators",
        name=f"accumulators_{config.name.lower()}",
        parameters={"config": asdict(config), "latency": Accumulators.LATENCY},
    )


class Handshake(wiring.Component):
    """Accumulators between steps and a drain that come and accept at any time."""

    tag_valid: In(1)
    last: In(1)
    ready: In(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = Accumulators(replace(SMALL, accumulator_depth=2))
        entered, left = Signal(), Signal()
        owed = Signal(2)
        step, last, offered = Signal(), Signal(), Signal()
        m.d.comb += [
            dut.tag_valid.eq(self.tag_valid),
            dut.tag.last.eq(self.last),
            dut.o.ready.eq(self.ready),
            entered.eq(dut.advance & self.tag_valid & self.last),
            left.eq(dut.o.valid & self.ready),
        ]
        m.d.sync += owed.eq(owed + entered - left)
        with m.If(dut.advance):
            m.d.sync += [step.eq(self.tag_valid), last.eq(self.last), offered.eq(step & last)]
        m.d.sync += [
            Assert(dut.o.valid == offered, "a finished pixel was lost or invented"),
            Assert(owed == (step & last) + offered, "pixels owed are not those in flight"),
            Assert(dut.in_flight == (step | offered), "in_flight misses a step"),
            Assert(dut.advance | (dut.o.valid & ~self.ready), "stalls without a reason"),
            Assert(~(dut.advance & dut.o.valid) | self.ready, "moves over a waiting pixel"),
        ]
        return m


@pytest.mark.formal
def test_handshake():
    prove(Handshake(), name="accumulator_handshake")
