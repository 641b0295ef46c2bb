"""The shared integer arithmetic against gemmlowp's definitions, transcribed one value at a time."""

import numpy as np
import pytest
from gemmlowp import (
    divide_like_c,
    gemmlowp_divide_by_pot,
    gemmlowp_high_mul,
    tflite_multiply,
    tflite_multiply_wide,
    to_int32,
)

from models import fixedpoint

SEED = 2022
CORNERS = [
    0, 1, -1, 2, -2, 3, -3, 127, -128, 255, -255, 1 << 29, 1 << 30, -(1 << 30), (1 << 30) + 1,
    (1 << 30) - 1, (1 << 31) - 1, (1 << 31) - 2, -(1 << 31), -(1 << 31) + 1, 0x55555555,
]  # fmt: skip


def log_uniform(rng, count, bits=31):
    """Signed integers whose magnitudes spread evenly over all bit lengths."""
    magnitude = np.exp2(rng.uniform(0, bits, count)).astype(np.int64)
    return np.where(rng.integers(2, size=count) == 1, magnitude, -magnitude)


def test_high_mul_matches_gemmlowp():
    rng = np.random.default_rng(SEED)
    pairs = [(a, b) for a in CORNERS for b in CORNERS]
    pairs += zip(log_uniform(rng, 20_000).tolist(), log_uniform(rng, 20_000).tolist(), strict=True)
    a, b = np.array(pairs).T
    expected = [gemmlowp_high_mul(x, y) for x, y in pairs]
    assert np.array_equal(fixedpoint.saturating_rounding_doubling_high_mul(a, b), expected)
    ties = sum(1 for x, y in pairs if (x * y) % (1 << 31) == 1 << 30)
    assert ties > 5, f"only {ties} of the products are ties"


def test_high_mul_saturates_only_at_the_double_minimum():
    low = -(1 << 31)
    assert fixedpoint.saturating_rounding_doubling_high_mul(low, low) == (1 << 31) - 1
    assert fixedpoint.saturating_rounding_doubling_high_mul(low, low + 1) == (1 << 31) - 1
    assert fixedpoint.saturating_rounding_doubling_high_mul(low, (1 << 31) - 1) == low + 1


@pytest.mark.parametrize("exponent", range(32))
def test_divide_by_power_of_two_matches_gemmlowp(exponent):
    rng = np.random.default_rng([SEED, exponent])
    values = CORNERS + log_uniform(rng, 500).tolist()
    half = (1 << exponent) >> 1
    values += [sign * (n * (1 << exponent) + half) for n in range(4) for sign in (1, -1)]
    values = [v for v in values if -(1 << 31) <= v < 1 << 31]
    expected = [gemmlowp_divide_by_pot(v, exponent) for v in values]
    assert np.array_equal(fixedpoint.rounding_divide_by_pot(values, exponent), expected)
    # The form for hardware that docs/numerics.md gives: one adder, one shifter.
    assert expected == [(v + half - (1 if v < 0 and exponent else 0)) >> exponent for v in values]


def test_divide_by_power_of_two_rounds_ties_away_from_zero():
    values = [-6, -5, -3, -2, -1, 1, 2, 3, 5, 6]
    assert fixedpoint.rounding_divide_by_pot(values, 2).tolist() == [
        -2, -1, -1, -1, 0, 0, 1, 1, 1, 2,
    ]  # fmt: skip


@pytest.mark.parametrize("shift", range(-31, 32))
def test_quantized_multiplier_matches_tflite(shift):
    rng = np.random.default_rng([SEED, shift + 31])
    values = CORNERS + log_uniform(rng, 400).tolist()
    multipliers = [0, 1 << 30, (1 << 31) - 1, *rng.integers(1 << 30, 1 << 31, 5).tolist()]
    for multiplier in multipliers:
        expected = [tflite_multiply(v, multiplier, shift) for v in values]
        actual = fixedpoint.multiply_by_quantized_multiplier(values, multiplier, shift)
        assert np.array_equal(actual, expected), f"multiplier {multiplier}"
    wrapped = sum(to_int32(v << max(shift, 0)) != v << max(shift, 0) for v in values)
    assert (wrapped > 0) == (shift > 0), f"{wrapped} values wrapped"


def test_quantized_multiplier_broadcasts_per_channel():
    rng = np.random.default_rng(SEED)
    x = log_uniform(rng, 24).reshape(4, 6)
    multiplier, shift = rng.integers(1 << 30, 1 << 31, 6), np.arange(-4, 2)
    actual = fixedpoint.multiply_by_quantized_multiplier(x, multiplier, shift)
    for row, column in np.ndindex(4, 6):
        expected = tflite_multiply(int(x[row, column]), int(multiplier[column]), int(shift[column]))
        assert actual[row, column] == expected


def test_double_rounding_differs_from_single_rounding():
    """The two are not the same function: 2**29 + 1 halves of halves round twice."""
    x, multiplier, shift = 1, 3 << 29, -1  # 0.75 / 2 = 0.375: 0 in one step, 1 in two
    assert fixedpoint.multiply_by_quantized_multiplier(x, multiplier, shift) == 1
    assert (x * multiplier + (1 << 31)) >> 32 == 0


@pytest.mark.parametrize("shift", range(-31, 8))
def test_reduced_multiplier_matches_tflite(shift):
    rng = np.random.default_rng([SEED, shift + 31])
    ends = [1 << 46, -(1 << 46), (1 << 47) - 1, -(1 << 47)]
    ties = [sign * (2 * n + 1) << max(-shift, 0) for n in range(8) for sign in (1, -1)]
    values = [*CORNERS, *ends, *ties, *log_uniform(rng, 400, bits=47).tolist()]
    multipliers = [0, 1 << 30, 0x7FFEFFFF, 0x7FFF0000, (1 << 31) - 1]
    multipliers += rng.integers(1 << 30, 1 << 31, 5).tolist()
    wrapped = tied = 0
    for multiplier in multipliers:
        expected = [tflite_multiply_wide(v, multiplier, shift) for v in values]
        actual = fixedpoint.multiply_by_reduced_multiplier(values, multiplier, shift)
        assert np.array_equal(actual, expected), f"multiplier {multiplier}"
        reduced = fixedpoint.reduce_multiplier(multiplier).item()
        assert np.array_equal(fixedpoint.multiply_and_round_once(values, reduced, shift), expected)
        quotients = [v * reduced >> (14 - shift) for v in values]
        wrapped += sum(to_int32(q >> 1) != q >> 1 for q in quotients)
        exact = [v * reduced % (1 << (14 - shift)) == 0 for v in values]
        tied += sum(q % 2 and e for q, e in zip(quotients, exact, strict=True))
    # The largest of 48 bits leaves 32 for shifts above -16; a product has ties where it is even.
    assert (wrapped > 0) == (shift > -16)
    assert tied >= len(ties) // 2 or shift > 0


def test_reduced_multiplier_rounds_once_and_ties_up():
    half = 1 << 30
    assert fixedpoint.reduce_multiplier([0, half, (1 << 31) - 1]).tolist() == [0, 1 << 14, 0x7FFF]
    assert fixedpoint.multiply_by_reduced_multiplier([-3, -1, 1, 3], half, 0).tolist() == [
        -1, 0, 1, 2,
    ]  # fmt: skip
    # 0.75 / 2: the twice rounding form says 1.
    assert fixedpoint.multiply_by_reduced_multiplier(1, 3 << 29, -1) == 0


def test_saturate_and_wrap():
    values = [-(1 << 40), -129, -128, 0, 127, 128, 1 << 40]
    assert fixedpoint.saturate(values, 8).tolist() == [-128, -128, -128, 0, 127, 127, 127]
    assert fixedpoint.wrap(values, 8).tolist() == [0, 127, -128, 0, 127, -128, 0]
    rng = np.random.default_rng(SEED)
    wide = log_uniform(rng, 1000, bits=60)
    assert fixedpoint.wrap(wide).tolist() == [to_int32(v) for v in wide.tolist()]


def test_half_sum_rounds_ties_away_from_zero():
    pairs = [(a, b) for a in CORNERS for b in CORNERS]
    expected = [divide_like_c(a + b + (1 if a + b >= 0 else -1), 2) for a, b in pairs]
    a, b = np.array(pairs).T
    assert np.array_equal(fixedpoint.rounding_half_sum(a, b), expected)


@pytest.mark.parametrize("shift", [-32, 32, 100])
def test_shift_out_of_range(shift):
    with pytest.raises(ValueError, match=rf"shift must be in -31\.\.31, not {shift}"):
        fixedpoint.multiply_by_quantized_multiplier(1, 1 << 30, shift)


@pytest.mark.parametrize("shift", [-32, 8])
def test_shift_out_of_range_for_one_rounding(shift):
    with pytest.raises(ValueError, match=rf"shift must be in -31\.\.7, not {shift}"):
        fixedpoint.multiply_by_reduced_multiplier(1, 1 << 30, shift)


@pytest.mark.parametrize("x", [1 << 47, -(1 << 47) - 1])
def test_value_out_of_range_for_one_rounding(x):
    with pytest.raises(ValueError, match=rf"x must fit 48 bits, and {x} does not"):
        fixedpoint.multiply_by_reduced_multiplier(x, 1 << 30, 0)


@pytest.mark.parametrize("exponent", [-1, 63])
def test_exponent_out_of_range(exponent):
    with pytest.raises(ValueError, match=rf"exponent must be in 0\.\.62, not {exponent}"):
        fixedpoint.rounding_divide_by_pot(1, exponent)
