"""Tables of a baseline JPEG encoder: scan order, quantisation, Huffman codes (ISO/IEC 10918-1)."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from models.fixedpoint import IntArray

__all__ = [
    "AC_SYMBOLS",
    "CHROMA",
    "CHROMA_AC",
    "CHROMA_DC",
    "DC_SYMBOLS",
    "LUMA",
    "LUMA_AC",
    "LUMA_DC",
    "ZIGZAG",
    "HuffmanTable",
    "checked_quantisation",
    "scaled_quantisation",
]

BLOCK = 8
MAX_LENGTH = 16
"""Bits of the longest code."""
MAX_QUANTISER = 255
"""Baseline: quantisers of 8 bits."""

DC_SYMBOLS = frozenset(range(12))
"""Sizes of a DC difference: at most 11 bits, for samples of 8."""
AC_SYMBOLS = frozenset({run << 4 | size for run in range(16) for size in range(1, 11)} | {0, 0xF0})
"""``run << 4 | size``, end of block (0x00) and a run of 16 zeros (0xF0)."""


def zigzag() -> IntArray:
    """Places ``8 * row + column`` in scan order: diagonals, alternately up and down."""
    row, column = np.divmod(np.arange(BLOCK * BLOCK), BLOCK)
    diagonal = row + column
    return np.lexsort((np.where(diagonal % 2, row, column), diagonal)).astype(np.int64)


ZIGZAG = zigzag()

LUMA = np.array([
    [16, 11, 10, 16,  24,  40,  51,  61],
    [12, 12, 14, 19,  26,  58,  60,  55],
    [14, 13, 16, 24,  40,  57,  69,  56],
    [14, 17, 22, 29,  51,  87,  80,  62],
    [18, 22, 37, 56,  68, 109, 103,  77],
    [24, 35, 55, 64,  81, 104, 113,  92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103,  99],
])  # fmt: skip
"""Table K.1: quality 50; rows are vertical frequencies."""

CHROMA = np.array([
    [17, 18, 24, 47, 99, 99, 99, 99],
    [18, 21, 26, 66, 99, 99, 99, 99],
    [24, 26, 56, 99, 99, 99, 99, 99],
    [47, 66, 99, 99, 99, 99, 99, 99],
    [99, 99, 99, 99, 99, 99, 99, 99],
    [99, 99, 99, 99, 99, 99, 99, 99],
    [99, 99, 99, 99, 99, 99, 99, 99],
    [99, 99, 99, 99, 99, 99, 99, 99],
])  # fmt: skip
"""Table K.2."""


def scaled_quantisation(table: ArrayLike, quality: int) -> IntArray:
    """Scale a table as the Independent JPEG Group does: 1 coarsest, 50 as it is, 100 finest.

    ``clip((table * scale + 50) // 100, 1, 255)``, scale ``5000 // quality`` below 50 and
    ``200 - 2 * quality`` from there.
    """
    if not 1 <= quality <= 100:  # noqa: PLR2004
        raise ValueError(f"quality must be 1..100, not {quality}")
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality  # noqa: PLR2004
    return np.clip((checked_quantisation(table) * scale + 50) // 100, 1, MAX_QUANTISER)


def checked_quantisation(table: ArrayLike) -> IntArray:
    """``table`` as int64, or ValueError."""
    values = np.asarray(table)
    if values.shape != (BLOCK, BLOCK) or not np.issubdtype(values.dtype, np.integer):
        raise ValueError(
            f"a quantisation table must be 8 x 8 integers, not {values.dtype} {values.shape}"
        )
    if values.min() < 1 or values.max() > MAX_QUANTISER:
        raise ValueError(f"quantisers must be 1..255, not {values.min()}..{values.max()}")
    return values.astype(np.int64)


@dataclass(frozen=True)
class HuffmanTable:
    """A Huffman code as a DHT segment gives it (annex C).

    Parameters
    ----------
    counts : tuple of int
        How many codes have 1 to 16 bits.
    symbols : bytes
        What they stand for, shortest first.

    Raises
    ------
    ValueError
        Unless the code is complete for `DC_SYMBOLS` or for `AC_SYMBOLS`: hardware cannot refuse a
        block halfway, so that a table that lacks a symbol is refused before.
    """

    counts: tuple[int, ...]
    symbols: bytes

    def __post_init__(self):
        if len(self.counts) != MAX_LENGTH or min(self.counts) < 0:
            raise ValueError(f"counts must be 16 numbers from 0, not {self.counts}")
        if sum(self.counts) != len(self.symbols):
            raise ValueError(
                f"counts announce {sum(self.counts)} symbols, and {len(self.symbols)} are there"
            )
        # Below, not equal: no code may be all ones, because ones fill the last byte.
        if sum(count << (MAX_LENGTH - n) for n, count in enumerate(self.counts, 1)) >= 1 << 16:
            raise ValueError(f"counts {self.counts} leave no code of all ones free")
        if len(set(self.symbols)) != len(self.symbols) or set(self.symbols) not in (
            DC_SYMBOLS,
            AC_SYMBOLS,
        ):
            raise ValueError(
                "symbols must be the 12 sizes of a DC difference or the 162 runs and sizes of AC "
                f"coefficients, each once, not {len(self.symbols)} bytes {self.symbols.hex()}"
            )

    @cached_property
    def codes(self) -> tuple[IntArray, IntArray]:
        """Code and length in bits of each of 256 symbols; length 0 for those it lacks.

        Codes of a length count up; the first of the next length is the last plus one, doubled.
        """
        code, length = np.zeros(256, np.int64), np.zeros(256, np.int64)
        following, symbols = 0, iter(self.symbols)
        for bits, count in enumerate(self.counts, 1):
            for _ in range(count):
                symbol = next(symbols)
                code[symbol], length[symbol] = following, bits
                following += 1
            following <<= 1
        return code, length


LUMA_DC = HuffmanTable((0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0), bytes(range(12)))
"""Table K.3."""

CHROMA_DC = HuffmanTable((0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0), bytes(range(12)))
"""Table K.4."""

LUMA_AC = HuffmanTable(
    (0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125),
    bytes.fromhex(
        "01 02 03 00 04 11 05 12 21 31 41 06 13 51 61 07 22 71 14 32 81 91 a1 08 23 42 b1 c1"
        "15 52 d1 f0 24 33 62 72 82 09 0a 16 17 18 19 1a 25 26 27 28 29 2a 34 35 36 37 38 39"
        "3a 43 44 45 46 47 48 49 4a 53 54 55 56 57 58 59 5a 63 64 65 66 67 68 69 6a 73 74 75"
        "76 77 78 79 7a 83 84 85 86 87 88 89 8a 92 93 94 95 96 97 98 99 9a a2 a3 a4 a5 a6 a7"
        "a8 a9 aa b2 b3 b4 b5 b6 b7 b8 b9 ba c2 c3 c4 c5 c6 c7 c8 c9 ca d2 d3 d4 d5 d6 d7 d8"
        "d9 da e1 e2 e3 e4 e5 e6 e7 e8 e9 ea f1 f2 f3 f4 f5 f6 f7 f8 f9 fa"
    ),
)
"""Table K.5."""

CHROMA_AC = HuffmanTable(
    (0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119),
    bytes.fromhex(
        "00 01 02 03 11 04 05 21 31 06 12 41 51 07 61 71 13 22 32 81 08 14 42 91 a1 b1 c1 09"
        "23 33 52 f0 15 62 72 d1 0a 16 24 34 e1 25 f1 17 18 19 1a 26 27 28 29 2a 35 36 37 38"
        "39 3a 43 44 45 46 47 48 49 4a 53 54 55 56 57 58 59 5a 63 64 65 66 67 68 69 6a 73 74"
        "75 76 77 78 79 7a 82 83 84 85 86 87 88 89 8a 92 93 94 95 96 97 98 99 9a a2 a3 a4 a5"
        "a6 a7 a8 a9 aa b2 b3 b4 b5 b6 b7 b8 b9 ba c2 c3 c4 c5 c6 c7 c8 c9 ca d2 d3 d4 d5 d6"
        "d7 d8 d9 da e2 e3 e4 e5 e6 e7 e8 e9 ea f2 f3 f4 f5 f6 f7 f8 f9 fa"
    ),
)
"""Table K.6."""
