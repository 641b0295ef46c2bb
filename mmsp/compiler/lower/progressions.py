"""A map of positions cut into arithmetic progressions, each of which one job can copy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["LARGEST_STEP", "Progression", "progressions"]

LARGEST_STEP = 7
"""Tensor rows from one output row to the next: `hdl.engine.descriptor.Descriptor.out_row_step`."""


@dataclass(frozen=True)
class Progression:
    """``values[start + i * step] == value + i * value_step`` for ``i`` below ``count``.

    ``value_step`` is at least 1, so that no two positions have the same value.
    """

    start: int
    step: int
    count: int
    value: int
    value_step: int


def progressions(values: Sequence[int]) -> Iterator[Progression]:
    """Cut ``values``, which never decrease, so that each position is taken once.

    An enlargement by an integer factor has as many progressions as the factor.
    """
    at = 0
    while at < len(values):
        run = max((covered(values, at, step) for step in range(1, LARGEST_STEP + 1)), key=worth)
        yield from run
        at += sum(progression.count for progression in run)


def worth(run: Sequence[Progression]) -> float:
    """Positions that one job of a run copies."""
    return sum(progression.count for progression in run) / len(run)


def covered(values: Sequence[int], at: int, step: int) -> list[Progression]:
    """Progressions of one ``step`` that begin next to one another and take a run without a gap."""
    chains = [chain(values, start, step) for start in range(at, min(at + step, len(values)))]
    # A run without a gap: every chain is as long as the shortest, the earlier ones one longer.
    shortest = min(c.count for c in chains)
    longer = 0
    while longer < len(chains) and chains[longer].count > shortest:
        longer += 1
    return [
        Progression(c.start, c.step, shortest + (i < longer), c.value, c.value_step)
        for i, c in enumerate(chains)
    ]


def chain(values: Sequence[int], start: int, step: int) -> Progression:
    """The longest progression from ``start`` on."""
    positions = range(start, len(values), step)
    if len(positions) == 1 or values[positions[1]] <= values[start]:
        return Progression(start, step, 1, values[start], 1)
    value_step = values[positions[1]] - values[start]
    count = 2
    while count < len(positions) and (
        values[positions[count]] - values[positions[count - 1]] == value_step
    ):
        count += 1
    return Progression(start, step, count, values[start], value_step)
