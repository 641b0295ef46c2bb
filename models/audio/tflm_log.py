"""Logarithm and int8 features of TensorFlow Lite Micro's front end."""

from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from models.audio.pcan import bit_length
from models.fixedpoint import IntArray

__all__ = [
    "FEATURE_DENOMINATOR",
    "FEATURE_MIN",
    "FEATURE_NUMERATOR",
    "FRACTION_BITS",
    "LN2",
    "SEGMENTS",
    "correction_table",
    "logarithm",
    "quantize_feature",
]

FRACTION_BITS = 16
"""Of the mantissa, the logarithm to base 2 and the constant ln 2."""

LN2 = 45426
"""Natural logarithm of 2, UQ0.16."""

SEGMENTS = 128
SEGMENT_BITS = FRACTION_BITS - 7
INPUT_BITS = 3
"""Left shift in front of the logarithm."""

OUTPUT_BITS = 6
"""Fraction bits of the logarithm."""

OUTPUT_MAX = (1 << 15) - 1
WORD = (1 << 32) - 1

FEATURE_NUMERATOR, FEATURE_DENOMINATOR = 256, 666
"""A feature is 256 / (26 * 25.6 + 1/2) of the logarithm, where 26 is micro_speech's range."""

FEATURE_MIN, FEATURE_MAX = -128, 127


@cache
def correction_table() -> IntArray:
    """``log2(1 + i / 128) - i / 128`` for i = 0 .. 128, UQ0.16, to nearest."""
    position = np.arange(SEGMENTS + 1) / SEGMENTS
    correction = np.log2(1 + position) - position
    return np.floor(correction * (1 << FRACTION_BITS) + 0.5).astype(np.int64)


def logarithm(value: ArrayLike) -> IntArray:
    """``64 * ln(8 * value)`` for ``uint32`` values, 0 for the value 0.

    With ``8 * value = 2**e * (1 + f)``: ``log2 = e + f + correction(f)``, from the 128 points of
    the table.  Between them TensorFlow Lite Micro interpolates with a slope 128 times too small
    (it shifts by the 16 bits of the result, not by the 9 of the position), so that falling
    segments are one unit lower and rising ones at most one higher; here as there.  The factor 8
    wraps at 32 bits.
    """
    scaled = (np.asarray(value, np.int64) << INPUT_BITS) & WORD
    exponent = np.maximum(bit_length(scaled) - 1, 0)
    fraction = (((scaled << (31 - exponent)) & WORD) >> (31 - FRACTION_BITS)) & 0xFFFF
    segment, position = fraction >> SEGMENT_BITS, fraction & ((1 << SEGMENT_BITS) - 1)
    table = correction_table()
    step = table[segment + 1] - table[segment]
    correction = table[segment] + ((step * position) >> FRACTION_BITS)
    log2 = (exponent << FRACTION_BITS) + fraction + correction
    half = 1 << (FRACTION_BITS - 1)
    natural = (LN2 * log2 + half) >> FRACTION_BITS
    result = ((natural << OUTPUT_BITS) + half) >> FRACTION_BITS
    return np.where(scaled > 1, np.minimum(result, OUTPUT_MAX), 0)


def quantize_feature(value: ArrayLike) -> IntArray:
    """Map the logarithm's 0 .. 666 to -128 .. 127, to nearest, ties up; above it saturates."""
    scaled = np.asarray(value, np.int64) * FEATURE_NUMERATOR + FEATURE_DENOMINATOR // 2
    return np.clip(scaled // FEATURE_DENOMINATOR + FEATURE_MIN, FEATURE_MIN, FEATURE_MAX)
