"""Layers: what legalisation makes of a graph, integers only.

A layer names its input and output tensors and holds every integer that its arithmetic needs, so
that the golden executor and the code generator read the same numbers.  Pixels are NHWC with N = 1;
shapes here leave N away: ``(H, W, C)``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Add",
    "Conv",
    "Layer",
    "Pad",
    "Padding",
    "Pool",
    "Requantization",
    "Reshape",
    "Softmax",
    "TransposeConv",
]

Padding = tuple[tuple[int, int], tuple[int, int]]
"""``((top, bottom), (left, right))`` in pixels."""


@dataclass(frozen=True, kw_only=True)
class Requantization:
    """Accumulator to int8: ``clamp(rescale(acc + bias, multiplier, shift) + zero_point)``.

    ``multiplier`` is Q0.31, ``shift`` is TFLite's exponent (positive: left), one entry an output
    channel; see `models.fixedpoint.multiply_by_quantized_multiplier`.
    """

    multiplier: NDArray[np.int32]
    shift: NDArray[np.int32]
    zero_point: int
    minimum: int
    maximum: int


@dataclass(frozen=True, kw_only=True)
class Conv:
    """CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED.

    A fully connected layer is a 1x1 convolution, or one as large as its input.

    ``weights``: ``(Cout, kh, kw, Cin)``; depthwise: ``(C * multiplier, kh, kw, 1)``, where output
    channel ``o`` reads input channel ``o // multiplier``.
    """

    name: str
    op: str
    input: str
    output: str
    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: Padding
    depthwise: bool
    input_zero_point: int
    requantization: Requantization


@dataclass(frozen=True, kw_only=True)
class TransposeConv:
    """TRANSPOSE_CONV: input pixel ``(y, x)`` adds to outputs from ``(y, x) * stride - before`` on.

    ``weights``: ``(Cout, kh, kw, Cin)``, not mirrored; ``before``: what is cut off at the top and
    at the left.
    """

    name: str
    op: str
    input: str
    output: str
    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    stride: tuple[int, int]
    before: tuple[int, int]
    input_zero_point: int
    requantization: Requantization


@dataclass(frozen=True, kw_only=True)
class Add:
    """ADD of two tensors of equal shape, TFLite's three scales; shifts are exponents <= 0.

    ``left_shift`` (20) widens both operands before they are rescaled.
    """

    name: str
    op: str
    inputs: tuple[str, str]
    output: str
    input_zero_points: tuple[int, int]
    input_multipliers: tuple[int, int]
    input_shifts: tuple[int, int]
    left_shift: int
    requantization: Requantization  # one entry: the sum to the output


@dataclass(frozen=True, kw_only=True)
class Pool:
    """AVERAGE_POOL_2D or MAX_POOL_2D: padding counts neither in the mean nor in the maximum."""

    name: str
    op: str
    input: str
    output: str
    kind: str  # "average" or "max"
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding
    minimum: int
    maximum: int


@dataclass(frozen=True, kw_only=True)
class Pad:
    """PAD with the zero point, in height, width and channels."""

    name: str
    op: str
    input: str
    output: str
    padding: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    zero_point: int


@dataclass(frozen=True, kw_only=True)
class Reshape:
    """RESHAPE: the same bytes in NHWC order under another shape."""

    name: str
    op: str
    input: str
    output: str


@dataclass(frozen=True, kw_only=True)
class Softmax:
    """SOFTMAX over the last dimension, int8 to int8 with scale 1/256 and zero point -128.

    ``beta_multiplier`` (Q0.31) and ``beta_shift`` (left) scale differences to Q5.26;
    ``minimum_difference`` is the smallest difference to the maximum that still counts.
    """

    name: str
    op: str
    input: str
    output: str
    beta_multiplier: int
    beta_shift: int
    minimum_difference: int


Layer = Conv | TransposeConv | Add | Pool | Pad | Reshape | Softmax
