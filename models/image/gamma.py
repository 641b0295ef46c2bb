"""Golden model of gamma: from linear 12 bits to a display's 8, between knots of a table."""

from collections.abc import Sequence

import numpy as np

from models.fixedpoint import IntArray
from models.image.bayer import PIXEL_MAX

__all__ = ["IDENTITY_TABLE", "KNOTS", "SEGMENT_BITS", "apply_gamma", "srgb_table"]

SEGMENT_BITS = 4
KNOTS = (1 << 8) + 1
KNOT_BITS = 12
KNOT_MAX = (1 << KNOT_BITS) - 1
BYTE_MAX = 255

IDENTITY_TABLE = tuple(min(16 * knot, KNOT_MAX) for knot in range(KNOTS))
"""Rounds 12 bits to 8: a pixel of 8 bits comes back as it was."""


def apply_gamma(rgb: IntArray, table: Sequence[int]) -> IntArray:
    """Interpolate between the two knots around each value.

    ``(k0 (16 - f) + k1 f + 128) >> 8``, saturated to 8 bits, with ``f`` the lower four bits.

    Parameters
    ----------
    rgb : IntArray
        12 bits, any shape.
    table : sequence of int
        257 knots of 12 bits (UQ8.4), of the values 0, 16, ... 4096.  One table, for all colours.
    """
    if len(table) != KNOTS or not all(0 <= knot <= KNOT_MAX for knot in table):
        raise ValueError(f"a gamma table has {KNOTS} knots of 0..{KNOT_MAX}")
    knots = np.array(table)
    index, fraction = rgb >> SEGMENT_BITS, rgb & ((1 << SEGMENT_BITS) - 1)
    span = 1 << SEGMENT_BITS
    product = knots[index] * (span - fraction) + knots[index + 1] * fraction
    return np.minimum((product + (1 << 7)) >> 8, BYTE_MAX)


def srgb_table() -> tuple[int, ...]:
    """Knots of IEC 61966-2-1: 12.92 v up to 0.0031308, then 1.055 v^(1/2.4) - 0.055."""
    linear = np.minimum(16 * np.arange(KNOTS) / PIXEL_MAX, 1)
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)  # noqa: PLR2004
    return tuple(int(knot) for knot in np.rint(16 * BYTE_MAX * curve))
