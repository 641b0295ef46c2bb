"""Golden model of the scaler: a rectangle of the picture, averaged down to any smaller size.

Each output pixel is the mean of the rectangle ``w/W x h/H`` of source pixels (area averaging).  In
units of ``1/W`` of a source pixel's width, a source pixel is ``W`` wide and an output pixel ``w``,
so that all overlaps are integers and only the last division rounds.  Downscaling means that a
source pixel never reaches into more than two output pixels of a row, nor a source row into more
than two output rows: the hardware keeps one row of partial sums.
"""

from dataclasses import dataclass

import numpy as np

from models.fixedpoint import IntArray
from models.image.bayer import MAX_HEIGHT, MAX_WIDTH

__all__ = [
    "MAX_OUTPUT_HEIGHT",
    "MAX_OUTPUT_WIDTH",
    "Crop",
    "overlap_sums",
    "reciprocal",
    "scale_down",
]

MAX_OUTPUT_WIDTH, MAX_OUTPUT_HEIGHT = 320, 240
RECIPROCAL_BITS = 18


@dataclass(frozen=True)
class Crop:
    """A rectangle of the picture.

    Attributes
    ----------
    left, top : int
        Its first column and row.
    width, height : int
        At least 1.
    """

    left: int
    top: int
    width: int
    height: int

    def __post_init__(self) -> None:
        """Check what does not depend on the picture."""
        if self.left < 0 or self.top < 0:
            raise ValueError(f"a crop begins at 0 or more, not at {self.left}, {self.top}")
        if not (1 <= self.width <= MAX_WIDTH and 1 <= self.height <= MAX_HEIGHT):
            raise ValueError(
                f"a crop is 1..{MAX_WIDTH} x 1..{MAX_HEIGHT}, not {self.width}x{self.height}"
            )


def overlap_sums(values: IntArray, outputs: int) -> IntArray:
    """Sum along the first axis what each output overlaps, in units of ``1 / outputs`` of a value.

    ``values`` is ``(source, ...)``, the result ``(outputs, ...)``.  The overlaps of an output sum
    to ``source``, those of a source value to ``outputs``.
    """
    source = len(values)
    totals = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
    # From 0 to each edge between outputs: whole values, and a part of the next one.
    whole, part = np.divmod(np.arange(outputs + 1) * source, outputs)
    part = part.reshape(-1, *(1,) * (values.ndim - 1))
    following = values[np.minimum(whole, source - 1)]
    return np.diff(totals[whole] * outputs + part * following, axis=0)


def reciprocal(area: int) -> tuple[int, int]:
    """``1 / area`` as a mantissa in ``2**16..2**17`` and a shift to the right.

    Firmware writes both to registers.  ``area`` is at most 2**21; the mantissa is rounded to
    nearest, so the relative error is at most ``2**-17``, 0.002 of a pixel's step.
    """
    if not 1 <= area <= 1 << 21:
        raise ValueError(f"area must be in 1..{1 << 21}, not {area}")
    shift = RECIPROCAL_BITS - 2 + area.bit_length()
    mantissa = ((1 << shift) + area // 2) // area
    return mantissa, shift


def scale_down(picture: IntArray, crop: Crop, width: int, height: int) -> IntArray:
    """Average a rectangle down to ``width x height``.

    Parameters
    ----------
    picture : IntArray
        ``(rows, columns, channels)`` of 8 bits.
    crop : Crop
        Within the picture.
    width, height : int
        At most 320 x 240, and at most the rectangle's.

    Returns
    -------
    IntArray
        ``(height, width, channels)`` of 8 bits.  A row's sums have 19 bits, the sums of the kept
        row 29; one multiplication of 29 x 18 bits a value, rounded half up.

    Raises
    ------
    ValueError
        When the rectangle is not within the picture, or an output size is not possible.
    """
    rows, columns, _ = picture.shape
    if crop.left + crop.width > columns or crop.top + crop.height > rows:
        raise ValueError(
            f"crop {crop.width}x{crop.height} at {crop.left}, {crop.top} is not within "
            f"{columns}x{rows}"
        )
    for name, size, limit, source in (
        ("width", width, MAX_OUTPUT_WIDTH, crop.width),
        ("height", height, MAX_OUTPUT_HEIGHT, crop.height),
    ):
        if not 1 <= size <= min(limit, source):
            raise ValueError(f"output {name} must be in 1..{min(limit, source)}, not {size}")
    part = picture[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    in_rows = overlap_sums(part.transpose(1, 0, 2), width)
    sums = overlap_sums(in_rows.transpose(1, 0, 2), height)
    mantissa, shift = reciprocal(crop.width * crop.height)
    return (sums * mantissa + (1 << (shift - 1))) >> shift
