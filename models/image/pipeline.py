"""Golden model of the whole image front end, from the camera's pixels to RGB, luma and a tensor."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from models.fixedpoint import IntArray
from models.image.bad_pixels import DEFAULT_THRESHOLD, correct_bad_pixels
from models.image.bayer import PIXEL_MAX, align, phases
from models.image.black_level import subtract_black
from models.image.colour import IDENTITY_MATRIX, correct_colour, luma, to_ycbcr
from models.image.demosaic import demosaic
from models.image.gamma import IDENTITY_TABLE, apply_gamma
from models.image.quantiser import SHIFTED, TensorFormat, quantise
from models.image.scaler import Crop, scale_down
from models.image.statistics import Statistics, measure
from models.image.white_balance import UNITY_GAIN, balance

__all__ = ["Processed", "Settings", "process", "tensor_of"]


@dataclass(frozen=True)
class Settings:
    """Registers of the pipeline; the defaults change nothing but the mosaic and bad pixels.

    Attributes
    ----------
    order : str
        Bayer order, one of `models.image.bayer.BAYER_ORDERS`.
    bits : int
        Of a raw pixel, 8 to 16.
    black_levels, gains : sequence of int
        Of the four phases: 12 bits, UQ4.10.
    bad_pixel_threshold, bad_pixel_rank : int
        See `models.image.bad_pixels.correct_bad_pixels`.
    clip_limit : int
        What statistics take for clipped.
    matrix : sequence of sequence of int
        3 x 3, Q3.10 with a sign.
    gamma : sequence of int
        257 knots of 12 bits.
    """

    order: str = "RGGB"
    bits: int = 12
    black_levels: Sequence[int] = (0, 0, 0, 0)
    bad_pixel_threshold: int = DEFAULT_THRESHOLD
    bad_pixel_rank: int = 1
    clip_limit: int = PIXEL_MAX
    gains: Sequence[int] = (UNITY_GAIN,) * 4
    matrix: Sequence[Sequence[int]] = IDENTITY_MATRIX
    gamma: Sequence[int] = IDENTITY_TABLE


@dataclass(frozen=True)
class Processed:
    """A frame behind the pipeline.

    Attributes
    ----------
    corrected : IntArray
        ``(rows, columns)`` of 12 bits: black level and bad pixels corrected, in front of the gains.
    bad : IntArray
        1 where a pixel was replaced.
    statistics : Statistics
        Of ``corrected``.
    rgb : IntArray
        ``(rows, columns, 3)`` of 8 bits.
    ycbcr : IntArray
        The same picture as luma and chroma.
    """

    corrected: IntArray
    bad: IntArray
    statistics: Statistics
    rgb: IntArray
    ycbcr: IntArray


def process(raw: ArrayLike, settings: Settings) -> Processed:
    """Take a frame through all stages at full size.

    Parameters
    ----------
    raw : array_like
        ``(rows, columns)``, unsigned, 4 x 4 to 1280 x 1024.
    settings : Settings
        Registers.

    Raises
    ------
    ValueError
        For a size, a Bayer order or a register that the hardware has not.
    """
    frame = align(raw, settings.bits)
    phase = phases((frame.shape[0], frame.shape[1]), settings.order)
    frame = subtract_black(frame, phase, settings.black_levels)
    corrected, bad = correct_bad_pixels(
        frame, settings.bad_pixel_threshold, settings.bad_pixel_rank
    )
    balanced = balance(corrected, phase, settings.gains)
    linear = correct_colour(demosaic(balanced, phase), settings.matrix)
    rgb = apply_gamma(linear, settings.gamma)
    statistics = measure(corrected, phase, settings.clip_limit)
    return Processed(corrected, bad, statistics, rgb, to_ycbcr(rgb))


def tensor_of(
    rgb: IntArray,
    crop: Crop,
    width: int,
    height: int,
    *,
    grey: bool = False,
    tensor: TensorFormat = SHIFTED,
) -> np.ndarray:
    """Scale a picture down and quantise it, ``(height, width, 3 or 1)`` of int8.

    ``rgb`` is ``(rows, columns, 3)`` of 8 bits.  A grey tensor is the luma of the scaled picture,
    the one that change detection sees.
    """
    scaled = scale_down(rgb, crop, width, height)
    return quantise(luma(scaled)[:, :, None] if grey else scaled, tensor)
