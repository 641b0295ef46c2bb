"""The whole front end: int16 samples in, int8 features out."""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.audio.dct import dct
from models.audio.fft import Fft
from models.audio.frames import windowed_frames
from models.audio.frontend import FrontEnd
from models.audio.levels import levels
from models.audio.mel import mel_sums
from models.audio.quantiser import quantise
from models.audio.spectrum import magnitude, power
from models.audio.tables import mel_table, spectrum_table, tail_table
from models.audio.tflm_frontend import TflmFrontEnd
from models.fixedpoint import IntArray

__all__ = ["FeatureStream", "features", "real_features"]

FULL_SCALE = 32_767
"""Peak that a stream starts with."""

cached_mel_table = lru_cache(maxsize=16)(mel_table)


def checked_samples(pcm: ArrayLike) -> IntArray:
    """Samples as ``int64``; raises ``ValueError`` unless they are int16 and one-dimensional."""
    samples = np.asarray(pcm)
    if samples.ndim != 1 or samples.dtype != np.int16:
        kind = f"{samples.dtype} of shape {samples.shape}"
        raise ValueError(f"samples must be a one-dimensional array of int16, not {kind}")
    return samples.astype(np.int64)


def peak_of(samples: IntArray) -> int:
    """Largest sample, at least 1: what ``peak`` normalisation divides by."""
    return max(1, int(samples.max(initial=1)))


def frame_levels(frontend: FrontEnd, frames: IntArray, peak: int) -> IntArray:
    """Levels (Q8.16, base 2) of windowed frames: FFT, spectrum, mel filters, logarithm."""
    if frontend.tail != "log":
        raise ValueError(f"tail of the front end {frontend.name} must be log, not {frontend.tail}")
    if not len(frames):
        return np.zeros((0, frontend.bands), np.int64)
    mel = cached_mel_table(frontend)
    re, im, exponents = Fft(frontend.fft).block_floating(frames)
    spectrum = power(re, im) if frontend.spectrum == "power" else magnitude(re, im)
    sums = mel_sums(spectrum, mel, frontend.bands)
    return levels(sums, exponents, spectrum_table(frontend, mel), peak)


def tail_sums(frontend: FrontEnd, frames: IntArray, peak: int) -> IntArray:
    """What the quantiser reads: levels, or their DCT, in the tensor's scale."""
    found = frame_levels(frontend, frames, peak)
    table = tail_table(frontend)
    if frontend.coefficients:
        return dct(found, table, frontend.coefficients)
    return found * table.cosines[0]


def with_margins(frontend: FrontEnd, samples: IntArray) -> IntArray:
    """Samples with the zeros before and behind that ``centred`` asks for."""
    return np.pad(samples, frontend.fft // 2 if frontend.centred else 0)


def clip_peak(frontend: FrontEnd, samples: IntArray) -> int:
    """Peak of a whole recording, or 1 where it does not count."""
    return peak_of(samples) if frontend.normalisation == "peak" else 1


def features(frontend: FrontEnd, pcm: ArrayLike) -> NDArray[np.int8]:
    """Features of a whole recording.

    Parameters
    ----------
    frontend : FrontEnd
        What to compute.
    pcm : array_like
        int16, at the front end's sample rate.

    Returns
    -------
    ndarray of int8
        Shape (frames, values); no frame if the recording is shorter than one.

    Raises
    ------
    ValueError
        If the samples are not int16 or the front end has no bin between its ends.
    """
    samples = checked_samples(pcm)
    if frontend.tail == "tflm":
        return TflmFrontEnd(frontend).push(samples)
    peak = clip_peak(frontend, samples)
    frames = windowed_frames(frontend, with_margins(frontend, samples))
    return quantise(tail_sums(frontend, frames, peak), tail_table(frontend))


def real_features(frontend: FrontEnd, pcm: ArrayLike) -> NDArray[np.float64]:
    """Features in real units before rounding and bounds, for those who plot or compare them.

    Shape and errors as `features`.
    """
    samples = checked_samples(pcm)
    if frontend.tail == "tflm":
        return TflmFrontEnd(frontend).real_features(samples)
    table = tail_table(frontend)
    frames = windowed_frames(frontend, with_margins(frontend, samples))
    sums = tail_sums(frontend, frames, clip_peak(frontend, samples))
    steps = (sums + table.offset) / 2.0**table.shift - 0.5
    return (steps - frontend.zero_point) * frontend.scale


class FeatureStream:
    """Features of continuous audio, in whatever pieces it comes.

    The concatenation of what `push` and `finish` return equals `features` of the whole, but for
    peak normalisation: the whole is not known, so that a frame is divided by the largest sample
    of the last complete window of ``frontend.clip`` samples (the first window by full scale).  A
    frame belongs to the window that its last sample is in.

    Parameters
    ----------
    frontend : FrontEnd
        What to compute.
    peak : int, optional
        Divide all frames by this instead, 1 to 32767: with that of the recording, features equal
        those of the whole also with peak normalisation.
    """

    def __init__(self, frontend: FrontEnd, peak: int | None = None) -> None:
        if peak is not None and not 1 <= peak <= FULL_SCALE:
            raise ValueError(f"peak must be in 1..{FULL_SCALE}, not {peak}")
        self.frontend = frontend
        self.fixed_peak = peak
        self.pending: IntArray = np.zeros(frontend.fft // 2 if frontend.centred else 0, np.int64)
        self.before = 0
        self.received = 0  # samples of the current window
        self.window_peak = 1
        self.peak = FULL_SCALE
        self.tflm = TflmFrontEnd(frontend) if frontend.tail == "tflm" else None

    def push(self, pcm: ArrayLike) -> NDArray[np.int8]:
        """Take any number of int16 samples, return the features of the frames they complete."""
        samples = checked_samples(pcm)
        if self.tflm:
            return self.tflm.push(samples)
        if self.frontend.normalisation == "full_scale":
            return self.advance(samples, 1)
        found = [self.advance(samples[:0], self.peak)]
        while samples.size:
            part, samples = np.split(samples, [self.frontend.clip - self.received])
            found.append(self.advance(part, self.fixed_peak or self.peak))
            self.received += part.size
            self.window_peak = max(self.window_peak, peak_of(part))
            if self.received == self.frontend.clip:
                self.peak, self.window_peak, self.received = self.window_peak, 1, 0
        return np.concatenate(found)

    def finish(self) -> NDArray[np.int8]:
        """Features of frames that the zeros behind a ``centred`` recording complete."""
        margin = self.frontend.fft // 2 if self.frontend.centred else 0
        return self.push(np.zeros(margin, np.int16))

    def advance(self, samples: IntArray, peak: int) -> NDArray[np.int8]:
        """Append samples, compute the frames that are complete and forget what no other needs."""
        self.pending = np.concatenate([self.pending, samples])
        frames = windowed_frames(self.frontend, self.pending, self.before)
        if len(frames):
            used = len(frames) * self.frontend.step
            self.before = int(self.pending[used - 1])
            self.pending = self.pending[used:]
        return quantise(tail_sums(self.frontend, frames, peak), tail_table(self.frontend))
