# amaranth: UnusedElaboratable=no

"""Align: rotation and one packed product by hand, volume under Verilator."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from hdl.config import CONFIGS, SMALL
from hdl.engine.align import Align, rotate_left
from hdl.engine.descriptor import Feed
from verif.front_jobs import unpack
from verif.sim import simulate


def test_rotation():
    words = [Signal(8, init=10 + i, name=f"word_{i}") for i in range(8)]
    amount, m = Signal(3), Module()
    rotated = rotate_left(m, words, amount, "rotated")

    async def testbench(ctx):
        for n in range(8):
            ctx.set(amount, n)
            assert [ctx.get(word) for word in rotated] == [10 + (i + n) % 8 for i in range(8)]

    sim = Simulator(m)
    sim.add_testbench(testbench)
    sim.run()


def lanes_of(job, step, history):
    """Broadcast operands of SMALL for one step; ``history`` is ``(4, 3, 4)``."""
    dut, seen = Align(SMALL), []
    packed = sum((int(n) & 0x1FF) << (9 * i) for i, n in enumerate(np.ravel(history)))

    async def testbench(ctx):
        ctx.set(dut.job, job)
        ctx.set(dut.step, step)
        ctx.set(dut.history.as_value(), packed)
        seen.extend(unpack(ctx.get(dut.lanes.as_value()), SMALL.lanes))

    sim = Simulator(dut)
    sim.add_testbench(testbench)
    sim.run()
    return seen


def test_packed_segments_follow_one_another():
    """Three bytes a row from byte 3 on: one from the older word, two from the newest."""
    history = np.zeros((4, 3, 4), int)
    history[0, 1], history[0, 0] = [0, 1, 2, 3], [4, 5, 6, 7]
    history[1, 1], history[1, 0] = [20, 21, 22, 23], [24, 25, 26, 27]
    job = {"feed": Feed.PACKED, "segment": 3, "in_w": 8}
    step = {"x": 3, "rows": 2, "lanes": 4}
    assert lanes_of(job, step, history) == [3, 4, 5, 23]
    assert lanes_of(job, step | {"offset": 2}, history) == [5, 23, 24, 25]
    # The row ends within the segment.
    assert lanes_of(job | {"in_w": 5}, step, history) == [3, 4, 0, 23]


@pytest.mark.parametrize("x", range(-3, 0))
def test_packed_segment_starts_left_of_the_row(x):
    history = np.zeros((4, 3, 4), int)
    history[0, 0] = [10, 11, 12, 13]
    job = {"feed": Feed.PACKED, "segment": 4, "in_w": 4}
    lanes = lanes_of(job, {"x": x, "rows": 1, "lanes": 4}, history)
    assert lanes == [0] * -x + [10, 11, 12, 13][: 4 + x]


@pytest.mark.sim
@pytest.mark.parametrize("config", [CONFIGS["SMALL"], CONFIGS["ECP5"]], ids=lambda c: c.name)
def test_align_matches_model(config):
    simulate(
        Align(config),
        bench="verif.tb_align",
        name=f"align_{config.name.lower()}",
        parameters={"config": config.name},
    )
