"""From sums of mel weights to levels: floor, logarithm, exponents, peak."""

import numpy as np
from numpy.typing import NDArray

from models.audio.logarithm import SUM_BITS, log2
from models.audio.tables import LEVEL_FRACTION, MAX_LEVEL, SpectrumTable
from models.fixedpoint import IntArray

__all__ = ["floor_sum", "levels"]

MAX_FLOOR = (1 << (SUM_BITS - 1)) - 1


def floor_sum(table: SpectrumTable, exponent: int, peak: int) -> int:
    """What is added to the sums of a frame: rounded, ties up, to at most 75 bits."""
    mantissa = table.floor_mantissa * peak**table.power
    shift = table.floor_shift - table.power * exponent
    if shift >= 0:
        return min(mantissa << shift, MAX_FLOOR)
    return min(((mantissa >> (-shift - 1)) + 1) >> 1, MAX_FLOOR)


def levels(
    sums: NDArray[np.object_], exponents: IntArray, table: SpectrumTable, peak: int = 1
) -> IntArray:
    """Levels of sums, relative to the full scale or the peak.

    Parameters
    ----------
    sums : ndarray of int
        Shape (frames, bands), 75 bits.
    exponents : IntArray
        Shape (frames,): exponent of each frame's FFT.
    table : SpectrumTable
        Unit and floor.
    peak : int
        Largest sample, 1 to 32767; 1 with ``full_scale`` normalisation.

    Returns
    -------
    IntArray
        Shape (frames, bands): Q8.16, base 2, 25 bits, saturated above; nothing is below the
        floor's level, which is also that of a sum of 0.
    """
    constant = table.unit - table.power * log2(peak)
    out = np.full(sums.shape, table.floor_level, np.int64)
    for frame, exponent in enumerate(exponents.tolist()):
        floor = floor_sum(table, exponent, peak)
        offset = constant + (table.power * exponent << LEVEL_FRACTION)
        for band, total in enumerate(sums[frame].tolist()):
            if total + floor > 0:
                value = min(log2(total + floor) + offset, MAX_LEVEL)
                out[frame, band] = max(value, table.floor_level)
    return out
