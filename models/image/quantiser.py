"""Golden model of the last step to a tensor: pixels to its scale and zero point."""

from dataclasses import dataclass

import numpy as np

from models.fixedpoint import IntArray, saturate

__all__ = ["FRACTION_BITS", "SHIFTED", "TensorFormat", "quantise", "tensor_format"]

FRACTION_BITS = 14
MULTIPLIER_BITS = 18
OFFSET_BITS = 26
BYTE_MAX = 255


@dataclass(frozen=True)
class TensorFormat:
    """``q = multiplier * pixel + offset``, both in units of ``2**-14``.

    Attributes
    ----------
    multiplier : int
        Q3.14 with a sign, 18 bits.
    offset : int
        Q11.14 with a sign, 26 bits.
    """

    multiplier: int
    offset: int

    def __post_init__(self) -> None:
        """Check the widths of the registers."""
        for name, bits in (("multiplier", MULTIPLIER_BITS), ("offset", OFFSET_BITS)):
            value, limit = getattr(self, name), 1 << (bits - 1)
            if not -limit <= value < limit:
                raise ValueError(f"{name} must be in {-limit}..{limit - 1}, not {value}")


SHIFTED = TensorFormat(1 << FRACTION_BITS, -128 << FRACTION_BITS)
"""``q = pixel - 128``: of every network whose input range is a picture's."""


def tensor_format(scale: float, zero_point: int, low: float = 0, high: float = 1) -> TensorFormat:
    """Registers for a tensor whose real values ``low`` and ``high`` stand for the pixels 0 and 255.

    From ``q = (low + (high - low) v / 255) / scale + zero_point``, rounded to ``2**-14``: wrong by
    at most ``(255 + 1) 2**-15 < 0.008`` steps before the last rounding.
    """
    if not scale > 0:
        raise ValueError(f"scale must be positive, not {scale}")
    one = 1 << FRACTION_BITS
    return TensorFormat(
        multiplier=round((high - low) / BYTE_MAX / scale * one),
        offset=round((low / scale + zero_point) * one),
    )


def quantise(pixels: IntArray, tensor: TensorFormat) -> np.ndarray:
    """Multiply, add, round half up, and saturate to int8.  One multiplier, 8 x 18."""
    product = np.asarray(pixels, np.int64) * tensor.multiplier + tensor.offset
    return saturate((product + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS, 8).astype(np.int8)
