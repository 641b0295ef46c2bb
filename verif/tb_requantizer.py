"""cocotb bench: `hdl.engine.requantizer.Requantizer` against `models.fixedpoint`."""

from dataclasses import dataclass

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from hdl.engine.requantizer import Requantizer
from models.engine import reciprocal
from models.fixedpoint import (
    IntArray,
    multiply_and_round_once,
    multiply_by_quantized_multiplier,
    saturating_rounding_doubling_high_mul,
    wrap,
)
from verif.bench import coin, log_uniform, start

VALUES = 12_000
ADVANCE_PROBABILITY = 0.8
INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1
HALF_SCALE = 1 << 30
LARGEST_COUNTS = {8: 1 << 16, 16: 1 << 14}
"""Divisors of sums of int8; of int16, as far as `reciprocal` is exact."""
WIDE_BITS = 40


@dataclass(frozen=True)
class Stimulus:
    """Inputs, one a cycle, and the results that the model expects."""

    value: IntArray
    bias: IntArray
    multiplier: IntArray
    shift: IntArray
    average: IntArray
    single: IntArray
    scaled: IntArray


def scaling_stimulus(rng: np.random.Generator, size: int) -> Stimulus:
    """Rescaling: all magnitudes, all shifts, ties and corners, and a check that they are there."""
    value = log_uniform(rng, bits=32, size=size)
    bias = log_uniform(rng, bits=32, size=size)
    multiplier = rng.integers(HALF_SCALE, 1 << 31, size)
    shift = rng.integers(-31, 32, size)
    ties, corners, unnormalised = rng.integers(0, 10, size) == np.arange(3)[:, np.newaxis]
    # Ties of the second rounding: a product that is an exact multiple of half the divisor.
    multiplier[ties] = HALF_SCALE
    shift[ties] = rng.integers(-31, 0, np.count_nonzero(ties))
    bias[ties] = 0
    value[ties] = wrap((value[ties] | 1) << -shift[ties])
    # Corners of every operand, and multipliers that flush to zero or are not normalised.
    ends = [INT32_MIN, INT32_MIN + 1, -1, 0, 1, INT32_MAX]
    value[corners] = rng.choice(ends, np.count_nonzero(corners))
    bias[corners] = rng.choice(ends, np.count_nonzero(corners))
    multiplier[corners] = rng.choice([0, 1, HALF_SCALE, INT32_MAX], np.count_nonzero(corners))
    multiplier[unnormalised] >>= rng.integers(0, 31, np.count_nonzero(unnormalised))

    total = wrap(value + bias)
    scaled = multiply_by_quantized_multiplier(total, multiplier, shift)
    check_scaling_coverage(total, value + bias, multiplier, shift, scaled)
    none = np.zeros(size, np.int64)
    return Stimulus(with_junk(rng, value), bias, multiplier, shift, none, none, scaled)


def with_junk(rng: np.random.Generator, value: IntArray) -> IntArray:
    """Anything above the 32 bits that count."""
    return wrap((value & ((1 << 32) - 1)) | rng.integers(0, 1 << 8, len(value)) << 32, WIDE_BITS)


def single_stimulus(rng: np.random.Generator, size: int) -> Stimulus:
    """One rounding: all magnitudes of 40 bits, all shifts, ties, corners; and they are there."""
    value = log_uniform(rng, bits=WIDE_BITS, size=size)
    bias = log_uniform(rng, bits=32, size=size)
    multiplier = rng.integers(1 << 14, 1 << 15, size)
    shift = rng.integers(-31, 8, size)
    ties, corners, unnormalised = rng.integers(0, 10, size) == np.arange(3)[:, np.newaxis]
    multiplier[ties] = 1 << 14
    shift[ties] = rng.integers(-31, 1, np.count_nonzero(ties))
    bias[ties] = 0
    value[ties] = wrap((value[ties] | 1) << -shift[ties], WIDE_BITS)
    limit = 1 << (WIDE_BITS - 1)
    value[corners] = rng.choice([-limit, 1 - limit, -1, 0, 1, limit - 1], np.count_nonzero(corners))
    bias[corners] = rng.choice([INT32_MIN, -1, 0, 1, INT32_MAX], np.count_nonzero(corners))
    multiplier[corners] = rng.choice([0, 1, 1 << 14, (1 << 15) - 1], np.count_nonzero(corners))
    multiplier[unnormalised] >>= rng.integers(0, 15, np.count_nonzero(unnormalised))

    total = value + bias
    scaled = multiply_and_round_once(total, multiplier, shift)
    product = total * multiplier
    tie = (product & ((1 << (15 - shift)) - 1)) == 1 << (14 - shift)
    enough = size // 100
    assert np.count_nonzero(tie & (product > 0)) > enough, "no positive ties"
    assert np.count_nonzero(tie & (product < 0)) > enough, "no negative ties"
    assert np.count_nonzero(wrap(total, WIDE_BITS) != total) > enough // 4, "no sum of 41 bits"
    assert np.count_nonzero(wrap(product >> (15 - shift)) != product >> (15 - shift)) > enough
    assert np.count_nonzero(scaled) > size // 2, "almost every result is zero"
    assert len(np.unique(shift)) == len(range(-31, 8))
    none = np.zeros(size, np.int64)
    return Stimulus(value, bias, multiplier, shift, none, none + 1, scaled)


def check_scaling_coverage(
    total: IntArray, unwrapped: IntArray, multiplier: IntArray, shift: IntArray, scaled: IntArray
) -> None:
    """Fail if the stimulus leaves one of the arithmetic's cases untested."""
    shifted = wrap(total << np.maximum(shift, 0))
    high = saturating_rounding_doubling_high_mul(shifted, multiplier)
    right = np.maximum(-shift, 0)
    tie = (right > 0) & ((high & ((1 << right) - 1)) == (1 << right) >> 1)
    negative_to_zero = (shifted < 0) & (multiplier > 0) & (high == 0)
    enough = len(total) // 100
    assert np.count_nonzero(unwrapped != total) > enough // 4, "the bias never wraps"
    assert np.count_nonzero(shifted != total << np.maximum(shift, 0)) > enough, "no left wrap"
    assert np.count_nonzero(tie & (high > 0)) > enough, "no positive ties"
    assert np.count_nonzero(tie & (high < 0)) > enough, "no negative ties"
    assert np.count_nonzero(negative_to_zero) > enough // 4, "no negative product rounds to zero"
    assert np.count_nonzero(scaled) > len(total) // 2, "almost every result is zero"
    assert len(np.unique(shift)) == len(range(-31, 32))


def average_stimulus(rng: np.random.Generator, size: int, bits: int) -> Stimulus:
    """Means of 1 to many int8 or int16, judged by a division."""
    limit = 1 << (bits - 1)
    count = (2 ** rng.uniform(0, np.log2(LARGEST_COUNTS[bits]), size)).astype(np.int64)
    value = rng.integers(-limit * count, limit * count) >> rng.integers(0, bits + 4, size)
    # Sums just below and at the half of a mean, where a wrong rounding shows.
    whole = rng.integers(1 - limit, limit - 1, size)
    nearly_half = whole * count + count // 2 - rng.integers(0, 2, size)
    value = np.where(rng.integers(0, 2, size), value, nearly_half)
    multiplier, shift = np.array([reciprocal(int(n)) for n in count]).T
    scaled = np.sign(value) * ((np.abs(value) + count // 2) // count)
    assert np.count_nonzero(np.abs(scaled) > 1) > size // 2
    assert np.count_nonzero(shift == 1 - np.log2(count)) > size // 100, "no powers of two"
    none = np.zeros(size, np.int64)
    value = with_junk(rng, value)
    return Stimulus(value, count // 2, multiplier, shift, none + 1, none, scaled)


def shuffled(rng: np.random.Generator, *parts: Stimulus) -> Stimulus:
    """All of ``parts`` in random order, so that the mode changes from cycle to cycle."""
    order = rng.permutation(sum(len(part.value) for part in parts))
    fields = (np.concatenate(columns)[order] for columns in zip(*map(_columns, parts), strict=True))
    return Stimulus(*fields)


def _columns(part: Stimulus) -> tuple[IntArray, ...]:
    return (
        part.value,
        part.bias,
        part.multiplier,
        part.shift,
        part.average,
        part.single,
        part.scaled,
    )


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def matches_model(dut) -> None:
    """New operands every cycle, with pauses, give the model's bits after exactly `LATENCY`."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    stimulus = shuffled(
        rng,
        scaling_stimulus(rng, VALUES),
        single_stimulus(rng, VALUES // 2),
        *(average_stimulus(rng, VALUES // 4, bits) for bits in LARGEST_COUNTS),
    )
    dut.advance.value = 0
    await start(dut)

    inputs = [dut.value, dut.bias, dut.multiplier, dut.shift, dut.average, dut.single]
    columns = np.stack(_columns(stimulus)[:-1], axis=1).tolist()
    expected = stimulus.scaled.tolist()
    paused = coin(rng, 1 - ADVANCE_PROBABILITY)
    advanced = 0
    while advanced < len(columns) + Requantizer.LATENCY:
        advance = not next(paused)
        for port, number in zip(inputs, columns[min(advanced, len(columns) - 1)], strict=True):
            port.value = number
        dut.advance.value = advance
        await RisingEdge(dut.clk)
        result = advanced - Requantizer.LATENCY
        if result >= 0:
            assert dut.scaled.value.to_signed() == expected[result], columns[result]
        advanced += advance
