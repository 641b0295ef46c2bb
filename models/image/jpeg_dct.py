"""Forward DCT and quantisation of 8 x 8 blocks, in fixed point.

Both passes are the same unit: eight values are folded into four sums and four differences
(``x[n] +- x[7 - n]``), and each coefficient is the exact sum of four products, rounded once, ties
up.  Four multipliers give a coefficient a cycle.

=====================  =======================  ============================================
word                   bits                     why it fits
=====================  =======================  ============================================
sample less 128        8                        -128..127
first fold             9                        -256..255
factor                 17 (Q0.17)               at most cos(pi / 16) / 2 = 0.4904
rows transformed       16, 6 of them fraction   128 * sqrt(8) * 2**6 = 23,170
second fold            17, 6 of them fraction
coefficient            14, 3 of them fraction   -128 * 8 * 2**3 = -8192; 127.5 * 64 otherwise
sum of four products   36                       33 bits each, magnitude below 2**31 in all
level                  12 (DC), 11 (AC)         a coefficient over a quantiser of at least 1
=====================  =======================  ============================================
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from models.fixedpoint import IntArray
from models.image.jpeg_tables import checked_quantisation

__all__ = ["COEFFICIENT_FRACTION", "FACTORS", "Reciprocals", "forward_dct", "quantise"]

FACTOR_FRACTION = 17
ROW_FRACTION = 6
COEFFICIENT_FRACTION = 3

HALF = 4
"""Products of a coefficient: the other half of the samples is folded onto these."""

ANGLES = np.outer(np.arange(8), 2 * np.arange(HALF) + 1)
"""Of frequency and sample, in steps of pi / 16."""

COSINES = (64277, 60547, 54491, 46341, 36410, 25080, 12785)
"""``round(2**17 * cos(n * pi / 16) / 2)`` for n = 1 to 7."""


def factors() -> IntArray:
    """Factors (frequency, sample), from the seven cosines; frequency 0 has that of pi / 4."""
    quarter = (1 << FACTOR_FRACTION - 1, *COSINES, 0)
    angle = np.where(ANGLES == 0, 4, ANGLES) % 32
    angle = np.minimum(angle, 32 - angle)  # cos(-x) = cos(x)
    return np.where(angle > 8, -1, 1) * np.take(quarter, np.minimum(angle, 16 - angle))  # noqa: PLR2004


FACTORS = factors()
"""Shape (8, 4), Q0.17: orthonormal, that is, DC is the mean of a block times 8."""


def forward_dct(blocks: ArrayLike) -> IntArray:
    """Transform ``(..., 8, 8)`` samples 0..255 to coefficients with 3 bits of fraction.

    Rows first; `ROW_FRACTION` bits are kept between the passes.
    """
    samples = np.asarray(blocks, dtype=np.int64) - 128
    rows = one_pass(samples, FACTOR_FRACTION - ROW_FRACTION)
    shift = FACTOR_FRACTION + ROW_FRACTION - COEFFICIENT_FRACTION
    return one_pass(rows.swapaxes(-1, -2), shift).swapaxes(-1, -2)


def one_pass(x: IntArray, shift: int) -> IntArray:
    """Transform the last axis, and divide by ``2**shift``, ties up."""
    low, high = x[..., :HALF], x[..., : HALF - 1 : -1]
    out = np.empty_like(x)
    out[..., 0::2] = (low + high) @ FACTORS[0::2].T
    out[..., 1::2] = (low - high) @ FACTORS[1::2].T
    return (out + (1 << shift - 1)) >> shift


@dataclass(frozen=True)
class Reciprocals:
    """What the quantiser multiplies by, one word of 24 bits a coefficient.

    ``value = ceil(2**(12 + shift) / quantiser)`` has 13 bits, ``shift = floor(log2(quantiser))``
    3, and the quantiser itself, which rounding and the header need, 8.

    The quotient is exact: with ``value = (2**(12 + shift) + e) / quantiser``, ``0 <= e <
    quantiser < 2**(shift + 1)``, a dividend ``n < 2**11`` gives ``n * e < 2**(12 + shift)``, so
    that the error is below one ``quantiser``-th and cannot reach the next integer.
    """

    quantiser: IntArray
    value: IntArray
    shift: IntArray

    @classmethod
    def of(cls, table: ArrayLike) -> "Reciprocals":
        """Words for a quantisation table of shape (8, 8)."""
        quantiser = checked_quantisation(table)
        shift = (quantiser[..., None] >> np.arange(1, 8) > 0).sum(axis=-1)
        return cls(quantiser, -(-(1 << 12 + shift) // quantiser), shift)


def quantise(coefficients: IntArray, reciprocals: Reciprocals) -> IntArray:
    """Divide ``(..., 8, 8)`` coefficients by the quantisers and round, ties away from zero.

    ``(|c| + 4 * q) // (8 * q)`` with the sign of ``c``; the 8 is dropped first, which leaves 11
    bits and changes nothing, and the division is a product and a shift.
    """
    magnitude = (np.abs(coefficients) + 4 * reciprocals.quantiser) >> COEFFICIENT_FRACTION
    level = (magnitude * reciprocals.value) >> (12 + reciprocals.shift)
    return np.where(coefficients < 0, -level, level)
