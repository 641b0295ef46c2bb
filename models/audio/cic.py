"""Golden model of the CIC filter: one-bit samples at 1.024 MHz to 64 kHz, without a rounding.

Written as what the filter computes, a moving sum four times over, and not as its integrators and
combs: these only save the multiplications.
"""

import numpy as np
from numpy.typing import ArrayLike

from models.fixedpoint import IntArray

__all__ = ["CIC_BITS", "ORDER", "RATIO", "decimate_bits", "impulse_response"]

ORDER = 4
RATIO = 16
CIC_BITS = 17
"""Width of a result, Q1.16: ``RATIO**ORDER`` is 1.0, and only that value has to be clamped."""


def impulse_response() -> IntArray:
    """``ORDER`` moving sums of ``RATIO`` bits in a row: 61 values whose sum is ``RATIO**ORDER``."""
    response = np.ones(1, dtype=np.int64)
    for _ in range(ORDER):
        response = np.convolve(response, np.ones(RATIO, dtype=np.int64))
    return response


def decimate_bits(bits: ArrayLike) -> IntArray:
    """Filter and decimate a one-bit signal.

    Parameters
    ----------
    bits : array_like
        One-dimensional, 0 (for -1) or 1 (for +1).  What came before the first was silence, 0.

    Returns
    -------
    IntArray
        One value for each `RATIO` bits, Q1.16, -2**16 to 2**16 - 1; the last one is the filter's
        response at bit ``RATIO - 1``, ``2 * RATIO - 1``, and so on.
    """
    bits = np.asarray(bits, dtype=np.int64)
    if bits.ndim != 1 or np.any((bits != 0) & (bits != 1)):
        raise ValueError("bits must be a one-dimensional array of 0 and 1")
    if not bits.size:
        return np.zeros(0, dtype=np.int64)
    filtered = np.convolve(2 * bits - 1, impulse_response())[: bits.size]
    return np.minimum(filtered[RATIO - 1 :: RATIO], (1 << (CIC_BITS - 1)) - 1)
