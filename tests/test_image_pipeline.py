"""The image front end as a whole: all orders and sizes, the order of its stages, refusals."""

import re

import numpy as np
import pytest
from image_reference import log_uniform, malvar

from models.image.bad_pixels import correct_bad_pixels
from models.image.bayer import BAYER_ORDERS, align, mosaic, phases
from models.image.black_level import subtract_black
from models.image.colour import correct_colour, to_ycbcr
from models.image.gamma import apply_gamma, srgb_table
from models.image.pipeline import Settings, process, tensor_of
from models.image.quantiser import TensorFormat, tensor_format
from models.image.scaler import Crop, reciprocal, scale_down
from models.image.statistics import grey_world, measure
from models.image.white_balance import balance

SEED = 20261123
SIZES = [(4, 4), (5, 4), (4, 5), (7, 9), (6, 1280), (33, 18)]
"""Rows and columns: the smallest, odd ones, the widest."""


@pytest.fixture
def rng():
    print(f"seed {SEED}")
    return np.random.default_rng(SEED)


@pytest.mark.parametrize("order", BAYER_ORDERS)
@pytest.mark.parametrize("bits", range(8, 13))
def test_flat_colours_stay(order, bits):
    for shape in SIZES:
        rgb = np.array([200, 90, 33])
        raw = mosaic(np.broadcast_to(rgb << (bits - 8), (*shape, 3)), order)
        done = process(raw, Settings(order=order, bits=bits))
        assert (done.rgb == rgb).all()
        assert not done.bad.any()
        tensor = tensor_of(done.rgb, Crop(0, 0, shape[1], shape[0]), 3, 2)
        assert (tensor == rgb - 128).all()
        grey = tensor_of(done.rgb, Crop(0, 0, shape[1], shape[0]), 3, 2, grey=True)
        assert grey.shape == (2, 3, 1)
        assert (grey == round(0.299 * 200 + 0.587 * 90 + 0.114 * 33) - 128).all()


@pytest.mark.parametrize(
    ("order", "down", "right"), [("GRBG", 0, 1), ("GBRG", 1, 0), ("BGGR", 1, 1)]
)
def test_orders_are_shifts_of_each_other(rng, order, down, right):
    raw = log_uniform(rng, 4095, (23, 26))
    common = {
        "black_levels": (30, 40, 50, 60), "gains": (2000, 1024, 1030, 1500),
        "matrix": ((1500, -300, -176), (-200, 1424, -200), (0, -476, 1500)), "gamma": srgb_table(),
    }  # fmt: skip
    whole = process(raw, Settings(order="RGGB", **common)).rgb[down:, right:]
    part = process(raw[down:, right:], Settings(order=order, **common)).rgb
    assert (whole[4:-4, 4:-4] == part[4:-4, 4:-4]).all()
    assert np.unique(whole).size > 100


def test_pipeline_order_of_stages(rng):
    """Each stage's result is the next one's input, with statistics in front of the gains."""
    raw = log_uniform(rng, 1023, (18, 21))
    settings = Settings(
        order="BGGR", bits=10, black_levels=(64, 60, 61, 70), bad_pixel_threshold=40,
        bad_pixel_rank=2, clip_limit=3900, gains=(2100, 1100, 1090, 1800),
        matrix=((1600, -400, -176), (-300, 1600, -276), (20, -500, 1504)), gamma=srgb_table(),
    )  # fmt: skip
    done = process(raw, settings)
    phase = phases(raw.shape, "BGGR")
    frame = subtract_black(raw << 2, phase, settings.black_levels)
    corrected, bad = correct_bad_pixels(frame, 40, 2)
    assert (done.corrected == corrected).all()
    assert (done.bad == bad).all()
    assert 0 < bad.sum() < bad.size
    assert done.statistics == measure(corrected, phase, 3900)
    exact = np.clip(malvar(balance(corrected, phase, settings.gains), "BGGR"), 0, 4095)
    linear = np.clip(exact @ (np.array(settings.matrix).T / 1024), 0, 4095)
    reference = np.array(settings.gamma)[np.minimum(np.rint(linear / 16).astype(int), 256)] / 16
    bright = linear > 400  # where half a segment of the curve is less than two steps
    assert np.abs(done.rgb - reference)[bright].max() < 3
    assert bright.sum() > 100
    assert (done.ycbcr == to_ycbcr(done.rgb)).all()


GOOD = np.zeros((4, 4), int)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: align(np.zeros((3, 4)), 12), "4..1280 columns and 4..1024 rows, not 4x3"),
        (lambda: align(np.zeros((4, 1281)), 12), "not 1281x4"),
        (lambda: align(np.zeros(16), 12), "two dimensions, not 1"),
        (lambda: align(GOOD, 7), "bits must be in 8..16, not 7"),
        (lambda: align(GOOD - 1, 8), "must not be negative, and -1 is"),
        (lambda: phases((4, 4), "RGBG"), "RGGB, GRBG, GBRG, BGGR, not 'RGBG'"),
        (lambda: subtract_black(GOOD, GOOD, (0, 0, 0)), "four of 0..4095, not [0, 0, 0]"),
        (lambda: correct_bad_pixels(GOOD, 4096), "threshold must be in 0..4095, not 4096"),
        (lambda: correct_bad_pixels(GOOD, 1, 4), "rank must be in 0..3, not 4"),
        (lambda: measure(GOOD, GOOD, 4096), "limit must be in 0..4095, not 4096"),
        (lambda: grey_world(measure(GOOD, GOOD), 0), "white must be in 1..4095, not 0"),
        (lambda: balance(GOOD, GOOD, (1, 1, 1, 16384)), "four of 0..16383"),
        (lambda: correct_colour(GOOD, np.zeros((3, 2))), "shape (3, 3), not (3, 2)"),
        (lambda: correct_colour(GOOD, np.full((3, 3), 8192)), "in -8192..8191"),
        (lambda: apply_gamma(GOOD, [0] * 256), "257 knots of 0..4095"),
        (lambda: Crop(-1, 0, 4, 4), "begins at 0 or more, not at -1, 0"),
        (lambda: Crop(0, 0, 0, 4), "1..1280 x 1..1024, not 0x4"),
        (
            lambda: scale_down(GOOD[:, :, None], Crop(1, 0, 4, 4), 1, 1),
            "crop 4x4 at 1, 0 is not within 4x4",
        ),
        (
            lambda: scale_down(GOOD[:, :, None], Crop(0, 0, 4, 4), 5, 1),
            "output width must be in 1..4, not 5",
        ),
        (lambda: reciprocal(0), "area must be in 1..2097152, not 0"),
        (lambda: TensorFormat(1 << 17, 0), "multiplier must be in -131072..131071, not 131072"),
        (lambda: tensor_format(0, 0), "scale must be positive, not 0"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
