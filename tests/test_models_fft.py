"""The FFT's model: equal to TensorFlow Lite Micro's, and close to the real transform."""

import numpy as np
import pytest
from signal_fft import signal_irfft, signal_rfft

from models.audio.fft import SIZES, Fft
from models.audio.fft_arithmetic import Kiss
from verif.fft_transforms import KINDS, random_values

CHIP_SIZES = (256, 512, 1024)
BLOCKS = 20


def stimulus(rng, size, bits):
    """Blocks of every kind."""
    return np.stack([random_values(rng, kind, size, bits) for kind in KINDS * (BLOCKS // 5)])


def snr_db(exact, approximate):
    """Signal-to-noise ratio over all blocks; parts of complex numbers count alike."""
    return 10 * np.log10(np.sum(np.abs(exact) ** 2) / np.sum(np.abs(exact - approximate) ** 2))


def bins(re, im, exponent):
    """Floating-point values."""
    return (re + 1j * im) * 2.0 ** exponent[..., None]


@pytest.mark.parametrize("points", SIZES)
def test_kiss_equals_tflm(points, rng, monkeypatch):
    """SignalRfft and SignalIrfft, every bit, also where sums wrap."""
    x = stimulus(rng, points, 16)
    re, im = Fft(points).kiss(x)
    expected = signal_rfft(x)
    assert (re == expected[0]).all()
    assert (im == expected[1]).all()

    re, im = (stimulus(rng, points // 2 + 1, 16) for _ in range(2))
    back = Fft(points).inverse_kiss(re, im)
    assert (back == signal_irfft(re, im)).all()
    monkeypatch.setattr(Kiss, "wrapped", lambda self, value: value)
    assert (back != Fft(points).inverse_kiss(re, im)).any(), "nothing wrapped"


@pytest.mark.parametrize("points", CHIP_SIZES)
@pytest.mark.parametrize("dbfs", [0, -40, -80])
def test_signal_to_noise_ratio(points, dbfs, rng):
    """At least 104 dB for random int16, however quiet; the bars are 70, at -40 dBFS 60 dB."""
    limit = 32767 * 10 ** (dbfs / 20)
    x = np.rint(rng.uniform(-limit, limit, (BLOCKS, points))).astype(np.int64)
    assert abs(x).max() > 0.9 * limit - 1
    spectrum = bins(*Fft(points).block_floating(x))
    assert snr_db(np.fft.rfft(x), spectrum) >= 104


@pytest.mark.parametrize("points", CHIP_SIZES)
def test_tones(points, rng):
    """A tone's own bin is exact to 2**-15, and what leaks elsewhere is 100 dB below."""
    k = int(rng.integers(1, points // 2))
    x = np.rint((1 << 23) * 0.999 * np.cos(2 * np.pi * k * np.arange(points) / points))
    spectrum = bins(*Fft(points).block_floating(x.astype(np.int64)))
    exact = np.fft.rfft(x)
    assert abs(spectrum[k] / exact[k] - 1) < 2**-15
    assert np.abs(np.delete(spectrum, k)).max() < 1e-5 * abs(exact[k])


@pytest.mark.parametrize("points", SIZES)
def test_round_trip(points, rng):
    """The inverse gives the samples back, whatever the exponents."""
    model = Fft(points)
    x = rng.integers(-(1 << 23), 1 << 23, (24, points)) >> np.arange(24)[:, None]
    re, im, exponent = model.block_floating(x)
    back, back_exponent = model.inverse_block_floating(re, im)
    back = back * 2.0 ** (exponent + back_exponent)[:, None]
    for block, again in zip(x, back, strict=True):
        assert snr_db(block, again) >= 100


@pytest.mark.parametrize("points", CHIP_SIZES)
def test_scale_is_the_exponents(points, rng):
    """A power of two changes the exponent alone, as long as no bit is lost."""
    x = rng.integers(-(1 << 7), 1 << 7, points)
    re, im, exponent = Fft(points).block_floating(x)
    for shift in range(17):
        scaled = Fft(points).block_floating(x << shift)
        assert (scaled[0] == re).all()
        assert (scaled[1] == im).all()
        assert scaled[2] == exponent + shift


def test_largest_bin_fills_the_word(rng):
    """24 bits with sign, of the largest component; silence has the exponent 0."""
    for kind in KINDS:
        x = random_values(rng, kind, 512, 24)
        re, im, exponent = Fft(512).block_floating(x)
        parts = np.concatenate([re, im])
        if kind == "silence":
            assert not parts.any()
            assert exponent == 0
        else:
            assert (1 << 22) - 1 <= np.abs(parts).max() <= 1 << 23


def test_blocks_are_independent(rng):
    """Leading axes are blocks, each with its own exponent."""
    x = stimulus(rng, 256, 24)[:24].reshape(2, 3, 4, 256)
    re, im, exponent = Fft(256).block_floating(x)
    assert re.shape == im.shape == (2, 3, 4, 129)
    assert exponent.shape == (2, 3, 4)
    for place in np.ndindex(2, 3, 4):
        one = Fft(256).block_floating(x[place])
        assert (one[0] == re[place]).all()
        assert (one[1] == im[place]).all()
        assert one[2] == exponent[place]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Fft(500), r"points must be one of \(16, .*\), not 500"),
        (lambda: Fft(16).kiss(np.zeros(15, int)), r"must have 16 values, not shape \(15,\)"),
        (lambda: Fft(16).kiss(np.full(16, 40000)), r"must fit 16 bits, not 40000 \.\. 40000"),
        (lambda: Fft(16).block_floating(np.full(16, 1 << 23)), "must fit 24 bits"),
        (lambda: Fft(16).block_floating(np.zeros(16)), "must be integers, not float64"),
        (lambda: Fft(16).inverse_kiss([0] * 9, [0] * 8), "last axis must have 9 values"),
    ],
)  # fmt: skip
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
