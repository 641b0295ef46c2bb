"""The image front end of a simulated chip: a camera at its pins, tensors in its memory, files."""

from typing import TYPE_CHECKING, Any

import numpy as np

from hdl.image.domain import ImageStatus, gamma_knot
from hdl.image.jpeg_words import file_word
from hdl.power.domains import Mode
from hdl.soc.image_path import ImagePort
from hdl.soc.window_writer import WindowSource
from mmsp.compiler.placement import Placement
from mmsp.imaging.targets import Registers, Scaling
from mmsp.simulator.front_ends import ChipWindows, FrontEndPorts, wait_for
from models.image.change import ChangeSettings
from models.image.dvp import DvpConfig
from verif.dvp_camera import Pins
from verif.image_registers import (
    STATUS_FLAGS,
    camera_registers,
    frame_size,
    jpeg_register,
    matrix_register,
    raw_registers,
    scaling_fields,
    tensor_register,
)
from verif.jpeg_design import design_of

if TYPE_CHECKING:
    from mmsp.simulator.model import ChipModel

__all__ = ["CHANGE", "JPEG", "RECEIVE", "TENSOR", "ChipImage"]

RECEIVE, JPEG, TENSOR, CHANGE = 1, 2, 4, 8
"""Bits of `hdl.image.domain.ImageMode`."""

VSYNC_BIT, HREF_BIT = 12, 13
"""Of a clock's pins as the harness takes them."""


class ChipImage(FrontEndPorts):
    """What a CPU would write to the registers of the image front end, and a camera shows.

    Parameters
    ----------
    chip : ChipModel
        In a mode with the core clock and the image domain, unless a method says otherwise.
    """

    def __init__(self, chip: "ChipModel"):
        super().__init__(chip, "image", ImagePort(chip.config).members)
        self.windows = ChipWindows(
            chip, self, WindowSource.IMAGE, Mode.IMAGE_WATCH, Mode.IMAGE_INFER
        )

    def configure(self, camera: DvpConfig, registers: Registers, place: Placement | None) -> None:
        """Write all registers and tables, of a front end that receives nothing.

        Parameters
        ----------
        camera : DvpConfig
            Of the camera.
        registers : Registers
            Of everything behind it.
        place : Placement, optional
            Where the tensor lies, if there is one.
        """
        self.enter(0)
        settings = registers.pixels
        self.write("config", camera_registers(camera))
        self.write("size", frame_size(camera))
        self.write("raw", raw_registers(settings))
        self.write("matrix", matrix_register(settings))
        if registers.scaling is not None:
            self.write("tensor", self.tensor(registers.scaling, registers.change, place))
        knots = gamma_knot()
        rows = ({"address": i, "data": int(knot)} for i, knot in enumerate(settings.gamma))
        self.send("knots", [knots.const(row).as_bits() for row in rows])
        if registers.jpeg is not None:
            shape = camera.height, camera.width
            design = design_of(registers.jpeg, shape, grey=registers.jpeg_grey)
            self.write("jpeg", jpeg_register(design))
            for name in ("header", "quantisers", "codes"):
                self.fill(name, [int(row) for row in getattr(design, name)])
        self.chip.library.harness_forget_files(self.chip.handle)
        for pulse in ("clear", "restart"):
            self.pulse(pulse)
        self.windows.release()
        wait_for(self, "idle")

    def tensor(
        self, scaling: Scaling, change: ChangeSettings | None, place: Placement | None
    ) -> int:
        """The register ``tensor``."""
        fields: dict[str, int] = {"base": 0, "row0": 0, "row_words": 1, "packed": True}
        if place is not None:
            names = ("base", "row0", "row_words", "packed")
            fields = {name: int(getattr(place, name)) for name in names}
        sizes = scaling_fields(scaling.crop, scaling.width, scaling.height)
        return tensor_register(
            sizes, scaling.tensor, fields | {"grey": int(scaling.grey)}, change or ChangeSettings(),
            address_bits=self.chip.config.bank_address_bits,
        )  # fmt: skip

    def enter(self, mode: int) -> None:
        """Change the mode, bits of `RECEIVE` and the others, and wait until it has arrived."""
        self.write("mode", mode)
        wait_for(self, "receiving", bool(mode & RECEIVE))
        if not mode & RECEIVE:
            wait_for(self, "idle")

    def film(self, pins: Pins, camera: DvpConfig) -> None:
        """Let the camera's pins have these levels, after those that are left."""
        driven = pins.polarised(camera)
        levels = driven.data | driven.vsync << VSYNC_BIT | driven.href << HREF_BIT
        data = np.ascontiguousarray(levels, np.uint16)
        self.chip.library.harness_film(self.chip.handle, data.ctypes.data, data.size)

    @property
    def unseen(self) -> int:
        """Clocks of the camera that are left."""
        return self.chip.library.harness_unseen(self.chip.handle)

    @property
    def status(self) -> Any:
        """`ImageStatus`, as the core sees it: stands still with its clock."""
        return self.status_of(ImageStatus)

    @property
    def losses(self) -> list[str]:
        """Sticky flags that are set."""
        status = self.status
        return [name for name in STATUS_FLAGS if getattr(status, name)]

    @property
    def files(self) -> list[bytes]:
        """Files that have been completed; broken ones are left out."""
        library, handle = self.chip.library, self.chip.handle
        count = library.harness_file_words(handle)
        layout: Any = file_word()
        found, data = [], b""
        for index in range(count):
            word = layout.from_bits(library.harness_files(handle)[index])
            data += word.data.to_bytes(4, "little")[: word.count]
            if word.last:
                found += [] if word.bad else [data]
                data = b""
        return found
