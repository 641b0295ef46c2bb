"""Values of parsed JSON, each read with a check and a sentence about what is wrong with it."""

from collections.abc import Callable
from typing import Any

from mmsp.errors import InputError

__all__ = ["COUNT_LIMIT", "Fields", "integer", "positive", "rows", "text"]

NAME_LIMIT = 4096
COUNT_LIMIT = 1 << 24
"""No size and no number of things in an image is larger."""


class Fields:
    """The members of one JSON object, read with a check each."""

    def __init__(self, value: Any, what: str):
        if not isinstance(value, dict):
            raise InputError(f"the image's {what} is {type(value).__name__}, not an object")
        self.value, self.what = value, what

    def get(self, name: str) -> Any:
        """A member that must be there."""
        if name not in self.value:
            raise InputError(f"the image's {self.what} has no field {name!r}")
        return self.value[name]

    def list(self, name: str) -> list[Any]:
        """A list."""
        value = self.get(name)
        if not isinstance(value, list):
            raise InputError(f"field {name!r} of the image's {self.what} is {value!r}, not a list")
        return value

    def text(self, name: str) -> str:
        """A string."""
        return text(self.get(name))

    def integer(self, name: str, low: int, high: int) -> int:
        """An integer of ``low..high``."""
        return integer(self.get(name), name, low, high)

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.get(name)
        if not isinstance(value, bool):
            raise InputError(f"field {name!r} of the image's {self.what} is {value!r}, not a flag")
        return value

    def shape(self, name: str) -> tuple[int, ...]:
        """Positive sizes."""
        return tuple(integer(size, name, 1, COUNT_LIMIT) for size in self.list(name))

    def optional(self, name: str, read: Callable[[Any], Any]) -> Any:
        """None, or what ``read`` makes of the member."""
        value = self.get(name)
        return None if value is None else read(value)


def integer(value: Any, name: str, low: int, high: int) -> int:
    """Check an integer; JSON's booleans are none."""
    if type(value) is not int or not low <= value <= high:
        raise InputError(f"{name} in the image is {value!r}, not one of {low}..{high}")
    return value


def text(value: Any) -> str:
    """Check a string."""
    if not isinstance(value, str) or len(value) > NAME_LIMIT:
        raise InputError(f"a name in the image is {str(value)[:40]!r}, not a text")
    return value


def positive(value: Any) -> float:
    """Check a scale."""
    if type(value) not in (int, float) or not 0 < value < float("inf"):
        raise InputError(f"a scale in the image is {value!r}, and must be positive")
    return float(value)


def rows(values: list[Any], width: int, name: str) -> list[list[Any]]:
    """Check that each entry is a list of ``width``."""
    for value in values:
        if not isinstance(value, list) or len(value) != width:
            raise InputError(f"an entry of {name!r} in the image is not a list of {width}")
    return values
