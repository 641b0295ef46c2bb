"""How good the voice-activity detector is: against a network, and on words in noise.

Not a test.  ``python -m tests.vad_scores`` prints the tables of docs/audio-vad.md.
"""

import math
import sys
import wave
from dataclasses import dataclass, replace

import numpy as np

from mmsp.tflm import MicroInterpreter
from models.audio.vad import FRAME, VadParameters, VoiceActivityDetector
from tests.published import DATA

RATE_HZ = 16_000
CHUNK_MS = 30
"""The network takes three windows of 30 ms, 10 ms apart, for each output."""
ALIGNMENTS_MS = (0, 20, 50)
"""An output may belong to its first sample, to its newest samples, or to when it is known."""
LONG_CHUNKS = 7
"""Speech of at least 200 ms."""
THRESHOLD = 127
SEED = 20261123
NOISES = ("white", "pink", "brown", "recorded")


@dataclass(frozen=True)
class Score:
    """Against the reference network.

    ``false_alarms`` is the part of its silent chunks in which the detector says speech for a
    sample or more, at the worst of `ALIGNMENTS_MS`; ``latency_ms`` runs from the first sample of
    the first chunk of every long segment to speech (0: already there).
    """

    false_alarms: float
    latency_ms: list[float]
    detected: float
    wakes: int


def recording(name: str) -> np.ndarray:
    """Samples (int16) of a recording of frontends.npz."""
    with np.load(DATA / "frontend-golden" / "frontends.npz") as data:
        return data[f"pcm_{name}"]


def wav(*path: str) -> np.ndarray:
    """The left channel of a WAV file of 16 bits."""
    with wave.open(str(DATA.joinpath(*path))) as file:
        frames = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        return frames.reshape(-1, file.getnchannels())[:, 0]


def reference_clip() -> tuple[np.ndarray, np.ndarray]:
    """Twelve seconds of speech, and what the streaming network says."""
    with np.load(DATA / "esphome-micro-wake-word-models" / "golden" / "vad.npz") as data:
        return wav("snakers4-silero-vad", "inputs", "test_first12s.wav"), data["out0"].reshape(-1)


def network(samples: np.ndarray) -> np.ndarray:
    """Output (uint8) of the streaming network on TFLM, with features by TFLM, one per 30 ms."""
    models = DATA / "tensorflow-tflite-micro" / "models" / "audio_preprocessor_int8.tflite"
    features = MicroInterpreter(models.read_bytes())
    vad = MicroInterpreter((DATA / "esphome-micro-wake-word-models/models/vad.tflite").read_bytes())
    starts = range(0, len(samples) - 479, 160)
    rows = [features.run([samples[i : i + 480].reshape(1, 480)])[0].reshape(40) for i in starts]
    chunks = np.array(rows[: len(rows) // 3 * 3], np.int8).reshape(-1, 1, 3, 40)
    return np.array([vad.run([chunk])[0].item() for chunk in chunks])


def every_millisecond(speech: np.ndarray) -> np.ndarray:
    """The detector's output over time; a decision holds from a frame's end to the next one's."""
    frame_ms = FRAME * 1000 // RATE_HZ
    return np.concatenate([np.zeros(frame_ms, bool), np.repeat(speech, frame_ms)])


def segments(active: np.ndarray) -> list[tuple[int, int]]:
    """Begin and end of every run of true values."""
    edges = np.diff(np.concatenate([[0], active.astype(int), [0]]))
    begins, ends = (np.flatnonzero(edges == step).tolist() for step in (1, -1))
    return list(zip(begins, ends, strict=True))


def score(speech: np.ndarray, reference: np.ndarray) -> Score:
    """Compare frames of the detector with chunks of the network."""
    now = np.zeros(len(reference) * CHUNK_MS + 200, bool)
    output = every_millisecond(speech)[: len(now)]
    now[: len(output)] = output
    silent = np.asarray(reference) <= THRESHOLD
    alarms = []
    for shift in ALIGNMENTS_MS:
        chunks = now[shift : shift + len(reference) * CHUNK_MS].reshape(-1, CHUNK_MS).max(axis=1)
        alarms.append(float(chunks[silent].mean()))
    latencies: list[float] = []
    for begin, end in segments(~silent):
        if end - begin >= LONG_CHUNKS:
            there = np.flatnonzero(now[begin * CHUNK_MS : end * CHUNK_MS])
            latencies.append(float(there[0]) if len(there) else math.inf)
    detected = now[: len(reference) * CHUNK_MS].reshape(-1, CHUNK_MS).max(axis=1)
    return Score(max(alarms), latencies, float(detected[~silent].mean()), len(segments(now)))


def noise(kind: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of unit power: equal, 1/f or 1/f**2 power density above 60 Hz, or a recorded one."""
    if kind == "recorded":
        source = recording("noise").astype(float)
        values = np.resize(np.roll(source, int(rng.integers(len(source)))), size)
    else:
        spectrum = np.fft.rfft(rng.standard_normal(size))
        hertz = np.maximum(np.arange(len(spectrum)) * RATE_HZ / size, 60)
        values = np.fft.irfft(spectrum / hertz ** {"white": 0, "pink": 0.5, "brown": 1}[kind], size)
    return values / values.std()


@dataclass(frozen=True)
class Trial:
    """A word with noise around it; ``begin`` and ``end`` in ms from the clean recording."""

    samples: np.ndarray
    begin: int
    end: int


WORDS = ("yes", "no", "down", "marvin")
LEAD_MS, TAIL_MS = 2000, 1500
WORD_RMS = 2000


def trial(word: str, kind: str, snr_db: float, rng: np.random.Generator) -> Trial:
    """A word at -24 dBFS where it is active (within 30 dB of its loudest 10 ms), and noise."""
    clean = recording(word).astype(float)
    power = (clean.reshape(-1, 160) ** 2).mean(axis=1)
    active = power > power.max() / 1000
    begin, end = np.flatnonzero(active)[[0, -1]] * 10
    clean[: begin * 16] = 0
    clean[(end + 10) * 16 :] = 0
    clean *= WORD_RMS / np.sqrt(power[active].mean())
    padded = np.concatenate([np.zeros(LEAD_MS * 16), clean, np.zeros(TAIL_MS * 16)])
    padded += noise(kind, len(padded), rng) * WORD_RMS / 10 ** (snr_db / 20)
    samples = np.clip(np.round(padded), -32768, 32767).astype(np.int16)
    return Trial(samples, LEAD_MS + int(begin), LEAD_MS + int(end) + 10)


def trials(snr_db: float) -> list[Trial]:
    """Every word in every noise."""
    rng = np.random.default_rng(SEED)
    return [trial(word, kind, snr_db, rng) for word in WORDS for kind in NOISES]


@dataclass(frozen=True)
class WordScore:
    """``woken``: words during which speech was announced; ``false_alarms``: part of the time before
    a word in which it was; ``latency_ms``: from the begin of the words that woke, the median."""

    woken: int
    words: int
    latency_ms: float
    false_alarms: float


def word_score(outputs: list[np.ndarray], cases: list[Trial]) -> WordScore:
    """Judge outputs, one value a millisecond, on trials."""
    latencies, alarms = [], []
    for output, case in zip(outputs, cases, strict=True):
        alarms.append(output[: case.begin].mean())
        there = np.flatnonzero(output[case.begin : case.end])
        if len(there) and not output[case.begin - 1]:
            latencies.append(there[0])
    median = float(np.median(latencies)) if latencies else float("nan")
    return WordScore(len(latencies), len(cases), median, float(np.mean(alarms)))


def detector_outputs(parameters: VadParameters, cases: list[Trial]) -> list[np.ndarray]:
    """The golden model on every trial."""
    return [
        every_millisecond(VoiceActivityDetector(parameters).push(case.samples)) for case in cases
    ]


def network_outputs(cases: list[Trial]) -> list[np.ndarray]:
    """The network on every trial; an output is known 50 ms after its first sample."""
    return [
        np.concatenate([np.zeros(50, bool), np.repeat(network(c.samples) > THRESHOLD, CHUNK_MS)])
        for c in cases
    ]


def show() -> None:
    """Print the tables."""
    samples, reference = reference_clip()
    for change in ({}, *({"margin": m} for m in (0, 2, 4, 8, 12, 16)),
                   *({"onset": n} for n in (4, 5, 6, 8, 10, 12)),
                   *({"rise": n} for n in (4, 8, 32, 64)),
                   *({"decay": n} for n in (3, 18, 27)),
                   *({"hangover": n} for n in (5, 10, 40))):  # fmt: skip
        parameters = replace(VadParameters(), **change)
        found = score(VoiceActivityDetector(parameters).push(samples), reference)
        print(change, found)
        for snr in (20, 10, 5, 0, -5):
            cases = trials(snr)
            print("   ", snr, "dB", word_score(detector_outputs(parameters, cases), cases))
            if not change and "network" in sys.argv:
                print("    network", word_score(network_outputs(cases), cases))
    samples = wav("mlcommons-tiny", "inputs", "sww_short_wav_easy10s.wav")
    print("sww", score(VoiceActivityDetector().push(samples), network(samples)))


if __name__ == "__main__":
    show()
