"""Golden model of the black level: what the sensor gives without light."""

from collections.abc import Sequence

import numpy as np

from models.fixedpoint import IntArray
from models.image.bayer import PIXEL_MAX

__all__ = ["subtract_black"]


def subtract_black(frame: IntArray, phase: IntArray, levels: Sequence[int]) -> IntArray:
    """Subtract the black level of each pixel's phase, not below 0.

    Parameters
    ----------
    frame, phase : IntArray
        ``(rows, columns)``: pixels of 12 bits, and `models.image.bayer.phases`.
    levels : sequence of int
        Red, green in red rows, green in blue rows, blue: 12 bits.

    Returns
    -------
    IntArray
        12 bits; white comes back to 4095 by the gains behind.
    """
    if len(levels) != 4 or not all(0 <= level <= PIXEL_MAX for level in levels):  # noqa: PLR2004
        raise ValueError(f"black levels must be four of 0..{PIXEL_MAX}, not {list(levels)}")
    return np.maximum(frame - np.array(levels)[phase], 0)
