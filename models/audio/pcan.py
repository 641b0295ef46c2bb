"""Per-channel amplitude normalisation (PCAN) of TensorFlow Lite Micro's front end.

Each channel is multiplied by ``(noise + offset)**-strength``, a gain control by the noise
estimate, and small results are squeezed.  The gain comes from a table: one parabola for each octave
of the estimate.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from models.fixedpoint import IntArray

__all__ = ["OCTAVES", "Pcan", "bit_length", "shrink"]

WORD = (1 << 32) - 1
OCTAVES = 33
"""Bit lengths of a ``uint32``: 0 to 32."""

FRACTION_BITS = 10
"""Of the position within an octave."""

PARABOLA_BITS = 15
LINEAR_BITS = 5
GAIN_MAX = (1 << 15) - 1
GAIN_BITS = 21
"""Fraction bits of the gain."""

ESTIMATE_BITS = 7
"""Fraction bits of the noise estimate here, where a channel has -3."""

SNR_BITS = 12
"""Fraction bits of a channel after its gain."""

SNR_SHIFT = GAIN_BITS - 3 - SNR_BITS
OUTPUT_BITS = 6
"""Fraction bits of the result."""

KNEE = 2 << SNR_BITS


def bit_length(value: ArrayLike) -> IntArray:
    """Bits of each of the values, 0 to ``2**32 - 1``; 0 has none."""
    powers = np.int64(1) << np.arange(OCTAVES - 1)
    return np.searchsorted(powers, np.asarray(value, np.int64), side="right").astype(np.int64)


def shrink(ratio: ArrayLike) -> IntArray:
    """``x**2 / 4`` below 2, ``x - 1`` above: no step in value nor slope.

    Parameters
    ----------
    ratio : array_like of int
        ``uint32`` with 12 fraction bits.

    Returns
    -------
    IntArray
        With 6 fraction bits.
    """
    ratio = np.asarray(ratio, np.int64)
    small = np.minimum(ratio, KNEE)
    squared = (small * small) >> (2 + 2 * SNR_BITS - OUTPUT_BITS)
    shifted = (ratio >> (SNR_BITS - OUTPUT_BITS)) - (1 << OUTPUT_BITS)
    return np.where(ratio < KNEE, squared, shifted)


@dataclass(frozen=True)
class Pcan:
    """Gain control with ``gain = 2**21 * (noise + offset)**-strength``, 32767 at most.

    A channel counts in eighths, so the noise estimate has 7 fraction bits of its 10 left, and
    ``channel * gain`` loses 6 of 24 bits.

    Attributes
    ----------
    strength, offset : float
        See above; they make the table only.
    """

    strength: float = 0.95
    offset: float = 80.0

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength must be 0 to 1, not {self.strength}")
        if not self.offset > 0:
            raise ValueError(f"offset must be above 0, not {self.offset}")
        gains = self.parabolas(np.arange(OCTAVES)[:, None], np.arange(1 << FRACTION_BITS))
        if not 0 <= gains.min() <= gains.max() <= GAIN_MAX:
            raise ValueError(
                f"strength and offset must keep the interpolated gain within 0 to "
                f"{GAIN_MAX}, not {gains.min()} to {gains.max()}"
            )

    def exact_gain(self, estimate: int) -> int:
        """Gain of one noise estimate, by its formula, rounded to nearest."""
        noise = estimate / 2**ESTIMATE_BITS
        gain = 2**GAIN_BITS * (noise + self.offset) ** -self.strength
        return int(min(gain, GAIN_MAX) + 0.5)

    @cached_property
    def gain_table(self) -> IntArray:
        """Parabolas of the gain, ``(33, 3)``: one for each bit length of the estimate.

        ``gain = c0 + c1 * t + c2 * t**2`` where ``t``, 0 to 1, runs through the octave; it meets
        the exact gain in the octave's beginning, middle and end.  Estimates 0 and 1 are octaves
        of their own.
        """
        table = np.zeros((OCTAVES, 3), np.int64)
        table[0, 0], table[1, 0] = self.exact_gain(0), self.exact_gain(1)
        for length in range(2, OCTAVES):
            start = 1 << (length - 1)
            end = min(2 * start, WORD)
            first, middle, last = map(self.exact_gain, (start, start + start // 2, end))
            linear = 4 * (middle - first) - (last - first)
            table[length] = first, linear, last - first - linear
        return table

    def gain(self, estimate: ArrayLike) -> IntArray:
        """Gain of each ``uint32`` noise estimate, by its octave's parabola."""
        estimate = np.asarray(estimate, np.int64)
        length = bit_length(estimate)
        # The bits below the leading one, as a fraction of ten bits; further ones are cut off.
        aligned = (estimate << (32 - length)) & WORD
        position = (aligned >> (31 - FRACTION_BITS)) & ((1 << FRACTION_BITS) - 1)
        return self.parabolas(length, position)

    def parabolas(self, length: IntArray, position: IntArray) -> IntArray:
        """Gain at ``position``, UQ0.10, in the octave of the estimates of ``length`` bits."""
        constant, linear, quadratic = np.moveaxis(self.gain_table[length], -1, 0)
        slope = ((quadratic * position) >> LINEAR_BITS) + (linear << LINEAR_BITS)
        return ((slope * position + (1 << (PARABOLA_BITS - 1))) >> PARABOLA_BITS) + constant

    def normalise(self, signal: ArrayLike, estimate: ArrayLike) -> IntArray:
        """Apply the gain of each channel's noise estimate to the channel, and shrink.

        Parameters
        ----------
        signal, estimate : array_like of int
            One ``uint32`` a channel: the signal less its noise, and the noise estimate.

        Returns
        -------
        IntArray
            ``uint32``, 6 fraction bits.
        """
        ratio = ((np.asarray(signal, np.int64) * self.gain(estimate)) >> SNR_SHIFT) & WORD
        return shrink(ratio)
