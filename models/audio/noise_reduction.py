"""Noise reduction of TensorFlow Lite Micro's front end: spectral subtraction in each channel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from models.fixedpoint import IntArray

__all__ = ["NoiseReduction"]

WORD = (1 << 32) - 1
COEFFICIENT_BITS = 14
"""Fraction bits of the three constants."""

ESTIMATE_BITS = 10
"""Fraction bits of the estimate, and 0 of the signal."""


@dataclass(frozen=True)
class NoiseReduction:
    """Constants of the noise estimate, a low-pass filter of first order, and of the subtraction.

    ``uint32`` throughout: what leaves 32 bits wraps.

    Attributes
    ----------
    smoothing_even, smoothing_odd : int
        Weight of the newest frame in channels 0, 2, .. and 1, 3, ..; UQ0.14.
    minimum_signal : int
        What is left at least, as part of the input; UQ0.14.
    """

    smoothing_even: int = int(0.025 * (1 << 14))
    smoothing_odd: int = int(0.06 * (1 << 14))
    minimum_signal: int = int(0.05 * (1 << 14))

    def __post_init__(self) -> None:
        one = 1 << COEFFICIENT_BITS
        for name in ("smoothing_even", "smoothing_odd", "minimum_signal"):
            if not 0 <= (value := getattr(self, name)) <= one:
                raise ValueError(f"{name} must be 0 to {one}, not {value}")

    def smoothing(self, channels: int) -> IntArray:
        """Weight of the newest frame in each channel, UQ0.14."""
        odd = np.arange(channels) % 2 == 1
        return np.where(odd, self.smoothing_odd, self.smoothing_even).astype(np.int64)

    def reduce(self, signal: ArrayLike, estimate: ArrayLike) -> tuple[IntArray, IntArray]:
        """Process one frame.

        Parameters
        ----------
        signal : array_like of int
            One ``uint32`` a channel.
        estimate : array_like of int
            The noise estimate before this frame, 0 in the beginning; 10 fraction bits.

        Returns
        -------
        signal, estimate : IntArray
            The signal less its noise, not below ``minimum_signal`` of it, and the new estimate.
        """
        signal = np.asarray(signal, np.int64)
        smoothing = self.smoothing(signal.size)
        scaled = (signal << ESTIMATE_BITS) & WORD
        kept = np.asarray(estimate, np.int64) * ((1 << COEFFICIENT_BITS) - smoothing)
        estimate = ((scaled * smoothing + kept) >> COEFFICIENT_BITS) & WORD
        subtracted = np.maximum(scaled - estimate, 0) >> ESTIMATE_BITS
        floor = (signal * self.minimum_signal) >> COEFFICIENT_BITS
        return np.maximum(subtracted, floor), estimate
