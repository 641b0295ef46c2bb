"""What the stages of the image front end hand on: pixels that know where their line and frame end.

Nothing can stop a camera, so these streams have no `ready`.  Any number of clocks without `valid`
may lie between two pixels, lines or frames, or none.
"""

from amaranth.hdl import Shape, unsigned
from amaranth.lib import data, stream

__all__ = [
    "BAYER_ORDERS",
    "BYTE_BITS",
    "MAX_HEIGHT",
    "MAX_WIDTH",
    "MIN_SIZE",
    "PHASES",
    "PIXEL_BITS",
    "FrameSize",
    "pixel_stream",
    "raw_pixel",
    "rgb_pixel",
    "ycbcr_pixel",
]

PIXEL_BITS = 12
BYTE_BITS = 8
MAX_WIDTH = 1280
MAX_HEIGHT = 1024
MIN_SIZE = 4
"""Columns and rows of the smallest frame: a window of 5 x 5 is mirrored once at most."""

BAYER_ORDERS = ("RGGB", "GRBG", "GBRG", "BGGR")
"""Values of a register `order`: bit 0 swaps columns, bit 1 swaps rows."""

PHASES = 4
"""Places of the mosaic: red, green in a red row, green in a blue row, blue."""


def pixel_layout(values: dict[str, Shape]) -> data.StructLayout:
    """Values and flags of a pixel; the flags go with it through all stages."""
    return data.StructLayout(values | {"last_column": 1, "last_row": 1})


def raw_pixel() -> data.StructLayout:
    """Lay out a place of the mosaic.

    Fields
    ------
    value : unsigned(12)
    last_column : 1
        It is its line's last.
    last_row : 1
        It is in the last line: all pixels of this line have it.
    """
    return pixel_layout({"value": unsigned(PIXEL_BITS)})


def rgb_pixel(bits: int) -> data.StructLayout:
    """Lay out red, green and blue of ``bits`` bits each, and the flags of `raw_pixel`."""
    return pixel_layout({colour: unsigned(bits) for colour in ("red", "green", "blue")})


def ycbcr_pixel() -> data.StructLayout:
    """Lay out luma and both chroma, 8 bits each, and the flags of `raw_pixel`."""
    return pixel_layout({name: unsigned(BYTE_BITS) for name in ("y", "cb", "cr")})


def pixel_stream(layout: data.StructLayout) -> stream.Signature:
    """Stream of pixels that nothing stops."""
    return stream.Signature(layout, always_ready=True)


FrameSize = data.StructLayout({"width": range(MAX_WIDTH + 1), "height": range(MAX_HEIGHT + 1)})
"""Columns and rows of a frame, `MIN_SIZE` at least: may change while no frame is in progress."""
