"""Frames of a camera: RAW files as they are, and pictures that a mosaic is laid over."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmsp.errors import InputError
from mmsp.pictures import PICTURE_SUFFIXES, open_picture
from models.fixedpoint import IntArray
from models.image.bayer import (
    MAX_HEIGHT,
    MAX_WIDTH,
    MIN_SIZE,
    PIXEL_BITS,
    mosaic,
)

__all__ = ["FRAME_SUFFIXES", "Frame", "Layout", "is_picture_file", "read_frame"]

FRAME_SUFFIXES = (*PICTURE_SUFFIXES, ".pgm", ".ppm")
"""Of pictures; PGM is what small cameras' tools write.  Any other file is RAW."""
PICTURE_BITS = 8
PICTURE_ORDER = "RGGB"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What a RAW file does not say of itself; ``order`` is for pictures, too.

    ``order``: one of `models.image.bayer.BAYER_ORDERS`.  ``bits`` of a pixel, 8 to 16: one byte
    for 8, otherwise two, the lower one first; None is 8 or 12, whichever has the file's length.
    ``size``: width and height.
    """

    order: str | None = None
    bits: int | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Frame:
    """What the camera's interface sees.

    Attributes
    ----------
    name : str
        Of the file.
    pixels : IntArray
        ``(rows, columns)``, 4 x 4 to 1280 x 1024, of ``bits`` bits.
    bits : int
        8 to 12.
    raw_bits : int
        8 to 16, of the file.
    order : str
        Bayer order.
    original : ndarray of uint8, optional
        ``(rows, columns, 3)``: the picture that was mosaicked, None of a RAW file.
    steps : sequence of str
        What was done to get here, for the user.
    """

    name: str
    pixels: IntArray
    bits: int
    raw_bits: int
    order: str
    original: NDArray[np.uint8] | None = None
    steps: Sequence[str] = field(default=())

    @property
    def sentence(self) -> str:
        """Where it came from and what was done."""
        kind = "RAW" if self.original is None else "picture"
        return f"{kind} {self.name!r}: {', '.join(self.steps)}"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]


def is_picture_file(path: Path) -> bool:
    """Whether the name is that of a picture, and not of a RAW file."""
    return path.suffix.lower() in FRAME_SUFFIXES


def read_frame(path: Path, data: bytes, layout: Layout) -> Frame:
    """Read a picture or, by any other suffix, a RAW file.

    Raises
    ------
    InputError
        When it is none, does not have the size it should, or does not fit the line buffers.
    """
    if is_picture_file(path):
        return read_rendered(path, data, layout)
    return read_raw(path, data, layout)


def read_rendered(path: Path, data: bytes, layout: Layout) -> Frame:
    """Lay a mosaic over a picture, shrunk to the largest frame if it is larger."""
    for name, value in (("size", layout.size), ("bits", layout.bits)):
        if value is not None:
            raise InputError(f"{name} is about RAW files, and {str(path)!r} is a picture")
    picture = open_picture(path, data)
    steps = [f"{picture.width} x {picture.height} {picture.mode}"]
    if picture.mode != "RGB":
        picture = picture.convert("RGB")
        steps.append("converted to RGB")
    if picture.width > MAX_WIDTH or picture.height > MAX_HEIGHT:
        picture.thumbnail((MAX_WIDTH, MAX_HEIGHT))
        steps.append(f"shrunk to {picture.width} x {picture.height}, what the camera has at most")
    check_size(path, picture.width, picture.height)
    original = np.asarray(picture, np.uint8)
    order = layout.order or PICTURE_ORDER
    steps.append(f"mosaicked as {order}")
    return Frame(
        path.name, mosaic(original, order), PICTURE_BITS, PICTURE_BITS, order, original,
        tuple(steps),
    )  # fmt: skip


def read_raw(path: Path, data: bytes, layout: Layout) -> Frame:
    """Unpack a RAW file; pixels above its bits clip, and more than 12 are cut off below."""
    if layout.size is None or layout.order is None:
        raise InputError(
            f"{str(path)!r} is no picture ({', '.join(FRAME_SUFFIXES)}), and a RAW file needs size "
            "and pattern"
        )
    width, height = layout.size
    check_size(path, width, height)
    bits = layout.bits if layout.bits is not None else guess_bits(len(data), width * height)
    dtype = np.dtype("u1" if bits == PICTURE_BITS else "<u2")
    expected = width * height * dtype.itemsize
    if len(data) != expected:
        what = "truncated" if len(data) < expected else "longer than that"
        raise InputError(
            f"RAW {str(path)!r} is {what}: {width}x{height} pixels of {bits} bits take "
            f"{expected:,} bytes, and it has {len(data):,}"
        )
    pixels = np.frombuffer(data, dtype).astype(np.int64).reshape(height, width)
    steps = [f"{width} x {height}, {bits} bits, {layout.order}"]
    largest = (1 << bits) - 1
    if above := np.count_nonzero(pixels > largest):
        steps.append(f"{above:,} pixels above {largest:,} clipped")
        pixels = np.minimum(pixels, largest)
    kept = min(bits, PIXEL_BITS)
    if bits > kept:
        steps.append(f"shifted to {kept} bits")
        pixels = pixels >> (bits - kept)
    return Frame(path.name, pixels, kept, bits, layout.order, None, tuple(steps))


def guess_bits(length: int, pixels: int) -> int:
    """8 when there is a byte for each pixel, otherwise what the camera's interface has."""
    return PICTURE_BITS if length == pixels else PIXEL_BITS


def check_size(path: Path, width: int, height: int) -> None:
    """Refuse what the line buffers cannot take."""
    if not (MIN_SIZE <= width <= MAX_WIDTH and MIN_SIZE <= height <= MAX_HEIGHT):
        raise InputError(
            f"a frame has {MIN_SIZE}x{MIN_SIZE} to {MAX_WIDTH}x{MAX_HEIGHT} pixels, and "
            f"{str(path)!r} {width}x{height}"
        )
