"""The design of the decimation filter: where `models.audio.fir.COEFFICIENTS` come from.

Not a test.  Linear phase of even length, so the response is ``2 * sum(h[n] * cos(w * (n + 1/2)))``
over one half, real and linear in the coefficients.  Lawson's algorithm finds those of the least
largest error: weighted least squares, again and again, each time with the weights multiplied by the
errors that were left.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

SAMPLE_RATE_HZ = 1_024_000
CIC_ORDER, CIC_RATIO = 4, 16
FIR_RATE_HZ = SAMPLE_RATE_HZ // CIC_RATIO
TAPS = 96
FRACTION_BITS = 17

PASS_HZ, STOP_HZ = 7000, 9000
"""What lies above 9 kHz would come out below 7 kHz at 16 kHz."""
STOP_WEIGHT = 70
"""Errors in the stop band count this much more than relative errors in the pass band."""
PASS_POINTS, STOP_POINTS = 256, 768
ROUNDS = 100


def cic_response(frequency_hz: ArrayLike) -> NDArray[np.float64]:
    """Magnitude of the CIC filter, 1 at 0 Hz."""
    x = np.pi * np.asarray(frequency_hz, dtype=np.float64) / SAMPLE_RATE_HZ
    comb, poles = np.sin(CIC_RATIO * x), CIC_RATIO * np.sin(x)
    ratio = np.divide(comb, poles, out=np.ones_like(x), where=np.abs(poles) > 1e-12)
    return np.abs(ratio) ** CIC_ORDER


def cosines(frequency_hz: ArrayLike, half: int) -> NDArray[np.float64]:
    """What each of the ``half`` outermost-first coefficients adds at each frequency."""
    delays = np.arange(half)[::-1] + 0.5
    return 2 * np.cos(2 * np.pi * np.outer(frequency_hz, delays) / FIR_RATE_HZ)


def fir_response(half: ArrayLike, frequency_hz: ArrayLike) -> NDArray[np.float64]:
    """Magnitude at ``frequency_hz`` of the filter whose first half is ``half``."""
    half = np.asarray(half, dtype=np.float64)
    return np.abs(cosines(frequency_hz, len(half)) @ half)


def design() -> NDArray[np.float64]:
    """First half of the filter: flat to 7 kHz behind the CIC filter, nothing above 9 kHz."""
    frequency = np.concatenate(
        [
            np.linspace(0, PASS_HZ, PASS_POINTS),
            np.linspace(STOP_HZ, FIR_RATE_HZ / 2, STOP_POINTS),
        ]
    )
    passes = frequency <= PASS_HZ
    droop = cic_response(frequency)
    wanted = np.where(passes, 1 / droop, 0)
    weight = np.where(passes, droop, STOP_WEIGHT)
    matrix = cosines(frequency, TAPS // 2)
    lawson = np.ones_like(frequency)
    half = np.zeros(TAPS // 2)
    for _ in range(ROUNDS):
        weighted = matrix.T * (lawson * weight**2)
        half = np.linalg.solve(weighted @ matrix, weighted @ wanted)
        lawson *= np.abs((matrix @ half - wanted) * weight)
        lawson /= lawson.sum()
    return half


def quantised_design() -> list[int]:
    """`design` in units of ``2**-FRACTION_BITS``."""
    return np.rint(design() * 2**FRACTION_BITS).astype(int).tolist()
