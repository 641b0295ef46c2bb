"""Photographs of the shared data, and what judges encoders with them.

Not a test: benches of the JPEG encoder import this.
"""

import numpy as np
import pytest
from PIL import Image

from tests.published import DATA

PHOTOS = DATA / "scikit-image-v0.15.0"
FRAMES = DATA / "pulp-platform-pulp-dronet" / "frames_himax"
RAW = DATA / "mushfiqulalam-isp" / "DSC_1339_768x512_rggb.raw"

needs_pictures = pytest.mark.skipif(
    not (PHOTOS.is_dir() and FRAMES.is_dir() and RAW.is_file()),
    reason="needs the pictures in ../shared/data",
)


def photo(name, height=None, width=None):
    """RGB (height, width, 3), or its upper left part."""
    return np.asarray(Image.open(PHOTOS / f"{name}.png").convert("RGB"))[:height, :width]


def frame(number):
    """A grey camera frame (200, 200)."""
    return np.asarray(Image.open(FRAMES / f"frame_{number}.pgm"))


def binned_raw():
    """The RAW at half its size, RGB (256, 384, 3): one pixel of each square of four."""
    raw = np.fromfile(RAW, "<u2").reshape(512, 768).astype(float)
    rgb = np.stack([raw[::2, ::2], (raw[::2, 1::2] + raw[1::2, ::2]) / 2, raw[1::2, 1::2]], -1)
    return np.clip(rgb / rgb.max() * 600, 0, 255).astype(np.uint8)


PICTURES = {
    "astronaut": lambda: photo("astronaut"),
    "coffee": lambda: photo("coffee"),
    "coffee, odd sizes": lambda: photo("coffee", 333, 477),
    "raw, binned": binned_raw,
    "frame 1, grey": lambda: frame(1),
    "frame 5, grey": lambda: frame(5),
}


def ycbcr_planes(rgb):
    """Y, Cb, Cr of JFIF, rounded from floating point."""
    matrix = np.array([
        [0.299, 0.587, 0.114],
        [-0.168735892, -0.331264108, 0.5],
        [0.5, -0.418687589, -0.081312411],
    ])  # fmt: skip
    planes = np.clip(np.rint(rgb @ matrix.T + [0, 128, 128]), 0, 255).astype(np.uint8)
    return list(np.moveaxis(planes, -1, 0))


def psnr(a, b):
    """Peak signal-to-noise ratio in dB, of values to 255."""
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


def exact_dct():
    """The orthonormal transform of 8 samples, in floating point (A.3.3)."""
    k, n = np.arange(8)[:, None], np.arange(8)
    return np.where(k == 0, np.sqrt(0.5), 1) / 2 * np.cos((2 * n + 1) * k * np.pi / 16)
