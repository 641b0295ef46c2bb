"""Square root of an integer, digit by digit."""

import numpy as np
from numpy.typing import ArrayLike

from models.fixedpoint import IntArray

__all__ = ["RADICAND_BITS", "integer_square_root", "square_root"]

RADICAND_BITS = 62
"""Largest radicand, so that ``int64`` holds every step."""

SHORT_BITS = 32
SHORT_MAX = (1 << 16) - 1


def integer_square_root(radicand: ArrayLike) -> tuple[IntArray, IntArray]:
    """Return ``root = floor(sqrt(radicand))`` and ``radicand - root**2``, both ``int64``.

    Parameters
    ----------
    radicand : array_like of int
        0 to ``2**62 - 1``, any shape.

    Raises
    ------
    ValueError
        When a radicand is outside of that range.
    """
    remainder = np.array(radicand, np.int64)
    if remainder.size and not 0 <= remainder.min() <= remainder.max() < 1 << RADICAND_BITS:
        raise ValueError(f"radicand must be in range(2**{RADICAND_BITS}), not {radicand}")
    root = np.zeros_like(remainder)
    for digit in reversed(range(RADICAND_BITS // 2)):
        # (root + 2**digit)**2 - root**2
        step = (root << (digit + 1)) + (1 << 2 * digit)
        fits = remainder >= step
        remainder = remainder - np.where(fits, step, 0)
        root = root + np.where(fits, 1 << digit, 0)
    return root, remainder


def square_root(radicand: ArrayLike) -> IntArray:
    """Square root rounded to nearest, as TensorFlow Lite Micro's ``Sqrt64`` does it.

    ``sqrt(n)`` lies above ``root + 1/2`` exactly when ``remainder > root``, since
    ``(root + 1/2)**2 = root**2 + root + 1/4``.  Radicands of 32 bits or fewer give a result of 16
    bits: where 2**16 would be nearest, they give ``2**16 - 1``.
    """
    root, remainder = integer_square_root(radicand)
    short = np.asarray(radicand, np.int64) < 1 << SHORT_BITS
    return root + ((remainder > root) & ~(short & (root == SHORT_MAX)))
