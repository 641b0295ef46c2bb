"""Golden model of the white balance: a gain for each phase of the mosaic."""

from collections.abc import Sequence

import numpy as np

from models.fixedpoint import IntArray
from models.image.bayer import PIXEL_MAX

__all__ = ["GAIN_BITS", "GAIN_FRACTION_BITS", "UNITY_GAIN", "balance"]

GAIN_BITS = 14
GAIN_FRACTION_BITS = 10
UNITY_GAIN = 1 << GAIN_FRACTION_BITS
"""A gain is UQ4.10: 0 to 15.999."""


def balance(frame: IntArray, phase: IntArray, gains: Sequence[int]) -> IntArray:
    """Multiply by the phase's gain, round half up, and saturate to 12 bits.

    ``gains`` are of red, green in red rows, green in blue rows, blue.  One multiplier, 12 x 14.
    """
    if len(gains) != 4 or not all(0 <= gain < 1 << GAIN_BITS for gain in gains):  # noqa: PLR2004
        raise ValueError(f"gains must be four of 0..{(1 << GAIN_BITS) - 1}, not {list(gains)}")
    product = frame * np.array(gains)[phase]
    return np.minimum((product + (UNITY_GAIN >> 1)) >> GAIN_FRACTION_BITS, PIXEL_MAX)
