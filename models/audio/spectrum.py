"""Power and magnitude of the FFT's bins."""

import math

import numpy as np

from models.fixedpoint import IntArray

__all__ = ["magnitude", "power"]


def power(re: IntArray, im: IntArray) -> IntArray:
    """``re**2 + im**2`` of 24-bit parts: 48 bits, unsigned, exact."""
    return re * re + im * im


def magnitude(re: IntArray, im: IntArray) -> IntArray:
    """``floor(sqrt(re**2 + im**2))`` of 24-bit parts: 24 bits, unsigned."""
    squares = power(re, im)
    roots = [math.isqrt(square) for square in squares.reshape(-1).tolist()]
    return np.array(roots, np.int64).reshape(squares.shape)
