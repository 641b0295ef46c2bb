"""Front ends by name and from TOML, or one sentence that names field, value and what is allowed."""

from dataclasses import replace

import numpy as np
import pytest

from mmsp.audio.frontends import find_frontend, frontend_files, parse_frontend
from mmsp.errors import InputError
from models.audio.frontend import CHOICES, PRESETS
from models.audio.pipeline import features

WHOLE = """
frame = 400
step = 160
fft = 512
low_hz = 60          # an integer where a real number is allowed
high_hz = 7800.0
bands = 64
scale = 0.25
zero_point = -12
"""


def test_presets_by_name():
    assert len(PRESETS) == 5
    for name, preset in PRESETS.items():
        assert find_frontend(name) is preset
        assert find_frontend(name.upper()) is preset
        assert frontend_files(name) == []
    assert frontend_files(None) == []


def test_file_with_a_base(tmp_path):
    path = tmp_path / "fast.toml"
    path.write_text('base = "TFLM_micro"\nstep = 160\n')
    assert find_frontend(str(path)) == replace(PRESETS["tflm_micro"], name="fast", step=160)
    assert frontend_files(str(path)) == [path]
    path.write_text('base = "mlperf_kws"\nname = "mine"\nclip_low = -3.5\n')
    expected = replace(PRESETS["mlperf_kws"], name="mine", clip_low=-3.5)
    assert find_frontend(str(path)) == expected


def test_file_without_a_base():
    frontend = parse_frontend(WHOLE, "own")
    assert (frontend.name, frontend.frame, frontend.bands, frontend.values) == ("own", 400, 64, 64)
    assert (frontend.low_hz, frontend.scale, frontend.zero_point) == (60, 0.25, -12)


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_can_be_written_down(name):
    """What a user would write to get the preset without its name."""
    preset = PRESETS[name]
    lines = [
        f"{field} = {str(value).lower() if isinstance(value, bool) else repr(value)}"
        for field, value in vars(preset).items()
        if value is not None
    ]
    assert parse_frontend("\n".join(lines), "other") == preset


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the field frame is missing: without a base"),
        ("base = 'mlperf_vww'", "base must be one of mlperf_kws, .*, tf_mfcc, not 'mlperf_vww'$"),
        ("base = 3", "base must be one of mlperf_kws, .*, not 3$"),
        ("base = 'tf_mfcc'\nbandz = 3", r"there is no field bandz \(= 3\): it must be one of base, "
         "name, sample_rate, frame,"),
        ("base = 'tf_mfcc'\nname = ''", "name must be a line of text, not ''"),
        ("base = 'tf_mfcc'\nname = 7", "name must be a line of text, not 7"),
        ("base = 'tf_mfcc'\nstep = 0", "step of the front end x must be an integer of 1 to 640, "
         "not 0"),
        ("base = 'tf_mfcc'\nstep = 10.5", "step of the .* an integer of 1 to 640, not 10.5"),
        ("base = 'tf_mfcc'\nstep = true", "step of the .* an integer of 1 to 640, not True"),
        ("base = 'tf_mfcc'\nstep = '10'", "step of the .* an integer of 1 to 640, not '10'"),
        ("base = 'tf_mfcc'\nstep = [10]", r"step of the .* an integer of 1 to 640, not \[10\]"),
        ("base = 'tf_mfcc'\nfft = 500", "fft of the .* must be one of 256, 512, 1024, not 500"),
        ("base = 'tf_mfcc'\nfft = 512", "frame of the .* an integer of 16 to 512, not 640"),
        ("base = 'tf_mfcc'\nwindow = 'kaiser'", "window of the .* one of hann, .*, not 'kaiser'"),
        ("base = 'tf_mfcc'\nbands = 129", "bands of the .* an integer of 20 to 128, not 129"),
        ("base = 'tf_mfcc'\nbands = 19", "bands of the .* an integer of 20 to 128, not 19"),
        ("base = 'tf_mfcc'\nhigh_hz = 8001", "high_hz of the .* a number of 20 to 8000, not 8001"),
        ("base = 'tf_mfcc'\nlow_hz = nan", "low_hz of the .* a number of 0 to 8000, not nan"),
        ("base = 'tf_mfcc'\nscale = inf", "scale of the .* a number of .*, not inf"),
        ("base = 'tf_mfcc'\nscale = -1", "scale of the .* a number of .*, not -1"),
        ("base = 'tf_mfcc'\nzero_point = 128", "zero_point of the .* -128 to 127, not 128"),
        ("base = 'tf_mfcc'\ncentred = 1", "centred of the .* must be true or false, not 1"),
        ("base = 'tf_mfcc'\n[step]\na = 1", r"step of the .* not \{'a': 1\}"),
        ("base = 'tf_mfcc'\nstep = 1979-05-27", "step of the .* an integer of 1 to 640, not"),
        ("step 3", "this is no TOML: "),
        ("step = 3\nstep = 4", "this is no TOML: "),
        (WHOLE.replace("fft = 512", ""), "the field fft is missing: without a base"),
        # What is right alone and does not fit together.
        ("base = 'mlperf_ad'\nlow_hz = 0\nhigh_hz = 0.001", "has no FFT bin between its low_hz"),
        ("base = 'tflm_micro'\nbands = 128\nlow_hz = 1000\nhigh_hz = 1010", "filter 0 of 1000 to"),
        ("base = 'tflm_micro'\npre_emphasis = 3", "pre_emphasis of the .* must be 0, .* not 3"),
    ],
)  # fmt: skip
def test_bad_descriptions(text, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        parse_frontend(text, "x")
    assert "\n" not in str(caught.value)


def test_bad_names(tmp_path):
    with pytest.raises(
        InputError, match=r"no front end 'mfcc': it must be mlperf_kws, .*tf_mfcc, or a .toml file"
    ):
        find_frontend("mfcc")
    path = tmp_path / "a.toml"
    with pytest.raises(InputError, match=r"a.toml' cannot be read: No such file"):
        find_frontend(str(path))
    path.write_bytes(b"base = '\xff'")
    with pytest.raises(InputError, match=r"a.toml' is no text in UTF-8"):
        find_frontend(str(path))
    path.write_text("base = 'tf_mfcc'\nstep = -1")
    with pytest.raises(InputError, match=r"front end '.*a.toml': step of the front end a must be"):
        find_frontend(str(path))
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match=r"a.toml' cannot be read: Is a directory"):
        find_frontend(str(path))


def random_value(rng, field, low, high):
    """Log-uniform where a field spans decades, uniform elsewhere."""
    if field in ("floor", "gain", "scale", "spectrum_gain", "high_hz"):
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))
    if isinstance(low, int):
        return int(rng.integers(low, high + 1))
    return float(rng.uniform(low, high))


RANGES = {
    "step": (1, 256), "bands": (20, 128), "coefficients": (0, 20), "pre_emphasis": (0, 8),
    "sample_rate": (8000, 48_000), "low_hz": (0.0, 3900.0), "high_hz": (1.0, 4000.0),
    "floor": (1e-60, 1.0), "spectrum_gain": (1e-6, 1e6), "gain": (1e-3, 1e3), "scale": (1e-3, 1e3),
    "offset": (-100.0, 100.0), "zero_point": (-128, 127), "clip_low": (-30.0, 30.0),
    "clip_high": (-30.0, 30.0),
}  # fmt: skip


def test_whatever_is_accepted_works(rng):
    """Random descriptions: features of the right shape, or one sentence."""
    accepted, refused = [], 0
    for _ in range(250):
        given: dict[str, object] = {"base": str(rng.choice(list(PRESETS)))}
        for field in sorted(CHOICES.keys() - {"tail", "arithmetic", "fft"}):
            if rng.random() < 0.15:
                given[field] = str(rng.choice(CHOICES[field]))
        for field, (low, high) in RANGES.items():
            if rng.random() < 0.15:
                given[field] = random_value(rng, field, low, high)
        try:
            frontend = parse_frontend("\n".join(f"{k} = {v!r}" for k, v in given.items()), "x")
        except InputError:
            refused += 1
            continue
        level = np.exp2(rng.uniform(0, 15))
        pcm = np.clip(rng.normal(0, level, 2500), -32768, 32767).astype(np.int16)
        found = features(frontend, pcm)
        assert found.shape == (frontend.frame_count(2500), frontend.values), given
        accepted.append((frontend.tail, float(np.std(found)) > 0))
    assert refused > 50
    assert accepted.count(("log", True)) > 50
    assert accepted.count(("tflm", True)) > 3
