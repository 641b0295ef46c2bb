"""What the image front end makes of real pictures."""

from functools import cache

import numpy as np
import pytest
from image_reference import bilinear, malvar, psnr
from PIL import Image
from published import DATA, needs_data

from mmsp.compiler.legalize import legalize
from mmsp.golden import run_golden
from mmsp.importers.tflite import read_tflite
from models.image.bad_pixels import correct_bad_pixels
from models.image.bayer import BAYER_ORDERS, align, mosaic, phases
from models.image.black_level import subtract_black
from models.image.demosaic import demosaic
from models.image.gamma import srgb_table
from models.image.pipeline import Settings, process, tensor_of
from models.image.scaler import Crop
from models.image.statistics import grey_world, measure

pytestmark = needs_data

PICTURES = ("astronaut", "coffee")
OFF = 4095
"""A threshold of bad pixels that none exceeds: a rendered picture has none."""
RAW_SHAPE = (512, 768)


@cache
def picture(name):
    return np.asarray(Image.open(DATA / "scikit-image-v0.15.0" / f"{name}.png")).astype(int)


def raw(suffix=""):
    data = np.fromfile(DATA / f"mushfiqulalam-isp/DSC_1339_768x512_rggb{suffix}.raw", "<u2")
    return align(data.reshape(RAW_SHAPE), 14)


@pytest.mark.parametrize("order", BAYER_ORDERS)
@pytest.mark.parametrize("name", PICTURES)
def test_demosaic(name, order):
    original = picture(name) << 4
    frame = mosaic(original, order)
    ours = psnr(demosaic(frame, phases(frame.shape, order)), original, 4095)
    formula = psnr(np.clip(malvar(frame, order), 0, 4095), original, 4095)
    plain = psnr(bilinear(frame, order), original, 4095)
    print(f"{name} {order}: {ours:.2f} dB, float {formula:.2f} dB, bilinear {plain:.2f} dB")
    assert abs(ours - formula) < 0.01
    assert ours >= plain + 3


@pytest.mark.parametrize(("rank", "bar"), [(0, 49), (1, 49), (2, 45), (3, 40)])
def test_bad_pixels_of_a_raw_picture(rank, bar):
    clean, damaged = raw(), raw("_bpc_test")
    hurt = clean != damaged
    assert hurt.sum() == 400
    assert psnr(damaged, clean, 4095) < 34
    corrected, bad = correct_bad_pixels(damaged, rank=rank)
    found = np.count_nonzero(bad & hurt)
    false = np.count_nonzero(bad & ~hurt)
    print(f"rank {rank}: {psnr(corrected, clean, 4095):.2f} dB, {found} found, {false} false")
    assert psnr(corrected, clean, 4095) >= bar
    assert found > 270


def test_grey_world_of_a_raw_picture():
    frame = raw()
    phase = phases(frame.shape, "RGGB")
    levels = (150,) * 4
    statistics = measure(subtract_black(frame, phase, levels), phase, OFF - 150)
    assert sum(statistics.counts) + statistics.clipped == frame.size
    assert sum(statistics.histogram) == frame.size
    gains = grey_world(statistics, white=OFF - 150)
    assert min(gains) == (1024 * OFF + 1972) // (OFF - 150)
    settings = Settings(bits=12, black_levels=levels, gains=gains, gamma=srgb_table())
    means = process(frame, settings).rgb.mean(axis=(0, 1))
    assert means.max() - means.min() < 16
    cast = process(frame, Settings(bits=12, black_levels=levels, gamma=srgb_table()))
    assert np.ptp(cast.rgb.mean(axis=(0, 1))) > 25


@pytest.mark.parametrize(("name", "order", "person"), [
    ("astronaut", "RGGB", True), ("astronaut", "GBRG", True),
    ("coffee", "RGGB", False), ("coffee", "BGGR", False),
])  # fmt: skip
def test_visual_wake_words(name, order, person):
    original = picture(name)
    settings = Settings(order=order, bits=8, bad_pixel_threshold=OFF)
    rgb = process(mosaic(original, order), settings).rgb
    rows, columns = rgb.shape[:2]
    tensor = tensor_of(rgb, Crop(0, 0, columns, rows), 96, 96)
    path = DATA / "mlcommons-tiny/models/vww_96_int8.tflite"
    graph = read_tflite(path.read_bytes(), path.name)
    (scores,) = run_golden(graph, legalize(graph), {graph.inputs[0]: tensor[None]}).values()
    no_person, is_person = scores.reshape(-1).tolist()
    print(f"{name}: person {is_person}, no person {no_person}")
    assert (is_person > no_person) == person
