"""Real scales to the integers of TensorFlow Lite Micro, bit by bit as its Prepare functions do.

Floating point ends here: what legalisation takes from these functions is integers only.  Widths
matter, since TFLM multiplies some scales as float32 and others as double; every function names its
source in ``tensorflow/lite/kernels``.
"""

import math

import numpy as np

from mmsp.errors import InputError

__all__ = [
    "activation_range",
    "input_radius",
    "quantize_multiplier",
    "quantize_multiplier_smaller_than_one",
    "softmax_scaling",
]

Q31_ONE = 1 << 31
SMALLEST_SHIFT = -31
LARGEST_SHIFT = 30
INT8 = np.dtype(np.int8)

SOFTMAX_INTEGER_BITS = 5
"""Integer bits of a scaled difference in softmax (``kScaledDiffIntegerBits``): Q5.26."""

ACTIVATION_LIMITS: dict[str, tuple[float | None, float | None]] = {
    "NONE": (None, None),
    "RELU": (0.0, None),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}
"""Real limits of every fused activation."""


def round_half_away(value: float) -> int:
    """Round to the nearest integer, halves away from zero, as ``std::round`` does."""
    # Exact: a double below 2**52 in magnitude has a fraction that floor and subtraction keep.
    magnitude = math.floor(abs(value))
    magnitude += abs(value) - magnitude >= 0.5  # noqa: PLR2004  # the half of the definition
    return -magnitude if value < 0 else magnitude


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Return ``(multiplier, shift)`` with ``real`` = ``multiplier / 2**31 * 2**shift``.

    ``QuantizeMultiplier`` of ``internal/quantization_util.cc``: the multiplier is Q0.31 in
    2**30..2**31 - 1, or 0 when ``real`` is 0 or so small that the shift would be below -31.

    Raises
    ------
    InputError
        When ``real`` is negative, not finite, or 2**30 or more.
    """
    if not (math.isfinite(real) and real >= 0):
        raise InputError(f"a scale ratio is {real!r}, and it must be finite and not negative")
    fraction, shift = math.frexp(real)
    multiplier = round_half_away(fraction * Q31_ONE)
    if multiplier == Q31_ONE:
        multiplier //= 2
        shift += 1
    if multiplier == 0 or shift < SMALLEST_SHIFT:
        return 0, 0
    if shift > LARGEST_SHIFT:
        raise InputError(f"a scale ratio is {real!r}, and it must be below 2**{LARGEST_SHIFT}")
    return multiplier, shift


def quantize_multiplier_smaller_than_one(real: float) -> tuple[int, int]:
    """As `quantize_multiplier` for ``0 < real < 1``: the shift is never positive.

    ``QuantizeMultiplierSmallerThanOneExp`` of ``internal/quantization_util.cc``.
    """
    if not 0 < real < 1:
        raise InputError(f"a scale ratio is {real!r}, and it must be above 0 and below 1")
    multiplier, shift = quantize_multiplier(real)
    if shift > 0:
        raise InputError(f"a scale ratio is {real!r}, which rounds to 1")
    return multiplier, shift


def activation_range(
    activation: str, scale: float, zero_point: int, dtype: np.dtype = INT8
) -> tuple[int, int]:
    """Smallest and largest output of type ``dtype``, int8 or int16, under a fused activation.

    ``CalculateActivationRangeQuantized`` of ``kernel_util.cc``: the limits are quantised in
    float32.

    Raises
    ------
    InputError
        When the activation is not one of `ACTIVATION_LIMITS`.
    """
    if activation not in ACTIVATION_LIMITS:
        supported = ", ".join(ACTIVATION_LIMITS)
        raise InputError(f"activation {activation} is not supported: it must be one of {supported}")

    def quantize(real: float) -> int:
        with np.errstate(over="ignore"):
            steps = float(np.float32(real) / np.float32(scale))
        if abs(steps) >= Q31_ONE:
            raise InputError(f"scale {scale!r} is too small: {real} is not within 2**31 steps of 0")
        return zero_point + round_half_away(steps)

    low, high = ACTIVATION_LIMITS[activation]
    limits = np.iinfo(dtype)
    minimum, maximum = int(limits.min), int(limits.max)
    minimum = minimum if low is None else max(minimum, quantize(low))
    maximum = maximum if high is None else min(maximum, quantize(high))
    return minimum, maximum


def input_radius(integer_bits: int, left_shift: int) -> int:
    """``CalculateInputRadius``: the largest difference that still fits after the left shift."""
    return (((1 << integer_bits) - 1) << (31 - integer_bits)) >> left_shift


def softmax_scaling(beta: float, input_scale: float) -> tuple[int, int, int]:
    """Return ``(multiplier, left_shift, minimum_difference)`` of an int8 softmax.

    ``PreprocessSoftmaxScaling`` of ``internal/quantization_util.cc`` and
    ``CalculateSoftmaxParams`` of TFLM's ``softmax_common.cc``.

    Raises
    ------
    InputError
        When ``beta * input_scale`` is 2**-26 or less, which TFLM cannot scale.
    """
    real = min(beta * input_scale * (1 << (31 - SOFTMAX_INTEGER_BITS)), Q31_ONE - 1.0)
    if not real > 1:
        raise InputError(
            f"beta {beta!r} times input scale {input_scale!r} must be above 2**-26 for softmax"
        )
    fraction, left_shift = math.frexp(real)
    multiplier = round_half_away(fraction * Q31_ONE)
    if multiplier == Q31_ONE:
        multiplier //= 2
        left_shift += 1
    return multiplier, left_shift, -input_radius(SOFTMAX_INTEGER_BITS, left_shift)
