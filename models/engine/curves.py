"""LOGISTIC and TANH of int16: interpolation in a table of 256 values.

TensorFlow Lite's ``reference_integer_ops::Logistic`` and ``Tanh`` for int16, bit for bit.  Both
read one table, because ``tanh(x) = 2 * sigmoid(2 * x) - 1``.
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.fixedpoint import IntArray, wrap

__all__ = ["LARGEST_CURVE_MULTIPLIER", "curve", "sigmoid_table"]

ENTRIES = 256
ENTRIES_PER_UNIT = 24
"""Entry ``i`` is the sigmoid of ``i / 24``, so that the table reaches 10.6."""

ONE = 1 << 16
"""1.0 in the table, UQ0.16."""

LARGEST_CURVE_MULTIPLIER = (1 << 16) - 1
"""With it, no product leaves int32; TensorFlow Lite itself stays below 2**15."""

LARGEST_SHIFT = 31

LOGISTIC_FRACTION_BITS = 9
TANH_FRACTION_BITS = 8
"""Bits of the argument below the table's index."""


def sigmoid_table() -> IntArray:
    """Return the 256 entries, UQ0.16: between them, straight lines are to come close to a sigmoid.

    A line between two samples of a concave function lies below it, most at the midpoint.  Each
    sample is therefore raised by half of the error at the midpoint behind it.  The last entry is
    the largest number below one.

    Found from the published values, which these equal; floating point is used here only, and no
    entry is closer than 0.001 to a tie.
    """

    def sigmoid(entry: float) -> float:
        return ONE / (1 + math.exp(-entry / ENTRIES_PER_UNIT))

    entries = []
    for i in range(ENTRIES - 1):
        midpoint_error = (sigmoid(i) + sigmoid(i + 1)) / 2 - sigmoid(i + 0.5)
        entries.append(math.floor(sigmoid(i) - midpoint_error / 2 + 0.5))
    return np.array([*entries, ONE - 1], np.int64)


def curve(
    x: NDArray, *, kind: Literal["logistic", "tanh"], multiplier: int, shift: int
) -> NDArray[np.int16]:
    """Return the sigmoid or the hyperbolic tangent of ``x``.

    Parameters
    ----------
    x : int16
        Argument, less its zero point (which TensorFlow Lite wants to be 0).
    kind : {"logistic", "tanh"}
        Which function.
    multiplier, shift : int
        ``(x * multiplier + round) >> shift``, where round is half of ``1 << shift``, is the
        argument in units of ``1 / 12288``.  TensorFlow Lite's form for scales of a power of two,
        multiplier 0, is ``3 << shift`` and 0 here.

    Returns
    -------
    NDArray of int16
        Q0.15.

    Raises
    ------
    ValueError
        When multiplier or shift is out of range.
    """
    if not 0 <= multiplier <= LARGEST_CURVE_MULTIPLIER:
        raise ValueError(f"multiplier must be in 0..{LARGEST_CURVE_MULTIPLIER}, not {multiplier}")
    if not 0 <= shift <= LARGEST_SHIFT:
        raise ValueError(f"shift must be in 0..{LARGEST_SHIFT}, not {shift}")
    rounding = (1 << shift) >> 1
    argument = wrap(np.asarray(x, np.int64) * multiplier + rounding) >> shift
    bits = LOGISTIC_FRACTION_BITS if kind == "logistic" else TANH_FRACTION_BITS
    magnitude = np.abs(argument)
    index, fraction = magnitude >> bits, magnitude & ((1 << bits) - 1)
    saturated = index >= ENTRIES - 1
    index = np.minimum(index, ENTRIES - 2)
    table = sigmoid_table()
    line = (table[index] << bits) + fraction * (table[index + 1] - table[index])
    one = ONE << bits
    if kind == "logistic":  # UQ0.25 to Q0.15
        line = np.where(saturated, 0x7FFF << 10, line)
        line = np.where(argument < 0, one - line - 1, line)
        return wrap((line + (1 << 9)) >> 10, 16).astype(np.int16)
    # 2 * sigmoid - 1: UQ0.24 to Q0.15 with a factor of two
    line = np.where(saturated, 0xFFFF << bits, line)
    doubled = line - one // 2
    doubled = np.where(argument < 0, -doubled - 1, doubled)
    return wrap((doubled + (1 << 7)) >> 8, 16).astype(np.int16)
