"""What the simulated MRAM was programmed with: stored words, and faults in them."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from hdl.config import MRAM_WORD_BYTES
from models.mram import secded

__all__ = ["CODE_BYTES", "MramContents", "as_words"]

CODE_BYTES = 18
"""Stored bytes of a word that carries check bits."""


def as_words(words: NDArray[np.uint64] | bytes) -> NDArray[np.uint8]:
    """Words of 128 bits as bytes, ``(n, 16)``.

    Parameters
    ----------
    words : bytes or ndarray of uint64, shape (n, 2)
        16 bytes each, or (low half, high half); little-endian both.
    """
    if isinstance(words, (bytes, bytearray, memoryview)):
        data = np.frombuffer(words, np.uint8)
    elif words.dtype == np.uint64 and words.shape[1:] == (2,):
        data = np.ascontiguousarray(words).view(np.uint8).reshape(-1)
    else:
        raise ValueError(
            f"words must be uint64 of shape (n, 2), not {words.dtype} of shape {words.shape}"
        )
    if data.size % MRAM_WORD_BYTES:
        raise ValueError(f"words must be whole MRAM words of 16 bytes, not {data.size} bytes")
    return data.reshape(-1, MRAM_WORD_BYTES)


class MramContents:
    """The stored form of every word, as it was programmed last; what the chip writes is not seen.

    Parameters
    ----------
    words : int
        Words of the MRAM.
    stored_bytes : int
        Bytes of a stored word: 16 without check bits, 18 with them.
    """

    def __init__(self, words: int, stored_bytes: int):
        self.stored_bytes = stored_bytes
        self.stored = np.zeros((words, stored_bytes), np.uint8)

    def encode(self, words: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The stored form of data words ``(n, 16)``."""
        return secded.encode(words) if self.stored_bytes == CODE_BYTES else words

    def put(self, stored: NDArray[np.uint8], address: int) -> NDArray[np.uint8]:
        """Keep stored words ``(n, stored_bytes)`` from word ``address`` on, and return them.

        Raises
        ------
        ValueError
            When they do not fit the MRAM or its word.
        """
        if stored.dtype != np.uint8 or stored.shape[1:] != (self.stored_bytes,):
            raise ValueError(
                f"stored words must be uint8 of shape (n, {self.stored_bytes}), not "
                f"{stored.dtype} of shape {stored.shape}"
            )
        if address < 0 or address + len(stored) > len(self.stored):
            raise ValueError(
                f"{len(stored)} words at address {address} do not fit the {len(self.stored)} words "
                "of the MRAM"
            )
        self.stored[address : address + len(stored)] = stored
        return np.ascontiguousarray(stored)

    def flipped(self, address: int, bits: Iterable[int]) -> NDArray[np.uint8]:
        """The word at ``address`` with these bits inverted, ``(1, stored_bytes)``; not kept."""
        if address not in range(len(self.stored)):
            raise ValueError(f"address must be in 0..{len(self.stored) - 1}, not {address}")
        word = self.stored[address : address + 1].copy()
        for bit in bits:
            if bit not in range(8 * self.stored_bytes):
                raise ValueError(f"bit must be in 0..{8 * self.stored_bytes - 1}, not {bit}")
            word[0, bit // 8] ^= 1 << bit % 8
        return word
