"""Windows of a recording as inputs of a network: cut, padded, quantised, chosen."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mmsp.audio import targets
from mmsp.audio.frontends import parse_frontend
from mmsp.audio.recording import Recording
from mmsp.audio.targets import compute_features, frame_samples
from mmsp.audio.windows import AudioOptions, hear, window_frames
from mmsp.description import Port
from mmsp.errors import InputError
from mmsp.simulator import SimulationError
from models.audio.frontend import PRESETS
from models.audio.pipeline import features

KWS, SWW, AD = (PRESETS[f"mlperf_{name}"] for name in ("kws", "sww", "ad"))
PATH = Path("take.wav")


def port(shape, frontend=KWS, dtype="int8", inside="int8", **changes):
    quantisation = {"scale": frontend.scale, "zero_point": frontend.zero_point} | changes
    return Port(name="x", shape=shape, dtype=dtype, inside=inside, tensor="x", **quantisation)


def sound(rng, samples):
    """Bursts of noise, log-uniform in level: no two frames alike."""
    level = np.exp2(rng.uniform(4, 14, samples // 400 + 1)).repeat(400)[:samples]
    return np.clip(np.rint(rng.normal(0, level)), -32768, 32767).astype(np.int16)


def listen(pcm, to, frontend=None, **options):
    buffer = BytesIO()
    soundfile.write(buffer, pcm, 16_000, format="WAV", subtype="PCM_16")
    return hear(PATH, buffer.getvalue(), to, AudioOptions(frontend=frontend, **options))


@pytest.mark.parametrize("shape", [(1, 49, 10, 1), (1, 490), (49, 10), (1, 1, 49, 10), (490,)])
@pytest.mark.parametrize("samples", [16_000, 15_840, 9_000, 100, 1])
def test_one_clip(rng, shape, samples):
    """Zeros fill up what is missing, as in the benchmark's own preparation."""
    pcm = sound(rng, samples)
    values, heard, notes = listen(pcm, port(shape))
    expected = features(KWS, np.pad(pcm, (0, 16_000 - samples)))
    assert (values.dtype, values.shape) == (np.int8, shape)
    np.testing.assert_array_equal(values.reshape(49, 10), expected)
    np.testing.assert_array_equal(heard.values, expected)
    assert any("zeros appended" in note for note in notes) == (samples < 15_840)
    assert notes[1].startswith("front end mlperf_kws, which has the shape")


def test_first_window(rng):
    """What follows the clip counts for nothing; what follows the last frame, for its maximum."""
    pcm = sound(rng, 40_000)
    pcm[:15_840] //= 4
    pcm[15_840:16_000] //= 2
    pcm[15_990], pcm[16_000:] = 16_384, 32_767
    values, _, notes = listen(pcm, port((1, 490)))
    np.testing.assert_array_equal(values.reshape(49, 10), features(KWS, pcm[:16_000]))
    assert notes[-1].startswith("the first 49 of 124 frames are the only window: --stride N")
    values, heard, _ = listen(pcm, port((1, 30, 40), SWW))
    np.testing.assert_array_equal(values[0], features(SWW, pcm)[:30])
    assert heard.values.shape == (30, 40)


@pytest.mark.parametrize("stride", [1, 7, 30])
def test_strides_of_a_stream(rng, stride):
    pcm = sound(rng, 32_000)
    values, heard, notes = listen(pcm, port((1, 30, 40), SWW), stride=stride)
    whole = features(SWW, pcm)
    starts = range(0, len(whole) - 29, stride)
    assert len(values) == len(starts)
    for window, start in zip(values, starts, strict=True):
        np.testing.assert_array_equal(window[0], whole[start : start + 30])
    np.testing.assert_array_equal(heard.values, whole)
    assert notes[-1].startswith(f"{len(starts)} windows of 30 frames, one every {stride}")
    left = len(whole) - 30 - starts[-1]
    assert (f"in none: {left}" in notes[-1]) == (left > 0)


def test_strides_of_clips(rng):
    """Each is divided by its own maximum."""
    pcm = sound(rng, 40_000)
    pcm[:16_000] //= 8
    values, heard, _ = listen(pcm, port((1, 49, 10, 1)), stride=20)
    assert len(values) == 4
    for index, window in enumerate(values):
        clip = pcm[index * 20 * 320 :][:16_000]
        np.testing.assert_array_equal(window.reshape(49, 10), features(KWS, clip))
    assert heard.values.shape == (4 * 49, 10)
    assert (values[0].reshape(49, 10) != features(KWS, pcm)[:49]).any()


def test_network_with_a_state(rng):
    pcm = sound(rng, 20_000)
    to = port((1, 3, 40), SWW)
    values, _, notes = listen(pcm, to, "mlperf_sww", stateful=True)
    whole = features(SWW, pcm)
    np.testing.assert_array_equal(values.reshape(-1, 40), whole[: len(whole) // 3 * 3])
    assert values.shape == (len(whole) // 3, 1, 3, 40)
    assert "windows of 3 frames, one every 3" in notes[-1]
    values, _, _ = listen(pcm, to, "mlperf_sww", stateful=True, stride=1)
    assert len(values) == len(whole) - 2


def test_centred_windows(rng):
    """The zeros around a centred recording are around the whole, not around a window."""
    pcm = sound(rng, 8_000)
    whole = features(AD, pcm)
    values, _, _ = listen(pcm, port((1, 640), AD), "mlperf_ad")
    np.testing.assert_array_equal(values.reshape(5, 128), whole[:5])
    values, _, _ = listen(pcm, port((1, 640), AD), "mlperf_ad", stride=2)
    np.testing.assert_array_equal(values[2].reshape(5, 128), whole[4:9])
    values, _, notes = listen(pcm[:1000], port((1, 640), AD), "mlperf_ad")
    expected = features(AD, np.pad(pcm[:1000], (0, 1048)))
    np.testing.assert_array_equal(values.reshape(5, 128), expected)
    assert "1,048 zeros appended" in notes[-1]


@pytest.mark.parametrize("name", list(PRESETS))
@pytest.mark.parametrize("frames", [1, 2, 5, 49])
def test_fewest_samples_of_frames(name, frames):
    frontend = PRESETS[name]
    samples = frame_samples(frontend, frames)
    assert frontend.frame_count(samples) >= frames
    assert samples == 1 or frontend.frame_count(samples - 1) == frames - 1


def test_shorter_than_a_frame(rng):
    pcm = sound(rng, 300)
    recording = replace(listen(pcm, port((1, 490)))[1].recording, samples=pcm)
    heard = compute_features(recording, KWS)
    np.testing.assert_array_equal(heard.values, features(KWS, np.pad(pcm, (0, 180))))
    assert heard.notes == ("300 samples are less than one frame of 480: 180 zeros appended",)


@pytest.mark.parametrize("name", list(PRESETS))
def test_long_recordings_in_pieces(rng, monkeypatch, name):
    """Frames that lie across two pieces, the largest sample, and a state are those of the whole."""
    frontend, pcm = PRESETS[name], sound(rng, 20_000) // 8
    pcm[17_000] = 9_000
    recording = Recording("take.wav", pcm, 16_000)
    expected = features(frontend, pcm)
    for piece in (700, 4_096, 19_999, 20_000):
        monkeypatch.setattr(targets, "PIECE_SAMPLES", piece)
        np.testing.assert_array_equal(compute_features(recording, frontend).values, expected)


def test_quantised_to_the_input(rng):
    pcm = sound(rng, 16_000)
    to = port((1, 490), scale=1.25, zero_point=-7)
    values, _, notes = listen(pcm, to, "mlperf_kws")
    expected = features(replace(KWS, scale=1.25, zero_point=-7), pcm)
    np.testing.assert_array_equal(values.reshape(49, 10), expected)
    assert "features quantised to scale 1.25, zero point -7 of input 'x', not those" in notes[1]
    _, _, notes = listen(pcm, port((1, 490), scale=KWS.scale * 1.0001), "mlperf_kws")
    assert len(notes) == 1  # only the recording: the scale is as good as the preset's
    values, _, notes = listen(pcm, port((1, 490), scale=None, zero_point=None), "mlperf_kws")
    np.testing.assert_array_equal(values.reshape(49, 10), features(KWS, pcm))
    assert "input 'x' has no scale: features have that of mlperf_kws, 0.584703" in notes[1]


def test_networks_of_reals_and_bytes(rng):
    pcm = sound(rng, 16_000)
    expected = features(KWS, pcm)
    real = port((1, 490), dtype="float32")
    values, heard, _ = listen(pcm, real)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values.reshape(49, 10), heard.real, rtol=1e-6)
    np.testing.assert_array_equal(real.to_inside(values).reshape(49, 10), expected)
    values, _, _ = listen(pcm, port((1, 490), dtype="uint8"))
    np.testing.assert_array_equal(values.reshape(49, 10), expected.astype(int) + 128)


@pytest.mark.parametrize(
    ("shape", "values", "frames"),
    [((1, 49, 10, 1), 10, 49), ((1, 490), 10, 49), ((1, 1, 40), 40, 1), ((40,), 40, 1),
     ((1, 10, 49), 10, None), ((1, 7, 7, 10), 10, None), ((1, 491), 10, None), ((), 10, None),
     ((5,), 10, None), ((1, 490, 1), 49, 10)],
)  # fmt: skip
def test_shapes(shape, values, frames):
    frontend = parse_frontend(f"base = 'mlperf_ad'\ncoefficients = {values}", "y")
    assert window_frames(port(shape), frontend) == frames


def test_hardware_is_compared_with_the_models(rng, monkeypatch):
    pcm = sound(rng, 40_000)
    _, heard, notes = listen(pcm, port((1, 490)))
    assert (heard.target, heard.mismatches) == ("golden", None)
    assert not any("bit-exact" in note for note in notes)
    monkeypatch.setitem(targets.TARGETS, "rtl", features)
    for name, to in (("mlperf_kws", port((1, 490))), ("mlperf_ad", port((1, 640), AD))):
        _, heard, notes = listen(pcm, to, name, target="rtl", stride=3)
        assert (heard.target, heard.mismatches) == ("rtl", 0)
        assert notes[-1] == "features of the simulated hardware, bit-exact: golden models"
    monkeypatch.setitem(targets.TARGETS, "rtl", lambda *given: features(*given) ^ np.int8(1))
    with pytest.raises(SimulationError, match=r"'take\.wav': not bit-exact: 490 of 490 "):
        listen(pcm, port((1, 490)), target="rtl")


@pytest.mark.parametrize(
    ("to", "frontend", "sentence"),
    [
        (port((1, 96, 96, 3)), None,
         r"takes no recording such as 'take.wav': its shape \(1, 96, 96, 3\) is not that of "
         r"features of mlperf_kws, .*; others need --frontend FILE.toml"),
        (port((1, 49, 10, 1)), "mlperf_sww",
         r"has shape \(1, 49, 10, 1\), and front end mlperf_sww has 40 values a frame: it must be "
         r"\(1, frames, 40\) or flat"),
        (port((1, 640), AD), None,
         r"needs --frontend: the shape \(1, 640\) of input 'x' may be that of mlperf_kws, "
         r"mlperf_sww, mlperf_ad, tflm_micro, tf_mfcc, and its scale 0.391015 and zero point 89 "),
        (port((1, 49, 10), scale=0.9), None, "needs --frontend: .* that of mlperf_kws, tf_mfcc,"),
        (port((1, 49, 10), zero_point=82), None, "needs --frontend: .* zero point 82 do not"),
        (port((1, 49, 40)), "tflm_micro",
         "input 'x' has scale 0.584703 and zero point 83, and the integers of front end tflm_micro "
         "stand for scale 0.10196"),
        (port((1, 490), inside="int16", dtype="int16"), "mlperf_kws",
         "input 'x' is int16, and features are int8"),
        (port((1, 490), scale=1e-9), "mlperf_kws",
         "input 'x' cannot be fed: scale of the front end mlperf_kws must be"),
        (port((1, 490)), "mlperf", "there is no front end 'mlperf': it must be mlperf_kws, "),
    ],
)  # fmt: skip
def test_what_does_not_fit(rng, to, frontend, sentence):
    with pytest.raises(InputError, match=sentence):
        listen(sound(rng, 16_000), to, frontend)
