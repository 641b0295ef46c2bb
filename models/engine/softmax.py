"""SOFTMAX, int8 to int8: exponentials from a table of 256, one reciprocal per row.

The constants and their names are gemmlowp's, ``fixedpoint/fixedpoint.h``.  ``Qm.n`` is an
``int32`` with ``m`` integer and ``n`` fraction bits.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.fixedpoint import (
    INT32_MAX,
    MAX_SHIFT,
    IntArray,
    rounding_divide_by_pot,
    rounding_half_sum,
    saturate,
    wrap,
)
from models.fixedpoint import saturating_rounding_doubling_high_mul as high_mul

__all__ = ["softmax", "softmax_exponentials", "softmax_reciprocal"]

SCALED_DIFFERENCE_FRACTION_BITS = 26  # Q5.26
ACCUMULATION_INTEGER_BITS = 12  # Q12.19
OUTPUT_BITS = 8
MAX_LENGTH = 1 << ACCUMULATION_INTEGER_BITS

EXP_MINUS_ONE_EIGHTH = 1895147668  # Q0.31
ONE_THIRD = 715827883  # Q0.31
EXP_OF_MINUS_POWER_OF_TWO = {
    -2: 1672461947,
    -1: 1302514674,
    0: 790015084,
    1: 290630308,
    2: 39332535,
    3: 720401,
    4: 242,
}
"""``exp(-2**exponent)`` as Q0.31."""

FORTY_EIGHT_SEVENTEENTHS = 1515870810  # Q2.29
MINUS_THIRTY_TWO_SEVENTEENTHS = -1010580540  # Q2.29
ONE_Q2_29 = 1 << 29


def _exp_on_minus_quarter_to_zero(a: IntArray) -> IntArray:
    """``exp(a)`` for Q0.31 ``a`` in [-1/4, 0): Taylor series around -1/8 up to the fourth power."""
    x = a + (1 << 28)
    x2 = high_mul(x, x)
    x3 = high_mul(x2, x)
    x4 = high_mul(x2, x2)
    cubic_and_quartic = high_mul(rounding_divide_by_pot(x4, 2) + x3, ONE_THIRD)
    higher_terms = rounding_divide_by_pot(cubic_and_quartic + x2, 1)
    return EXP_MINUS_ONE_EIGHTH + high_mul(EXP_MINUS_ONE_EIGHTH, x + higher_terms)


def exp_on_negative_values(
    a: ArrayLike, fraction_bits: int = SCALED_DIFFERENCE_FRACTION_BITS
) -> IntArray:
    """``exp(a)`` as Q0.31 for ``a <= 0`` with ``fraction_bits``: Q5.26, or Q4.27."""
    a = np.asarray(a, dtype=np.int64)
    quarter = 1 << (fraction_bits - 2)
    # The part in [-1/4, 0), by the series; the rest is a multiple of 1/4, one factor per bit.
    fine = (a & (quarter - 1)) - quarter
    result = _exp_on_minus_quarter_to_zero(fine << (31 - fraction_bits))
    remainder = fine - a
    for exponent, factor in EXP_OF_MINUS_POWER_OF_TWO.items():
        bit = 1 << (fraction_bits + exponent)
        result = np.where(remainder & bit, high_mul(result, factor), result)
    return np.where(a == 0, INT32_MAX, result)


def softmax_exponentials(
    *, beta_multiplier: int, beta_shift: int, minimum_difference: int
) -> IntArray:
    """Exponentials of every difference to the row's maximum, as raw Q0.31.

    Entry ``d`` (0 to 255) belongs to the difference ``-d``; it is 0 below ``minimum_difference``.

    Parameters
    ----------
    beta_multiplier, beta_shift : int
        Q0.31 and a left shift, 0 to 31: they scale a difference to Q5.26.
    minimum_difference : int
        Smallest (most negative) difference that still fits Q5.26.
    """
    if not 0 <= beta_shift <= MAX_SHIFT:
        raise ValueError(f"beta_shift must be in 0..{MAX_SHIFT}, not {beta_shift}")
    differences = -np.arange(256, dtype=np.int64)
    scaled = high_mul(wrap(differences << beta_shift), beta_multiplier)
    return np.where(differences >= minimum_difference, exp_on_negative_values(scaled), 0)


def reciprocal_of_one_plus(fraction: ArrayLike) -> IntArray:
    """``2 / (1 + fraction)`` as Q2.29 for Q0.31 ``fraction``, by three Newton-Raphson steps."""
    half_denominator = rounding_half_sum(fraction, INT32_MAX)
    x = FORTY_EIGHT_SEVENTEENTHS + high_mul(half_denominator, MINUS_THIRTY_TWO_SEVENTEENTHS)
    for _ in range(3):
        error = ONE_Q2_29 - high_mul(half_denominator, x)
        # Q4.27 back to Q2.29; below 1/5 in magnitude, so gemmlowp's saturation cannot happen.
        x = x + (high_mul(x, error) << 2)
    return x


def softmax_reciprocal(sum_of_exponentials: ArrayLike) -> tuple[IntArray, IntArray]:
    """Reciprocal of a sum of exponentials in Q12.19, 1 to 2**32 - 1.

    Returns ``(scale, bits_over_unit)``: with ``sum = u * 2**bits_over_unit`` and ``u`` in [1, 2),
    ``scale`` is ``1 / u`` as Q0.31.
    """
    total = np.asarray(sum_of_exponentials, dtype=np.int64)
    if np.any((total < 1) | (total >= 1 << 32)):
        raise ValueError(f"sum_of_exponentials must be in 1..2**32-1, not {total}")
    # float64 holds 32-bit integers exactly, and frexp's exponent is then the bit length.
    leading_zeros = 32 - np.frexp(total.astype(np.float64))[1].astype(np.int64)
    fraction = (total << leading_zeros) - (1 << 31)
    scale = saturate(reciprocal_of_one_plus(fraction) << 1, 32)
    return scale, ACCUMULATION_INTEGER_BITS - leading_zeros


def softmax(
    x: NDArray[np.int8], *, beta_multiplier: int, beta_shift: int, minimum_difference: int
) -> NDArray[np.int8]:
    """Softmax over the last axis, int8 to int8 with output scale 1/256 and zero point -128.

    The parameters are those of `softmax_exponentials`.  The Q12.19 sum of ``N`` exponentials is at
    most ``N * 2**19``; ``ValueError`` if the last axis exceeds 4096, where it would leave 32 bits.
    """
    if x.shape[-1] > MAX_LENGTH:
        raise ValueError(f"softmax takes at most {MAX_LENGTH} values, not {x.shape[-1]}")
    table = softmax_exponentials(
        beta_multiplier=beta_multiplier,
        beta_shift=beta_shift,
        minimum_difference=minimum_difference,
    )
    values = np.asarray(x, dtype=np.int64)
    exponentials = table[values.max(axis=-1, keepdims=True) - values]
    addends = rounding_divide_by_pot(exponentials, ACCUMULATION_INTEGER_BITS)
    scale, bits_over_unit = softmax_reciprocal(addends.sum(axis=-1, keepdims=True))
    quotient = rounding_divide_by_pot(
        high_mul(scale, exponentials), bits_over_unit + 31 - OUTPUT_BITS
    )
    return np.clip(quotient - 128, -128, 127).astype(np.int8)
