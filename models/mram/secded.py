"""The MRAM's error-correcting code: SECDED (72, 64), two code words a memory word.

A Hsiao code (IBM J. Res. Dev. 14, 1970): a code word has 64 data bits and 8 check bits, and each
of its bits has a column of 8 bits; check bit ``k`` has ``1 << k``.  All columns are different and
have an odd number of ones.  The *syndrome* is the exclusive or of the columns of all bits that are
one.  One wrong bit makes it that bit's column; two make its ones even in number and not zero, so
that they are never taken for one.

The columns of the data bits are all 56 numbers with three ones, in increasing order, and behind
them the eight rotations of 0b00011111.  Each row of the check matrix has 26 ones, the fewest
that are possible, so all check bits are equally deep.

Four check bits are stored inverted (`CHECK_INVERSION`): a bank that returns only zeros or only
ones, because it has no supply or its outputs are clamped, is an uncorrectable error and not a word.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["CHECK_INVERSION", "CODE_BYTES", "COLUMNS", "WORD_BYTES", "Decoded", "decode", "encode"]

WORD_BYTES = 16
"""Data bytes of a memory word."""
CODE_BYTES = 18
"""Stored bytes of a memory word: 9 for each 8 data bytes, the ninth are the check bits."""

CHECK_INVERSION = 0x55
"""Check bits that are stored inverted."""

COLUMNS = (
    *(column for column in range(256) if column.bit_count() == 3),  # noqa: PLR2004
    *(0x1F1F >> turn & 0xFF for turn in range(8)),
    *(1 << bit for bit in range(8)),
)
"""Columns of the 64 data bits, then of the 8 check bits."""

ByteArray = NDArray[np.uint8]


class Decoded(NamedTuple):
    """What `decode` finds."""

    words: ByteArray
    """(n, 16): data, corrected; as stored where it is uncorrectable."""
    corrected: NDArray[np.int64]
    """(n,): bits that were corrected, 0 to 2: one in each code word; 0 if uncorrectable."""
    uncorrectable: NDArray[np.bool_]
    """(n,): at least one of the two code words has more than one wrong bit."""


def parity_tables() -> ByteArray:
    """(9, 256): what the value of each byte of a code word adds to its syndrome."""
    tables = np.zeros((9, 256), np.uint8)
    values = np.arange(256)
    for bit, column in enumerate(COLUMNS):
        tables[bit // 8] ^= np.where(values >> bit % 8 & 1, column, 0).astype(np.uint8)
    return tables


def correction_table() -> ByteArray:
    """(256, 9): bits of a code word to flip for each syndrome."""
    table = np.zeros((256, 9), np.uint8)
    for bit, column in enumerate(COLUMNS):
        table[column, bit // 8] = 1 << bit % 8
    return table


PARITY = parity_tables()
CORRECTION = correction_table()
CORRECTABLE = np.isin(np.arange(256), COLUMNS)
"""By syndrome: exactly one bit is wrong."""


def syndromes(codes: ByteArray) -> ByteArray:
    """(n, 2): exclusive or of the columns of all ones, for code words (n, 2, 8 or 9 bytes)."""
    result = np.zeros(codes.shape[:2], np.uint8)
    for byte in range(codes.shape[2]):
        result ^= PARITY[byte][codes[:, :, byte]]
    return result


def encode(words: ByteArray) -> ByteArray:
    """Add the check bits.

    Parameters
    ----------
    words : (n, 16) uint8
        Memory words, little-endian: data bits 0..63 are code word 0's, 64..127 code word 1's.

    Returns
    -------
    (n, 18) uint8
        144 stored bits, little-endian: code word 0 is in bits 0..71, code word 1 in 72..143; of
        each the data is in bits 0..63 and the check bits in 64..71.

    Raises
    ------
    ValueError
        If ``words`` has another shape or type.
    """
    data = checked(words, WORD_BYTES).reshape(-1, 2, 8)
    codes = np.empty((len(data), 2, 9), np.uint8)
    codes[:, :, :8] = data
    codes[:, :, 8] = syndromes(data) ^ CHECK_INVERSION
    return codes.reshape(-1, CODE_BYTES)


def decode(codes: ByteArray) -> Decoded:
    """Correct what can be corrected, and say where there is more.

    Parameters
    ----------
    codes : (n, 18) uint8
        Stored words, as `encode` makes them.

    Raises
    ------
    ValueError
        If ``codes`` has another shape or type.
    """
    stored = checked(codes, CODE_BYTES).reshape(-1, 2, 9)
    syndrome = syndromes(stored) ^ CHECK_INVERSION
    words = stored[:, :, :8] ^ CORRECTION[syndrome][:, :, :8]
    single = CORRECTABLE[syndrome]
    uncorrectable = (~single & (syndrome != 0)).any(axis=1)
    corrected = np.where(uncorrectable, 0, single.sum(axis=1))
    return Decoded(words.reshape(-1, WORD_BYTES), corrected, uncorrectable)


def checked(array: ByteArray, width: int) -> ByteArray:
    """Refuse anything but ``(n, width)`` bytes."""
    array = np.asarray(array)
    if array.dtype != np.uint8 or array.shape[1:] != (width,):
        raise ValueError(
            f"expected uint8 of shape (n, {width}), not {array.dtype} of shape {array.shape}"
        )
    return array
