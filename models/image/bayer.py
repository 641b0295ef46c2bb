"""Golden model of a camera's pixels: Bayer orders, alignment to 12 bits, windows at the borders."""

from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike

from models.fixedpoint import IntArray

__all__ = [
    "BAYER_ORDERS",
    "MAX_WIDTH",
    "MIN_SIZE",
    "PIXEL_BITS",
    "PIXEL_MAX",
    "Phase",
    "align",
    "check_size",
    "mosaic",
    "neighbourhood",
    "phases",
]

PIXEL_BITS = 12
PIXEL_MAX = (1 << PIXEL_BITS) - 1
MAX_WIDTH = 1280
MAX_HEIGHT = 1024
MIN_SIZE = 4
"""Rows and columns of the smallest frame: a window of 5 x 5 is mirrored once at most."""
MIN_RAW_BITS, MAX_RAW_BITS = 8, 16
RADIUS = 2
"""Rows and columns of a window on each side of its pixel."""

BAYER_ORDERS = ("RGGB", "GRBG", "GBRG", "BGGR")
"""First row's two colours, then the second row's.  Index 1 swaps columns, 2 swaps rows."""


class Phase(IntEnum):
    """Colour of a place of the mosaic; greens are told apart by the other colour of their row."""

    RED = 0
    GREEN_IN_RED_ROW = 1
    GREEN_IN_BLUE_ROW = 2
    BLUE = 3


COLOUR_OF_PHASE = (0, 1, 1, 2)


def phases(shape: tuple[int, int], order: str) -> IntArray:
    """Phase of each pixel of a frame, 0 to 3: ``2 * blue row + odd column of that row's pair``.

    Raises
    ------
    ValueError
        For an ``order`` that is not in `BAYER_ORDERS`.
    """
    if order not in BAYER_ORDERS:
        raise ValueError(f"Bayer order must be one of {', '.join(BAYER_ORDERS)}, not {order!r}")
    index = BAYER_ORDERS.index(order)
    rows, columns = np.indices(shape)
    return ((rows + (index >> 1)) & 1) * 2 + ((columns + (index & 1)) & 1)


def check_size(frame: IntArray) -> None:
    """Refuse a frame that the line buffers cannot take."""
    if frame.ndim != 2:  # noqa: PLR2004  (rows, columns)
        raise ValueError(f"a frame has two dimensions, not {frame.ndim}")
    height, width = frame.shape
    if not (MIN_SIZE <= width <= MAX_WIDTH and MIN_SIZE <= height <= MAX_HEIGHT):
        raise ValueError(
            f"a frame has {MIN_SIZE}..{MAX_WIDTH} columns and {MIN_SIZE}..{MAX_HEIGHT} rows, "
            f"not {width}x{height}"
        )


def align(raw: ArrayLike, bits: int) -> IntArray:
    """Move pixels of ``bits`` bits to the upper end of 12 bits.

    Parameters
    ----------
    raw : array_like
        ``(rows, columns)``, unsigned.  Values above ``bits`` bits clip to the largest one.
    bits : int
        8 to 16.  More than 12 are cut off at the lower end, fewer are filled up with zeros, so
        that the largest of 8 bits is 4080.
    """
    if not MIN_RAW_BITS <= bits <= MAX_RAW_BITS:
        raise ValueError(f"bits must be in {MIN_RAW_BITS}..{MAX_RAW_BITS}, not {bits}")
    frame = np.asarray(raw, dtype=np.int64)
    if np.any(frame < 0):
        raise ValueError(f"pixels must not be negative, and {frame.min()} is")
    check_size(frame)
    clipped = np.minimum(frame, (1 << bits) - 1)
    shift = PIXEL_BITS - bits
    return clipped << shift if shift >= 0 else clipped >> -shift


def mosaic(rgb: ArrayLike, order: str) -> IntArray:
    """Keep that colour of each pixel of ``(rows, columns, 3)`` that its place would see."""
    rgb = np.asarray(rgb, dtype=np.int64)
    colour = np.array(COLOUR_OF_PHASE)[phases(rgb.shape[:2], order)]
    return np.take_along_axis(rgb, colour[:, :, None], axis=2)[:, :, 0]


def neighbourhood(frame: IntArray) -> IntArray:
    """Give the 5 x 5 window around each pixel, ``(5, 5, rows, columns)``.

    Beyond a border the frame is mirrored about its outermost pixel (-1 is 1, -2 is 2), which
    keeps the colours of the mosaic.  Streaming: 4 lines of 12 bits are kept.
    """
    padded = np.pad(frame, RADIUS, "reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * RADIUS + 1,) * 2)
    return np.moveaxis(windows, (2, 3), (0, 1))
