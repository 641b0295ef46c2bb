"""Front end of TensorFlow Lite Micro's micro_speech, micro_frontend, bit for bit.

The chain, in integers throughout; docs/audio-tflm.md has the word formats:
window, automatic scale, FFT of int16 (kissfft), energy, mel filters, square root, noise reduction,
amplitude normalisation (PCAN), logarithm, int8.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.audio.fft import Fft
from models.audio.frontend import FrontEnd
from models.audio.noise_reduction import NoiseReduction
from models.audio.pcan import Pcan
from models.audio.square_root import square_root
from models.audio.tflm_filterbank import FilterBank, energy, filter_bank
from models.audio.tflm_log import (
    FEATURE_DENOMINATOR,
    FEATURE_MIN,
    FEATURE_NUMERATOR,
    logarithm,
    quantize_feature,
)
from models.audio.tflm_window import apply_window, auto_scale, window_table
from models.fixedpoint import IntArray

__all__ = ["TflmFrontEnd"]

FIXED = {
    "arithmetic": "kiss",
    "centred": False,
    "coefficients": 0,
    "mel_norm": "none",
    "mel_scale": "htk",
    "normalisation": "full_scale",
    "pre_emphasis": 0,
    "spectrum": "power",
    "window": "hann",
}
"""What this front end is, in the fields of a description; others of these would be ignored."""


@lru_cache(maxsize=16)
def bank_of(frontend: FrontEnd) -> FilterBank:
    """Mel filters of a description."""
    return filter_bank(
        frontend.bands, frontend.fft, frontend.sample_rate, frontend.low_hz, frontend.high_hz
    )


class TflmFrontEnd:
    """The front end with its state: samples that wait for their frame to end, noise estimates.

    Parameters
    ----------
    frontend : FrontEnd
        With ``tail = "tflm"``.  Counts: ``sample_rate``, ``frame``, ``step``, ``fft``, ``bands``,
        ``low_hz`` and ``high_hz``.
    noise_reduction, pcan : optional
        Constants of these stages; micro_speech's by default.

    Raises
    ------
    ValueError
        When the description asks for something else than this front end, or a filter has no bin.
    """

    def __init__(
        self,
        frontend: FrontEnd,
        noise_reduction: NoiseReduction = NoiseReduction(),
        pcan: Pcan = Pcan(),
    ):
        frontend.check("tail", frontend.tail == "tflm", "tflm")
        for field, value in FIXED.items():
            allowed = f'{value}, as tail is "tflm"'
            frontend.check(field, getattr(frontend, field) == value, allowed)
        self.frontend = frontend
        self.noise_reduction, self.pcan = noise_reduction, pcan
        self.window = window_table(frontend.frame)
        self.fft = Fft(frontend.fft)
        self.bank = bank_of(frontend)
        self.reset()

    def reset(self) -> None:
        """Forget the samples and the noise."""
        self.pending = np.zeros(0, np.int64)
        self.estimate: IntArray = np.zeros(self.frontend.bands, np.int64)

    def push(self, pcm: ArrayLike) -> NDArray[np.int8]:
        """Take any number of int16 samples, return the features of the frames they complete."""
        return quantize_feature(self.logarithms(pcm)).astype(np.int8)

    def logarithms(self, pcm: ArrayLike) -> IntArray:
        """As `push`, but before the map to int8: 6 fraction bits, ``(frames, bands)``."""
        samples = np.concatenate([self.pending, np.asarray(pcm, np.int64)])
        frames = []
        while samples.size >= self.frontend.frame:
            frames.append(samples[: self.frontend.frame])
            samples = samples[self.frontend.step :]
        self.pending = samples
        if not frames:
            return np.zeros((0, self.frontend.bands), np.int64)
        return np.stack([self.tail(channels) for channels in self.channels(np.stack(frames))])

    def real_features(self, pcm: ArrayLike) -> NDArray[np.float64]:
        """As `push`, in the real units of the description's scale, neither rounded nor clamped."""
        frontend = self.frontend
        steps = self.logarithms(pcm) * (FEATURE_NUMERATOR / FEATURE_DENOMINATOR) + FEATURE_MIN
        return np.asarray((steps - frontend.zero_point) * frontend.scale, np.float64)

    def channels(self, frames: IntArray) -> IntArray:
        """Amplitudes of the bands, ``uint32``, of whole frames ``(frames, samples)``: no state."""
        scaled = [auto_scale(apply_window(frame, self.window)) for frame in frames]
        padding = self.frontend.fft - self.frontend.frame
        bins = self.fft.kiss(np.stack([np.pad(frame, (0, padding)) for frame, _ in scaled]))
        return np.stack(
            [
                square_root(self.bank.accumulate(energies)) >> shift
                for energies, (_, shift) in zip(energy(*bins), scaled, strict=True)
            ]
        )

    def tail(self, channels: IntArray) -> IntArray:
        """Logarithms of the amplitudes of one frame, ``(bands,)``; follows the noise."""
        signal, self.estimate = self.noise_reduction.reduce(channels, self.estimate)
        return logarithm(self.pcan.normalise(signal, self.estimate))
