"""Pre-emphasis, framing and window: from int16 samples to the FFT's input."""

import numpy as np

from models.audio.frontend import FrontEnd
from models.audio.tables import window_shift, window_table
from models.fixedpoint import IntArray

__all__ = ["emphasise", "windowed_frames"]


def emphasise(samples: IntArray, exponent: int, before: int = 0) -> IntArray:
    """``2**k * x[n] - (2**k - 1) * x[n - 1]``: pre-emphasis by ``1 - 2**-k``, exact.

    Parameters
    ----------
    samples : IntArray
        int16.
    exponent : int
        k; 0 returns the samples.
    before : int
        The sample before the first.

    Returns
    -------
    IntArray
        As many values of ``17 + k`` bits, k of them fraction bits.
    """
    if exponent == 0:
        return samples
    previous = np.concatenate([[before], samples[:-1]])
    return (samples << exponent) - (previous << exponent) + previous


def windowed_frames(frontend: FrontEnd, samples: IntArray, before: int = 0) -> IntArray:
    """Frames of a recording as the FFT reads them.

    ``round(y * window)``, ties up, with 8 fraction bits (7 with pre-emphasis): it fits 24 bits.

    Parameters
    ----------
    frontend : FrontEnd
        Frame, step, FFT, window, pre-emphasis.  ``centred`` is not applied here.
    samples : IntArray
        int16.
    before : int
        The sample before the first.

    Returns
    -------
    IntArray
        Shape (frames, fft); zeros behind the frame.
    """
    emphasised = emphasise(samples, frontend.pre_emphasis, before)
    count = max(0, (samples.size - frontend.frame) // frontend.step + 1)
    index = np.arange(count)[:, None] * frontend.step + np.arange(frontend.frame)
    shift = window_shift(frontend)
    products = emphasised[index] * window_table(frontend)
    frames = np.zeros((count, frontend.fft), np.int64)
    frames[:, : frontend.frame] = (products + (1 << (shift - 1))) >> shift
    return frames
