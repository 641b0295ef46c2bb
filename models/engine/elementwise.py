"""ADD and PAD."""

import numpy as np
from numpy.typing import NDArray

from models.engine.requantization import clamp_to_int8
from models.fixedpoint import IntArray, multiply_by_quantized_multiplier

__all__ = ["add", "pad"]

Pair = tuple[int, int]


def _rescale_operand(
    x: NDArray[np.int8], zero_point: int, multiplier: int, shift: int, left_shift: int
) -> IntArray:
    """Bring one operand to the common scale of both, ``left_shift`` bits up."""
    centred = x.astype(np.int64) - zero_point
    return multiply_by_quantized_multiplier(centred << left_shift, multiplier, shift)


def add(
    a: NDArray[np.int8],
    b: NDArray[np.int8],
    *,
    input_zero_points: Pair,
    input_multipliers: Pair,
    input_shifts: Pair,
    left_shift: int,
    multiplier: int,
    shift: int,
    output_zero_point: int,
    minimum: int,
    maximum: int,
) -> NDArray[np.int8]:
    """Add two tensors that each have a scale of their own.

    With ``left_shift = 20`` an operand is at most 255 * 2**20 < 2**28; its scale is at most 1/2, so
    the sum of both stays below 2**28: nothing overflows ``int32``.

    Parameters
    ----------
    a, b : int8
        Equal shapes, or shapes that broadcast.
    input_zero_points, input_multipliers, input_shifts : (int, int)
        One entry per operand; shifts are exponents <= 0.
    left_shift : int
        Bits by which both operands are widened first.
    multiplier, shift : int
        From the common scale to the output's; ``shift <= 0``.
    output_zero_point, minimum, maximum : int
        Of the output, -128 to 127; the range is that of the fused activation.
    """
    first, second = (
        _rescale_operand(x, zero_point, input_multiplier, input_shift, left_shift)
        for x, zero_point, input_multiplier, input_shift in zip(
            (a, b), input_zero_points, input_multipliers, input_shifts, strict=True
        )
    )
    raw_sum = first + second
    output = multiply_by_quantized_multiplier(raw_sum, multiplier, shift) + output_zero_point
    return clamp_to_int8(output, minimum, maximum)


def pad(x: NDArray[np.int8], padding: tuple[Pair, ...], zero_point: int) -> NDArray[np.int8]:
    """Surround ``x`` with ``zero_point``: ``padding`` is (before, after) for each dimension."""
    if len(padding) != x.ndim:
        raise ValueError(f"padding must have {x.ndim} pairs, one a dimension, not {len(padding)}")
    return np.pad(x, padding, constant_values=zero_point)
