"""Where tensors lie in the activation memory, and how their bytes get there and back.

Four banks share one word-address space.  Row ``y`` of a tensor lies in bank ``(y + row0) % 4``, so
any window of up to four rows is read in one cycle.  An allocation takes the same word range of all
four banks.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hdl.config import ACT_BANKS

__all__ = ["Placement"]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A tensor's place and layout.

    Blocked: a pixel takes ``ceil(C / word_bytes)`` words, one channel a byte.  Wide: int16, two
    words for each of these, first the channels' low bytes, then their high bytes.  Packed: the
    bytes of a row follow one another without gaps (int8, few channels, network inputs only).
    """

    pixels: tuple[int, int, int]  # (H, W, C)
    word_bytes: int
    packed: bool
    base: int  # word address within a bank
    row0: int
    wide: bool = False
    pitch: int | None = (
        None  # words from one row to the next, if the tensor is a part of a wider one
    )

    def __post_init__(self) -> None:
        if self.packed and self.wide:
            raise ValueError("an int16 tensor cannot be packed")

    @property
    def dtype(self) -> np.dtype:
        """Type of an element."""
        return np.dtype(np.int16 if self.wide else np.int8)

    @property
    def groups(self) -> int:
        """Groups of ``word_bytes`` channels."""
        return -(-self.pixels[2] // self.word_bytes)

    @property
    def planes(self) -> int:
        """Words of a pixel and group."""
        return 2 if self.wide else 1

    @property
    def pixel_words(self) -> int:
        """Words from one pixel to the next; 0 when packed."""
        return 0 if self.packed else self.groups * self.planes

    @property
    def row_words(self) -> int:
        """Words from one row to the next."""
        if self.pitch is not None:
            return self.pitch
        _, width, channels = self.pixels
        if self.packed:
            return -(-width * channels // self.word_bytes)
        return width * self.pixel_words

    @property
    def words(self) -> int:
        """Words that the tensor takes in each of the banks."""
        return -(-(self.pixels[0] + self.row0) // ACT_BANKS) * self.row_words

    def part(self, rows: range, columns: range) -> "Placement":
        """The place of some rows and columns, with all channels; not of a packed tensor."""
        if self.packed:
            raise ValueError("a packed tensor has no parts")
        return replace(
            self,
            pixels=(len(rows), len(columns), self.pixels[2]),
            base=self.base + columns.start * self.pixel_words,
            row0=self.row0 + rows.start,
            pitch=self.row_words,
        )

    def addresses(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Bank and word address of every word, row after row."""
        rows = np.arange(self.pixels[0])[:, None] + self.row0
        words = np.arange(self.row_words)[None, :]
        address = self.base + rows // ACT_BANKS * self.row_words + words
        bank = np.broadcast_to(rows % ACT_BANKS, address.shape)
        return bank.reshape(-1), address.reshape(-1)

    def pack(self, values: NDArray) -> NDArray[np.uint8]:
        """Words in the order of `addresses`; bytes that carry no channel are zero.

        ``values``: as many elements as the tensor has, of its type.
        """
        height, width, channels = self.pixels
        raw = np.ascontiguousarray(values, self.dtype).view(np.uint8)
        if self.packed:
            padded = np.zeros((height, self.row_words * self.word_bytes), np.uint8)
            padded[:, : width * channels] = raw.reshape(height, -1)
            return padded.reshape(-1, self.word_bytes)
        padded = np.zeros((height * width, self.groups * self.word_bytes, self.planes), np.uint8)
        padded[:, :channels] = raw.reshape(-1, channels, self.planes)  # little endian: low first
        blocks = padded.reshape(-1, self.word_bytes, self.planes)
        return np.ascontiguousarray(blocks.transpose(0, 2, 1)).reshape(-1, self.word_bytes)

    def unpack(self, words: NDArray[np.uint8]) -> NDArray:
        """The inverse of `pack`: ``(H, W, C)``, int8 or int16."""
        height, width, channels = self.pixels
        if self.packed:
            flat = words.reshape(height, -1)[:, : width * channels]
            return np.ascontiguousarray(flat).view(np.int8).reshape(self.pixels)
        blocks = words.reshape(-1, self.planes, self.word_bytes).transpose(0, 2, 1)
        flat = blocks.reshape(height * width, -1, self.planes)[:, :channels]
        return np.ascontiguousarray(flat).view(self.dtype).reshape(self.pixels)
