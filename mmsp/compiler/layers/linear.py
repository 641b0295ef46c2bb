"""Layers with weights."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmsp.compiler.layers.base import Padding, Requantization, Unary

__all__ = ["Conv", "TransposeConv"]


@dataclass(frozen=True, kw_only=True)
class Conv(Unary):
    """CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED, on int8 or int16 activations.

    A fully connected layer is a 1x1 convolution, or one as large as its input.

    ``weights``: ``(Cout, kh, kw, Cin)``; depthwise: ``(C * multiplier, kh, kw, 1)``, where output
    channel ``o`` reads input channel ``o // multiplier``.  int8, or int16 (SVDF's time weights).
    ``bias``: int32, or int64 with single rounding.
    """

    weights: NDArray
    bias: NDArray[np.int32] | NDArray[np.int64]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: Padding
    depthwise: bool
    input_zero_point: int
    requantization: Requantization


@dataclass(frozen=True, kw_only=True)
class TransposeConv(Unary):
    """TRANSPOSE_CONV: input pixel ``(y, x)`` adds to outputs from ``(y, x) * stride - before`` on.

    ``weights``: ``(Cout, kh, kw, Cin)``, not mirrored; ``before``: what is cut off at the top and
    at the left.
    """

    weights: NDArray[np.int8]
    bias: NDArray[np.int32] | NDArray[np.int64]
    stride: tuple[int, int]
    before: tuple[int, int]
    input_zero_point: int
    requantization: Requantization
