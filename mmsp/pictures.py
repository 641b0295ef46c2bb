"""Pictures as inputs: decoded, resized to what the network takes, and shifted to int8."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmsp.description import Port
from mmsp.errors import InputError, first_line

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "CHANNEL_MODES", "PICTURE_SUFFIXES", "from_picture_values", "image_size", "is_picture",
    "open_picture", "read_picture",
]  # fmt: skip

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")

CHANNEL_MODES = {1: "L", 3: "RGB"}
"""Pillow's modes by the number of channels that the network takes."""

DEEP_MODES = ("I", "F")
"""Beginnings of Pillow's modes with more than 8 bits a channel, which it would cut off."""

PICTURE_RANGES = ((0.0, 255.0), (0.0, 1.0), (-1.0, 1.0))
"""Real values that networks give the pixels 0 and 255."""
RANGE_TOLERANCE = 1 / 64
"""A scale of 1/256 in place of 1/255, or a zero point that was rounded, is the same range."""


def is_picture(port: Port) -> bool:
    """Whether int8 -128..127 stand for a pixel's whole range, so that it becomes ``v - 128``."""
    if port.scale is None or port.zero_point is None:
        return False
    ends = [port.scale * (q - port.zero_point) for q in (-128, 127)]
    return any(
        all(
            abs(end - limit) <= RANGE_TOLERANCE * (high - low)
            for end, limit in zip(ends, (low, high), strict=True)
        )
        for low, high in PICTURE_RANGES
    )


def from_picture_values(pixels: NDArray[np.uint8], port: Port) -> NDArray:
    """Convert pixels 0..255 to what the model's file declares.

    Raises
    ------
    InputError
        When the input's scale and zero point are not those of a picture.
    """
    if not is_picture(port):
        raise InputError(
            f"input {port.name!r} does not take pixels 0..255: its scale {port.scale} and zero "
            f"point {port.zero_point} are not those of a picture, so give {port.dtype} or float "
            "values"
        )
    return port.to_outside((pixels ^ np.uint8(0x80)).view(np.int8))


def read_picture(path: Path, data: bytes, port: Port) -> tuple[NDArray[np.uint8], str]:
    """Decode a picture and fit it to an input of shape ``(1, H, W, C)`` or ``(1, C, H, W)``.

    Returns
    -------
    tuple
        Pixels in the shape of the input, and what was done to get them.

    Raises
    ------
    InputError
        When the file is no picture, or the input takes none.
    """
    from PIL.Image import Resampling  # noqa: PLC0415  (slow to import)

    height, width, channels = image_size(path, port)
    mode = CHANNEL_MODES[channels]
    picture = open_picture(path, data)
    steps = [f"{picture.width} x {picture.height} {picture.mode}"]
    if picture.mode != mode:
        picture = picture.convert(mode)
        steps.append(f"converted to {mode}")
    if picture.size != (width, height):
        picture = picture.resize((width, height), Resampling.BILINEAR)
        steps.append(f"resized to {width} x {height}")
    pixels = np.asarray(picture, np.uint8).reshape(height, width, channels)
    if port.shape != (1, *pixels.shape):
        pixels = pixels.transpose(2, 0, 1)
    pixels = pixels.reshape(port.shape)
    return pixels, f"picture {path.name!r}: {', '.join(steps)}"


def open_picture(path: Path, data: bytes) -> "Image":
    """Decode a picture of 8 bits a channel and turn it as its EXIF says.

    Raises
    ------
    InputError
        When the file is no picture, or has more bits.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError  # noqa: PLC0415  (slow to import)

    try:
        with Image.open(BytesIO(data)) as opened:
            picture = ImageOps.exif_transpose(opened)
    except UnidentifiedImageError:
        raise InputError(f"picture {str(path)!r} is no picture that can be read") from None
    except Exception as error:  # damage surfaces as almost anything
        raise InputError(f"picture {str(path)!r} cannot be read: {first_line(error)}") from None
    if picture.mode.startswith(DEEP_MODES):
        raise InputError(
            f"picture {str(path)!r} has mode {picture.mode}, and 8 bits a channel are read"
        )
    return picture


def image_size(path: Path, port: Port) -> tuple[int, int, int]:
    """Height, width and channels that an input takes."""
    if len(port.shape) == 4 and port.shape[-1] in CHANNEL_MODES:  # noqa: PLR2004  (NHWC)
        return port.shape[1], port.shape[2], port.shape[3]
    if len(port.shape) == 4 and port.shape[1] in CHANNEL_MODES:  # noqa: PLR2004  (NCHW)
        return port.shape[2], port.shape[3], port.shape[1]
    raise InputError(
        f"input {port.name!r} takes no picture such as {str(path)!r}: its shape is {port.shape}, "
        "not (1, height, width, 1 or 3) or (1, 1 or 3, height, width)"
    )
