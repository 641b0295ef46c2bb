# amaranth: UnusedElaboratable=no

"""Change detection in hardware: random frames, and sequences of real pictures."""

import numpy as np
import pytest
from PIL import Image

from hdl.image.change import ChangeDetector
from models.image.colour import luma
from models.image.scaler import Crop, scale_down
from tests.published import DATA, needs_data
from verif.sim import simulate, simulation_seed


@pytest.mark.sim
@pytest.mark.parametrize("testcase", ["random_frames", "back_to_back"])
def test_detector_matches_model(testcase):
    simulate(
        ChangeDetector(), bench="verif.tb_image_change", name="image_change", testcase=testcase
    )


def scaled_luma(rgb):
    """What the detector sees of a frame: 80 x 60."""
    rows, columns = rgb.shape[:2]
    return luma(scale_down(rgb, Crop(0, 0, columns, rows), 80, 60))


@pytest.mark.sim
@needs_data
def test_detector_on_sequences(tmp_path):
    """Noise and a drift do not wake; a block that appears and moves does, from its first frame."""
    rng = np.random.default_rng(simulation_seed())
    path = DATA / "scikit-image-v0.15.0" / "astronaut.png"
    picture = np.asarray(Image.open(path)).astype(int)[:240, 100:420]

    def noisy(gain, sigma):
        frame = picture * gain + rng.normal(0, sigma, picture.shape)
        return np.clip(np.rint(frame), 0, 255).astype(int)

    moving = [noisy(1, 8) for _ in range(6)]
    patch = picture[30:70, 100:140, ::-1]
    for step in range(3):
        moving[3 + step][100:140, 60 + 10 * step : 100 + 10 * step] = patch
    sequences = {
        "noise": [noisy(1, 8) for _ in range(4)],
        "drift": [noisy(gain, 3) for gain in np.linspace(1, 0.9, 20)],
        "moving": moving,
    }
    frames = {
        name: np.stack([scaled_luma(frame) for frame in sequence])
        for name, sequence in sequences.items()
    }
    camera = DATA / "pulp-platform-pulp-dronet" / "frames_himax"
    frames["moving camera"] = np.stack(
        [np.asarray(Image.open(camera / f"frame_{number}.pgm")) for number in (1, 2)]
    )
    path = tmp_path / "sequences.npz"
    np.savez(path, **{name: frame.astype(np.uint8) for name, frame in frames.items()})
    simulate(
        ChangeDetector(),
        bench="verif.tb_image_change",
        name="image_change",
        testcase="sequences",
        parameters={"sequences": str(path), "first_moving": 3},
    )
