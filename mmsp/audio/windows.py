"""From a recording to the inputs of a network: which front end, which windows, which scale."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from mmsp.audio.frontends import find_frontend, preset_names
from mmsp.audio.recording import Recording, read_recording
from mmsp.audio.targets import Features, compute_features, frame_samples, target_for_run
from mmsp.errors import InputError
from mmsp.ports import Port
from models.audio.frontend import PRESETS, FrontEnd

__all__ = ["AudioOptions", "hear", "window_frames"]

SAME_SCALE = 0.02
"""Scales that differ by less stand for the same features: each is fitted to some data."""


@dataclass(frozen=True, kw_only=True)
class AudioOptions:
    """What the user says about recordings.

    ``frontend``: a preset or file, None to take the preset that the input was made for.
    ``channel``: see `read_recording`.  ``stride``: frames from one window to the next, None for one
    window, or consecutive ones if the network is ``stateful``.  ``target``: what runs the network.
    """

    frontend: str | None = None
    channel: int | None = None
    stride: int | None = None
    stateful: bool = False
    target: str = "golden"

    @property
    def given(self) -> str:
        """The first option that was given, which needs a recording."""
        options = {
            "--frontend": self.frontend, "--channel": self.channel, "--stride": self.stride,
        }  # fmt: skip
        return next((name for name, value in options.items() if value is not None), "")


def hear(
    path: Path, data: bytes, port: Port, options: AudioOptions
) -> tuple[NDArray, Features, list[str]]:
    """Turn a recording into what an input takes.

    Returns
    -------
    tuple
        Values of the declared type, ``port.shape``, or ``(windows, *port.shape)`` when there are
        several; the features they are cut from; and what was done, for the user.

    Raises
    ------
    InputError
        When the file is no recording, or the input does not take its features.
    SimulationError
        When the simulated hardware has other features than the golden models.
    """
    frontend, notes = choose_frontend(path, port, options)
    frames = window_frames(port, frontend)
    if frames is None:
        raise InputError(
            f"input {port.name!r} has shape {port.shape}, and front end {frontend.name} has "
            f"{frontend.values} values a frame: it must be (1, frames, {frontend.values}) or flat"
        )
    frontend, said = fit_quantisation(frontend, port)
    recording = read_recording(path, data, frontend.sample_rate, options.channel)
    features, windows, cut = cut_windows(recording, frontend, frames, options)
    values = port.to_outside(windows.reshape(-1, *port.shape))
    notes = [recording.sentence, *notes, *said, *features.notes, *cut]
    if features.mismatches:
        from mmsp.simulator import SimulationError  # noqa: PLC0415  (takes time to import)

        raise SimulationError(f"features of {str(path)!r}: {features.verdict}")
    if features.verdict:
        notes.append(f"features of the simulated hardware, {features.verdict}")
    return (values[0] if len(values) == 1 else values), features, notes


def choose_frontend(path: Path, port: Port, options: AudioOptions) -> tuple[FrontEnd, list[str]]:
    """The front end that was asked for, or the only preset that the input can be made for.

    That takes the preset's number of frames, scale and zero point; its shape alone may be that of
    another front end.
    """
    if options.frontend is not None:
        return find_frontend(options.frontend), []
    of_shape = [preset for preset in PRESETS.values() if window_frames(port, preset)]
    made_for = [
        preset
        for preset in of_shape
        if window_frames(port, preset) == preset.frame_count(preset.clip)
        and same_quantisation(preset, port)
    ]
    if len(made_for) == 1:
        frontend = made_for[0]
        return frontend, [
            f"front end {frontend.name}, which has the shape, scale and zero point of input "
            f"{port.name!r}"
        ]
    if not of_shape:
        raise InputError(
            f"input {port.name!r} takes no recording such as {str(path)!r}: its shape {port.shape} "
            f"is not that of features of {preset_names()}; others need --frontend FILE.toml"
        )
    raise InputError(
        f"recording {str(path)!r} needs --frontend: the shape {port.shape} of input {port.name!r} "
        f"may be that of {', '.join(preset.name for preset in of_shape)}, and its scale "
        f"{port.scale} and zero point {port.zero_point} do not decide"
    )


def window_frames(port: Port, frontend: FrontEnd) -> int | None:
    """Frames that an input takes at once; None if its shape is not that of such features."""
    frames, rest = divmod(math.prod(port.shape), frontend.values)
    significant = [size for size in port.shape if size != 1]
    shapes = ([frames * frontend.values], [n for n in (frames, frontend.values) if n != 1])
    return frames if not rest and significant in shapes else None


def same_quantisation(frontend: FrontEnd, port: Port) -> bool:
    """Whether the input has the scale, or nearly, and the zero point of the front end."""
    if port.scale is None or port.zero_point is None:
        return False
    same = math.isclose(frontend.scale, port.scale, rel_tol=SAME_SCALE)
    return same and frontend.zero_point == port.zero_point


def fit_quantisation(frontend: FrontEnd, port: Port) -> tuple[FrontEnd, list[str]]:
    """Set the front end's quantiser to the input's scale and zero point.

    The integers of TFLM's front end are what they are: networks for it are trained on them.
    """
    if port.inside != "int8":
        raise InputError(f"input {port.name!r} is {port.inside}, and features are int8")
    if port.scale is None or port.zero_point is None:
        return frontend, [
            f"input {port.name!r} has no scale: features have that of {frontend.name}, "
            f"{frontend.scale:.9g}, zero point {frontend.zero_point}"
        ]
    same = same_quantisation(frontend, port)
    if frontend.tail == "tflm":
        if same:
            return frontend, []
        raise InputError(
            f"input {port.name!r} has scale {port.scale:.9g} and zero point {port.zero_point}, and "
            f"the integers of front end {frontend.name} stand for scale {frontend.scale:.9g} and "
            f"zero point {frontend.zero_point}"
        )
    try:
        fitted = replace(frontend, scale=port.scale, zero_point=port.zero_point)
    except ValueError as error:
        raise InputError(f"input {port.name!r} cannot be fed: {error}") from None
    if same:
        return fitted, []
    return fitted, [
        f"features quantised to scale {port.scale:.9g}, zero point {port.zero_point} of input "
        f"{port.name!r}, not those of {frontend.name}"
    ]


def cut_windows(
    recording: Recording, frontend: FrontEnd, frames: int, options: AudioOptions
) -> tuple[Features, NDArray[np.int8], list[str]]:
    """Windows ``(n, frames, values)``, the features they are from, and what was done.

    Samples that are divided by the largest of their clip (``normalisation = "peak"``) are so
    window by window, each a clip of its own, as in training.
    """
    target = target_for_run(options.target)
    samples, notes = recording.samples, []
    there = frontend.frame_count(len(samples))
    if there < frames:
        missing = frame_samples(frontend, frames) - len(samples)
        notes.append(
            f"{recording.seconds:g} s are less than the {frames} frames of a window: "
            f"{missing:,} zeros appended"
        )
        samples, there = np.pad(samples, (0, missing)), frames
    stride = options.stride or (frames if options.stateful else None)
    if stride is None:
        starts = range(1)
        if there > frames:
            notes.append(
                f"the first {frames} of {there:,} frames are the only window: --stride N takes one "
                "every N frames"
            )
    else:
        starts = range(0, there - frames + 1, stride)
        left = there - frames - starts[-1]
        notes.append(
            f"{len(starts):,} windows of {frames} frames, one every {stride}"
            + (f"; frames at the end in none: {left}" if left else "")
        )
    padded = replace(recording, samples=samples)
    if frontend.normalisation == "peak":
        return *clips(padded, frontend, frames, starts, target), notes
    if stride is None and not frontend.centred:
        padded = replace(padded, samples=samples[: frame_samples(frontend, frames)])
    features = compute_features(padded, frontend, target)
    windows = sliding_window_view(features.values, frames, axis=0)[list(starts)]
    return features, np.ascontiguousarray(windows.transpose(0, 2, 1)), notes


def clips(
    recording: Recording, frontend: FrontEnd, frames: int, starts: Iterable[int], target: str
) -> tuple[Features, NDArray[np.int8]]:
    """`cut_windows` where each window is normalised by its own samples.

    The features to show are those of the windows side by side.
    """
    length = frame_samples(frontend, frames)
    if frontend.frame_count(frontend.clip) == frames:
        length = frontend.clip  # the samples behind the last frame count for the maximum, too
    made = []
    for start in starts:
        first = start * frontend.step
        clip = replace(recording, samples=recording.samples[first : first + length])
        made.append(compute_features(clip, frontend, target))
    windows = np.stack([each.values for each in made])
    shown = windows.reshape(-1, windows.shape[2])
    mismatches = None
    if made[0].mismatches is not None:
        mismatches = sum(each.mismatches or 0 for each in made)
    shown_features = replace(made[0], values=shown, recording=recording, mismatches=mismatches)
    return shown_features, windows
