"""Weights in the program stream: their formats, the digits of int16, and packing to words."""

import numpy as np
from numpy.typing import NDArray

from hdl.config import MRAM_WORD_BYTES
from hdl.engine.descriptor import WeightFormat

__all__ = ["encode_tile", "int16_digits", "weight_format", "weight_words"]

WEIGHT_BITS = {
    WeightFormat.INT8: 8,
    WeightFormat.INT4: 4,
    WeightFormat.INT2: 2,
    WeightFormat.INT16: 8,
}
"""Bits of an element of a tile; int16 is stored as tiles of int8."""

FEWEST_BITS_FIRST = (WeightFormat.INT2, WeightFormat.INT4, WeightFormat.INT8)


def weight_format(weights: NDArray) -> WeightFormat:
    """The format of fewest words that holds all weights as they are."""
    low, high = int(weights.min(initial=0)), int(weights.max(initial=0))
    for form in FEWEST_BITS_FIRST:
        limit = 1 << (WEIGHT_BITS[form] - 1)
        if -limit <= low and high < limit:
            return form
    return WeightFormat.INT16


def int16_digits(tile: NDArray[np.int16]) -> tuple[NDArray[np.int8], ...]:
    """Three int8 tiles ``d0, d1, d2`` with ``tile == d0 + 256 * (d1 + d2)``."""
    values = tile.astype(np.int32)
    low = ((values + 128) & 0xFF) - 128
    high = (values - low) >> 8  # -128..128: too much for one digit
    first = np.clip(high, -128, 127)
    return tuple(digit.astype(np.int8) for digit in (low, first, high - first))


def weight_words(tile: NDArray, form: WeightFormat) -> int:
    """MRAM words of a tile."""
    return -(-tile.size * WEIGHT_BITS[form] // (8 * MRAM_WORD_BYTES))


def encode_tile(tile: NDArray, form: WeightFormat) -> NDArray[np.uint8]:
    """A tile of ``(lanes, rows)`` weights, lane after lane, padded to whole words ``(n, 16)``.

    Several weights share a byte when they have fewer bits, the first one lowest.
    """
    bits = WEIGHT_BITS[form]
    raw = np.zeros(weight_words(tile, form) * MRAM_WORD_BYTES * 8 // bits, np.uint8)
    raw[: tile.size] = np.ascontiguousarray(tile, np.int8).view(np.uint8).reshape(-1)
    parts = (raw & ((1 << bits) - 1)).reshape(-1, 8 // bits)
    words = np.zeros(len(parts), np.uint8)
    for index, part in enumerate(parts.T):
        words |= part << (index * bits)
    return words.reshape(-1, MRAM_WORD_BYTES)
