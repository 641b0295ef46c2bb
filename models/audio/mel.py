"""Mel filter bank: weighted sums of bins."""

import numpy as np
from numpy.typing import NDArray

from models.audio.tables import MelTable
from models.fixedpoint import IntArray

__all__ = ["mel_sums"]

HALF_BITS = 24


def mel_sums(spectrum: IntArray, table: MelTable, bands: int) -> NDArray[np.object_]:
    """Exact sums of the bins of each triangle.

    Parameters
    ----------
    spectrum : IntArray
        Shape (frames, bins): unsigned, up to 48 bits.
    table : MelTable
        Weights, 17 bits.
    bands : int
        Filters.

    Returns
    -------
    ndarray of int
        Shape (frames, bands): unsigned, 75 bits (1024 points), hence Python's integers.
    """
    frames = spectrum.shape[0]
    halves = (spectrum >> HALF_BITS, spectrum & ((1 << HALF_BITS) - 1))
    sums = [np.zeros((bands + 2, frames), np.int64) for _ in halves]
    for half, total in zip(halves, sums, strict=True):
        # Row ``b + 1`` is band b; rows 0 and ``bands + 1`` take edges that no band has: weight 0.
        np.add.at(total, table.band + 1, (half * table.rising).T)
        np.add.at(total, table.band, (half * table.falling).T)
    high, low = (total[1:-1].T.astype(object) for total in sums)
    return high * (1 << HALF_BITS) + low
