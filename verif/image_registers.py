"""What firmware writes into the image front end's hardware, and reads there."""

from amaranth.hdl import Shape

from hdl.image.change import ChangeResult
from hdl.image.colour import COLOUR_MATRIX
from hdl.image.dvp import DvpConfig as DvpRegisters
from hdl.image.jpeg_words import JpegSettings
from hdl.image.pixels import BAYER_ORDERS, PHASES, FrameSize
from hdl.image.raw_pipeline import RAW_SETTINGS
from hdl.image.statistics import BINS, COUNT_BITS, SUM_BITS
from hdl.image.tensor_path import TensorSettings
from models.image.change import ChangeSettings
from models.image.dvp import FAULTS, DvpConfig
from models.image.pipeline import Settings
from models.image.quantiser import TensorFormat
from models.image.scaler import Crop, reciprocal
from models.image.statistics import Statistics
from verif.jpeg_design import JpegDesign

__all__ = [
    "STATUS_FLAGS",
    "camera_registers",
    "change_of",
    "frame_size",
    "jpeg_register",
    "matrix_register",
    "raw_registers",
    "scaling_fields",
    "statistics_of",
    "tensor_register",
]

STATUS_FLAGS = (*FAULTS, "bad_size", "file_dropped", "tensor_dropped", "unfit")
"""The first bits of `hdl.image.domain.ImageStatus`, which stay until they are cleared."""


def camera_registers(config: DvpConfig) -> int:
    """Port ``config``."""
    fields = {name: getattr(config, name) for name in ("bits", "vsync_low", "href_low")}
    return DvpRegisters.as_shape().const(fields).as_bits()


def frame_size(config: DvpConfig) -> int:
    """Port ``size``."""
    return FrameSize.const({"width": config.width, "height": config.height}).as_bits()


def raw_registers(settings: Settings) -> int:
    """Port ``raw``."""
    fields = {
        "order": BAYER_ORDERS.index(settings.order),
        "black_levels": list(settings.black_levels),
        "bad_pixel_threshold": settings.bad_pixel_threshold,
        "bad_pixel_rank": settings.bad_pixel_rank,
        "clip_limit": settings.clip_limit,
        "gains": list(settings.gains),
    }
    return RAW_SETTINGS.const(fields).as_bits()


def matrix_register(settings: Settings) -> int:
    """Port ``matrix``."""
    return COLOUR_MATRIX.const([list(row) for row in settings.matrix]).as_bits()


def jpeg_register(design: JpegDesign) -> int:
    """Port ``jpeg``."""
    return JpegSettings.as_shape().const(design.registers).as_bits()


def scaling_fields(crop: Crop, width: int, height: int) -> dict[str, int]:
    """Fields of `hdl.image.scaler.Scaling`."""
    mantissa, shift = reciprocal(crop.width * crop.height)
    return {
        "left": crop.left,
        "top": crop.top,
        "source_width": crop.width,
        "source_height": crop.height,
        "width": width,
        "height": height,
        "mantissa": mantissa,
        "shift": shift,
    }


def tensor_register(
    scaling: dict[str, int],
    tensor: TensorFormat,
    place: dict[str, int],
    change: ChangeSettings,
    *,
    address_bits: int,
) -> int:
    """Port ``tensor``: fields of the scaler, of `TensorPlace`, and the models' registers."""
    fields = {
        "scaling": scaling,
        "format": vars(tensor),
        "place": place,
        "change": vars(change),
        "tensor_enable": 0,
        "change_enable": 0,
    }
    return TensorSettings(address_bits).const(fields).as_bits()


def change_of(bits: int) -> tuple[int, tuple[int, int, int, int]]:
    """What the port ``change`` says: changed blocks, and their rectangle as `Change` has it."""
    values = []
    for name in ("count", "top", "left", "bottom", "right"):
        width = Shape.cast(ChangeResult.as_shape().members[name]).width
        values.append(bits & ((1 << width) - 1))
        bits >>= width
    count, top, left, bottom, right = values
    return count, (top, left, bottom, right)


def statistics_of(bits: int) -> Statistics:
    """What the port ``statistics`` says."""
    widths = [SUM_BITS] * PHASES + [COUNT_BITS] * (PHASES + BINS + 1)
    values = []
    for width in widths:
        values.append(bits & ((1 << width) - 1))
        bits >>= width
    return Statistics(
        sums=tuple(values[:PHASES]),
        counts=tuple(values[PHASES : 2 * PHASES]),
        histogram=tuple(values[2 * PHASES : -1]),
        clipped=values[-1],
    )
