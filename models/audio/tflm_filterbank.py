"""Energies and mel filters of TensorFlow Lite Micro's front end."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from models.fixedpoint import IntArray

__all__ = ["WEIGHT_BITS", "FilterBank", "energy", "filter_bank"]

WEIGHT_BITS = 12
"""Fraction bits of the weights."""

MEL_PER_NEPER = 1127.0
MEL_CORNER_HZ = 700.0


def energy(real: ArrayLike, imaginary: ArrayLike) -> IntArray:
    """``re**2 + im**2`` of int16 bins, 0 to 2**31."""
    real, imaginary = np.asarray(real, np.int64), np.asarray(imaginary, np.int64)
    return real * real + imaginary * imaginary


@dataclass(frozen=True)
class FilterBank:
    """Triangles, by bin: a bin lies on the falling side of one and on the rising side of the next.

    Attributes
    ----------
    bands : int
        Number of triangles.
    segment : IntArray, (bins,)
        Number of the triangle that rises at this bin, 0 to ``bands``; the one before falls.
    falling, rising : IntArray, (bins,)
        Weights, UQ1.12.  Bins outside of all triangles have weights 0.
    """

    bands: int
    segment: IntArray
    falling: IntArray
    rising: IntArray

    def accumulate(self, energies: ArrayLike) -> IntArray:
        """Sum the weighted energies of each band, ``(bins,)`` to ``(bands,)``.

        With 513 bins of 2**31 and weights of 2**12 a sum is below 2**53.
        """
        energies = np.asarray(energies, np.int64)
        # Sum 0 is left of the first triangle, sum `bands + 1` right of the last one.
        sums = np.zeros(self.bands + 2, np.int64)
        np.add.at(sums, self.segment, self.falling * energies)
        np.add.at(sums, self.segment + 1, self.rising * energies)
        return sums[1:-1]


def mel(hertz: ArrayLike) -> np.ndarray:
    """Pitch of a frequency, HTK's formula."""
    return MEL_PER_NEPER * np.log1p(np.asarray(hertz, np.float64) / MEL_CORNER_HZ)


def filter_bank(
    bands: int, fft: int, sample_rate: int, low_hz: float, high_hz: float
) -> FilterBank:
    """Triangles over mel, equally spaced from ``low_hz`` to ``high_hz``; weights are rounded down.

    Raises
    ------
    ValueError
        When a triangle has no bin of the FFT under it.
    """
    edges = np.linspace(mel(low_hz), mel(high_hz), bands + 2)
    hz_per_bin = sample_rate / fft
    first, last = int(1.5 + low_hz / hz_per_bin), int(high_hz / hz_per_bin)
    pitch = mel(np.arange(fft // 2 + 1) * hz_per_bin)
    segment = np.clip(np.searchsorted(edges, pitch) - 1, 0, bands)
    falling = (edges[segment + 1] - pitch) / (edges[segment + 1] - edges[segment])
    inside = np.arange(pitch.size) >= first
    inside &= np.arange(pitch.size) <= last
    one = 1 << WEIGHT_BITS
    weights = [
        np.where(inside, np.floor(np.clip(weight, 0, 1) * one), 0).astype(np.int64)
        for weight in (falling, 1 - falling)
    ]
    bank = FilterBank(bands, segment, *weights)
    empty = np.flatnonzero(bank.accumulate(np.ones(pitch.size)) == 0)
    if empty.size:
        raise ValueError(
            f"bands must leave each filter a bin of the FFT, not {bands}: "
            f"filter {empty[0]} of {low_hz:g} to {high_hz:g} Hz has none of {fft} points"
        )
    return bank
