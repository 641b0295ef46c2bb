"""Real pictures through ``mmsp isp`` and ``mmsp run --through-isp``."""

import json

import numpy as np
import pytest
from image_reference import psnr
from PIL import Image
from published import DATA, MODELS, needs_data

from mmsp.cli import main
from models.image.bayer import align, mosaic

pytestmark = needs_data

PHOTOS = DATA / "scikit-image-v0.15.0"
FRAMES = DATA / "pulp-platform-pulp-dronet" / "frames_himax"
TAKE = DATA / "mushfiqulalam-isp" / "DSC_1339_768x512_rggb"
RAW = ["--pattern", "RGGB", "--bits", "14", "--size", "768x512"]
GOLDEN = ["--target", "golden"]


def read(path):
    with Image.open(path) as opened:
        return np.asarray(opened)


@pytest.mark.parametrize(("name", "person"), [("astronaut", True), ("coffee", False)])
def test_visual_wake_words_from_a_file(tmp_path, name, person):
    """Mosaic, image front end, 96 x 96 tensor, network."""
    out = tmp_path / "o.npz"
    arguments = ["--input", str(PHOTOS / f"{name}.png"), "--through-isp", "--output", str(out)]
    model = str(MODELS / "vww_96_int8.tflite")
    assert main(["run", model, *arguments, *GOLDEN]) == 0
    with np.load(out) as archive:
        no_person, is_person = next(iter(archive.values())).reshape(-1).tolist()
    assert (is_person > no_person) == person


@pytest.mark.parametrize(("options", "bar"), [([], 49), (["--bad-pixel-rank", "3"], 40)])
def test_bad_pixels_of_a_raw_file(tmp_path, options, bar):
    """A demosaicked picture has each pixel's own colour as it was: the mosaic is within it."""
    out = tmp_path / "o.png"
    plain = ["--gains", "1", "--gamma", "identity", "-o", str(out), *GOLDEN]
    clean = np.fromfile(f"{TAKE}.raw", "<u2").reshape(512, 768)
    expected = align(clean, 14) / 16
    found = []
    for extra in (["--bad-pixel-threshold", "4095"], options):
        assert main(["isp", f"{TAKE}_bpc_test.raw", *RAW, *plain, *extra]) == 0
        found.append(psnr(mosaic(read(out), "RGGB"), expected, 255))
    print(f"{found[0]:.2f} dB before, {found[1]:.2f} dB after")
    assert found[0] < 34
    assert found[1] >= bar


def test_raw_file_becomes_a_picture(tmp_path):
    """Grey world and gamma: colours without a cast, brighter than the linear ones."""
    out, jpg, document = tmp_path / "o.png", tmp_path / "o.jpg", tmp_path / "r.json"
    outputs = ["-o", str(out), "--jpeg", str(jpg), "--json", str(document)]
    assert main(["isp", f"{TAKE}.raw", *RAW, *GOLDEN, "--black-level", "600", *outputs]) == 0
    means = read(out).mean(axis=(0, 1))
    assert np.ptp(means) < 16
    assert means.min() > 64
    assert psnr(read(jpg), read(out), 255) > 35
    found = json.loads(document.read_text())
    assert found["gains"][3] > 2 * found["gains"][0] > 2  # a red rose


def test_a_camera_that_moves(capsys, tmp_path):
    """Nine consecutive frames: the first is the reference, every other one wakes."""
    document = tmp_path / "r.json"
    names = [str(FRAMES / f"frame_{index}.pgm") for index in range(1, 10)]
    assert main(["isp", *names, "--change", "--json", str(document), *GOLDEN]) == 0
    changes = [frame["change"] for frame in json.loads(document.read_text())["frames"]]
    print([change["changed"] for change in changes])
    assert [change["wake"] for change in changes] == [False, *[True] * 8]
    assert all(change["changed"] > 150 for change in changes[1:])
    assert {change["blocks"] for change in changes} == {625}
    assert capsys.readouterr().out.count("blocks have changed, wakes") == 8
