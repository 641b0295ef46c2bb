"""cocotb bench: `hdl.engine.align.Align` alone, its history made straight from tensors.

The design has no clock.  Words that the step does not use are random in the history, and so must
not matter.
"""

from collections import Counter

import cocotb
import numpy as np
from cocotb.triggers import Timer
from numpy.typing import NDArray

from hdl.config import ACT_BANKS, CONFIGS
from models.engine.dataflow import HISTORY, Nest, Pass, Step, operands, passes, steps
from verif.bench import parameters
from verif.front_jobs import FEEDS, Feeds, Job, Tensor, pack_step, random_job, unpack

PRODUCTS_PER_FEED = 2000
MOST_PRODUCTS = 10 * PRODUCTS_PER_FEED
"""However long it takes until everything has happened."""
PRODUCTS_PER_JOB = 60


def pack(values: NDArray[np.int64]) -> int:
    """Operands, 9 bits each, first in the lowest bits."""
    return sum((int(value) & 0x1FF) << (9 * i) for i, value in enumerate(values.ravel()))


def packed_words(nest: Nest, tensor: Tensor, y: int) -> NDArray[np.int64]:
    """Words of row ``y`` of a packed tensor as operands: ``(words, rows)``."""
    raw = tensor.stored[y].astype(np.int64) - tensor.zero_point
    padded = np.full(-(-raw.size // nest.array.rows) * nest.array.rows, 1)
    padded[: raw.size] = raw.ravel()
    return padded.reshape(-1, nest.array.rows)


def history(rng: np.random.Generator, nest: Nest, tensor: Tensor, step: Step) -> NDArray[np.int64]:
    """What `hdl.engine.fetch.Fetch` holds at a product: ``(4, 3, rows)`` operands."""
    word, (height, width, _) = nest.array.rows, nest.size
    held = rng.integers(-255, 256, (ACT_BANKS, HISTORY, word))
    for row in range(step.rows):
        y = step.y + row
        if nest.feed == "packed":
            newest = step.reach // word
            wanted = [(age, newest - age) for age in range(1 + (step.x // word != newest))]
            limit = -(-width * nest.size[2] // word)
        else:
            wanted = [(age, step.x - age) for age in range(max(step.cols, 1))]
            limit = width
        for age, column in wanted:
            held[row, age] = 0
            if 0 <= y < height and 0 <= column < limit:
                held[row, age] = (
                    packed_words(nest, tensor, y)[column]
                    if nest.feed == "packed"
                    else tensor.operands(nest, y, column, step.block)
                )
    return held


def sample(rng: np.random.Generator, job: Job) -> list[tuple[Step, Pass, int, int]]:
    """Products of a job: ``(step, pass, group, pixel)``, at most `PRODUCTS_PER_JOB` of them."""
    nest, turns = job.nest, passes(job.nest)
    every = [
        (turn, group, pixel)
        for group in range(nest.groups)
        for start in range(0, nest.pixels, nest.stripe)
        for turn in turns
        for pixel in range(start, min(start + nest.stripe, nest.pixels))
    ]
    products = [step for step in steps(nest) if step.mac]
    chosen = rng.permutation(len(every))[:PRODUCTS_PER_JOB].tolist()
    return [(products[i], *every[i]) for i in chosen]


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(feed=list(FEEDS))
async def operands_match_model(dut, feed: Feeds) -> None:
    """Every lane and every window tap, in use or not, in products of random jobs."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    config = CONFIGS[parameters()["config"]]
    total, seen = 0, Counter()
    # Every rotation, and every number of rows that the feed can have.
    needed = {
        "dense": {("offset", at) for at in range(0, config.rows, config.lanes)},
        "window": {("cols", n) for n in (1, 2, 3)}
        | {("rows", n + 1) for n in range(config.window_rows)},
        "packed": {("shift", n) for n in range(config.rows)}
        | {("rows", n + 1) for n in range(min(ACT_BANKS, config.lanes))},
    }[feed]
    missing = needed
    while total < (MOST_PRODUCTS if missing else PRODUCTS_PER_FEED):
        job = random_job(rng, config, feed)
        dut.job.value = job.descriptor()
        for step, turn, group, pixel in sample(rng, job):
            tensor = job.tensors[turn.operand]
            expected = operands(job.nest, tensor.stored, tensor.zero_point, turn, group)[pixel]
            dut.step.value = pack_step(step)
            dut.history.value = pack(history(rng, job.nest, tensor, step))
            await Timer(1, "ns")
            port, unused = (dut.window, dut.lanes) if feed == "window" else (dut.lanes, dut.window)
            got = np.reshape(unpack(port.value.to_unsigned(), expected.size), expected.shape)
            assert (got == expected).all(), (job.nest, step, got - expected)
            assert feed == "window" or unused.value.to_unsigned() == 0, "taps of another feed"
            total += 1
            seen["rows", step.rows] += 1
            seen["shift", step.x % config.rows] += 1
            seen["offset", step.offset] += 1
            seen["cols", step.cols] += 1
        missing = {key for key in needed if not seen[key]}
    dut._log.info("seed %d, %s: %d products, %s", cocotb.RANDOM_SEED, feed, total, dict(seen))
    assert not missing, f"never happened: {missing}"
