"""Our demosaicking against a public implementation of the same paper in floating point, prysm's."""

import numpy as np
import pytest
from image_pictures import RAW, needs_pictures, photo
from image_reference import malvar, psnr
from prysm.bayer import demosaic_malvar

from models.image.bayer import BAYER_ORDERS, PIXEL_MAX, align, mosaic, phases
from models.image.demosaic import demosaic

MARGIN = 4
"""Even, and more than the two pixels that a window reaches beyond a border."""


def public(frame, order):
    """Not clipped.  It knows RGGB and repeats borders: so it gets a frame that is mirrored about
    its outermost pixels, with as many in front of the first as make the order RGGB."""
    index = BAYER_ORDERS.index(order)
    top, left = MARGIN + (index >> 1), MARGIN + (index & 1)
    padded = np.pad(frame.astype(float), ((top, MARGIN + 1), (left, MARGIN + 1)), "reflect")
    rows, columns = padded.shape
    even = padded[: rows // 2 * 2, : columns // 2 * 2]
    return demosaic_malvar(even, "rggb")[top:, left:][: frame.shape[0], : frame.shape[1]]


@pytest.mark.parametrize("order", BAYER_ORDERS)
def test_public_formula_is_ours(rng, order):
    frame = rng.integers(0, PIXEL_MAX + 1, (37, 52))
    found = public(frame, order)
    np.testing.assert_allclose(found, malvar(frame, order), rtol=0, atol=1e-9)
    ours = demosaic(frame, phases(frame.shape, order))
    error = ours - np.clip(found, 0, PIXEL_MAX)
    assert np.abs(error).max() <= 0.5
    assert np.unique(error).size > 8  # rounding has been seen, and clipping below
    assert found.min() < -100
    assert found.max() > PIXEL_MAX + 100


@needs_pictures
@pytest.mark.parametrize("order", BAYER_ORDERS)
@pytest.mark.parametrize("name", ["astronaut", "coffee"])
def test_photographs_are_equal_to_the_public_ones(name, order):
    """The photographs' 8 bits, times 16, need no rounding: every pixel is equal, borders too."""
    original = photo(name).astype(np.int64) << 4
    frame = mosaic(original, order)
    ours = demosaic(frame, phases(frame.shape, order))
    theirs = np.clip(public(frame, order), 0, PIXEL_MAX)
    decibels = psnr(ours, original, PIXEL_MAX), psnr(theirs, original, PIXEL_MAX)
    print(f"{name} {order}: {decibels[0]:.2f} dB, public {decibels[1]:.2f} dB")
    assert abs(decibels[0] - decibels[1]) < 0.1
    np.testing.assert_array_equal(ours, theirs)


@needs_pictures
def test_raw_picture_within_half_a_step():
    frame = align(np.fromfile(RAW, "<u2").reshape(512, 768), 14)
    ours = demosaic(frame, phases(frame.shape, "RGGB"))
    error = ours - np.clip(public(frame, "RGGB"), 0, PIXEL_MAX)
    assert 0.4 < np.abs(error).max() <= 0.5
