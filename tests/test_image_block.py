"""From a camera's pins to pictures: the whole image block against the golden models."""

import numpy as np
import pytest
from image_pictures import needs_pictures, photo

from mmsp.imaging.rtl import ImageModel
from mmsp.imaging.targets import Registers, differences, modelled
from models.image.bayer import BAYER_ORDERS, align, mosaic
from models.image.dvp import DvpConfig, receive
from models.image.pipeline import Settings, process
from verif.dvp_camera import TIGHT, Blanking, CameraFault, frame_pins, join

SEED = 20_261_123
LOOSE = Blanking(vsync=9, front=30, line=12, back=40, fixed=False)
FAULTY = [fault for fault in CameraFault if fault is not CameraFault.NONE]

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def model():
    with ImageModel() as opened:
        yield opened


def random_settings(rng, bits=None):
    """Registers of all magnitudes; the pictures must not become black or white."""
    matrix = rng.integers(-300, 301, (3, 3)) + np.diag(rng.integers(500, 1500, 3))
    return Settings(
        order=BAYER_ORDERS[int(rng.integers(4))],
        bits=bits or int(rng.integers(8, 13)),
        black_levels=rng.integers(0, 200, 4).tolist(),
        bad_pixel_threshold=int(rng.integers(1 << int(rng.integers(1, 13)))),
        bad_pixel_rank=int(rng.integers(4)),
        clip_limit=int(rng.integers(1000, 4096)),
        gains=rng.integers(700, 3000, 4).tolist(),
        matrix=matrix.tolist(),
        gamma=np.sort(rng.integers(0, 1 << 12, 257)).tolist(),
    )


def random_frame(rng, rows, columns, bits):
    """A gradient, noise of all magnitudes, and pixels that are stuck."""
    limit = (1 << bits) - 1
    down, across = np.ogrid[:rows, :columns]
    smooth = limit * (down / rows + across / columns) / 2
    noise = rng.normal(size=(rows, columns)) * 2.0 ** rng.uniform(0, bits)
    frame = np.clip(smooth + noise, 0, limit)
    stuck = rng.random((rows, columns)) < 0.02
    return np.where(stuck, rng.choice([0, limit], (rows, columns)), frame).astype(int)


def check_frames(model, frames, registers, **camera):
    """All that frames give is what the models say; give that."""
    expected = modelled(frames, registers)
    found = model.outputs(frames, registers, **camera)
    assert [differences(*pair) for pair in zip(found, expected, strict=True)] == [0] * len(frames)
    return found


@pytest.mark.parametrize("order", BAYER_ORDERS)
def test_any_size_and_blanking(model, order):
    """Smallest frames without blanking, odd ones; all registers, each frame another picture."""
    rng = np.random.default_rng([SEED, BAYER_ORDERS.index(order)])
    seen = set()
    for size in ((4, 4), (4, 5), (5, 4), (7, 6), (9, 31), (30, 17), *rng.integers(4, 40, (4, 2))):
        for blanking in (TIGHT, LOOSE):
            settings = random_settings(rng)
            frames = [random_frame(rng, *size, settings.bits) for _ in range(4)]
            seed = int(rng.integers(1 << 30))
            found = check_frames(model, frames, Registers(settings), blanking=blanking, seed=seed)
            seen.update(np.concatenate([each.rgb.reshape(-1) for each in found]).tolist())
    assert len(seen) > 200, "the pictures must not be degenerate"


def test_widest_lines(model):
    rng = np.random.default_rng(SEED)
    settings = random_settings(rng)
    frames = [random_frame(rng, 9, 1280, settings.bits) for _ in range(2)]
    check_frames(model, frames, Registers(settings))


@needs_pictures
@pytest.mark.parametrize("order", BAYER_ORDERS)
def test_photographs(model, order):
    """Two at once, as they are, 8 bits."""
    registers = Registers(Settings(order=order, bits=8))
    frames = [mosaic(photo(name, 120, 300), order) for name in ("astronaut", "coffee")]
    check_frames(model, frames, registers)


def test_faults(model):
    """What is dropped leaves nothing behind, and takes nothing with it that was whole."""
    rng = np.random.default_rng(SEED)
    dropped, aborted, raised = 0, 0, set()
    for run in range(24):
        height, width = rng.integers(4, 14, 2).tolist()
        settings = random_settings(rng)
        config = DvpConfig(
            width=width,
            height=height,
            bits=settings.bits,
            vsync_low=bool(run & 1),
            href_low=bool(run & 2),
        )
        faults = [
            FAULTY[int(rng.integers(len(FAULTY)))] if rng.integers(2) else CameraFault.NONE
            for _ in range(10)
        ]
        blanking = (TIGHT, LOOSE, Blanking(line=2, back=3))[run % 3]
        pins = join(
            frame_pins(rng, random_frame(rng, height, width, settings.bits), blanking, fault)
            for fault in [*faults, CameraFault.NONE]
        )
        driven = pins.polarised(config)
        expected = receive(driven.vsync, driven.href, driven.data, config)
        found = model.capture(pins, config, Registers(settings))
        whole = [align(frame, 12) for frame in expected.frames]
        processed = [process(frame, settings_of_12_bits(settings)) for frame in whole]
        assert (found.good, found.dropped) == (len(whole), expected.dropped)
        assert len(found.rgb) == len(found.ycbcr) == len(found.statistics) == len(whole)
        for index, each in enumerate(processed):
            np.testing.assert_array_equal(found.rgb[index], each.rgb)
            np.testing.assert_array_equal(found.ycbcr[index], each.ycbcr)
            assert found.statistics[index] == each.statistics
        assert set(found.faults) == {name for name, count in expected.faults.items() if count}
        dropped, aborted = dropped + found.dropped, aborted + found.aborted
        raised.update(found.faults)
    assert raised == set(expected.faults)
    assert dropped > 60
    assert aborted > 15, "of frames that were dropped, enough must have come through in part"


def settings_of_12_bits(settings):
    """For frames that are aligned already."""
    return Settings(**(vars(settings) | {"bits": 12}))


def test_a_pixel_a_clock(model):
    """Busy from the first VSYNC until four lines and a few clocks behind the last pixel."""
    rng = np.random.default_rng(SEED)
    rows, columns = 24, 50
    frame = random_frame(rng, rows, columns, 12)
    config = DvpConfig(width=columns, height=rows)
    pins = frame_pins(rng, frame, TIGHT)
    found = model.capture(pins, config, Registers(Settings()))
    tail = 4 * columns + 4
    assert found.busy_clocks - (len(pins) + tail) in range(20, 40)
