"""Legalisation of the element-wise operators on two tensors: ADD, SUB, MUL, MAXIMUM, MINIMUM.

Operands are int8 or int16, either may be constant, and either may have size 1 where the output has
more.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmsp.compiler.layers import Add, Constant, Conv, Layer, Multiply, Plain, Requantization, Scale
from mmsp.compiler.legalize.operands import INT8, Operands
from mmsp.compiler.legalize.quantization import (
    activation_range,
    quantize_multiplier,
    quantize_multiplier_smaller_than_one,
)
from mmsp.errors import InputError
from mmsp.graph import BATCHED_RANK, Tensor

__all__ = [
    "ACTIVATION_TYPES",
    "Operand",
    "fits_int8",
    "identity",
    "legalize_maximum",
    "legalize_multiply",
    "legalize_sum",
    "one_entry",
    "operand",
    "quantization_of",
    "store",
]

Pixels = tuple[int, int, int]
Scaling = tuple[int, int]
Scalings = tuple[Scaling, Scaling, Scaling]

LEFT_SHIFTS = {np.dtype(np.int8): 20, np.dtype(np.int16): 15}
"""Bits by which TFLM's ADD and SUB widen operands before it rescales them."""

ACTIVATION_TYPES = tuple(LEFT_SHIFTS)
CHANNEL_AXIS = 2


@dataclass(frozen=True)
class Operand:
    """One of two operands: ``values`` are those of a constant, ``(H, W, C)``."""

    tensor: Tensor
    pixels: Pixels
    scale: float
    zero_point: int
    values: NDArray | None


def quantization_of(operands: Operands, tensor: Tensor) -> tuple[float, int]:
    """Scale and zero point of an int8 or int16 tensor; those of int16 must be symmetric."""
    scale, zero_point = operands.per_tensor(tensor)
    if tensor.dtype != INT8 and zero_point != 0:
        raise InputError(
            f"tensor {tensor.name!r} is {tensor.dtype} with zero point {zero_point}, "
            f"and it must be 0"
        )
    return scale, zero_point


def operand(operands: Operands, index: int) -> Operand:
    """Input ``index``, constant or not."""
    tensor = operands.required(index, "an operand")
    if tensor.data is None:
        return Operand(
            operands.stored(index), tensor.pixels, *quantization_of(operands, tensor), None
        )
    if tensor.dtype not in ACTIVATION_TYPES:
        raise InputError(f"constant {tensor.name!r} is {tensor.dtype}, and must be int8 or int16")
    padding = BATCHED_RANK - len(tensor.shape)
    batch, height, width, channels = (1,) * padding + tensor.shape if padding >= 0 else (0,) * 4
    if batch != 1 or tensor.size < 1:
        raise InputError(
            f"constant {tensor.name!r} has shape {tensor.shape}, and must have at most "
            f"{BATCHED_RANK} dimensions, none of them empty, the first of {BATCHED_RANK} being 1"
        )
    pixels = (height, width, channels)
    return Operand(tensor, pixels, *quantization_of(operands, tensor), tensor.data.reshape(pixels))


def pair_of_operands(operands: Operands) -> tuple[Operand, Operand, Tensor]:
    """Both operands and the output, of one type and of shapes that go together."""
    first, second = operand(operands, 0), operand(operands, 1)
    if len(operands.node.outputs) != 1:
        raise InputError(f"has {len(operands.node.outputs)} outputs, and 1 is expected")
    output = operands.output_of(0)
    if first.values is not None and second.values is not None:
        raise InputError("both operands are constant, and one must be computed")
    types = {first.tensor.dtype, second.tensor.dtype, output.dtype}
    if len(types) > 1:
        names = ", ".join(sorted(str(dtype) for dtype in types))
        raise InputError(f"operands and output are {names}, and must be of one type")
    try:
        shape = np.broadcast_shapes(first.pixels, second.pixels)
    except ValueError:
        shape = None
    if shape != output.pixels:
        raise InputError(
            f"shapes {first.tensor.shape} and {second.tensor.shape} do not give the output's "
            f"shape {output.shape}: where sizes differ, one of them must be 1"
        )
    return first, second, output


def store(
    operands: Operands, source: Operand, suffix: str, *, channels: int = 1
) -> tuple[str, list[Layer]]:
    """Name of an operand, and the layer that stores it if it is constant.

    A constant of a single element is repeated for ``channels`` channels: the array reads whole
    words.
    """
    if source.values is None:
        return source.tensor.name, []
    values = source.values
    if values.size == 1:
        values = np.broadcast_to(values, (1, 1, channels))
    stored = operands.intermediate(suffix, (1, *values.shape), values.dtype)
    layer = Constant(
        name=operands.node.name,
        op=operands.node.op,
        output=stored.name,
        values=np.ascontiguousarray(values),
    )
    return stored.name, [layer]


def one_entry(scaling: tuple[int, int], zero_point: int, limits: tuple[int, int]) -> Requantization:
    """Requantisation of all channels alike."""
    multiplier, shift = scaling
    return Requantization(
        multiplier=np.array([multiplier], np.int32),
        shift=np.array([shift], np.int32),
        zero_point=zero_point,
        minimum=limits[0],
        maximum=limits[1],
    )


def identity(zero_point: int, limits: tuple[int, int]) -> Requantization:
    """Requantisation that keeps the scale."""
    return one_entry(quantize_multiplier(1.0), zero_point, limits)


def sum_scaling(first: float, second: float, output: float, left_shift: int) -> Scalings:
    """Multiplier and shift of both operands and of their sum, from the three scales.

    ``CalculateOpDataAdd`` of TFLM's ``add_common.cc``, and the pinned ``sub_common.cc``: double.
    """
    twice_largest = 2 * max(first, second)
    return (
        quantize_multiplier_smaller_than_one(first / twice_largest),
        quantize_multiplier_smaller_than_one(second / twice_largest),
        quantize_multiplier_smaller_than_one(twice_largest / ((1 << left_shift) * output)),
    )


def legalize_sum(operands: Operands) -> list[Layer]:
    """ADD and SUB."""
    first, second, output = pair_of_operands(operands)
    scale, zero_point = quantization_of(operands, output)
    left_shift = LEFT_SHIFTS[output.dtype]
    (a_multiplier, a_shift), (b_multiplier, b_shift), scaling = sum_scaling(
        first.scale, second.scale, scale, left_shift
    )
    channels = output.pixels[CHANNEL_AXIS]
    a, a_layers = store(operands, first, "a", channels=channels)
    b, b_layers = store(operands, second, "b", channels=channels)
    limits = activation_range(operands.activation_name, scale, zero_point, output.dtype)
    return [
        *a_layers,
        *b_layers,
        Add(
            name=operands.node.name,
            op=operands.node.op,
            operands=(a, b),
            output=output.name,
            subtract=operands.node.op == "SUB",
            input_zero_points=(first.zero_point, second.zero_point),
            input_multipliers=(a_multiplier, b_multiplier),
            input_shifts=(a_shift, b_shift),
            left_shift=left_shift,
            requantization=one_entry(scaling, zero_point, limits),
        ),
    ]


def legalize_multiply(operands: Operands) -> list[Layer]:
    """MUL, as ``CalculateOpDataMul`` of TFLM's ``mul_common.cc``.

    A product with one constant a channel is a depthwise convolution of one tap.
    """
    first, second, output = pair_of_operands(operands)
    scale, zero_point = quantization_of(operands, output)
    requantization = one_entry(
        quantize_multiplier(first.scale * second.scale / scale),
        zero_point,
        activation_range(operands.activation_name, scale, zero_point, output.dtype),
    )
    for constant, other in ((first, second), (second, first)):
        weights = weights_of(constant, output)
        if weights is not None and other.pixels == output.pixels:
            return [
                Conv(
                    name=operands.node.name,
                    op=operands.node.op,
                    input=other.tensor.name,
                    output=output.name,
                    weights=weights.reshape(-1, 1, 1, 1),
                    bias=np.zeros(len(weights), np.int32),
                    stride=(1, 1),
                    dilation=(1, 1),
                    padding=((0, 0), (0, 0)),
                    depthwise=True,
                    input_zero_point=other.zero_point,
                    requantization=requantization,
                )
            ]
    channels = output.pixels[CHANNEL_AXIS]
    a, a_layers = store(operands, first, "a", channels=channels)
    b, b_layers = store(operands, second, "b", channels=channels)
    return [
        *a_layers,
        *b_layers,
        Multiply(
            name=operands.node.name,
            op=operands.node.op,
            operands=(a, b),
            output=output.name,
            input_zero_points=(first.zero_point, second.zero_point),
            requantization=requantization,
        ),
    ]


def weights_of(constant: Operand, output: Tensor) -> NDArray[np.int8] | None:
    """Constant factors as int8 weights, one a channel, or None where they are none."""
    if constant.values is None or output.dtype != INT8 or constant.pixels[:2] != (1, 1):
        return None
    factors = constant.values.reshape(-1).astype(np.int16) - np.int16(constant.zero_point)
    if not fits_int8(factors):
        return None
    return np.broadcast_to(factors, output.pixels[CHANNEL_AXIS]).astype(np.int8)


def fits_int8(values: NDArray) -> bool:
    """Whether all values are weights that the array can hold."""
    return bool(np.array_equal(values, values.astype(np.int8)))


def legalize_maximum(operands: Operands) -> list[Layer]:
    """MAXIMUM and MINIMUM; as in TFLM nothing is rescaled, so all scales must be equal.

    With a single constant it is a clamp.
    """
    first, second, output = pair_of_operands(operands)
    for source in (first, second):
        operands.require_equal_quantization(source.tensor, output)
    limits = np.iinfo(output.dtype)
    low, high = int(limits.min), int(limits.max)
    kind = "maximum" if operands.node.op == "MAXIMUM" else "minimum"
    for constant, other in ((first, second), (second, first)):
        if constant.values is None or constant.values.size > 1 or other.pixels != output.pixels:
            continue
        bound = constant.values.item()
        return [
            Scale(
                name=operands.node.name,
                op=operands.node.op,
                input=other.tensor.name,
                output=output.name,
                input_zero_point=0,
                requantization=identity(0, (bound, high) if kind == "maximum" else (low, bound)),
            )
        ]
    a, a_layers = store(operands, first, "a")
    b, b_layers = store(operands, second, "b")
    return [
        *a_layers,
        *b_layers,
        Plain(
            name=operands.node.name,
            op=operands.node.op,
            operands=(a, b),
            output=output.name,
            kind=kind,
            range=(low, high),
        ),
    ]
