"""The two arithmetics of the FFT: block floating point, and kissfft's int16.

`models.audio.fft` has the passes, which both share, and the table of the differences.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.fixedpoint import IntArray, saturate, wrap

__all__ = [
    "DATA_BITS",
    "KISS_BITS",
    "TURN",
    "Arithmetic",
    "BlockFloating",
    "Kiss",
    "Pair",
    "cosine_table",
]

TURN = 1024
"""Twiddles per full turn."""

DATA_BITS = 24
"""Input and output words, and operands of the multiplier, in block floating point."""

WORD_BITS = 27
"""Words between passes: four times the largest rotated operand."""

TWIDDLE_FRACTION, KISS_FRACTION = 17, 15
KISS_BITS = 16
KISS_ONE = (1 << KISS_FRACTION) - 1

Pair = tuple[IntArray, IntArray]
"""Real and imaginary parts."""


class Arithmetic(Protocol):
    """What the two arithmetics do differently at each step of a pass."""

    def loaded(self, z: Pair) -> Pair:
        """Take the words of a transform."""
        ...

    def operands(self, z: Pair, *, divisor: int, headroom: int = 0) -> Pair:
        """Condition all words at the beginning of a pass."""
        ...

    def rotated(self, z: Pair, index: IntArray, exact: NDArray, *, inverse: bool) -> Pair:
        """Multiply by ``exp(-2j pi index / TURN)``, inverse its conjugate; by 1 where exact."""
        ...

    def wrapped(self, value: IntArray) -> IntArray:
        """Store one sum of two operands."""
        ...

    def negated(self, word: IntArray, operand: IntArray) -> IntArray:
        """Minus one of the ``operands``, which came from ``word``."""
        ...

    def stored(self, z: Pair) -> Pair:
        """Store the sums of a butterfly."""
        ...

    def merged_ends(self, z: Pair, re: IntArray, im: IntArray) -> Pair:
        """Merge the first and the last bin, from words ``z`` or operands ``re``, ``im``."""
        ...

    def paired(self, z: Pair, *, inverse: bool) -> Pair:
        """Store the sums of the split (inverse: merge)."""
        ...

    def result(self, z: Pair) -> Pair:
        """Give the words of a transform out."""
        ...


class BlockFloating:
    """Words with one exponent for all, chosen anew for each pass."""

    def loaded(self, z: Pair) -> Pair:
        """Begin with the exponent 0."""
        self.exponent = np.zeros((*z[0].shape[:-1], 1), np.int64)
        return z

    def operands(self, z: Pair, *, divisor: int, headroom: int = 0) -> Pair:
        """Shift the largest word's bits to the top, then round to what the multiplier takes."""
        width = np.maximum(signed_width(z[0]), signed_width(z[1])).max(axis=-1, keepdims=True)
        width = np.where(width == 0, DATA_BITS, width)  # silence
        bits = DATA_BITS - headroom
        dropped = WORD_BITS - bits
        self.exponent = self.exponent + width - bits
        re, im = (
            saturate(((part << (WORD_BITS - width)) + (1 << (dropped - 1))) >> dropped, bits)
            for part in z
        )
        return re, im

    def rotated(self, z: Pair, index: IntArray, exact: NDArray, *, inverse: bool) -> Pair:
        """Multiply by a Q1.17 twiddle; its 1 is exact, so ``exact`` needs nothing."""
        return rotate(z, index, one=1 << TWIDDLE_FRACTION, fraction=TWIDDLE_FRACTION, inv=inverse)

    def wrapped(self, value: IntArray) -> IntArray:
        """Keep the value: one bit more than the operands."""
        return value

    def negated(self, word: IntArray, operand: IntArray) -> IntArray:
        """Change the operand's sign."""
        return -operand

    def stored(self, z: Pair) -> Pair:
        """Keep the values: they fit `WORD_BITS`."""
        return z

    def merged_ends(self, z: Pair, re: IntArray, im: IntArray) -> Pair:
        """Half of the sums of the other words."""
        return re[..., 0] + im[..., 0], re[..., 0] - im[..., 0]

    def paired(self, z: Pair, *, inverse: bool) -> Pair:
        """Count the factor of 2 in the exponent."""
        # Bins are half of these sums.  So are merged words, but the inverse keeps the factor: with
        # those of the passes it is the number of points, which leaves at the end.
        self.exponent = self.exponent - (0 if inverse else 1)
        return z

    def result(self, z: Pair) -> Pair:
        """Let the largest component fill `DATA_BITS`."""
        return self.operands(z, divisor=1)


class Kiss:
    """kissfft's int16: a fixed division before every pass, everything wraps."""

    def loaded(self, z: Pair) -> Pair:
        """Keep the values."""
        return z

    def operands(self, z: Pair, *, divisor: int, headroom: int = 0) -> Pair:
        """Divide whatever their size."""
        return kiss_divide(z[0], divisor), kiss_divide(z[1], divisor)

    def rotated(self, z: Pair, index: IntArray, exact: NDArray, *, inverse: bool) -> Pair:
        """Multiply by a Q0.15 twiddle, whose largest value is below 1."""
        re, im = rotate(z, index, one=KISS_ONE, fraction=KISS_FRACTION, inv=inverse)
        return np.where(exact, z[0], self.wrapped(re)), np.where(exact, z[1], self.wrapped(im))

    def wrapped(self, value: IntArray) -> IntArray:
        """Reduce modulo 2**16."""
        return wrap(value, KISS_BITS)

    def negated(self, word: IntArray, operand: IntArray) -> IntArray:
        """Change the word's sign, then divide: not the same for -32768 and the ties +-16384."""
        return kiss_divide(self.wrapped(-word), 2)

    def stored(self, z: Pair) -> Pair:
        """Reduce modulo 2**16."""
        return self.wrapped(z[0]), self.wrapped(z[1])

    def merged_ends(self, z: Pair, re: IntArray, im: IntArray) -> Pair:
        """Divide the sums of the words, not the words."""
        return self.operands(self.stored(BlockFloating().merged_ends(z, *z)), divisor=2)

    def paired(self, z: Pair, *, inverse: bool) -> Pair:
        """Halve bins."""
        return self.stored(z) if inverse else self.stored((z[0] >> 1, z[1] >> 1))

    def result(self, z: Pair) -> Pair:
        """Keep the values."""
        return z


def signed_width(value: IntArray) -> NDArray[np.int64]:
    """Bits of the two's complement with its sign; 0 for 0, 1 for -1, 2 for 1 and -2."""
    changes = (value ^ (value << 1)) & ((1 << (WORD_BITS + 1)) - 1)
    return np.searchsorted(1 << np.arange(WORD_BITS + 1), changes, side="right")


def cosine_table(one: int) -> NDArray[np.int64]:
    """``one * cos(2 pi i / TURN)`` for a quarter of a turn, both ends included, rounded.

    No value is near a tie, so any correct cosine gives the same integers.
    """
    return np.rint(one * np.cos(np.arange(TURN // 4 + 1) * (2 * np.pi / TURN))).astype(np.int64)


def cosine(index: IntArray, one: int) -> NDArray[np.int64]:
    """The cosine of ``index / TURN`` turns, from the table of the first quarter."""
    quadrant, place = np.divmod(np.asarray(index) % TURN, TURN // 4)
    table = cosine_table(one)
    mirrored = table[np.where(quadrant & 1, TURN // 4 - place, place)]
    return np.where((quadrant == 1) | (quadrant == 2), -mirrored, mirrored)  # noqa: PLR2004


def rotate(z: Pair, index: IntArray, *, one: int, fraction: int, inv: bool) -> Pair:
    """Multiply by ``cos - j sin`` (inverse: ``cos + j sin``) and round once, ties up."""
    cos, sin = cosine(index, one), cosine(np.asarray(index) - TURN // 4, one)
    sin = -sin if inv else sin
    half = 1 << (fraction - 1)
    re, im = z
    return (re * cos + im * sin + half) >> fraction, (im * cos - re * sin + half) >> fraction


def kiss_divide(value: IntArray, divisor: int) -> IntArray:
    """Divide int16 by 4, 2 or 1 as kissfft does: times ``32767 // divisor`` in Q15, ties up."""
    if divisor == 1:
        return value
    return (value * (KISS_ONE // divisor) + (1 << (KISS_FRACTION - 1))) >> KISS_FRACTION
