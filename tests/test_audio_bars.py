"""Networks hear the same through our features, of models and hardware, as through public ones."""

import json

import numpy as np
import pytest
import soundfile
from published import DATA, DATA_REASON

from mmsp.audio.recording import read_recording
from mmsp.audio.targets import compute_features
from mmsp.audio.windows import AudioOptions, hear
from mmsp.cli import main
from mmsp.golden import run_golden
from mmsp.loading import Model, load_model
from mmsp.ports import graph_ports
from models.audio.frontend import PRESETS

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=DATA_REASON)

TINY, MICRO = DATA / "mlcommons-tiny", DATA / "tensorflow-tflite-micro"
RECORDINGS = ("yes", "no", "silence", "noise", "down", "marvin")
KWS_LABELS = [
    "Down", "Go", "Left", "No", "Off", "On", "Right", "Stop", "Up", "Yes", "Silence", "Unknown",
]  # fmt: skip
KNOWN = {"yes": "Yes", "down": "Down", "silence": "Silence", "no": "Go"}
"""The last is the network's own error."""


targets = pytest.mark.parametrize("target", ["golden", pytest.param("rtl", marks=pytest.mark.sim)])


@pytest.fixture(scope="module")
def published() -> dict[str, np.ndarray]:
    with np.load(DATA / "frontend-golden" / "frontends.npz") as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def kws() -> Model:
    return load_model(TINY / "models" / "kws_ref_model.tflite")


@pytest.fixture(scope="module")
def micro_speech() -> Model:
    return load_model(MICRO / "models" / "micro_speech_quantized.tflite")


def classify(model, values):
    assert model.graph is not None
    ((name,),) = (model.graph.inputs,)
    shape = model.graph.tensors[name].shape
    (scores,) = run_golden(model.graph, model.layers or [], {name: values.reshape(shape)}).values()
    return int(np.argmax(scores))


def read(tmp_path, pcm, model, target):
    """Through a file, as ``mmsp run --input`` does it; hardware is compared with the models."""
    assert model.graph is not None
    path = tmp_path / "take.wav"
    soundfile.write(path, pcm, 16_000, subtype="PCM_16")
    (port,) = graph_ports(model.graph)[0]
    values, heard, _ = hear(path, path.read_bytes(), port, AudioOptions(target=target))
    assert heard.target == target
    return values, port


def check_bar(found, expected):
    """At most 1 step apart in 99 % of the cells, and 3 anywhere."""
    apart = np.abs(found.astype(int) - expected.astype(int))
    assert apart.shape == expected.shape
    assert np.mean(apart <= 1) >= 0.99, np.bincount(apart.reshape(-1))
    assert apart.max() <= 3, np.bincount(apart.reshape(-1))


@pytest.mark.parametrize("name", RECORDINGS)
@targets
def test_keyword_spotting_from_a_file(tmp_path, published, kws, target, name):
    values, port = read(tmp_path, published[f"pcm_{name}"], kws, target)
    expected = port.quantize(published[f"mlperf_kws_mfcc_{name}"]).reshape(values.shape)
    check_bar(values, expected)
    label = KWS_LABELS[classify(kws, values)]
    assert label == KWS_LABELS[classify(kws, expected)]
    assert label == KNOWN.get(name, label)


@pytest.mark.parametrize("name", RECORDINGS)
@targets
def test_micro_speech_from_a_file(tmp_path, published, micro_speech, target, name):
    values, _ = read(tmp_path, published[f"pcm_{name}"], micro_speech, target)
    expected = published[f"tflm_micro_int8_{name}"]
    np.testing.assert_array_equal(values.reshape(49, 40), expected)
    assert classify(micro_speech, values) == classify(micro_speech, expected)


@targets
def test_ten_seconds(target):
    """The left channel, in the units of the wake-word network's input."""
    preset = PRESETS["mlperf_sww"]
    with np.load(DATA / "frontend-golden" / "sww_10s.npz") as archive:
        real = archive["lfbe"]
    path = TINY / "inputs" / "sww_short_wav_easy10s.wav"
    heard = compute_features(read_recording(path, path.read_bytes(), channel=1), preset, target)
    found = heard.values
    assert not heard.mismatches
    # Half away from zero; these are not below zero.
    expected = np.clip(np.floor(real / preset.scale + 0.5) + preset.zero_point, -128, 127)
    check_bar(found, expected)
    assert found.shape == (311, 40)
    assert len(np.unique(expected)) > 100


def test_voice_activity_from_a_file(capsys, tmp_path):
    """TFLM's front end with another step, and a network with a state, to the published outputs."""
    folder = DATA / "esphome-micro-wake-word-models"
    model = folder / "models" / "vad.tflite"
    with np.load(folder / "golden" / "vad.npz") as archive:
        inputs, outputs = archive["in0"], archive["out0"]
    recording = DATA / "snakers4-silero-vad" / "inputs" / "test_first12s.wav"
    description, out = tmp_path / "fast.toml", tmp_path / "out.npz"
    description.write_text('base = "tflm_micro"\nstep = 160\n')
    loaded = load_model(model)
    assert loaded.graph is not None
    (port,) = graph_ports(loaded.graph)[0]
    options = AudioOptions(frontend=str(description), stateful=True)
    values, _, _ = hear(recording, recording.read_bytes(), port, options)
    np.testing.assert_array_equal(values, inputs)
    arguments = ["--input", str(recording), "--frontend", str(description), "--target", "golden"]
    assert main(["run", str(model), *arguments, "--output", str(out)]) == 0
    assert "399 windows of 3 frames, one every 3" in capsys.readouterr().out
    with np.load(out) as archive:
        (found,) = archive.values()
    np.testing.assert_array_equal(found, outputs)
    assert len(np.unique(found)) > 50


def test_run_from_a_file(capsys, tmp_path):
    """The command, from a recording to the word."""
    model = TINY / "models" / "kws_ref_model.tflite"
    recording = MICRO / "inputs" / "micro_speech_yes_1000ms.wav"
    report, outputs = tmp_path / "r.json", tmp_path / "o.npz"
    files = ["--json", str(report), "--output", str(outputs)]
    arguments = ["--input", str(recording), "--frontend", "mlperf_kws", "--target", "golden"]
    assert main(["run", str(model), *arguments, *files]) == 0
    assert "16 kHz mono, 16 bits, 1 s" in capsys.readouterr().out
    assert not json.loads(report.read_text())["bit_exact"]["mismatches"]
    with np.load(outputs) as archive:
        (scores,) = archive.values()
    assert KWS_LABELS[int(np.argmax(scores))] == "Yes"
