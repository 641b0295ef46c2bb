"""Recordings become 16 bits, mono, at one rate, or one sentence says why not."""

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mmsp.audio.recording import read_recording
from mmsp.errors import InputError

RATE_HZ = 16_000
PATH = Path("take.wav")

WORDS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
NAMES = {8: "8 bits", 16: "16 bits", 24: "24 bits", 32: "32 bits"}


def write(values, subtype="PCM_16", file_format="WAV", rate_hz=RATE_HZ):
    buffer = BytesIO()
    soundfile.write(buffer, values, rate_hz, format=file_format, subtype=subtype)
    return buffer.getvalue()


def write_words(words, bits, rate_hz=RATE_HZ):
    """A WAV of ``(n, channels)`` words, put together by hand: the judge of the library."""
    count, width = words.shape[1], bits // 8
    stored = words + 128 if bits == 8 else words
    body = b"".join(
        int(word).to_bytes(width, "little", signed=bits > 8) for word in stored.reshape(-1)
    )
    fmt = struct.pack(
        "<4sIHHIIHH", b"fmt ", 16, 1, count, rate_hz, rate_hz * count * width, count * width, bits
    )
    chunks = b"WAVE" + fmt + struct.pack("<4sI", b"data", len(body)) + body
    return struct.pack("<4sI", b"RIFF", len(chunks)) + chunks


def draw_words(rng, bits, shape):
    """Log-uniform magnitudes of both signs, and both ends."""
    magnitudes = np.exp2(rng.uniform(-1, bits - 1, shape)).astype(np.int64)
    words = np.where(rng.random(shape) < 0.5, -magnitudes, magnitudes)
    words.reshape(-1)[:2] = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return np.clip(words, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def halves_to_even(numerators, denominator):
    """Exact rounding of quotients, one integer at a time, saturated to 16 bits."""
    result = []
    for numerator in numerators.tolist():
        quotient, rest = divmod(numerator, denominator)
        up = 2 * rest > denominator or (2 * rest == denominator and quotient % 2)
        result.append(min(quotient + up, 32767))
    return np.array(result, np.int16)


def snr_db(samples, expected):
    error = samples - expected
    return 10 * np.log10(np.sum(expected**2) / np.sum(error**2))


def tone(rate_hz, hertz=997.0, seconds=0.5, amplitude=0.5):
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate_hz)) / rate_hz)


def test_samples_of_16_bits_are_what_they_are(rng):
    words = draw_words(rng, 16, (3001, 1))
    recording = read_recording(PATH, write_words(words, 16))
    assert recording.samples.dtype == np.int16
    np.testing.assert_array_equal(recording.samples, words[:, 0])
    assert len(np.unique(np.abs(words) >> 8)) > 50
    assert recording.sentence == "recording 'take.wav': 16 kHz mono, 16 bits, 0.187562 s"
    assert recording.seconds == 3001 / RATE_HZ


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_words_and_channels_are_rounded_once(rng, bits, channels):
    words = draw_words(rng, bits, (4000, channels))
    if bits == 24:  # halves of 16 bits, of both parities
        words[100:300] = (np.arange(200)[:, None] - 100 << 8) + 128
    recording = read_recording(PATH, write_words(words, bits))
    sums = words.sum(axis=1) << max(0, 16 - bits)
    expected = halves_to_even(sums, channels << max(0, bits - 16))
    np.testing.assert_array_equal(recording.samples, expected)
    assert NAMES[bits] in recording.sentence
    assert ("rounded to 16 bits" in recording.steps) == (bits > 16)
    assert ("mixed to mono" in recording.steps) == (channels > 1)


def test_one_channel(rng):
    words = draw_words(rng, 16, (500, 2))
    data = write_words(words, 16)
    for channel in (1, 2):
        recording = read_recording(PATH, data, channel=channel)
        np.testing.assert_array_equal(recording.samples, words[:, channel - 1])
        assert recording.steps[1:] == (f"channel {channel} of 2",)
    for channel in (0, 3):
        with pytest.raises(InputError, match=rf"--channel must be 1 to 2, .*, and is {channel}$"):
            read_recording(PATH, data, channel=channel)


@pytest.mark.parametrize(
    ("file_format", "subtype"),
    [("FLAC", "PCM_S8"), ("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("WAVEX", "PCM_16"),
     ("WAVEX", "PCM_24"), ("RF64", "PCM_32"), ("WAV", "FLOAT"), ("WAV", "DOUBLE")],
)  # fmt: skip
def test_other_containers_have_the_same_samples(rng, file_format, subtype):
    bits = min(WORDS.get(subtype, 24), 24)
    words = draw_words(rng, bits, (2000, 2))
    data = write(words / 2.0 ** (bits - 1), subtype, file_format)
    recording = read_recording(PATH, data)
    expected = read_recording(PATH, write_words(words, bits))
    np.testing.assert_array_equal(recording.samples, expected.samples)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("share", [0.05, 0.4, 0.88])
def test_rates(rate_hz, share):
    """Tones up to close below what both rates can hold."""
    hertz = share * min(rate_hz, RATE_HZ) / 2
    recording = read_recording(PATH, write(tone(rate_hz, hertz), "PCM_24", rate_hz=rate_hz))
    assert abs(len(recording.samples) - RATE_HZ // 2) <= 1
    middle = slice(800, 7200)  # at the ends the tone begins and stops
    expected = 32768 * tone(RATE_HZ, hertz)[middle]
    found = recording.samples[middle].astype(np.float64)
    gain = found @ expected / (expected @ expected)
    assert abs(20 * np.log10(gain)) < 0.01  # dB
    assert snr_db(found, gain * expected) > 85  # 24 bits rounded to 16, half scale: 92
    assert f"{rate_hz / 1e3:g} kHz mono, 24 bits" in recording.sentence
    assert "resampled to 16 kHz" in recording.sentence
    assert ("nothing above" in recording.sentence) == (rate_hz < RATE_HZ)


def test_no_aliases():
    """What 16 kHz cannot hold is gone: it would appear as a tone of 5 kHz."""
    recording = read_recording(PATH, write(tone(44_100, 11_000.0), rate_hz=44_100))
    assert np.abs(recording.samples[800:7200]).max() <= 2


def test_sentence():
    data = write(np.stack([tone(44_100), tone(44_100, 300.0)], axis=1), "PCM_24", rate_hz=44_100)
    assert read_recording(PATH, data).sentence == (
        "recording 'take.wav': 44.1 kHz stereo, 24 bits, 0.5 s, mixed to mono, resampled to "
        "16 kHz, rounded to 16 bits"
    )


def test_beyond_full_scale():
    values = np.array([0.0, 1.0, -1.0, 1.5, -1.5, 0.25])
    recording = read_recording(PATH, write(values, "FLOAT"))
    np.testing.assert_array_equal(recording.samples, [0, 32767, -32768, 32767, -32768, 8192])
    assert recording.steps[-1] == "3 samples beyond full scale saturated"


def test_silence_is_said():
    assert read_recording(PATH, write(np.zeros(10))).steps[-1] == "all of it zero"


def test_header_of_another_length(rng):
    words = draw_words(rng, 16, (1000, 1))
    data = write_words(words, 16)
    recording = read_recording(PATH, data[:-500])
    np.testing.assert_array_equal(recording.samples, words[:750, 0])
    assert recording.steps[-1] == "cut off: 500 bytes that its header promises are not there"
    piped = data[:4] + b"\xff" * 4 + data[8:40] + b"\xff" * 4 + data[44:]
    recording = read_recording(PATH, piped)  # as programs write that cannot go back
    np.testing.assert_array_equal(recording.samples, words[:, 0])
    assert len(recording.steps) == 1


def bad_values(value, at=3):
    values = np.zeros((20, 2))
    values[at, 1] = value
    return write(values, "FLOAT")


def with_rate(rate_hz):
    data = write(np.zeros(10))
    return data[:24] + struct.pack("<I", rate_hz) + data[28:]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "'take.wav' is an empty file"),
        (b"not at all" * 20, "'take.wav' is no readable WAV or FLAC file: Format not recognised$"),
        (write(np.zeros(0)), "'take.wav' is empty: it has no samples"),
        (write(np.zeros(99))[:40], "is no readable WAV or FLAC file: Error in WAV file"),
        (write(np.zeros(9999), file_format="FLAC")[:-5], "is no readable WAV or FLAC file: .*flac"),
        (write(np.zeros(99), "PCM_16", "AIFF"), "'take.wav' is AIFF, and must be WAV or FLAC"),
        (bad_values(np.nan), "must be finite, and a sample at 0.0001875 s is NaN$"),
        (bad_values(-np.inf), "must be finite, and a sample at 0.0001875 s is infinite$"),
        (with_rate(0), "is no readable WAV or FLAC file: "),
        (with_rate(999), "has a rate of 999 Hz, and must have 1000 to 1536000$"),
        (with_rate(1_536_001), "has a rate of 1536001 Hz, and must have 1000 to 1536000$"),
        (write(np.zeros(3_601_000), "PCM_U8", rate_hz=1000),
         "lasts 3,601 s, and must be at most 3,600 s long"),
    ],
)  # fmt: skip
def test_bad_recordings(data, sentence):
    with pytest.raises(InputError, match=sentence):
        read_recording(PATH, data)


def test_blocks_are_one_recording(rng, monkeypatch):
    """However many are decoded at once."""
    words = draw_words(rng, 24, (1000, 2))
    for data in (write_words(words, 24), write(words / 2.0**23, "PCM_24", "FLAC")):
        whole = read_recording(PATH, data)
        for block in (1, 333, 500, 1000, 1001):
            monkeypatch.setattr("mmsp.audio.recording.BLOCK_SAMPLES", block)
            np.testing.assert_array_equal(read_recording(PATH, data).samples, whole.samples)
        monkeypatch.undo()
    monkeypatch.setattr("mmsp.audio.recording.BLOCK_SAMPLES", 2)
    with pytest.raises(InputError, match=r"a sample at 0.0001875 s is NaN"):
        read_recording(PATH, bad_values(np.nan))


def test_more_than_memory_holds(monkeypatch):
    monkeypatch.setattr("mmsp.audio.recording.MOST_SAMPLES", 999)
    assert len(read_recording(PATH, write(np.zeros(999))).samples) == 999
    with pytest.raises(InputError, match=r"has 1,000 samples a channel, and must have at most 999"):
        read_recording(PATH, write(np.zeros(1000)))


def test_damaged_recordings(rng):
    """Whatever the bytes, there are samples or one sentence."""
    sources = [write(draw_words(rng, 16, (300, 2)) / 32768, "PCM_16", f) for f in ("WAV", "FLAC")]
    outcomes = []
    for _ in range(300):
        data = bytearray(sources[rng.integers(2)])
        for _ in range(rng.integers(1, 6)):
            data[int(len(data) ** rng.random()) - 1] = rng.integers(256)
        try:
            outcomes.append(len(read_recording(PATH, bytes(data)).samples))
        except InputError as error:
            outcomes.append(str(error).count("\n"))
    assert min(outcomes) == 0
    assert outcomes.count(0) > 30  # one sentence each
    assert sum(length > 1 for length in outcomes) > 30
    assert 1 not in outcomes
