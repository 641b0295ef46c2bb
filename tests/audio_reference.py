"""Front ends in float64, straight from the formulas; judges the integer models.

Not a test.  Written without the models' tables: triangles are minima of two lines, not intervals.
"""

import numpy as np

MEL_1000, MEL_STEP = 15.0, np.log(6.4) / 27


def mel_of(hz, scale):
    hz = np.asarray(hz, np.float64)
    if scale == "htk":
        return 2595 * np.log10(1 + hz / 700)
    return np.array(
        [f * 3 / 200 if f < 1000 else MEL_1000 + np.log(f / 1000) / MEL_STEP for f in hz]
    )


def hz_of(mel, scale):
    mel = np.asarray(mel, np.float64)
    if scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    linear = mel < MEL_1000
    return np.where(linear, mel * 200 / 3, 1000 * np.exp((mel - MEL_1000) * MEL_STEP))


def mel_matrix(f):
    """Shape (bins, bands)."""
    ends = mel_of([f.low_hz, f.high_hz], f.mel_scale)
    mels = np.linspace(ends[0], ends[1], f.bands + 2)
    edges = hz_of(mels, f.mel_scale)
    bins = np.arange(f.fft // 2 + 1) * f.sample_rate / f.fft
    at, x = (mels, mel_of(bins, "htk")) if f.mel_scale == "htk" else (edges, bins)
    rising = (x[:, None] - at[None, :-2]) / (at[1:-1] - at[:-2])
    falling = (at[None, 2:] - x[:, None]) / (at[2:] - at[1:-1])
    weights = np.maximum(0, np.minimum(rising, falling))
    return weights * 2 / (edges[2:] - edges[:-2]) if f.mel_norm == "slaney" else weights


def window_of(f):
    count = f.frame + (0 if f.window.endswith("_symmetric") else 1)
    kind = f.window.split("_")[0]
    window = {"hann": np.hanning, "hamming": np.hamming, "rectangular": np.ones}[kind](count)
    return window[: f.frame]


def dct_rows(f):
    """Shape (bands, coefficients)."""
    angles = np.pi * np.outer(np.arange(f.bands) + 0.5, np.arange(f.coefficients)) / f.bands
    rows = np.cos(angles) * np.sqrt(2 / f.bands)
    if f.dct_norm == "ortho":
        rows[:, 0] *= np.sqrt(0.5)
    return rows


def float_features(f, pcm, peak=None):
    """Real features of shape (frames, values), bounded as described, not quantised."""
    x = np.asarray(pcm, np.float64)
    x = x / ((peak or max(1, x.max())) if f.normalisation == "peak" else 32768)
    if f.centred:
        x = np.pad(x, f.fft // 2)
    if f.pre_emphasis:
        x = x - (1 - 0.5**f.pre_emphasis) * np.concatenate([[0], x[:-1]])
    starts = range(0, x.size - f.frame + 1, f.step)
    frames = np.stack([x[start : start + f.frame] for start in starts]) * window_of(f)
    spectrum = np.abs(np.fft.rfft(frames, f.fft)) ** (2 if f.spectrum == "power" else 1)
    sums = spectrum * f.spectrum_gain @ mel_matrix(f)
    sums = sums + f.floor if f.floor_mode == "add" else np.maximum(sums, f.floor)
    values = np.log(sums) if f.logarithm == "ln" else 10 * np.log10(sums)
    if f.coefficients:
        values = values @ dct_rows(f)
    return np.clip((values + f.offset) * f.gain, f.clip_low, f.clip_high)


def steps_of(f, real):
    """The int8 that the public front ends make of real features."""
    return np.clip(np.round(real / f.scale) + f.zero_point, -128, 127).astype(np.int64)
