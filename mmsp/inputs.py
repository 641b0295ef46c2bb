"""Input files: tensors, pictures and recordings, as they come, become the network's inputs.

The result has the type that the model's file declares and one dimension more, the batch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmsp.audio.recording import RECORDING_SUFFIXES
from mmsp.audio.targets import Features
from mmsp.audio.windows import AudioOptions, hear
from mmsp.description import Port
from mmsp.errors import InputError
from mmsp.imaging.development import Development
from mmsp.imaging.viewing import Viewing, see
from mmsp.pictures import PICTURE_SUFFIXES, from_picture_values, read_picture

__all__ = ["Batch", "make_batch", "random_batch", "read_file", "read_inputs"]

ARRAY_SUFFIXES = (".npy", ".npz")


@dataclass(frozen=True)
class Batch:
    """``count`` sets of inputs.

    ``values``: by input name, ``(count, *shape)`` of the declared type.  ``single``: they came
    without a leading dimension for the batch.  ``notes``: what was converted, for the user.
    ``audio``: by input name, the features that came from a recording.  ``pictures``: likewise, what
    came through the image front end.
    """

    values: dict[str, NDArray]
    count: int
    single: bool
    notes: list[str]
    audio: dict[str, Features] = field(default_factory=dict)
    pictures: dict[str, Development] = field(default_factory=dict)


def read_file(path: Path, what: str) -> bytes:
    """Contents of a file that the user named."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{what} {str(path)!r} does not exist") from None
    except IsADirectoryError:
        raise InputError(f"{what} {str(path)!r} is a directory, not a file") from None
    except OSError as error:
        raise InputError(f"{what} {str(path)!r} cannot be read: {error.strerror}") from None


def read_inputs(
    arguments: Sequence[str],
    ports: Sequence[Port],
    listening: AudioOptions = AudioOptions(),
    viewing: Viewing | None = None,
) -> Batch:
    """Read what ``--input`` named: ``F`` or ``NAME=F``, each once for an input.

    ``listening`` is what to do with recordings; with ``viewing``, files that are neither arrays nor
    recordings go through the image front end.

    Raises
    ------
    InputError
        When a file cannot be read or does not fit, or an input is missing, unknown or given twice.
    """
    by_name = {port.name: port for port in ports}
    values: dict[str, object] = {}
    notes: list[str] = []
    audio: dict[str, Features] = {}
    pictures: dict[str, Development] = {}
    for argument in arguments:
        name, text = split_argument(argument, by_name)
        path = Path(text)
        if path.suffix.lower() in RECORDING_SUFFIXES:
            target = name or only(path, by_name)
            heard, features, said = hear(
                path, read_file(path, "recording"), by_name[target], listening
            )
            read: dict[str, object] = {target: heard}
            audio[target] = features
            notes += said
        elif viewing is not None and path.suffix.lower() not in ARRAY_SUFFIXES:
            target = name or only(path, by_name)
            data = read_file(path, "input")
            seen, pictures[target], said = see(path, data, by_name[target], viewing)
            read = {target: seen}
            notes += said
        else:
            read = read_arrays(path, name, by_name, notes)
        for key, value in read.items():
            if key in values:
                raise InputError(f"input {key!r} is given twice")
            values[key] = value
    if listening.given and not audio:
        raise InputError(
            f"{listening.given} is about recordings, and no --input is one "
            f"({', '.join(RECORDING_SUFFIXES)})"
        )
    if viewing is not None and not pictures:
        raise InputError("--through-isp is about pictures, and no --input is one")
    batch = make_batch(values, ports)
    return replace(batch, notes=notes + batch.notes, audio=audio, pictures=pictures)


def split_argument(argument: str, ports: Mapping[str, Port]) -> tuple[str | None, str]:
    """``NAME=F`` or ``F``; a file whose name has an equals sign is still a file."""
    name, equals, path = argument.rpartition("=")
    if not equals or (name not in ports and Path(argument).exists()):
        return None, argument
    if name not in ports:
        raise InputError(f"the model has no input {name!r}: its inputs are {names(ports)}")
    return name, path


def read_arrays(
    path: Path, name: str | None, ports: Mapping[str, Port], notes: list[str]
) -> dict[str, object]:
    """Arrays of one file by input name."""
    suffix = path.suffix.lower()
    if suffix not in (*ARRAY_SUFFIXES, *PICTURE_SUFFIXES):
        raise InputError(
            f"input {str(path)!r} has the suffix {suffix!r}, not one of "
            f"{', '.join((*ARRAY_SUFFIXES, *PICTURE_SUFFIXES, *RECORDING_SUFFIXES))}"
        )
    data = read_file(path, "input")
    if suffix == ".npz":
        return choose_arrays(path, read_npz(path, data), name, ports)
    target = name or only(path, ports)
    if suffix == ".npy":
        return {target: read_npy(path, data)}
    picture, note = read_picture(path, data, ports[target])
    notes.append(note)
    return {target: picture}


def only(path: Path, ports: Mapping[str, Port]) -> str:
    """Name of the only input."""
    if len(ports) != 1:
        raise InputError(
            f"the model has {len(ports)} inputs, so --input needs a name: "
            f"NAME={path} with one of {names(ports)}"
        )
    return next(iter(ports))


def names(ports: Mapping[str, object]) -> str:
    """Names in a sentence."""
    return ", ".join(repr(name) for name in ports)


def read_npy(path: Path, data: bytes) -> NDArray:
    """The array in a .npy file."""
    try:
        array = np.load(BytesIO(data), allow_pickle=False)
    except Exception as error:  # damage surfaces as almost anything, tokenize.TokenError included
        raise InputError(f"input {str(path)!r} is no readable .npy file: {error}") from None
    if not isinstance(array, np.ndarray):
        raise InputError(f"input {str(path)!r} holds several arrays: name it .npz")
    return array


def read_npz(path: Path, data: bytes) -> dict[str, NDArray]:
    """The arrays in a .npz file."""
    try:
        with np.load(BytesIO(data), allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except Exception as error:  # see `read_npy`
        raise InputError(f"input {str(path)!r} is no readable .npz file: {error}") from None


def choose_arrays(
    path: Path, arrays: Mapping[str, NDArray], name: str | None, ports: Mapping[str, Port]
) -> dict[str, object]:
    """The arrays that belong to inputs; a single one may have any key."""
    if name is not None:
        wanted: dict[str, str] = {name: name}
    else:
        wanted = {key: key for key in ports if key in arrays}
    if not any(key in arrays for key in wanted):
        if len(arrays) != 1 or (name is None and len(ports) != 1):
            raise InputError(
                f"input {str(path)!r} holds {names(arrays) or 'no arrays'}, and must hold "
                f"{names(wanted or ports)}"
            )
        wanted = {name or next(iter(ports)): next(iter(arrays))}
    if unknown := [key for key in arrays if key not in wanted.values() and name is None]:
        raise InputError(
            f"the model has no input {unknown[0]!r}, which {str(path)!r} holds: "
            f"its inputs are {names(ports)}"
        )
    return {target: arrays[key] for target, key in wanted.items()}


def make_batch(values: Mapping[str, object], ports: Sequence[Port]) -> Batch:
    """Convert arrays to what the model's file declares, with one dimension for the batch.

    Raises
    ------
    InputError
        When an input is missing or unknown, or its shape, type or values do not fit.
    """
    by_name = {port.name: port for port in ports}
    for name in values:
        if name not in by_name:
            raise InputError(f"the model has no input {name!r}: its inputs are {names(by_name)}")
    if missing := [name for name in by_name if name not in values]:
        raise InputError(f"input {missing[0]!r} is missing: the model needs {names(by_name)}")
    notes: list[str] = []
    arrays, sizes = {}, {}
    for port in ports:
        array = np.asarray(values[port.name])
        sizes[port.name] = size = batch_size(array, port)
        if array.shape not in (port.shape, (size, *port.shape)):
            notes.append(f"input {port.name!r}: shape {array.shape} taken as {port.shape}")
        converted, note = convert(array, port)
        arrays[port.name] = converted.reshape(-1, *port.shape)
        if note:
            notes.append(note)
    if len(set(sizes.values())) > 1:
        said = ", ".join(
            f"{name!r} has {'no batch' if size is None else f'a batch of {size}'}"
            for name, size in sizes.items()
        )
        raise InputError(f"the inputs' batches differ: {said}")
    size = next(iter(sizes.values()), None)
    return Batch(arrays, 1 if size is None else size, size is None, notes)


def batch_size(array: NDArray, port: Port) -> int | None:
    """Size of the batch, None without one.

    Dimensions of 1 may be missing or too many, and the values may be flat.
    """
    if fits(array.shape, port.shape):
        return None
    if array.ndim and array.shape[0] == 0:
        raise InputError(f"input {port.name!r} is a batch of 0: nothing to run")
    if array.ndim and fits(array.shape[1:], port.shape):
        return array.shape[0]
    raise InputError(
        f"input {port.name!r} has shape {array.shape}, and must have {port.shape}, or one "
        "leading dimension more for a batch"
    )


def fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether ``shape`` is ``wanted`` up to dimensions of 1, or flat."""
    if len(shape) == len(wanted) + 1:
        return False  # a batch, even if it is one of 1
    significant = [size for size in shape if size != 1]
    return significant in ([size for size in wanted if size != 1], [math.prod(wanted)])


def convert(array: NDArray, port: Port) -> tuple[NDArray, str | None]:
    """Convert to the declared type, and say how if it was not that already."""
    if array.dtype == port.dtype and array.dtype.kind != "f":
        return array, None
    if array.dtype.kind == "f":
        return convert_reals(array, port)
    if array.dtype == np.uint8 and port.inside == "int8":
        values = from_picture_values(array, port)
        return values, f"input {port.name!r}: uint8 taken as a picture, minus 128"
    expected = {
        "int8": "int8, float or a uint8 picture",
        "int16": "int16 or float",
        "uint8": "uint8 or float",
    }
    raise InputError(
        f"input {port.name!r} is {array.dtype}, and must be "
        f"{expected.get(port.dtype, 'float or a uint8 picture')}"
    )


def convert_reals(array: NDArray, port: Port) -> tuple[NDArray, str | None]:
    """Quantise real values for a port of integers; keep them for one of float32."""
    if not np.isfinite(array).all():
        count = int(array.size - np.isfinite(array).sum())
        what = "NaN" if np.isnan(array).any() else "infinite"
        raise InputError(
            f"input {port.name!r} must be finite, and {count} of {array.size} values are {what}"
        )
    with np.errstate(over="ignore"):  # what exceeds float32 saturates
        if port.dtype == "float32":
            values = np.clip(array, np.finfo(np.float32).min, np.finfo(np.float32).max)
            return values.astype(np.float32), None
        if port.scale is None:
            raise InputError(
                f"input {port.name!r} is {array.dtype}, and has no scale: it must be {port.dtype}"
            )
        inside = port.quantize(array)
    note = (
        f"input {port.name!r}: {array.dtype} quantised to {port.dtype} "
        f"(scale {port.scale:.9g}, zero point {port.zero_point})"
    )
    return port.to_outside(inside), note


def random_batch(ports: Sequence[Port], seed: int) -> Batch:
    """One set of inputs, uniform over all values of their types, the same for the same seed."""
    rng = np.random.default_rng(seed)

    def draw(port: Port) -> NDArray:
        limits = np.iinfo(port.inside)
        values = rng.integers(limits.min, limits.max + 1, (1, *port.shape))
        return port.to_outside(values.astype(port.inside))

    values = {port.name: draw(port) for port in ports}
    return Batch(values, 1, True, [f"no --input: random values (seed {seed})"])
