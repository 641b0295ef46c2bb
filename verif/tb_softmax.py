"""cocotb bench: `hdl.engine.softmax.Softmax` against `models.engine.softmax`."""

from collections.abc import Iterable

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge, gather
from numpy.typing import NDArray

from models.engine import softmax, softmax_exponentials, softmax_reciprocal
from models.fixedpoint import rounding_divide_by_pot
from verif.bench import coin, start
from verif.stream import StreamSink, StreamSource

PASSES = 3
VECTORS_PER_TABLE = 12
TABLES = 16
LONGEST = 150
LONGEST_SUPPORTED = 4095
FIXED_CYCLES = 29
MIN_DISTINCT_RESULTS = 60
MIN_MAGNITUDES_OF_SUM = 6
INPUT_RADIUS_Q5_26 = 31 << 26
"""TensorFlow Lite's bound of a scaled difference."""

Parameters = dict[str, int]


def softmax_parameters(multiplier: int, shift: int) -> Parameters:
    """What TensorFlow Lite derives from an input scale of ``multiplier * 2**(shift - 31 - 26)``."""
    return {
        "beta_multiplier": multiplier,
        "beta_shift": shift,
        "minimum_difference": -(INPUT_RADIUS_Q5_26 >> shift),
    }


def table_words(parameters: Parameters) -> list[int]:
    """The table of exponentials as 128-bit words."""
    packed = softmax_exponentials(**parameters).astype("<u4").tobytes()
    return [int.from_bytes(packed[at : at + 16], "little") for at in range(0, len(packed), 16)]


def random_vector(rng: np.random.Generator, length: int) -> NDArray[np.int8]:
    """Values over a range of any width, anywhere in int8."""
    width = int(2 ** rng.uniform(0, 8))
    low = int(rng.integers(-128, 129 - width))
    return rng.integers(low, low + width, length).astype(np.int8)


class Bench:
    """The three streams of the unit."""

    def __init__(self, dut, source_stall: Iterable[bool], sink_stall: Iterable[bool]):
        self.dut = dut
        self.table = StreamSource(dut, "table")
        self.source = StreamSource(dut, "i", source_stall)
        self.sink = StreamSink(dut, "o", sink_stall)
        dut.start.value = 0
        dut.count.value = 0

    async def load(self, parameters: Parameters) -> None:
        """Send a table, and wait until its last word is in."""
        await self.table.send(table_words(parameters))

    async def run(self, vector: NDArray[np.int8]) -> list[int]:
        """Results for ``vector``."""
        dut = self.dut
        assert dut.busy.value == 0
        dut.start.value = 1
        dut.count.value = len(vector)
        await RisingEdge(dut.clk)
        dut.start.value = 0
        dut.count.value = 0  # sampled with start
        _, received = await gather(
            self.source.send(np.tile(vector, PASSES).tolist()),
            self.sink.receive(len(vector)),
        )
        await RisingEdge(dut.clk)
        return received


def sum_of_exponentials(vector: NDArray[np.int8], parameters: Parameters) -> int:
    """The Q12.19 sum that the second pass arrives at."""
    exponentials = softmax_exponentials(**parameters)[int(vector.max()) - vector.astype(np.int64)]
    return int(rounding_divide_by_pot(exponentials, 12).sum())


def leading_zeros(total: int) -> int:
    """How far the unit has to shift the sum of the exponentials."""
    return 32 - total.bit_length()


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(source_stall=[0.0, 0.3], sink_stall=[0.0, 0.3])
async def matches_model(dut, source_stall: float, sink_stall: float) -> None:
    """Random scales, vectors and stalls give the model's bits; a table serves many vectors."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    bench = Bench(dut, coin(rng, source_stall), coin(rng, sink_stall))
    await start(dut)

    shifts_of_sum, results = set(), []
    for _ in range(TABLES):
        parameters = softmax_parameters(
            int(rng.integers(1 << 30, 1 << 31)), int(rng.integers(10, 28))
        )
        await bench.load(parameters)
        for _ in range(VECTORS_PER_TABLE):
            vector = random_vector(rng, int(2 ** rng.uniform(0, np.log2(LONGEST))))
            expected = softmax(vector, **parameters)
            received = await bench.run(vector)
            assert received == expected.tolist(), (parameters, vector.tolist())
            results.append(expected)
            # Eight bits of a result hide the last ones of the reciprocal: look at those directly.
            total = sum_of_exponentials(vector, parameters)
            scale, _ = softmax_reciprocal(total)
            assert dut.reciprocal.scale.value.to_unsigned() == scale, total
            shifts_of_sum.add(leading_zeros(total))

    distinct = np.unique(np.concatenate(results))
    dut._log.info(
        "seed %d: %d distinct results, leading zeros of the sum: %s",
        cocotb.RANDOM_SEED, len(distinct), sorted(shifts_of_sum),
    )  # fmt: skip
    assert len(distinct) >= MIN_DISTINCT_RESULTS, "almost all results alike"
    assert distinct[-1] == np.iinfo(np.int8).max, "the saturating result is missing"
    assert len(shifts_of_sum) >= MIN_MAGNITUDES_OF_SUM, "sums of few magnitudes only"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def longest_vectors(dut) -> None:
    """4095 equal values make the largest sum, powers of two make a reciprocal that saturates."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    bench = Bench(dut, coin(rng, 0), coin(rng, 0))
    await start(dut)
    parameters = softmax_parameters(1 << 30, 20)
    await bench.load(parameters)
    for length in (LONGEST_SUPPORTED, 2048, 1024, 2, 1):
        vector = np.full(length, rng.integers(-128, 128), dtype=np.int8)
        assert await bench.run(vector) == softmax(vector, **parameters).tolist()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def takes_the_stated_cycles(dut) -> None:
    """The docstring's ``3 * n + 29 + z`` cycles, without stalls."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    bench = Bench(dut, coin(rng, 0), coin(rng, 0))
    await start(dut)
    for shift in (12, 20, 25):
        parameters = softmax_parameters(1 << 30, shift)
        await bench.load(parameters)
        for length in (1, 2, 10, 100):
            vector = random_vector(rng, length)
            run = cocotb.start_soon(bench.run(vector))
            busy = 0
            await RisingEdge(dut.busy)
            while dut.busy.value == 1:
                assert dut.table__ready.value == 0, "the table may change under a vector"
                await RisingEdge(dut.clk)
                busy += int(dut.busy.value)
            await run
            zeros = leading_zeros(sum_of_exponentials(vector, parameters))
            assert busy == PASSES * length + FIXED_CYCLES + zeros
