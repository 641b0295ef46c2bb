"""Golden model of the removal of DC: subtract a running mean."""

import numpy as np
from numpy.typing import ArrayLike

from models.fixedpoint import IntArray

__all__ = ["MAX_DC_SHIFT", "corner_hz", "remove_dc"]

MAX_DC_SHIFT = 15


def remove_dc(samples: ArrayLike, shift: int) -> IntArray:
    """Subtract the mean of about the last ``2**shift`` samples from each one.

    ``y[n] = x[n] - (s[n] >> shift)``, ``s[n + 1] = s[n] + y[n]``, ``s[0] = 0``: a first-order high
    pass, see `corner_hz`.  A constant input ends in exact silence.

    Parameters
    ----------
    samples : array_like
        One-dimensional, signed 18 bits.
    shift : int
        1 to `MAX_DC_SHIFT`; 0 changes nothing.

    Returns
    -------
    IntArray
        Signed 19 bits.  The mean stays within the range of the samples, because it moves by less
        than its distance from the newest one.
    """
    if not 0 <= shift <= MAX_DC_SHIFT:
        raise ValueError(f"shift must be in 0..{MAX_DC_SHIFT}, not {shift}")
    samples = np.array(samples, dtype=np.int64)
    if shift == 0:
        return samples
    total = 0
    for n, sample in enumerate(samples.tolist()):
        difference = sample - (total >> shift)
        total += difference
        samples[n] = difference
    return samples


def corner_hz(shift: int, rate_hz: float = 16_000) -> float:
    """-3 dB corner of ``(1 - z^-1) / (1 - (1 - 2**-shift) z^-1)`` relative to its highest gain.

    Solved from ``|H|^2 = 2 (1 - cos w) / (1 + p^2 - 2 p cos w)`` with ``p = 1 - 2**-shift``; about
    ``rate_hz / (2 pi 2**shift)``.
    """
    pole = 1 - 2.0**-shift
    half_gain = 2 / (1 + pole) ** 2  # half of |H|^2 at half the rate, 4 / (1 + p)^2
    cosine = (2 - half_gain * (1 + pole**2)) / (2 - 2 * half_gain * pole)
    return float(np.arccos(cosine) * rate_hz / (2 * np.pi))
