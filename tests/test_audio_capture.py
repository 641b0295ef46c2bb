"""The model of the microphone input against mathematics: responses, noise, corners, words."""

import numpy as np
import pytest
from fir_design import FIR_RATE_HZ, PASS_HZ, SAMPLE_RATE_HZ, quantised_design

from models.audio import cic, fir
from models.audio.dc import corner_hz, remove_dc
from models.audio.gain import UNITY_GAIN, amplify
from models.audio.i2s import Alignment, Channel, I2sConfig, receive, transmit
from models.audio.microphone import MicrophoneConfig, capture_i2s, capture_pdm
from models.audio.pdm import BITS_PER_SAMPLE, modulate, oversample, receive_bits
from models.fixedpoint import saturate

RATE_HZ = SAMPLE_RATE_HZ // BITS_PER_SAMPLE
PASS_RIPPLE_DB = 0.12
ALIAS_REJECTION_DB = 72
FILTER_LOSS_DB = 0.2
TONE_SNR_DB = {-3: 72, -20: 59, -60: 18}
"""dBFS of a tone, signal-to-noise ratio to 7 kHz behind a second-order modulator."""


def impulse_response():
    """Both filters as one, at the rate of the bits, 1.0 at 0 Hz in the CIC filter's units."""
    half = np.array(fir.COEFFICIENTS)
    spread = np.zeros(cic.RATIO * (fir.TAPS - 1) + 1)
    spread[:: cic.RATIO] = np.concatenate([half, half[::-1]]) / 2**fir.FRACTION_BITS
    return np.convolve(cic.impulse_response() / cic.RATIO**cic.ORDER, spread)


def attenuation_db():
    """Frequencies up to half the rate of the bits, and the gain there."""
    points = 1 << 18
    response = np.abs(np.fft.rfft(impulse_response(), points))
    return np.fft.rfftfreq(points, 1 / SAMPLE_RATE_HZ), 20 * np.log10(response + 1e-12)


def test_coefficients_are_the_design():
    assert list(fir.COEFFICIENTS) == quantised_design()


def test_pass_band_is_flat():
    frequency, gain = attenuation_db()
    passed = gain[frequency <= PASS_HZ]
    assert np.abs(passed).max() <= PASS_RIPPLE_DB
    assert FIR_RATE_HZ == 4 * RATE_HZ


def test_aliases_are_rejected():
    """Whatever would come out below 7 kHz, from anywhere up to 512 kHz."""
    frequency, gain = attenuation_db()
    alias = np.abs(frequency - RATE_HZ * np.rint(frequency / RATE_HZ))
    folds = (alias <= PASS_HZ) & (frequency > RATE_HZ / 2)
    assert folds.sum() > 100_000
    assert gain[folds].max() <= -ALIAS_REJECTION_DB


def test_model_has_that_response(rng):
    """Against floating-point convolution: half a step of the last bit, saturation aside."""
    bits = rng.integers(0, 2, 4000)
    filtered = np.convolve(2.0 * bits - 1, impulse_response())
    first = cic.RATIO * fir.TAPS - 1
    expected = filtered[first : bits.size : BITS_PER_SAMPLE] * 2 ** (fir.SAMPLE_BITS - 1)
    received = receive_bits(bits)
    assert received.size == expected.size > 30
    assert np.abs(received - expected).max() <= 0.5 + 1e-6


def test_full_scale_is_clamped_not_wrapped():
    ones = np.ones(cic.RATIO * 8, dtype=int)
    assert cic.decimate_bits(ones)[-1] == 2**16 - 1
    assert cic.decimate_bits(1 - ones)[-1] == -(2**16)


def signal_to_noise_db(values, tone, bandwidth):
    """Ratio below ``bandwidth``, of the tone in bin ``tone``, bins counted from 0 Hz."""
    power = np.abs(np.fft.rfft(values * np.blackman(len(values)))) ** 2
    signal = power[tone - 3 : tone + 4].sum()
    return 10 * np.log10(signal / (power[4:bandwidth].sum() - signal))


@pytest.mark.parametrize("level_db", TONE_SNR_DB)
def test_noise_is_the_modulators(level_db):
    """The filters add nothing to what the one-bit signal itself has below 7 kHz."""
    samples, tone = 4096, 253
    bandwidth = samples * PASS_HZ // RATE_HZ
    n = np.arange((samples + fir.TAPS // 2) * BITS_PER_SAMPLE)
    signal = 10 ** (level_db / 20) * np.sin(2 * np.pi * tone / samples / BITS_PER_SAMPLE * n + 0.3)
    bits = modulate(signal)
    pcm = capture_pdm(bits, MicrophoneConfig(dc_shift=0))[-samples:]
    reached = signal_to_noise_db(pcm / 2**15, tone, bandwidth)
    ideal = signal_to_noise_db(2.0 * bits[-samples * BITS_PER_SAMPLE :] - 1, tone, bandwidth)
    print(f"{level_db} dBFS: {reached:.1f} dB, ideal filter {ideal:.1f} dB")
    assert reached >= TONE_SNR_DB[level_db]
    assert reached >= ideal - FILTER_LOSS_DB


def test_a_recording_comes_back(rng):
    """Speech-like noise through oversampling, a microphone and both filters, twice their delay."""
    samples = 3000
    spectrum = rng.standard_normal(samples // 2 + 1) / np.arange(1, samples // 2 + 2)
    spectrum[samples * PASS_HZ // RATE_HZ :] = 0
    sent = np.fft.irfft(spectrum * np.exp(2j * np.pi * rng.random(spectrum.size)), samples)
    sent *= 0.5 / np.abs(sent).max()
    pcm = capture_pdm(modulate(oversample(sent)), MicrophoneConfig(dc_shift=0)) / 2**15
    # The first sample is that of bit 1535; both delays are 790 bits, 24.6875 samples in all.
    late = 2 * 790 / BITS_PER_SAMPLE - (cic.RATIO * fir.TAPS - 1) / BITS_PER_SAMPLE
    bins = np.arange(samples // 2 + 1)
    shifted = np.fft.irfft(np.fft.rfft(sent) * np.exp(-2j * np.pi * bins * late / samples), samples)
    compared = slice(200, pcm.size - 200)
    error = (pcm - shifted[: pcm.size])[compared]
    ratio = 10 * np.log10((shifted[: pcm.size][compared] ** 2).sum() / (error**2).sum())
    print(f"{ratio:.1f} dB")
    assert ratio >= 30  # twice the ripple of 0.118 dB is -31 dB


@pytest.mark.parametrize("level", [-0.7, -0.01, 0.3])
def test_modulator_keeps_the_mean(level):
    bits = modulate(np.full(20_000, level))
    assert abs((2.0 * bits - 1).mean() - level) < 1e-3


@pytest.mark.parametrize(("shift", "hz"), [(6, 40.1), (8, 9.97), (12, 0.622)])
def test_dc_corner(shift, hz):
    """The corner as stated: -3 dB of the difference equation's response."""
    corner = corner_hz(shift)
    assert corner == pytest.approx(hz, rel=0.01)
    pole = 1 - 2.0**-shift
    z = np.exp(2j * np.pi * np.array([corner / 16_000, 0.5]))
    low, high = np.abs((1 - 1 / z) / (1 - pole / z))
    assert 20 * np.log10(low / high) == pytest.approx(-3.0103, abs=1e-3)


@pytest.mark.parametrize("shift", [1, 5, 10, 15])
def test_dc_is_removed(shift, rng):
    """The integers follow the real filter within a step, and a constant ends in exact silence."""
    noise = rng.integers(-30_000, 30_000, 500)
    y = remove_dc(noise, shift)
    mean, expected = 0.0, []
    for x in noise:
        expected.append(x - mean)
        mean += (x - mean) / 2**shift
    assert np.abs(y - expected).max() <= 1
    for level in (131_071, -131_072, 1, -1):
        settled = remove_dc(np.full(20 << shift, level), shift) if shift <= 10 else None
        assert settled is None or settled[-1] == 0
    assert (remove_dc(noise, 0) == noise).all()


def test_gain_rounds_and_saturates():
    assert amplify([4, 5, 6, -6, -5, 131_071, -131_072], UNITY_GAIN).tolist() == [
        1, 1, 2, -1, -1, 32_767, -32_768,
    ]  # fmt: skip
    assert amplify([40_000, -262_144], 2 * UNITY_GAIN).tolist() == [20_000, -32_768]
    assert amplify([3, -3], (1 << 17) - 1).tolist() == [96, -96]
    assert amplify([99, -99], 0).tolist() == [0, 0]


@pytest.mark.parametrize("alignment", Alignment)
@pytest.mark.parametrize("channel", Channel)
@pytest.mark.parametrize(("slot_bits", "word_bits"), [(32, 24), (32, 16), (16, 16), (18, 17)])
def test_i2s_words(alignment, channel, slot_bits, word_bits, rng):
    config = I2sConfig(
        alignment=alignment, channel=channel, slot_bits=slot_bits, word_bits=word_bits
    )
    half = 1 << (word_bits - 1)
    left, right = rng.integers(-half, half, (2, 50))
    received = receive(*transmit(left, right, config), config)
    assert received.errors == 0

    def sample(words):
        return words << 18 >> word_bits

    expected = {
        Channel.LEFT: sample(left),
        Channel.RIGHT: sample(right),
        Channel.MIX: (sample(left) + sample(right) + 1) >> 1,
    }
    assert (received.samples == expected[channel]).all()


@pytest.mark.parametrize("alignment", Alignment)
def test_words_of_16_bits_pass_unchanged(alignment, rng):
    """How a recording gets through the pins: every int16 there is, in any order."""
    words = rng.permutation(np.arange(-32_768, 32_768))
    i2s = I2sConfig(alignment=alignment, word_bits=16)
    pins = transmit(words, rng.permutation(words), i2s)
    pcm, errors = capture_i2s(*pins, MicrophoneConfig(i2s=i2s, dc_shift=0))
    assert errors == 0
    assert (pcm == words).all()


def test_i2s_follows_the_specification():
    """The standard's drawing, written by hand: the highest bit one clock after the change."""
    word = [1, 0, 0, 1] + [0] * 11 + [1]
    config = I2sConfig(slot_bits=16, word_bits=16)
    select = [1] * 3 + [0] * 16 + [1] * 16 + [0] * 3
    received = receive(select, [0] * 4 + word + [1] * 16 + [0] * 2, config)
    assert received.samples.tolist() == [(0b1001000000000001 - 65536) << 2]


@pytest.mark.parametrize(
    ("slots", "samples", "errors"),
    [
        ([16] * 8, 4, 0),
        ([16, 15, 16, 16, 16, 16, 16, 16], 3, 1),  # begins too early: the next frame is complete
        ([15, 16, 16, 16, 16, 16, 16, 16], 3, 1),
        ([17, 15, 16, 16, 16, 16, 16, 16], 3, 1),
        ([16, 16, 16, 40, 16, 16, 16, 16], 3, 1),
        ([16, 16, 1, 1, 1, 1, 16, 16], 2, 2),
    ],
)
def test_i2s_frames_of_wrong_length(slots, samples, errors):
    config = I2sConfig(slot_bits=16, word_bits=16)
    select = np.repeat(np.arange(len(slots)) & 1, slots)
    select = np.concatenate([[1, 1], select, [0, 0]])
    data = np.arange(select.size) & 1
    received = receive(select, data, config)
    assert (received.samples.size, received.errors) == (samples, errors)
    pcm, counted = capture_i2s(select, data, MicrophoneConfig(i2s=config, dc_shift=0))
    assert (pcm == saturate((received.samples + 2) >> 2, 16)).all()
    assert counted == errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: I2sConfig(slot_bits=33), r"slot_bits must be in 16\.\.32, not 33"),
        (
            lambda: I2sConfig(slot_bits=20, word_bits=24),
            r"word_bits must be in 16\.\.slot_bits \(20\), not 24",
        ),
        (lambda: MicrophoneConfig(dc_shift=16), r"dc_shift must be in 0\.\.15, not 16"),
        (lambda: MicrophoneConfig(gain=1 << 17), r"gain must be in 0\.\.131071, not 131072"),
        (lambda: remove_dc([0], -1), r"shift must be in 0\.\.15, not -1"),
        (lambda: amplify([0], -1), r"gain must be in 0\.\.131071, not -1"),
        (lambda: cic.decimate_bits([2]), "bits must be a one-dimensional array of 0 and 1"),
    ],
)
def test_rejects(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_too_few_bits_give_no_sample():
    assert capture_pdm([], MicrophoneConfig()).size == 0
    assert capture_pdm(np.ones(cic.RATIO * fir.TAPS - 1, int), MicrophoneConfig()).size == 0
    assert capture_pdm(np.ones(cic.RATIO * fir.TAPS, int), MicrophoneConfig()).size == 1
