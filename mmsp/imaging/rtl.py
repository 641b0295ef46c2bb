"""The image front end's own hardware, verilated: what frames on a camera's pins give."""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.lib.wiring import Component
from numpy.typing import NDArray

from mmsp.imaging.targets import Outputs, Registers
from mmsp.simulator.build import cached_library
from mmsp.simulator.results import SimulationError
from models.fixedpoint import IntArray
from models.image.dvp import DvpConfig
from models.image.statistics import Statistics
from verif.dvp_camera import TIGHT, Blanking, Pins, frame_pins, join
from verif.image_registers import (
    STATUS_FLAGS,
    camera_registers,
    frame_size,
    jpeg_register,
    matrix_register,
    raw_registers,
    statistics_of,
)
from verif.jpeg_design import JpegDesign, design_of

__all__ = ["Capture", "ImageModel", "rtl_outputs"]

HARNESS = Path(__file__).with_name("harness.cpp")
VSYNC_BIT, HREF_BIT = 12, 13
"""Of a clock's pins as the harness takes them."""
BYTE_MAX = 255
FILE_LINES, FILE_CLOCKS = 32, 2000
RECEIVE, JPEG = 1, 2
"""Bits of `hdl.image.subsystem.ImageMode`."""


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
        ``file_dropped``.
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
    files: list[bytes]
    bad_files: int
    aborted: int
    clocks: int
    busy_clocks: int


class ImageModel:
    """One simulated `hdl.image.subsystem.ImageSubsystem`, its core twice as fast as the camera.

    Building the simulator takes some seconds for a new design, and nothing after that.

    Parameters
    ----------
    design : callable, optional
        Makes another component with the ports of that one, to take its place.

    Raises
    ------
    BuildError
        If the simulator cannot be built.
    """

    def __init__(self, *, design: Callable[[], Component] | None = None):
        self.handle = None
        self.stopped = ""  # why nothing more can be simulated
        self.library = load(simulator(design))
        self.handle = self.library.harness_open()

    def __enter__(self) -> "ImageModel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """End the simulation; calling it again does nothing."""
        if self.handle:
            self.library.harness_close(self.handle)
            self.handle = None

    def outputs(
        self,
        frames: Sequence[IntArray],
        registers: Registers,
        *,
        blanking: Blanking | None = None,
        seed: int = 1,
    ) -> list[Outputs]:
        """What frames ``(rows, columns)`` of one size give, one after another from one camera.

        Without ``blanking`` there is none, or if there are files as much as a file's end takes:
        two rows of MCUs, whatever the picture's last one lacks.

        Raises
        ------
        SimulationError
            If an assertion in the design fails, or not all frames come out.
        """
        rows, columns = np.asarray(frames[0]).shape
        config = DvpConfig(width=columns, height=rows, bits=registers.pixels.bits)
        rng = np.random.default_rng(seed)
        if blanking is None:
            blanking = (
                Blanking(back=FILE_LINES * columns + FILE_CLOCKS) if registers.jpeg else TIGHT
            )
        pins = join(frame_pins(rng, frame, blanking) for frame in frames)
        found = self.capture(pins, config, registers)
        if not len(frames) == found.good == len(found.rgb) == len(found.statistics):
            raise SimulationError(
                f"of {len(frames)} frames {found.good} were received, and {len(found.rgb)} came out"
            )
        files = found.files if registers.jpeg else [None] * len(frames)
        if len(files) != len(frames):
            raise SimulationError(f"of {len(frames)} frames there are {len(files)} files")
        return [
            Outputs(rgb, statistics, jpeg=file)
            for rgb, statistics, file in zip(found.rgb, found.statistics, files, strict=True)
        ]

    def capture(self, pins: Pins, config: DvpConfig, registers: Registers) -> Capture:
        """What the levels of a camera's pins give, one of each in a clock.

        `Pins` are active high here; the polarities of ``config`` are applied.
        """
        settings = registers.pixels
        self.call("stop")
        self.write("config", camera_registers(config))
        self.write("size", frame_size(config))
        self.write("raw", raw_registers(settings))
        self.write("matrix", matrix_register(settings))
        knots = np.ascontiguousarray(settings.gamma, np.uint16)
        self.call("gamma", knots.ctypes.data, knots.size)
        mode = RECEIVE
        if registers.jpeg is not None:
            mode |= JPEG
            shape = config.height, config.width
            self.prepare_encoder(design_of(registers.jpeg, shape, grey=registers.jpeg_grey))
        driven = pins.polarised(config)
        levels = driven.data | driven.vsync << VSYNC_BIT | driven.href << HREF_BIT
        data = np.ascontiguousarray(levels, np.uint16)
        self.call("run", data.ctypes.data, data.size, mode)
        self.call("finish")
        return self.captured(config)

    def prepare_encoder(self, design: JpegDesign) -> None:
        """Write the encoder's registers and tables."""
        self.write("jpeg", jpeg_register(design))
        for name in ("header", "quantisers", "codes"):
            rows = np.ascontiguousarray(getattr(design, name), np.uint32)
            self.call(name, rows.ctypes.data, rows.size)

    def captured(self, config: DvpConfig) -> Capture:
        """Collect what came out since `capture` began."""
        library, handle = self.library, self.handle
        flags = library.harness_status(handle)
        count = library.harness_file_count(handle)
        ends = array_at(library.harness_file_ends(handle), count, np.int64)
        files = array_at(library.harness_files(handle), int(ends[-1]) if count else 0, np.uint8)
        return Capture(
            rgb=self.pictures("rgb", config),
            ycbcr=self.pictures("ycbcr", config),
            statistics=self.statistics(),
            good=library.harness_good(handle),
            dropped=library.harness_dropped(handle),
            faults=tuple(name for place, name in enumerate(STATUS_FLAGS) if flags >> place & 1),
            files=[part.tobytes() for part in np.split(files, ends[:-1])] if count else [],
            bad_files=library.harness_bad_files(handle),
            aborted=library.harness_ycbcr_aborted(handle),
            clocks=library.harness_clocks(handle),
            busy_clocks=library.harness_busy_clocks(handle),
        )

    def pictures(self, name: str, config: DvpConfig) -> list[NDArray[np.uint8]]:
        """Complete frames of a stream of pixels, with all flags checked."""
        count = getattr(self.library, f"harness_{name}_count")(self.handle)
        frames = getattr(self.library, f"harness_{name}_frames")(self.handle)
        words = array_at(getattr(self.library, f"harness_{name}")(self.handle), count, np.int64)
        shape = frames, config.height, config.width
        if count != frames * config.height * config.width:
            raise SimulationError(f"{count} pixels are not {frames} frames of {shape[1:]}")
        words = words.reshape(shape)
        flags = np.zeros(shape, np.int64)
        flags[:, :, -1] |= 1
        flags[:, -1, :] |= 2
        if not np.array_equal(words >> 24, flags):
            raise SimulationError(f"lines of {name} do not end where they should")
        bytes_ = np.stack([words >> shift & BYTE_MAX for shift in (0, 8, 16)], axis=-1)
        return list(bytes_.astype(np.uint8))

    def statistics(self) -> list[Statistics]:
        """Of each complete frame."""
        size = self.library.harness_statistics_bytes(self.handle)
        count = self.library.harness_statistics_count(self.handle)
        data = array_at(self.library.harness_statistics(self.handle), count, np.uint8).tobytes()
        return [
            statistics_of(int.from_bytes(data[begin : begin + size], "little"))
            for begin in range(0, count, size)
        ]

    def write(self, name: str, bits: int) -> None:
        """Write a register."""
        size = getattr(self.library, f"harness_{name}_bytes")(self.handle)
        self.call(name, bits.to_bytes(size, "little"))

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of the harness, and raise when the design has stopped."""
        if self.handle is None:
            raise SimulationError("the simulation has been closed")
        if not self.stopped and getattr(self.library, f"harness_{name}")(self.handle, *arguments):
            said = self.library.harness_message(self.handle).decode(errors="replace").strip()
            self.stopped = f"the image front end stopped: {said}"
        if self.stopped:
            raise SimulationError(self.stopped)


def array_at(pointer: Any, count: int, dtype: type[np.generic]) -> NDArray[Any]:
    """A copy of ``count`` elements; the pointer may be null when there are none."""
    return np.ctypeslib.as_array(pointer, (count,)).astype(dtype) if count else np.zeros(0, dtype)


def simulator(design: Callable[[], Component] | None) -> Path:
    """Path of the library, built if need be."""
    return cached_library(
        design or subsystem,
        name="the image front end",
        module="hdl.image.subsystem",
        identity=None if design else "image subsystem",
        harness=HARNESS,
    )


def subsystem() -> Component:
    """The design itself, imported only when it has to be elaborated."""
    from hdl.image.subsystem import ImageSubsystem  # noqa: PLC0415  (see above)

    return ImageSubsystem()


def load(path: Path) -> ctypes.CDLL:
    """Load the library at ``path`` and declare its functions.  Mirrors the end of harness.cpp."""
    loaded = ctypes.CDLL(str(path))
    handle, address, size = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
    status, word, long = ctypes.c_int, ctypes.c_uint32, ctypes.c_uint64
    pixels = ctypes.POINTER(ctypes.c_uint32)
    functions: list[tuple[str, Any, list[Any]]] = [
        ("open", handle, []),
        ("close", None, [handle]),
        ("stop", status, [handle]),
        ("gamma", status, [handle, address, size]),
        ("run", status, [handle, address, size, word]),
        ("finish", status, [handle]),
        ("statistics", ctypes.POINTER(ctypes.c_uint8), [handle]),
        ("statistics_bytes", size, [handle]),
        ("statistics_count", size, [handle]),
        ("files", ctypes.POINTER(ctypes.c_uint8), [handle]),
        ("file_ends", ctypes.POINTER(ctypes.c_uint64), [handle]),
        ("file_count", size, [handle]),
        ("message", ctypes.c_char_p, [handle]),
    ]
    for name in ("header", "quantisers", "codes"):
        functions.append((name, status, [handle, address, size]))
    for name in ("config", "size", "raw", "matrix", "jpeg"):
        functions += [
            (name, status, [handle, ctypes.c_char_p]),
            (f"{name}_bytes", size, [handle]),
        ]
    for name in ("rgb", "ycbcr"):
        functions += [
            (name, pixels, [handle]),
            (f"{name}_count", size, [handle]),
            (f"{name}_frames", long, [handle]),
            (f"{name}_aborted", long, [handle]),
        ]
    functions += [(name, word, [handle]) for name in ("good", "dropped", "status")]
    functions += [(name, long, [handle]) for name in ("clocks", "busy_clocks", "bad_files")]
    for name, result, arguments in functions:
        function = getattr(loaded, f"harness_{name}")
        function.restype, function.argtypes = result, arguments
    return loaded


@lru_cache(maxsize=1)
def shared_model() -> ImageModel:
    """One model for all frames of a process."""
    return ImageModel()


def rtl_outputs(frames: Sequence[IntArray], registers: Registers) -> list[Outputs]:
    """What frames give by the hardware; see `ImageModel.outputs`."""
    return shared_model().outputs(frames, registers)
