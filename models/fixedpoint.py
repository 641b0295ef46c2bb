"""Bit-exact integer arithmetic shared by every golden model.

Inputs are integer arrays or scalars, results are ``int64`` arrays.  No function uses floating
point, so a model gives the same bits on every machine and the hardware has to match it exactly:
tests compare with ``==``, never with a tolerance.

The names are those of gemmlowp and TensorFlow Lite, whose ``int32`` arithmetic these functions
reproduce; `docs/numerics.md` derives them.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "IntArray",
    "multiply_and_round_once",
    "multiply_by_quantized_multiplier",
    "multiply_by_reduced_multiplier",
    "reduce_multiplier",
    "rounding_divide_by_pot",
    "rounding_half_sum",
    "saturate",
    "saturating_rounding_doubling_high_mul",
    "wrap",
]

IntArray = NDArray[np.int64]

INT32_MAX = (1 << 31) - 1
MAX_SHIFT = 31
MAX_SINGLE_SHIFT = 7
MAX_EXPONENT = 62
WIDE_BITS = 48
REDUCED_MAX = (1 << 15) - 1


def saturate(value: ArrayLike, bits: int) -> IntArray:
    """Clamp to the range of a signed ``bits``-wide integer."""
    limit = 1 << (bits - 1)
    return np.clip(np.asarray(value, dtype=np.int64), -limit, limit - 1)


def wrap(value: ArrayLike, bits: int = 32) -> IntArray:
    """Reduce modulo ``2**bits`` to a signed ``bits``-wide integer, as two's complement adders do.

    The sum or product passed in must itself fit ``int64``.
    """
    half = 1 << (bits - 1)
    return ((np.asarray(value, dtype=np.int64) + half) & ((1 << bits) - 1)) - half


def saturating_rounding_doubling_high_mul(a: ArrayLike, b: ArrayLike) -> IntArray:
    """Multiply two ``int32`` and keep the high half of twice the product, rounding ties up.

    ``floor((a * b + 2**30) / 2**31)``: the product of two Q0.31 numbers as Q0.31.  Only
    ``a == b == -2**31`` leaves the range of ``int32``; it saturates to ``2**31 - 1``.  The product
    is at most 2**62, so ``int64`` holds it.
    """
    product = np.asarray(a, dtype=np.int64) * np.asarray(b, dtype=np.int64)
    return np.minimum((product + (1 << 30)) >> 31, INT32_MAX)


def rounding_divide_by_pot(x: ArrayLike, exponent: ArrayLike) -> IntArray:
    """Divide ``int32`` by the power of two ``2**exponent``, rounding ties away from zero.

    ``exponent`` is 0 to 62; TensorFlow Lite stays below 32.
    """
    x = np.asarray(x, dtype=np.int64)
    exponent = np.asarray(exponent, dtype=np.int64)
    if np.any((exponent < 0) | (exponent > MAX_EXPONENT)):
        raise ValueError(f"exponent must be in 0..{MAX_EXPONENT}, not {exponent}")
    one = np.int64(1)
    remainder = x & ((one << exponent) - 1)
    half = (one << exponent) >> 1  # 0 for exponent 0, where the remainder is 0 too
    # A negative tie must go down, that is, stay at the floor.
    round_up = (remainder > half) | ((remainder == half) & (x >= 0) & (exponent > 0))
    return (x >> exponent) + round_up


def multiply_by_quantized_multiplier(
    x: ArrayLike, multiplier: ArrayLike, shift: ArrayLike
) -> IntArray:
    """Scale ``int32`` by ``multiplier * 2**(shift - 31)``, rounding twice.

    Parameters
    ----------
    x : array_like
        ``int32`` values.
    multiplier : array_like
        Q0.31, 0 or 2**30 to 2**31 - 1.
    shift : array_like
        -31 to 31.  Positive: ``x`` is shifted left first and wraps in ``int32``.  Negative: the
        product is shifted right, the second rounding.

    Returns
    -------
    IntArray
        ``int32`` values; the three arguments broadcast.
    """
    shift = np.asarray(shift, dtype=np.int64)
    if np.any(np.abs(shift) > MAX_SHIFT):
        raise ValueError(f"shift must be in -{MAX_SHIFT}..{MAX_SHIFT}, not {shift}")
    shifted = wrap(np.asarray(x, dtype=np.int64) << np.maximum(shift, 0))
    product = saturating_rounding_doubling_high_mul(shifted, multiplier)
    return rounding_divide_by_pot(product, np.maximum(-shift, 0))


def reduce_multiplier(multiplier: ArrayLike) -> IntArray:
    """Round a Q0.31 multiplier to Q0.15, saturating: 0, or 2**14 to 2**15 - 1 if normalised.

    TensorFlow Lite takes fifteen bits where the accumulator has 48, so that the product fits 64.
    """
    return np.minimum((np.asarray(multiplier, dtype=np.int64) + (1 << 15)) >> 16, REDUCED_MAX)


def multiply_and_round_once(x: ArrayLike, reduced: ArrayLike, shift: ArrayLike) -> IntArray:
    """Scale a wide integer by ``reduced * 2**(shift - 15)``, rounding once, ties up.

    Parameters
    ----------
    x : array_like
        Signed 48-bit values.
    reduced : array_like
        Q0.15, see `reduce_multiplier`.
    shift : array_like
        -31 to 7.

    Returns
    -------
    IntArray
        The low 32 bits of the quotient, signed; the three arguments broadcast.
    """
    x, shift = np.asarray(x, dtype=np.int64), np.asarray(shift, dtype=np.int64)
    if np.any((shift < -MAX_SHIFT) | (shift > MAX_SINGLE_SHIFT)):
        raise ValueError(f"shift must be in -{MAX_SHIFT}..{MAX_SINGLE_SHIFT}, not {shift}")
    if np.any(wrap(x, WIDE_BITS) != x):
        raise ValueError(f"x must fit {WIDE_BITS} bits, and {x} does not")
    product = x * np.asarray(reduced, dtype=np.int64)
    one = np.int64(1)
    return wrap((product + (one << (14 - shift))) >> (15 - shift))


def multiply_by_reduced_multiplier(
    x: ArrayLike, multiplier: ArrayLike, shift: ArrayLike
) -> IntArray:
    """Scale 48-bit integers by ``multiplier * 2**(shift - 31)``, as operators on int16 do.

    TensorFlow Lite's ``MultiplyByQuantizedMultiplier(int64_t, ...)``: `multiply_and_round_once` by
    the Q0.31 ``multiplier`` reduced to fifteen bits.
    """
    return multiply_and_round_once(x, reduce_multiplier(multiplier), shift)


def rounding_half_sum(a: ArrayLike, b: ArrayLike) -> IntArray:
    """``(a + b) / 2``, rounding ties away from zero."""
    return rounding_divide_by_pot(np.asarray(a, dtype=np.int64) + np.asarray(b, np.int64), 1)
