"""Front ends by name and from TOML, or one sentence that names field, value and what is allowed."""

from dataclasses import replace

import pytest

from mmsp.audio.frontends import find_frontend, frontend_files, parse_frontend
from mmsp.errors import InputError
from models.audio.frontend import PRESETS

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
