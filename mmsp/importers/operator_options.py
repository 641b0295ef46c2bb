"""The builtin options of .tflite operators, read and written by one table.

`OPTIONS` says for every operator which flatbuffer table holds its options and which of its members
make up which attribute of `mmsp.graph.Node`.  An operator that is not listed has no attributes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import tflite

from mmsp.errors import InputError

__all__ = [
    "OPTIONS",
    "Options",
    "enum_names",
    "explicit_padding",
    "same_padding",
    "write_int32_vector",
]

Pairs = tuple[tuple[int, int], tuple[int, int]]


def enum_names(enum: type) -> dict[int, str]:
    """Names of a generated flatbuffer enum by value."""
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}


@dataclass(frozen=True)
class Field:
    """One attribute made of one member, or a tuple made of several."""

    attribute: str
    members: tuple[str, ...]
    kind: Callable[[Any], Any] = int

    def read(self, options: Any) -> Any:
        """Value of the attribute."""
        values = [self.kind(getattr(options, member)()) for member in self.members]
        return tuple(values) if len(values) > 1 else values[0]

    def write(self, value: Any, builder: flatbuffers.Builder) -> dict[str, Any]:
        """Values of the members."""
        return dict(zip(self.members, value if len(self.members) > 1 else (value,), strict=True))


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


def write_int32_vector(builder: flatbuffers.Builder, values: Sequence[int]) -> int:
    """Write a vector of int32 and return its offset."""
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependInt32(int(value))
    return builder.EndVector()


@dataclass(frozen=True)
class Options:
    """The options table of an operator."""

    table: str
    fields: tuple[Field | EnumField | VectorField, ...] = ()

    @property
    def type_code(self) -> int:
        """Value of the union's discriminator."""
        return getattr(tflite.BuiltinOptions, self.table)

    def read(self, union: Any) -> dict[str, Any]:
        """Attributes of a node whose options are ``union``, an untyped flatbuffer table."""
        options = getattr(tflite, self.table)()
        options.Init(union.Bytes, union.Pos)
        return {field.attribute: field.read(options) for field in self.fields}

    def write(self, builder: flatbuffers.Builder, attributes: dict[str, Any]) -> int:
        """Write the table and return its offset."""
        members: dict[str, Any] = {}
        for field in self.fields:
            if field.attribute in attributes:
                members |= field.write(attributes[field.attribute], builder)
        getattr(tflite, f"{self.table}Start")(builder)
        for member, value in members.items():
            getattr(tflite, f"{self.table}Add{member}")(builder, value)
        return getattr(tflite, f"{self.table}End")(builder)


ACTIVATION = EnumField("activation", "FusedActivationFunction", tflite.ActivationFunctionType)
STRIDE = Field("stride", ("StrideH", "StrideW"))
DILATION = Field("dilation", ("DilationHFactor", "DilationWFactor"))
PADDING = EnumField("padding", "Padding", tflite.Padding)
POOL = Options(
    "Pool2DOptions", (PADDING, STRIDE, Field("kernel", ("FilterHeight", "FilterWidth")), ACTIVATION)
)

OPTIONS: dict[str, Options] = {
    "ADD": Options("AddOptions", (ACTIVATION,)),
    "AVERAGE_POOL_2D": POOL,
    "CONV_2D": Options("Conv2DOptions", (PADDING, STRIDE, DILATION, ACTIVATION)),
    "DEPTHWISE_CONV_2D": Options(
        "DepthwiseConv2DOptions",
        (PADDING, STRIDE, DILATION, Field("depth_multiplier", ("DepthMultiplier",)), ACTIVATION),
    ),
    "DEQUANTIZE": Options("DequantizeOptions"),
    "FULLY_CONNECTED": Options(
        "FullyConnectedOptions",
        (
            ACTIVATION,
            EnumField("weights_format", "WeightsFormat", tflite.FullyConnectedOptionsWeightsFormat),
            Field("keep_dimensions", ("KeepNumDims",), bool),
        ),
    ),
    "MAX_POOL_2D": POOL,
    "PAD": Options("PadOptions"),
    "QUANTIZE": Options("QuantizeOptions"),
    "RESHAPE": Options("ReshapeOptions", (VectorField("new_shape", "NewShape"),)),
    "SOFTMAX": Options("SoftmaxOptions", (Field("beta", ("Beta",), float),)),
    "TRANSPOSE_CONV": Options("TransposeConvOptions", (PADDING, STRIDE, ACTIVATION)),
}


def same_padding(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> Pairs:
    """Padding of a window that slides over ``size`` pixels with padding SAME.

    As TFLite's ``ComputePaddingHeightWidth``: what is odd goes to the bottom and the right.
    """

    def one(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
        extent = (kernel - 1) * dilation + 1
        steps = (size + stride - 1) // stride
        total = max((steps - 1) * stride + extent - size, 0)
        return total // 2, total - total // 2

    vertical, horizontal = map(one, size, kernel, stride, dilation)
    return vertical, horizontal


def explicit_padding(
    scheme: str,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> Pairs:
    """Padding ``((top, bottom), (left, right))`` for scheme ``SAME`` or ``VALID``."""
    if scheme == "VALID":
        return (0, 0), (0, 0)
    return same_padding(size, kernel, stride, dilation)
