"""Accumulators to activations: the last step of every operator that multiplies."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.fixedpoint import (
    multiply_by_quantized_multiplier,
    multiply_by_reduced_multiplier,
    wrap,
)

__all__ = ["clamp_to", "clamp_to_int8", "requantize"]

Activation = type[np.int8] | type[np.int16]


def clamp_to(dtype: Activation, values: ArrayLike, minimum: int, maximum: int) -> NDArray[Any]:
    """Clamp to ``minimum .. maximum``, the range of ``dtype`` that the fused activation leaves.

    ``dtype`` is int8 or int16.
    """
    limits = np.iinfo(dtype)
    if not limits.min <= minimum <= maximum <= limits.max:
        raise ValueError(
            f"minimum and maximum must be ordered and in {limits.min}..{limits.max}, "
            f"not {minimum} and {maximum}"
        )
    return np.clip(values, minimum, maximum).astype(dtype)


def clamp_to_int8(values: ArrayLike, minimum: int, maximum: int) -> NDArray[np.int8]:
    """`clamp_to` int8."""
    return clamp_to(np.int8, values, minimum, maximum)


def requantize(
    accumulators: ArrayLike,
    *,
    bias: ArrayLike,
    multiplier: ArrayLike,
    shift: ArrayLike,
    zero_point: int,
    minimum: int,
    maximum: int,
    dtype: Activation = np.int8,
    single_rounding: bool = False,
) -> NDArray[Any]:
    """Convert accumulators to activations.

    ``clamp(rescale(acc + bias, multiplier, shift) + zero_point, minimum, maximum)``.  Both sums
    wrap in ``int32``; with ``single_rounding``, the first one does not.

    Parameters
    ----------
    accumulators : array_like
        Sums of products, ``(..., C)``, already reduced to ``int32``; 47 bits and a sign with
        ``single_rounding``.
    bias : array_like
        ``int32``, one or ``C`` of them.
    multiplier, shift : array_like
        Output scale, one or ``C`` pairs; see `multiply_by_quantized_multiplier`.
    zero_point : int
        Of the output.
    minimum, maximum : int
        Range of the fused activation, within that of ``dtype``.
    dtype : type
        Of the output: `numpy.int8` or `numpy.int16`.
    single_rounding : bool
        Rescale with `multiply_by_reduced_multiplier`, as operators on int16 activations do.
    """
    total = np.asarray(accumulators, dtype=np.int64) + np.asarray(bias, dtype=np.int64)
    if single_rounding:
        scaled = multiply_by_reduced_multiplier(total, multiplier, shift)
    else:
        scaled = multiply_by_quantized_multiplier(wrap(total), multiplier, shift)
    return clamp_to(dtype, wrap(scaled + zero_point), minimum, maximum)
