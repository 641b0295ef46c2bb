"""Element-wise operators on int8 and int16 activations, and PAD.

Operands broadcast as NumPy's do.  ``dtype`` is that of the result, `numpy.int8` or `numpy.int16`;
``minimum`` and ``maximum``, the range that a fused activation leaves, lie within it.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.engine.requantization import Activation, clamp_to
from models.fixedpoint import IntArray, multiply_by_quantized_multiplier, wrap

__all__ = ["add", "combine", "look_up", "multiply", "pad", "rescale"]

Pair = tuple[int, int]
Pixels = NDArray[Any]


def _centre(x: Pixels, zero_point: int) -> IntArray:
    """Subtract the zero point."""
    return x.astype(np.int64) - zero_point


def _rescale_operand(
    x: Pixels, zero_point: int, multiplier: int, shift: int, left_shift: int
) -> IntArray:
    """Bring one operand to the common scale of both, ``left_shift`` bits up."""
    return multiply_by_quantized_multiplier(_centre(x, zero_point) << left_shift, multiplier, shift)


def add(
    a: Pixels,
    b: Pixels,
    *,
    subtract: bool = False,
    input_zero_points: Pair,
    input_multipliers: Pair,
    input_shifts: Pair,
    left_shift: int,
    multiplier: int,
    shift: int,
    output_zero_point: int,
    minimum: int,
    maximum: int,
    dtype: Activation = np.int8,
) -> Pixels:
    """Add two tensors that each have a scale of their own, or subtract the second one.

    With ``left_shift = 20`` an int8 operand is at most 255 * 2**20 < 2**28, with 15 an int16 one
    without zero point at most 2**30; its scale is at most 1/2, so the sum of both stays below
    2**31: nothing overflows ``int32``.

    Parameters
    ----------
    a, b : int8 or int16
        Shapes that broadcast.
    subtract : bool
        ``a - b``: both operands are rescaled, and then subtracted.
    input_zero_points, input_multipliers, input_shifts : (int, int)
        One entry per operand; shifts are exponents <= 0.
    left_shift : int
        Bits by which both operands are widened first.
    multiplier, shift : int
        From the common scale to the output's; ``shift <= 0``.
    output_zero_point, minimum, maximum, dtype
        Of the output.
    """
    first, second = (
        _rescale_operand(x, zero_point, input_multiplier, input_shift, left_shift)
        for x, zero_point, input_multiplier, input_shift in zip(
            (a, b), input_zero_points, input_multipliers, input_shifts, strict=True
        )
    )
    raw_sum = first - second if subtract else first + second
    output = multiply_by_quantized_multiplier(raw_sum, multiplier, shift) + output_zero_point
    return clamp_to(dtype, output, minimum, maximum)


def multiply(
    a: Pixels,
    b: Pixels,
    *,
    input_zero_points: Pair,
    multiplier: int,
    shift: int,
    output_zero_point: int,
    minimum: int,
    maximum: int,
    dtype: Activation = np.int8,
) -> Pixels:
    """Multiply two tensors and rescale the products, which have at most 31 bits.

    Parameters are as in `add`; ``shift`` may be positive, and the product then wraps.
    """
    product = _centre(a, input_zero_points[0]) * _centre(b, input_zero_points[1])
    output = wrap(multiply_by_quantized_multiplier(product, multiplier, shift) + output_zero_point)
    return clamp_to(dtype, output, minimum, maximum)


def combine(
    a: Pixels,
    b: Pixels,
    *,
    kind: Literal["sum", "difference", "maximum", "minimum"],
    input_zero_points: Pair,
    output_zero_point: int,
    minimum: int,
    maximum: int,
    dtype: Activation = np.int8,
) -> Pixels:
    """Combine two tensors of one scale: nothing is rescaled.  Parameters are as in `add`."""
    functions = {
        "sum": np.add,
        "difference": np.subtract,
        "maximum": np.maximum,
        "minimum": np.minimum,
    }
    centred = (_centre(x, zero) for x, zero in zip((a, b), input_zero_points, strict=True))
    return clamp_to(dtype, functions[kind](*centred) + output_zero_point, minimum, maximum)


def rescale(
    x: Pixels,
    *,
    input_zero_point: int,
    multiplier: int,
    shift: int,
    output_zero_point: int,
    minimum: int,
    maximum: int,
    negative: Pair | None = None,
    alpha: NDArray[np.int16] | None = None,
    dtype: Activation = np.int8,
) -> Pixels:
    """Change scale and zero point; values below the zero point perhaps otherwise.

    Parameters
    ----------
    x : int8 or int16
        ``(..., C)``.
    input_zero_point : int
        Of ``x``.
    multiplier, shift : int
        From the input's scale to the output's.
    output_zero_point, minimum, maximum, dtype
        Of the output.
    negative : (int, int), optional
        Multiplier and shift of the values below the zero point.
    alpha : int16, optional
        ``(C,)``: negative values of each channel are multiplied by it first; 9 bits and a sign.
    """
    centred = _centre(x, input_zero_point)
    scaled = multiply_by_quantized_multiplier(centred, multiplier, shift)
    if negative is not None:
        sloped = centred if alpha is None else centred * alpha.astype(np.int64)
        below = multiply_by_quantized_multiplier(sloped, *negative)
        scaled = np.where(centred >= 0, scaled, below)
    return clamp_to(dtype, wrap(scaled + output_zero_point), minimum, maximum)


def look_up(x: NDArray[np.int8], table: NDArray[np.int8]) -> NDArray[np.int8]:
    """Entry ``x & 0xFF`` of a table of 256 for every element."""
    return table[x.view(np.uint8)]


def pad(x: Pixels, padding: tuple[Pair, ...], zero_point: int) -> Pixels:
    """Surround ``x`` with ``zero_point``: ``padding`` is (before, after) for each dimension."""
    if len(padding) != x.ndim:
        raise ValueError(f"padding must have {x.ndim} pairs, one a dimension, not {len(padding)}")
    return np.pad(x, padding, constant_values=zero_point)
