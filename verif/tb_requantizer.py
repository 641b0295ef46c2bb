"""cocotb bench: `hdl.engine.requantizer.Requantizer` against `models.fixedpoint`."""

from dataclasses import dataclass

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from hdl.engine.requantizer import Requantizer
from models.engine import reciprocal
from models.fixedpoint import (
    IntArray,
    multiply_by_quantized_multiplier,
    saturating_rounding_doubling_high_mul,
    wrap,
)
from verif.bench import coin, log_uniform, start

VALUES = 12_000
ADVANCE_PROBABILITY = 0.8
INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1
HALF_SCALE = 1 << 30
LARGEST_COUNT = 1 << 16


@dataclass(frozen=True)
class Stimulus:
    """Inputs, one a cycle, and the results that the model expects."""

    value: IntArray
    bias: IntArray
    multiplier: IntArray
    shift: IntArray
    average: IntArray
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
    return Stimulus(value, bias, multiplier, shift, np.zeros(size, np.int64), scaled)


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


def average_stimulus(rng: np.random.Generator, size: int) -> Stimulus:
    """Means of 1 to `LARGEST_COUNT` int8, judged by a division."""
    count = (2 ** rng.uniform(0, np.log2(LARGEST_COUNT), size)).astype(np.int64)
    value = rng.integers(-128 * count, 128 * count) >> rng.integers(0, 12, size)
    # Sums just below and at the half of a mean, where a wrong rounding shows.
    nearly_half = rng.integers(-127, 127, size) * count + count // 2 - rng.integers(0, 2, size)
    value = np.where(rng.integers(0, 2, size), value, nearly_half)
    multiplier, shift = np.array([reciprocal(int(n)) for n in count]).T
    scaled = np.sign(value) * ((np.abs(value) + count // 2) // count)
    assert np.count_nonzero(np.abs(scaled) > 1) > size // 2
    assert np.count_nonzero(shift == 1 - np.log2(count)) > size // 100, "no powers of two"
    return Stimulus(value, count // 2, multiplier, shift, np.ones(size, np.int64), scaled)


def shuffled(rng: np.random.Generator, *parts: Stimulus) -> Stimulus:
    """All of ``parts`` in random order, so that the mode changes from cycle to cycle."""
    order = rng.permutation(sum(len(part.value) for part in parts))
    fields = (np.concatenate(columns)[order] for columns in zip(*map(_columns, parts), strict=True))
    return Stimulus(*fields)


def _columns(part: Stimulus) -> tuple[IntArray, ...]:
    return part.value, part.bias, part.multiplier, part.shift, part.average, part.scaled


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def matches_model(dut) -> None:
    """New operands every cycle, with pauses, give the model's bits after exactly `LATENCY`."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    stimulus = shuffled(rng, scaling_stimulus(rng, VALUES), average_stimulus(rng, VALUES // 4))
    dut.advance.value = 0
    await start(dut)

    inputs = [dut.value, dut.bias, dut.multiplier, dut.shift, dut.average]
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
