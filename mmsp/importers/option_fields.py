"""The kinds of members that the options of .tflite operators have, each read and written.

`mmsp.importers.operator_options` puts them together to one table of all operators.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import tflite

from mmsp.errors import InputError

__all__ = [
    "EnumField",
    "Field",
    "Options",
    "TextField",
    "VectorField",
    "enum_names",
    "write_int32_vector",
]


def enum_names(enum: type) -> dict[int, str]:
    """Names of a generated flatbuffer enum by value."""
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}


@dataclass(frozen=True)
class Field:
    """One attribute made of one member, or a tuple made of several.

    ``minimum`` bounds each member; a float must be finite.
    """

    attribute: str
    members: tuple[str, ...]
    kind: Callable[[Any], Any] = int
    minimum: int | None = None

    def check(self, value: Any) -> Any:
        """Return ``value``, or raise when it is not allowed."""
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{self.attribute} {value} is not finite")
        if self.minimum is not None and value < self.minimum:
            raise InputError(f"{self.attribute} {value} is not at least {self.minimum}")
        return value

    def read(self, options: Any) -> Any:
        """Value of the attribute."""
        values = [self.check(self.kind(getattr(options, member)())) for member in self.members]
        return tuple(values) if len(values) > 1 else values[0]

    def write(self, value: Any, builder: flatbuffers.Builder) -> dict[str, Any]:
        """Values of the members."""
        values = value if len(self.members) > 1 else (value,)
        return dict(zip(self.members, map(self.check, values), strict=True))


@dataclass(frozen=True)
class EnumField:
    """One attribute that holds the name of an enum value."""

    attribute: str
    member: str
    enum: type

    def read(self, options: Any) -> str:
        """Name of the value."""
        value = getattr(options, self.member)()
        names = enum_names(self.enum)
        if value not in names:
            raise InputError(f"{self.attribute} {value} is not one of {sorted(names)}")
        return names[value]

    def write(self, value: str, builder: flatbuffers.Builder) -> dict[str, int]:
        """Value of the member."""
        names = sorted(enum_names(self.enum).values())
        if value not in names:
            raise InputError(f"{self.attribute} {value!r} is not one of {', '.join(names)}")
        return {self.member: getattr(self.enum, value)}


@dataclass(frozen=True)
class VectorField:
    """One attribute that holds a tuple of int32; absent and empty are the same."""

    attribute: str
    member: str

    def read(self, options: Any) -> tuple[int, ...]:
        """Elements of the vector."""
        values = getattr(options, f"{self.member}AsNumpy")()
        return () if isinstance(values, int) else tuple(values.tolist())

    def write(self, value: Sequence[int], builder: flatbuffers.Builder) -> dict[str, int]:
        """Offset of the vector."""
        return {self.member: write_int32_vector(builder, value)} if value else {}


@dataclass(frozen=True)
class TextField:
    """One attribute that holds a string; absent and empty are the same."""

    attribute: str
    member: str

    def read(self, options: Any) -> str:
        """The string."""
        return (getattr(options, self.member)() or b"").decode(errors="replace")

    def write(self, value: str, builder: flatbuffers.Builder) -> dict[str, int]:
        """Offset of the string."""
        return {self.member: builder.CreateString(value)}


def write_int32_vector(builder: flatbuffers.Builder, values: Sequence[int]) -> int:
    """Write a vector of int32 and return its offset."""
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependInt32(int(value))
    return builder.EndVector()


@dataclass(frozen=True)
class Options:
    """The options of an operator: the flatbuffer table that holds them, and its fields.

    ``table`` is None where the schema has none.  A file may leave out a table without fields, or
    one whose fields are all ``optional``; they are then empty.
    """

    table: str | None
    fields: tuple[Field | EnumField | VectorField | TextField, ...] = ()
    optional: bool = False
    intermediates: bool = False
    """Whether the attribute ``intermediates`` names tensors that only lend their quantisation."""

    @property
    def type_code(self) -> int:
        """Value of the union's discriminator."""
        return getattr(tflite.BuiltinOptions, self.table or "NONE")

    @property
    def attributes(self) -> set[str]:
        """Names of the attributes that a node must have."""
        extra = {"intermediates"} if self.intermediates else set()
        return {field.attribute for field in self.fields} | extra

    def read(self, union: Any) -> dict[str, Any]:
        """Attributes of a node whose options are ``union``, an untyped flatbuffer table."""
        if self.table is None:
            return {}
        options = getattr(tflite, self.table)()
        options.Init(union.Bytes, union.Pos)
        return {field.attribute: field.read(options) for field in self.fields}

    def write(self, builder: flatbuffers.Builder, attributes: dict[str, Any]) -> int | None:
        """Write the table and return its offset, None where the schema has no table."""
        if self.table is None:
            return None
        members: dict[str, Any] = {}
        for field in self.fields:
            members |= field.write(attributes[field.attribute], builder)
        getattr(tflite, f"{self.table}Start")(builder)
        for member, value in members.items():
            getattr(tflite, f"{self.table}Add{member}")(builder, value)
        return getattr(tflite, f"{self.table}End")(builder)
