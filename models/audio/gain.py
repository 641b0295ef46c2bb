"""Golden model of the gain: the last step to int16."""

import numpy as np
from numpy.typing import ArrayLike

from models.audio.fir import SAMPLE_BITS
from models.fixedpoint import IntArray, saturate

__all__ = ["GAIN_BITS", "GAIN_FRACTION_BITS", "UNITY_GAIN", "amplify", "scale"]

GAIN_BITS = 17
GAIN_FRACTION_BITS = 10
UNITY_GAIN = 1 << GAIN_FRACTION_BITS
"""A gain is UQ7.10: 0 to 127.999, that is, up to 42 dB."""

PCM_BITS = 16
SHIFT = GAIN_FRACTION_BITS + SAMPLE_BITS - PCM_BITS


def scale(samples: ArrayLike, gain: int) -> IntArray:
    """Multiply Q1.17 samples by ``gain / UNITY_GAIN`` and round half up to Q1.15."""
    if not 0 <= gain < 1 << GAIN_BITS:
        raise ValueError(f"gain must be in 0..{(1 << GAIN_BITS) - 1}, not {gain}")
    return (np.asarray(samples, dtype=np.int64) * gain + (1 << (SHIFT - 1))) >> SHIFT


def amplify(samples: ArrayLike, gain: int) -> IntArray:
    """`scale`, and saturate to int16."""
    return saturate(scale(samples, gain), PCM_BITS)
