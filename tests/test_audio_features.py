# amaranth: UnusedElaboratable=no

"""Features of whole front ends against the public ones, float formulas and themselves in pieces."""

import wave
from dataclasses import asdict, replace

import numpy as np
import pytest
from audio_reference import float_features, steps_of
from published import DATA, needs_data

from hdl.audio.config import AudioConfig
from hdl.audio.frontend import FrontEnd
from models.audio.frontend import PRESETS
from models.audio.pipeline import FeatureStream, features, real_features
from verif.sim import simulate

GOLDEN_KEYS = {
    "mlperf_kws": "mlperf_kws_mfcc",
    "mlperf_sww": "mlperf_sww_lfbe",
    "mlperf_ad": "mlperf_ad_logmel128",
    "tf_mfcc": "tfcontrib_mfcc_40ms20ms",
}
RECORDINGS = ("yes", "no", "silence", "noise", "down", "marvin")
LOG_PRESETS = [PRESETS[name] for name in GOLDEN_KEYS]
SEED = 20_261_123


def golden(name):
    with np.load(DATA / "frontend-golden" / name) as arrays:
        return dict(arrays)


def assert_within_bar(found, expected, most=3):
    """At most one step in 99 % of cells, at most ``most`` anywhere."""
    assert found.shape == expected.shape
    difference = np.abs(found.astype(np.int64) - expected)
    assert np.mean(difference <= 1) >= 0.99, f"{np.mean(difference <= 1):.4f} within one step"
    assert difference.max() <= most, f"one cell differs by {difference.max()}"


def noise(samples, amplitude=3000):
    rng = np.random.default_rng(SEED)
    return np.clip(rng.normal(0, amplitude, samples), -32768, 32767).astype(np.int16)


@needs_data
@pytest.mark.parametrize("recording", RECORDINGS)
@pytest.mark.parametrize("preset", LOG_PRESETS, ids=lambda preset: preset.name)
def test_presets_equal_the_public_front_ends(preset, recording):
    arrays = golden("frontends.npz")
    expected = steps_of(preset, arrays[f"{GOLDEN_KEYS[preset.name]}_{recording}"].astype(float))
    found = features(preset, arrays[f"pcm_{recording}"])
    assert_within_bar(found, expected, most=1)  # the issue allows 3
    assert np.mean(found == expected) >= 0.96
    assert found.shape == (preset.frame_count(16_000), preset.values)


@needs_data
def test_ten_seconds_of_the_wake_word():
    path = DATA / "mlcommons-tiny" / "inputs" / "sww_short_wav_easy10s.wav"
    with wave.open(str(path)) as recording:
        interleaved = np.frombuffer(recording.readframes(recording.getnframes()), np.int16)
    left = interleaved.reshape(-1, 2)[:, 0]
    preset = PRESETS["mlperf_sww"]
    expected = steps_of(preset, golden("sww_10s.npz")["lfbe"].astype(float))
    found = features(preset, left)
    assert found.shape == (311, 40)
    assert_within_bar(found, expected, most=1)
    assert np.mean(found == expected) >= 0.999


OTHERS = {
    "ortho, slaney, 256 points": {
        "frame": 200,
        "step": 80,
        "fft": 256,
        "mel_scale": "slaney",
        "mel_norm": "slaney",
        "bands": 20,
        "coefficients": 13,
        "dct_norm": "ortho",
        "spectrum": "power",
        "logarithm": "db",
        "scale": 2.0,
    },
    "htk with area norm, strong pre-emphasis": {
        "pre_emphasis": 8,
        "mel_norm": "slaney",
        "window": "hann_symmetric",
        "scale": 0.1,
        "zero_point": 20,
    },
    "weak pre-emphasis, every coefficient": {
        "pre_emphasis": 1,
        "window": "hamming",
        "coefficients": 40,
        "scale": 0.3,
        "floor": 1e-3,
    },
    "rectangular, peak, power": {
        "window": "rectangular",
        "normalisation": "peak",
        "spectrum": "power",
        "scale": 0.05,
        "zero_point": -100,
        "floor": 1.0,
        "floor_mode": "add",
    },
    "many bands, some without a bin": {
        "bands": 128,
        "low_hz": 0.0,
        "scale": 0.15,
        "zero_point": 100,
    },
    "centred, pre-emphasis, bounds": {
        "centred": True,
        "step": 160,
        "pre_emphasis": 3,
        "window": "hamming",
        "offset": 3.0,
        "gain": 0.5,
        "clip_low": -4.0,
        "clip_high": 5.0,
        "scale": 0.04,
    },
}


def described(name, fields):
    common = {"name": name, "frame": 480, "fft": 512, "coefficients": 0}
    return replace(PRESETS["tf_mfcc"], **common | fields)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("amplitude", [30, 3000, 30_000])
def test_described_front_ends_equal_the_formulas(name, amplitude):
    frontend = described(name, OTHERS[name])
    pcm = noise(4000, amplitude)
    exact = float_features(frontend, pcm)
    found = features(frontend, pcm)
    assert np.std(found.astype(float)) > 2, "the features must not be degenerate"
    assert_within_bar(found, steps_of(frontend, exact), most=1)
    bounded = np.clip(real_features(frontend, pcm), frontend.clip_low, frontend.clip_high)
    assert np.abs(bounded - exact).max() < 0.02 * frontend.scale * max(1, 3000 / amplitude)


@pytest.mark.parametrize("preset", LOG_PRESETS, ids=lambda preset: preset.name)
def test_streams_equal_the_whole(preset):
    pcm = noise(9000)
    rng = np.random.default_rng(SEED)
    peak = int(pcm.max()) if preset.normalisation == "peak" else None
    stream = FeatureStream(replace(preset, clip=3000), peak)
    cuts = np.sort(rng.integers(0, pcm.size, 25))
    found = [stream.push(part) for part in np.split(pcm, cuts)]
    assert sum(1 for part in found if len(part)) > 5, "frames must complete in several pieces"
    found.append(stream.finish())
    np.testing.assert_array_equal(np.concatenate(found), features(preset, pcm))


def test_a_stream_divides_by_the_peak_of_the_window_before():
    preset = replace(PRESETS["mlperf_kws"], clip=1600)
    loudness = np.repeat([1000, 8000, 300], 1600)
    pcm = (noise(4800, 1) * 0 + np.sin(np.arange(4800) * 0.3) * loudness).astype(np.int16)
    peaks = [32_767, int(pcm[:1600].max()), int(pcm[1600:3200].max())]
    last_sample = np.arange(preset.frame_count(pcm.size)) * preset.step + preset.frame - 1
    expected = np.stack(
        [
            FeatureStream(preset, peaks[sample // 1600]).push(pcm)[frame]
            for frame, sample in enumerate(last_sample)
        ]
    )
    for pieces in (1, 7):
        stream = FeatureStream(preset)
        found = np.concatenate([stream.push(part) for part in np.array_split(pcm, pieces)])
        np.testing.assert_array_equal(found, expected)


EXTREMES = {
    "silence": np.zeros(4000),
    "full-scale square": np.where(np.arange(4000) // 8 % 2, 32_767, -32_768),
    "alternating": np.where(np.arange(4000) % 2, 32_767, -32_768),
    "lowest": np.full(4000, -32_768),
    "impulse": np.eye(1, 4000, 2000)[0] * 32_767,
    "one sample of one": np.eye(1, 4000, 2000)[0],
    "-90 dBFS": np.round(np.sin(np.arange(4000) * 0.4)),
}


@pytest.mark.parametrize("preset", LOG_PRESETS, ids=lambda preset: preset.name)
@pytest.mark.parametrize("pcm", EXTREMES.values(), ids=EXTREMES.keys())
def test_extremes_stay_near_the_formulas_where_these_have_a_spectrum(preset, pcm):
    """Bands that hold nothing but rounding noise of float64 or of the FFT are not compared."""
    found = features(preset, pcm.astype(np.int16))
    assert found.shape == (preset.frame_count(4000), preset.values)
    levels = replace(preset, coefficients=0, scale=0.1, zero_point=0, offset=0.0, gain=1.0)
    levels = replace(levels, clip_low=None, clip_high=None)
    exact = float_features(levels, pcm)
    real = real_features(levels, pcm.astype(np.int16))
    db = preset.logarithm == "db"
    near_the_top = exact > exact.max(axis=1, keepdims=True) - (30 if db else 3.5)
    quiet = np.abs(pcm).max() <= 1  # then 1/256 of a sample, the window's rounding, is seen
    compared = near_the_top & (exact > (-140 if db else -8 if quiet else -5))
    assert np.abs(real - exact).max(initial=0, where=compared) < (1.0 if quiet else 0.01)


def test_recordings_shorter_than_a_frame_have_no_features():
    for preset in LOG_PRESETS:
        found = features(preset, np.zeros(preset.step // 4, np.int16))
        count = 1 if preset.centred else 0  # a centred frame reaches beyond the recording
        assert found.shape == (count, preset.values)


@pytest.mark.parametrize("pcm", [np.zeros(4), np.zeros((4, 2), np.int16), np.zeros(4, np.int32)])
def test_samples_must_be_int16(pcm):
    with pytest.raises(ValueError, match="must be a one-dimensional array of int16, not"):
        features(PRESETS["mlperf_kws"], pcm)


@pytest.mark.sim
def test_hardware_equals_the_model():
    """Extremes and noise; `tests/test_audio_front_end.py` has the recordings."""
    others = [asdict(described(name, fields)) for name, fields in OTHERS.items()]
    simulate(
        FrontEnd(AudioConfig()),
        bench="verif.tb_audio_frontend",
        name="audio_frontend",
        parameters={"described": others},
    )
