"""Translates element-wise operators, activations and Softmax."""

from dataclasses import replace

import numpy as np

from mmsp.errors import InputError
from mmsp.graph import Quantization
from mmsp.importers.onnx_qdq.builder import INT16, GraphBuilder
from mmsp.importers.onnx_qdq.file import Operation
from mmsp.importers.onnx_qdq.values import (
    Clamp,
    Constant,
    Layout,
    Pending,
    Shape,
    Stored,
    Weight,
)

__all__ = ["clip", "curve", "leaky_relu", "prelu", "relu", "softmax", "two_operands"]

TFLITE_OPS = {"Add": "ADD", "Sub": "SUB", "Mul": "MUL", "Sigmoid": "LOGISTIC", "Tanh": "TANH"}

NATURAL = {
    "Sigmoid": Quantization((1 / 256,), (-128,)),
    "Tanh": Quantization((1 / 128,), (0,)),
    "Softmax": Quantization((1 / 256,), (-128,)),
}
"""Scale and zero point that TFLite prescribes for the result."""

Q15 = Quantization((2.0**-15,), (0,))
"""The same for int16, of Sigmoid and Tanh."""

LARGEST_INT8 = 127


def two_operands(op: Operation, b: GraphBuilder) -> Pending:
    """Add, Sub and Mul, with broadcasting; one operand may be constant."""
    fused = bias_of(op)
    if fused is not None:
        return fused
    constants = [isinstance(op.required(index), Constant | Weight) for index in range(2)]
    if all(constants):
        raise InputError("both operands are constant, and one must be computed")
    sources = {index: op.activation(index) for index in range(2) if not constants[index]}
    values = [
        sources[index] if index in sources else quantized_constant(op, index) for index in range(2)
    ]
    shapes = [value.shape if isinstance(value, Stored) else value.data.shape for value in values]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        raise InputError(f"shapes {shapes[0]} and {shapes[1]} do not go together") from None
    rank = len(shape)
    operands: list[Stored | Weight] = []
    for value in values:
        if isinstance(value, Stored):
            operands.append(b.reshape(value, widened(value.shape, rank)))
        else:
            operands.append(
                replace(value, data=value.data.reshape(widened(value.data.shape, rank)))
            )
    layout = common_layout(operands, shape)
    explain_constants(op, b)

    def build(quantization: Quantization, activation: str, stem: str) -> Stored:
        names = [
            b.arrange(value, layout)
            if isinstance(value, Stored)
            else add_constant(b, op, value, layout)
            for value in operands
        ]
        result = b.result(stem, shape, layout, quantization)
        b.node(TFLITE_OPS[op.op], op.name, names, (result.tensor,), activation=activation)
        return result

    return Pending(op.name, shape, build, fuses=True)


def widened(shape: Shape, rank: int) -> Shape:
    """``shape`` with leading dimensions of 1, as broadcasting sees it."""
    return (1,) * (rank - len(shape)) + shape


def common_layout(operands: list[Stored | Weight], shape: Shape) -> Layout:
    """Order in which most of the data lies already."""
    stored = [value for value in operands if isinstance(value, Stored)]
    for value in sorted(stored, key=lambda value: value.shape != shape):
        if value.shape == value.base:
            return value.layout
    return tuple(range(len(shape)))


def bias_of(op: Operation) -> Pending | None:
    """The result of an Add whose constant is the bias of the node before, or None."""
    if op.op != "Add":
        return None
    for index in range(2):
        pending, constant = op.required(index), op.required(1 - index)
        if not isinstance(pending, Pending) or not isinstance(constant, Constant | Weight):
            continue
        shape = (constant.data if isinstance(constant, Weight) else constant.array).shape
        # Channels are the last dimension behind MatMul and Gemm, the second behind Conv.
        axis = 1 if len(pending.shape) > 2 and is_channel(shape, pending.shape, 1) else -1  # noqa: PLR2004
        if pending.with_bias is not None and is_channel(shape, pending.shape, axis):
            return pending.with_bias(constant)
    return None


def is_channel(shape: Shape, whole: Shape, axis: int) -> bool:
    """Whether a constant of ``shape`` varies along dimension ``axis`` of ``whole`` only."""
    if len(shape) > len(whole):
        return False
    wanted = [1] * len(whole)
    wanted[axis] = whole[axis]
    return widened(shape, len(whole)) == tuple(wanted)


def quantized_constant(op: Operation, index: int) -> Weight:
    """A constant operand as int8 with one scale; float values get a symmetric one."""
    value = op.required(index)
    assert isinstance(value, Constant | Weight), "the caller has looked"
    if isinstance(value, Weight) and value.scale.size == 1 and value.data.dtype == np.int8:
        return value
    real = value.real if isinstance(value, Weight) else value.array.astype(np.float64)
    if not np.isfinite(real).all() or real.size < 1:
        raise InputError(f"constant {op.operand_names[index]!r} must be finite, and not empty")
    scale = np.float32(np.abs(real).max() / LARGEST_INT8) or np.float32(1)
    data = np.clip(np.rint(real / np.float64(scale)), -LARGEST_INT8, LARGEST_INT8)
    return Weight(data.astype(np.int8), scale.reshape(1), np.zeros(1, np.int64), 0, 0)


def explain_constants(op: Operation, b: GraphBuilder) -> None:
    """Say which constants were quantised."""
    for value, name in zip(op.operands, op.operand_names, strict=True):
        if isinstance(value, Constant) or (isinstance(value, Weight) and value.scale.size > 1):
            b.notes.append(f"node {op.name!r}: its constant {name!r} is quantised to int8")


def add_constant(b: GraphBuilder, op: Operation, value: Weight, layout: Layout) -> str:
    """Add a constant operand in the order ``layout``."""
    quantization = Quantization((float(value.scale[0]),), (int(value.zero_point[0]),))
    return b.constant(f"{op.name}:constant", value.data.transpose(layout), quantization)


def relu(op: Operation, b: GraphBuilder) -> Pending:
    """Relu: fused into the node before, or RELU."""
    return limited(op, b, (0.0, np.inf))


def clip(op: Operation, b: GraphBuilder) -> Pending:
    """Clip: as Relu, with other limits."""
    limits = []
    for index, default in ((1, -np.inf), (2, np.inf)):
        array = op.constant(index, "limit")
        limits.append(default if array is None else float(array.reshape(())))
    return limited(op, b, (limits[0], limits[1]))


def limited(op: Operation, b: GraphBuilder, clamp: Clamp) -> Pending:
    """The input between two limits."""
    value = op.movable(0)
    if isinstance(value, Pending):
        return value.clamped(clamp)
    source = op.activation(0)

    def build(quantization: Quantization, activation: str, stem: str) -> Stored:
        if activation == "RELU":  # rescales, the others do not
            return b.unary(source, "RELU", op.name, stem, quantization)
        rescaled = b.requantized(source, quantization, op.name, stem)
        return rescaled if activation == "NONE" else b.clamped(rescaled, activation, op.name)

    return Pending(op.name, source.shape, build, fuses=True, clamp=clamp)


def leaky_relu(op: Operation, b: GraphBuilder) -> Pending:
    """LeakyRelu: LEAKY_RELU."""
    source, alpha = op.activation(0), float(op.take("alpha", 0.01))

    def build(quantization: Quantization, activation: str, stem: str) -> Stored:
        return b.unary(source, "LEAKY_RELU", op.name, stem, quantization, alpha=alpha)

    return Pending(op.name, source.shape, build)


def prelu(op: Operation, b: GraphBuilder) -> Pending:
    """PRelu: PRELU."""
    source = b.plain(op.activation(0))
    if not isinstance(op.required(1), Constant | Weight):
        raise InputError("input 1 (slope) must be constant")
    slope = quantized_constant(op, 1)
    explain_constants(op, b)
    rank = len(source.shape)
    if len(slope.data.shape) > rank:
        raise InputError(f"slopes of shape {slope.data.shape} do not fit input {source.shape}")
    data = slope.data.reshape(widened(slope.data.shape, rank))
    # TFLite's slopes have no batch dimension.
    shape = tuple(data.shape[axis] for axis in source.layout)
    quantization = Quantization((float(slope.scale[0]),), (int(slope.zero_point[0]),))
    alpha = b.constant(
        f"{op.name}:slope", data.transpose(source.layout).reshape(shape[1:] or shape), quantization
    )

    def build(quantization: Quantization, activation: str, stem: str) -> Stored:
        result = b.result(stem, source.shape, source.layout, quantization)
        b.node("PRELU", op.name, (source.tensor, alpha), (result.tensor,))
        return result

    return Pending(op.name, source.shape, build)


def curve(op: Operation, b: GraphBuilder) -> Pending:
    """Sigmoid and Tanh: LOGISTIC and TANH, whose results have a prescribed scale, then QUANTIZE."""
    source, natural = op.activation(0), NATURAL[op.op]

    def build(quantization: Quantization, activation: str, stem: str) -> Stored:
        name, operation = f"{op.name}:natural", TFLITE_OPS[op.op]
        if quantization == natural:
            return b.unary(source, operation, op.name, stem, natural)
        if 2 * quantization.scale[0] > natural.scale[0]:
            result = b.unary(source, operation, op.name, name, natural)
        else:  # the result has finer steps than int8
            fine = b.widened(source, op.name)
            result = b.unary(fine, operation, op.name, name, Q15, INT16)
        return b.requantized(result, quantization, op.name, stem)

    return Pending(op.name, source.shape, build, natural=natural)


def softmax(op: Operation, b: GraphBuilder) -> Pending:
    """Softmax: SOFTMAX over the last dimension in memory."""
    source = op.activation(0)
    rank = len(source.shape)
    axis = op.take("axis", -1)
    if not -rank <= axis < rank:
        raise InputError(f"attribute axis is {axis}, and must be one of {-rank}..{rank - 1}")
    axis, natural = axis % rank, NATURAL["Softmax"]
    layout = (*(other for other in range(rank) if other != axis), axis)

    def build(quantization: Quantization, activation: str, stem: str) -> Stored:
        arranged = b.arranged(source, layout)
        if quantization != natural:
            b.notes.append(f"node {op.name!r}: its result is rounded to steps of 1/256 first")
        name = stem if quantization == natural else f"{op.name}:natural"
        result = b.unary(arranged, "SOFTMAX", op.name, name, natural, beta=1.0)
        return b.requantized(result, quantization, op.name, stem)

    return Pending(op.name, source.shape, build, natural=natural, softmax=(source, axis))
