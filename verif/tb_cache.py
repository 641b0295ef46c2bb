"""cocotb bench: `hdl.mram.WeightCache` with its macro against a model of the stream.

The design under test is `tests.test_cache.CachedMram`, the two together, with the members of the
cache and the macro's ``write``; the ports between the two are outputs.
"""

from dataclasses import dataclass

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from hdl.mram import MRAM_WORD_BITS
from verif.bench import parameters, start

RANDOM_CYCLES = 8000
EPISODE_CYCLES = 200
SEEK_PROBABILITY = 0.005
EARLY_SEEK_PROBABILITY = 0.1
STOP_PROBABILITY = 0.003
MIN_EVENTS = 10
MAX_PROGRAMMED_WORDS = 1 << 13
"""Programming the whole MRAM of a large configuration would be most of the test."""

FIRST_WORD_CYCLES = 3
"""From seek to the first word, without the latency and the wake-up time of the MRAM."""


class Bench:
    """Drives one cycle at a time, and checks the stream against ``base`` and ``read``."""

    def __init__(self, dut):
        self.dut = dut
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.config = parameters()
        self.words = 1 << len(dut.address)
        # The programmed stretch wraps around the end of the MRAM, as the stream does.
        self.programmed = min(self.words, MAX_PROGRAMMED_WORDS)
        self.first = self.words - self.programmed // 2
        self.base = self.read = 0
        self.flowing = False  # whether there was a seek

    def word(self, address: int) -> int:
        """Contents of the MRAM: every programmed address has its own word, the others zero."""
        if (address - self.first) % self.words >= self.programmed:
            return 0
        return (address * 0x9E3779B97F4A7C15F39CC0605CEDC835 + 1) % (1 << MRAM_WORD_BITS)

    def random_address(self) -> int:
        """Any address of the programmed stretch."""
        return (self.first + int(self.rng.integers(self.programmed))) % self.words

    async def start(self) -> None:
        """Reset, and program the MRAM."""
        dut = self.dut
        for name in ("seek__valid", "stop", "end_valid", "o__ready", "keep", "rewind", "clear"):
            dut[name].value = 0
        dut.write__enable.value = 0
        await start(dut)
        for address in range(self.first, self.first + self.programmed):
            dut.write__enable.value = 1
            dut.write__address.value = address % self.words
            dut.write__data.value = self.word(address % self.words)
            await RisingEdge(dut.clk)
        dut.write__enable.value = 0

    async def cycle(
        self,
        *,
        seek: int | None = None,
        ready: bool = False,
        keep: bool = False,
        rewind: bool = False,
        stop: bool = False,
        clear: bool = False,
    ) -> bool:
        """Apply the inputs for one cycle, check the outputs; return whether a word moved."""
        dut = self.dut
        dut.seek__valid.value = seek is not None
        dut.seek__payload.value = seek or 0
        dut.o__ready.value = ready
        dut.keep.value = keep
        dut.rewind.value = rewind
        dut.stop.value = stop
        dut.clear.value = clear
        await RisingEdge(dut.clk)

        assert dut.seek__ready.value == 1
        valid = dut.o__valid.value == 1
        assert self.flowing or not valid
        if self.flowing:
            assert dut.address.value.to_unsigned() == self.read
        if valid:
            assert dut.o__payload.value.to_unsigned() == self.word(self.read), f"at {self.read}"
        moved = valid and ready
        if moved:
            self.read = (self.read + 1) % self.words
            if not keep:
                self.base = self.read
        if rewind:
            self.read = self.base
        if seek is not None:
            self.base = self.read = seek
            self.flowing = True
        return moved

    async def cycles(self, count: int, **inputs) -> int:
        """Repeat `cycle`; return how many words moved."""
        return sum([await self.cycle(**inputs) for _ in range(count)])

    async def take(self, count: int, **inputs) -> int:
        """Take ``count`` words at full speed; return the cycles that it took."""
        cycles = 0
        while count > 0:
            count -= await self.cycle(ready=True, **inputs)
            cycles += 1
        return cycles

    def reads(self) -> int:
        """Value of the counter, as of the last edge."""
        return self.dut.reads.value.to_unsigned()


@dataclass
class Episode:
    """Probabilities of the consumer's actions in a cycle, constant for a while."""

    ready: float
    keep: float
    rewind: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Episode":
        """A consumer that is slow or fast, keeps much or little, rewinds often or rarely."""
        return cls(
            ready=float(rng.choice([0.1, 0.5, 0.9, 1.0])),
            keep=float(rng.choice([0.0, 0.5, 0.99, 1.0])),
            rewind=float(rng.choice([0.0, 0.01, 0.2])),
        )


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def random_use_matches_model(dut) -> None:
    """Any mixture of seek, stop, keep, rewind and stalls gives the words of the addresses."""
    bench = Bench(dut)
    rng = bench.rng
    await bench.start()
    await bench.cycle(seek=bench.random_address())
    count = dict.fromkeys(["moved", "seek", "early_seek", "rewind", "stop"], 0)
    episode = Episode.draw(rng)
    since_seek = 0
    for cycle in range(RANDOM_CYCLES):
        if cycle % EPISODE_CYCLES == 0:
            episode = Episode.draw(rng)
        chance = rng.random(5).tolist()
        # A seek soon after another one finds reads in flight; one soon after a stop, too.
        early = since_seek < 2 * bench.config["latency"]
        seek = chance[0] < (EARLY_SEEK_PROBABILITY if early else SEEK_PROBABILITY)
        rewind = chance[1] < episode.rewind
        stop = chance[2] < STOP_PROBABILITY
        count["early_seek"] += seek and 0 < since_seek < bench.config["latency"]
        since_seek = 0 if seek else since_seek + 1
        count["moved"] += await bench.cycle(
            seek=bench.random_address() if seek else None,
            ready=chance[3] < episode.ready and not rewind,
            keep=chance[4] < episode.keep,
            rewind=rewind,
            stop=stop,
        )
        for name, happened in (("seek", seek), ("rewind", rewind), ("stop", stop)):
            count[name] += happened
    dut._log.info("seed %d: %s", cocotb.RANDOM_SEED, count)
    assert count["moved"] > RANDOM_CYCLES // 10
    assert min(count["seek"], count["rewind"], count["stop"]) >= MIN_EVENTS
    assert bench.config["latency"] == 1 or count["early_seek"] > 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def streams_one_word_a_cycle(dut) -> None:
    """N words take N cycles after the first one, whose time is exact, asleep or awake."""
    bench = Bench(dut)
    count = bench.programmed
    await bench.start()
    first = FIRST_WORD_CYCLES + bench.config["latency"]
    for asleep in (True, False):
        assert dut.mram__power.value == (not asleep)
        await bench.cycle(seek=bench.first, clear=True)
        wakeup = bench.config["wakeup"] if asleep else 0
        # The seek's own cycle is one of those that pass before the first word.
        assert await bench.take(count) == first - 1 + wakeup + count


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def kept_words_are_read_once(dut) -> None:
    """A kept stretch that fits the ring repeats at full speed, and costs no further reads."""
    bench = Bench(dut)
    capacity = bench.config["capacity"]
    await bench.start()
    await bench.cycle(seek=3, clear=True)
    await bench.take(5)
    await bench.take(capacity, keep=True)
    # The ring holds nothing but kept words: nothing moves, nothing is read.
    assert await bench.cycles(20, ready=True, keep=True) == 0
    assert bench.reads() == 5 + capacity
    for _ in range(3):
        await bench.cycle(rewind=True)
        assert await bench.take(capacity, keep=True) == capacity
    assert bench.reads() == 5 + capacity
    # The last time without keeping: the ring refills while the stretch is read.
    await bench.cycle(rewind=True)
    assert await bench.take(2 * capacity) <= 2 * capacity + 1
    await bench.cycles(capacity + 20)
    assert bench.reads() == 5 + 3 * capacity
    await bench.cycle(clear=True)
    await bench.cycle()
    assert bench.reads() == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def stop_lets_the_mram_sleep(dut) -> None:
    """After a stop the reads in flight return, the power falls, and the ring stays on offer."""
    bench = Bench(dut)
    taken, latency = 10, bench.config["latency"]
    await bench.start()
    await bench.cycle(seek=0, clear=True)
    await bench.take(taken)
    await bench.cycle(stop=True)
    await bench.cycles(latency + 1)
    assert dut.mram__power.value == 0
    reads = bench.reads()
    assert reads > taken
    assert await bench.cycles(2 * reads, ready=True) == reads - taken
    assert dut.mram__power.value == 0
    assert bench.reads() == reads
    await bench.cycle(seek=50)
    await bench.take(taken)
    assert dut.mram__power.value == 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def nothing_is_read_beyond_the_end(dut) -> None:
    """All words before the end arrive and none behind it; the MRAM sleeps until a seek back."""
    bench = Bench(dut)
    first, taken = bench.first, 3
    count = 20 + 2 * bench.config["latency"]  # the end is told before it is reached
    await bench.start()
    dut.end.value = (first + count) % bench.words
    await bench.cycle(seek=first, clear=True)
    await bench.take(taken)
    dut.end_valid.value = 1  # as a descriptor tells it: after the stream has begun
    await bench.cycles(bench.config["latency"] + count)
    assert bench.reads() == count
    assert dut.mram__power.value == 0
    assert await bench.cycles(2 * count, ready=True) == count - taken
    await bench.cycle(seek=first)
    await bench.take(count)
    assert bench.reads() == 2 * count
    assert not any([await bench.cycle(ready=True) for _ in range(count)])
    dut.end_valid.value = 0
