"""Planes of a picture to blocks in the order of the file: regions, subsampling, edges.

Nothing outside the picture is stored: a block that reaches over the right or the lower edge repeats
the last sample of its own plane, which is an address that stops counting.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from models.fixedpoint import IntArray

__all__ = ["Region", "checked_planes", "mcu_blocks", "subsample"]

MAX_SIDE = 65535
"""SOF0 has 16 bits for each side."""


@dataclass(frozen=True)
class Region:
    """A rectangle of a picture, in pixels from its upper left corner."""

    x: int
    y: int
    width: int
    height: int

    def aligned(self, shape: tuple[int, ...], mcu: int) -> "Region":
        """The smallest region around this one that starts at MCUs of ``mcu`` pixels.

        It ends at an MCU too, or at the edge of the picture of ``shape`` (height, width).
        """
        height, width = shape
        fits = 0 <= self.x < self.x + self.width <= width
        if not (fits and 0 <= self.y < self.y + self.height <= height):
            raise ValueError(
                f"the region must have pixels of the picture of {width} x {height} only, not "
                f"{self.width} x {self.height} at ({self.x}, {self.y})"
            )
        x, y = self.x // mcu * mcu, self.y // mcu * mcu
        right = min(-(-(self.x + self.width) // mcu) * mcu, width)
        bottom = min(-(-(self.y + self.height) // mcu) * mcu, height)
        return Region(x, y, right - x, bottom - y)

    def of(self, plane: IntArray) -> IntArray:
        """Its part of a plane."""
        return plane[self.y : self.y + self.height, self.x : self.x + self.width]


def checked_planes(planes: Sequence[ArrayLike]) -> list[IntArray]:
    """Planes as int64, or ValueError: one or three, of one size, 8 bits."""
    arrays = [np.asarray(plane) for plane in planes]
    if len(arrays) not in (1, 3):
        raise ValueError(f"a picture must have 1 plane (grey) or 3 (Y, Cb, Cr), not {len(arrays)}")
    shape = arrays[0].shape
    if len(shape) != 2 or not 1 <= min(shape) <= max(shape) <= MAX_SIDE:  # noqa: PLR2004
        raise ValueError(f"a plane must be 1..{MAX_SIDE} rows of 1..{MAX_SIDE}, not shape {shape}")
    for array in arrays:
        if array.shape != shape:
            raise ValueError(f"planes must have one shape, not {shape} and {array.shape}")
        if not np.issubdtype(array.dtype, np.integer) or array.min() < 0 or array.max() > 255:  # noqa: PLR2004
            raise ValueError(
                f"samples must be integers 0..255, not {array.dtype} {array.min()}..{array.max()}"
            )
    return [array.astype(np.int64) for array in arrays]


def subsample(plane: IntArray) -> IntArray:
    """Means of 2 x 2 samples, an odd last row or column with itself.

    Ties go down in even columns and up in odd ones (1 or 2 is added before the division by 4),
    because rounding all one way would shift colours.
    """
    height, width = plane.shape
    even = extended(plane, height + height % 2, width + width % 2)
    total = even[0::2, 0::2] + even[0::2, 1::2] + even[1::2, 0::2] + even[1::2, 1::2]
    return (total + 1 + np.arange(total.shape[1]) % 2) >> 2


def extended(plane: IntArray, height: int, width: int) -> IntArray:
    """Repeat the last row and column."""
    row = np.minimum(np.arange(height), plane.shape[0] - 1)
    column = np.minimum(np.arange(width), plane.shape[1] - 1)
    return plane[row[:, None], column]


def mcu_blocks(planes: Sequence[IntArray]) -> tuple[IntArray, IntArray, np.ndarray, int]:
    """Blocks as the file orders them, row by row of MCUs.

    Grey: an MCU is one block.  Colour: four of Y (upper two, lower two), Cb, Cr, of 16 x 16 pixels.

    Returns
    -------
    blocks : (blocks, 8, 8) int
    component : (blocks,) int
    inside : (blocks,) bool
        Whether a block has any pixel of the picture.
    mcus : int
    """
    sides = (8,) if len(planes) == 1 else (16, 8, 8)
    mcu = sides[0]
    height, width = planes[0].shape
    down, across = -(-height // mcu), -(-width // mcu)
    parts = [planes[0], *(subsample(plane) for plane in planes[1:])]
    blocks, component, inside = [], [], []
    for index, (plane, side) in enumerate(zip(parts, sides, strict=True)):
        n = side // 8
        part = extended(plane, down * side, across * side)
        # Axes: MCU row, block row, row, MCU column, block column, column.
        cut = part.reshape(down, n, 8, across, n, 8).transpose(0, 3, 1, 4, 2, 5)
        blocks.append(cut.reshape(down * across, n * n, 8, 8))
        top = (np.arange(down * n) * 8 < plane.shape[0]).reshape(down, 1, n, 1)
        left = (np.arange(across * n) * 8 < plane.shape[1]).reshape(1, across, 1, n)
        inside.append((top & left).reshape(down * across, n * n))
        component.append(np.full((down * across, n * n), index))
    return (
        np.concatenate(blocks, axis=1).reshape(-1, 8, 8),
        np.concatenate(component, axis=1).reshape(-1),
        np.concatenate(inside, axis=1).reshape(-1),
        down * across,
    )
