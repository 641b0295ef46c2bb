"""Accumulators to activations: the last step of every operator that multiplies."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.fixedpoint import multiply_by_quantized_multiplier, wrap

__all__ = ["clamp_to_int8", "requantize"]


INT8 = np.iinfo(np.int8)


def clamp_to_int8(values: ArrayLike, minimum: int, maximum: int) -> NDArray[np.int8]:
    """Clamp to ``minimum .. maximum``, the int8 range that the fused activation leaves."""
    if not INT8.min <= minimum <= maximum <= INT8.max:
        raise ValueError(
            f"minimum and maximum must be ordered and in -128..127, not {minimum} and {maximum}"
        )
    return np.clip(values, minimum, maximum).astype(np.int8)


def requantize(
    accumulators: ArrayLike,
    *,
    bias: ArrayLike,
    multiplier: ArrayLike,
    shift: ArrayLike,
    zero_point: int,
    minimum: int,
    maximum: int,
) -> NDArray[np.int8]:
    """Convert accumulators to int8 activations.

    ``clamp(rescale(acc + bias, multiplier, shift) + zero_point, minimum, maximum)``.  Both sums
    wrap in ``int32``.

    Parameters
    ----------
    accumulators : array_like
        Sums of products, ``(..., C)``, already reduced to ``int32``.
    bias : array_like
        ``int32``, one or ``C`` of them.
    multiplier, shift : array_like
        Output scale, one or ``C`` pairs; see `multiply_by_quantized_multiplier`.
    zero_point : int
        Of the output.
    minimum, maximum : int
        Range of the fused activation, within -128 to 127.
    """
    total = wrap(np.asarray(accumulators, dtype=np.int64) + np.asarray(bias, dtype=np.int64))
    scaled = multiply_by_quantized_multiplier(total, multiplier, shift)
    return clamp_to_int8(wrap(scaled + zero_point), minimum, maximum)
