"""Stages of the image front end against their definitions."""

import numpy as np
import pytest
from image_reference import (
    COLOURS,
    area_average,
    bilinear,
    colour_at,
    log_uniform,
    malvar,
    psnr,
    shifted,
    stream_windows,
)

from models.image.bad_pixels import correct_bad_pixels
from models.image.bayer import BAYER_ORDERS, align, mosaic, neighbourhood, phases
from models.image.black_level import subtract_black
from models.image.colour import IDENTITY_MATRIX, correct_colour, luma, to_ycbcr
from models.image.demosaic import demosaic
from models.image.gamma import IDENTITY_TABLE, apply_gamma, srgb_table
from models.image.quantiser import SHIFTED, quantise, tensor_format
from models.image.scaler import Crop, overlap_sums, reciprocal, scale_down
from models.image.statistics import grey_world, measure
from models.image.white_balance import balance

SEED = 20261123
SIZES = [(4, 4), (5, 4), (4, 5), (7, 9), (6, 1280), (33, 18)]
"""Rows and columns: the smallest, odd ones, the widest."""


@pytest.fixture
def rng():
    print(f"seed {SEED}")
    return np.random.default_rng(SEED)


def smooth(rows, columns, channels=3):
    """A picture that changes slowly, 12 bits."""
    y, x = np.mgrid[:rows, :columns]
    waves = [np.sin(x / 23 + c) + np.cos(y / 19 - c) for c in range(channels)]
    return (2000 + 700 * np.stack(waves, axis=-1)).astype(int)


@pytest.mark.parametrize("bits", range(8, 17))
def test_align(bits):
    top = (1 << bits) - 1
    raw = np.array([[0, 1, top - 1, top], [top + 1, 65535, 16, 255]] * 2)
    expected = [min(int(v), top) * 4096 // (top + 1) for v in raw.reshape(-1)]
    assert align(raw, bits).reshape(-1).tolist() == expected


@pytest.mark.parametrize("order", BAYER_ORDERS)
def test_mosaic_keeps_the_colour_of_each_place(rng, order):
    rgb = rng.integers(0, 4096, (5, 6, 3))
    frame, phase = mosaic(rgb, order), phases((5, 6), order)
    for row in range(5):
        for column in range(6):
            colour = colour_at(order, row, column)
            assert frame[row, column] == rgb[row, column, COLOURS[colour]]
            in_red_row = "R" in (colour_at(order, row, 0), colour_at(order, row, 1))
            name = {"R": 0, "B": 3}.get(colour, 1 if in_red_row else 2)
            assert phase[row, column] == name


@pytest.mark.parametrize("shape", SIZES)
def test_windows_take_four_lines(rng, shape):
    frame = rng.integers(0, 4096, shape)
    whole = neighbourhood(frame)
    lines = [np.pad(rows, ((0, 0), (2, 2)), "reflect") for rows in stream_windows(frame)]
    assert len(lines) == shape[0]
    for row, line in enumerate(lines):
        for column in range(shape[1]):
            assert (whole[:, :, row, column] == line[:, column : column + 5]).all()


def test_black_level(rng):
    frame, phase = log_uniform(rng, 4095, (9, 7)), phases((9, 7), "GBRG")
    levels = (0, 64, 4095, 300)
    expected = [max(v - levels[p], 0) for v, p in zip(frame.flat, phase.flat, strict=True)]
    assert subtract_black(frame, phase, levels).reshape(-1).tolist() == expected
    assert 10 < expected.count(0) < len(expected) - 10


@pytest.mark.parametrize("rank", range(4))
def test_bad_pixels_one_at_a_time(rng, rank):
    frame = log_uniform(rng, 4095, (9, 8))
    corrected, bad = correct_bad_pixels(frame, 20, rank)
    at = shifted(frame)
    for row, column in np.ndindex(frame.shape):
        near = sorted(
            int(at(dy, dx)[row, column]) for dy in (-2, 0, 2) for dx in (-2, 0, 2) if dy or dx
        )
        low, high, value = near[rank], near[7 - rank], frame[row, column]
        margin = 20 + high - low
        is_bad = not low - margin <= value <= high + margin
        assert bad[row, column] == is_bad
        expected = (near[3] + near[4] + 1) // 2 if is_bad else value
        assert corrected[row, column] == expected
    assert 0 < bad.sum() < bad.size


CLUSTERS = [[(0, 0)], [(0, 0), (0, 2)], [(0, 0), (2, 2), (0, 2)], [(0, 0), (0, 2), (2, 0), (2, 2)]]


@pytest.mark.parametrize("rank", range(4))
@pytest.mark.parametrize("value", [0, 4095])
def test_clusters_are_corrected(rank, value):
    clean = mosaic(smooth(40, 40), "RGGB")
    for size, cluster in enumerate(CLUSTERS):
        for row, column in ((10, 10), (0, 0), (37, 37), (21, 0)):
            frame = clean.copy()
            for dy, dx in cluster:
                frame[row + dy, column + dx] = value
            inside = 0 < row < 37 and column > 0  # a border mirrors the cluster
            corrected, bad = correct_bad_pixels(frame, 64, rank)
            if size <= rank and inside:
                assert bad.sum() == len(cluster)
                assert np.abs(corrected - clean).max() < 100
            elif size > rank and inside:
                assert bad.sum() < len(cluster)
    corrected, bad = correct_bad_pixels(clean, 64, rank)
    assert not bad.any()
    assert (corrected == clean).all()


@pytest.mark.parametrize(("value", "bad"), [(864, 0), (865, 1), (736, 0), (735, 1)])
def test_threshold_is_exact(value, bad):
    frame = np.full((9, 9), 800)
    frame[4, 4] = value
    assert correct_bad_pixels(frame, 64)[1].sum() == bad


def test_bad_neighbours_of_other_colours():
    frame = mosaic(smooth(20, 20), "RGGB")
    hurt = frame.copy()
    hurt[8:10, 8:10] = 4095
    corrected, bad = correct_bad_pixels(hurt)
    assert bad.sum() == 4
    assert np.abs(corrected - frame).max() < 100


def test_statistics(rng):
    frame, phase = log_uniform(rng, 4095, (13, 11)), phases((13, 11), "BGGR")
    frame[0, :2] = 3000, 2999
    found = measure(frame, phase, 3000)
    assert 0 < found.clipped == sum(v >= 3000 for v in frame.flat)
    for p in range(4):
        values = [
            int(v) for v, q in zip(frame.flat, phase.flat, strict=True) if q == p and v < 3000
        ]
        assert (found.sums[p], found.counts[p]) == (sum(values), len(values))
    bins = [sum(v // 256 == b for v in frame.flat) for b in range(16)]
    assert list(found.histogram) == bins


def test_grey_world_makes_a_cast_grey():
    cast = np.array([0.45, 1.0, 0.7])
    frame = mosaic((smooth(64, 64)[..., :1] * cast).astype(int), "GRBG")
    phase = phases(frame.shape, "GRBG")
    balanced = balance(frame, phase, grey_world(measure(frame, phase)))
    means = [balanced[phase == p].mean() for p in range(4)]
    assert max(means) / min(means) < 1.002
    assert min(grey_world(measure(frame, phase))) == 1024
    assert grey_world(measure(np.zeros((4, 4), int), phases((4, 4), "RGGB"))) == (1024,) * 4
    assert grey_world(measure(np.full((4, 4), 900), phases((4, 4), "RGGB")), 2048) == (2048,) * 4


def test_gains(rng):
    frame, phase = log_uniform(rng, 4095, (31, 30)), phases((31, 30), "RGGB")
    gains = (16383, 1024, 700, 2500)
    exact = np.minimum(frame * np.array(gains)[phase] / 1024, 4095)
    result = balance(frame, phase, gains)
    assert np.abs(result - exact).max() <= 0.5
    assert (result[phase == 1] == frame[phase == 1]).all()
    assert 0 < (result == 4095).sum() < frame.size / 4


@pytest.mark.parametrize("order", BAYER_ORDERS)
@pytest.mark.parametrize("shape", SIZES)
def test_demosaic_is_the_formula_rounded(rng, order, shape):
    frame = log_uniform(rng, 4095, shape)
    rgb = demosaic(frame, phases(shape, order))
    exact = np.clip(malvar(frame, order), 0, 4095)
    assert np.abs(rgb - exact).max() < 0.5 + 1e-9
    for colour, channel in COLOURS.items():
        place = np.array(
            [[colour_at(order, y, x) == colour for x in range(shape[1])] for y in range(shape[0])]
        )
        assert (rgb[..., channel][place] == frame[place]).all()


def test_demosaic_beats_bilinear():
    y, x = np.mgrid[:96, :96]
    rings = 2000 + 1500 * np.sin(((x - 48) ** 2 + (y - 48) ** 2) / 160)
    picture = np.stack([rings, rings * 0.8, rings * 0.6 + 300], axis=-1).astype(int)
    frame = mosaic(picture, "RGGB")
    ours = psnr(demosaic(frame, phases(frame.shape, "RGGB")), picture, 4095)
    assert ours > psnr(bilinear(frame, "RGGB"), picture, 4095) + 3


def test_colour_matrix(rng):
    rgb = log_uniform(rng, 4095, (200, 3))
    matrix = rng.integers(-3000, 5000, (3, 3))
    exact = rgb @ (matrix.T / 1024)
    result = correct_colour(rgb, matrix)
    assert np.abs(result - np.clip(exact, 0, 4095)).max() <= 0.5
    assert (exact < -1).any()
    assert (exact > 4096).any()
    assert (correct_colour(rgb, IDENTITY_MATRIX) == rgb).all()


def test_ycbcr(rng):
    rgb = rng.integers(0, 256, (5000, 3))
    rgb[:8] = [[255 * (n >> c & 1) for c in range(3)] for n in range(8)]
    red, green, blue = rgb.T
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    exact = np.stack([y, 128 + (blue - y) / 1.772, 128 + (red - y) / 1.402], axis=-1)
    result = to_ycbcr(rgb)
    assert np.abs(result - np.minimum(exact, 255)).max() < 0.53
    assert (luma(rgb) == result[:, 0]).all()
    greys = np.repeat(np.arange(256)[:, None], 3, axis=1)
    assert (to_ycbcr(greys) == np.stack([greys[:, 0], *[np.full(256, 128)] * 2], axis=-1)).all()


def test_gamma():
    values = np.arange(4096)
    linear = values / 4095
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    error = np.abs(apply_gamma(values, srgb_table()) - 255 * curve)
    assert error.max() < 0.88
    assert error[64:].max() < 0.56
    identity = apply_gamma(values, IDENTITY_TABLE)
    assert (identity == np.minimum((values + 8) // 16, 255)).all()
    assert (identity[::16] == np.arange(256)).all()


def test_scaler_is_the_area_average(rng):
    fractions = 0
    for _ in range(100):
        rows, columns = log_uniform(rng, 90, 2) + 1
        picture = rng.integers(0, 256, (rows, columns, 3))
        left, top = rng.integers(0, columns), rng.integers(0, rows)
        crop = Crop(
            int(left), int(top),
            int(rng.integers(1, columns - left + 1)), int(rng.integers(1, rows - top + 1)),
        )  # fmt: skip
        width, height = (
            int(rng.integers(1, crop.width + 1)), int(rng.integers(1, crop.height + 1))
        )  # fmt: skip
        result = scale_down(picture, crop, width, height)
        assert result.shape == (height, width, 3)
        assert np.abs(result - area_average(picture, crop, width, height)).max() < 0.503
        fractions += crop.width % width != 0
    assert fractions > 20


@pytest.mark.parametrize(("size", "output"), [(1280, 320), (1024, 240), (7, 3), (5, 5), (1279, 1)])
def test_overlaps(size, output):
    weights = overlap_sums(np.eye(size, dtype=int), output)
    starts, pixels = np.arange(output)[:, None] * size, np.arange(size) * output
    common = np.minimum(starts + size, pixels + output) - np.maximum(starts, pixels)
    assert (weights == np.maximum(common, 0)).all()
    assert (weights.sum(axis=1) == size).all()
    assert (weights.sum(axis=0) == output).all()
    assert (np.count_nonzero(weights, axis=0) <= 2).all()


def test_scaler_keeps_flat_pictures(rng):
    for area in {1, 2, 3, 1280 * 1024, *(log_uniform(rng, (1 << 21) - 1, 500) + 1).tolist()}:
        mantissa, shift = reciprocal(int(area))
        assert 1 << 16 <= mantissa <= 1 << 17
        for value in (1, 127, 255):
            assert (value * area * mantissa + (1 << (shift - 1))) >> shift == value
    picture = rng.integers(0, 256, (9, 11, 1))
    assert (scale_down(picture, Crop(0, 0, 11, 9), 11, 9) == picture).all()


@pytest.mark.parametrize(
    ("scale", "zero_point", "low", "high"),
    [(1 / 255, -128, 0, 1), (2 / 255, -1, -1, 1), (1.0, -128, 0, 255), (0.02, 5, -2.1, 2.6)],
)
def test_quantiser(scale, zero_point, low, high):
    pixels = np.arange(256)
    exact = (low + (high - low) * pixels / 255) / scale + zero_point
    tensor = quantise(pixels, tensor_format(scale, zero_point, low, high))
    assert tensor.dtype == np.int8
    assert np.abs(tensor - np.clip(exact, -128, 127)).max() < 0.508


def test_shifted_pixels():
    assert tensor_format(1 / 255, -128) == SHIFTED
    assert quantise(np.arange(256), SHIFTED).tolist() == list(range(-128, 128))
