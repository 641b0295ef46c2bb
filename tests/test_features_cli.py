"""``mmsp features`` and recordings in ``mmsp run``: files, sentences, pages, and bad input."""

import json
import struct

import numpy as np
import pytest
import soundfile
from html_page import Page
from judge import activation, constant, fully_connected, network, random_int8
from test_cli_errors import fails
from test_report_page import made_up_report

import mmsp.cli.run
from mmsp.audio import targets
from mmsp.audio.recording import Recording
from mmsp.audio.targets import Features
from mmsp.audio.windows import AudioOptions
from mmsp.cli import main
from mmsp.html import run_page
from mmsp.html.audio import features_page
from mmsp.importers.tflite_writer import write_tflite
from mmsp.inputs import read_inputs
from models.audio.frontend import PRESETS
from models.audio.pipeline import features

KWS = PRESETS["mlperf_kws"]


def kws_shaped(rng):
    """A network with the input of keyword spotting: flat, 49 frames of 10 values."""
    source = activation("sound", (1, 490), KWS.scale, KWS.zero_point)
    weights = constant("weights", random_int8(rng, (4, 490)), (0.01,))
    node = fully_connected(source, weights, None, activation("scores", (1, 4), 4.0))
    return network(node, name="words")


@pytest.fixture
def model(tmp_path, rng):
    path = tmp_path / "words.tflite"
    path.write_bytes(write_tflite(kws_shaped(rng)))
    return str(path)


@pytest.fixture
def pcm(rng):
    """A chirp in noise, 1.1 s."""
    seconds = np.arange(17_600) / 16_000
    chirp = 8000 * np.sin(2 * np.pi * (200 + 1500 * seconds) * seconds)
    return (chirp + rng.normal(0, 300, 17_600)).astype(np.int16)


@pytest.fixture
def take(tmp_path, pcm):
    path = tmp_path / "take.wav"
    soundfile.write(path, pcm, 16_000, subtype="PCM_16")
    return str(path)


@pytest.mark.parametrize("name", ["mlperf_kws", "mlperf_sww", "mlperf_ad", "tf_mfcc"])
def test_features_of_a_file(capsys, tmp_path, take, pcm, name):
    out = tmp_path / "f.npy"
    arguments = ["--frontend", name.upper(), "--target", "golden", "-o", str(out)]
    assert main(["features", take, *arguments]) == 0
    expected = features(PRESETS[name], pcm)
    found = np.load(out)
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found, expected)
    said = capsys.readouterr()
    assert said.err == "recording 'take.wav': 16 kHz mono, 16 bits, 1.1 s\n"
    frames, values = expected.shape
    assert f"f.npy: {frames} frames x {values} values of {name}, int8 (scale " in said.out
    assert said.out.endswith(", golden\n")


def test_real_values(tmp_path, take, pcm):
    out = tmp_path / "f.npy"
    arguments = ["--frontend", "mlperf_kws", "--target", "golden", "--float", "-o", str(out)]
    assert main(["features", take, *arguments]) == 0
    found = np.load(out)
    assert found.dtype == np.float32
    expected = (features(KWS, pcm).astype(np.float64) - KWS.zero_point) * KWS.scale
    np.testing.assert_array_equal(found, expected.astype(np.float32))


def test_what_was_done_is_on_stderr(capsys, tmp_path, rng):
    path, own = tmp_path / "take.flac", tmp_path / "own.toml"
    soundfile.write(path, rng.normal(0, 0.1, (44_100, 2)), 44_100, subtype="PCM_24")
    own.write_text('base = "mlperf_sww"\nbands = 20\n')
    out, report = str(tmp_path / "f.npy"), tmp_path / "r.json"
    capsys.readouterr()  # the seed
    arguments = ["--frontend", str(own), "--target", "golden", "-o", out]
    assert main(["features", str(path), *arguments, "--json", "-"]) == 0
    said = capsys.readouterr()
    assert said.err.startswith(
        "recording 'take.flac': 44.1 kHz stereo, 24 bits, 1 s, mixed to mono, resampled to "
        "16 kHz, rounded to 16 bits\n"
    )
    document = json.loads(said.out)
    assert document == {
        "recording": "take.flac", "frontend": "own", "target": "golden", "sample_rate": 16_000,
        "samples": 16_000, "shape": [30, 20], "scale": PRESETS["mlperf_sww"].scale,
        "zero_point": -128, "notes": ["44.1 kHz stereo, 24 bits, 1 s", "mixed to mono",
                                      "resampled to 16 kHz", "rounded to 16 bits"],
        "bit_exact": {"against": [], "mismatches": None},
    }  # fmt: skip
    assert f"{out}: 30 frames x 20 values of own" in " ".join(said.err.split("\n"))
    assert main(["features", str(path), *arguments, "--json", str(report), "--channel", "2"]) == 0
    assert json.loads(report.read_text())["notes"][1] == "channel 2 of 2"


def test_shorter_than_a_window(capsys, tmp_path):
    path, out = tmp_path / "a.wav", tmp_path / "f.npy"
    soundfile.write(path, np.full(40, 0.25), 16_000)
    arguments = ["--frontend", "mlperf_sww", "--target", "golden", "-o", str(out)]
    assert main(["features", str(path), *arguments]) == 0
    assert np.load(out).shape == (1, 40)
    assert capsys.readouterr().err.splitlines()[1] == (
        "40 samples are less than one frame of 1,024: 984 zeros appended"
    )


@pytest.mark.sim
def test_features_by_the_hardware(capsys, tmp_path, take, pcm):
    """The default, compared with the models."""
    out, report = tmp_path / "f.npy", tmp_path / "r.json"
    arguments = ["--frontend", "mlperf_kws", "-o", str(out), "--json", str(report)]
    assert main(["features", take, *arguments]) == 0
    np.testing.assert_array_equal(np.load(out), features(KWS, pcm))
    assert capsys.readouterr().out.endswith(", rtl\nbit-exact: golden models\n")
    document = json.loads(report.read_text())
    assert document["target"] == "rtl"
    assert document["bit_exact"] == {"against": ["golden"], "mismatches": 0}


def test_hardware_that_differs(capsys, monkeypatch, tmp_path, take):
    """Features are written, the difference is said, and the run has failed."""

    def wrong(frontend, samples):
        found = features(frontend, samples)
        found[3, 1:3] += 1
        return found

    out, report = tmp_path / "f.npy", tmp_path / "r.json"
    arguments = ["--frontend", "mlperf_kws", "-o", str(out), "--json", str(report)]
    monkeypatch.setitem(targets.TARGETS, "rtl", wrong)
    assert main(["features", take, *arguments]) == 1
    verdict = "not bit-exact: 2 of 540 values differ from the golden models\n"
    assert capsys.readouterr().out.endswith(verdict)
    assert json.loads(report.read_text())["bit_exact"]["mismatches"] == 2
    assert np.load(out).shape == (54, 10)
    monkeypatch.setitem(
        targets.TARGETS, "rtl", lambda frontend, samples: wrong(frontend, samples)[1:]
    )
    assert main(["features", take, *arguments]) == 1
    assert "530 of 530 values differ" in capsys.readouterr().out


def test_page_of_the_features(tmp_path, take, pcm):
    pages = [tmp_path / "a.html", tmp_path / "b.html"]
    for page in pages:
        arguments = ["--frontend", "mlperf_sww", "--target", "golden"]
        arguments += ["-o", str(tmp_path / "f.npy")]
        assert main(["features", take, *arguments, "--report", str(page)]) == 0
    first, second = (page.read_text() for page in pages)
    assert first == second
    page = Page(first)
    wave, colours = page.images
    assert wave.shape[1] == 960
    expected = features(PRESETS["mlperf_sww"], pcm)
    assert colours.shape == (40, len(expected), 3)
    order = np.argsort(colours.astype(int).sum(axis=2).reshape(-1), kind="stable")
    bright = expected.T[::-1].reshape(-1)[order]  # the colours get brighter with the values
    assert bright[:50].max() <= bright[-50:].min()
    for part in (
        "take.wav",
        "mlperf_sww",
        "1.1 s",
        "one every 32 ms, of 40 mel bands of 0 to 8000 Hz",
        "0.55 s",
    ):
        assert part in page.text


def test_page_of_a_long_recording(rng):
    """Several frames to a column, and their mean is what is shown."""
    values = np.repeat(rng.integers(-128, 128, (700, 10)), 3, axis=0).astype(np.int8)[:-1]
    recording = Recording("long.wav", np.zeros(2099 * 320 + 160, np.int16), 16_000)
    page = Page(features_page(Features(values, recording, KWS, "golden")))
    _, colours = page.images
    assert colours.shape == (10, 700, 3)
    assert "2,099 frames, one every 20 ms, 3 to a column, of 10 coefficients" in page.text
    short = Page(features_page(Features(values[::3], recording, KWS, "golden")))
    np.testing.assert_array_equal(colours, short.images[1])


def test_page_of_a_run_has_the_spectrogram(rng, take, pcm):
    graph = kws_shaped(rng)
    report, image, batch = made_up_report(graph, rng)
    assert "Audio" not in Page(run_page(report, image, batch)).texts
    heard = read_inputs([take], image.description.inputs, AudioOptions(target="golden"))
    page = Page(run_page(report, image, heard))
    assert "Audio" in page.texts
    shapes = [each.shape[:2] for each in page.images]
    assert shapes.count((10, 49)) == 2  # of the recording, and of the flat input
    assert "49 columns of 10 values, the first at the bottom" in page.text
    assert "take.wav, input sound" in page.text


def test_run_on_a_recording(capsys, tmp_path, model, take, pcm):
    out, report = tmp_path / "o.npz", tmp_path / "r.json"
    common = ["run", model, "--target", "golden", "--input", take, "--output", str(out)]
    assert main([*common, "--json", str(report)]) == 0
    assert json.loads(report.read_text())["bit_exact"]["mismatches"] in (0, None)
    said = capsys.readouterr().out
    assert "recording 'take.wav': 16 kHz mono, 16 bits, 1.1 s" in said
    assert "front end mlperf_kws, which has the shape, scale and zero point of input 'sound'" in (
        " ".join(said.split())
    )
    assert "the first 49 of 54 frames are the only window" in said
    with np.load(out) as archive:
        alone = archive["scores"]
    assert alone.shape == (1, 4)
    np.save(tmp_path / "f.npy", features(KWS, pcm[:16_000]).reshape(1, 490))
    assert main([*common[:-3], str(tmp_path / "f.npy"), *common[-2:]]) == 0
    with np.load(out) as archive:
        np.testing.assert_array_equal(archive["scores"], alone)
    assert main([*common, "--frontend", "mlperf_kws", "--stride", "2"]) == 0
    with np.load(out) as archive:
        assert archive["scores"].shape == (3, 1, 4)
        np.testing.assert_array_equal(archive["scores"][0], alone)
    assert main([*common[:-3], f"sound={take}", *common[-2:]]) == 0


@pytest.mark.sim
def test_recording_on_the_chip(capsys, tmp_path, model, take):
    """The network on the RTL, and the page with what it heard."""
    page, outputs = tmp_path / "r.html", tmp_path / "o.npz"
    arguments = ["--input", take, "--config", "SMALL", "--stride", "5", "--output", str(outputs)]
    assert main(["run", model, *arguments, "--report", str(page)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "2 windows of 49 frames, one every 5" in said
    assert "bit-exact: golden model" in said
    with np.load(outputs) as archive:
        assert archive["scores"].shape == (2, 1, 4)
    assert "take.wav, input sound" in Page(page.read_text()).text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{take}", "-o", "{tmp}/f.npy"], "the following arguments are required: --frontend"),
        (["{take}", "--frontend", "mlperf_kws"], "arguments are required: -o/--output"),
        (["{take}", "--frontend", "mfcc", "-o", "{tmp}/f.npy"],
         "there is no front end 'mfcc': it must be mlperf_kws, mlperf_sww, mlperf_ad, tflm_micro, "
         "tf_mfcc, or a .toml file"),
        (["{take}", "--frontend", "{tmp}/none.toml", "-o", "{tmp}/f.npy"],
         "none.toml' cannot be read: No such file or directory"),
        (["{take}", "--frontend", "{tmp}/bad.toml", "-o", "{tmp}/f.npy"],
         "bad.toml': bands of the front end bad must be an integer of 20 to 128, not 300"),
        (["{take}", "--frontend", "{tmp}/empty.toml", "-o", "{tmp}/f.npy"],
         "empty.toml': the field frame is missing: without a base (one of mlperf_kws, "),
        (["{tmp}/none.wav", "--frontend", "mlperf_kws", "-o", "{tmp}/f.npy"],
         "none.wav' does not exist"),
        (["{tmp}", "--frontend", "mlperf_kws", "-o", "{tmp}/f.npy"], "is a directory, not a file"),
        (["{tmp}/text.wav", "--frontend", "mlperf_kws", "-o", "{tmp}/f.npy"],
         "text.wav' is no readable WAV or FLAC file: Format not recognised"),
        (["{tmp}/empty.wav", "--frontend", "mlperf_kws", "-o", "{tmp}/f.npy"],
         "empty.wav' is empty: it has no samples"),
        (["{tmp}/nan.wav", "--frontend", "mlperf_kws", "-o", "{tmp}/f.npy"],
         "nan.wav' must be finite, and a sample at 0.0005 s is NaN"),
        (["{take}", "--frontend", "mlperf_kws", "-o", "{take}"], "take.wav' is an input, too"),
        (["{take}", "--frontend", "{tmp}/good.toml", "-o", "{tmp}/good.toml"],
         "good.toml' is an input, too"),
        (["{take}", "--frontend", "mlperf_kws", "-o", "{tmp}/none/f.npy"], "there is no directory"),
        (["{take}", "--frontend", "mlperf_kws", "-o", "{tmp}/f", "--report", "{tmp}/f"],
         "is the file of --output, too"),
        (["{take}", "--frontend", "mlperf_kws", "-o", "{tmp}/f", "--channel", "2"],
         "--channel must be 1 to 1, the channels of "),
        (["{take}", "--frontend", "mlperf_kws", "-o", "{tmp}/f", "--channel", "0"],
         "--channel must be at least 1, and is 0"),
        (["{take}", "--frontend", "mlperf_kws", "-o", "{tmp}/f", "--target", "tflm"],
         "invalid choice: 'tflm'"),
    ],
)  # fmt: skip
def test_bad_features(capsys, tmp_path, take, arguments, sentence):
    (tmp_path / "text.wav").write_text("not at all" * 9)
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16_000)
    soundfile.write(tmp_path / "nan.wav", np.array([*[0.0] * 8, np.nan]), 16_000, subtype="FLOAT")
    (tmp_path / "bad.toml").write_text('base = "mlperf_kws"\nbands = 300\n')
    (tmp_path / "good.toml").write_text('base = "mlperf_kws"\n')
    (tmp_path / "empty.toml").write_text("")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    given = [each.format(take=take, tmp=tmp_path) for each in arguments]
    capsys.readouterr()  # the seed
    fails(capsys, ["features", *given], sentence)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--frontend", "mlperf_kws"], "--frontend is about recordings, and there is no --input"),
        (["--input", "{tmp}/x.npy", "--stride", "2"],
         "--stride is about recordings, and no --input is one (.wav, .flac)"),
        (["--input", "{take}", "--stride", "0"], "--stride must be at least 1, and is 0"),
        (["--input", "{take}", "--channel", "-1"], "--channel must be at least 1, and is -1"),
        (["--input", "{take}", "--channel", "2"], "--channel must be 1 to 1, the channels of"),
        (["--input", "{take}", "--frontend", "mlperf_ad"],
         "has shape (1, 490), and front end mlperf_ad has 128 values a frame"),
        (["--input", "{take}", "--frontend", "best"], "there is no front end 'best'"),
        (["--input", "{take}", "--input", "{take}"], "input 'sound' is given twice"),
        (["--input", "noise={take}"], "has no input 'noise': its inputs are 'sound'"),
        (["--input", "{tmp}/none.wav"], "none.wav' does not exist"),
        (["--input", "{tmp}/zero.wav"], "zero.wav' has a rate of 4 Hz, and must have 1000 to"),
        (["--input", "{take}", "--frontend", "{tmp}/a.toml", "--output", "{tmp}/a.toml"],
         "a.toml' is an input, too"),
    ],
)  # fmt: skip
def test_bad_recordings_for_a_run(capsys, monkeypatch, tmp_path, model, take, arguments, sentence):
    def simulated(*_):
        raise AssertionError("refused only after the simulation has begun")

    monkeypatch.setattr(mmsp.cli.run, "simulate", simulated)
    np.save(tmp_path / "x.npy", np.zeros((1, 490), np.int8))
    (tmp_path / "a.toml").write_text('base = "mlperf_kws"\n')
    data = (tmp_path / "take.wav").read_bytes()
    (tmp_path / "zero.wav").write_bytes(data[:24] + struct.pack("<I", 4) + data[28:])
    before = sorted(tmp_path.iterdir())
    given = [each.format(take=take, tmp=tmp_path) for each in arguments]
    capsys.readouterr()  # the seed
    fails(capsys, ["run", model, *given], sentence)
    assert sorted(tmp_path.iterdir()) == before
