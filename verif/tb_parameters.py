"""cocotb bench: `hdl.engine.parameters.ParameterStore` against a queue of groups."""

from collections import Counter, deque
from dataclasses import dataclass

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from hdl.config import MRAM_WORD_BYTES, ChipConfig
from models.fixedpoint import IntArray
from verif.bench import log_uniform, parameters, start
from verif.vectors import pack, unpack

EPISODES = 40
EPISODE_CYCLES = 150
MIN_EVENTS = 20
LAST_WORD_RELEASE = 0.3
"""Probability of a release just when the other bank becomes complete."""
BANKS = 2
BIAS_BITS, MULTIPLIER_BITS, SHIFT_BITS = 32, 31, 6
CHANNEL_BITS = BIAS_BITS + MULTIPLIER_BITS + SHIFT_BITS


@dataclass(frozen=True)
class Group:
    """Parameters of ``rows`` channels."""

    bias: IntArray
    multiplier: IntArray
    shift: IntArray

    @classmethod
    def draw(cls, rng: np.random.Generator, rows: int) -> "Group":
        """All magnitudes; shifts over the whole range."""
        return cls(
            log_uniform(rng, bits=32, size=rows),
            np.abs(log_uniform(rng, bits=32, size=rows) + 1),
            rng.integers(-31, 32, rows),
        )

    def words(self, rng: np.random.Generator) -> list[int]:
        """The group in the stream; unused bytes behind the shifts hold anything."""
        raw = pack(self.bias, 32) | pack(self.multiplier, 32) << (32 * len(self.bias))
        count = len(self.bias) * 32 * 2 // (8 * MRAM_WORD_BYTES)
        words = [
            (raw >> (8 * MRAM_WORD_BYTES * i)) % (1 << 8 * MRAM_WORD_BYTES) for i in range(count)
        ]
        unused = rng.integers(-128, 128, MRAM_WORD_BYTES - len(self.shift))
        return [*words, pack(np.concatenate([self.shift, unused]), 8)]

    def channels(self, first: int, count: int) -> list[tuple[int, int, int]]:
        """``(bias, multiplier, shift)`` of a slice."""
        where = slice(first, first + count)
        columns = (self.bias[where], self.multiplier[where], self.shift[where])
        return list(zip(*(column.tolist() for column in columns), strict=True))


def received_channels(dut, count: int) -> list[tuple[int, int, int]]:
    """The output port."""
    raw = dut.channels.value.to_unsigned()
    channels = []
    for lane in range(count):
        channel = raw >> (CHANNEL_BITS * lane)
        bias = int(unpack(channel, BIAS_BITS, 1)[0])
        multiplier = (channel >> BIAS_BITS) % (1 << MULTIPLIER_BITS)
        shift = int(unpack(channel >> (BIAS_BITS + MULTIPLIER_BITS), SHIFT_BITS, 1)[0])
        channels.append((bias, multiplier, shift))
    return channels


class Bench:
    """Complete groups in order, and the one that is being sent."""

    def __init__(self, dut):
        self.dut = dut
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.config = ChipConfig(**parameters()["config"])
        self.complete: deque[Group] = deque()
        self.group, self.words = self.next_group()
        self.offering = False
        self.seen: Counter[str] = Counter()

    def next_group(self) -> tuple[Group, deque[int]]:
        """A group and its words."""
        group = Group.draw(self.rng, self.config.rows)
        return group, deque(group.words(self.rng))

    async def start(self) -> None:
        """Reset, with nothing going on."""
        self.dut.i__valid.value = 0
        self.dut.release.value = 0
        self.dut.slice.value = 0
        await start(self.dut)

    async def cycle(self, *, offer: float, release: float) -> None:
        """Perhaps a word, perhaps a release, any slice; check what is shown."""
        dut, lanes = self.dut, self.config.requantizers
        chance = self.rng.random(2)
        self.offering = bool(self.offering or chance[0] < offer)
        if release and self.offering and len(self.words) == 1:
            release = max(release, LAST_WORD_RELEASE)
        releasing = bool(self.complete and chance[1] < release)
        shown = int(self.rng.integers(self.config.rows // lanes))
        dut.i__valid.value = self.offering
        dut.i__payload.value = self.words[0] if self.offering else 0
        dut.release.value = releasing
        dut.slice.value = shown
        await RisingEdge(dut.clk)

        ready = len(self.complete) < BANKS
        assert dut.i__ready.value == ready
        assert dut.full.value == bool(self.complete)
        if self.complete:
            expected = self.complete[0].channels(shown * lanes, lanes)
            assert received_channels(dut, lanes) == expected
        self.seen["waits for a bank"] += self.offering and not ready
        self.seen["nothing complete"] += not self.complete
        if releasing:
            self.complete.popleft()
            self.seen["release"] += 1
            self.seen["release to an empty bank"] += not self.complete
        if self.offering and ready:
            self.words.popleft()
            self.offering = False
            self.seen["release with a word"] += releasing
            if not self.words:
                self.seen["release with the last word"] += releasing
                self.complete.append(self.group)
                self.group, self.words = self.next_group()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def groups_take_turns(dut) -> None:
    """Any timing of words and releases: every group is shown once, in order, unharmed."""
    bench = Bench(dut)
    await bench.start()
    group_words = len(bench.words)
    for _ in range(EPISODES):
        offer, release = bench.rng.choice([0.1, 0.5, 1.0], 2)
        for _ in range(EPISODE_CYCLES):
            await bench.cycle(offer=float(offer), release=float(release) / group_words)
    dut._log.info("seed %d: %s", cocotb.RANDOM_SEED, dict(bench.seen))
    assert min(bench.seen.values()) >= MIN_EVENTS, "something hardly happened"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def two_groups_are_loaded_ahead(dut) -> None:
    """A word a cycle until both banks are full; a release frees one in the next cycle."""
    bench = Bench(dut)
    await bench.start()
    words = len(bench.words)
    for _ in range(BANKS * words):
        await bench.cycle(offer=1, release=0)
    assert len(bench.complete) == BANKS
    await bench.cycle(offer=1, release=1)
    assert len(bench.complete) == BANKS - 1
    for _ in range(words):
        await bench.cycle(offer=1, release=0)
    assert len(bench.complete) == BANKS
