"""cocotb bench: `hdl.engine.array.MacArray` against `models.engine.datapath`, cycle by cycle."""

from collections import Counter
from dataclasses import dataclass

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from hdl.config import MRAM_WORD_BYTES, ChipConfig
from hdl.engine.array import SUM_BITS
from hdl.engine.descriptor import WeightFormat
from models.engine.datapath import array_operands, array_sums, load_tile
from models.fixedpoint import IntArray
from verif.bench import log_uniform, parameters, start
from verif.vectors import pack, unpack

EPISODES = 40
EPISODE_CYCLES = 150
MIN_EVENTS = 20
FULL_RATE_STEPS = 100
OPERAND_BITS = 9
WEIGHT_BITS = {
    WeightFormat.INT8: 8,
    WeightFormat.INT4: 4,
    WeightFormat.INT2: 2,
    WeightFormat.INT16: 8,
}
"""Of a weight in the stream; a tile of INT16 is one of three tiles of int8."""
CORNER_PROBABILITY = 0.2
ONES_PROBABILITY = 0.2

FORMAT = 8 * MRAM_WORD_BYTES
"""Lowest bit of `TileWord.weight_format`."""
ONES = 1 << (FORMAT + 2)
"""`TileWord.ones`"""
LAST = ONES << 1
"""`TileWord.last`"""


@dataclass(frozen=True)
class Tile:
    """One tile in the stream: its words, and the lanes ``(n, rows)`` that they carry."""

    words: list[int]
    lanes: IntArray
    ones: bool
    weight_format: WeightFormat


@dataclass(frozen=True)
class Step:
    """Values of the operand ports in one cycle."""

    lanes: IntArray
    window: IntArray
    broadcast: bool


class Stimulus:
    """Random tiles and steps of one configuration."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.config = ChipConfig(**parameters()["config"])

    def values(self, bits: int, shape: tuple[int, ...]) -> IntArray:
        """Log-uniform magnitudes; now and then all at one end of the range."""
        if self.rng.random() < CORNER_PROBABILITY:
            end = 1 << (bits - 1)
            return np.full(shape, self.rng.choice([-end, end - 1]), dtype=np.int64)
        return log_uniform(self.rng, bits=bits, size=int(np.prod(shape))).reshape(shape)

    def tile(self) -> Tile:
        """A tile that fills all lanes, fewer, or, without data, sets them to one."""
        config, rng = self.config, self.rng
        weight_format = list(WEIGHT_BITS)[int(rng.integers(len(WEIGHT_BITS)))]
        bits = WEIGHT_BITS[weight_format]
        lanes_per_word = config.lanes_per_word * 8 // bits
        most = -(-config.lanes // lanes_per_word)
        ones = bool(rng.random() < ONES_PROBABILITY)
        count = 1 if ones else int(rng.integers(1, most + 1))
        lanes = self.values(bits, (count * lanes_per_word, config.rows))
        flags = ones * ONES | weight_format.value << FORMAT
        words = [pack(word, bits) | flags for word in lanes.reshape(count, -1)]
        words[-1] |= LAST
        return Tile(words, lanes, ones, weight_format)

    def step(self) -> Step:
        """Operands; those of lanes and window have nothing to do with one another."""
        config = self.config
        return Step(
            self.values(OPERAND_BITS, (config.lanes,)),
            self.values(OPERAND_BITS, (config.rows, 3 * config.window_rows)),
            bool(self.rng.integers(2)),
        )


@dataclass
class Episode:
    """Probabilities of what happens in a cycle, constant for a while."""

    tile: float
    load: float
    swap: float
    advance: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Episode":
        """Either side may be much slower than the other."""
        return cls(*rng.choice([0.1, 0.5, 0.9, 1.0], 4).tolist())


class Bench:
    """The array's registers as the model has them, and one cycle of everything at a time."""

    def __init__(self, dut, stimulus: Stimulus):
        self.dut, self.stimulus = dut, stimulus
        shape = (stimulus.config.rows, stimulus.config.lanes)
        self.shadow = self.active = self.operands = np.zeros(shape, np.int64)
        self.sums: IntArray | None = None
        self.loaded = self.full = self.windowed = False
        self.tile, self.word, self.offering = stimulus.tile(), 0, False
        self.seen: Counter[str] = Counter()
        self.largest = 0

    async def cycle(self, episode: Episode) -> None:
        """Random events; check the outputs, then follow them in the model."""
        dut, seen, step = self.dut, self.seen, self.stimulus.step()
        offer, load, swap, advance = (
            self.stimulus.rng.random(4)
            < [episode.tile, episode.load, episode.swap, episode.advance]
        ).tolist()
        swap = swap and load and self.full
        advance = advance and self.loaded
        self.offering = self.offering or offer
        dut.tile__valid.value = self.offering
        dut.tile__payload.value = self.tile.words[self.word] if self.offering else 0
        drive_step(dut, step)
        dut.load.value, dut.swap.value, dut.advance.value = load, swap, advance
        await RisingEdge(dut.clk)

        ready = not self.full or swap
        assert dut.full.value == self.full
        assert dut.tile__ready.value == ready
        if self.sums is not None:
            assert received_sums(dut, self.stimulus.config) == self.sums.tolist()
        seen["load without advance"] += load and not advance
        seen["advance without load"] += advance and not load
        seen["pause within a tile"] += self.word > 0 and not self.offering
        seen["tile waits"] += self.offering and not ready
        # All of this happens at one edge, so products before operands before weights.
        if advance:
            self.sums = array_sums(self.active, self.operands)
            self.largest = max(self.largest, int(np.abs(self.sums).max()))
        if load:
            self.load(step)
        if swap:
            self.active, self.full = self.shadow, False
            seen["swap"] += 1
            seen["swap while loading"] += self.offering
        if self.offering and ready:
            self.take_word()

    def load(self, step: Step) -> None:
        """Operands for the products to come."""
        self.operands = array_operands(step.lanes, step.window, broadcast=step.broadcast)
        self.seen["window after lanes"] += not step.broadcast and not self.windowed
        self.seen["lanes after window"] += step.broadcast and self.windowed
        self.loaded, self.windowed = True, not step.broadcast

    def take_word(self) -> None:
        """A word of the tile has moved; after the last one, the shadow weights are complete."""
        tile, lanes = self.tile, self.stimulus.config.lanes
        self.offering, self.word = False, self.word + 1
        if self.word == len(tile.words):
            self.shadow = load_tile(self.shadow, tile.lanes, ones=tile.ones)
            self.seen["ones"] += tile.ones
            self.seen[tile.weight_format.name] += not tile.ones
            self.seen["full tile"] += not tile.ones and len(tile.lanes) >= lanes
            self.seen["partial tile"] += not tile.ones and len(tile.lanes) < lanes
            self.full, self.word, self.tile = True, 0, self.stimulus.tile()


def drive_step(dut, step: Step) -> None:
    """Apply the operand ports."""
    dut.lanes.value = pack(step.lanes, OPERAND_BITS)
    dut.window.value = pack(step.window, OPERAND_BITS)
    dut.broadcast.value = step.broadcast


def received_sums(dut, config: ChipConfig) -> list[int]:
    """The output port, row by row."""
    return unpack(dut.sums.value.to_unsigned(), SUM_BITS, config.rows).tolist()


async def reset(dut) -> None:
    """Reset, with nothing going on."""
    for port in (dut.tile__valid, dut.load, dut.swap, dut.advance):
        port.value = 0
    await start(dut)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def matches_model(dut) -> None:
    """Random tiles, loads, swaps and advances give the model's sums and handshakes each cycle."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    bench = Bench(dut, Stimulus(rng))
    await reset(dut)
    for _ in range(EPISODES):
        episode = Episode.draw(rng)
        for _ in range(EPISODE_CYCLES):
            await bench.cycle(episode)

    config, seen = bench.stimulus.config, bench.seen
    dut._log.info("seed %d: %s, largest %d", cocotb.RANDOM_SEED, dict(seen), bench.largest)
    if config.lanes <= config.lanes_per_word:  # every tile is one word and fills all lanes
        del seen["partial tile"], seen["pause within a tile"]
    assert min(seen.values()) >= MIN_EVENTS, "something hardly happened"
    full_scale = config.lanes << (OPERAND_BITS - 1 + 8 - 1)
    assert bench.largest > full_scale // 2, "all sums are small"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_step_and_a_tile_every_cycle(dut) -> None:
    """One-word tiles swap in at full rate: a new tile, new operands and new sums each cycle."""
    stimulus = Stimulus(np.random.default_rng(cocotb.RANDOM_SEED))
    latency = parameters()["latency"]
    await reset(dut)
    steps = [stimulus.step() for _ in range(FULL_RATE_STEPS)]
    expected = [
        array_operands(step.lanes, step.window, broadcast=step.broadcast).sum(axis=1).tolist()
        for step in steps
    ]
    dut.tile__valid.value = 1
    dut.tile__payload.value = ONES | LAST
    await RisingEdge(dut.clk)
    dut.load.value = dut.swap.value = dut.advance.value = 1
    for cycle in range(FULL_RATE_STEPS + latency):
        drive_step(dut, steps[min(cycle, FULL_RATE_STEPS - 1)])
        await RisingEdge(dut.clk)
        assert dut.tile__ready.value == 1
        if cycle >= latency:
            assert received_sums(dut, stimulus.config) == expected[cycle - latency]
