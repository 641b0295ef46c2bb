"""cocotb bench: `hdl.engine.walker.Walker` against `models.engine.dataflow.steps`."""

from collections import Counter

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from hdl.config import CONFIGS
from models.engine.dataflow import Nest, Step, step_count, steps
from verif.bench import coin, parameters, start
from verif.front_jobs import FEEDS, Feeds, pack_step, random_job

STEPS_PER_FEED = 5000
MOST_STEPS = 10 * STEPS_PER_FEED
"""However long it takes until everything has happened."""
LARGEST_JOB = 3000
"""Steps: few jobs would be most of the test otherwise."""

COVERED: dict[Feeds, list[str]] = {
    "dense": ["lanes left", "blocks", "outside", "inside", "two planes", "six passes a tap"],
    "window": [
        "history reused", "history skipped", "addition", "one tap", "column passes", "two planes",
        "six passes a tap",
    ],
    "packed": [
        "word kept", "offset", "column passes", "stripe within a row", "left of the tensor",
        "three digits",
    ],
}  # fmt: skip
"""Situations that must have occurred, by feed."""


def observe(nest: Nest, expected: list[Step], seen: Counter) -> None:
    """Count the situations that a job brings about."""
    lanes, (height, width, _) = nest.array.lanes, nest.size
    inside = [0 <= s.y < height and 0 <= s.x < width for s in expected]
    seen["inside"] += any(inside)
    seen["outside"] += not all(inside)
    seen["lanes left"] += any(0 < s.lanes < lanes for s in expected)
    seen["blocks"] += any(s.block for s in expected)
    seen["history reused"] += 1 < nest.stride[1] < max(s.cols for s in expected)
    seen["history skipped"] += nest.stride[1] > max(s.cols for s in expected)
    seen["addition"] += nest.addition
    seen["one tap"] += nest.one_tap
    seen["two planes"] += nest.wide and nest.digits == 1
    seen["three digits"] += not nest.wide and nest.digits > 1
    seen["six passes a tap"] += nest.wide and nest.digits > 1
    seen["column passes"] += len({s.x for s in expected if s.pixel == 0}) > 1
    seen["word kept"] += any(not s.read for s in expected)
    seen["offset"] += any(s.offset for s in expected)
    seen["stripe within a row"] += nest.stripe % nest.output[1] != 0 and nest.stripe < nest.pixels
    seen["left of the tensor"] += any(s.x < 0 for s in expected)


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(feed=list(FEEDS), stall=[0.0, 0.3])
async def steps_match_model(dut, feed: Feeds, stall: float) -> None:
    """Random jobs one after another: every step's fields, their number, and `busy` around them."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    config, paused = CONFIGS[parameters()["config"]], coin(rng, stall)
    dut.start.value = 0
    dut.advance.value = 0
    await start(dut)
    total, seen, missing = 0, Counter(), COVERED[feed]
    while total < (MOST_STEPS if missing else STEPS_PER_FEED):
        job = random_job(rng, config, feed)
        count = step_count(job.nest)
        if count > LARGEST_JOB:
            continue
        expected = list(steps(job.nest))
        assert len(expected) == count
        observe(job.nest, expected, seen)
        missing = [name for name in COVERED[feed] if not seen[name]]
        dut.job.value = job.descriptor()
        dut.start.value = 1
        dut.advance.value = int(rng.integers(0, 2))
        await RisingEdge(dut.clk)
        assert dut.busy.value == 0
        dut.start.value = 0
        taken = 0
        while taken < count:
            advance = not next(paused)
            dut.advance.value = advance
            await RisingEdge(dut.clk)
            assert dut.busy.value == 1, job.nest
            step = dut.step.value.to_unsigned()
            assert step == pack_step(expected[taken]), (job.nest, taken, expected[taken])
            taken += advance
        total += count
    await RisingEdge(dut.clk)
    assert dut.busy.value == 0
    dut._log.info("seed %d, %s: %d steps, %s", cocotb.RANDOM_SEED, feed, total, dict(seen))
    assert not missing, f"never happened: {missing}"
