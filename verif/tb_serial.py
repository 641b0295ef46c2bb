"""cocotb bench: `hdl.engine.serial.Serial` against `models.engine.softmax`."""

from collections.abc import Iterator
from dataclasses import dataclass

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from numpy.typing import NDArray

from hdl.config import ACT_BANKS, CONFIGS, ChipConfig
from hdl.engine.descriptor import Descriptor, Operation
from models.engine import softmax, softmax_exponentials
from verif.bench import coin, parameters, start
from verif.stream import StreamSource

JOBS = 60
LARGEST_JOB = 300
"""Values: the unit takes some three cycles each."""

INPUT_RADIUS_Q5_26 = 31 << 26
MIN_DISTINCT_RESULTS = 50


@dataclass(frozen=True)
class Grid:
    """Where a tensor ``(H, W, C)`` lies; see `hdl.engine.descriptor.Operand`."""

    base: int
    row0: int
    row_words: int
    pixel_words: int

    def word(self, y: int, x: int, block: int) -> tuple[int, int]:
        """Bank and address of a word."""
        row = y + self.row0
        address = self.base + row // ACT_BANKS * self.row_words + x * self.pixel_words + block
        return row % ACT_BANKS, address


@dataclass(frozen=True)
class SoftmaxJob:
    """A tensor, the parameters of `models.engine.softmax`, and the two places in memory."""

    x: NDArray[np.int8]
    scale: dict[str, int]
    source: Grid
    target: Grid

    def descriptor(self) -> int:
        """The bits of the job's descriptor."""
        height, width, channels = self.x.shape
        fields = {
            "operation": Operation.SOFTMAX,
            "a": vars(self.source),
            "inner_last": channels - 1,
            "out_h_last": height - 1,
            "out_w_last": width - 1,
            "out_base": self.target.base,
            "out_row0": self.target.row0,
            "out_row_words": self.target.row_words,
            "out_pixel_step": self.target.pixel_words,
        }
        return Descriptor.const(fields).as_value().value

    def table(self) -> list[int]:
        """The table of exponentials as 128-bit words."""
        packed = softmax_exponentials(**self.scale).astype("<u4").tobytes()
        return [int.from_bytes(packed[at : at + 16], "little") for at in range(0, len(packed), 16)]


def random_grid(rng: np.random.Generator, width: int, blocks: int, base: int) -> Grid:
    """A place with gaps between pixels and rows."""
    pixel_words = blocks + int(rng.integers(0, 3))
    row_words = width * pixel_words + int(rng.integers(0, 4))
    return Grid(base + int(rng.integers(0, 99)), int(rng.integers(0, 9)), row_words, pixel_words)


def random_job(rng: np.random.Generator, config: ChipConfig) -> SoftmaxJob:
    """A grid of pixels, from one of one channel to `LARGEST_JOB` values."""
    height, width = (int(n) for n in rng.integers(1, 6, 2))
    channels = int(2 ** rng.uniform(0, np.log2(LARGEST_JOB // (height * width) + 1)))
    if rng.integers(4) == 0:
        channels = -(-channels // config.rows) * config.rows
    span = int(2 ** rng.uniform(0, 8))
    low = int(rng.integers(-128, 129 - span))
    x = rng.integers(low, low + span, (height, width, channels)).astype(np.int8)
    shift = int(rng.integers(10, 28))
    scale = {
        "beta_multiplier": int(rng.integers(1 << 30, 1 << 31)),
        "beta_shift": shift,
        "minimum_difference": -(INPUT_RADIUS_Q5_26 >> shift),
    }
    blocks = -(-channels // config.rows)
    source = random_grid(rng, width, blocks, 0)
    return SoftmaxJob(x, scale, source, random_grid(rng, width, blocks, config.bank_words // 2))


class Memory:
    """Activation banks: reads in the cycle after, writes accepted at random."""

    def __init__(self, dut, rng: np.random.Generator, config: ChipConfig, refused: Iterator[bool]):
        self.dut, self.config, self.refused = dut, config, refused
        shape = (ACT_BANKS, config.bank_words, config.rows)
        self.words = rng.integers(0, 256, shape).astype(np.uint8)

    def place(self, job: SoftmaxJob) -> None:
        """Write the job's input."""
        height, width, channels = job.x.shape
        for y, x, block in np.ndindex(height, width, -(-channels // self.config.rows)):
            values = job.x[y, x, block * self.config.rows :][: self.config.rows]
            self.words[job.source.word(y, x, block)][: len(values)] = values.view(np.uint8)

    async def cycle(self) -> tuple[int, int, int] | None:
        """Let a cycle pass; return a word that was written: bank, address, data."""
        dut = self.dut
        dut.write__word__ready.value = not next(self.refused)
        await RisingEdge(dut.clk)
        for b in range(ACT_BANKS):
            if dut[f"banks__{b}__enable"].value == 1:
                word = self.words[b, dut[f"banks__{b}__address"].value.to_unsigned()]
                dut[f"banks__{b}__data"].value = int.from_bytes(word.tobytes(), "little")
        if dut.write__word__valid.value == 1 and dut.write__word__ready.value == 1:
            bits = dut.write__word__payload.value.to_unsigned()
            address_bits, rows = self.config.bank_address_bits, self.config.rows
            address = bits >> 2 & ((1 << address_bits) - 1)
            octets = bits >> (2 + address_bits)
            assert octets >> 8 * rows == (1 << rows) - 1, "not all of a word"
            return bits & (ACT_BANKS - 1), address, octets & ((1 << 8 * rows) - 1)
        return None


async def run_job(dut, memory: Memory, job: SoftmaxJob, table: StreamSource) -> list[int]:
    """Run a job, compare every word written; return the results."""
    (height, width, channels), rows = job.x.shape, memory.config.rows
    expected = softmax(job.x, **job.scale)
    dut.job.value = job.descriptor()
    dut.start.value = 1
    sending = cocotb.start_soon(table.send(job.table()))
    assert await memory.cycle() is None
    assert dut.busy.value == 0
    dut.start.value = 0
    for y, x, block in np.ndindex(height, width, -(-channels // rows)):
        values = expected[y, x, block * rows :][:rows]
        written = None
        while written is None:
            written = await memory.cycle()
            assert dut.busy.value == 1
        bank, address, data = written
        assert (bank, address) == job.target.word(y, x, block)
        got = np.frombuffer(data.to_bytes(rows, "little"), np.int8)[: len(values)]
        assert (got == values).all(), (job, y, x, block)
    assert await memory.cycle() is None
    assert dut.busy.value == 0
    await sending
    return expected.ravel().tolist()


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(table_stall=[0.0, 0.6], write_stall=[0.0, 0.6])
async def matches_model(dut, table_stall: float, write_stall: float) -> None:
    """Grids of pixels one after another, each with a table that serves all of its pixels."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    config = CONFIGS[parameters()["config"]]
    memory = Memory(dut, rng, config, coin(rng, write_stall))
    table = StreamSource(dut, "table", coin(rng, table_stall))
    dut.start.value = 0
    await start(dut)
    results, shapes = [], []
    for _ in range(JOBS):
        job = random_job(rng, config)
        memory.place(job)
        results += await run_job(dut, memory, job, table)
        shapes.append(job.x.shape)
        for _ in range(int(rng.integers(0, 3))):
            assert await memory.cycle() is None
    distinct = len(set(results))
    dut._log.info("seed %d: %d values, %d distinct", cocotb.RANDOM_SEED, len(results), distinct)
    assert distinct >= MIN_DISTINCT_RESULTS, "almost all results alike"
    assert any(channels % config.rows == 0 for *_, channels in shapes), "no full last word"
    assert any(channels == 1 for *_, channels in shapes)
    assert any(height * width > 1 and channels > config.rows for height, width, channels in shapes)
