"""What the user says about frames: on the command line, or in a TOML file."""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmsp.errors import InputError
from mmsp.imaging.frames import Layout
from models.image.bad_pixels import MAX_RANK
from models.image.bayer import BAYER_ORDERS, MAX_RAW_BITS, MIN_RAW_BITS, PIXEL_MAX
from models.image.gamma import IDENTITY_TABLE, KNOT_MAX, KNOTS, srgb_table
from models.image.jpeg import MAX_INTERVAL
from models.image.scaler import Crop

__all__ = ["AUTO", "FIELDS", "IspOptions", "parse_options", "read_settings"]

AUTO = "auto"
GAMMA_TABLES = {"srgb": srgb_table, "identity": lambda: IDENTITY_TABLE}
CHANGE_BLOCKS = (8, 16, 32)
SIZE = re.compile(r"(\d{1,5})x(\d{1,5})", re.IGNORECASE)
GEOMETRY = re.compile(SIZE.pattern + r"\+(\d{1,5})\+(\d{1,5})", re.IGNORECASE)
HIGHEST_GAIN = 15.999
MATRIX_LOW, MATRIX_HIGH = -8.0, 7.999
BYTE_MAX = 255


@dataclass(frozen=True, kw_only=True)
class IspOptions:
    """Settings in people's units; None is what suits the file, see `registers_for`.

    Attributes
    ----------
    pattern, bits, size
        See `Layout`.
    black_level : tuple of float, optional
        Of the four phases, in units of the file's pixels.
    bad_pixel_threshold, bad_pixel_rank : int, optional
        In units of 12 bits; 4095 is off.
    gains : tuple of float or "auto", optional
        Of the four phases.
    matrix : tuple of float, optional
        Nine, row by row.
    gamma : tuple of int, optional
        Knots.
    crop, tensor_size, tensor_range
        Rectangle of the picture, width and height, and the real values of pixels 0 and 255.
    grey : bool
        Tensor and JPEG of luma alone.
    quality, restart_interval : int
        Of a JPEG file; MCUs between restart markers, 0 for none.
    change_threshold, change_activity : float
        Of 255.
    change_count, change_block, change_shift : int
        See `models.image.change.ChangeSettings`; the block is a side in pixels.
    """

    pattern: str | None = None
    bits: int | None = None
    size: tuple[int, int] | None = None
    black_level: tuple[float, ...] | None = None
    bad_pixel_threshold: int | None = None
    bad_pixel_rank: int = 1
    gains: tuple[float, ...] | str | None = None
    matrix: tuple[float, ...] | None = None
    gamma: tuple[int, ...] | None = None
    crop: Crop | None = None
    tensor_size: tuple[int, int] | None = None
    tensor_range: tuple[float, ...] | None = None
    grey: bool = False
    quality: int = 85
    restart_interval: int = 0
    change_threshold: float = 8.0
    change_activity: float = 8.0
    change_count: int = 2
    change_block: int = 8
    change_shift: int = 2

    @property
    def layout(self) -> Layout:
        """The part that is about RAW files."""
        return Layout(order=self.pattern, bits=self.bits, size=self.size)


class Unfit(ValueError):
    """A text that is no value; the message is what it must be."""


def whole(low: int, high: int) -> Callable[[str], int]:
    """A parser of integers."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or not low <= int(text) <= high:
            raise Unfit(f"an integer of {low} to {high}")
        return int(text)

    return parse


def numbers(
    counts: Sequence[int], low: float, high: float, what: str
) -> Callable[[str], tuple[float, ...]]:
    """A parser of numbers with commas between them; there may be as many as ``counts`` says."""
    wanted = f"{what} of {low:g} to {high:g}"

    def parse(text: str) -> tuple[float, ...]:
        try:
            values = tuple(float(part) for part in text.split(","))
        except ValueError:
            raise Unfit(wanted) from None
        if len(values) not in counts or not all(low <= value <= high for value in values):
            raise Unfit(wanted)
        return values

    return parse


def real(low: float, high: float) -> Callable[[str], float]:
    """A parser of one number."""
    parse = numbers((1,), low, high, "a number")
    return lambda text: parse(text)[0]


def of_phases(values: tuple[float, ...]) -> tuple[float, ...]:
    """One value for all, three for red, green and blue, or four of the phases, as four."""
    if len(values) == 1:
        return values * 4
    if len(values) == 4:  # noqa: PLR2004  (phases)
        return values
    red, green, blue = values
    return red, green, green, blue


def parse_pattern(text: str) -> str:
    """A Bayer order."""
    if text.upper() not in BAYER_ORDERS:
        raise Unfit(f"one of {', '.join(BAYER_ORDERS)}")
    return text.upper()


def parse_size(text: str) -> tuple[int, int]:
    """Width and height."""
    if not (found := SIZE.fullmatch(text)):
        raise Unfit("WIDTHxHEIGHT, such as 768x512")
    return int(found[1]), int(found[2])


def parse_crop(text: str) -> Crop:
    """A rectangle."""
    wanted = "WIDTHxHEIGHT+LEFT+TOP, such as 400x400+100+0"
    if not (found := GEOMETRY.fullmatch(text)):
        raise Unfit(wanted)
    width, height, left, top = (int(part) for part in found.groups())
    try:
        return Crop(left, top, width, height)
    except ValueError as error:
        raise Unfit(f"{wanted} ({error})") from None


def parse_gains(text: str) -> tuple[float, ...] | str:
    """``auto``, or gains."""
    if text.lower() == AUTO:
        return AUTO
    what = f"{AUTO}, or 1, 3 (red, green, blue) or 4 numbers"
    return of_phases(numbers((1, 3, 4), 0, HIGHEST_GAIN, what)(text))


def parse_black(text: str) -> tuple[float, ...]:
    """Levels of the phases."""
    what = "1, 3 (red, green, blue) or 4 numbers"
    return of_phases(numbers((1, 3, 4), 0, (1 << MAX_RAW_BITS) - 1, what)(text))


def parse_gamma(text: str) -> tuple[int, ...]:
    """A table by its name, its numbers, or a file of them."""
    if (name := text.lower()) in GAMMA_TABLES:
        return tuple(GAMMA_TABLES[name]())
    wanted = f"{', '.join(GAMMA_TABLES)}, or a file of {KNOTS} integers of 0 to {KNOT_MAX}"
    given = text
    if "," not in text:
        try:
            given = Path(text).read_bytes().decode("ascii", "replace")
        except OSError as error:
            raise Unfit(f"{wanted} ({error.strerror})") from None
    parts = given.replace(",", " ").split()
    if len(parts) != KNOTS or not all(re.fullmatch(r"\d{1,4}", part) for part in parts):
        raise Unfit(f"{wanted} (there are {len(parts)} words)")
    knots = tuple(int(part) for part in parts)
    if max(knots) > KNOT_MAX:
        raise Unfit(f"{wanted} (the largest is {max(knots)})")
    return knots


def parse_flag(text: str) -> bool:
    """A switch in a file."""
    if text not in ("True", "False"):
        raise Unfit("true or false")
    return text == "True"


def parse_block(text: str) -> int:
    """A block's side."""
    if text not in (allowed := [str(side) for side in CHANGE_BLOCKS]):
        raise Unfit(f"one of {', '.join(allowed)}")
    return int(text)


FIELDS: dict[str, Callable[[str], Any]] = {
    "pattern": parse_pattern,
    "bits": whole(MIN_RAW_BITS, MAX_RAW_BITS),
    "size": parse_size,
    "black_level": parse_black,
    "bad_pixel_threshold": whole(0, PIXEL_MAX),
    "bad_pixel_rank": whole(0, MAX_RANK),
    "gains": parse_gains,
    "matrix": numbers((9,), MATRIX_LOW, MATRIX_HIGH, "9 numbers"),
    "gamma": parse_gamma,
    "crop": parse_crop,
    "tensor_size": parse_size,
    "tensor_range": numbers((2,), -1000, 1000, "2 numbers"),
    "grey": parse_flag,
    "quality": whole(1, 100),
    "restart_interval": whole(0, MAX_INTERVAL),
    "change_threshold": real(0, BYTE_MAX),
    "change_activity": real(0, BYTE_MAX),
    "change_count": whole(1, 2047),
    "change_block": parse_block,
    "change_shift": whole(0, 8),
}
"""Parsers of `IspOptions`' fields."""


def parse_options(given: Mapping[str, str | None], settings: Mapping[str, str]) -> IspOptions:
    """Options of the command line (None: not given), over those of a file.

    Raises
    ------
    InputError
        With the option or field, its value and what is allowed.
    """
    values = {}
    for name, parse in FIELDS.items():
        text, what = given.get(name), f"--{name.replace('_', '-')}"
        if text is None:
            text, what = settings.get(name), f"{name} of the settings"
        if text is None:
            continue
        try:
            values[name] = parse(text)
        except Unfit as wanted:
            raise InputError(f"{what} must be {wanted}, and is {shown(text)}") from None
    return IspOptions(**values)


def shown(text: str) -> str:
    """A value in a sentence, which a table of numbers would be too long for."""
    most = 60
    return repr(text if len(text) <= most else f"{text[:most]}...")


def read_settings(name: str | None) -> dict[str, str]:
    """Fields of a TOML file, as the command line would have them.

    Lists become numbers with commas between them, lists of lists, too.

    Raises
    ------
    InputError
        When it cannot be read, or has a field that there is not.
    """
    if name is None:
        return {}
    try:
        given = tomllib.loads(Path(name).read_bytes().decode())
    except OSError as error:
        raise InputError(f"settings {name!r} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"settings {name!r} are no text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"settings {name!r} are no TOML: {error}") from None
    for key, value in given.items():
        if key not in FIELDS:
            raise InputError(
                f"settings {name!r}: there is no field {key} (= {value!r}): it must be one of "
                f"{', '.join(FIELDS)}"
            )
    return {key: as_text(value) for key, value in given.items()}


def as_text(value: object) -> str:
    """A TOML value as an option."""
    if isinstance(value, list):
        return ",".join(as_text(each) for each in value)
    return str(value)
