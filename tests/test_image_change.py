"""Change detection: what wakes and what does not."""

import re
from itertools import pairwise

import numpy as np
import pytest
from image_reference import log_uniform
from PIL import Image
from published import DATA, needs_data

from models.image.bayer import mosaic
from models.image.change import ChangeDetector, ChangeSettings, block_statistics
from models.image.colour import luma
from models.image.pipeline import Settings, process
from models.image.scaler import Crop, scale_down

SEED = 20261123


@pytest.fixture
def rng():
    print(f"seed {SEED}")
    return np.random.default_rng(SEED)


def scene():
    """A picture with flat parts and texture, 8 bits."""
    y, x = np.mgrid[:120, :160]
    return (
        128 + 60 * np.sin(x / 11) * np.cos(y / 17) + 40 * ((x // 20 + y // 15) % 2 - 0.5)
    ).astype(int)


@pytest.mark.parametrize("block_bits", [3, 4, 5])
@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (33, 50), (240, 320)])
def test_block_statistics(rng, block_bits, shape):
    picture = log_uniform(rng, 255, shape)
    size = 1 << block_bits
    mean, activity = block_statistics(picture, block_bits)
    assert mean.shape == (-(-shape[0] // size), -(-shape[1] // size))
    for row, column in np.ndindex(mean.shape):
        block = picture[row * size : (row + 1) * size, column * size : (column + 1) * size]
        steps = sum(abs(int(b) - int(a)) for line in block for a, b in pairwise(line))
        assert mean[row, column] == 16 * int(block.sum()) // size**2
        assert activity[row, column] == 16 * steps // size**2


def test_reference_adapts_and_thresholds_are_exact():
    detector = ChangeDetector(ChangeSettings(mean_threshold=160, count=1, shift=2))
    flat = np.full((16, 16), 100)
    assert not detector.step(flat).wake
    assert not detector.step(flat + 10).wake  # 160 is not more than the threshold
    assert (detector.reference[0] == (1600 << 8) + (160 << 8 >> 2)).all()
    step = detector.step(flat + 13)
    assert step.wake  # 208 - 40 > 160
    assert step.block_map.all()
    assert step.bounding_box() == (0, 0, 1, 1)
    for _ in range(60):
        step = detector.step(flat + 13)
    assert not step.wake
    assert step.bounding_box() is None
    low = detector.step(flat - 200 + 120)
    assert low.wake


def test_texture_without_a_change_of_mean():
    flat = np.full((32, 32), 100)
    textured = flat.copy()
    textured[8:16, 8:16] += np.where(np.arange(8) % 2, 30, -30)
    detector = ChangeDetector(ChangeSettings(count=1))
    detector.step(flat)
    step = detector.step(textured)
    assert step.wake
    assert np.argwhere(step.block_map).tolist() == [[1, 1]]


def test_count():
    for blocks in range(5):
        frame = scene()
        detector = ChangeDetector(ChangeSettings(count=3))
        detector.step(frame)
        for block in range(blocks):
            rows = slice(16 * block, 16 * block + 8)
            frame[rows, 40:48] = 255 - frame[rows, 40:48] // 4
        step = detector.step(frame)
        assert step.block_map.sum() == blocks
        assert step.wake == (blocks >= 3)


def test_a_frame_cut_short_has_moved_its_complete_blocks():
    flat = np.full((19, 21), 100)
    detector = ChangeDetector(ChangeSettings(shift=1))
    detector.cut_short(flat + 50, 19 * 21)
    assert detector.reference is None
    detector.step(flat)
    before = detector.reference.copy()
    # Blocks end at pixels 7, 15, 20 of rows 7, 15, 18.
    for pixels, count in ((7 * 21 + 7, 0), (7 * 21 + 8, 1), (8 * 21, 3), (18 * 21 + 20, 8)):
        detector.reference = before.copy()
        detector.cut_short(flat + 50, pixels)
        assert (detector.reference[0] != before[0]).sum() == count
    whole = ChangeDetector(ChangeSettings(shift=1))
    whole.step(flat)
    whole.step(flat + 50)
    detector.reference = before
    detector.cut_short(flat + 50, 19 * 21)
    assert (detector.reference == whole.reference).all()


def lumas(frames, order="RGGB"):
    """Luma of 160 x 120 of each frame, through the mosaic and all stages."""
    for rgb in frames:
        done = process(mosaic(rgb, order), Settings(order=order, bits=8))
        rows, columns = rgb.shape[:2]
        yield luma(scale_down(done.rgb, Crop(0, 0, columns, rows), 160, 120))


def noisy(rng, picture, sigma):
    return np.clip(np.rint(picture + rng.normal(0, sigma, picture.shape)), 0, 255).astype(int)


@needs_data
@pytest.mark.parametrize("name", ["astronaut", "coffee"])
def test_sequences(rng, name):
    path = DATA / "scikit-image-v0.15.0" / f"{name}.png"
    picture = np.asarray(Image.open(path)).astype(int)[:240, 100:420]

    static = [noisy(rng, picture, 8) for _ in range(8)]
    drift = [noisy(rng, picture * gain, 3) for gain in np.linspace(1, 0.9, 20)]
    moving = [noisy(rng, picture, 8) for _ in range(8)]
    patch = picture[30:70, 100:140, ::-1]
    for step in range(4):
        moving[4 + step][100:140, 60 + 10 * step : 100 + 10 * step] = patch

    wakes = {}
    for title, frames in (("static", static), ("drift", drift), ("moving", moving)):
        detector = ChangeDetector()
        wakes[title] = [detector.step(frame).wake for frame in map(np.asarray, lumas(frames))]
    assert not any(wakes["static"])
    assert not any(wakes["drift"])
    assert abs(drift[-1].mean() - drift[0].mean()) > 8  # a jump of it would wake
    assert wakes["moving"] == [False] * 4 + [True] * 4


@needs_data
def test_a_camera_that_moves():
    detector = ChangeDetector()
    wakes, counts = [], []
    for number in range(1, 10):
        path = DATA / "pulp-platform-pulp-dronet/frames_himax" / f"frame_{number}.pgm"
        step = detector.step(np.asarray(Image.open(path)).astype(int))
        wakes.append(step.wake)
        counts.append(int(step.block_map.sum()))
        print("\n".join("".join(".#"[bit] for bit in row) for row in step.block_map), "\n")
    assert wakes == [False] + [True] * 8
    print(counts)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ChangeSettings(block_bits=2), "block_bits must be in 3..5, not 2"),
        (
            lambda: ChangeSettings(mean_threshold=4096),
            "mean_threshold must be in 0..4095, not 4096",
        ),
        (lambda: ChangeSettings(count=0), "count must be in 1..2047, not 0"),
        (lambda: ChangeSettings(shift=9), "shift must be in 0..8, not 9"),
        (lambda: ChangeDetector().step(np.zeros((241, 8), int)), "at most 320x240, not 8x241"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_another_size_needs_a_reset():
    detector = ChangeDetector()
    detector.step(np.zeros((16, 16), int))
    with pytest.raises(ValueError, match=r"reference has \(2, 2\) blocks, the frame \(2, 3\)"):
        detector.step(np.zeros((16, 24), int))
