"""Frames through the image front end, on whatever computes it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.fixedpoint import IntArray
from models.image import jpeg
from models.image.change import Change, ChangeDetector, ChangeSettings
from models.image.colour import luma
from models.image.jpeg import JpegSettings
from models.image.pipeline import Settings, process
from models.image.quantiser import SHIFTED, TensorFormat, quantise
from models.image.scaler import Crop, scale_down
from models.image.statistics import Statistics

__all__ = [
    "TARGETS", "Outputs", "Registers", "Run", "Scaling", "differences", "run_frames",
    "target_for_run",
]  # fmt: skip


@dataclass(frozen=True)
class Scaling:
    """Registers behind RGB: what becomes the tensor, and the luma that change detection sees.

    ``crop`` of the frame, averaged down to ``width x height``; ``grey``: a tensor of luma alone.
    """

    crop: Crop
    width: int
    height: int
    grey: bool = False
    tensor: TensorFormat = SHIFTED


@dataclass(frozen=True)
class Registers:
    """Everything that is set before the first frame, and constant for all of them.

    ``jpeg_grey``: a file of luma alone.  None: what is not wanted.
    """

    pixels: Settings
    scaling: Scaling | None = None
    change: ChangeSettings | None = None
    jpeg: JpegSettings | None = None
    jpeg_grey: bool = False


@dataclass(frozen=True)
class Outputs:
    """What one frame gives.

    Attributes
    ----------
    rgb : ndarray of uint8
        ``(rows, columns, 3)``.
    statistics : Statistics
        For firmware, in front of the gains.
    tensor : ndarray of int8, optional
        ``(height, width, 3 or 1)``.
    change : Change, optional
        Against the frames before it; the first one changes nothing.
    jpeg : bytes, optional
        A whole file.
    """

    rgb: NDArray[np.uint8]
    statistics: Statistics
    tensor: NDArray[np.int8] | None = None
    change: Change | None = None
    jpeg: bytes | None = None


Target = Callable[[Sequence[IntArray], Registers], list[Outputs]]
"""Frames ``(rows, columns)`` of ``registers.pixels.bits`` (8 to 12) bits, all of one size, to what
each gives.  The change detector begins anew."""


def simulated(frames: Sequence[IntArray], registers: Registers) -> list[Outputs]:
    """Frames through the simulated hardware, which is built when it is new."""
    from mmsp.imaging.rtl import rtl_outputs  # noqa: PLC0415  (a hardware description takes time)

    return rtl_outputs(frames, registers)


def modelled(frames: Sequence[IntArray], registers: Registers) -> list[Outputs]:
    """Frames through the golden models."""
    detector = ChangeDetector(registers.change) if registers.change else None
    return [modelled_frame(frame, registers, detector) for frame in frames]


def modelled_frame(
    frame: IntArray, registers: Registers, detector: ChangeDetector | None
) -> Outputs:
    """One frame; the detector keeps its reference."""
    processed = process(frame, registers.pixels)
    tensor = change = file = None
    if (scaling := registers.scaling) is not None:
        scaled = scale_down(processed.rgb, scaling.crop, scaling.width, scaling.height)
        brightness = luma(scaled)
        tensor = quantise(brightness[:, :, None] if scaling.grey else scaled, scaling.tensor)
        change = detector.step(brightness) if detector else None
    if registers.jpeg is not None:
        planes = np.moveaxis(processed.ycbcr, -1, 0)
        file = jpeg.encode(list(planes[: 1 if registers.jpeg_grey else 3]), registers.jpeg)
    return Outputs(processed.rgb.astype(np.uint8), processed.statistics, tensor, change, file)


TARGETS: dict[str, Target] = {"rtl": simulated, "golden": modelled}
"""What takes frames through the front end, by the name of the target."""


@dataclass(frozen=True)
class Run:
    """Frames on a target.

    ``mismatches``: values that differ from the golden models', None if these computed them.
    """

    outputs: list[Outputs]
    mismatches: int | None = None


def run_frames(frames: Sequence[IntArray], registers: Registers, target: str = "golden") -> Run:
    """Outputs of one of `TARGETS`, compared with the golden models'.

    Raises
    ------
    ValueError
        For a size or a register that the hardware has not.
    """
    expected = modelled(frames, registers)  # first: it refuses what the hardware cannot do
    if target == "golden":
        return Run(expected)
    found = TARGETS[target](frames, registers)
    if len(found) != len(expected):
        return Run(found, max(1, sum(each.rgb.size for each in expected)))
    pairs = zip(found, expected, strict=True)
    return Run(found, sum(differences(mine, theirs) for mine, theirs in pairs))


def differences(found: Outputs, expected: Outputs) -> int:
    """Values that differ: pixels' colours, statistics, tensor, blocks and wake, bytes of a file."""
    return sum(
        differing(mine, theirs)
        for mine, theirs in zip(values_of(found), values_of(expected), strict=True)
    )


def values_of(outputs: Outputs) -> list[NDArray]:
    """All there is of a frame; empty arrays for what is not."""
    statistics, change = outputs.statistics, outputs.change
    counters = (
        *statistics.sums, *statistics.counts, *statistics.histogram, statistics.clipped,
    )  # fmt: skip
    return [
        outputs.rgb,
        np.array(counters),
        np.zeros(0) if outputs.tensor is None else outputs.tensor,
        np.zeros(0) if change is None else change.block_map,
        np.zeros(0) if change is None else np.array([change.wake]),
        np.frombuffer(outputs.jpeg or b"", np.uint8),
    ]


def differing(found: NDArray, expected: NDArray) -> int:
    """Values that differ: all of them if the shapes do."""
    if found.shape != expected.shape:
        return max(1, found.size, expected.size)
    return int(np.count_nonzero(found != expected))


def target_for_run(target: str) -> str:
    """What computes the picture for a network that runs on ``target``."""
    return target if target in TARGETS else "golden"
