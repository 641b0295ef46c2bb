"""What came out of the simulated image front end: pictures, tensors, changes and files."""

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsp.compiler.placement import Placement
from mmsp.imaging.library import ADDRESS_BITS, WORD_BYTES, array_at
from mmsp.simulator.results import SimulationError
from models.image.change import Change
from models.image.dvp import DvpConfig
from models.image.statistics import Statistics
from verif.image_registers import STATUS_FLAGS, change_of, statistics_of

__all__ = ["Capture", "captured"]

BYTE_MAX, FLAGS_SHIFT = 255, 24
LAST_COLUMN, LAST_ROW = 1, 2


@dataclass(frozen=True)
class Capture:
    """What a camera's pins gave.

    Attributes
    ----------
    rgb, ycbcr : list of ndarray of uint8
        ``(rows, columns, 3)`` of each complete frame.
    statistics : list of Statistics
        Of each.
    good, dropped : int
        Frames, as the receiver counts them.
    faults : tuple of str
        Names of the flags that are raised: `models.image.dvp.FAULTS`, ``bad_size`` and
        ``file_dropped``, ``tensor_dropped``, ``unfit``.
    tensors : list of ndarray of int8
        ``(height, width, channels)``, where these were wanted.
    changes : list of Change
        Of each complete frame, where change detection was wanted.
    wake : bool
        The pin, at the end.
    files : list of bytes
        JPEG files, where these were wanted.
    bad_files : int
        Files of pictures that were dropped.
    aborted : int
        Frames that were taken back after some of their pixels had left the pipeline.
    clocks, busy_clocks : int
        Of the camera, and of these those in which a frame was received or on its way.
    """

    rgb: list[NDArray[np.uint8]]
    ycbcr: list[NDArray[np.uint8]]
    statistics: list[Statistics]
    good: int
    dropped: int
    faults: tuple[str, ...]
    tensors: list[NDArray[np.int8]]
    changes: list[Change]
    wake: bool
    files: list[bytes]
    bad_files: int
    aborted: int
    clocks: int
    busy_clocks: int


def captured(
    library: ctypes.CDLL,
    handle: Any,
    config: DvpConfig,
    place: Placement | None,
    blocks: tuple[int, int],
) -> Capture:
    """Collect all since the harness was last stopped.

    Parameters
    ----------
    library : CDLL
        See `mmsp.imaging.library.load`.
    handle : pointer
        Of its harness.
    config : DvpConfig
        Size of the frames.
    place : Placement, optional
        Of the tensors.
    blocks : tuple of int
        Rows and columns of the maps of changes.

    Raises
    ------
    SimulationError
        If something contradicts something else: flags of pixels, places of words, a map and its
        summary.
    """
    flags = library.harness_status(handle)
    return Capture(
        rgb=pictures(library, handle, "rgb", config),
        ycbcr=pictures(library, handle, "ycbcr", config),
        statistics=statistics(library, handle),
        good=library.harness_good(handle),
        dropped=library.harness_dropped(handle),
        faults=tuple(name for bit, name in enumerate(STATUS_FLAGS) if flags >> bit & 1),
        tensors=tensors(library, handle, place) if place else [],
        changes=changes(library, handle, blocks),
        wake=bool(library.harness_wake(handle)),
        files=files(library, handle),
        bad_files=library.harness_bad_files(handle),
        aborted=library.harness_ycbcr_aborted(handle),
        clocks=library.harness_clocks(handle),
        busy_clocks=library.harness_busy_clocks(handle),
    )


def records(library: ctypes.CDLL, handle: Any, name: str, size: int) -> NDArray[np.uint8]:
    """Bytes of each record."""
    count = getattr(library, f"harness_{name}_count")(handle)
    return array_at(getattr(library, f"harness_{name}")(handle), count, np.uint8).reshape(-1, size)


def pictures(
    library: ctypes.CDLL, handle: Any, name: str, config: DvpConfig
) -> list[NDArray[np.uint8]]:
    """Complete frames of a stream of pixels, with all flags checked."""
    count = getattr(library, f"harness_{name}_count")(handle)
    frames = getattr(library, f"harness_{name}_frames")(handle)
    words = array_at(getattr(library, f"harness_{name}")(handle), count, np.int64)
    shape = frames, config.height, config.width
    if count != np.prod(shape):
        raise SimulationError(f"{count} pixels are not {frames} frames of {shape[1:]}")
    words = words.reshape(shape)
    flags = np.zeros(shape, np.int64)
    flags[:, :, -1] |= LAST_COLUMN
    flags[:, -1, :] |= LAST_ROW
    if not np.array_equal(words >> FLAGS_SHIFT, flags):
        raise SimulationError(f"lines of {name} do not end where they should")
    values = np.stack([words >> shift & BYTE_MAX for shift in (0, 8, 16)], axis=-1)
    return list(values.astype(np.uint8))


def statistics(library: ctypes.CDLL, handle: Any) -> list[Statistics]:
    """Of each complete frame."""
    found = records(library, handle, "statistics", library.harness_statistics_bytes(handle))
    return [statistics_of(int.from_bytes(record.tobytes(), "little")) for record in found]


def tensors(library: ctypes.CDLL, handle: Any, place: Placement) -> list[NDArray[np.int8]]:
    """Complete tensors, all of whose words must be where ``place`` has them."""
    words = records(library, handle, "words", library.harness_words_bytes(handle))
    bits = np.unpackbits(words, axis=1, bitorder="little").astype(np.int64)
    fields = np.split(bits, np.cumsum([2, ADDRESS_BITS, 8 * WORD_BYTES, 1]), axis=1)
    bank, address = (field @ (1 << np.arange(field.shape[1])) for field in fields[:2])
    values = np.packbits(fields[2].astype(np.uint8), axis=1, bitorder="little")
    ends = np.flatnonzero(fields[3]) + 1
    if len(ends) != library.harness_tensors(handle):
        raise SimulationError("tensors were announced that there are not")
    banks, addresses = place.addresses()
    found = []
    for end in ends.tolist():
        # In front of it may be words of a tensor that was given up.
        mine = slice(max(0, end - len(banks)), end)
        for given, wanted in ((bank, banks), (address, addresses)):
            if not np.array_equal(given[mine], wanted):
                raise SimulationError("words of a tensor lie elsewhere")
        found.append(place.unpack(values[mine]))
    return found


def changes(library: ctypes.CDLL, handle: Any, blocks: tuple[int, int]) -> list[Change]:
    """Maps of each complete frame, which the count and the rectangle must agree with."""
    rows, columns = blocks
    data = records(library, handle, "changes", 8 * (2 + rows)).copy().view(np.uint64)
    found = []
    for wake, result, *words in data.tolist():
        block_map = np.array(words, np.int64)[:, None] >> np.arange(columns) & 1
        change = Change(block_map, bool(wake))
        count, rectangle = change_of(result)
        box = change.bounding_box()
        if count != block_map.sum() or (box is not None and box != rectangle):
            raise SimulationError("a map of changes is not what its summary says")
        found.append(change)
    return found


def files(library: ctypes.CDLL, handle: Any) -> list[bytes]:
    """Complete files."""
    count = library.harness_file_count(handle)
    if not count:
        return []
    ends = array_at(library.harness_file_ends(handle), count, np.int64)
    data = array_at(library.harness_files(handle), int(ends[-1]), np.uint8)
    return [part.tobytes() for part in np.split(data, ends[:-1])]
