"""cocotb bench: `hdl.mram.WeightCache` on a behavioural controller against a model of the stream.

The design under test is `tests.read_stream.CachedStream`, the two together, with the members of
both; the ports between the two are outputs.
"""

from dataclasses import dataclass

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from hdl.mram.signals import ReadError
from verif.bench import parameters, start

RANDOM_CYCLES = 24000
EPISODE_CYCLES = 200
SEEK_PROBABILITY = 0.005
EARLY_SEEK_PROBABILITY = 0.1
STOP_PROBABILITY = 0.003
ERROR_PROBABILITY = 0.3
"""That there is a bad word not far ahead of a seek; of a broken bank half of that."""
HOLD_PROBABILITY = 0.05
MIN_EVENTS = 4
NEAR_WORDS = 300
"""Seeks go to within this distance of the beginning of a bank."""

FIRST_WORD_CYCLES = 3
"""From seek to the first word, without the latency and the wake-up time of the MRAM."""


class Bench:
    """Drives one cycle at a time, and checks the stream against ``base`` and ``read``."""

    def __init__(self, dut):
        self.dut = dut
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.config = parameters()
        self.words = 1 << len(dut.address)
        self.bank = self.config["bank_words"]
        self.base = self.read = 0
        self.flowing = False  # whether there was a seek

    def word(self, address: int) -> int:
        """Contents of the MRAM: every address has its own word."""
        return sum(
            ((address + 1) * factor % (1 << 32)) << 32 * k
            for k, factor in enumerate(self.config["factors"])
        )

    def random_address(self) -> int:
        """Any address near the beginning of a bank, or near the end of the one before."""
        near = min(NEAR_WORDS, self.bank)
        bank = int(self.rng.integers(self.words // self.bank))
        return (bank * self.bank + int(self.rng.integers(-near, near // 4))) % self.words

    async def start(self) -> None:
        """Reset; banks take as long to wake up as the configuration says, and no longer."""
        dut = self.dut
        for name in ("seek__valid", "stop", "end_valid", "o__ready", "keep", "rewind", "clear"):
            dut[name].value = 0
        for name in ("wake_mark", "may_sleep", "hold", "broken", "bad_valid"):
            dut[name].value = 0
        dut.wakeup.value = self.config["wakeup"]
        await start(dut)

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
            assert not dut.bad_valid.value or self.read != dut.bad.value.to_unsigned()
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


class Surroundings:
    """What happens to a stream without the consumer's doing: the MRAM's times and errors, gating.

    ``wrong`` is the address of the first word of the current stream that cannot be read.
    """

    def __init__(self, bench: Bench):
        self.bench, self.rng = bench, bench.rng
        self.wrong: int | None = None
        self.kind = ReadError.NONE
        self.sleep = 0.0

    def draw(self) -> None:
        """Another policy, mark and wake-up time."""
        dut, rng = self.bench.dut, self.rng
        self.sleep = float(rng.choice([0.0, 0.02, 1.0]))  # never, a pulse now and then, always
        dut.wake_mark.value = int(rng.choice([0, 1, int(rng.integers(128))]))
        dut.wakeup.value = int(2 ** rng.uniform(0, 7)) - 1

    def seek(self, address: int) -> None:
        """Errors ahead of a new stream, or none."""
        bench, dut, rng = self.bench, self.bench.dut, self.rng
        self.wrong, self.kind = None, ReadError.NONE
        ahead = int(2 ** rng.uniform(0, np.log2(2 * bench.config["capacity"]))) - 1
        bad = rng.random() < ERROR_PROBABILITY
        # The youngest read of the stream that this one leaves, if it is ahead in this one, too.
        left = (dut.mram__address.value.to_unsigned() - 1 - address) % bench.words
        if rng.random() < ERROR_PROBABILITY and left < bench.words // 2:
            bad, ahead = True, left
        dut.bad_valid.value = bad
        if bad:
            self.wrong, self.kind = (address + ahead) % bench.words, ReadError.UNCORRECTABLE
            dut.bad.value = self.wrong
        broken = rng.random() < ERROR_PROBABILITY / 2
        bank = (address // bench.bank + int(rng.integers(2))) % (bench.words // bench.bank)
        dut.broken.value = broken << bank
        if broken:
            first = address if bank == address // bench.bank else bank * bench.bank
            distance = (first - address) % bench.words
            if not bad or distance <= ahead:
                self.wrong, self.kind = first, ReadError.NO_WAKE

    def cycle(self) -> None:
        """Draw the inputs of one cycle."""
        dut, chance = self.bench.dut, self.rng.random(2)
        dut.may_sleep.value = bool(chance[0] < self.sleep)
        dut.hold.value = bool(chance[1] < HOLD_PROBABILITY)

    def check(self, since_seek: int) -> bool:
        """Whether the stream has failed; if it has, as it should."""
        dut, bench = self.bench.dut, self.bench
        failed = dut.failed.value == 1 and since_seek > 0
        if failed:
            assert dut.error_address.value.to_unsigned() == self.wrong
            assert dut.error_kind.value.to_unsigned() == self.kind.value
            assert dut.mram__enable.value == 0
        if self.wrong is not None and bench.flowing and since_seek > 0:
            left = (self.wrong - bench.read) % bench.words
            assert left <= bench.words // 2, "a word behind one that cannot be read"
        return failed


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def random_use_matches_model(dut) -> None:
    """Any mixture of seek, stop, keep, rewind, stalls, sleep and errors gives the right words."""
    bench = Bench(dut)
    rng = bench.rng
    around = Surroundings(bench)
    await bench.start()
    events = ["moved", "seek", "early_seek", "rewind", "stop", "sleep", "crossing", "next_awake"]
    count = dict.fromkeys([*events, "dropped_error", *(kind.name for kind in ReadError)], 0)
    episode = Episode.draw(rng)
    since_seek, wake_before, failed = -1, False, False
    for cycle in range(RANDOM_CYCLES):
        if cycle % EPISODE_CYCLES == 0:
            episode = Episode.draw(rng)
            around.draw()
        chance = rng.random(5).tolist()
        # A seek soon after another one finds reads in flight; one soon after a stop, too.
        early = since_seek < 2 * bench.config["latency"]
        seek = chance[0] < (EARLY_SEEK_PROBABILITY if early else SEEK_PROBABILITY) or cycle == 0
        rewind = chance[1] < episode.rewind
        stop = chance[2] < STOP_PROBABILITY
        count["early_seek"] += seek and 0 < since_seek < bench.config["latency"]
        since_seek = 0 if seek else since_seek + 1
        address = bench.random_address()
        around.cycle()
        before = bench.read
        moved = await bench.cycle(
            seek=address if seek else None,
            ready=chance[3] < episode.ready and not rewind,
            keep=chance[4] < episode.keep,
            rewind=rewind,
            stop=stop,
        )
        failed_now = around.check(since_seek)
        count["dropped_error"] += (
            dut.mram__error.value == 1 and since_seek < bench.config["latency"]
        )
        if failed_now and not failed:
            count[around.kind.name] += 1
        failed = failed_now
        wake = dut.mram__wake.value == 1
        count["sleep"] += wake_before and not wake
        count["crossing"] += moved and before // bench.bank != bench.read // bench.bank
        count["next_awake"] += dut.mram__wake_next.value == 1
        wake_before = wake
        if seek:
            around.seek(address)
        count["moved"] += moved
        for name, happened in (("seek", seek), ("rewind", rewind), ("stop", stop)):
            count[name] += happened
    dut._log.info("seed %d: %s", cocotb.RANDOM_SEED, count)
    del count[ReadError.NONE.name]
    assert count.pop("moved") > RANDOM_CYCLES // 10
    assert count.pop("early_seek") > 0
    assert count.pop("dropped_error") > 0
    assert min(count.values()) >= MIN_EVENTS


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def streams_one_word_a_cycle(dut) -> None:
    """N words take N cycles after the first one, also across banks, asleep or awake before."""
    bench = Bench(dut)
    count = min(2 * bench.bank, 4 * bench.config["capacity"])
    first = FIRST_WORD_CYCLES + bench.config["latency"]
    address = 3 * bench.bank - count // 2
    await bench.start()
    for asleep in (True, False):
        assert dut.mram__wake.value == (not asleep)
        await bench.cycle(seek=address, clear=True)
        wakeup = bench.config["wakeup"] if asleep else 0
        # The seek's own cycle is one of those that pass before the first word.
        assert await bench.take(count) == first - 1 + wakeup + count
        await bench.cycle(seek=address)  # its bank is awake before the next round begins
        await bench.take(1)


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
    assert dut.mram__wake.value == 0
    reads = bench.reads()
    assert reads > taken
    assert await bench.cycles(2 * reads, ready=True) == reads - taken
    assert dut.mram__wake.value == 0
    assert bench.reads() == reads
    await bench.cycle(seek=50)
    await bench.take(taken)
    assert dut.mram__wake.value == 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def nothing_is_read_beyond_the_end(dut) -> None:
    """All words before the end arrive and none behind it; the MRAM may sleep until a seek back."""
    bench = Bench(dut)
    taken = 3
    count = 20 + 2 * bench.config["latency"]  # the end is told before it is reached
    first = bench.bank - count  # not even the bank behind it is woken
    await bench.start()
    dut.may_sleep.value = 1
    dut.end.value = bench.bank
    await bench.cycle(seek=first, clear=True)
    await bench.take(taken)
    dut.end_valid.value = 1  # as a descriptor tells it: after the stream has begun
    await bench.cycle()
    for _ in range(bench.config["latency"] + count):
        await bench.cycle()
        assert dut.mram__wake_next.value == 0
    assert bench.reads() == count
    assert dut.mram__wake.value == 0
    assert await bench.cycles(2 * count, ready=True) == count - taken
    await bench.cycle(seek=first)
    await bench.take(count)
    assert bench.reads() == 2 * count
    assert not any([await bench.cycle(ready=True) for _ in range(count)])
    assert dut.mram__wake.value == 0
    # While it may not sleep it stays awake behind the end.
    dut.may_sleep.value = 0
    await bench.cycle(seek=first)
    await bench.take(count)
    await bench.cycles(count)
    assert dut.mram__wake.value == 1
    dut.may_sleep.value = 1  # a pulse is enough
    await bench.cycle()
    dut.may_sleep.value = 0
    await bench.cycles(2)
    assert dut.mram__wake.value == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def the_mark_hides_the_wakeup(dut) -> None:
    """A mark of as many words as the formula of docs/mram.md says is enough, one less is not."""
    bench = Bench(dut)
    capacity, latency = bench.config["capacity"], bench.config["latency"]
    await bench.start()
    dut.may_sleep.value = 1
    for units in (1, 2, capacity // 16):
        hidden = 8 * units - latency - 3
        for wakeup, gap in ((hidden, 0), (hidden + 1, 1)):
            if wakeup < 0:
                continue
            await bench.cycle(stop=True)
            await bench.cycles(latency + 1)
            dut.wakeup.value = wakeup
            dut.wake_mark.value = units
            await bench.cycle(seek=0)
            await bench.cycles(wakeup + capacity + 2 * latency + 3)
            assert dut.mram__wake.value == 0
            # The last unmarked word leaves; the bank wakes up while the marked ones do.
            assert await bench.take(capacity - 8 * units) == capacity - 8 * units
            assert dut.mram__wake.value == 0
            assert await bench.take(capacity) == capacity + gap


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def bursts_are_long_unless_words_are_kept(dut) -> None:
    """Below the mark the MRAM sleeps until a quarter of the ring is free, but not if it starves."""
    bench = Bench(dut)
    capacity = bench.config["capacity"]
    quarter = capacity // 4
    settle = bench.config["wakeup"] + capacity + 2 * bench.config["latency"] + 3
    await bench.start()
    dut.wake_mark.value = 127  # more than all
    dut.may_sleep.value = 1
    for keep in (False, True):
        await bench.cycle(seek=0, clear=True)
        await bench.cycles(settle)
        assert bench.reads() == capacity
        await bench.take(quarter - 1)
        if keep:  # no more room comes while words are kept
            await bench.take(1, keep=True)
        await bench.cycles(settle)
        assert bench.reads() == capacity + (quarter - 1 if keep else 0)
        await bench.take(1, keep=keep)
        await bench.cycles(settle)
        assert bench.reads() == capacity + (quarter - 1 if keep else quarter)
        assert dut.mram__wake.value == 0
