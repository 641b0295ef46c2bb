"""Tensors as people look at them: pictures, maps of two dimensions, values with bars."""

from base64 import b64encode
from html import escape
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmsp.description import Port
from mmsp.html.page import bar, table_row

__all__ = ["draw_tensor", "heat", "picture", "picture_pixels", "profile", "real_values"]

PICTURE_CHANNELS = (1, 3)
SMALLEST_SIDE = 8
"""Fewer rows or columns are rather a table of values."""
PICTURE_RANGES = ((0.0, 255.0), (0.0, 1.0), (-1.0, 1.0))
"""Real values of the darkest and the brightest pixel, by custom."""
RANGE_TOLERANCE = 1 / 64
SHOWN_WIDTH = 288
"""Width on the page that small pictures are blown up to, about."""
MOST_BARS = 32
MOST_COLUMNS = 240
PROFILE_HEIGHT = 64
INK, PAPER = np.array([37, 99, 201, 255]), np.array([0, 0, 0, 0])
# Dark blue over green to yellow: brightness rises evenly, so it also works printed in grey.
HEAT = np.array([[48, 18, 92], [46, 84, 140], [32, 141, 138], [112, 198, 92], [248, 230, 60]])


def real_values(port: Port, values: NDArray) -> NDArray[np.float64]:
    """Real values of one inference, of the port's shape."""
    if values.dtype.kind == "f":
        return values.reshape(port.shape).astype(np.float64)
    inside = port.to_inside(values).reshape(port.shape).astype(np.float64)
    return (inside - (port.zero_point or 0)) * (port.scale or 1.0)


def real_ends(port: Port) -> tuple[float, float]:
    """Real values of the smallest and largest number that the port's tensor can hold."""
    limits = np.iinfo(port.inside)
    scale, zero_point = port.scale or 1.0, port.zero_point or 0
    return scale * (limits.min - zero_point), scale * (limits.max - zero_point)


def picture_pixels(port: Port, values: NDArray) -> NDArray[np.uint8] | None:
    """Pixels ``(H, W, 1 or 3)``, or None when shape or scale are not those of a picture."""
    if port.scale is None or len(port.shape) != 4 or port.shape[0] != 1:  # noqa: PLR2004
        return None
    reals = real_values(port, values)[0]
    if reals.shape[2] not in PICTURE_CHANNELS and reals.shape[0] in PICTURE_CHANNELS:
        reals = reals.transpose(1, 2, 0)  # channels first, as ONNX has them
    if reals.shape[2] not in PICTURE_CHANNELS or min(reals.shape[:2]) < SMALLEST_SIDE:
        return None
    ends = real_ends(port)
    for low, high in PICTURE_RANGES:
        slack = RANGE_TOLERANCE * (high - low)
        if abs(ends[0] - low) <= slack and abs(ends[1] - high) <= slack:
            share = (reals - low) / (high - low)
            return np.clip(np.round(255 * share), 0, 255).astype(np.uint8)
    return None


def draw_tensor(
    port: Port, values: NDArray, title: str, *, plane: tuple[int, ...] | None = None
) -> str:
    """One input or output of one inference.

    Parameters
    ----------
    port : Port
        Which.
    values : ndarray
        Of the declared type, ``port.shape``.
    title : str
        What to call it.
    plane : tuple of int, optional
        Time and frequency of a map that its shape does not show, such as a flat one.
    """
    shape = " x ".join(map(str, port.shape))
    pixels = picture_pixels(port, values)
    reals = real_values(port, values)
    mapped = plane is not None
    plane = plane or tuple(size for size in port.shape if size != 1)
    span = f"{reals.min():.4g} to {reals.max():.4g}"
    if pixels is not None:
        body, how = picture(pixels, title), "a picture"
    elif len(plane) == 2 and (mapped or min(plane) >= SMALLEST_SIDE):  # noqa: PLR2004  (time, frequency)
        body = picture(heat(reals.reshape(plane).T[::-1]), title)
        how = f"{plane[0]} columns of {plane[1]} values, the first at the bottom; {span}"
    elif reals.size <= MOST_BARS:
        body, how = value_bars(reals.reshape(-1), values.reshape(-1)), "values as they are"
    else:
        body = picture(profile(reals.reshape(-1)), title)
        how = f"{reals.size:,} values one after another, with the range of each column; {span}"
    caption = f"{escape(port.dtype)}, {shape}; {escape(how)}"
    return (
        f'<figure class="tensor"><h3>{escape(title)}</h3>{body}<figcaption>{caption}</figcaption>'
        "</figure>"
    )


def picture(pixels: NDArray[np.uint8], title: str) -> str:
    """Pixels ``(H, W, 1, 3 or 4)`` as a PNG within the page."""
    height, width = pixels.shape[:2]
    magnification = max(1, round(SHOWN_WIDTH / max(width, height)))
    file = BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(
        file, "PNG", optimize=True
    )
    data = b64encode(file.getvalue()).decode()
    return (
        f'<img alt="{escape(title)}" width="{width * magnification}" '
        f'src="data:image/png;base64,{data}">'
    )


def heat(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Colours ``(H, W, 3)`` for values ``(H, W)``, from the smallest to the largest."""
    low, high = values.min(), values.max()
    at = (values - low) / (high - low if high > low else 1) * (len(HEAT) - 1)
    channels = [np.interp(at, range(len(HEAT)), HEAT[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def profile(values: NDArray[np.float64], most: int = MOST_COLUMNS) -> NDArray[np.uint8]:
    """Many values as a curve: each column spans its values, and zero when that is in range."""
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    unit = (high - low if high > low else 1) / (PROFILE_HEIGHT - 1)
    columns = np.array_split(values, min(most, values.size))
    pixels = np.tile(PAPER, (PROFILE_HEIGHT, len(columns), 1))
    for x, column in enumerate(columns):
        bottom = int((min(column.min(), 0.0) - low) / unit)
        top = int((max(column.max(), 0.0) - low) / unit)
        pixels[PROFILE_HEIGHT - 1 - top : PROFILE_HEIGHT - bottom, x] = INK
    return pixels.astype(np.uint8)


def value_bars(reals: NDArray[np.float64], stored: NDArray) -> str:
    """A row for each value: its index, a bar from zero, the real and the stored value."""
    low, high = min(reals.min(), 0.0), max(reals.max(), 0.0)
    span = high - low if high > low else 1.0
    best = int(np.argmax(reals))
    rows = []
    for index, (real, raw) in enumerate(zip(reals.tolist(), stored.tolist(), strict=True)):
        before = (min(real, 0.0) - low) / span
        part = [("", before), ("busy" if index == best else "other", abs(real) / span)]
        cells = [("", f"{index}"), ("left", bar(part, f"{real:.6g}")), ("", f"{real:.4g}")]
        if not isinstance(raw, float):
            cells.append(("", f"{raw}"))
        rows.append(table_row(cells))
    return f'<table class="values">{"".join(rows)}</table>'
