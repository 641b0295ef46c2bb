"""Features of recordings, on whatever computes them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmsp.audio.recording import Recording
from mmsp.errors import InputError
from models.audio import pipeline
from models.audio.frontend import FrontEnd

__all__ = ["TARGETS", "Features", "compute_features", "frame_samples", "target_for_run"]

TARGETS: dict[str, Callable[[FrontEnd, NDArray[np.int16]], NDArray[np.int8]]] = {
    "golden": pipeline.features,
}
"""What computes features ``(frames, values)`` of one whole recording, by the name of the target.

The simulated chip joins as ``rtl`` when its audio block can run.
"""


@dataclass(frozen=True)
class Features:
    """``values``: int8, ``(frames, values of a frame)``, with what they were made of and with.

    ``notes``: what the user should know, besides what became of the recording.
    """

    values: NDArray[np.int8]
    recording: Recording
    frontend: FrontEnd
    target: str
    notes: tuple[str, ...] = ()

    @property
    def real(self) -> NDArray[np.float32]:
        """Real values, of the same shape."""
        offset = self.values.astype(np.float64) - self.frontend.zero_point
        return (offset * self.frontend.scale).astype(np.float32)


def compute_features(recording: Recording, frontend: FrontEnd, target: str = "golden") -> Features:
    """Features of a whole recording, padded to one frame if it is shorter.

    Raises
    ------
    InputError
        When there is no such target, or it cannot do that.
    """
    if target not in TARGETS:
        raise InputError(
            f"target {target} does not compute features yet, as the audio block is not in the "
            f"simulated chip: take --target {' or '.join(TARGETS)}"
        )
    samples = recording.samples
    notes = []
    if frontend.frame_count(len(samples)) < 1:
        missing = frame_samples(frontend, 1) - len(samples)
        samples = np.pad(samples, (0, missing))
        notes.append(
            f"{len(recording.samples):,} samples are less than one frame of {frontend.frame:,}: "
            f"{missing:,} zeros appended"
        )
    return Features(TARGETS[target](frontend, samples), recording, frontend, target, tuple(notes))


def frame_samples(frontend: FrontEnd, frames: int) -> int:
    """The fewest samples that have so many frames."""
    padding = frontend.fft // 2 * 2 if frontend.centred else 0
    return max(1, frontend.frame + (frames - 1) * frontend.step - padding)


def target_for_run(target: str) -> str:
    """What computes the features for a network that runs on ``target``."""
    return target if target in TARGETS else "golden"
