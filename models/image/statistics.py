"""Golden model of what firmware learns about a frame: grey-world sums and exposure."""

from dataclasses import dataclass

import numpy as np

from models.fixedpoint import IntArray
from models.image.bayer import PIXEL_BITS, PIXEL_MAX

__all__ = ["BIN_BITS", "Statistics", "grey_world", "measure"]

BIN_BITS = 4
UNITY = 1 << 10
GAIN_MAX = (1 << 14) - 1


@dataclass(frozen=True)
class Statistics:
    """Counters at the end of a frame, each read by firmware as one register.

    Attributes
    ----------
    sums, counts : tuple of int
        Of the four phases, over the pixels below the limit: 33 and 21 bits.
    histogram : tuple of int
        Pixels by their upper four bits, all phases, 21 bits each.
    clipped : int
        Pixels at the limit or above, 21 bits.
    """

    sums: tuple[int, ...]
    counts: tuple[int, ...]
    histogram: tuple[int, ...]
    clipped: int


def measure(frame: IntArray, phase: IntArray, limit: int = PIXEL_MAX) -> Statistics:
    """Measure a frame behind the correction of bad pixels, in front of the gains.

    ``limit`` is what counts as clipped (12 bits): its colour is not the light's.
    """
    if not 0 <= limit <= PIXEL_MAX:
        raise ValueError(f"limit must be in 0..{PIXEL_MAX}, not {limit}")
    good = frame < limit
    bins = np.bincount((frame >> (PIXEL_BITS - BIN_BITS)).reshape(-1), minlength=1 << BIN_BITS)
    return Statistics(
        sums=tuple(int(frame[good & (phase == p)].sum()) for p in range(4)),
        counts=tuple(int(np.count_nonzero(good & (phase == p))) for p in range(4)),
        histogram=tuple(int(count) for count in bins),
        clipped=int(np.count_nonzero(~good)),
    )


def grey_world(statistics: Statistics, white: int = PIXEL_MAX) -> tuple[int, ...]:
    """Gains (UQ4.10) that make the frame's mean grey, as firmware computes them.

    Each phase is brought to the mean of its brightest phase, and all together from ``white`` (the
    largest value after the black level) to 4095, so that no clipped pixel keeps a colour.  Integer
    divisions, rounded to nearest; a phase without light or pixels has the gain of ``white`` alone.
    """
    if not 0 < white <= PIXEL_MAX:
        raise ValueError(f"white must be in 1..{PIXEL_MAX}, not {white}")
    # Means with eight fraction bits.
    means = [
        (total << 8) // count if count else 0
        for total, count in zip(statistics.sums, statistics.counts, strict=True)
    ]
    brightest = max(means)
    gains = []
    for mean in means:
        top, bottom = (brightest, mean) if mean else (1, 1)
        divisor = bottom * white
        gains.append(min((UNITY * PIXEL_MAX * top + divisor // 2) // divisor, GAIN_MAX))
    return tuple(gains)
