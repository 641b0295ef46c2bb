"""Golden model of the correction of pixels that are stuck, dead or hot."""

import numpy as np

from models.fixedpoint import IntArray
from models.image.bayer import PIXEL_MAX, neighbourhood

__all__ = ["DEFAULT_THRESHOLD", "MAX_RANK", "correct_bad_pixels", "same_colour"]

DEFAULT_THRESHOLD = 64
MAX_RANK = 3


def same_colour(frame: IntArray) -> IntArray:
    """Give the eight nearest pixels of the same colour, two away, ``(8, rows, columns)``."""
    window = neighbourhood(frame)
    places = [(row, column) for row in (0, 2, 4) for column in (0, 2, 4)]
    return np.stack([window[place] for place in places if place != (2, 2)])


def correct_bad_pixels(
    frame: IntArray, threshold: int = DEFAULT_THRESHOLD, rank: int = 1
) -> tuple[IntArray, IntArray]:
    """Replace pixels that lie outside their neighbours' range by the neighbours' median.

    With the eight neighbours of the same colour in order ``n0 <= ... <= n7``, a pixel is bad above
    ``n[7 - rank] + margin`` or below ``n[rank] - margin``, where ``margin = threshold +
    n[7 - rank] - n[rank]``: where the picture is rough, more is believed.  It becomes
    ``(n3 + n4 + 1) / 2`` (floor).  All neighbours are the pixels as they came, not corrected ones,
    so that no result depends on the one before.

    Parameters
    ----------
    frame : IntArray
        ``(rows, columns)`` of 12 bits.
    threshold : int
        12 bits; the largest switches the correction off.
    rank : int
        0 to 3: how many of the neighbours may be bad the same way, that is, clusters of up to
        ``rank + 1`` pixels of a colour are corrected.  0 and 1 keep more of fine detail.

    Returns
    -------
    corrected : IntArray
        12 bits.
    bad : IntArray
        1 where a pixel was replaced.
    """
    if not 0 <= threshold <= PIXEL_MAX:
        raise ValueError(f"threshold must be in 0..{PIXEL_MAX}, not {threshold}")
    if not 0 <= rank <= MAX_RANK:
        raise ValueError(f"rank must be in 0..{MAX_RANK}, not {rank}")
    ordered = np.sort(same_colour(frame), axis=0)
    low, high = ordered[rank], ordered[7 - rank]
    margin = threshold + high - low
    bad = (frame > high + margin) | (frame < low - margin)
    median = (ordered[3] + ordered[4] + 1) >> 1
    return np.where(bad, median, frame), bad.astype(np.int64)
