"""cocotb bench: `hdl.engine.accumulators.Accumulators` against `models.engine.datapath`."""

from collections import Counter, deque
from dataclasses import dataclass

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from hdl.config import ChipConfig
from hdl.engine.accumulators import ACCUMULATOR_BITS, PRODUCT_BITS
from hdl.engine.array import SUM_BITS
from models.engine.datapath import AccumulatorStore, Finished
from models.fixedpoint import IntArray, wrap
from verif.bench import log_uniform, parameters, start
from verif.stream import StreamPort, check_stream_rules
from verif.vectors import pack, unpack

EPISODES = 50
EPISODE_CYCLES = 150
MIN_EVENTS = 20
PIXEL_BITS = 16
TAG_BITS = PIXEL_BITS + 6
LARGEST_SUM = 1 << (SUM_BITS - 1)
MAX_SHIFT = 2
SUMS_THAT_WRAP = (1 << (ACCUMULATOR_BITS - 1 - 8 * MAX_SHIFT)) // LARGEST_SUM + 3


@dataclass(frozen=True)
class Step:
    """A tag and its sums."""

    sums: IntArray
    pixel: int
    first: bool
    last: bool
    maximum: bool
    skip: bool
    shift: int = 0

    def tag(self) -> int:
        """As `hdl.engine.accumulators.AccumulatorTag`."""
        flags = self.first | self.last << 1 | self.maximum << 2 | self.skip << 3 | self.shift << 4
        return self.pixel | flags << PIXEL_BITS


@dataclass
class Episode:
    """What happens for a while."""

    pixels: list[int]
    valid: float
    ready: float
    first: float
    last: float

    @classmethod
    def draw(cls, rng: np.random.Generator, depth: int) -> "Episode":
        """One pixel over and over, a few, or many; short and long reductions."""
        count = min(int(rng.choice([1, 2, 3, depth])), depth)
        return cls(
            rng.choice(depth, count, replace=False).tolist(),
            *(float(p) for p in rng.choice([0.3, 0.8, 1.0], 2)),
            *(float(p) for p in rng.choice([0.1, 0.5], 2)),
        )


class Bench:
    """The pipeline of steps beside the model's store, and the finished pixels in order."""

    def __init__(self, dut):
        self.dut = dut
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.config = ChipConfig(**parameters()["config"])
        self.store = AccumulatorStore(self.config.rows)
        self.maximum: dict[int, bool] = {}  # of the reduction under way, by pixel
        self.tagged: Step | None = None  # the step whose sums are due
        self.offered = False  # whether `o` is valid
        self.expected: deque[Finished] = deque()
        self.previous_pixels: deque[int | None] = deque([None, None], maxlen=2)
        self.seen: Counter[str] = Counter()

    async def start(self) -> None:
        """Reset, with nothing going on."""
        self.dut.tag_valid.value = 0
        self.dut.o__ready.value = 0
        cocotb.start_soon(check_stream_rules(StreamPort(self.dut, "o")))
        await start(self.dut)

    def random_step(self, episode: Episode) -> Step:
        """The next step of some pixel's reduction, or the first of a new one."""
        rng = self.rng
        pixel = int(rng.choice(episode.pixels))
        first = pixel not in self.maximum or bool(rng.random() < episode.first)
        maximum = bool(rng.integers(2)) if first else self.maximum[pixel]
        last = bool(rng.random() < episode.last)
        if last:
            self.maximum.pop(pixel, None)
            if first:  # nothing is stored, so any pixel will do
                pixel = int(rng.integers(1 << PIXEL_BITS))
        else:
            self.maximum[pixel] = maximum
        sums = log_uniform(rng, bits=SUM_BITS, size=self.config.rows)
        shift = 0 if maximum else int(rng.integers(MAX_SHIFT + 1))
        return Step(sums, pixel, first, last, maximum, bool(rng.integers(2)), shift)

    async def cycle(self, step: Step | None, *, ready: bool) -> bool:
        """Offer a step, check handshakes and what leaves; return whether the pipeline moved."""
        dut, tagged, seen = self.dut, self.tagged, self.seen
        dut.tag_valid.value = step is not None
        dut.tag.value = step.tag() if step is not None else int(self.rng.integers(1 << TAG_BITS))
        sums = log_uniform(self.rng, bits=SUM_BITS, size=self.config.rows)
        if tagged is not None:
            sums = tagged.sums
        dut.sums.value = pack(sums, SUM_BITS)
        dut.o__ready.value = ready
        await RisingEdge(dut.clk)

        advance = not self.offered or ready
        assert dut.o__valid.value == self.offered
        assert dut.advance.value == advance
        assert dut.in_flight.value == (self.offered or tagged is not None)
        if self.offered and ready:
            self.check_output()
        seen["stall"] += not advance
        seen["stall with a step behind"] += not advance and tagged is not None
        if advance:
            self.offered = tagged is not None and self.follow(tagged)
            self.tagged = step
        return advance

    def follow(self, step: Step) -> bool:
        """The step's sums are combined; whether its pixel leaves."""
        seen = self.seen
        last_but_one, last = self.previous_pixels
        self.previous_pixels.append(None if step.last else step.pixel)
        seen["same pixel at once"] += not step.first and last == step.pixel
        seen["same pixel after one"] += not step.first and last_but_one == step.pixel != last
        seen["skip"] += step.skip and step.maximum
        seen["skipped first"] += step.skip and step.maximum and step.first
        seen["skip does not touch sums"] += step.skip and not step.maximum
        seen["single pass"] += step.first and step.last
        seen[f"shift {step.shift}"] += not step.first and bool(step.sums.any())
        finished = self.store.step(**vars(step))
        if finished is None:
            return False
        self.expected.append(finished)
        seen["maximum" if step.maximum else "sum"] += 1
        seen["more than int32"] += bool((wrap(finished.total) != finished.total).any())
        return True

    def check_output(self) -> None:
        """Compare the oldest finished pixel; nobody may look at `previous` after one pass."""
        rows = self.config.rows
        raw = self.dut.o__payload.value.to_unsigned()
        expected = self.expected.popleft()
        assert unpack(raw, ACCUMULATOR_BITS, rows).tolist() == expected.total.tolist()
        raw >>= ACCUMULATOR_BITS * rows
        assert unpack(raw, PRODUCT_BITS, rows).tolist() == expected.latest.tolist()
        raw >>= PRODUCT_BITS * rows
        if expected.previous is not None:
            assert unpack(raw, PRODUCT_BITS, rows).tolist() == expected.previous.tolist()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def matches_model(dut) -> None:
    """Random reductions of one, few or many pixels, with stalls: totals, order and handshakes."""
    bench = Bench(dut)
    rng = bench.rng
    await bench.start()
    for _ in range(EPISODES):
        episode = Episode.draw(rng, bench.config.accumulator_depth)
        step = None
        for _ in range(EPISODE_CYCLES):
            if step is None and rng.random() < episode.valid:
                step = bench.random_step(episode)
            if await bench.cycle(step, ready=bool(rng.random() < episode.ready)):
                step = None
        while step is not None:  # its pixel is already taken into account
            if await bench.cycle(step, ready=True):
                step = None
    while bench.offered or bench.tagged is not None:
        await bench.cycle(None, ready=True)
    dut._log.info("seed %d: %s", cocotb.RANDOM_SEED, dict(bench.seen))
    assert not bench.expected
    assert min(bench.seen.values()) >= MIN_EVENTS, "something hardly happened"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def accumulators_wrap(dut) -> None:
    """Sums beyond 40 bits wrap, one step a cycle on one pixel, either way."""
    bench = Bench(dut)
    await bench.start()
    rows = bench.config.rows
    sums = np.where(np.arange(rows) % 2, LARGEST_SUM - 1, -LARGEST_SUM)
    for i in range(SUMS_THAT_WRAP):
        step = Step(sums, 0, i == 0, i == SUMS_THAT_WRAP - 1, False, False, MAX_SHIFT)
        assert await bench.cycle(step, ready=True)
    await bench.cycle(None, ready=True)
    total = wrap(SUMS_THAT_WRAP * sums << 8 * MAX_SHIFT, ACCUMULATOR_BITS)
    assert bench.expected[0].total.tolist() == total.tolist()
    assert (np.sign(bench.expected[0].total) == -np.sign(sums)).all()
    await bench.cycle(None, ready=True)
    assert not bench.expected


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_pixel_every_cycle(dut) -> None:
    """Finished pixels leave one a cycle, the first `LATENCY` cycles after its tag."""
    bench = Bench(dut)
    await bench.start()
    rows, count, latency = bench.config.rows, 50, parameters()["latency"]
    for cycle in range(count):
        sums = log_uniform(bench.rng, bits=SUM_BITS, size=rows)
        assert await bench.cycle(Step(sums, cycle, True, True, False, False), ready=True)
        assert dut.o__valid.value == (cycle >= latency)
    for _ in range(latency):
        await bench.cycle(None, ready=True)
    assert not bench.expected
    assert not bench.offered
