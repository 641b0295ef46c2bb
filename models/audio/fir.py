"""Golden model of the FIR filter behind the CIC filter: 64 kHz to 16 kHz, droop compensated."""

import numpy as np
from numpy.typing import ArrayLike

from models.fixedpoint import IntArray, saturate

__all__ = ["COEFFICIENTS", "DECIMATION", "FRACTION_BITS", "SAMPLE_BITS", "TAPS", "decimate"]

COEFFICIENTS = (
    48, 108, 179, 221, 193, 73, -116, -303, -396, -330, -109, 172,
    365, 343, 76, -321, -637, -664, -327, 244, 755, 888, 496, -284,
    -1053, -1347, -902, 151, 1292, 1853, 1390, -10, -1684, -2677, -2251, -369,
    2149, 3925, 3701, 1091, -2993, -6527, -7162, -3304, 4995, 15805, 25909, 31999,
)  # fmt: skip
"""The first half; the second one is its mirror image.  `tests/fir_design.py` designs them."""
FRACTION_BITS = 17
"""A coefficient is Q.17: the largest fits signed 16 bits."""
TAPS = 2 * len(COEFFICIENTS)
DECIMATION = 4

INPUT_FRACTION_BITS = 16
SAMPLE_BITS = 18
"""Width of a result, Q1.17: the word of samples up to the gain."""


def decimate(samples: ArrayLike) -> IntArray:
    """Filter and decimate by `DECIMATION`.

    Parameters
    ----------
    samples : array_like
        One-dimensional, Q1.16, signed 17 bits.

    Returns
    -------
    IntArray
        Q1.17, rounded half up and saturated to signed 18 bits.  The first one is the response at
        sample ``TAPS - 1``: none before all taps have something to weigh.
    """
    samples = np.asarray(samples, dtype=np.int64)
    if samples.size < TAPS:
        return np.zeros(0, dtype=np.int64)
    half = np.array(COEFFICIENTS, dtype=np.int64)
    sums = np.convolve(samples, np.concatenate([half, half[::-1]]), "valid")[::DECIMATION]
    shift = INPUT_FRACTION_BITS + FRACTION_BITS - (SAMPLE_BITS - 1)
    return saturate((sums + (1 << (shift - 1))) >> shift, SAMPLE_BITS)
