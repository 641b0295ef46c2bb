"""The chip sees: from a camera's pins to a network, to a file, and to a wake-up."""

import numpy as np
import pytest
from image_pictures import photo
from judge import activation, constant, convolution, network, random_int8
from published import MODELS, needs_data

from hdl.config import SMALL
from hdl.power.domains import Mode, WakeSource
from mmsp.imaging.targets import TARGETS, Registers, Scaling
from mmsp.inputs import make_batch
from mmsp.loading import load_model
from mmsp.references import golden_outputs
from mmsp.simulator.image import CHANGE, JPEG, RECEIVE, TENSOR, ChipImage
from mmsp.simulator.simulator import Simulator
from models.image.bayer import PIXEL_MAX, mosaic
from models.image.change import ChangeSettings
from models.image.dvp import DvpConfig
from models.image.jpeg import JpegSettings
from models.image.pipeline import Settings
from models.image.scaler import Crop
from verif.dvp_camera import Blanking, film

pytestmark = pytest.mark.sim

ROWS, COLUMNS = 40, 48
CAMERA = DvpConfig(width=COLUMNS, height=ROWS, bits=12)
HEIGHT, WIDTH = 16, 20
CROP = Crop(left=3, top=2, width=42, height=36)
QUIET = 64  # periods of the always-on clock
PAUSE = Blanking(line=6, back=8000)
"""Clocks of the camera behind a frame: the network runs, and the chip falls asleep."""


def seeing_network(rng):
    """A convolution of three colours."""
    source = activation("picture", (1, HEIGHT, WIDTH, 3), 1 / 255, -128)
    weights = constant("weights", random_int8(rng, (2, 3, 3, 3)), (0.01, 0.02))
    output = activation("edges", (1, HEIGHT - 2, WIDTH - 2, 2), 0.1)
    return network(convolution(source, weights, None, output), name="edges")


def scene(rng, frames):
    """A smooth picture with noise, in another light each time; the last quarter changes place."""
    y, x = np.indices((ROWS, COLUMNS))
    base = 1500 + 900 * np.sin(x / 7) + 700 * np.cos(y / 5)
    shots = [base * (1 + 0.02 * n) + rng.normal(0, 20, base.shape) for n in range(frames)]
    return [shot.clip(0, 4095).astype(np.int64) for shot in shots]


@pytest.fixture
def settings(rng):
    """Registers that change every stage."""
    return Settings(
        order="GBRG",
        black_levels=tuple(int(v) for v in rng.integers(20, 100, 4)),
        gains=tuple(int(v) for v in rng.integers(1000, 1400, 4)),
    )


def tensor_of(made):
    """The tensor, which there is."""
    assert made.tensor is not None
    return made.tensor


def change_of(made):
    """The change, which there is."""
    assert made.change is not None
    return made.change


def seen(simulator):
    """The chip's camera port, with its clocks running."""
    simulator.chip.enter(Mode.IMAGE_INFER)
    return ChipImage(simulator.chip)


def test_frames_start_the_network_and_become_files(rng, settings):
    graph, frames = seeing_network(rng), scene(rng, 4)
    registers = Registers(settings, Scaling(CROP, WIDTH, HEIGHT), jpeg=JpegSettings())
    expected = TARGETS["golden"](frames, registers)
    with Simulator(graph, SMALL) as simulator:
        chip, (port,) = simulator.chip, simulator.description.inputs
        image = seen(simulator)
        image.configure(CAMERA, registers, simulator.description.tensors[port.tensor].placement)
        image.windows.write("automatic", 1)
        chip.call("start_at", simulator.image.program.first_word)
        image.enter(RECEIVE | TENSOR | JPEG)
        image.film(film(rng, frames, PAUSE), CAMERA)
        found = []
        for _ in image.windows.each(QUIET, asleep=False):
            found.append({p.name: simulator.read(p) for p in simulator.description.outputs})
        assert not image.losses
        assert image.files == [made.jpeg for made in expected]
        assert chip.mode == Mode.IMAGE_INFER
    windows = np.stack([tensor_of(made) for made in expected])
    batch = make_batch({port.name: windows[:, None]}, [port])
    golden = golden_outputs(load_model(graph, None), batch)
    assert len(found) == len(frames)
    for name, values in golden.items():
        np.testing.assert_array_equal(np.stack([each[name] for each in found]), values)
    assert len(np.unique(golden["edges"], axis=0)) == len(frames)


def test_a_change_wakes_the_chip(rng, settings):
    frames = scene(rng, 8)
    for n in (4, 5, 6, 7):
        frames[n][10:30, 20:40] = 4000 - frames[n][10:30, 20:40]
    change = ChangeSettings(mean_threshold=10 << 4, activity_threshold=100 << 4)
    registers = Registers(settings, Scaling(CROP, WIDTH, HEIGHT), change)
    expected = [change_of(made) for made in TARGETS["golden"](frames, registers)]
    first = next(n for n, each in enumerate(expected) if each.wake)
    assert first == 4, "the moved block must be the first change"
    with Simulator(seeing_network(rng), SMALL) as simulator:
        chip = simulator.chip
        image = seen(simulator)
        image.configure(CAMERA, registers, None)
        image.enter(RECEIVE | CHANGE)
        image.windows.sleep()
        chip.wait(100)
        assert chip.mode == Mode.IMAGE_WATCH
        asleep = image.elapsed.core
        pins = [film(rng, [frame], PAUSE) for frame in frames]
        for n, shot in enumerate(pins[: first + 1]):
            assert chip.mode == Mode.IMAGE_WATCH, f"frame {n - 1} wakes"
            assert image.elapsed.core == asleep, "the core's clock runs"
            image.film(shot, CAMERA)
            while image.unseen:
                chip.wait(1)
        for _ in range(200):
            chip.wait(1)
            if chip.mode == Mode.IMAGE_INFER:
                break
        assert chip.mode == Mode.IMAGE_INFER
        assert chip.library.harness_wake_pending(chip.handle) == 1 << WakeSource.IMAGE.value
        assert image.read("change") & 0x7FF == expected[first].block_map.sum()
        assert not image.losses


@needs_data
@pytest.mark.parametrize(("name", "person"), [("astronaut", True), ("coffee", False)])
def test_visual_wake_words_from_the_pins(name, person):
    """A photo's mosaic at the pins of the FULL chip; its network says whether it is a person."""
    frame = mosaic(photo(name).astype(np.int64) << 4, "RGGB")
    rows, columns = frame.shape
    camera = DvpConfig(width=columns, height=rows, bits=12)
    scaling = Scaling(Crop(0, 0, columns, rows), 96, 96)
    registers = Registers(Settings(bad_pixel_threshold=PIXEL_MAX), scaling)
    (made,) = TARGETS["golden"]([frame], registers)
    path = MODELS / "vww_96_int8.tflite"
    with Simulator(path, "FULL") as simulator:
        chip, (port,) = simulator.chip, simulator.description.inputs
        image = seen(simulator)
        image.configure(camera, registers, simulator.description.tensors[port.tensor].placement)
        image.windows.write("automatic", 1)
        chip.call("start_at", simulator.image.program.first_word)
        image.enter(RECEIVE | TENSOR)
        image.film(film(np.random.default_rng(1), [frame], PAUSE), camera)
        assert next(iter(image.windows.each(QUIET, asleep=False)), "none") is None
        (output,) = simulator.description.outputs
        found = simulator.read(output)
        assert not image.losses
    batch = make_batch({port.name: tensor_of(made)[None]}, [port])
    (expected,) = golden_outputs(load_model(path, None), batch).values()
    np.testing.assert_array_equal(found.reshape(-1), expected.reshape(-1))
    no_person, is_person = found.reshape(-1).tolist()
    assert (is_person > no_person) == person
