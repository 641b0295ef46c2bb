"""Random parameters for the drain: such that most outputs are in range, or anything."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.engine import reciprocal
from models.engine.drain import OperandScale
from models.fixedpoint import IntArray
from verif.bench import log_uniform
from verif.vectors import pack

__all__ = ["Channels", "accumulators", "counts", "operand_scales", "scaling"]

HALF_SCALE = 1 << 30
LARGEST_COUNTS = {8: 1 << 12, 16: (1 << 14) - 1}
"""Divisors, by the bits of an output; those of int16 are as far as `reciprocal` is exact."""

INT32_BITS = 32


@dataclass(frozen=True)
class Channels:
    """Parameters of all groups, ``(groups, rows)`` each."""

    bias: IntArray
    multiplier: IntArray
    shift: IntArray

    def words(self) -> list[int]:
        """The parameter stream."""
        return [
            (pack(np.concatenate([bias, multiplier]), 32) >> at) % (1 << 128)
            if at >= 0
            else pack(shift, 8)
            for bias, multiplier, shift in zip(self.bias, self.multiplier, self.shift, strict=True)
            for at in [*range(0, 64 * len(bias), 128), -1]
        ]

    def per_pixel(self) -> dict[str, IntArray]:
        """Parameters with an axis for the pixels, as the models want them."""
        return {name: values[:, np.newaxis] for name, values in vars(self).items()}


def accumulators(
    rng: np.random.Generator, shape: tuple[int, ...], bits: int, *, wide: bool
) -> IntArray:
    """Totals of ``bits`` bits; unless ``wide``, with anything above 32, in half of the jobs."""
    total = log_uniform(rng, bits=bits, size=int(np.prod(shape))).reshape(shape)
    if not wide and rng.integers(2):
        total = (total % (1 << INT32_BITS)) | rng.integers(-(1 << 7), 1 << 7, shape) << INT32_BITS
    return total


def scaling(
    rng: np.random.Generator,
    size: tuple[int, int],
    *,
    bits: int,
    out_bits: int,
    single: bool,
    wild: bool,
) -> Channels:
    """Scales that bring most values of ``bits`` bits into the ``out_bits`` of an output.

    ``wild``: any scales, including those that are zero.
    """
    limits = (-31, 7) if single else (-31, 31)
    bias = log_uniform(rng, bits=min(bits, INT32_BITS), size=size[0] * size[1]).reshape(size)
    multiplier = rng.integers(HALF_SCALE, 1 << 31, size)
    shift = rng.integers(out_bits - 1 - bits, out_bits + 4 - bits, size).clip(*limits)
    if wild:
        shift = rng.integers(limits[0], limits[1] + 1, size)
        multiplier = multiplier * rng.integers(0, 2, size)
    return Channels(bias, multiplier >> 16 if single else multiplier, shift)


def counts(
    rng: np.random.Generator, size: tuple[int, int], out_bits: int
) -> tuple[IntArray, Channels]:
    """Divisors, and the parameters that divide by them."""
    largest = LARGEST_COUNTS[out_bits]
    count = (2 ** rng.uniform(0, np.log2(largest), size)).astype(np.int64)
    inverse = np.array([reciprocal(int(n), out_bits) for n in count.reshape(-1)]).reshape(*size, 2)
    return count, Channels(count // 2, inverse[:, :, 0], inverse[:, :, 1])


def operand_scales(
    rng: np.random.Generator, gains: Sequence[int], *, wild: bool
) -> tuple[OperandScale, OperandScale]:
    """Two scales of about ``2**gain``; ``wild``: any."""
    a, b = (
        OperandScale(
            multiplier=int(rng.integers(HALF_SCALE, 1 << 31)),
            shift=int(rng.integers(-31, 32) if wild else rng.integers(gain - 1, gain + 2)),
        )
        for gain in gains
    )
    return a, b
