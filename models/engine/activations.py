"""LOGISTIC and TANH on int8: tables of all 256 results.

Arithmetic and names are gemmlowp's, ``fixedpoint/fixedpoint.h``; ``Qm.n`` is an ``int32`` with
``m`` integer and ``n`` fraction bits.
"""

import numpy as np
from numpy.typing import NDArray

from models.engine.softmax import ONE_Q2_29, exp_on_negative_values, reciprocal_of_one_plus
from models.fixedpoint import (
    INT32_MAX,
    IntArray,
    multiply_by_quantized_multiplier,
    rounding_divide_by_pot,
    saturate,
)

__all__ = ["logistic_table", "tanh_table"]

INPUT_FRACTION_BITS = 27  # Q4.27
LOGISTIC_OUTPUT_BITS = 8
"""The output of LOGISTIC has scale 2**-8 and zero point -128."""
TANH_OUTPUT_BITS = 7
"""The output of TANH has scale 2**-7 and zero point 0."""


def logistic(a: IntArray) -> IntArray:
    """``1 / (1 + exp(-a))`` as Q0.31 for Q4.27 ``a``."""
    above = saturate(
        reciprocal_of_one_plus(exp_on_negative_values(-np.abs(a), INPUT_FRACTION_BITS)) << 1, 32
    )
    result = np.where(a > 0, above, INT32_MAX - above)
    return np.where(a == 0, 1 << 30, result)


def tanh(a: IntArray) -> IntArray:
    """``tanh(a)`` as Q0.31 for Q4.27 ``a``: ``(1 - x) / (1 + x)`` with ``x = exp(-2 |a|)``."""
    # Twice a Q4.27 number is the same integer as Q5.26.
    x = exp_on_negative_values(-np.abs(a), INPUT_FRACTION_BITS - 1)
    magnitude = saturate((reciprocal_of_one_plus(x) - ONE_Q2_29) << 2, 32)
    return np.where(a == 0, 0, np.sign(a) * magnitude)


def _arguments(
    *, zero_point: int, multiplier: int, shift: int, radius: int
) -> tuple[IntArray, IntArray]:
    """For every int8 value by its byte: its sign if it is ``radius`` or more away, and its Q4.27.

    The sign is 0 for the others; the argument of those with a sign means nothing.
    """
    centred = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.int64) - zero_point
    # With radius 0 the value 0 is on both sides, and TFLite asks for the lower one first.
    beyond = np.where(centred <= -radius, -1, np.where(centred >= radius, 1, 0))
    inside = np.where(beyond == 0, centred, 0)
    return beyond, multiply_by_quantized_multiplier(inside, multiplier, shift)


def _table(beyond: IntArray, real: IntArray, bits: int, output_zero_point: int) -> NDArray[np.int8]:
    """Round Q0.31 results to ``bits`` bits; saturate beyond the radius."""
    rounded = rounding_divide_by_pot(real, 31 - bits) + output_zero_point
    result = np.where(beyond < 0, -128, np.where(beyond > 0, 127, rounded))
    return np.clip(result, -128, 127).astype(np.int8)


def logistic_table(
    *, zero_point: int, multiplier: int, shift: int, radius: int
) -> NDArray[np.int8]:
    """Results of LOGISTIC by ``x & 0xFF``, with output scale 1/256 and zero point -128.

    Parameters
    ----------
    zero_point : int
        Of the input.
    multiplier, shift : int
        Q0.31 and a left shift, 0 to 31: from an input less its zero point to Q4.27.
    radius : int
        Inputs this far from the zero point, or farther, saturate.
    """
    beyond, argument = _arguments(
        zero_point=zero_point, multiplier=multiplier, shift=shift, radius=radius
    )
    return _table(beyond, logistic(argument), LOGISTIC_OUTPUT_BITS, -128)


def tanh_table(*, zero_point: int, multiplier: int, shift: int, radius: int) -> NDArray[np.int8]:
    """Results of TANH by ``x & 0xFF``, with output scale 1/128 and zero point 0.

    The parameters are those of `logistic_table`.
    """
    beyond, argument = _arguments(
        zero_point=zero_point, multiplier=multiplier, shift=shift, radius=radius
    )
    return _table(beyond, tanh(argument), TANH_OUTPUT_BITS, 0)
