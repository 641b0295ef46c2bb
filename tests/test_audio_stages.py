# amaranth: UnusedElaboratable=no

"""Each stage of the audio front end against its definition, and what a description refuses."""

import math
from dataclasses import replace

import numpy as np
import pytest
from audio_reference import dct_rows, mel_matrix, window_of

from hdl.audio.config import AudioConfig
from hdl.audio.dct import Dct
from hdl.audio.framer import Framer
from hdl.audio.levels import Levels
from hdl.audio.spectrum import Spectrum
from models.audio.dct import dct_matrix
from models.audio.frames import emphasise, windowed_frames
from models.audio.frontend import PRESETS
from models.audio.levels import floor_sum, levels
from models.audio.logarithm import log2
from models.audio.mel import mel_sums
from models.audio.quantiser import quantise
from models.audio.spectrum import magnitude, power
from models.audio.tables import (
    SpectrumTable,
    input_fraction,
    mel_table,
    spectrum_table,
    tail_table,
    window_table,
)
from verif.formal import prove

SEED = 20_261_123
LOG_PRESETS = [preset for preset in PRESETS.values() if preset.tail == "log"]
NAMES = [preset.name for preset in LOG_PRESETS]
every_preset = pytest.mark.parametrize("preset", LOG_PRESETS, ids=NAMES)


@pytest.mark.parametrize("exponent", range(9))
def test_pre_emphasis_is_exact(exponent):
    samples = np.array([0, 32_767, -32_768, 32_767, 1, -1, -32_768, 5], np.int64)
    before = np.concatenate([[123], samples[:-1]])
    scaled = emphasise(samples, exponent, 123)
    if exponent:
        coefficient = 1 - 0.5**exponent
        np.testing.assert_array_equal(scaled / 2.0**exponent, samples - coefficient * before)
        assert np.abs(scaled).max() < 1 << (16 + exponent)
    else:
        np.testing.assert_array_equal(scaled, samples)


@every_preset
@pytest.mark.parametrize("value", [-32_768, 32_767])
def test_windowed_frames_fit_24_bits_and_round_to_nearest(preset, value):
    pcm = np.full(preset.frame, value, np.int64)
    pcm[1::2] = -1 - value  # the worst for pre-emphasis
    (frame,) = windowed_frames(preset, pcm)
    assert np.all((frame >= -(1 << 23)) & (frame < 1 << 23))
    assert not frame[preset.frame :].any()
    emphasised = emphasise(pcm, preset.pre_emphasis) / 2.0**preset.pre_emphasis
    exact = emphasised * window_table(preset) / 2.0**17 * 2.0 ** input_fraction(preset)
    assert np.abs(frame[: preset.frame] - exact).max() <= 0.5


@every_preset
def test_windows_are_rounded(preset):
    assert np.abs(window_table(preset) - window_of(preset) * 2.0**17).max() <= 1.0


def test_the_spectrum_is_exact():
    rng = np.random.default_rng(SEED)
    limit = 1 << 23
    parts = rng.integers(-limit, limit, (2, 3000)) >> rng.integers(0, 24, (2, 3000))
    parts = np.concatenate([parts, [[-limit, -limit, 0, limit - 1], [-limit, 0, 0, limit - 1]]], 1)
    squares = [re * re + im * im for re, im in zip(*parts.tolist(), strict=True)]
    assert power(*parts).tolist() == squares
    assert magnitude(*parts).tolist() == [math.isqrt(square) for square in squares]
    assert max(squares) < 1 << 48


@every_preset
def test_mel_sums_are_exact_and_weights_rounded(preset):
    rng = np.random.default_rng(SEED)
    table = mel_table(preset)
    bins = preset.fft // 2 + 1
    matrix = np.zeros((bins, preset.bands), np.int64)
    for row, band, rising, falling in zip(
        matrix, table.band, table.rising, table.falling, strict=True
    ):
        row[band : band + 1] = rising  # none beyond the last band
        if band > 0:
            row[band - 1] = falling
    assert np.abs(matrix - mel_matrix(preset) / table.largest * (2**17 - 1)).max() < 0.51
    spectrum = rng.integers(0, 1 << 48, (2, bins)) >> rng.integers(0, 48, (2, bins))
    spectrum[1] = (1 << 48) - 1
    found = mel_sums(spectrum, table, preset.bands)
    assert found.tolist() == (spectrum.astype(object) @ matrix.astype(object)).tolist()
    assert max(found.reshape(-1).tolist()) < 1 << 75
    assert np.all(np.diff(table.band) >= 0)
    outside = np.ones(bins, bool)
    outside[table.first : table.last + 1] = False
    assert not (table.rising[outside] | table.falling[outside]).any()


def test_logarithms_are_within_one_unit_of_2_to_the_minus_15():
    rng = np.random.default_rng(SEED)
    values = [1, 2, 3, (1 << 76) - 1, 1 << 75, (1 << 75) - 1]
    values += [
        int(rng.integers(1 << 62, 1 << 63)) << 13 >> int(s) for s in rng.integers(0, 76, 5000)
    ]
    assert {value.bit_length() for value in values} == set(range(1, 77))
    errors = [log2(value) / 2.0**16 - math.log2(value) for value in values]
    assert max(map(abs, errors)) < 2.0**-15
    assert log2(1) == 0
    assert log2(1 << 40) == 40 << 16
    for value in (0, 1 << 76):
        with pytest.raises(ValueError, match="value must be in"):
            log2(value)


@every_preset
def test_floors_have_their_real_value(preset):
    table = spectrum_table(preset, mel_table(preset))
    unit = 2.0 ** (table.unit / 2.0**16)
    for exponent in (-20, -5, 0, 6):
        for peak in (1, 500, 32_767) if preset.normalisation == "peak" else (1,):
            added = floor_sum(table, exponent, peak)
            real = added * unit * 2.0 ** (table.power * exponent) / float(peak) ** table.power
            step = unit * 2.0 ** (table.power * exponent) / float(peak) ** table.power
            wanted = preset.floor if preset.floor_mode == "add" else 0.0
            assert abs(real - wanted) <= 0.5 * step + 1e-4 * wanted


def test_levels_at_their_ends():
    table = SpectrumTable(
        power=2, unit=-(40 << 16), floor_mantissa=0, floor_shift=0, floor_level=-(50 << 16)
    )
    sums = np.array([[0, 1, 1 << 40, (1 << 75) - 1]], object)

    def of(exponent, **fields):
        return levels(sums, np.array([exponent]), replace(table, **fields))[0].tolist()

    assert of(0)[:3] == [-(50 << 16), -(40 << 16), 0]
    assert of(-6)[:3] == [-(50 << 16), -(50 << 16), -(12 << 16)]
    assert of(127)[3] == (1 << 24) - 1
    everything = replace(table, floor_mantissa=1, floor_shift=200)
    assert floor_sum(everything, 0, 1) == (1 << 75) - 1
    assert floor_sum(replace(everything, floor_shift=-1), 0, 1) == 1
    assert floor_sum(replace(everything, floor_shift=-2), 0, 1) == 0


@pytest.mark.parametrize("norm", ["htk", "ortho"])
@pytest.mark.parametrize(("bands", "coefficients"), [(20, 20), (40, 10), (64, 33), (128, 128)])
def test_the_dct_reads_its_matrix_out_of_a_quarter_wave(bands, coefficients, norm):
    fields = {"bands": bands, "coefficients": coefficients, "dct_norm": norm}
    frontend = replace(PRESETS["mlperf_kws"], **fields)
    table = tail_table(frontend)
    step = 2.0 ** (16 - table.shift)  # of a factor: levels have 16 fraction bits
    exact = dct_rows(frontend).T * math.log(2) / frontend.scale
    found = dct_matrix(table, bands, coefficients) * step
    assert np.abs(found - exact).max() <= 0.51 * step
    assert table.cosines.max() >= 1 << 16, "the factors waste a bit"


def test_quantising_rounds_to_nearest_and_keeps_the_bounds():
    table = tail_table(replace(PRESETS["tf_mfcc"], clip_low=-3.0, clip_high=5.0))
    one = 1 << table.shift
    sums = np.array(
        [-one, -one // 2 - 1, -one // 2, 0, one // 2 - 1, one // 2, 100 * one, -9 * one]
    )
    assert quantise(sums, table).tolist() == [-1, -1, 0, 0, 0, 1, 10, -6]


BAD = {
    "window": ("gauss", "window of the front end mlperf_kws must be one of hann, "),
    "fft": (2048, "fft of the front end mlperf_kws must be one of 256, 512, 1024, not 2048"),
    "frame": (513, "frame of the front end mlperf_kws must be an integer of 16 to 512, not 513"),
    "step": (0, "step of the front end mlperf_kws must be an integer of 1 to 480, not 0"),
    "bands": (129, "bands of the front end mlperf_kws must be an integer of 20 to 128, not 129"),
    "coefficients": (41, "coefficients .* must be an integer of 0 to 40, not 41"),
    "pre_emphasis": (0.97, r"pre_emphasis .* must be an integer of 0 to 8, not 0\.97"),
    "centred": (1, "centred .* must be true or false, not 1"),
    "high_hz": (8001.0, r"high_hz .* must be a number of 20 to 8000, not 8001\.0"),
    "low_hz": (4000.0, r"high_hz .* must be above low_hz = 4000, not 4000\.0"),
    "floor": (0, "floor .* must be a number of 1e-60 to 1, not 0"),
    "scale": (math.nan, "scale .* must be a number of .*, not nan"),
    "zero_point": (128, "zero_point .* must be an integer of -128 to 127, not 128"),
    "clip": (480, "clip .* must be an integer of 1152 to 16777215, not 480"),
    "gain": (1e-5, "scale .* must be a number of "),
    "offset": (900.0, "offset .* must be a number of "),
    "arithmetic": ("kiss", 'arithmetic .* must be block_floating, as tail is "log", not '),
    "tail": ("tflm", 'arithmetic .* must be kiss, as tail is "tflm", not '),
}


@pytest.mark.parametrize("field", BAD)
def test_descriptions_refuse_what_the_hardware_cannot_do(field):
    value, message = BAD[field]
    fields = {field: value} | ({"scale": 0.1} if field == "offset" else {})
    with pytest.raises(ValueError, match=message):
        replace(PRESETS["mlperf_kws"], **fields)


def test_bounds_are_in_order():
    with pytest.raises(ValueError, match=r"clip_high .* must be above clip_low = 2, not 1\.0"):
        replace(PRESETS["mlperf_kws"], clip_low=2.0, clip_high=1.0)


TINY = AudioConfig(fft_points=16, smallest_fft_points=16, bands=4, coefficients=4)


@pytest.mark.formal
@pytest.mark.parametrize(
    "block",
    [Spectrum, lambda: Levels(TINY), lambda: Dct(TINY), lambda: Framer(TINY)],
    ids=["spectrum", "levels", "dct", "framer"],
)
def test_control_keeps_its_order(block, request):
    prove(block(), name=f"audio_{request.node.callspec.id}", max_steps=6)
