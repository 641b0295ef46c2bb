"""DCT-II of levels by a quarter-wave table."""

import numpy as np

from models.audio.tables import TailTable
from models.fixedpoint import IntArray

__all__ = ["dct", "dct_matrix"]


def dct_matrix(table: TailTable, bands: int, coefficients: int) -> IntArray:
    """Factors of shape (coefficients, bands) that the hardware reads out of the table.

    The angle of coefficient k and band b is ``k * (2 * b + 1)`` quarter-wave steps of
    ``pi / (2 * bands)``, modulo ``4 * bands``.
    """
    quarter = 2 * bands  # steps of half a turn
    angle = np.arange(coefficients)[:, None] * (2 * np.arange(bands) + 1) % (2 * quarter)
    angle = np.minimum(angle, 2 * quarter - angle)  # cos(-x) = cos(x)
    mirrored = angle > bands  # cos(pi - x) = -cos(x)
    factors = table.cosines[np.where(mirrored, quarter - angle, angle)]
    factors = np.where(mirrored, -factors, factors)
    factors[0] = table.first
    return factors


def dct(levels: IntArray, table: TailTable, coefficients: int) -> IntArray:
    """Sums of 25-bit levels times 18-bit factors: 50 bits for 128 bands, exact.

    Shapes: (frames, bands) to (frames, coefficients).
    """
    return levels @ dct_matrix(table, levels.shape[1], coefficients).T
