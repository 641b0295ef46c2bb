"""Window and automatic scale of TensorFlow Lite Micro's front end."""

import numpy as np
from numpy.typing import ArrayLike

from models.audio.pcan import bit_length
from models.fixedpoint import IntArray, saturate, wrap

__all__ = ["WINDOW_BITS", "apply_window", "auto_scale", "max_abs", "window_table"]

WINDOW_BITS = 12
"""Fraction bits of the window."""

SAMPLE_BITS = 16
LOWEST = -(1 << (SAMPLE_BITS - 1))


def window_table(samples: int) -> IntArray:
    """Hann window whose zeros lie half a sample outside, UQ1.12."""
    phase = 2 * np.pi * (np.arange(samples) + 0.5) / samples
    return np.floor((0.5 - 0.5 * np.cos(phase)) * (1 << WINDOW_BITS) + 0.5).astype(np.int64)


def apply_window(samples: ArrayLike, window: IntArray) -> IntArray:
    """Multiply int16 samples by ``window``, rounding down."""
    return saturate((np.asarray(samples, np.int64) * window) >> WINDOW_BITS, SAMPLE_BITS)


def max_abs(samples: ArrayLike) -> int:
    """Largest magnitude of int16 samples, as TensorFlow Lite Micro finds it.

    Its running maximum is an int16, in which the magnitude of -32768 is -32768: from there it
    begins anew, and takes the next sample with its sign.  With -32768 as the last sample that is
    the result.

    Parameters
    ----------
    samples : array_like of int
        One frame, in order.
    """
    maximum = 0
    for sample in np.asarray(samples, np.int64).tolist():
        if sample > maximum:
            maximum = sample
        elif -sample > maximum:
            maximum = -sample if sample != LOWEST else LOWEST
    return maximum


def auto_scale(samples: ArrayLike) -> tuple[IntArray, int]:
    """Shift a frame left until its largest magnitude has 15 bits.

    Returns
    -------
    scaled : IntArray
        int16; what leaves 16 bits wraps, which happens only behind a -32768, see `max_abs`.
    shift : int
        0 to 14; 0 for silence.
    """
    maximum = max_abs(samples)
    shift = SAMPLE_BITS - 1 - int(bit_length(maximum)) if maximum > 0 else 0
    return wrap(np.asarray(samples, np.int64) << shift, SAMPLE_BITS), shift
