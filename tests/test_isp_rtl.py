"""``mmsp isp`` and ``mmsp run --through-isp`` on the simulated hardware of the image front end."""

import json

import numpy as np
import pytest
from imaging_frames import encoded, scenery
from published import DATA, MODELS, needs_data

from mmsp.cli import main

pytestmark = pytest.mark.sim

PHOTOS = DATA / "scikit-image-v0.15.0"
EXACT = "bit-exact: golden models\n"


def test_raw_file_by_the_hardware(capsys, tmp_path, rng):
    """The default: two passes, correction, gains, gamma, tensor and file, compared."""
    raw, out, document = tmp_path / "take.raw", tmp_path / "o.png", tmp_path / "r.json"
    pixels = 800 + scenery(rng, 37, 53, top=12_000)
    pixels[::16, ::11] = 65_535
    raw.write_bytes(pixels.astype("<u2").tobytes())
    arguments = ["--pattern", "GBRG", "--bits", "14", "--size", "53x37", "--black-level", "800"]
    arguments += ["--tensor", str(tmp_path / "t.npy"), "--tensor-size", "20x12", "--grey"]
    arguments += ["--jpeg", str(tmp_path / "o.jpg"), "--crop", "41x30+5+3"]
    assert main(["isp", str(raw), *arguments, "-o", str(out), "--json", str(document)]) == 0
    assert capsys.readouterr().out.endswith(f", rtl\n{EXACT}")
    found = json.loads(document.read_text())
    assert found["bit_exact"] == {"against": ["golden"], "mismatches": 0}


def test_changes_by_the_hardware(capsys, tmp_path, rng):
    still = rng.integers(100, 110, (48, 64, 3), np.uint8)
    moved = still.copy()
    moved[16:40, 32:56] += 90
    names = []
    for index, pixels in enumerate((still, still, moved)):
        path = tmp_path / f"{index}.png"
        path.write_bytes(encoded(pixels))
        names.append(str(path))
    assert main(["isp", *names, "--change", "--pattern", "BGGR"]) == 0
    said = capsys.readouterr().out
    assert "frame 3: 9 of 48 blocks have changed, wakes" in said
    assert said.endswith(EXACT)


@needs_data
@pytest.mark.parametrize(("name", "person"), [("astronaut", True), ("coffee", False)])
def test_visual_wake_words_by_the_hardware(capsys, tmp_path, name, person):
    """Mosaic, hardware of the image front end, 96 x 96 tensor, engine."""
    out = tmp_path / "o.npz"
    arguments = ["--input", str(PHOTOS / f"{name}.png"), "--through-isp", "--output", str(out)]
    assert main(["run", str(MODELS / "vww_96_int8.tflite"), *arguments]) == 0
    with np.load(out) as archive:
        no_person, is_person = next(iter(archive.values())).reshape(-1).tolist()
    assert (is_person > no_person) == person
    said = " ".join(capsys.readouterr().out.split())
    assert "through the image front end (rtl) to 96 x 96" in said
    assert "tensor of the simulated hardware, bit-exact: golden models" in said
