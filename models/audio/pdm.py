"""Golden model of the PDM input, and of the microphone in front of it."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.audio.cic import ORDER, RATIO, decimate_bits, impulse_response
from models.audio.fir import COEFFICIENTS, DECIMATION, FRACTION_BITS, decimate
from models.fixedpoint import IntArray

__all__ = ["BITS_PER_SAMPLE", "MODULATOR_FRACTION_BITS", "modulate", "oversample", "receive_bits"]

BITS_PER_SAMPLE = RATIO * DECIMATION
MODULATOR_FRACTION_BITS = 24


def receive_bits(bits: ArrayLike) -> IntArray:
    """One-bit samples at 1.024 MHz to Q1.17 samples at 16 kHz.

    ``bits`` are 0 (-1) and 1 (+1).  The first result comes with bit ``RATIO * TAPS``, the next ones
    `BITS_PER_SAMPLE` apart.
    """
    return decimate(decimate_bits(bits))


def oversample(samples: ArrayLike) -> NDArray[np.float64]:
    """Samples at 16 kHz as a signal at 1.024 MHz, for `modulate`.

    Zeros are put between the samples, and the decimation filters, in reverse order, remove what
    that adds: images are as far down as aliases are.

    Returns
    -------
    numpy.ndarray
        `BITS_PER_SAMPLE` values a sample, in the same units, late by both filters' group delay.
    """
    half = np.array(COEFFICIENTS) / 2**FRACTION_BITS
    steps = (
        (DECIMATION, np.concatenate([half, half[::-1]])),
        (RATIO, impulse_response() / RATIO**ORDER),
    )
    signal = np.asarray(samples, dtype=np.float64)
    for factor, response in steps:
        spread = np.zeros(signal.size * factor)
        spread[::factor] = signal
        signal = np.convolve(spread, response * factor)[: spread.size]
    return signal


def modulate(signal: ArrayLike) -> NDArray[np.uint8]:
    """What a PDM microphone makes of ``signal``: a second-order sigma-delta modulator.

    Two integrators and a comparator, noise transfer function ``(1 - z^-1)^2``, in integers of
    `MODULATOR_FRACTION_BITS`.  Stable for magnitudes up to about 0.9.

    Parameters
    ----------
    signal : array_like
        Real values at 1.024 MHz, 1.0 is full scale: all bits 1.

    Returns
    -------
    numpy.ndarray
        uint8, 0 or 1.
    """
    one = 1 << MODULATOR_FRACTION_BITS
    values = np.rint(np.asarray(signal, dtype=np.float64) * one).astype(np.int64)
    bits = np.zeros(values.size, dtype=np.uint8)
    first, second, fed_back = 0, 0, -one
    for n, value in enumerate(values.tolist()):
        first += value - fed_back
        second += first - fed_back
        fed_back = one if second >= 0 else -one
        bits[n] = second >= 0
    return bits
