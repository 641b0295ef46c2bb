"""cocotb bench: walker, fetch and align together, from a job to the operands of its products.

The design under test is `tests.test_fetch.FrontEnd`.  Products are judged by
`models.engine.dataflow.operands`, which picks them from the tensor without any idea of steps.
"""

from collections import Counter
from collections.abc import Iterator

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from numpy.typing import NDArray

from hdl.config import ACT_BANKS, CONFIGS
from hdl.engine.fetch import Fetch
from models.engine.dataflow import Step, step_count, steps
from verif.bench import coin, parameters, start
from verif.front_jobs import FEEDS, Feeds, Job, pack_step, random_job, unpack

PRODUCTS_PER_FEED = 2500
MOST_PRODUCTS = 10 * PRODUCTS_PER_FEED
"""However long it takes until everything has happened."""
LARGEST_JOB = 1500
"""Steps: few jobs would be most of the test otherwise."""


class Banks:
    """The activation memory: data follow in the cycle after an enable, and hold."""

    def __init__(self, dut):
        self.dut = dut
        self.reads = 0

    def load(self, job: Job) -> None:
        """Take a job's memory; only its tensors may be read."""
        self.words = job.banks
        self.allowed = np.zeros(job.banks.shape[:2], bool)
        for tensor in job.tensors:
            for row in np.arange(tensor.height) + tensor.row0:
                at = tensor.base + row // ACT_BANKS * tensor.row_words
                self.allowed[row % ACT_BANKS, at : at + tensor.row_words] = True

    def cycle(self, advance: bool) -> None:
        """Answer the requests of the edge that just happened."""
        for b in range(ACT_BANKS):
            if self.dut[f"banks__{b}__enable"].value == 0:
                continue
            assert advance, "a read without advance"
            address = self.dut[f"banks__{b}__address"].value.to_unsigned()
            assert self.allowed[b, address], f"read of bank {b} at {address}, outside of the tensor"
            self.dut[f"banks__{b}__data"].value = int.from_bytes(
                self.words[b, address].tobytes(), "little"
            )
            self.reads += 1


def operands_of(dut, feed: Feeds, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """The operands that the array would take now."""
    port = dut.window if feed == "window" else dut.lanes
    return np.reshape(unpack(port.value.to_unsigned(), int(np.prod(shape))), shape)


def observe(job: Job, products: list[NDArray[np.int64]], seen: Counter) -> None:
    """Count the situations that a job brings about."""
    nest, tensor = job.nest, job.tensors[0]
    every = np.concatenate([product.ravel() for product in products])
    seen["nine bits"] += not nest.wide and bool(every.min() < -128 or every.max() > 127)  # noqa: PLR2004 int8
    seen["low bytes"] += nest.wide and bool(every.max() > 127)  # noqa: PLR2004 int8
    if nest.addition:
        second = job.tensors[1]
        rows, columns = nest.size[0] > 1 and second.one_row, second.pixel_words == 0
        seen["repeated rows"] += rows
        seen["repeated columns"] += columns
    seen[f"phase {tensor.row0 % ACT_BANKS}"] += 1
    seen["all padding"] += any(not product.any() for product in products)
    seen["two words a segment"] += nest.feed == "packed" and any(
        s.x // nest.array.rows != s.reach // nest.array.rows for s in steps(nest) if s.mac
    )
    seen["left of the tensor"] += nest.padding[1] > 0
    seen["above the tensor"] += nest.padding[0] > 0
    seen["channels left"] += tensor.stored.shape[2] != nest.size[2]


def situations(feed: Feeds) -> set[str]:
    """What must have happened."""
    common = {"nine bits", "left of the tensor", "above the tensor", "all padding"}
    common |= {f"phase {phase}" for phase in range(ACT_BANKS)}
    return (
        common
        | {
            "dense": {"channels left", "low bytes"},
            "window": {"channels left", "low bytes", "repeated rows", "repeated columns"},
            "packed": {"two words a segment"},
        }[feed]
    )


def check_tag(dut, job: Job, step: Step) -> None:
    """The tag is the walker's step, and `inside` speaks of its first row and column."""
    nest, (height, width, _) = job.nest, job.nest.size
    assert dut.tag.value.to_unsigned() == pack_step(step), (nest, step)
    column = step.x
    if nest.feed == "packed":
        column, width = step.reach // nest.array.rows, job.tensors[0].row_words
    inside = 0 <= step.y < height and 0 <= column < width
    assert (dut.inside.value == 1) == inside, (nest, step)


async def run_job(
    dut, banks: Banks, job: Job, products: list[NDArray[np.int64]], paused: Iterator[bool]
) -> None:
    """Start a job and follow it to its last product."""
    banks.load(job)
    dut.job.value = job.descriptor()
    dut.start.value = 1
    await RisingEdge(dut.clk)
    dut.start.value = 0
    remaining, waiting = iter(products), list(steps(job.nest))[::-1]
    advanced = 0
    while waiting:
        advance = not next(paused)
        dut.advance.value = advance
        await RisingEdge(dut.clk)
        banks.cycle(advance)
        assert (dut.tag_valid.value == 1) == (advanced >= Fetch.LATENCY)
        advanced += advance
        if advance and dut.tag_valid.value == 1:
            step = waiting.pop()
            check_tag(dut, job, step)
            if step.mac:
                product = next(remaining)
                got = operands_of(dut, job.nest.feed, product.shape)
                assert (got == product).all(), (job.nest, step, got - product)
    assert next(remaining, None) is None
    dut.advance.value = 1
    await RisingEdge(dut.clk)
    banks.cycle(True)
    assert dut.in_flight.value == 0
    assert dut.tag_valid.value == 0


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(feed=list(FEEDS), stall=[0.0, 0.3])
async def operands_match_model(dut, feed: Feeds, stall: float) -> None:
    """Random jobs: tags in the walker's order, operands from the tensor, no read outside of it."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    config, paused = CONFIGS[parameters()["config"]], coin(rng, stall)
    banks, seen, total = Banks(dut), Counter(), 0
    missing = needed = situations(feed)
    dut.start.value = 0
    dut.advance.value = 0
    await start(dut)
    while total < (MOST_PRODUCTS if missing else PRODUCTS_PER_FEED):
        job = random_job(rng, config, feed)
        if step_count(job.nest) > LARGEST_JOB:
            continue
        products = job.products()
        observe(job, products, seen)
        missing = {name for name in needed if not seen[name]}
        await run_job(dut, banks, job, products, paused)
        total += len(products)
    dut._log.info(
        "seed %d, %s: %d products, %d reads, %s",
        cocotb.RANDOM_SEED, feed, total, banks.reads, dict(seen),
    )  # fmt: skip
    assert not missing, f"never happened: {missing}"
