"""Faults of a memory, as March tests classify them, and March C- in Python.

Names are those of van de Goor, *Testing Semiconductor Memories* (1991): stuck-at, transition,
address decoder, and coupling faults, in which a change or a state of an aggressor's bit spoils a
victim's.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from hdl.mram.signals import MRAM_CODE_BITS

__all__ = [
    "CLASSES",
    "INTRA_WORD",
    "FaultyMemory",
    "First",
    "Place",
    "intra_word_places",
    "march_c_minus",
    "places",
]

ALL_ONES = (1 << MRAM_CODE_BITS) - 1

Place = tuple[int, int]
"""Word and bit."""

First = tuple[int, int, int]
"""Address within the bank, wrong bits and element of the first failure."""


@dataclass
class FaultyMemory:
    """One bank with at most one fault.

    Parameters
    ----------
    words : list of int
        What the cells hold at first.
    decode : callable
        From an address to the cells that it reaches: all are written, and of several that are read
        the ones win; none reads as ones.
    settle : callable
        What the cells become when word ``address``, which was ``old``, has been written.
    """

    words: list[int]
    decode: Callable[[int], list[int]] = lambda address: [address]
    settle: Callable[["FaultyMemory", int, int], None] = lambda memory, address, old: None

    def write(self, address: int, code: int) -> None:
        """Write one word."""
        for cell in self.decode(address):
            old, self.words[cell] = self.words[cell], code
            self.settle(self, cell, old)

    def read(self, address: int) -> int:
        """Read one word."""
        cells = self.decode(address)
        code = 0 if cells else ALL_ONES
        for cell in cells:
            code |= self.words[cell]
        return code

    def bit(self, place: Place) -> int:
        """Value of a cell."""
        return self.words[place[0]] >> place[1] & 1

    def put(self, place: Place, value: int) -> None:
        """Force the value of a cell."""
        word, bit = place
        self.words[word] = self.words[word] & ~(1 << bit) | value << bit


def march_c_minus(memory: FaultyMemory, background: int) -> First | None:
    """The test as the books have it: the first failure, or None."""
    count = len(memory.words)
    up, down = range(count), range(count - 1, -1, -1)

    def wrong_bits(address: int, value: int) -> int:
        return memory.read(address) ^ background ^ (ALL_ONES if value else 0)

    def write(address: int, value: int) -> None:
        memory.write(address, background ^ (ALL_ONES if value else 0))

    for address in up:
        write(address, 0)
    for element, (addresses, expected) in enumerate(((up, 0), (up, 1), (down, 0), (down, 1)), 1):
        for address in addresses:
            if wrong := wrong_bits(address, expected):
                return address, wrong, element
            write(address, 1 - expected)
    for address in up:
        if wrong := wrong_bits(address, 0):
            return address, wrong, 5
    return None


def stuck_at(value: int, victim: Place):
    """A bit that has one value whatever is written."""

    def settle(memory, cell, old):
        memory.put(victim, value)

    return {"settle": settle}


def transition(value: int, victim: Place):
    """A bit that cannot become ``value`` once it is the other one."""

    def settle(memory, cell, old):
        if cell == victim[0] and old >> victim[1] & 1 != value:
            memory.put(victim, 1 - value)

    return {"settle": settle}


def coupling(rises: int, effect: str, aggressor: Place, victim: Place):
    """The aggressor's change to ``rises`` makes the victim ``0``, ``1`` or its inverse."""

    def settle(memory, cell, old):
        changed = cell == aggressor[0] and old >> aggressor[1] & 1 != memory.bit(aggressor)
        if changed and memory.bit(aggressor) == rises:
            memory.put(victim, 1 - memory.bit(victim) if effect == "inverse" else int(effect))

    return {"settle": settle}


def state_coupling(state: int, value: int, aggressor: Place, victim: Place):
    """The victim is ``value`` for as long as the aggressor is ``state``."""

    def settle(memory, cell, old):
        if memory.bit(aggressor) == state:
            memory.put(victim, value)

    return {"settle": settle}


def decoder(kind: str, first: int, second: int):
    """What address ``first`` reaches instead of its own word."""
    reached = {"none": [], "other": [second], "both": [first, second]}[kind]
    return {"decode": lambda address: reached if address == first else [address]}


EFFECTS = ("0", "1", "inverse")

CLASSES: dict[str, list[Callable]] = {
    "stuck-at": [lambda a, v, x=x: stuck_at(x, v) for x in (0, 1)],
    "transition": [lambda a, v, x=x: transition(x, v) for x in (0, 1)],
    "address decoder": [
        lambda a, v, k=k: decoder(k, v[0], a[0]) for k in ("none", "other", "both")
    ],
    "inversion coupling": [lambda a, v, x=x: coupling(x, "inverse", a, v) for x in (0, 1)],
    "idempotent coupling": [
        lambda a, v, x=x, e=e: coupling(x, e, a, v) for x in (0, 1) for e in "01"
    ],
    "state coupling": [
        lambda a, v, x=x, y=y: state_coupling(x, y, a, v) for x in (0, 1) for y in (0, 1)
    ],
}
"""Faults that March C- finds: each is made of an aggressor and a victim in different words."""

INTRA_WORD = ("inversion coupling", "idempotent coupling", "state coupling")
"""Classes that also exist between two bits of one word."""


def places(rng: np.random.Generator, words: int) -> Iterator[tuple[Place, Place]]:
    """Aggressors and victims: both orders of address, ends and middle of bank and of word."""
    for victim_bit in (0, 63, 64, 71, 72, MRAM_CODE_BITS - 1):
        first, second = sorted(rng.choice(words, 2, replace=False).tolist())
        yield (first, int(rng.integers(MRAM_CODE_BITS))), (second, victim_bit)
        yield (second, int(rng.integers(MRAM_CODE_BITS))), (first, victim_bit)
    yield (0, 0), (words - 1, MRAM_CODE_BITS - 1)
    yield (words - 1, 0), (0, MRAM_CODE_BITS - 1)


def intra_word_places(rng: np.random.Generator, words: int) -> Iterator[tuple[Place, Place]]:
    """Two bits of one word: neighbours, and any two."""
    for bit in (0, 62, 71, MRAM_CODE_BITS - 2):
        word = int(rng.integers(words))
        yield (word, bit), (word, bit + 1)
        first, second = rng.choice(MRAM_CODE_BITS, 2, replace=False).tolist()
        yield (word, first), (word, second)
