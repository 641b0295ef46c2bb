"""AVERAGE_POOL_2D, MAX_POOL_2D and the division that the hardware uses for the mean.

Neither operator rescales: input and output have one scale and one zero point.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from models.engine.requantization import clamp_to

__all__ = ["average_pool2d", "max_pool2d", "reciprocal"]

Pair = tuple[int, int]

LARGEST_DIVIDEND_BITS = 30
"""Bits of a dividend, at most, that a reciprocal of 31 bits divides exactly."""


def _windows(
    x: NDArray[np.int64], fill: int, kernel: Pair, stride: Pair, padding: tuple[Pair, Pair]
) -> NDArray[np.int64]:
    """View ``(H, W, C)`` as ``(OH, OW, C, kh, kw)``, the padding holding ``fill``."""
    padded = np.pad(x, (*padding, (0, 0)), constant_values=fill)
    if kernel[0] > padded.shape[0] or kernel[1] > padded.shape[1]:
        raise ValueError(
            f"kernel {kernel[0]}x{kernel[1]} exceeds "
            f"the padded input's {padded.shape[0]}x{padded.shape[1]} pixels"
        )
    return sliding_window_view(padded, kernel, axis=(0, 1))[:: stride[0], :: stride[1]]


def average_pool2d(
    x: NDArray,
    *,
    kernel: Pair,
    stride: Pair,
    padding: tuple[Pair, Pair],
    minimum: int,
    maximum: int,
) -> NDArray:
    """Mean over each window, rounding ties away from zero; padding does not count.

    ``x`` is ``(H, W, C)``, int8 or int16, the result ``(OH, OW, C)`` of the same type.
    ``ValueError`` if a window lies in the padding altogether.
    """
    values = np.asarray(x, dtype=np.int64)
    total = _windows(values, 0, kernel, stride, padding).sum(axis=(3, 4))
    inside = np.ones((*x.shape[:2], 1), dtype=np.int64)
    count = _windows(inside, 0, kernel, stride, padding).sum(axis=(3, 4))
    if not count.all():
        raise ValueError(f"padding {padding} leaves a {kernel[0]}x{kernel[1]} window empty")
    magnitude = (np.abs(total) + count // 2) // count
    return clamp_to(x.dtype.type, np.sign(total) * magnitude, minimum, maximum)


def max_pool2d(
    x: NDArray,
    *,
    kernel: Pair,
    stride: Pair,
    padding: tuple[Pair, Pair],
    minimum: int,
    maximum: int,
) -> NDArray:
    """Largest value in each window; padding does not count.  Shapes as in `average_pool2d`."""
    lowest = int(np.iinfo(x.dtype).min)
    windows = _windows(np.asarray(x, dtype=np.int64), lowest, kernel, stride, padding)
    return clamp_to(x.dtype.type, windows.max(axis=(3, 4)), minimum, maximum)


def reciprocal(count: int, bits: int = 8) -> tuple[int, int]:
    """Turn the division by ``count`` into a multiplication: ``(multiplier, shift)``.

    ``n // count == (n * multiplier) >> (31 - shift)`` for every ``0 <= n <= 2**bits * count``,
    which covers ``|sum of count integers of that many bits| + count // 2``.  ``multiplier`` is
    Q0.31 and normalised, ``shift`` TFLite's exponent (negative: right), as in
    `multiply_by_quantized_multiplier`, but the product is truncated.  ``count`` is 1 to
    ``2**(30 - bits)``; `docs/numerics.md` has the proof.
    """
    largest = 1 << (LARGEST_DIVIDEND_BITS - bits)
    if not 1 <= count <= largest:
        raise ValueError(f"count must be in 1..{largest}, not {count}")
    exponent = count.bit_length() - 1
    if count == 1 << exponent:
        return 1 << 30, 1 - exponent  # 2**31 would not fit Q0.31
    return -(-(1 << (31 + exponent)) // count), -exponent
