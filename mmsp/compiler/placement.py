"""Where tensors lie in the activation memory, and how their bytes get there and back.

Four banks share one word-address space.  Row ``y`` of a tensor lies in bank ``(y + row0) % 4``, so
any window of up to four rows is read in one cycle.  An allocation takes the same word range of all
four banks.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdl.config import ACT_BANKS

__all__ = ["Placement"]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A tensor's place and layout.

    Blocked: a pixel takes ``ceil(C / word_bytes)`` words, one channel a byte.  Packed: the bytes of
    a row follow one another without gaps (few channels, network inputs only).
    """

    pixels: tuple[int, int, int]  # (H, W, C)
    word_bytes: int
    packed: bool
    base: int  # word address within a bank
    row0: int

    @property
    def pixel_words(self) -> int:
        """Words from one pixel to the next; 0 when packed."""
        return 0 if self.packed else -(-self.pixels[2] // self.word_bytes)

    @property
    def row_words(self) -> int:
        """Words of one row."""
        _, width, channels = self.pixels
        if self.packed:
            return -(-width * channels // self.word_bytes)
        return width * self.pixel_words

    @property
    def words(self) -> int:
        """Words that the tensor takes in each of the banks."""
        return -(-(self.pixels[0] + self.row0) // ACT_BANKS) * self.row_words

    def addresses(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Bank and word address of every word, row after row."""
        rows = np.arange(self.pixels[0])[:, None] + self.row0
        words = np.arange(self.row_words)[None, :]
        address = self.base + rows // ACT_BANKS * self.row_words + words
        bank = np.broadcast_to(rows % ACT_BANKS, address.shape)
        return bank.reshape(-1), address.reshape(-1)

    def pack(self, values: NDArray[np.int8]) -> NDArray[np.uint8]:
        """Words in the order of `addresses`; bytes that carry no channel are zero."""
        height, width, channels = self.pixels
        raw = np.ascontiguousarray(values, np.int8).view(np.uint8)
        units, unit_bytes = (1, width * channels) if self.packed else (width, channels)
        padded_bytes = self.row_words * self.word_bytes // units
        padded = np.zeros((height, units, padded_bytes), np.uint8)
        padded[:, :, :unit_bytes] = raw.reshape(height, units, unit_bytes)
        return padded.reshape(-1, self.word_bytes)

    def unpack(self, words: NDArray[np.uint8]) -> NDArray[np.int8]:
        """The inverse of `pack`: ``(H, W, C)``."""
        height, width, channels = self.pixels
        if self.packed:
            flat = words.reshape(height, -1)[:, : width * channels]
        else:
            flat = words.reshape(height, width, -1)[:, :, :channels]
        return np.ascontiguousarray(flat).view(np.int8).reshape(height, width, channels)
