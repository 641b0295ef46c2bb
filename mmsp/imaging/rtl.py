"""The image front end's own hardware, verilated: what frames on a camera's pins give."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from amaranth.lib.wiring import Component

from mmsp.compiler.placement import Placement
from mmsp.imaging.captured import Capture, captured
from mmsp.imaging.library import ADDRESS_BITS, WORD_BYTES, load, simulator
from mmsp.imaging.targets import Outputs, Registers, Scaling
from mmsp.simulator.results import SimulationError
from models.fixedpoint import IntArray
from models.image.bayer import PIXEL_BITS
from models.image.change import ChangeSettings
from models.image.dvp import DvpConfig
from verif.dvp_camera import TIGHT, Blanking, Pins, film, wide
from verif.image_registers import (
    camera_registers,
    frame_size,
    jpeg_register,
    matrix_register,
    raw_registers,
    scaling_fields,
    tensor_register,
)
from verif.jpeg_design import JpegDesign, design_of

__all__ = ["ImageModel", "rtl_outputs"]

VSYNC_BIT, HREF_BIT = 12, 13
"""Of a clock's pins as the harness takes them."""
STALL_STEPS = 256
PERIODS = 1, 2
MCU = 16
FILE_CLOCKS = 2000
RECEIVE, JPEG, TENSOR, CHANGE = 1, 2, 4, 8
"""Bits of `hdl.image.domain.ImageMode`."""


class ImageModel:
    """One simulated `hdl.image.subsystem.ImageSubsystem`.

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

        Without ``blanking`` there is none, or if there are files as much as `file_blanking`.

        Raises
        ------
        SimulationError
            If an assertion in the design fails, or not all frames come out.
        """
        rows, columns = np.asarray(frames[0]).shape
        bits = registers.pixels.bits
        config = DvpConfig(width=columns, height=rows, bits=min(bits, PIXEL_BITS))
        rng = np.random.default_rng(seed)
        if blanking is None:
            blanking = file_blanking(columns) if registers.jpeg else TIGHT
        pins = film(rng, (wide(frame, bits) for frame in frames), blanking)
        found = self.capture(pins, config, registers)
        if not len(frames) == found.good == len(found.rgb) == len(found.statistics):
            raise SimulationError(
                f"of {len(frames)} frames {found.good} were received, and {len(found.rgb)} came out"
            )
        wanted = {
            "tensor": found.tensors if registers.scaling else None,
            "change": found.changes if registers.scaling and registers.change else None,
            "jpeg": found.files if registers.jpeg else None,
        }
        for name, made in wanted.items():
            if made is not None and len(made) != len(frames):
                raise SimulationError(f"of {len(frames)} frames {len(made)} gave a {name}")
        return [
            Outputs(
                found.rgb[index],
                found.statistics[index],
                **{name: made[index] for name, made in wanted.items() if made is not None},
            )
            for index in range(len(frames))
        ]

    def capture(
        self,
        pins: Pins,
        config: DvpConfig,
        registers: Registers,
        place: Placement | None = None,
        *,
        stall: float = 0.0,
        seed: int = 1,
        periods: tuple[int, int] = PERIODS,
    ) -> Capture:
        """What the levels of a camera's pins give, one of each in a clock.

        Parameters
        ----------
        pins : Pins
            Active high; the polarities of ``config`` are applied.
        config : DvpConfig
            Of the camera.
        registers : Registers
            Of everything behind it.
        place : Placement, optional
            Where the tensor shall lie; packed at address 0 by default.
        stall : float
            Probability of a cycle in which no word is taken.
        seed : int
            Of that.
        periods : tuple of int
            Of the core's clock and of the camera's, in any unit.
        """
        settings = registers.pixels
        self.library.harness_periods(self.handle, *periods)
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
        blocks = 0, 0
        if (scaling := registers.scaling) is not None:
            mode |= TENSOR | (CHANGE if registers.change else 0)
            channels = 1 if scaling.grey else 3
            place = place or Placement(
                pixels=(scaling.height, scaling.width, channels),
                word_bytes=WORD_BYTES, packed=True, base=0, row0=0,
            )  # fmt: skip
            blocks = self.prepare_tensors(scaling, registers.change, place)
        self.library.harness_map_rows(self.handle, blocks[0])
        self.library.harness_stall(self.handle, round(stall * STALL_STEPS), seed)
        driven = pins.polarised(config)
        levels = driven.data | driven.vsync << VSYNC_BIT | driven.href << HREF_BIT
        data = np.ascontiguousarray(levels, np.uint16)
        self.call("run", data.ctypes.data, data.size, mode)
        self.call("finish")
        return captured(self.library, self.handle, config, place, blocks)

    def prepare_encoder(self, design: JpegDesign) -> None:
        """Write the encoder's registers and tables."""
        self.write("jpeg", jpeg_register(design))
        for name in ("header", "quantisers", "codes"):
            rows = np.ascontiguousarray(getattr(design, name), np.uint32)
            self.call(name, rows.ctypes.data, rows.size)

    def prepare_tensors(
        self, scaling: Scaling, change: ChangeSettings | None, place: Placement
    ) -> tuple[int, int]:
        """Write registers, forget the reference; rows and columns of blocks."""
        fields = {
            "base": place.base,
            "row0": place.row0,
            "row_words": place.row_words,
            "packed": place.packed,
            "grey": scaling.grey,
        }
        sizes = scaling_fields(scaling.crop, scaling.width, scaling.height)
        settings = change or ChangeSettings()
        bits = tensor_register(sizes, scaling.tensor, fields, settings, address_bits=ADDRESS_BITS)
        self.write("tensor", bits)
        self.call("restart")
        size = 1 << settings.block_bits
        return -(-scaling.height // size), -(-scaling.width // size)

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


def file_blanking(columns: int) -> Blanking:
    """As much as the encoder needs: it fills up MCUs, which an image's edge cuts off, by itself.

    So lines take as many clocks as whole MCUs have columns, and behind the frame come two rows of
    MCUs and the header.
    """
    whole = -(-columns // MCU) * MCU
    return Blanking(line=max(1, whole - columns), back=2 * MCU * whole + FILE_CLOCKS)


@lru_cache(maxsize=1)
def shared_model() -> ImageModel:
    """One model for all frames of a process."""
    return ImageModel()


def rtl_outputs(frames: Sequence[IntArray], registers: Registers) -> list[Outputs]:
    """What frames give by the hardware; see `ImageModel.outputs`."""
    return shared_model().outputs(frames, registers)
