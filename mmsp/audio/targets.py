"""Features of recordings, on whatever computes them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmsp.audio.recording import Recording
from models.audio import pipeline
from models.audio.frontend import FrontEnd

__all__ = ["TARGETS", "Features", "compute_features", "frame_samples", "target_for_run"]


PIECE_SAMPLES = 1 << 18
"""Of a long recording; a frame needs twenty kilobytes while it is computed."""


def simulated(frontend: FrontEnd, samples: NDArray[np.int16]) -> NDArray[np.int8]:
    """Features by the simulated hardware, which is built when it is new."""
    from mmsp.audio.rtl import rtl_features  # noqa: PLC0415  (a hardware description takes time)

    return rtl_features(frontend, samples)


def modelled(frontend: FrontEnd, samples: NDArray[np.int16]) -> NDArray[np.int8]:
    """Features by the golden models, a piece at a time: an hour at once would fill a computer."""
    if len(samples) <= PIECE_SAMPLES:
        return pipeline.features(frontend, samples)
    whole_peak = max(1, int(samples.max())) if frontend.normalisation == "peak" else None
    stream = pipeline.FeatureStream(frontend, whole_peak)
    cuts = range(PIECE_SAMPLES, len(samples), PIECE_SAMPLES)
    pieces = [stream.push(piece) for piece in np.split(samples, cuts)]
    return np.concatenate([*pieces, stream.finish()])


TARGETS: dict[str, Callable[[FrontEnd, NDArray[np.int16]], NDArray[np.int8]]] = {
    "rtl": simulated,
    "golden": modelled,
}
"""What computes features ``(frames, values)`` of one whole recording, by the name of the target."""


@dataclass(frozen=True)
class Features:
    """``values``: int8, ``(frames, values of a frame)``, with what they were made of and with.

    ``notes``: what the user should know, besides what became of the recording.  ``mismatches``:
    values that differ from the golden models', None if these computed them.
    """

    values: NDArray[np.int8]
    recording: Recording
    frontend: FrontEnd
    target: str
    notes: tuple[str, ...] = ()
    mismatches: int | None = None

    @property
    def verdict(self) -> str:
        """How the values compare, for the user; empty for those of the golden models."""
        if self.mismatches is None:
            return ""
        if not self.mismatches:
            return "bit-exact: golden models"
        count = self.values.size
        return f"not bit-exact: {self.mismatches} of {count} values differ from the golden models"

    @property
    def real(self) -> NDArray[np.float32]:
        """Real values, of the same shape."""
        offset = self.values.astype(np.float64) - self.frontend.zero_point
        return (offset * self.frontend.scale).astype(np.float32)


def compute_features(recording: Recording, frontend: FrontEnd, target: str = "golden") -> Features:
    """Features of a whole recording, padded to one frame if it is shorter; one of `TARGETS`."""
    samples = recording.samples
    notes = []
    if frontend.frame_count(len(samples)) < 1:
        missing = frame_samples(frontend, 1) - len(samples)
        samples = np.pad(samples, (0, missing))
        notes.append(
            f"{len(recording.samples):,} samples are less than one frame of {frontend.frame:,}: "
            f"{missing:,} zeros appended"
        )
    values, mismatches = TARGETS[target](frontend, samples), None
    if target != "golden":
        mismatches = differences(values, TARGETS["golden"](frontend, samples))
    return Features(values, recording, frontend, target, tuple(notes), mismatches)


def differences(found: NDArray[np.int8], expected: NDArray[np.int8]) -> int:
    """Values that differ: all of them if their number does."""
    if found.shape != expected.shape:
        return max(1, found.size)
    return int(np.count_nonzero(found != expected))


def frame_samples(frontend: FrontEnd, frames: int) -> int:
    """The fewest samples that have so many frames."""
    padding = frontend.fft // 2 * 2 if frontend.centred else 0
    return max(1, frontend.frame + (frames - 1) * frontend.step - padding)


def target_for_run(target: str) -> str:
    """What computes the features for a network that runs on ``target``."""
    return target if target in TARGETS else "golden"
