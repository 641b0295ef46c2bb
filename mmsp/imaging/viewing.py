"""From pictures to the inputs of a network, by way of the image front end."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmsp.errors import InputError
from mmsp.imaging.development import Development, develop
from mmsp.imaging.frames import read_frame
from mmsp.imaging.options import IspOptions
from mmsp.imaging.registers import format_of
from mmsp.imaging.targets import target_for_run
from mmsp.pictures import CHANNEL_MODES, image_size
from mmsp.ports import Port

__all__ = ["Viewing", "fit_options", "only_picture_port", "see"]


@dataclass(frozen=True)
class Viewing:
    """That pictures go through the image front end: its options, and what runs the network."""

    options: IspOptions = field(default_factory=IspOptions)
    target: str = "golden"


def see(
    path: Path, data: bytes, port: Port, viewing: Viewing
) -> tuple[NDArray, Development, list[str]]:
    """Turn a picture or RAW file into what an input takes.

    Returns
    -------
    tuple
        Values of the declared type, ``port.shape``; the development they are from; and what was
        done, for the user.

    Raises
    ------
    InputError
        When the file is no frame, or the input does not take its tensor.
    SimulationError
        When the simulated hardware gives another tensor than the golden models.
    """
    options = fit_options(viewing.options, port, path)
    tensor = format_of(port, options)
    frame = read_frame(path, data, options.layout)
    made = develop([frame], options, target_for_run(viewing.target), scaled=True, tensor=tensor)
    if made.mismatches:
        from mmsp.simulator import SimulationError  # noqa: PLC0415  (takes time to import)

        raise SimulationError(f"picture {str(path)!r}: {made.verdict}")
    scaling, (outputs,) = made.registers.scaling, made.outputs
    assert scaling is not None, "a tensor was asked for"
    assert outputs.tensor is not None, "a tensor was asked for"
    values = outputs.tensor[None]
    if values.shape != port.shape:
        values = values.transpose(0, 3, 1, 2)
    said = f"through the image front end ({made.target}) to {scaling.width} x {scaling.height}"
    notes = [f"{frame.sentence}, {said}", *made.notes]
    if made.verdict:
        notes.append(f"tensor of the simulated hardware, {made.verdict}")
    return port.to_outside(np.ascontiguousarray(values)), made, notes


def fit_options(options: IspOptions, port: Port, path: Path) -> IspOptions:
    """Options with the size and channels that an input takes.

    Raises
    ------
    InputError
        When it takes no picture, or the options say something else.
    """
    height, width, channels = image_size(path, port)
    if options.tensor_size not in (None, (width, height)):
        given = "x".join(map(str, options.tensor_size))
        raise InputError(
            f"the tensor size is {given}, and input {port.name!r} takes {width}x{height}"
        )
    if options.grey and channels != 1:
        raise InputError(f"grey makes one channel, and input {port.name!r} takes {channels}")
    return replace(options, tensor_size=(width, height), grey=channels == 1)


def only_picture_port(model: str, ports: Sequence[Port]) -> Port:
    """The input of a network that takes a picture.

    Raises
    ------
    InputError
        When there is none, or more than one.
    """
    found = [port for port in ports if takes_picture(port)]
    if len(found) != 1:
        shapes = ", ".join(f"{port.name!r} of shape {port.shape}" for port in ports)
        raise InputError(
            f"model {model!r} must have one input that takes a picture, and has {shapes}"
        )
    return found[0]


def takes_picture(port: Port) -> bool:
    """Whether the shape is that of a picture."""
    if len(port.shape) != 4 or port.shape[0] != 1:  # noqa: PLR2004  (batch, height, width, channels)
        return False
    return bool({port.shape[1], port.shape[3]} & CHANNEL_MODES.keys())
