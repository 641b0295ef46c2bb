"""Frames developed: through the image front end, with gains by grey world where these are wanted.

A sequence is of one camera: frames of one size, with one set of registers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mmsp.errors import InputError
from mmsp.imaging.frames import Frame
from mmsp.imaging.options import IspOptions
from mmsp.imaging.registers import automatic_gains, registers_for
from mmsp.imaging.targets import Outputs, Registers, run_frames
from models.image.pipeline import Processed, Settings, process
from models.image.quantiser import SHIFTED, TensorFormat
from models.image.statistics import grey_world
from models.image.white_balance import UNITY_GAIN

__all__ = ["Development", "develop"]

GAIN_NAMES = ("R", "Gr", "Gb", "B")


@dataclass(frozen=True)
class Development:
    """Frames, what became of each, and with which registers.

    ``notes``: what the user should know, besides what became of the files.  ``mismatches``: values
    that differ from the golden models', None if these computed them.
    """

    frames: Sequence[Frame]
    outputs: Sequence[Outputs]
    registers: Registers
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
        return f"not bit-exact: {self.mismatches:,} values differ from the golden models"

    @property
    def gains(self) -> str:
        """Gains for people."""
        pairs = zip(GAIN_NAMES, self.registers.pixels.gains, strict=True)
        return ", ".join(f"{name} {gain / UNITY_GAIN:.3f}" for name, gain in pairs)

    def bad_pixels(self, index: int) -> NDArray[np.int64]:
        """1 where a frame's pixel was replaced, by the models: the hardware keeps it to itself."""
        return process(self.frames[index].pixels, self.registers.pixels).bad

    def unprocessed(self, index: int) -> NDArray[np.uint8]:
        """The picture before: the original, or a RAW file that was demosaicked and nothing else."""
        frame = self.frames[index]
        if frame.original is not None:
            return frame.original
        return plain(frame).rgb.astype(np.uint8)


def plain(frame: Frame) -> Processed:
    """A frame behind the demosaic alone."""
    return process(frame.pixels, Settings(frame.order, frame.bits, bad_pixel_threshold=4095))


def develop(
    frames: Sequence[Frame],
    options: IspOptions,
    target: str = "golden",
    *,
    scaled: bool = False,
    change: bool = False,
    jpeg: bool = False,
    tensor: TensorFormat = SHIFTED,
) -> Development:
    """Take frames through the front end.

    Parameters
    ----------
    frames : sequence of Frame
        One or more, of one size and Bayer order.
    options : IspOptions
        What the user said.
    target : str
        One of `mmsp.imaging.targets.TARGETS`.
    scaled, change, jpeg : bool
        Whether there shall be a tensor, change detection, and a JPEG file.
    tensor : TensorFormat
        Of the tensor.

    Raises
    ------
    InputError
        When the frames or options are not for this front end.
    SimulationError
        When the simulated hardware stops.
    """
    first = frames[0]
    for frame in frames:
        if (frame.size, frame.bits) != (first.size, first.bits):
            raise InputError(
                f"frames are of one camera, and {frame.name!r} has {describe(frame)}, "
                f"{first.name!r} {describe(first)}"
            )
    registers = registers_for(
        options, first, scaled=scaled, change=change, jpeg=jpeg, tensor=tensor
    )
    missed = 0
    try:
        if automatic_gains(options, first):
            measured = run_frames([first.pixels], Registers(registers.pixels), target)
            missed = measured.mismatches or 0
            gains = grey_world(measured.outputs[0].statistics, registers.pixels.clip_limit)
            registers = replace(registers, pixels=replace(registers.pixels, gains=gains))
        run = run_frames([each.pixels for each in frames], registers, target)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"frame {first.name!r} cannot be processed: {error}") from None
    mismatches = None if run.mismatches is None else run.mismatches + missed
    made = Development(tuple(frames), run.outputs, registers, target, (), mismatches)
    notes = []
    if automatic_gains(options, first):
        notes.append(f"gains by grey world of {first.name!r}: {made.gains}")
    return replace(made, notes=tuple(notes))


def describe(frame: Frame) -> str:
    """Size and bits."""
    width, height = frame.size
    return f"{width}x{height} pixels of {frame.bits} bits"
