"""Recordings: WAV and FLAC of any rate and word length become 16 bits, mono, at one rate."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsp.errors import InputError, first_line

__all__ = ["RECORDING_SUFFIXES", "Recording", "khz", "read_recording"]

RECORDING_SUFFIXES = (".wav", ".flac")

FORMATS = {"WAV": "WAV", "WAVEX": "WAV", "RF64": "WAV", "FLAC": "FLAC"}
"""What the suffixes may stand for, by libsndfile's names."""

ENCODINGS = {
    "PCM_U8": "8 bits", "PCM_S8": "8 bits", "PCM_16": "16 bits", "PCM_24": "24 bits",
    "PCM_32": "32 bits", "FLOAT": "float32", "DOUBLE": "float64",
}  # fmt: skip
"""Word lengths as people call them, by libsndfile's names; others keep theirs."""
NARROW = ("8 bits", "16 bits")
"""Encodings that 16 bits hold without rounding."""

CHANNELS = {1: "mono", 2: "stereo"}

LOWEST_HZ, HIGHEST_HZ = 1_000, 1_536_000
LONGEST_S = 3600
MOST_SAMPLES = 1 << 26
"""Of a channel: half a gigabyte while it is converted; 23 minutes of 48 kHz."""
BLOCK_SAMPLES = 1 << 20
"""Decoded at once, all channels of them."""

FULL_SCALE = 1 << 15
UNKNOWN_BYTES = 0x7F00_0000
"""From here on a WAV header's length says that it was written to a pipe, and was not known."""


@dataclass(frozen=True)
class Recording:
    """Samples as the microphone's interface gives them.

    ``samples``: int16, mono, ``(n,)``, n >= 1, full scale is 32768.  ``steps``: what was done to
    get them from the file, for the user.
    """

    name: str
    samples: NDArray[np.int16]
    rate_hz: int
    steps: Sequence[str] = field(default=())

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.samples) / self.rate_hz

    @property
    def sentence(self) -> str:
        """Where it came from and what was done."""
        return f"recording {self.name!r}: {', '.join(self.steps)}"


def khz(rate_hz: float) -> str:
    """A rate for people: ``44.1 kHz``."""
    return f"{rate_hz / 1e3:.6g} kHz"


def read_recording(
    path: Path, data: bytes, rate_hz: int = 16_000, channel: int | None = None
) -> Recording:
    """Decode a recording.

    Mono of 16 bits (or 8) at ``rate_hz`` comes out as it is, bit for bit.  All else is mixed,
    resampled (soxr, its best quality) and rounded once, halves to even, in that order; what is
    beyond full scale saturates.

    Parameters
    ----------
    path : Path
        What to call it.
    data : bytes
        Its contents, WAV or FLAC.
    rate_hz : int
        Wanted.
    channel : int, optional
        The only channel to take, from 1 (the left one); without it their mean.

    Raises
    ------
    InputError
        When it is no recording, empty, not finite, or beyond the limits.
    """
    mono, encoding, steps, source_hz = decode(path, data, channel)
    rounded = encoding not in NARROW
    if source_hz != rate_hz:
        mono = resample(mono, source_hz, rate_hz)
        empty = f" (nothing above {khz(source_hz / 2)})" if source_hz < rate_hz else ""
        steps.append(f"resampled to {khz(rate_hz)}{empty}")
        rounded = True
    if rounded:
        steps.append("rounded to 16 bits")
    scaled = np.rint(mono * FULL_SCALE)
    outside = int(np.count_nonzero((scaled < -FULL_SCALE) | (scaled >= FULL_SCALE)))
    if outside:
        steps.append(f"{outside:,} samples beyond full scale saturated")
    samples = np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    if not samples.any():
        steps.append("all of it zero")
    return Recording(path.name, samples, rate_hz, tuple(steps))


def decode(
    path: Path, data: bytes, channel: int | None
) -> tuple[NDArray[np.float64], str, list[str], int]:
    """Real values of a file, ``(n,)``, its encoding, what was done, and its rate in Hz."""
    import soundfile  # noqa: PLC0415  (slow to import)

    if not data:
        raise InputError(f"recording {str(path)!r} is an empty file")
    try:
        with soundfile.SoundFile(BytesIO(data)) as file:
            check_kind(path, file, channel)
            mono = read_mono(path, file, channel)
            encoding = ENCODINGS.get(file.subtype or "", file.subtype or "unknown encoding")
            rate_hz, log = file.samplerate, file.extra_info
            declared, count = file.frames, file.channels
    except soundfile.LibsndfileError as error:
        raise InputError(
            f"recording {str(path)!r} is no readable WAV or FLAC file: "
            f"{error.error_string.strip().rstrip('.')}"
        ) from None
    except (RuntimeError, TypeError, ValueError, OverflowError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"recording {str(path)!r} cannot be read: {first_line(error)}") from None
    if not len(mono):
        raise InputError(f"recording {str(path)!r} is empty: it has no samples")
    said = f"{khz(rate_hz)} {CHANNELS.get(count, f'{count} channels')}, {encoding}"
    steps = [f"{said}, {len(mono) / rate_hz:.6g} s"]
    if missing := missing_bytes(log):
        steps.append(f"cut off: {missing:,} bytes that its header promises are not there")
    if len(mono) < declared:
        steps.append(f"cut off: {declared - len(mono):,} samples are not there")
    if count > 1:
        steps.append("mixed to mono" if channel is None else f"channel {channel} of {count}")
    return mono, encoding, steps, rate_hz


def read_mono(path: Path, file: Any, channel: int | None) -> NDArray[np.float64]:
    """The mean of all channels, or one of them, ``(n,)``; a block at a time, to save memory."""
    blocks, start = [np.zeros(0)], 0
    while len(values := np.asarray(file.read(BLOCK_SAMPLES, "float64", always_2d=True))):
        bad = ~np.isfinite(values)
        if bad.any():
            at = (start + int(np.argmax(bad.any(axis=1)))) / file.samplerate
            what = "NaN" if np.isnan(values[bad]).any() else "infinite"
            raise InputError(
                f"recording {str(path)!r} must be finite, and a sample at {at:g} s is {what}"
            )
        blocks.append(values.mean(axis=1) if channel is None else values[:, channel - 1].copy())
        start += len(values)
    return np.concatenate(blocks)


def check_kind(path: Path, file: Any, channel: int | None) -> None:
    """Refuse what is not read, before its samples are decoded."""
    if file.format not in FORMATS:
        raise InputError(
            f"recording {str(path)!r} is {file.format}, and must be WAV or FLAC: convert it first"
        )
    if not LOWEST_HZ <= file.samplerate <= HIGHEST_HZ:
        raise InputError(
            f"recording {str(path)!r} has a rate of {file.samplerate} Hz, and must have "
            f"{LOWEST_HZ} to {HIGHEST_HZ}"
        )
    if file.frames > LONGEST_S * file.samplerate:
        raise InputError(
            f"recording {str(path)!r} lasts {file.frames / file.samplerate:,.0f} s, and must be at "
            f"most {LONGEST_S:,} s long: cut it first"
        )
    if file.frames > MOST_SAMPLES:
        raise InputError(
            f"recording {str(path)!r} has {file.frames:,} samples a channel, and must have at most "
            f"{MOST_SAMPLES:,}: cut it first"
        )
    if channel is not None and not 1 <= channel <= file.channels:
        raise InputError(
            f"--channel must be 1 to {file.channels}, the channels of {str(path)!r}, and is "
            f"{channel}"
        )


def missing_bytes(log: str) -> int:
    """Bytes of samples that a WAV header promises and the file has not, from libsndfile's log."""
    found = re.search(r"^data : (\d+) \(should be (\d+)\)", log, re.MULTILINE)
    if found is None:
        return 0
    promised, there = map(int, found.groups())
    return 0 if promised >= UNKNOWN_BYTES else max(0, promised - there)


def resample(values: NDArray[np.float64], source_hz: int, rate_hz: int) -> NDArray[np.float64]:
    """Change the rate; at least one sample remains."""
    import soxr  # noqa: PLC0415  (slow to import)

    resampled = soxr.resample(np.ascontiguousarray(values), source_hz, rate_hz, quality="VHQ")
    return resampled if len(resampled) else np.zeros(1)
