"""Golden model of colours: from the sensor's to the display's, and to luma and chroma."""

import numpy as np
from numpy.typing import ArrayLike

from models.fixedpoint import IntArray, saturate
from models.image.bayer import PIXEL_MAX

__all__ = [
    "IDENTITY_MATRIX",
    "LUMA",
    "MATRIX_FRACTION_BITS",
    "YCBCR_FRACTION_BITS",
    "correct_colour",
    "luma",
    "to_ycbcr",
]

MATRIX_BITS = 14
MATRIX_FRACTION_BITS = 10
"""A coefficient is Q3.10 with a sign: -8 to 7.999."""

UNITY = 1 << MATRIX_FRACTION_BITS
IDENTITY_MATRIX = ((UNITY, 0, 0), (0, UNITY, 0), (0, 0, UNITY))

YCBCR_FRACTION_BITS = 14
LUMA = (4899, 9617, 1868)
CHROMA_BLUE = (-2765, -5427, 8192)
CHROMA_RED = (8192, -6860, -1332)
"""ITU-R BT.601, full range as in JFIF: 0.299, 0.587, 0.114; each of 2**-14.  The sum of luma's is
exactly 1 and of each chroma's 0, so that grey stays grey."""

CHROMA_ZERO = 128
BYTE_MAX = 255


def correct_colour(rgb: IntArray, matrix: ArrayLike) -> IntArray:
    """Multiply each pixel by a matrix of 3 x 3, round half up, and saturate to 12 bits.

    ``rgb`` is ``(..., 3)`` of 12 bits; row i of ``matrix`` gives colour i.  Nine multipliers,
    12 x 14.
    """
    coefficients = np.asarray(matrix, dtype=np.int64)
    if coefficients.shape != (3, 3):
        raise ValueError(f"the colour matrix has the shape (3, 3), not {coefficients.shape}")
    if np.any(saturate(coefficients, MATRIX_BITS) != coefficients):
        limit = 1 << (MATRIX_BITS - 1)
        raise ValueError(
            f"the colour matrix has coefficients in -{limit}..{limit - 1}, "
            f"not {coefficients.tolist()}"
        )
    return np.clip((rgb @ coefficients.T + (UNITY >> 1)) >> MATRIX_FRACTION_BITS, 0, PIXEL_MAX)


def to_ycbcr(rgb: IntArray) -> IntArray:
    """Convert ``(..., 3)`` of 8 bits, rounding half up; chroma saturates at 255.

    Constants only: shifts and additions.
    """
    product = rgb @ np.array([LUMA, CHROMA_BLUE, CHROMA_RED]).T
    rounded = (product + (1 << (YCBCR_FRACTION_BITS - 1))) >> YCBCR_FRACTION_BITS
    return np.minimum(rounded + np.array([0, CHROMA_ZERO, CHROMA_ZERO]), BYTE_MAX)


def luma(rgb: IntArray) -> IntArray:
    """Y of `to_ycbcr` alone, ``(...)``."""
    return to_ycbcr(rgb)[..., 0]
