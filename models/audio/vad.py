"""Golden model of the voice-activity detector: wavelet bands against their own floor and peak.

Additions, shifts and comparisons only; RTL: `hdl.audio.vad`.

Samples go through five levels of the LeGall 5/3 wavelet in its integer lifting form (I. Daubechies
and W. Sweldens, "Factoring wavelet transforms into lifting steps", 1998), which costs four
additions a level and splits off one octave each: 4-8, 2-4, 1-2, 0.5-1, 0.25-0.5 kHz at 16 kHz.
What is left, below 250 Hz, is hum, wind and offset, and is dropped.  A frame is 256 samples, 16 ms.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.fixedpoint import IntArray

__all__ = [
    "BANDS", "FRACTION_BITS", "FRAME", "LEVEL_BITS", "MANTISSA_BITS", "BandTracker",
    "VadParameters", "VoiceActivityDetector", "WaveletBank", "log2_level",
]  # fmt: skip

FRAME = 256
"""Samples between two decisions."""
BANDS = 5
"""Octaves, from the highest."""
MANTISSA_BITS = 4
"""A level is in units of 1/16 of a factor of two, 0.376 dB."""
LEVEL_BITS = 9
"""Levels are 0 .. 367: the sum of a frame is at most 128 * 65535, of the highest band."""
FRACTION_BITS = 6
"""More bits below a level in floor and peak, so that they can move slowly."""
SPREAD = (1, 2, 4, 8, 16)
"""More margin for the bands with fewer values a frame, whose levels vary more, even in noise."""
SETTLING_FRAMES = 4
"""After reset: frames that only teach the floor."""


@dataclass(frozen=True, kw_only=True)
class VadParameters:
    """What the detector's registers hold.

    Attributes
    ----------
    margin : int
        Least distance from a band's floor to its threshold, UQ4.4 of a factor of two (0.376 dB).
    minimum : int
        Levels below count as this one, UQ5.4: what is quieter cannot be speech.
    rise : int
        How fast a floor follows a louder band up, UQ2.6 levels a frame (1 is 0.367 dB/s).
    decay : int
        How fast a peak is forgotten, the same unit.
    onset : int
        Active frames, less the inactive ones among them, before speech is announced.
    hangover : int
        Frames that speech lasts on.

    Raises
    ------
    ValueError
        When a field is out of its range.
    """

    margin: int = 6
    minimum: int = 112
    rise: int = 16
    decay: int = 9
    onset: int = 6
    hangover: int = 30

    def __post_init__(self) -> None:
        """Check the ranges."""
        for field in fields(self):
            low, high = RANGES[field.name]
            value = getattr(self, field.name)
            if not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"{field.name} must be an integer {low} .. {high}, not {value!r}")


RANGES = {
    "margin": (0, 255), "minimum": (0, 511), "rise": (0, 255), "decay": (0, 255),
    "onset": (1, 63), "hangover": (1, 63),
}  # fmt: skip
"""Lowest and highest value of every register."""


def log2_level(total: ArrayLike) -> IntArray:
    """Return ``log2(total)`` in UQ5.4, with a straight line between powers of two; 0 for 0.

    Less than 2.4 units below the true logarithm: the line is up to 1.4 below it, and is cut off.
    """
    total = np.asarray(total, np.int64)
    exponent = np.frexp(total.astype(np.float64))[1] - 1  # exact: sums are below 2**53
    mantissa = np.where(total > 0, (total << MANTISSA_BITS) >> np.maximum(exponent, 0), 0)
    return np.where(total > 0, (exponent - 1) * (1 << MANTISSA_BITS) + mantissa, 0)


class WaveletBank:
    """Octave bands of a stream of samples, by integer lifting.

    A level keeps the last pair and the last detail; a new pair ``e, o`` gives the band
    ``d' = o_last - floor((e_last + e) / 2)`` and the next level's sample
    ``e_last + floor((d + d' + 2) / 4)``.
    """

    def __init__(self) -> None:
        self.state = np.zeros((BANDS, 3), np.int64)  # even, odd, detail

    def push(self, samples: ArrayLike) -> list[IntArray]:
        """Return the details of each band; ``samples`` are int16, a multiple of 32 of them."""
        low = np.asarray(samples, np.int64)
        details = []
        for level in range(BANDS):
            even, odd, detail = low[0::2], low[1::2], self.state[level]
            last_even = np.concatenate([detail[:1], even[:-1]])
            last_odd = np.concatenate([detail[1:2], odd[:-1]])
            new = last_odd - ((last_even + even) >> 1)
            last = np.concatenate([detail[2:], new[:-1]])
            low = last_even + ((last + new + 2) >> 2)
            self.state[level] = even[-1], odd[-1], new[-1]
            details.append(new)
        return details


class BandTracker:
    """Floor and peak of every band, and what they say about a frame.

    A band is active when its level is above ``floor + max(margin, (peak - floor) / 2)``: the
    distance to the noise, but half way up to the speech once there has been some, so that breath
    and rustle between words do not count.  The floor falls by a quarter of the distance a frame and
    rises by ``rise``; the peak rises by a quarter and falls by ``decay``; neither passes the level.
    """

    def __init__(self, parameters: VadParameters) -> None:
        self.parameters = parameters
        self.floor = [0] * BANDS
        self.peak = [0] * BANDS
        self.active = [False] * BANDS
        self.frames = 0
        self.count = 0
        self.speech = False

    def push(self, levels: list[int]) -> bool:
        """Take the levels of a frame; return whether it is speech."""
        p = self.parameters
        settling = self.frames < SETTLING_FRAMES
        self.active = [False] * BANDS
        for band, raw in enumerate(levels):
            level = max(raw, p.minimum) << FRACTION_BITS
            floor, peak = self.floor[band], self.peak[band]
            if settling:
                # The lowest level of a few would be far below what follows.
                self.floor[band] = level if self.frames == 0 else floor + ((level - floor) >> 2)
                self.peak[band] = self.floor[band]
                continue
            margin = (p.margin + SPREAD[band]) << FRACTION_BITS
            threshold = max(margin, (peak - floor) >> 1)
            self.active[band] = level - floor > threshold
            fall, climb = (level - floor) >> 2, (level - peak) >> 2
            self.floor[band] += fall if level < floor else min(p.rise, level - floor)
            self.peak[band] += climb if level > peak else -min(p.decay, peak - level)
        if settling:
            self.frames += 1
            return False
        self.decide(any(self.active))
        return self.speech

    def decide(self, active: bool) -> None:
        """Count up and down to the onset, then down from the hang-over."""
        p = self.parameters
        self.count = self.count + 1 if active else max(self.count - 1, 0)
        if self.speech:
            self.count = min(self.count, p.hangover)
            self.speech = self.count > 0
        elif self.count >= p.onset:
            self.speech, self.count = True, p.hangover


class VoiceActivityDetector:
    """The whole detector on a stream of int16 samples at 16 kHz.

    Parameters
    ----------
    parameters : VadParameters, optional
        The registers' contents.
    """

    def __init__(self, parameters: VadParameters | None = None) -> None:
        self.bank = WaveletBank()
        self.tracker = BandTracker(parameters or VadParameters())
        self.rest = np.zeros(0, np.int64)

    def push(self, samples: ArrayLike) -> NDArray[np.bool_]:
        """Return one decision for every frame that ``samples`` complete; the rest is kept."""
        levels = self.levels(samples)
        return np.array([self.tracker.push(row) for row in levels.tolist()], np.bool_)

    def levels(self, samples: ArrayLike) -> IntArray:
        """Return (frames, `BANDS`) levels of the frames that ``samples`` complete."""
        stream = np.concatenate([self.rest, np.asarray(samples, np.int64)])
        whole = len(stream) // FRAME * FRAME
        self.rest = stream[whole:]
        if not whole:
            return np.zeros((0, BANDS), np.int64)
        details = self.bank.push(stream[:whole])
        sums = [np.abs(band).reshape(whole // FRAME, -1).sum(axis=1) for band in details]
        return log2_level(np.stack(sums, axis=1))
