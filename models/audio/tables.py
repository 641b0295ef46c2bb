"""Tables of a front end, which the host computes and the hardware is told.

This is the one place of the audio path with floating point.  Formats: docs/numerics.md, "Audio
front end".
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.audio.frontend import FrontEnd
from models.fixedpoint import IntArray

__all__ = [
    "LEVEL_FRACTION",
    "LOG_TABLE",
    "LOG_TABLE_BITS",
    "MAX_LEVEL",
    "WEIGHT_BITS",
    "MelTable",
    "SpectrumTable",
    "TailTable",
    "input_fraction",
    "level",
    "mel_table",
    "spectrum_table",
    "tail_table",
    "window_shift",
    "window_table",
]

WINDOW_FRACTION = 17
WEIGHT_BITS = 17
WEIGHT_MAX = (1 << WEIGHT_BITS) - 1
LEVEL_FRACTION = 16
LEVEL_BITS = 25
MAX_LEVEL = (1 << (LEVEL_BITS - 1)) - 1
FLOOR_BITS = 18
FACTOR_BITS = 18
SAMPLE_BITS = 16
INT8_MIN, INT8_MAX = -128, 127

SLANEY_HZ, SLANEY_MEL = 1000.0, 15.0
"""Where Slaney's scale turns from linear to logarithmic."""
SLANEY_STEP = math.log(6.4) / 27

LOG_TABLE_BITS = 7
LOG_TABLE: IntArray = np.round(
    np.log2(1 + np.arange((1 << LOG_TABLE_BITS) + 1) / (1 << LOG_TABLE_BITS)) * 2**LEVEL_FRACTION
).astype(np.int64)
"""``log2(1 + i / 128)`` as Q0.16, ``i`` of 0 to 128."""


@dataclass(frozen=True)
class MelTable:
    """Two weights for each bin.

    Parameters
    ----------
    band : IntArray
        Per bin: the band whose rising edge it is on, 0 to ``bands``; its falling edge is that of
        band ``band - 1``.  Never decreases.
    rising, falling : IntArray
        Weights per bin, unsigned, 17 bits; ``largest / (2**17 - 1)`` each.
    largest : float
        What the greatest weight stands for.
    first, last : int
        First and last bin with a weight other than 0.
    """

    band: IntArray
    rising: IntArray
    falling: IntArray
    largest: float
    first: int
    last: int


@dataclass(frozen=True)
class SpectrumTable:
    """How a filter's sum becomes a logarithm.

    Parameters
    ----------
    power : int
        1: sums of magnitudes, 2: sums of powers.
    unit : int
        Level (Q8.16, base 2) of a sum of 1 when the FFT's exponent is 0.
    floor_mantissa, floor_shift : int
        ``floor_mantissa * 2**(floor_shift - power * exponent)`` is added to a sum; mantissa 0 for
        none.
    floor_level : int
        Q8.16: no level is below.
    """

    power: int
    unit: int
    floor_mantissa: int
    floor_shift: int
    floor_level: int


@dataclass(frozen=True)
class TailTable:
    """DCT and quantiser: ``q = clip((sum(level * factor) + offset) >> shift)``.

    Parameters
    ----------
    cosines : IntArray
        ``cos(pi * j / (2 * bands))`` for ``j`` of 0 to ``bands``, times the factor to the tensor's
        scale, signed, 18 bits.  Without DCT: one factor.
    first : int
        Factor of row 0 of the DCT.
    offset : int
        Zero point, offset and rounding.
    shift : int
        Fraction bits of a product.
    low, high : int
        Bounds of the features, int8.
    """

    cosines: IntArray
    first: int
    offset: int
    shift: int
    low: int
    high: int


def level(value: float) -> int:
    """``log2(value)`` as Q8.16."""
    return round(math.log2(value) * 2**LEVEL_FRACTION)


def input_fraction(frontend: FrontEnd) -> int:
    """Fraction bits of the FFT's input beside the sample's: as many as 24 bits hold."""
    return 7 if frontend.pre_emphasis else 8


def window_shift(frontend: FrontEnd) -> int:
    """Bits that a product of sample and window loses."""
    return WINDOW_FRACTION + frontend.pre_emphasis - input_fraction(frontend)


def window_table(frontend: FrontEnd) -> IntArray:
    """Window of ``frame`` values, Q0.17, one being ``2**17 - 1``."""
    denominator = frontend.frame - frontend.window.endswith("_symmetric")
    phase = 2 * np.pi * np.arange(frontend.frame) / denominator
    centre = {"hann": 0.5, "hamming": 0.54, "rectangular": 1.0}[frontend.window.split("_")[0]]
    window = centre - (1 - centre) * np.cos(phase)
    one = 2**WINDOW_FRACTION
    return np.minimum(np.round(window * one), one - 1).astype(np.int64)


def to_mel(hz: NDArray[np.float64], scale: str) -> NDArray[np.float64]:
    """Mel of frequencies: HTK's formula, or Slaney's (Auditory Toolbox) as librosa has it."""
    if scale == "htk":
        return 1127 * np.log1p(hz / 700)
    logarithmic = SLANEY_MEL + np.log(np.maximum(hz, SLANEY_HZ) / SLANEY_HZ) / SLANEY_STEP
    return np.where(hz < SLANEY_HZ, hz * (SLANEY_MEL / SLANEY_HZ), logarithmic)


def from_slaney(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Frequencies of Slaney's mels."""
    logarithmic = SLANEY_HZ * np.exp((np.maximum(mel, SLANEY_MEL) - SLANEY_MEL) * SLANEY_STEP)
    return np.where(mel < SLANEY_MEL, mel * (SLANEY_HZ / SLANEY_MEL), logarithmic)


def mel_table(frontend: FrontEnd) -> MelTable:
    """Weights of the filter bank; raises ``ValueError`` if no bin lies between its ends."""
    bands, scale = frontend.bands, frontend.mel_scale
    hz = np.arange(frontend.fft // 2 + 1) * frontend.sample_rate / frontend.fft
    ends = to_mel(np.array([frontend.low_hz, frontend.high_hz], np.float64), scale)
    edges = np.linspace(ends[0], ends[1], bands + 2)
    if scale == "slaney":  # triangles over Hz
        edges = from_slaney(edges)
        position, width_hz = hz, edges[2:] - edges[:-2]
    else:
        position = to_mel(hz, scale)
        edges_hz = 700 * np.expm1(edges / 1127)
        width_hz = edges_hz[2:] - edges_hz[:-2]
    slope = np.searchsorted(edges, position, side="right") - 1  # which interval a bin lies in
    inside = (slope >= 0) & (slope <= bands)
    band = np.clip(slope, 0, bands)
    fraction = (position - edges[band]) / (edges[band + 1] - edges[band])
    norm = 2 / width_hz if frontend.mel_norm == "slaney" else np.ones(bands)
    rising = np.where(inside & (band < bands), fraction * norm[np.minimum(band, bands - 1)], 0)
    falling = np.where(inside & (band > 0), (1 - fraction) * norm[np.maximum(band - 1, 0)], 0)
    largest = float(max(rising.max(), falling.max()))
    if not largest > 0:
        raise ValueError(
            f"the front end {frontend.name} has no FFT bin between its low_hz and high_hz"
        )
    raw = [np.round(w / largest * WEIGHT_MAX).astype(np.int64) for w in (rising, falling)]
    used = np.flatnonzero(raw[0] | raw[1])
    return MelTable(band, raw[0], raw[1], largest, int(used[0]), int(used[-1]))


def spectrum_table(frontend: FrontEnd, mel: MelTable) -> SpectrumTable:
    """Constants of the logarithm.

    The unit of a sum is ``(2**-fraction / full scale)**power * gain * largest / (2**17 - 1)``.
    With peak normalisation full scale counts as one sample unit: the peak enters at run time.
    """
    power = 2 if frontend.spectrum == "power" else 1
    full_scale = 0 if frontend.normalisation == "peak" else SAMPLE_BITS - 1
    unit = 2.0 ** (-power * (input_fraction(frontend) + full_scale))
    unit *= frontend.spectrum_gain * mel.largest / WEIGHT_MAX
    mantissa, exponent = math.frexp(frontend.floor / unit)
    added, one = frontend.floor_mode == "add", 1 << FLOOR_BITS
    return SpectrumTable(
        power=power,
        unit=level(unit),
        floor_mantissa=min(round(mantissa * one), one - 1) if added else 0,
        floor_shift=exponent - FLOOR_BITS,
        floor_level=level(frontend.floor),
    )


def tail_table(frontend: FrontEnd) -> TailTable:
    """Constants behind the logarithm: its base, DCT, affine map, scale and zero point in one."""
    base = math.log(2) if frontend.logarithm == "ln" else 10 * math.log10(2)
    to_steps = frontend.gain / frontend.scale
    factor = base * to_steps * (math.sqrt(2 / frontend.bands) if frontend.coefficients else 1)
    exponent = math.frexp(factor)[1]
    shift = FACTOR_BITS - 1 - exponent
    angles = np.pi * np.arange(frontend.bands + 1) / (2 * frontend.bands)
    row = np.cos(angles) if frontend.coefficients else np.ones(1)
    limit = (1 << (FACTOR_BITS - 1)) - 1
    cosines = np.minimum(np.round(row * factor * 2.0**shift), limit).astype(np.int64)
    first = factor * (math.sqrt(0.5) if frontend.dct_norm == "ortho" else 1)
    fraction = shift + LEVEL_FRACTION
    zero = frontend.offset * to_steps + frontend.zero_point

    def bound(value: float | None, default: int) -> int:
        if value is None:
            return default
        step = math.floor(value / frontend.scale + 0.5) + frontend.zero_point
        return min(max(step, INT8_MIN), INT8_MAX)

    return TailTable(
        cosines=cosines,
        first=min(round(first * 2.0**shift), limit),
        offset=round((zero + 0.5) * 2.0**fraction),
        shift=fraction,
        low=bound(frontend.clip_low, INT8_MIN),
        high=bound(frontend.clip_high, INT8_MAX),
    )
