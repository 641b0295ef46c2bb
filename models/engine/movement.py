"""Golden models of the operators that move elements and of those that sum them up."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.engine.requantization import requantize
from models.fixedpoint import wrap

__all__ = ["concatenate", "mean", "resize_nearest", "strided_slice"]

Pixels = NDArray


def concatenate(parts: Sequence[Pixels], axis: int) -> Pixels:
    """Join ``(H, W, C)`` tensors along ``axis``."""
    return np.concatenate(parts, axis)


def strided_slice(
    x: Pixels, begin: Sequence[int], step: Sequence[int], size: Sequence[int]
) -> Pixels:
    """``size`` elements along each axis of ``(H, W, C)``, from ``begin`` on, every ``step``."""
    indices = (
        first + stride * np.arange(count)
        for first, stride, count in zip(begin, step, size, strict=True)
    )
    return x[np.ix_(*indices)]


def resize_nearest(x: Pixels, rows: Sequence[int], columns: Sequence[int]) -> Pixels:
    """Pixel ``(rows[y], columns[x])`` of ``x`` at ``(y, x)``."""
    return x[np.ix_(list(rows), list(columns))]


def mean(
    x: Pixels, *, kernel: tuple[int, int], input_zero_point: int,
    multiplier: NDArray[np.int32], shift: NDArray[np.int32],
    output_zero_point: int, minimum: int, maximum: int,
) -> Pixels:  # fmt: skip
    """Sum over ``kernel``, each either the image's size or 1, rescaled (TFLite's MEAN and SUM).

    The count is part of the multiplier.  Returns the type of ``x``.
    """
    axes = tuple(axis for axis in range(2) if kernel[axis] != 1)
    sums = (x.astype(np.int64) - input_zero_point).sum(axis=axes, keepdims=True)
    return requantize(
        wrap(sums), bias=np.zeros(x.shape[2], np.int64), multiplier=multiplier, shift=shift,
        zero_point=output_zero_point, minimum=minimum, maximum=maximum,
        dtype=x.dtype.type,
    )  # fmt: skip
