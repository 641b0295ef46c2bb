"""Golden model of the engine's multiplier array and accumulators, component by component.

Shapes: ``rows`` output channels are worked on at once, ``lanes`` products are summed into each.
"""

from dataclasses import dataclass

import numpy as np

from models.fixedpoint import IntArray, wrap

__all__ = [
    "AccumulatorStore",
    "Finished",
    "array_operands",
    "array_sums",
    "load_tile",
]

LOWEST_MAXIMUM = -(1 << 21)
"""Below every sum of a step: the maximum of none."""
ACCUMULATOR_BITS = 40
PRODUCT_BITS = 17


def load_tile(shadow: IntArray, lanes: IntArray, *, ones: bool = False) -> IntArray:
    """Weights ``(rows, lanes)`` after a tile has been loaded over those of ``shadow``.

    ``lanes`` is ``(n, rows)``, the stream's order, with ``n`` possibly less than the array has:
    the others keep what they held.  Surplus lanes of the last word have no place and are dropped.
    With ``ones``, all weights become 1.
    """
    if ones:
        return np.ones_like(shadow)
    weights = shadow.copy()
    count = min(len(lanes), shadow.shape[1])
    weights[:, :count] = lanes[:count].T
    return weights


def array_operands(lanes: IntArray, window: IntArray, *, broadcast: bool) -> IntArray:
    """Operands ``(rows, lanes)`` of one step.

    ``lanes`` holds one operand a lane for all rows.  Unless ``broadcast``, the first lanes of each
    row are its own taps, ``window`` of shape ``(rows, taps)``.
    """
    operands = np.tile(lanes, (len(window), 1))
    if not broadcast:
        operands[:, : window.shape[1]] = window
    return operands


def array_sums(weights: IntArray, operands: IntArray) -> IntArray:
    """One sum a row; both arguments ``(rows, lanes)``."""
    return (weights * operands).sum(axis=1)


@dataclass(frozen=True)
class Finished:
    """What leaves the accumulators for a pixel, ``rows`` values each.

    ``latest`` and ``previous`` are the low 17 bits of the last pass, not shifted, and of the
    accumulator before it; ``previous`` is None if there was no other pass.
    """

    total: IntArray
    latest: IntArray
    previous: IntArray | None


class AccumulatorStore:
    """The partial sums of a stripe, ``rows`` a pixel; see `hdl.engine.accumulators`."""

    def __init__(self, rows: int):
        self.rows = rows
        self.stored: dict[int, IntArray] = {}

    def step(
        self,
        sums: IntArray,
        *,
        pixel: int,
        first: bool,
        last: bool,
        maximum: bool,
        skip: bool,
        shift: int = 0,
    ) -> Finished | None:
        """Combine ``sums`` with what is stored; the finished pixel if it is the ``last`` step.

        Sums wrap in 40 bits; they are shifted left by ``shift`` bytes first.

        Raises
        ------
        KeyError
            If a step that is not the first finds nothing stored.
        """
        old = None if first else self.stored[pixel]
        if maximum:
            start = np.full(self.rows, LOWEST_MAXIMUM, np.int64) if old is None else old
            total = start if skip else np.maximum(start, sums)
        else:
            total = wrap((sums << 8 * shift) + (0 if old is None else old), ACCUMULATOR_BITS)
        if not last:
            self.stored[pixel] = total
            return None
        previous = None if old is None else wrap(old, PRODUCT_BITS)
        return Finished(total, wrap(sums, PRODUCT_BITS), previous)
