"""Golden model of the demosaic: Malvar, He and Cutler's linear interpolation, 5 x 5.

H. S. Malvar, L. He, R. Cutler, "High-quality linear interpolation for demosaicing of
Bayer-patterned color images", ICASSP 2004: bilinear interpolation plus a fraction of the Laplacian
of the colour that the pixel itself has.
"""

import numpy as np

from models.fixedpoint import IntArray
from models.image.bayer import PIXEL_MAX, Phase, neighbourhood

__all__ = ["FRACTION_BITS", "demosaic"]

FRACTION_BITS = 4
"""The weights are multiples of 1/16."""

GREEN = np.array(
    [
        [0, 0, -2, 0, 0],
        [0, 0, 4, 0, 0],
        [-2, 4, 8, 4, -2],
        [0, 0, 4, 0, 0],
        [0, 0, -2, 0, 0],
    ]
)
"""Green at a red or blue pixel."""

ROW = np.array(
    [
        [0, 0, 1, 0, 0],
        [0, -2, 0, -2, 0],
        [-2, 8, 10, 8, -2],
        [0, -2, 0, -2, 0],
        [0, 0, 1, 0, 0],
    ]
)
"""At a green pixel the colour of its left and right neighbour; transposed, of the other two."""

OPPOSITE = np.array(
    [
        [0, 0, -3, 0, 0],
        [0, 4, 0, 4, 0],
        [-3, 0, 12, 0, -3],
        [0, 4, 0, 4, 0],
        [0, 0, -3, 0, 0],
    ]
)
"""Blue at a red pixel, red at a blue one."""

CENTRE = np.zeros((5, 5), dtype=np.int64)
CENTRE[2, 2] = 1 << FRACTION_BITS

FILTERS = {
    Phase.RED: (CENTRE, GREEN, OPPOSITE),
    Phase.GREEN_IN_RED_ROW: (ROW, CENTRE, ROW.T),
    Phase.GREEN_IN_BLUE_ROW: (ROW.T, CENTRE, ROW),
    Phase.BLUE: (OPPOSITE, GREEN, CENTRE),
}
"""Of each phase: red, green and blue."""


def demosaic(frame: IntArray, phase: IntArray) -> IntArray:
    """Interpolate the two colours that each pixel lacks.

    Parameters
    ----------
    frame, phase : IntArray
        ``(rows, columns)``: pixels of 12 bits, and `models.image.bayer.phases`.

    Returns
    -------
    IntArray
        ``(rows, columns, 3)`` of 12 bits: the sum of 17 bits and a sign is rounded half up and
        saturated.  No multiplier: the weights are sums of two powers of two.
    """
    window = neighbourhood(frame)
    rgb = np.zeros((*frame.shape, 3), dtype=np.int64)
    for place, filters in FILTERS.items():
        here = phase == place
        pixels = window[:, :, here]
        for colour, weights in enumerate(filters):
            rgb[here, colour] = np.tensordot(weights, pixels, axes=2)
    half = 1 << (FRACTION_BITS - 1)
    return np.clip((rgb + half) >> FRACTION_BITS, 0, PIXEL_MAX)
