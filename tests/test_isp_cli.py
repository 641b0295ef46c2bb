"""``mmsp isp`` and ``mmsp run --through-isp``: files, sentences, and pages."""

import json
from dataclasses import replace

import numpy as np
import pytest
from html_page import Page
from imaging_frames import encoded, scene_network, scenery
from PIL import Image
from test_cli_errors import fails
from test_report_page import made_up_report

import mmsp.cli.run
from mmsp.cli import main
from mmsp.html import run_page
from mmsp.imaging import targets
from mmsp.imaging.viewing import Viewing
from mmsp.importers.tflite_writer import write_tflite
from mmsp.inputs import read_inputs
from models.image.bayer import mosaic
from models.image.gamma import IDENTITY_TABLE, srgb_table
from models.image.pipeline import Settings, process, tensor_of
from models.image.scaler import Crop
from models.image.statistics import grey_world

GOLDEN = ["--target", "golden"]
RAW = ["--pattern", "GRBG", "--bits", "14", "--size", "64x48"]
OFF = 4095


@pytest.fixture
def pixels(rng):
    """RGB, (40, 60, 3)."""
    y, x = np.indices((40, 60))
    waves = [127 + 100 * np.sin(x / period + y / 11) for period in (5, 9, 14)]
    noise = rng.normal(0, 4, (40, 60, 3))
    return np.clip(np.stack(waves, -1) + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def photo(tmp_path, pixels):
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(pixels))
    return str(path)


@pytest.fixture
def raw_pixels(rng):
    """Of 14 bits, black at 800, with hot pixels that 14 bits do not hold."""
    values = 800 + scenery(rng, top=12_000)
    values[::16, ::11] = 65_535
    return values


@pytest.fixture
def raw(tmp_path, raw_pixels):
    path = tmp_path / "take.raw"
    path.write_bytes(raw_pixels.astype("<u2").tobytes())
    return str(path)


@pytest.fixture
def sequence(tmp_path, pixels):
    """A still picture, and one with a bright square."""
    moved = pixels.copy()
    moved[8:24, 16:40] = 255
    names = []
    for index, each in enumerate((pixels, pixels, moved)):
        path = tmp_path / f"frame_{index}.png"
        path.write_bytes(encoded(each))
        names.append(str(path))
    return names


@pytest.fixture
def model(tmp_path, rng):
    path = tmp_path / "scene.tflite"
    path.write_bytes(write_tflite(scene_network(rng)))
    return str(path)


@pytest.fixture(autouse=True)
def seed_is_shown(capsys, seed):
    """And is not part of what a command prints."""
    capsys.readouterr()


def read(path):
    with Image.open(path) as opened:
        return np.asarray(opened)


def test_picture_through_the_front_end(capsys, tmp_path, photo, pixels):
    out, tensor = tmp_path / "out.png", tmp_path / "t.npy"
    arguments = ["-o", str(out), "--tensor", str(tensor), "--tensor-size", "20x12"]
    assert main(["isp", photo, *GOLDEN, *arguments]) == 0
    settings = Settings(bits=8, bad_pixel_threshold=OFF)
    rgb = process(mosaic(pixels, "RGGB"), settings).rgb
    np.testing.assert_array_equal(read(out), rgb)
    found = np.load(tensor)
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found, tensor_of(rgb, Crop(0, 0, 60, 40), 20, 12))
    said = capsys.readouterr()
    assert said.err == "picture 'photo.png': 60 x 40 RGB, mosaicked as RGGB\n"
    assert said.out.startswith("photo.png: 60 x 40, mean R ")
    assert said.out.endswith(", tensor 12 x 20 x 3, golden\n")
    assert said.out.count("\n") == 1


def test_raw_file(capsys, tmp_path, raw, raw_pixels):
    out, page, document = (tmp_path / name for name in ("out.png", "r.html", "r.json"))
    arguments = [*RAW, *GOLDEN, "--black-level", "800", "-o", str(out)]
    assert main(["isp", raw, *arguments, "--report", str(page), "--json", str(document)]) == 0
    frame = np.minimum(raw_pixels, 16_383) >> 2
    first = Settings(order="GRBG", black_levels=(200,) * 4, clip_limit=3895, gamma=srgb_table())
    gains = grey_world(process(frame, first).statistics, 3895)
    expected = process(frame, replace(first, gains=gains))
    np.testing.assert_array_equal(read(out), expected.rgb)
    assert expected.bad.sum() == 18  # 3 rows of 6
    said = capsys.readouterr().err.splitlines()
    steps = "64 x 48, 14 bits, GRBG, 18 pixels above 16,383 clipped, shifted to 12 bits"
    names = zip(("R", "Gr", "Gb", "B"), gains, strict=True)
    shown = ", ".join(f"{name} {gain / 1024:.3f}" for name, gain in names)
    assert said == [f"RAW 'take.raw': {steps}", f"gains by grey world of 'take.raw': {shown}"]
    found = json.loads(document.read_text())
    assert found["gains"] == [gain / 1024 for gain in gains]
    assert found["black_levels"] == [200] * 4
    assert found["tensor"] is None
    assert found["bit_exact"] == {"against": [], "mismatches": None}
    assert found["frames"][0]["statistics"]["sums"] == list(expected.statistics.sums)
    assert found["frames"][0]["statistics"]["histogram"] == list(expected.statistics.histogram)
    text = Page(page.read_text()).text
    assert "18\npixels replaced as bad" in text
    assert "marked where they were replaced" in text


def test_every_setting(tmp_path, raw, raw_pixels):
    """From the command line, from a file, and the first over the second."""
    curve = tmp_path / "curve.txt"
    table = tuple(min(4095, 8 * knot + 100) for knot in range(257))
    curve.write_text(" ".join(map(str, table)))
    given = {
        "pattern": "BGGR", "bits": "13", "size": "64x48", "black_level": "1,2,1001,2000",
        "bad_pixel_threshold": "200", "bad_pixel_rank": "2", "gains": "2,1.5,1,0.5",
        "matrix": "1.5,-0.25,-0.25,0,1,0,0.5,-1,1.5",
    }  # fmt: skip
    settings = Settings(
        "BGGR", 12, (1, 1, 501, 1000), 200, 2, 3094, (2048, 1536, 1024, 512),
        ((1536, -256, -256), (0, 1024, 0), (512, -1024, 1536)), table,
    )  # fmt: skip
    expected = process(np.minimum(raw_pixels, 8191) >> 1, settings).rgb
    out = tmp_path / "out.png"
    options = [word for name, value in given.items()
               for word in (f"--{name.replace('_', '-')}", value)]  # fmt: skip
    line = ["isp", raw, *GOLDEN, "-o", str(out)]
    assert main([*line, *options, "--gamma", str(curve)]) == 0
    np.testing.assert_array_equal(read(out), expected)
    camera = tmp_path / "camera.toml"
    written = {**given, "pattern": "RGGB"}
    camera.write_text("\n".join(f'{name} = "{value}"' for name, value in written.items()))
    over = ["--isp-settings", str(camera), "--gamma", str(curve), "--pattern", "BGGR"]
    assert main([*line, *over]) == 0
    np.testing.assert_array_equal(read(out), expected)
    assert main([*line, *options, "--gamma", "identity"]) == 0
    plain = process(np.minimum(raw_pixels, 8191) >> 1, replace(settings, gamma=IDENTITY_TABLE))
    np.testing.assert_array_equal(read(out), plain.rgb)


def test_crop_grey_and_jpeg(capsys, tmp_path, photo, pixels):
    out, jpg, tensor = (tmp_path / name for name in ("o.png", "o.jpg", "t.npy"))
    arguments = ["--crop", "30x20+7+9", "--tensor-size", "10x10", "--grey", "--quality", "95"]
    arguments += ["-o", str(out), "--jpeg", str(jpg), "--tensor", str(tensor)]
    assert main(["isp", photo, *GOLDEN, *arguments]) == 0
    rgb = process(mosaic(pixels, "RGGB"), Settings(bits=8, bad_pixel_threshold=OFF)).rgb
    expected = tensor_of(rgb, Crop(7, 9, 30, 20), 10, 10, grey=True)
    np.testing.assert_array_equal(np.load(tensor), expected)
    luma = np.asarray(Image.fromarray(rgb.astype(np.uint8)).convert("L"), int)
    assert read(jpg).shape == (40, 60)
    assert np.abs(read(jpg).astype(int) - luma).mean() < 2
    assert f"JPEG {jpg.stat().st_size:,} bytes" in capsys.readouterr().out
    assert main(["isp", photo, *GOLDEN, "--jpeg", str(jpg)]) == 0
    assert read(jpg).shape == (40, 60, 3)


def test_tensor_for_a_network(tmp_path, photo, pixels, model):
    """The same as `mmsp run --through-isp` gives it."""
    tensor = tmp_path / "t.npy"
    arguments = ["--model", model, "--tensor", str(tensor), "--pattern", "GBRG"]
    assert main(["isp", photo, *GOLDEN, *arguments]) == 0
    settings = Settings("GBRG", 8, bad_pixel_threshold=OFF)
    rgb = process(mosaic(pixels, "GBRG"), settings).rgb
    expected = tensor_of(rgb, Crop(0, 0, 60, 40), 20, 12)
    np.testing.assert_array_equal(np.load(tensor), expected)
    outputs = [tmp_path / "a.npz", tmp_path / "b.npz"]
    camera = tmp_path / "camera.toml"
    camera.write_text('pattern = "GBRG"\n')
    through = ["--input", photo, "--through-isp", "--isp-settings", str(camera)]
    for given, output in zip((["--input", str(tensor)], through), outputs, strict=True):
        assert main(["run", model, *given, *GOLDEN, "--output", str(output)]) == 0
    first, second = (np.load(output)["scores"] for output in outputs)
    np.testing.assert_array_equal(first, second)
    assert np.unique(first).size > 1
    frames = [str(tmp_path / f"{index}.png") for index in range(2)]
    for index, name in enumerate(frames):
        Image.fromarray(pixels[:, :: 1 - 2 * index]).save(name)
    arguments = ["--model", model, "--tensor", str(tensor)]
    assert main(["isp", *frames, *GOLDEN, *arguments]) == 0
    batch = np.load(tensor)
    assert batch.shape == (2, 12, 20, 3)
    assert (batch[0] != batch[1]).any()


def test_run_says_what_was_done(capsys, tmp_path, raw, model):
    camera = tmp_path / "camera.toml"
    camera.write_text('pattern = "GRBG"\nbits = 14\nsize = "64x48"\ngains = 2\n')
    given = [f"scene={raw}", "--through-isp", "--isp-settings", str(camera)]
    assert main(["run", model, "--input", *given, *GOLDEN]) == 0
    assert (
        "RAW 'take.raw': 64 x 48, 14 bits, GRBG, 18 pixels above 16,383 clipped, shifted to 12 "
        "bits, through the image front end (golden) to 20 x 12\n"
    ) in capsys.readouterr().out


def test_changes(capsys, tmp_path, sequence):
    page, document = tmp_path / "r.html", tmp_path / "r.json"
    arguments = ["--change", "-o", str(tmp_path / "o_{}.png"), "--report", str(page)]
    assert main(["isp", *sequence, *GOLDEN, *arguments, "--json", str(document)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "frame 1: the reference"
    assert lines[3] == "frame 2: 0 of 40 blocks have changed, does not wake"
    assert lines[5].startswith("frame 3: ")
    assert lines[5].endswith(" of 40 blocks have changed, wakes")
    assert [line[2:5] for line in lines[6:]] == ["...", "###", "###", "...", "..."]
    frames = json.loads(document.read_text())["frames"]
    assert [frame["change"]["wake"] for frame in frames] == [False, False, True]
    assert frames[2]["change"]["map"] == lines[6:]
    top, left, bottom, right = frames[2]["change"]["bounding_box"]
    assert left <= 2
    assert right >= 4
    assert (top, bottom) == (1, 2)
    names = sorted(path.name for path in tmp_path.glob("o_*.png"))
    assert names == ["o_1.png", "o_2.png", "o_3.png"]
    parsed = Page(page.read_text())
    assert parsed.text.count("blocks have changed") == 2
    assert "1 of 3\nframes wake" in parsed.text
    maps = parsed.images[-3:]
    assert [each.shape for each in maps] == [(40, 60, 3)] * 3
    assert maps[2][12, 20].tolist() == [255] * 3  # shown as it is
    assert maps[1].max() <= 85  # nothing has changed: all dimmed
    quiet = ["--change-threshold", "255", "--change-activity", "255"]
    assert main(["isp", *sequence, *GOLDEN, "--change", *quiet]) == 0
    assert "wakes" not in capsys.readouterr().out


def test_page_of_a_picture(tmp_path, photo, pixels):
    pages = [tmp_path / "a.html", tmp_path / "b.html"]
    arguments = ["--tensor", str(tmp_path / "t.npy"), "--tensor-size", "20x12"]
    arguments += ["--jpeg", str(tmp_path / "o.jpg")]
    for page in pages:
        assert main(["isp", photo, *GOLDEN, *arguments, "--report", str(page)]) == 0
    first, second = (page.read_text() for page in pages)
    assert first == second
    page = Page(first)
    before, after, difference, detail, tensor = page.images
    np.testing.assert_array_equal(before, pixels)
    rgb = process(mosaic(pixels, "RGGB"), Settings(bits=8, bad_pixel_threshold=OFF)).rgb
    np.testing.assert_array_equal(after, rgb)
    np.testing.assert_array_equal(difference, np.minimum(8 * abs(rgb - pixels), 255))
    np.testing.assert_array_equal(tensor, tensor_of(rgb, Crop(0, 0, 60, 40), 20, 12) + 128.0)
    # One colour a pixel, the one of its place.
    assert detail.shape == (40, 48, 3)
    assert [detail[row, column].nonzero()[0].tolist() for row in (0, 1) for column in (0, 1)] == [
        [0], [1], [1], [2]
    ]  # fmt: skip
    error = 10 * np.log10(255**2 / np.mean((rgb - pixels.astype(float)) ** 2))
    for words in (f"{error:.2f} dB", "after against before", "20 x 12 x 3", "bytes of JPEG",
                  "computed by the golden models", "Histogram"):  # fmt: skip
        assert words in page.text


def test_page_of_a_run_has_the_picture(rng, photo, pixels):
    report, image, batch = made_up_report(scene_network(rng), rng)
    (port,) = image.description.inputs
    seen = read_inputs([photo], [port], viewing=Viewing())
    scaling = seen.pictures["scene"].registers.scaling
    assert (scaling.width, scaling.height) == (20, 12)
    assert seen.single
    page = Page(run_page(report, image, replace(batch, pictures=seen.pictures)))
    assert "photo.png, input scene" in page.text
    assert any(np.array_equal(each, pixels) for each in page.images)
    assert "photo.png, input" not in Page(run_page(report, image, batch)).text


def test_hardware_that_differs(capsys, monkeypatch, tmp_path, photo, model):
    """The picture is written, the difference is said, and the run has failed."""

    def wrong(frames, registers):
        (outputs,) = targets.modelled(frames, registers)
        rgb = outputs.rgb.copy()
        rgb[0, 0] ^= 1
        return [replace(outputs, rgb=rgb)]

    out, document = tmp_path / "o.png", tmp_path / "r.json"
    monkeypatch.setitem(targets.TARGETS, "rtl", wrong)
    assert main(["isp", photo, "-o", str(out), "--json", str(document)]) == 1
    verdict = "not bit-exact: 3 values differ from the golden models\n"
    assert capsys.readouterr().out.endswith(verdict)
    assert json.loads(document.read_text())["bit_exact"]["mismatches"] == 3
    assert read(out).shape == (40, 60, 3)
    monkeypatch.setattr(mmsp.cli.run, "simulate", None)
    arguments = ["run", model, "--input", photo, "--through-isp", "--config", "SMALL"]
    fails(capsys, arguments, f"photo.png': {verdict.strip()}", status=1)


def test_json_on_stdout(capsys, photo):
    assert main(["isp", photo, *GOLDEN, "--json", "-"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["pattern"] == "RGGB"
    assert "photo.png: 60 x 40, mean" in said.err


def test_rendered_pictures_take_settings_too(tmp_path, photo, pixels):
    out = tmp_path / "o.png"
    arguments = ["--gains", "auto", "--gamma", "srgb", "--bad-pixel-threshold", "64"]
    assert main(["isp", photo, *GOLDEN, "-o", str(out), *arguments]) == 0
    first = Settings(bits=8, clip_limit=4080, gamma=srgb_table())
    frame = mosaic(pixels, "RGGB")
    gains = grey_world(process(frame, first).statistics, 4080)
    np.testing.assert_array_equal(read(out), process(frame, replace(first, gains=gains)).rgb)
