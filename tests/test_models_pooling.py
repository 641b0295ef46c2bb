"""The pooling models: the mean's definition, and its division by a reciprocal."""

import numpy as np
import pytest

from models import engine

SEED = 2022
WHOLE_RANGE = {"minimum": -128, "maximum": 127}
NO_PADDING = ((0, 0), (0, 0))


@pytest.mark.parametrize("first", range(1, 301, 50))
def test_reciprocal_divides_exactly(first):
    """Every numerator of the range that the docstring promises."""
    for count in range(first, first + 50):
        multiplier, shift = engine.reciprocal(count)
        assert 1 << 30 <= multiplier < 1 << 31
        numerators = np.arange(256 * count + 1)
        assert np.array_equal((numerators * multiplier) >> (31 - shift), numerators // count)


def test_reciprocal_divides_exactly_for_large_counts():
    """Quotients change at multiples of the count: both sides of each are where it would fail."""
    rng = np.random.default_rng(SEED)
    counts = np.exp2(rng.uniform(8, 22, 400)).astype(np.int64).tolist()
    counts += [(1 << bit) + offset for bit in range(9, 22) for offset in (-1, 0, 1)]
    counts += [(1 << 22) - 1, 1 << 22]
    multiples = np.arange(1, 257)
    for count in counts:
        multiplier, shift = engine.reciprocal(count)
        assert 1 << 30 <= multiplier < 1 << 31
        numerators = np.concatenate([multiples * count, multiples * count - 1])
        assert np.array_equal((numerators * multiplier) >> (31 - shift), numerators // count)


def test_reciprocal_limits():
    for count in (0, -3, (1 << 22) + 1):
        with pytest.raises(ValueError, match=rf"count must be in 1\.\.4194304, not {count}"):
            engine.reciprocal(count)


def test_average_rounds_ties_away_from_zero():
    for values, mean in (([1, 2], 2), ([-1, -2], -2), ([0, 1, 1], 1), ([-1, 0, 0], 0)):
        x = np.array(values, dtype=np.int8).reshape(1, -1, 1)
        kernel = x.shape[:2]
        actual = engine.average_pool2d(
            x, kernel=kernel, stride=(1, 1), padding=NO_PADDING, **WHOLE_RANGE
        )
        assert actual.tolist() == [[[mean]]]


def test_average_equals_multiplication_by_the_reciprocal():
    rng = np.random.default_rng(SEED)
    for count in (1, 2, 3, 7, 9, 25, 49, 64, 300):
        x = rng.integers(-128, 128, (1, count, 64), dtype=np.int8)
        total = x.astype(np.int64).sum(axis=(0, 1))
        multiplier, shift = engine.reciprocal(count)
        magnitude = ((np.abs(total) + count // 2) * multiplier) >> (31 - shift)
        actual = engine.average_pool2d(
            x, kernel=(1, count), stride=(1, 1), padding=NO_PADDING, **WHOLE_RANGE
        )
        assert np.array_equal(actual[0, 0], np.sign(total) * magnitude)


def test_padding_does_not_count():
    x = np.full((2, 2, 1), -7, dtype=np.int8)
    arguments = {"kernel": (3, 3), "stride": (1, 1), "padding": ((1, 1), (1, 1)), **WHOLE_RANGE}
    assert np.array_equal(engine.average_pool2d(x, **arguments), x)
    assert np.array_equal(engine.max_pool2d(x, **arguments), x)


def test_pooling_rejects_impossible_windows():
    x = np.zeros((2, 2, 1), dtype=np.int8)
    with pytest.raises(ValueError, match="kernel 3x1 exceeds the padded input's 2x2 pixels"):
        engine.max_pool2d(x, kernel=(3, 1), stride=(1, 1), padding=NO_PADDING, **WHOLE_RANGE)
    with pytest.raises(ValueError, match="leaves a 1x1 window empty"):
        engine.average_pool2d(
            x, kernel=(1, 1), stride=(1, 1), padding=((1, 0), (0, 0)), **WHOLE_RANGE
        )


def test_minimum_above_maximum_is_refused():
    x = np.zeros((2, 2, 1), dtype=np.int8)
    with pytest.raises(ValueError, match=r"ordered and in -128\.\.127, not 5 and 4"):
        engine.max_pool2d(x, kernel=(1, 1), stride=(1, 1), padding=NO_PADDING, minimum=5, maximum=4)


def test_reciprocal_divides_sums_of_int16():
    """Both sides of every quotient that an int16 mean can have, near the ends and in between."""
    rng = np.random.default_rng(SEED)
    counts = [*range(1, 40), *np.exp2(rng.uniform(5, 14, 60)).astype(np.int64).tolist(), 16383]
    for count in [*counts, 1 << 14]:
        multiplier, shift = engine.reciprocal(count, bits=16)
        assert 1 << 30 <= multiplier < 1 << 31
        multiples = np.arange(1, (1 << 16) + 1) * count
        numerators = np.concatenate([multiples, multiples - 1])
        assert np.array_equal((numerators * multiplier) >> (31 - shift), numerators // count)
    with pytest.raises(ValueError, match=r"count must be in 1\.\.16384, not 16385"):
        engine.reciprocal(16385, bits=16)


def test_pooling_of_int16():
    x = np.array([-32768, -32768, 32767, 5], np.int16).reshape(1, 4, 1)
    limits = {"minimum": -32768, "maximum": 32767, "stride": (1, 1), "padding": ((0, 0), (1, 0))}
    mean = engine.average_pool2d(x, kernel=(1, 2), **limits)
    largest = engine.max_pool2d(x, kernel=(1, 2), **limits)
    assert mean.dtype == largest.dtype == np.int16
    assert mean.ravel().tolist() == [-32768, -32768, -1, 16386]
    assert largest.ravel().tolist() == [-32768, -32768, 32767, 32767]
