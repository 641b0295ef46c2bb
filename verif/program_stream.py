"""Random engine programs: their words, what the loader must do with each, and a weight cache.

What a program consists of is restated here, not taken from the compiler.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from hdl.config import MRAM_WORD_BYTES, ChipConfig
from hdl.engine.descriptor import (
    DESCRIPTOR_WORDS,
    SOFTMAX_TABLE_WORDS,
    Descriptor,
    Feed,
    LoopDescriptor,
    Operation,
    WeightFormat,
    parameter_words,
)
from hdl.engine.loader import AnyDescriptor
from hdl.engine.vector_descriptor import VectorDescriptor

__all__ = ["CacheModel", "Event", "Program", "random_program", "tile_words"]

WORD_BITS = 8 * MRAM_WORD_BYTES

DESCRIPTOR_MASK = (1 << AnyDescriptor.as_shape().size) - 1

LAYOUTS: dict[Operation, Any] = {
    Operation.VECTOR: VectorDescriptor,
    Operation.LOOP: LoopDescriptor,
    Operation.AGAIN: LoopDescriptor,
}
"""Layout of every descriptor that is not a `Descriptor`."""

BASES = {
    Operation.JOB: (("a", "base"), ("b", "base"), ("out_base",)),
    Operation.SOFTMAX: (("a", "base"), ("b", "base"), ("out_base",)),
    Operation.VECTOR: (("a", "base"), ("b", "base"), ("out", "base")),
}
"""Fields that move by ``a_step``, ``b_step`` and ``out_step`` in each turn of a loop."""

WEIGHT_BITS = {WeightFormat.INT4: 4, WeightFormat.INT2: 2}
"""Of a weight in the stream where it is not 8."""

LOOP_PROBABILITY = 1 / 4
MAX_BODY = 3
MAX_TURNS = 4


class Event(NamedTuple):
    """Something the loader does, in order.

    ``kind``: "descriptor", "parameters", "tiles" or "table" for a word that moves (a tile of ones
    moves none), "seek" or "rewind" for the cache, "end".  ``keep``: the word will be needed again.
    """

    kind: str
    address: int = 0
    weight_format: WeightFormat = WeightFormat.INT8
    ones: bool = False
    last: bool = False
    keep: bool = False


@dataclass
class Program:
    """Words from MRAM address ``start`` on, and the loader's actions.

    ``descriptors``: index of each one's first word, that of the END last.  ``offers``: of each job
    in the order of execution the index of its descriptor and the turn of its loop.
    """

    start: int
    words: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    offers: list[tuple[int, int]] = field(default_factory=list)

    @property
    def here(self) -> int:
        """Address of the next word."""
        return self.start + len(self.words)

    @property
    def jobs(self) -> list[int]:
        """The bits of the descriptor of each of `offers`."""
        return [moved(self.descriptor(at), turn) & DESCRIPTOR_MASK for at, turn in self.offers]

    def descriptor(self, at: int) -> int:
        """The words of the descriptor at index ``at`` as one number."""
        words = self.words[at : at + DESCRIPTOR_WORDS]
        return sum(word << (WORD_BITS * i) for i, word in enumerate(words))

    def finish(self) -> None:
        """Tell each descriptor how many words follow it."""
        for at in self.descriptors:
            behind = len(self.words) - at - DESCRIPTOR_WORDS
            bits = with_fields(self.descriptor(at), {"remaining": behind})
            self.words[at : at + DESCRIPTOR_WORDS] = as_words(bits)

    def word(self, kind: str, value: int) -> None:
        """Append a word that the loader takes once."""
        self.events.append(Event(kind, self.here))
        self.words.append(value)


def position(layout: Any, path: tuple[str, ...]) -> tuple[int, int]:
    """Offset and mask of a field, which may be part of another one."""
    offset, width = 0, 0
    for name in path:
        place = layout.as_shape()[name]
        offset, width, layout = offset + place.offset, place.width, place.shape
    return offset, (1 << width) - 1


def moved(bits: int, turn: int) -> int:
    """A descriptor as it is in a later turn of its loop: the bases moved by the steps."""
    operation = Operation(bits & 0b111)
    layout = LAYOUTS.get(operation, Descriptor)
    steps = ("a_step", "b_step", "out_step")
    for name, path in zip(steps, BASES[operation], strict=True):
        (at, mask), (base, base_mask) = position(layout, (name,)), position(layout, path)
        value = (bits >> base) + turn * (bits >> at & mask)
        bits = bits & ~(base_mask << base) | (value & base_mask) << base
    return bits


def tile_words(fields: dict[str, Any], config: ChipConfig) -> list[int]:
    """Words of each tile of a group: a tile begins with a new word."""
    chunks = -(-config.rows // config.lanes)
    lanes = []
    for _ in range((fields["rows_passes_last"] + 1) * (fields["cols_passes_last"] + 1)):
        for inner in range(fields["inner_last"] + 1):
            if fields["feed"] is Feed.WINDOW:
                lanes.append(3 * config.window_rows)
            elif inner == fields["inner_last"]:
                lanes.append(fields["lanes_last"])
            elif fields["feed"] is Feed.PACKED:
                lanes.append(fields["packed_lanes"])
            else:
                chunk = inner % chunks
                lanes.append(min(config.lanes, config.rows - chunk * config.lanes))
    bits, tiles = WEIGHT_BITS.get(fields["weight_format"], 8), 1
    if fields["weight_format"] is WeightFormat.INT16:
        tiles = 3
    return [-(-count * config.rows * bits // WORD_BITS) for count in lanes for _ in range(tiles)]


def random_words(rng: np.random.Generator, count: int) -> list[int]:
    """Words of random bytes."""
    return [int.from_bytes(rng.bytes(MRAM_WORD_BYTES), "little") for _ in range(count)]


def random_program(rng: np.random.Generator, config: ChipConfig, jobs: int, start: int) -> Program:
    """``jobs`` random jobs and the END, some in loops; every bit without a use is random."""
    program = Program(start)
    program.events.append(Event("seek", start))
    left = jobs
    while left:
        body = min(left, int(rng.integers(1, MAX_BODY + 1)))
        left -= body
        if rng.random() < LOOP_PROBABILITY:
            add_loop(rng, program, config, body)
        else:
            add_jobs(rng, program, config, body, {})
    add_descriptor(rng, program, {"operation": Operation.END})
    program.events.append(Event("end"))
    program.finish()
    return program


def add_jobs(
    rng: np.random.Generator,
    program: Program,
    config: ChipConfig,
    count: int,
    fixed: dict[str, int],
) -> None:
    """Random jobs one after another, those of the array with some ``fixed`` fields."""
    for _ in range(count):
        program.offers.append((len(program.words), 0))
        kind = rng.random()
        if kind < 1 / 8:
            add_descriptor(rng, program, {"operation": Operation.SOFTMAX})
            for word in random_words(rng, SOFTMAX_TABLE_WORDS):
                program.word("table", word)
        elif kind < 3 / 8:
            payload = int(rng.integers(0, 40)) if rng.random() < 1 / 2 else 0
            fields = {"operation": Operation.VECTOR, "payload_words": payload}
            add_descriptor(rng, program, fields)
            for word in random_words(rng, payload):
                program.word("table", word)
        else:
            add_job(rng, program, config, fixed)


def add_loop(rng: np.random.Generator, program: Program, config: ChipConfig, jobs: int) -> None:
    """A loop of jobs; in all its turns but the last its words are kept, or else sought again.

    In one of two kept bodies no job has several stripes; in the others, where one goes back to its
    tiles, it seeks them, and what was kept for the next turn is gone.
    """
    keep, turns = bool(rng.integers(2)), int(rng.integers(1, MAX_TURNS + 1))
    fields = {"operation": Operation.LOOP, "keep": int(keep), "turns_last": turns - 1}
    add_descriptor(rng, program, fields)
    begin, first_event, first_offer = program.here, len(program.events), len(program.offers)
    add_jobs(rng, program, config, jobs, {"stripes_last": 0} if rng.integers(2) else {})
    add_descriptor(rng, program, {"operation": Operation.AGAIN})
    once, offers = program.events[first_event:], program.offers[first_offer:]
    del program.events[first_event:]
    for _ in range(turns - 1):
        for event, following in pairwise([*once, Event("end")]):
            if event.kind not in ("rewind", "seek"):
                kept = event.keep or (keep and not event.ones)
                program.events.append(event._replace(keep=kept))
            else:
                back = Event("seek", following.address) if keep else event
                program.events.append(back)
                keep = False
        program.events.append(Event("rewind") if keep else Event("seek", begin))
    program.events += once
    program.offers[first_offer:] = [(at, turn) for turn in range(turns) for at, _ in offers]


def add_descriptor(rng: np.random.Generator, program: Program, fields: dict[str, Any]) -> None:
    """A descriptor of random bits but for ``fields``."""
    noise = int.from_bytes(rng.bytes(DESCRIPTOR_WORDS * MRAM_WORD_BYTES), "little")
    program.descriptors.append(len(program.words))
    for word in as_words(with_fields(noise, fields)):
        program.word("descriptor", word)


def with_fields(bits: int, fields: dict[str, Any]) -> int:
    """``bits`` of a descriptor with some of its fields replaced."""
    operation = fields["operation"] if "operation" in fields else Operation(bits & 0b111)
    layout = LAYOUTS.get(operation, Descriptor)
    for name, value in fields.items():
        offset, mask = position(layout, (name,))
        bits &= ~(mask << offset)
        bits |= (int(getattr(value, "value", value)) & mask) << offset
    return bits


def as_words(bits: int) -> list[int]:
    """The words of a descriptor."""
    mask = (1 << WORD_BITS) - 1
    return [bits >> (WORD_BITS * i) & mask for i in range(DESCRIPTOR_WORDS)]


def add_job(
    rng: np.random.Generator, program: Program, config: ChipConfig, fixed: dict[str, int]
) -> None:
    """A job of the array: for each group parameters, then for each stripe the same tiles."""
    feed = [Feed.DENSE, Feed.WINDOW, Feed.PACKED][int(rng.integers(3))]
    fields: dict[str, Any] = {
        "operation": Operation.JOB,
        "feed": feed,
        "weight_format": WeightFormat(int(rng.integers(len(WeightFormat)))),
        "ones": int(rng.random() < 1 / 4),
        "refetch": int(rng.integers(2)),
        "groups_last": int(rng.integers(3)),
        "stripes_last": int(rng.integers(3)),
        "rows_passes_last": int(rng.integers(3)),
        "cols_passes_last": int(rng.integers(3)),
        "inner_last": 0 if feed is Feed.WINDOW else int(rng.integers(5)),
        "lanes_last": int(rng.integers(1, config.lanes + 1)),
        "packed_lanes": int(rng.integers(1, config.lanes + 1)),
    } | fixed
    add_descriptor(rng, program, fields)
    sizes = tile_words(fields, config)
    empty = Event("tiles", weight_format=fields["weight_format"])
    for _ in range(fields["groups_last"] + 1):
        for word in random_words(rng, parameter_words(config.rows)):
            program.word("parameters", word)
        if fields["ones"]:
            tile = empty._replace(address=program.here, ones=True, last=True)
            program.events += [tile] * len(sizes) * (fields["stripes_last"] + 1)
            continue
        again = Event("seek", program.here) if fields["refetch"] else Event("rewind")
        tiles = [empty._replace(last=i == size - 1) for size in sizes for i in range(size)]
        tiles = [tile._replace(address=program.here + i) for i, tile in enumerate(tiles)]
        kept = [tile._replace(keep=not fields["refetch"]) for tile in tiles]
        program.events += [*kept, again] * fields["stripes_last"] + tiles
        program.words += random_words(rng, len(tiles))


class CacheModel:
    """The stream of `hdl.mram.WeightCache`, as far as a consumer can tell.

    Words are offered after a random wait, and then until they are taken.  A word taken without
    ``keep`` is gone, and so are those before it: `rewind` goes back to the first one that is kept.
    """

    def __init__(self, rng: np.random.Generator, idle: float):
        self.rng, self.idle = rng, idle
        self.words: dict[int, int] = {}
        self.address = self.base = 0
        self.valid = False

    def load(self, program: Program) -> None:
        """Put a program into the MRAM."""
        self.words.update(enumerate(program.words, program.start))

    @property
    def payload(self) -> int:
        """The word at `address`."""
        return self.words.get(self.address, 0)

    def cycle(self, *, seek: int | None, rewind: bool, ready: bool, keep: bool) -> None:
        """Let a cycle pass in which the consumer did this."""
        moved = self.valid and ready
        if moved:
            self.address += 1
            if not keep:
                self.base = self.address
        if rewind:
            self.address = self.base
        if seek is not None:
            self.address = self.base = seek
        held = self.valid and not (moved or rewind or seek is not None)
        self.valid = held or bool(self.rng.random() >= self.idle)
