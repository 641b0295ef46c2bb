"""Golden model of the FFT: real transforms in two arithmetics, forward and inverse.

A real transform of N points is a complex transform of N / 2 points, whose real and imaginary inputs
are the even and the odd samples, and a last pass that splits the result (inverse: a first pass that
merges).  The complex transform decimates in time: radix 4, after one radix-2 pass where N / 2 is no
power of four.  Each pass reads all words, conditions them, multiplies by twiddles and adds.

======================  ==========================================  ==============================
..                      block floating                              kiss
======================  ==========================================  ==============================
operand of a pass       24 bits, shifted by what the largest of     int16, times 1/4, 1/2 or 1
                        all words needs, rounded, saturated         (8191 or 16383 in Q15, rounded)
twiddle                 Q1.17, exact 1                              Q0.15, 32767 for 1
product, one rounding   ties up, 25 bits                            ties up, wraps to int16
sum                     exact, 27 bits                              wraps to int16
======================  ==========================================  ==============================

"kiss" is what kissfft computes with ``FIXED_POINT=16`` (`kiss_fftr`, `kiss_fftri`), and with it
TensorFlow Lite Micro's ``RfftInt16`` and ``IrfftInt16``; our own formulation.

The last axis of every array is the transform's; leading axes are independent blocks.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.audio.fft_arithmetic import (
    DATA_BITS,
    KISS_BITS,
    TURN,
    Arithmetic,
    BlockFloating,
    Kiss,
    Pair,
)
from models.fixedpoint import IntArray, saturate

__all__ = ["SIZES", "Fft"]

SIZES = tuple(1 << n for n in range(4, 11))
"""Points of the real transforms; the chip's are the last three."""

RADIX = 4
"""Of all passes but perhaps the first."""


class Fft:
    """Real transforms of one size.

    Parameters
    ----------
    points : int
        One of `SIZES`.

    Raises
    ------
    ValueError
        For another size, and in the methods for arrays of other lengths or too large values.
    """

    def __init__(self, points: int):
        if points not in SIZES:
            raise ValueError(f"points must be one of {SIZES}, not {points!r}")
        self.points = points
        self.radices = radices(points // 2)
        self.order = digit_reversal(self.radices)

    def block_floating(self, x: ArrayLike) -> tuple[IntArray, IntArray, NDArray[np.int64]]:
        """Transform ``(..., points)`` values of `DATA_BITS`.

        Returns ``re`` and ``im`` of shape ``(..., points / 2 + 1)``, and ``exponent`` of shape
        ``(...)``: bin ``k`` is ``(re[k] + 1j * im[k]) * 2**exponent``.  The largest component of
        all bins fills `DATA_BITS`; the exponent of silence is 0.
        """
        arithmetic = BlockFloating()
        re, im = self._forward(checked(x, self.points, DATA_BITS), arithmetic)
        return re, im, arithmetic.exponent[..., 0]

    def kiss(self, x: ArrayLike) -> Pair:
        """Transform ``(..., points)`` int16 as kissfft does; bins are int16, divided by points."""
        return self._forward(checked(x, self.points, KISS_BITS), Kiss())

    def inverse_block_floating(
        self, re: ArrayLike, im: ArrayLike
    ) -> tuple[IntArray, NDArray[np.int64]]:
        """Transform ``(..., points / 2 + 1)`` bins of `DATA_BITS` back.

        Returns ``x`` of shape ``(..., points)`` and ``exponent``: samples are ``x * 2**exponent``.
        The imaginary parts of the first and the last bin do not count.
        """
        arithmetic = BlockFloating()
        x = self._inverse(re, im, DATA_BITS, arithmetic)
        return x, arithmetic.exponent[..., 0] - self.points.bit_length() + 1

    def inverse_kiss(self, re: ArrayLike, im: ArrayLike) -> IntArray:
        """Transform ``(..., points / 2 + 1)`` int16 bins back as kissfft does, to int16."""
        return self._inverse(re, im, KISS_BITS, Kiss())

    def _forward(self, x: IntArray, arithmetic: Arithmetic) -> Pair:
        """Passes, then the split."""
        z = arithmetic.loaded((x[..., 0::2][..., self.order], x[..., 1::2][..., self.order]))
        z = self._passes(z, arithmetic, inverse=False)
        re, im = arithmetic.result(self._pairs(z, arithmetic, inverse=False))
        # The first word holds two real bins.
        last, zero = im[..., :1], np.zeros_like(im[..., :1])
        return (
            np.concatenate([re, last], axis=-1),
            np.concatenate([zero, im[..., 1:], zero], axis=-1),
        )

    def _inverse(self, re: ArrayLike, im: ArrayLike, bits: int, arithmetic: Arithmetic) -> IntArray:
        """The merge, then the passes."""
        half = self.points // 2
        re, im = checked(re, half + 1, bits), checked(im, half + 1, bits)
        packed = re[..., :half], np.concatenate([re[..., half:], im[..., 1:half]], axis=-1)
        z = self._pairs(arithmetic.loaded(packed), arithmetic, inverse=True)
        z = self._passes((z[0][..., self.order], z[1][..., self.order]), arithmetic, inverse=True)
        return np.stack(arithmetic.result(z), axis=-1).reshape(*re.shape[:-1], self.points)

    def _passes(self, z: Pair, arithmetic: Arithmetic, *, inverse: bool) -> Pair:
        """Complex transform of words in digit-reversed order, smallest butterflies first."""
        shape, span = z[0].shape, 1
        for radix in reversed(self.radices):
            legs = tuple(
                part.reshape(*shape[:-1], -1, radix, span)
                for part in arithmetic.operands(z, divisor=radix)
            )
            # Angles are multiples of leg * k / (radix * span) turns, k the place in the span.
            index = np.outer(np.arange(radix), np.arange(span)) * (TURN // (radix * span))
            exact = (np.arange(radix) == 0)[:, None]
            re, im = arithmetic.rotated((legs[0], legs[1]), index, exact, inverse=inverse)
            sums = butterfly4(re, im, inverse=inverse) if radix == RADIX else butterfly2(re, im)
            z = arithmetic.stored((sums[0].reshape(shape), sums[1].reshape(shape)))
            span *= radix
        return z

    def _pairs(self, z: Pair, arithmetic: Arithmetic, *, inverse: bool) -> Pair:
        """Split the transform of even and odd samples into bins; inverse: merge.

        Both give ``s + tw d`` for word ``k`` and ``conj(s - tw d)`` for word ``half - k`` with
        ``s, d = z[k] +- conj(z[half - k])`` and ``tw = -j exp(-2j pi k / points)``, inverse its
        conjugate; that is twice the bins.  Word 0 holds the first and the last bin, both real:
        ``2 re + 2 im`` and ``2 re - 2 im``, inverse half of this.
        """
        half = self.points // 2
        k = np.arange(1, half // 2 + 1)
        re, im = arithmetic.operands(z, divisor=2, headroom=1)
        low, high = (re[..., k], im[..., k]), (re[..., half - k], im[..., half - k])
        minus_high = arithmetic.negated(z[1][..., half - k], high[1])
        s = arithmetic.wrapped(low[0] + high[0]), arithmetic.wrapped(low[1] + minus_high)
        d = arithmetic.wrapped(low[0] - high[0]), arithmetic.wrapped(low[1] - minus_high)
        # -j exp(-j a) = exp(-j (a + pi / 2)): a quarter of a turn further.
        index = k * (TURN // self.points) + TURN // 4
        p = arithmetic.rotated(d, index, np.zeros(len(k), bool), inverse=inverse)
        out_re, out_im = np.empty_like(re), np.empty_like(im)
        out_re[..., k], out_im[..., k] = s[0] + p[0], s[1] + p[1]
        # Last, since it counts in kissfft for the middle word, where k = half - k.
        out_re[..., half - k], out_im[..., half - k] = s[0] - p[0], p[1] - s[1]
        if inverse:
            first = arithmetic.merged_ends(z, re, im)
        else:
            first = 2 * re[..., 0] + 2 * im[..., 0], 2 * re[..., 0] - 2 * im[..., 0]
        out_re[..., 0], out_im[..., 0] = first
        return arithmetic.paired((out_re, out_im), inverse=inverse)


def checked(x: ArrayLike, length: int, bits: int) -> IntArray:
    """``x`` as int64, or ValueError."""
    x = np.asarray(x)
    if not np.issubdtype(x.dtype, np.integer):
        raise ValueError(f"values must be integers, not {x.dtype}")
    if not x.ndim or x.shape[-1] != length:
        raise ValueError(f"the last axis must have {length} values, not shape {x.shape}")
    if np.any(saturate(x, bits) != x):
        raise ValueError(f"values must fit {bits} bits, not {x.min()} .. {x.max()}")
    return x.astype(np.int64)


def radices(words: int) -> tuple[int, ...]:
    """Radices of the passes over ``words`` complex words, last pass first: fours, then a two."""
    fours, two = divmod(words.bit_length() - 1, 2)
    return (RADIX,) * fours + (2,) * two


def digit_reversal(sizes: tuple[int, ...]) -> NDArray[np.int64]:
    """Which word of the natural order lies where: digits of mixed radix, reversed."""
    return np.arange(np.prod(sizes)).reshape(sizes[::-1]).transpose().reshape(-1)


def butterfly2(re: IntArray, im: IntArray) -> Pair:
    """Sum and difference of the two legs on the last axis but one."""
    signs = np.array([[1, 1], [1, -1]])
    return np.matmul(signs, re), np.matmul(signs, im)


def butterfly4(re: IntArray, im: IntArray, *, inverse: bool) -> Pair:
    """Transform of the four legs on the last axis but one: sums with factors 1, -j, -1, j."""
    a, b, c, d = ((re[..., leg, :], im[..., leg, :]) for leg in range(4))
    even = a[0] + c[0], a[1] + c[1]
    odd = b[0] + d[0], b[1] + d[1]
    less = a[0] - c[0], a[1] - c[1]
    turned = b[1] - d[1], d[0] - b[0]  # -j (b - d)
    if inverse:
        turned = -turned[0], -turned[1]
    re, im = (
        np.stack([even[i] + odd[i], less[i] + turned[i], even[i] - odd[i], less[i] - turned[i]], -2)
        for i in range(2)
    )
    return re, im
