"""From a camera's pins to pictures, tensors, wake-ups and files: all of the image front end."""

from dataclasses import replace

import numpy as np
import pytest
from image_pictures import needs_pictures, photo

from mmsp.compiler.placement import Placement
from mmsp.imaging.rtl import ImageModel
from mmsp.imaging.targets import Registers, Scaling, differences, modelled
from mmsp.simulator import SimulationError
from models.image.bayer import BAYER_ORDERS, align, mosaic
from models.image.change import ChangeSettings
from models.image.dvp import DvpConfig, receive
from models.image.jpeg import JpegSettings
from models.image.pipeline import Settings, process
from models.image.quantiser import TensorFormat
from models.image.scaler import Crop
from verif.dvp_camera import TIGHT, Blanking, CameraFault, film
from verif.image_registers import frame_size

SEED = 20_261_123
LOOSE = Blanking(vsync=9, front=30, line=12, back=40, fixed=False)
NONE = CameraFault.NONE
FAULTY = [fault for fault in CameraFault if fault is not NONE]

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
            FAULTY[int(rng.integers(len(FAULTY)))] if rng.integers(2) else NONE for _ in range(10)
        ]
        blanking = (TIGHT, LOOSE, Blanking(line=2, back=3))[run % 3]
        faults.append(NONE)
        frames = [random_frame(rng, height, width, settings.bits) for _ in faults]
        pins = film(rng, frames, blanking, faults)
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


def test_off_in_the_middle_of_a_frame(model):
    """`idle` only when nothing comes any more (asserted in the design), and nothing is left."""
    rng = np.random.default_rng(SEED)
    rows, columns = 14, 11
    config, registers = DvpConfig(width=columns, height=rows), Registers(random_settings(rng, 12))
    aborted = 0
    for run in range(24):
        frames = [random_frame(rng, rows, columns, 12) for _ in range(2)]
        # With long pauses the first pixels of a line find all that is behind them at rest.
        pins = film(rng, frames, (TIGHT, Blanking(line=90))[run & 1])
        clocks = int(rng.choice(np.flatnonzero(pins.href)))
        left = model.capture(pins.first(clocks), config, registers)
        assert left.dropped <= 1  # the last pixel stays on the pins for some clocks
        assert left.good == len(left.rgb) == len(left.statistics)
        aborted += left.aborted
        check_frames(model, frames, registers)
    assert aborted > 5


def test_gamma_waits_for_the_end_of_frames():
    """Knots are taken while nothing is received: so no frame has two tables."""
    knots = np.zeros(257, np.uint16)
    with ImageModel() as model:
        model.call("gamma", knots.ctypes.data, knots.size)
        model.write("size", frame_size(DvpConfig(width=8, height=8)))
        vsync, receive_mode = np.array([1 << 12], np.uint16), 1
        model.call("run", vsync.ctypes.data, vsync.size, receive_mode)
        with pytest.raises(SimulationError, match="a table takes no row"):
            model.call("gamma", knots.ctypes.data, knots.size)


def random_scaling(rng, rows, columns, **fixed):
    """Any rectangle, any size within it and its limits."""
    least_width, least_height = fixed.get("width", 1), fixed.get("height", 1)
    width, height = (
        int(rng.integers(least, size + 1))
        for least, size in ((least_width, columns), (least_height, rows))
    )
    crop = Crop(
        int(rng.integers(columns - width + 1)), int(rng.integers(rows - height + 1)), width, height
    )
    drawn = {
        "width": int(rng.integers(1, min(width, 320) + 1)),
        "height": int(rng.integers(1, min(height, 240) + 1)),
        "grey": bool(rng.integers(2)),
        "tensor": TensorFormat(int(rng.integers(4000, 30000)), int(rng.integers(-(1 << 21), 0))),
    }
    return Scaling(crop=crop, **(drawn | fixed))


def random_place(rng, scaling):
    """Packed, or a pixel a word; anywhere."""
    channels = 1 if scaling.grey else 3
    return Placement(
        pixels=(scaling.height, scaling.width, channels),
        word_bytes=16,
        packed=bool(rng.integers(2)),
        base=int(rng.integers(1 << 12)),
        row0=int(rng.integers(4)),
    )


def test_tensors_and_changes(model):
    """Words in any place, maps of every frame; the core takes words with and without pauses."""
    rng = np.random.default_rng(SEED)
    changed = 0
    for run in range(16):
        rows, columns = rng.integers(8, 70, 2).tolist()
        settings = random_settings(rng)
        scaling = random_scaling(rng, rows, columns)
        change = ChangeSettings(mean_threshold=40, activity_threshold=900, count=1)
        registers = Registers(settings, scaling, change)
        frames = [random_frame(rng, rows, columns, settings.bits) for _ in range(3)]
        expected = modelled(frames, registers)
        config = DvpConfig(width=columns, height=rows, bits=settings.bits)
        pins = film(rng, frames, (TIGHT, LOOSE)[run & 1])
        place = random_place(rng, scaling)
        found = model.capture(pins, config, registers, place, stall=0.2 * (run & 2), seed=run + 1)
        assert found.faults == ()
        assert len(found.tensors) == len(found.changes) == len(frames)
        for index, each in enumerate(expected):
            np.testing.assert_array_equal(found.tensors[index], each.tensor)
            np.testing.assert_array_equal(found.changes[index].block_map, each.change.block_map)
            assert found.changes[index].wake == each.change.wake
            changed += each.change.wake
        assert found.wake == expected[-1].change.wake
        assert not model.capture(pins, config, replace(registers, change=None), place).wake
    assert changed > 8


@pytest.mark.parametrize("periods", [(5, 7), (7, 5), (1, 1), (13, 4), (3, 10)])
def test_clocks_of_any_ratio(model, periods):
    """A core that is slower than the camera, as fast, faster; files where it is fast enough."""
    rng = np.random.default_rng(SEED)
    settings = random_settings(rng)
    jpeg = JpegSettings.of_quality(80) if 2 * periods[0] <= periods[1] else None
    scaling = random_scaling(rng, 32, 48, width=13, height=17)
    registers = Registers(settings, scaling, ChangeSettings(count=1), jpeg)
    frames = [random_frame(rng, 32, 48, settings.bits) for _ in range(3)]
    expected = modelled(frames, registers)
    config = DvpConfig(width=48, height=32, bits=settings.bits)
    pins = film(rng, frames, Blanking(line=3, back=3000 if jpeg else 0))
    found = model.capture(pins, config, registers, periods=periods)
    assert found.faults == ()
    assert found.statistics == [each.statistics for each in expected]
    assert found.files == [each.jpeg for each in expected if jpeg]
    np.testing.assert_array_equal(found.tensors, [each.tensor for each in expected])
    for change, each in zip(found.changes, expected, strict=True):
        np.testing.assert_array_equal(change.block_map, each.change.block_map)
        assert change.wake == each.change.wake


def test_a_core_that_takes_no_words(model):
    """The tensor is given up and flagged; pictures and change detection do not notice."""
    rng = np.random.default_rng(SEED)
    settings = random_settings(rng, 12)
    scaling = random_scaling(rng, 20, 30, width=16, height=16)
    registers = Registers(settings, scaling, ChangeSettings())
    frames = [random_frame(rng, 20, 30, 12) for _ in range(3)]
    expected = modelled(frames, registers)
    config, pins = DvpConfig(width=30, height=20), film(rng, frames)
    found = model.capture(pins, config, registers, stall=0.99, seed=SEED)
    assert found.faults == ("tensor_dropped",)
    assert len(found.tensors) < len(frames)
    for index, each in enumerate(expected):
        np.testing.assert_array_equal(found.rgb[index], each.rgb)
        np.testing.assert_array_equal(found.changes[index].block_map, each.change.block_map)
    # Nothing of it is left in the next tensors.
    again = model.capture(pins, config, registers)
    assert again.faults == ()
    np.testing.assert_array_equal(again.tensors, [each.tensor for each in expected])


@pytest.mark.parametrize("grey", [False, True])
def test_files(model, grey):
    """JPEG of whole frames, restart markers, next to tensors and change detection."""
    rng = np.random.default_rng(SEED)
    settings = random_settings(rng)
    for rows, columns in ((17, 33), (48, 20)):
        jpeg = JpegSettings.of_quality(int(rng.integers(20, 96)), restart_interval=3)
        scaling = random_scaling(rng, rows, columns)
        registers = Registers(settings, scaling, ChangeSettings(), jpeg, jpeg_grey=grey)
        frames = [random_frame(rng, rows, columns, settings.bits) for _ in range(2)]
        found = check_frames(model, frames, registers)
        assert all(each.jpeg.endswith(b"\xff\xd9") for each in found)


def test_dropped_frames_give_no_tensor_and_no_file(model):
    """Those around them are whole; a file that had begun ends as a bad one."""
    rng = np.random.default_rng(SEED)
    jpeg = JpegSettings.of_quality(70)
    dropped, bad = 0, 0
    for _ in range(3):
        rows, columns = 34, 32
        settings = random_settings(rng, 12)
        scaling = random_scaling(rng, rows, columns)
        registers = Registers(settings, scaling, jpeg=jpeg)
        faults = [FAULTY[int(rng.integers(len(FAULTY)))] if n & 1 else NONE for n in range(9)]
        frames = [random_frame(rng, rows, columns, 12) for _ in faults]
        config = DvpConfig(width=columns, height=rows)
        pins = film(rng, frames, Blanking(line=1, back=4000), faults)
        whole = receive(pins.vsync, pins.href, pins.data, config).frames
        expected = modelled(whole, registers)
        found = model.capture(pins, config, registers)
        assert found.good == len(whole) == len(found.tensors) == len(found.files)
        for index, each in enumerate(expected):
            np.testing.assert_array_equal(found.tensors[index], each.tensor)
            assert found.files[index] == each.jpeg
        dropped, bad = dropped + found.dropped, bad + found.bad_files
    assert dropped > 8
    assert bad > 1


@needs_pictures
def test_a_block_that_moves_wakes(model):
    """A photograph with noise does not wake, and does with the first frame that has a block."""
    rng = np.random.default_rng(SEED)
    original = photo("astronaut", 160, 200).astype(int)
    frames = []
    for step in range(6):
        picture = original + np.rint(rng.normal(0, 8, original.shape)).astype(int)
        if step > 2:
            picture[60:100, 40 + 10 * step : 80 + 10 * step] = original[:40, :40, ::-1]
        frames.append(mosaic(picture.clip(0, 255), "RGGB"))
    scaling = Scaling(Crop(0, 0, 200, 160), 100, 80)
    found = check_frames(model, frames, Registers(Settings(bits=8), scaling, ChangeSettings()))
    assert [each.change.wake for each in found] == [False] * 3 + [True] * 3


def test_a_pixel_a_clock(model):
    """Busy from the first VSYNC until four lines and a few clocks behind the last pixel."""
    rng = np.random.default_rng(SEED)
    rows, columns = 24, 50
    frame = random_frame(rng, rows, columns, 12)
    config = DvpConfig(width=columns, height=rows)
    pins = film(rng, [frame])
    found = model.capture(pins, config, Registers(Settings()))
    tail = 4 * columns + 4
    assert found.busy_clocks - (len(pins) + tail) in range(30, 60)
