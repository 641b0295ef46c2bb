"""Layers that slide a window, or pixels, without weights."""

from dataclasses import dataclass

from mmsp.compiler.layers.base import Padding, Requantization, Unary

__all__ = ["Mean", "Pad", "Pool", "Softmax"]


@dataclass(frozen=True, kw_only=True)
class Pool(Unary):
    """AVERAGE_POOL_2D or MAX_POOL_2D: padding counts neither in the mean nor in the maximum."""

    kind: str  # "average" or "max"
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding
    minimum: int
    maximum: int


@dataclass(frozen=True, kw_only=True)
class Mean(Unary):
    """MEAN or SUM over windows as high or as wide as the image; rescaled once."""

    kernel: tuple[int, int]
    input_zero_point: int
    requantization: Requantization  # one entry


@dataclass(frozen=True, kw_only=True)
class Pad(Unary):
    """PAD with one value, in height, width and channels."""

    padding: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    zero_point: int


@dataclass(frozen=True, kw_only=True)
class Softmax(Unary):
    """SOFTMAX over the last dimension, int8 to int8 with scale 1/256 and zero point -128.

    ``beta_multiplier`` (Q0.31) and ``beta_shift`` (left) scale differences to Q5.26;
    ``minimum_difference`` is the smallest difference to the maximum that still counts.
    """

    beta_multiplier: int
    beta_shift: int
    minimum_difference: int
