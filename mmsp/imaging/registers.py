"""From the user's options to registers: units, and defaults that suit the file."""

from mmsp.errors import InputError
from mmsp.imaging.frames import Frame
from mmsp.imaging.options import AUTO, IspOptions
from mmsp.imaging.targets import Registers, Scaling
from mmsp.pictures import is_picture
from mmsp.ports import Port
from models.image.bad_pixels import DEFAULT_THRESHOLD
from models.image.bayer import PIXEL_BITS, PIXEL_MAX
from models.image.change import ChangeSettings
from models.image.colour import IDENTITY_MATRIX, MATRIX_FRACTION_BITS
from models.image.gamma import IDENTITY_TABLE, srgb_table
from models.image.jpeg import JpegSettings
from models.image.pipeline import Settings
from models.image.quantiser import SHIFTED, TensorFormat, tensor_format
from models.image.scaler import MAX_OUTPUT_HEIGHT, MAX_OUTPUT_WIDTH, Crop
from models.image.white_balance import UNITY_GAIN

__all__ = ["automatic_gains", "format_of", "registers_for"]

FRACTION_BITS = 4
"""Of the thresholds of change detection."""


def registers_for(
    options: IspOptions,
    frame: Frame,
    *,
    scaled: bool = False,
    change: bool = False,
    jpeg: bool = False,
    tensor: TensorFormat = SHIFTED,
) -> Registers:
    """Registers for a frame and those that follow it.

    A rendered picture has been through all this before: unless the options say otherwise, black
    level, gains, matrix and gamma do nothing, and nothing is a bad pixel.  A RAW file gets the
    gamma of sRGB, correction of bad pixels, and gains by grey world, which are 1 here (see
    `automatic_gains`).

    Raises
    ------
    InputError
        When the scaler cannot do what is wanted.
    """
    rendered = frame.original is not None
    threshold = options.bad_pixel_threshold
    if threshold is None:
        threshold = PIXEL_MAX if rendered else DEFAULT_THRESHOLD
    levels = black_levels(options, frame)
    gains = options.gains
    pixels = Settings(
        order=frame.order,
        bits=frame.bits,
        black_levels=levels,
        bad_pixel_threshold=threshold,
        bad_pixel_rank=options.bad_pixel_rank,
        clip_limit=white(frame) - max(levels),
        gains=(UNITY_GAIN,) * 4
        if gains is None or isinstance(gains, str)
        else tuple(round(gain * UNITY_GAIN) for gain in gains),
        matrix=IDENTITY_MATRIX if options.matrix is None else matrix_of(options.matrix),
        gamma=options.gamma or (IDENTITY_TABLE if rendered else srgb_table()),
    )
    return Registers(
        pixels=pixels,
        scaling=scaling_for(options, frame, tensor) if scaled or change else None,
        change=change_settings(options) if change else None,
        jpeg=JpegSettings.of_quality(options.quality, options.restart_interval) if jpeg else None,
        jpeg_grey=options.grey,
    )


def automatic_gains(options: IspOptions, frame: Frame) -> bool:
    """Whether gains come from the frame's statistics: when asked for, and for a RAW file."""
    return options.gains == AUTO or (options.gains is None and frame.original is None)


def black_levels(options: IspOptions, frame: Frame) -> tuple[int, ...]:
    """Levels in 12 bits, from the file's units, rounded half up."""
    if options.black_level is None:
        return (0,) * 4
    highest = (1 << frame.raw_bits) - 1
    if (largest := max(options.black_level)) >= highest:
        raise InputError(
            f"the black level must be below {highest:,}, the white of {frame.raw_bits} bits, and "
            f"is {largest:g}"
        )
    step = 2.0 ** (frame.raw_bits - PIXEL_BITS)
    return tuple(min(int(level / step + 0.5), white(frame) - 1) for level in options.black_level)


def white(frame: Frame) -> int:
    """The largest value of a pixel, at the upper end of 12 bits."""
    return ((1 << frame.bits) - 1) << (PIXEL_BITS - frame.bits)


def matrix_of(values: tuple[float, ...]) -> tuple[tuple[int, ...], ...]:
    """Nine numbers as coefficients."""
    fixed = [round(value * (1 << MATRIX_FRACTION_BITS)) for value in values]
    return tuple(tuple(fixed[row : row + 3]) for row in (0, 3, 6))


def scaling_for(options: IspOptions, frame: Frame, tensor: TensorFormat) -> Scaling:
    """The crop, by default everything, and a size, by default the largest of the same shape."""
    columns, rows = frame.size
    crop = options.crop or Crop(0, 0, columns, rows)
    if crop.left + crop.width > columns or crop.top + crop.height > rows:
        raise InputError(
            f"crop {crop.width}x{crop.height}+{crop.left}+{crop.top} is not within the "
            f"{columns}x{rows} pixels of {frame.name!r}"
        )
    width, height = options.tensor_size or largest(crop.width, crop.height)
    if not (1 <= width <= MAX_OUTPUT_WIDTH and 1 <= height <= MAX_OUTPUT_HEIGHT):
        raise InputError(
            f"the scaler gives 1x1 to {MAX_OUTPUT_WIDTH}x{MAX_OUTPUT_HEIGHT} pixels, and "
            f"{width}x{height} are wanted"
        )
    if width > crop.width or height > crop.height:
        part = "crop" if options.crop else f"frame {frame.name!r}"
        raise InputError(
            f"the scaler only averages down, and {width}x{height} pixels are wanted of the "
            f"{crop.width}x{crop.height} of the {part}"
        )
    return Scaling(crop, width, height, options.grey, tensor)


def largest(width: int, height: int) -> tuple[int, int]:
    """The largest size of that shape that the scaler gives without enlarging."""
    if width <= MAX_OUTPUT_WIDTH and height <= MAX_OUTPUT_HEIGHT:
        return width, height
    if width * MAX_OUTPUT_HEIGHT >= height * MAX_OUTPUT_WIDTH:
        return MAX_OUTPUT_WIDTH, max(1, height * MAX_OUTPUT_WIDTH // width)
    return max(1, width * MAX_OUTPUT_HEIGHT // height), MAX_OUTPUT_HEIGHT


def change_settings(options: IspOptions) -> ChangeSettings:
    """Registers of change detection."""
    return ChangeSettings(
        block_bits=options.change_block.bit_length() - 1,
        mean_threshold=round(options.change_threshold * (1 << FRACTION_BITS)),
        activity_threshold=round(options.change_activity * (1 << FRACTION_BITS)),
        count=options.change_count,
        shift=options.change_shift,
    )


def format_of(port: Port, options: IspOptions) -> TensorFormat:
    """How pixels become the tensor of an input: as its scale, zero point and the range say.

    Raises
    ------
    InputError
        When the input is not int8, or it is not known what it takes pixels for.
    """
    if port.inside != "int8":
        raise InputError(f"input {port.name!r} is {port.inside}, and the front end writes int8")
    if options.tensor_range is None:
        if is_picture(port):
            return SHIFTED
        raise InputError(
            f"input {port.name!r} does not take pixels 0..255: its scale {port.scale} and zero "
            f"point {port.zero_point} are not those of a picture, so a tensor range must say what "
            "real values 0 and 255 stand for"
        )
    if port.scale is None or port.zero_point is None:
        raise InputError(f"input {port.name!r} has no scale, so it can have no tensor range")
    low, high = options.tensor_range
    try:
        return tensor_format(port.scale, port.zero_point, low, high)
    except ValueError as error:
        raise InputError(
            f"input {port.name!r} of scale {port.scale:.9g} cannot take {low:g} to {high:g}: "
            f"{error}"
        ) from None
