"""The softmax model against gemmlowp's definitions in scalar form, and against real arithmetic."""

import math

import numpy as np
import pytest
from gemmlowp import gemmlowp_exp, gemmlowp_high_mul, tflite_reciprocal, tflite_softmax

from models import engine
from models.engine.softmax import (
    EXP_MINUS_ONE_EIGHTH,
    EXP_OF_MINUS_POWER_OF_TWO,
    FORTY_EIGHT_SEVENTEENTHS,
    MINUS_THIRTY_TWO_SEVENTEENTHS,
    ONE_THIRD,
    exp_on_negative_values,
)

SEED = 2022


def parameters(input_scale, beta=1.0):
    """TFLite ``PreprocessSoftmaxScaling`` and ``CalculateInputRadius``."""
    real = min(beta * input_scale * (1 << 26), (1 << 31) - 1.0)
    mantissa, beta_shift = math.frexp(real)
    multiplier = round(mantissa * (1 << 31))
    if multiplier == 1 << 31:
        multiplier, beta_shift = 1 << 30, beta_shift + 1
    radius = math.floor(31 * (1 << 26) / (1 << beta_shift))
    return {
        "beta_multiplier": multiplier,
        "beta_shift": beta_shift,
        "minimum_difference": -radius,
    }


SCALES = [2.0**-25, 1e-6, 1 / 4096, 0.01, 1 / 16, 0.1, 0.25, 0.9, 1.0, 3.7, 15.9, 31.9, 32.0, 1e9]


@pytest.mark.parametrize("input_scale", SCALES)
def test_exponentials_match_gemmlowp(input_scale):
    parameter = parameters(input_scale)
    table = engine.softmax_exponentials(**parameter)
    assert table.shape == (256,)
    for difference in range(256):
        scaled = gemmlowp_high_mul(
            -difference << parameter["beta_shift"], parameter["beta_multiplier"]
        )
        counted = -difference >= parameter["minimum_difference"]
        assert table[difference] == (gemmlowp_exp(scaled) if counted else 0)


def test_constants_are_their_definitions():
    """Some are so fine that random arguments need not notice an error of one unit."""
    assert round(math.exp(-1 / 8) * 2**31) == EXP_MINUS_ONE_EIGHTH
    assert round(2**31 / 3) == ONE_THIRD
    assert round(48 / 17 * 2**29) == FORTY_EIGHT_SEVENTEENTHS
    assert round(-32 / 17 * 2**29) == MINUS_THIRTY_TWO_SEVENTEENTHS
    for exponent, factor in EXP_OF_MINUS_POWER_OF_TWO.items():
        assert round(math.exp(-(2.0**exponent)) * 2**31) == factor


def test_exponential_matches_gemmlowp_everywhere():
    """Arguments that no table asks for."""
    rng = np.random.default_rng(SEED)
    arguments = -np.exp2(rng.uniform(0, 31, 20_000)).astype(np.int64)
    edges = [-(1 << bit) + offset for bit in range(32) for offset in (-1, 0, 1)]
    arguments = np.clip(np.concatenate([arguments, edges]), -(1 << 31), 0)
    expected = [gemmlowp_exp(argument) for argument in arguments.tolist()]
    assert exp_on_negative_values(arguments).tolist() == expected


@pytest.mark.parametrize("input_scale", SCALES)
def test_exponentials_stay_near_the_real_function(input_scale):
    """The bound that docs/numerics.md states: 2**-22 of full scale."""
    parameter = parameters(input_scale)
    table = engine.softmax_exponentials(**parameter)
    step = parameter["beta_multiplier"] * 2.0 ** (parameter["beta_shift"] - 31 - 26)
    expected = np.exp(-np.arange(256) * step)
    counted = -np.arange(256) >= parameter["minimum_difference"]
    assert np.abs(table / 2.0**31 - expected)[counted].max() < 2.0**-22
    assert table[0] == (1 << 31) - 1
    assert np.all(np.diff(table) <= 0)


def test_reciprocal_matches_gemmlowp():
    rng = np.random.default_rng(SEED)
    totals = np.exp2(rng.uniform(0, 32, 5000)).astype(np.int64)
    edges = [1 << bit for bit in range(32)] + [(1 << bit) - 1 for bit in range(1, 33)]
    totals = np.concatenate([totals, edges, (np.array(edges[:31]) | 1)])
    scale, bits_over_unit = engine.softmax_reciprocal(totals)
    expected = [tflite_reciprocal(total) for total in totals.tolist()]
    assert list(zip(scale.tolist(), bits_over_unit.tolist(), strict=True)) == expected


def test_reciprocal_is_near_the_real_function():
    """The bound that docs/numerics.md states: 8 units of 2**-31."""
    rng = np.random.default_rng(SEED)
    totals = np.exp2(rng.uniform(0, 32, 20_000)).astype(np.int64)
    scale, bits_over_unit = engine.softmax_reciprocal(totals)
    assert np.array_equal(bits_over_unit, np.floor(np.log2(totals)).astype(int) - 19)
    expected = 2.0 ** (31 + 19 + bits_over_unit) / totals
    assert np.abs(scale - expected).max() <= 8


@pytest.mark.parametrize("length", [1, 2, 3, 10, 12, 100, 511])
def test_rows_match_tflite(length):
    rng = np.random.default_rng([SEED, length])
    outputs = []
    for _ in range(12):
        parameter = parameters(float(np.exp2(rng.uniform(-10, 3))))
        spread = int(np.exp2(rng.uniform(0, 8)))
        rows = np.clip(rng.integers(-spread, spread, (3, length)), -128, 127).astype(np.int8)
        expected = [tflite_softmax(row.tolist(), *parameter.values()) for row in rows]
        actual = engine.softmax(rows, **parameter)
        assert actual.dtype == np.int8
        assert actual.tolist() == expected
        outputs.append(actual)
    assert length == 1 or len(np.unique(np.concatenate(outputs))) > 10, "degenerate stimulus"


def test_equal_values_share_evenly():
    parameter = parameters(1.0)
    for length in (1, 2, 4, 256, 4096):
        outputs = engine.softmax(np.full(length, 5, dtype=np.int8), **parameter)
        assert set(outputs.tolist()) == {min(256 // length - 128, 127)}


def test_bad_parameters():
    with pytest.raises(ValueError, match=r"beta_shift must be in 0\.\.31, not 32"):
        engine.softmax_exponentials(beta_multiplier=1 << 30, beta_shift=32, minimum_difference=-1)
    with pytest.raises(ValueError, match=r"sum_of_exponentials must be in 1\.\.2\*\*32-1, not 0"):
        engine.softmax_reciprocal(0)
    with pytest.raises(ValueError, match="at most 4096 values, not 4097"):
        engine.softmax(np.zeros(4097, dtype=np.int8), **parameters(1.0))
