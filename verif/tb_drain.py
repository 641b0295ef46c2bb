"""cocotb bench: `hdl.engine.drain.Drain` with its parameter store against the models.

The design under test is `tests.test_drain.ParameterizedDrain`, the two together.
"""

from collections import Counter
from collections.abc import Iterator

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge, gather

from hdl.config import ChipConfig
from hdl.engine.requantizer import Requantizer
from models.engine.drain import OutputWalk
from verif.bench import parameters, start
from verif.drain_jobs import KINDS, STYLES, DrainJob, Style, random_walk
from verif.stream import StreamSink, StreamSource

MIN_EVENTS = 20
MIN_OUTPUTS = 3
"""Of each kind of job: clamped to either end, and within on either side of the zero point."""
MIN_IN_RANGE = 0.1
FULL_RATE_PIXELS = 20

STATE = ["operand_b", "held_waits", "sums_valid", "word_valid"] + [
    f"slot_{i}" for i in range(Requantizer.LATENCY)
]
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

    def draw_stalls(self, *, starve: bool) -> None:
        """Any speed of everything, or only parameters that come late: between two operands, too."""
        for stalls in self.stalls:
            stalls.draw()
        if starve:
            for stalls, probability in zip(self.stalls, (0, 0.97, 0), strict=True):
                stalls.probability = probability

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
                assert dut.drain.writer.high.value == 0
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
            full = inside.writer.i__ready.value == 0
            seen["queue full"] += inside.word_valid.value == 1 and full
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
            self.pixels.send(job.stimulus.pixels()), self.sink.receive(len(job.words), signed=False)
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


def random_jobs(rng: np.random.Generator, config: ChipConfig) -> list[DrainJob]:
    """Every kind in every style, in any order."""
    combinations = [(kind, style) for kind in KINDS for style in STYLES]
    return [
        DrainJob.draw(rng, config, kind, random_walk(rng, kind, style), style)
        for kind, style in (combinations[i] for i in rng.permutation(len(combinations)))
    ]


def check_coverage(jobs: list[DrainJob], seen: Counter[str]) -> float:
    """Fail if outputs of some kind are mostly clamped or never, or a kind of stall is missing."""
    shares = []
    for kind in KINDS:
        counts: Counter[str] = Counter()
        for job in jobs:
            if job.kind == kind:
                output, results = job.output, job.stimulus.activations.astype(np.int64)
                inside = (results > output.minimum) & (results < output.maximum)
                counts["outputs"] += results.size
                counts["inside"] += int(inside.sum())
                counts["minimum"] += int((results == output.minimum).sum())
                counts["maximum"] += int((results == output.maximum).sum())
                counts["below zero"] += int((inside & (results < output.zero_point)).sum())
                counts["above zero"] += int((inside & (results > output.zero_point)).sum())
        assert min(counts.values()) >= MIN_OUTPUTS, f"{kind}: {dict(counts)}"
        shares.append(counts["inside"] / counts["outputs"])
    assert len(shares) == len(KINDS)
    assert min(shares) > MIN_IN_RANGE, f"most outputs are clamped: {shares}"
    assert min(seen.values()) >= MIN_EVENTS, f"something hardly happened: {dict(seen)}"
    sizes = [(job.walk.groups, job.walk.height * job.walk.width) for job in jobs]
    assert any(groups > 1 and pixels == 1 for groups, pixels in sizes), "no groups of one pixel"
    return float(np.mean(shares))


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def jobs_match_model(dut) -> None:
    """Jobs of all modes one after another, everything stalls: words, order, addresses, releases."""
    bench = Bench(dut)
    rng, config = bench.rng, bench.config
    jobs = random_jobs(rng, config)
    await bench.start()
    # The loader runs ahead into the parameters of later jobs, and so does this.
    feeding = cocotb.start_soon(
        bench.channels.send(word for job in jobs for word in job.stimulus.channels.words())
    )
    for job in jobs:
        bench.draw_stalls(starve=job.kind.turns > 1 and bool(rng.integers(2)))
        await bench.run(job)
    await feeding
    in_range = check_coverage(jobs, bench.seen)
    dut._log.info("seed %d: %.2f in range, %s", cocotb.RANDOM_SEED, in_range, dict(bench.seen))


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def keeps_the_stated_rate(dut) -> None:
    """Without stalls: cycles a pixel of each kind, and cycles to the first word."""
    bench = Bench(dut)
    config, latency = bench.config, parameters()["latency"]
    slices = config.rows // config.requantizers
    await bench.start()
    for kind in KINDS:
        walk = OutputWalk(
            groups=1, height=1, width=FULL_RATE_PIXELS, base=0, row0=0, row_words=0,
            pixel_step=2, row_step=1, wide=kind.wide,
        )  # fmt: skip
        job = DrainJob.draw(bench.rng, config, kind, walk, Style())
        await bench.channels.send(job.stimulus.channels.words())
        running = cocotb.start_soon(bench.run(job))
        await RisingEdge(dut.start)
        await RisingEdge(dut.clk)
        # One word a cycle leaves, and int16 has two a pixel.
        words = 2 if kind.wide else 1
        interval = max(kind.turns * slices, words)
        first = last = 0
        for cycle in range(FULL_RATE_PIXELS * interval + 2 * latency + slices):
            await RisingEdge(dut.clk)
            if bench.sink.port.transfers():
                first, last = first or cycle, cycle
        await running
        gained = (FULL_RATE_PIXELS - 1) * interval + words - 1 - (last - first)
        if kind.turns > 1:
            # Until the first sum is back, a pixel takes two turns: as many begin sooner as fit.
            assert first <= 2 * latency + kind.turns * slices
            assert 0 <= gained <= Requantizer.LATENCY // 2
        else:
            assert first == latency + slices - 1
            assert gained == 0
