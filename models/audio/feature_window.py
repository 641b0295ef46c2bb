"""Windows of frames, and the words that they are in a network's input."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.fixedpoint import IntArray

__all__ = ["BANKS", "WindowPlace", "feature_windows"]

BANKS = 4


def feature_windows(features: ArrayLike, frames: int, stride: int) -> NDArray[np.int8]:
    """Windows of consecutive frames, the first one as soon as it is complete.

    Parameters
    ----------
    features : array_like
        int8, shape (n, values).
    frames, stride : int
        Frames of a window, and from one window to the next.

    Returns
    -------
    ndarray of int8
        Shape (windows, frames, values).
    """
    values = np.asarray(features, np.int8)
    starts = range(0, len(values) - frames + 1, stride)
    shape = (len(starts), frames, values.shape[1])
    return np.array([values[start : start + frames] for start in starts], np.int8).reshape(shape)


@dataclass(frozen=True, kw_only=True)
class WindowPlace:
    """Where a window goes in the activation memory.

    Parameters
    ----------
    base : int
        Word address.
    row0 : int
        Bank of the first row.
    row_values, row_words : int
        Features of a row, and words from one row to the next.
    word_bytes : int
        Bytes of a word.
    """

    base: int
    row0: int
    row_values: int
    row_words: int
    word_bytes: int

    def words(self, window: ArrayLike) -> tuple[IntArray, IntArray, NDArray[np.uint8]]:
        """Banks ``(n,)``, addresses ``(n,)`` and bytes ``(n, word_bytes)``, in order."""
        rows = np.asarray(window, np.int8).reshape(-1, self.row_values).view(np.uint8)
        filled = -(-self.row_values // self.word_bytes)
        padded = np.pad(rows, ((0, 0), (0, filled * self.word_bytes - self.row_values)))
        row = np.arange(len(rows))[:, None] + self.row0
        address = self.base + row // BANKS * self.row_words + np.arange(filled)
        bank = np.broadcast_to(row % BANKS, address.shape)
        return bank.reshape(-1), address.reshape(-1), padded.reshape(-1, self.word_bytes)
