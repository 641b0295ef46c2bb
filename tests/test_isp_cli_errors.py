"""``mmsp isp`` and ``mmsp run --through-isp``: what is refused, with one sentence and no file."""

import numpy as np
import pytest
from imaging_frames import encoded, scene_network
from test_cli_errors import fails

from mmsp.importers.tflite_writer import write_tflite

GOLDEN = ["--target", "golden"]
RAW = ["--pattern", "GRBG", "--bits", "14", "--size", "64x48"]


@pytest.fixture
def files(capsys, tmp_path, rng):
    """Names of files, by what they are."""
    pixels = rng.integers(0, 256, (40, 60, 3), np.uint8)
    contents = {
        "photo.png": encoded(pixels),
        "other.png": encoded(np.pad(pixels, ((0, 1), (0, 0), (0, 0)))),
        "small.png": encoded(pixels[:12, :19]),
        "cut.png": encoded(pixels)[:500],
        "text.png": b"not-at-all" * 9,
        "take.raw": bytes(64 * 48 * 2),
        "scene.tflite": write_tflite(scene_network(rng)),
        "bad.toml": b'colour = "red"\n',
        "a.toml": b"bits = 3\n",
        "good.toml": b"bits = 12\n",
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    np.save(tmp_path / "x.npy", np.zeros((1, 12, 20, 3), np.int8))
    capsys.readouterr()  # the seed
    paths = {"photo": "photo.png", "other": "other.png", "small": "small.png", "raw": "take.raw",
             "model": "scene.tflite"}  # fmt: skip
    return {"tmp": tmp_path} | {key: str(tmp_path / name) for key, name in paths.items()}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "the following arguments are required: FRAME"),
        (["{tmp}/none.png"], "frame '{tmp}/none.png' does not exist"),
        (["{tmp}"], "is a directory, not a file"),
        (["{tmp}/text.png"], "text.png' is no picture that can be read"),
        (["{tmp}/cut.png"], "cut.png' cannot be read: "),
        (["{raw}"], "and a RAW file needs size and pattern"),
        (["{raw}", "--size", "64x48"], "and a RAW file needs size and pattern"),
        (["{raw}", "--pattern", "RGBG"], "--pattern must be one of RGGB, GRBG, GBRG, BGGR, and is"),
        (["{raw}", *RAW[:4], "--size", "64x49"], "is truncated: 64x49 pixels of 14 bits take 6,"),
        (["{raw}", *RAW[:4], "--size", "64x47"], "is longer than that"),
        (["{raw}", *RAW, "--bits", "8"], "64x48 pixels of 8 bits take 3,072 bytes, and it has 6,1"),
        (["{raw}", *RAW, "--bits", "17"], "--bits must be an integer of 8 to 16, and is '17'"),
        (["{raw}", *RAW, "--black-level", "16383"], "the black level must be below 16,383"),
        (["{photo}", "--size", "60x40"], "size is about RAW files"),
        (["{photo}", "--gains", "blue"], "--gains must be auto, or 1, 3 (red, green, blue) or 4"),
        (["{photo}", "--gamma", "{tmp}/text.png"], "(there are 1 words)"),
        (["{photo}", "--quality", "5"], "--quality is about --jpeg, which is not there"),
        (["{photo}", "--change-count", "5"], "--change-count is about --change, which is not"),
        (["{photo}", "--tensor-size", "5x5"], "--tensor-size is about --tensor or --change, which"),
        (["{photo}", "--grey"], "--grey is about --tensor or --jpeg, which is not there"),
        (["{photo}", "--tensor-range", "0,1"], "--tensor-range is about --model, which is not"),
        (["{photo}", "--tensor", "{tmp}/t", "--tensor-size", "61x40"], "only averages down, and"),
        (["{photo}", "--tensor", "{tmp}/t", "--tensor-size", "0x40"], "and 0x40 are wanted"),
        (["{photo}", "--change", "--crop", "10x10+51+0"], "crop 10x10+51+0 is not within the 60x"),
        (["{photo}", "--isp-settings", "{tmp}/bad.toml"], "there is no field colour (= 'red')"),
        (["{photo}", "--model", "{photo}"], "is neither a .tflite"),
        (["{photo}", "--model", "{model}", "--tensor-size", "9x9"],
         "the tensor size is 9x9, and input 'scene' takes 20x12"),
        (["{photo}", "--model", "{model}", "--grey"], "grey makes one channel, and input 'scene'"),
        (["{photo}", "{raw}", *RAW], "size is about RAW files, and"),
        (["{photo}", "{photo}", "-o", "{tmp}/o.png"],
         "o.png' is one file for 2 frames: {{}} in the name stands for their number"),
        (["{photo}", "{other}"], "has 60x41 pixels of 8 bits, 'photo.png' 60x40 pixels of 8 bits"),
        (["{photo}", "-o", "{photo}"], "photo.png' is an input, too"),
        (["{photo}", "-o", "{tmp}/good.toml", "--isp-settings", "{tmp}/good.toml"], "an input"),
        (["{photo}", "-o", "{tmp}/none/o.png"], "there is no directory"),
        (["{photo}", "-o", "{tmp}/o.JPG"], "is written as PNG, so it cannot be .jpg (--jpeg"),
        (["{photo}", "-o", "{tmp}/o", "--jpeg", "{tmp}/o"], "is the file of --output, too"),
        (["{photo}", "--target", "chip"], "invalid choice: 'chip'"),
    ],
)  # fmt: skip
def test_bad_frames_and_options(capsys, files, arguments, sentence):
    before = {path: path.read_bytes() for path in files["tmp"].iterdir()}
    given = [each.format(**files) for each in arguments]
    command = ["isp", *given, *([] if "--target" in given else GOLDEN)]
    fails(capsys, command, sentence.format(**files))
    assert {path: path.read_bytes() for path in files["tmp"].iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--through-isp"], "--through-isp is about pictures, and there is no --input"),
        (["--input", "{tmp}/x.npy", "--through-isp"], "about pictures, and no --input is one"),
        (["--isp-settings", "{tmp}/a.toml"], "is about --through-isp, which is not there"),
        (["--input", "{raw}", "--through-isp"], "and a RAW file needs size and pattern"),
        (["--input", "{small}", "--through-isp"],
         "the scaler only averages down, and 20x12 pixels are wanted of the 19x12 of the frame"),
        (["--input", "{photo}", "--through-isp", "--isp-settings", "{tmp}/a.toml"],
         "bits of the settings must be an integer of 8 to 16, and is '3'"),
        (["--input", "{photo}", "--through-isp", "--isp-settings", "{tmp}/a.toml", "--output",
          "{tmp}/a.toml"], "bits of the settings"),
        (["--input", "{photo}", "--through-isp", "--isp-settings", "{tmp}/good.toml", "--output",
          "{tmp}/good.toml"], "good.toml' is an input, too"),
        (["--input", "noise={photo}", "--through-isp"], "has no input 'noise'"),
    ],
)  # fmt: skip
def test_bad_pictures_for_a_run(capsys, files, arguments, sentence):
    before = sorted(files["tmp"].iterdir())
    given = [each.format(**files) for each in arguments]
    fails(capsys, ["run", files["model"], *given, *GOLDEN], sentence)
    assert sorted(files["tmp"].iterdir()) == before
