"""cocotb bench: `hdl.engine.drain.Drain` with its parameter store against the models.

The design under test is `tests.test_drain.ParameterizedDrain`, the two together.
"""

from collections import Counter
from collections.abc import Iterator

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge, gather

from hdl.config import ChipConfig
from hdl.engine.descriptor import Drain
from models.engine.datapath import OutputWalk
from verif.bench import parameters, start
from verif.drain_jobs import DrainJob, random_walk
from verif.stream import StreamSink, StreamSource

JOBS = 120
MIN_EVENTS = 20
MIN_IN_RANGE = 0.25
FULL_RATE_PIXELS = 20

STATE = [
    "operand_b", "held_waits", "sums_valid", "word_valid", "slot_0", "slot_1", "slot_2", "slot_3",
]  # fmt: skip
"""Registers of the drain that must be zero between jobs."""


class Stalls:
    """A coin whose probability changes from job to job."""

    def __init__(self, rng: np.random.Generator):
        self.rng, self.probability = rng, 0.0

    def __iter__(self) -> Iterator[bool]:
        return self

    def __next__(self) -> bool:
        return bool(self.rng.random() < self.probability)

    def draw(self) -> None:
        """Fast, slow, very slow."""
        self.probability = float(self.rng.choice([0, 0.3, 0.8, 0.97]))


class Bench:
    """Streams with stalls, and a watch on everything else."""

    def __init__(self, dut):
        self.dut = dut
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.config = ChipConfig(**parameters()["config"])
        self.stalls = [Stalls(self.rng) for _ in range(3)]
        pixels, channels, words = self.stalls
        self.pixels = StreamSource(dut, "i", pixels)
        self.channels = StreamSource(dut, "parameters", channels)
        self.sink = StreamSink(dut, "write__word", words)
        self.remaining = self.job_words = 0
        self.releases = 0
        self.seen: Counter[str] = Counter()
        dut.start.value = 0
        dut.job.value = 0

    async def start(self) -> None:
        """Reset, and begin to watch."""
        await start(self.dut)
        cocotb.start_soon(self.watch())

    async def watch(self) -> None:
        """`busy` is exact, in every cycle; what happens is counted."""
        dut, seen = self.dut, self.seen
        inside = dut.drain
        while True:
            await RisingEdge(dut.clk)
            assert dut.busy.value == (self.remaining > 0)
            if self.remaining == 0:
                left = [dut.drain[name].value for name in STATE]
                assert not any(left), f"{dict(zip(STATE, left, strict=True))} after the last word"
            moved = self.sink.port.transfers()
            assert self.remaining > 0 or dut.write__word__valid.value == 0
            self.remaining -= moved
            if dut.start.value == 1:
                self.remaining = self.job_words
            self.releases += dut.release.value == 1
            missing = dut.full.value == 0
            seen["pixel waits"] += dut.i__valid.value == 1 and dut.i__ready.value == 0
            seen["pixel missing"] += self.remaining > 0 and dut.i__valid.value == 0
            seen["word waits"] += dut.write__word__valid.value == 1 and not moved
            seen["queue full"] += inside.word_valid.value == 1 and inside.queue_ready.value == 0
            seen["parameters missing"] += missing and dut.i__valid.value == 1
            seen["sum without parameters"] += missing and inside.sums_valid.value == 1
            seen["second operand without parameters"] += missing and inside.operand_b.value == 1

    async def run(self, job: DrainJob) -> None:
        """Start the job, feed it, and check its words; its parameters are somebody else's task."""
        dut = self.dut
        self.job_words, self.releases = len(job.words), 0
        dut.job.value = job.descriptor
        dut.start.value = 1
        await RisingEdge(dut.clk)
        dut.start.value = 0
        _, received = await gather(
            self.pixels.send(job.pixels), self.sink.receive(len(job.words), signed=False)
        )
        assert [self.unpack(raw) for raw in received] == job.words
        dut.job.value = int.from_bytes(self.rng.bytes(len(dut.job) // 8), "little")
        await RisingEdge(dut.clk)
        assert self.releases == job.walk.groups

    def unpack(self, raw: int) -> tuple[int, int, int]:
        """``(bank, address, data)`` of a word on its way to the memory, all of its bytes."""
        bits, rows = self.config.bank_address_bits, self.config.rows
        octets = raw >> (2 + bits)
        assert octets >> 8 * rows == (1 << rows) - 1
        return raw & 3, (raw >> 2) & ((1 << bits) - 1), octets & ((1 << 8 * rows) - 1)


def check_coverage(jobs: list[DrainJob], seen: Counter[str]) -> float:
    """Fail if outputs are mostly clamped, or a kind of stall is missing."""
    in_range = np.concatenate(
        [(job.activations > job.output.minimum) & (job.activations < job.output.maximum)
         for job in jobs]
    )  # fmt: skip
    assert in_range.mean() > MIN_IN_RANGE, "most outputs are clamped"
    assert min(seen.values()) >= MIN_EVENTS, f"something hardly happened: {dict(seen)}"
    assert any(len(job.words) == job.walk.groups > 1 for job in jobs), "no group of one pixel"
    return float(in_range.mean())


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def jobs_match_model(dut) -> None:
    """Jobs of all modes one after another, everything stalls: words, order, addresses, releases."""
    bench = Bench(dut)
    rng, config = bench.rng, bench.config
    modes = rng.permutation(
        np.resize([Drain.SCALE.value, Drain.AVERAGE.value, Drain.ADD.value], JOBS)
    )
    jobs = [DrainJob.draw(rng, config, Drain(int(mode)), random_walk(rng)) for mode in modes]
    await bench.start()
    # The loader runs ahead into the parameters of later jobs, and so does this.
    feeding = cocotb.start_soon(
        bench.channels.send(word for job in jobs for word in job.channels.words())
    )
    for job in jobs:
        for stalls in bench.stalls:
            stalls.draw()
        await bench.run(job)
    await feeding
    in_range = check_coverage(jobs, bench.seen)
    dut._log.info("seed %d: %.2f in range, %s", cocotb.RANDOM_SEED, in_range, dict(bench.seen))


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def keeps_the_stated_rate(dut) -> None:
    """Without stalls: cycles a pixel in each mode, and cycles to the first word."""
    bench = Bench(dut)
    config, latency = bench.config, parameters()["latency"]
    slices = config.rows // config.requantizers
    await bench.start()
    for mode, turns in ((Drain.SCALE, 1), (Drain.AVERAGE, 1), (Drain.ADD, 3)):
        walk = OutputWalk(
            groups=1, height=1, width=FULL_RATE_PIXELS, base=0, row0=0, row_words=0,
            pixel_step=1, row_step=1,
        )  # fmt: skip
        job = DrainJob.draw(bench.rng, config, mode, walk)
        await bench.channels.send(job.channels.words())
        running = cocotb.start_soon(bench.run(job))
        await RisingEdge(dut.start)
        await RisingEdge(dut.clk)
        first = last = 0
        for cycle in range(FULL_RATE_PIXELS * turns * slices + 2 * latency + slices):
            await RisingEdge(dut.clk)
            if bench.sink.port.transfers():
                first, last = first or cycle, cycle
        await running
        gained = (FULL_RATE_PIXELS - 1) * turns * slices - (last - first)
        if mode == Drain.ADD:
            # The first sum finds the pipeline filling, so its word may be a cycle late.
            assert first <= 2 * latency + turns * slices
            assert gained in (0, 1)
        else:
            assert first == latency + slices - 1
            assert gained == 0
