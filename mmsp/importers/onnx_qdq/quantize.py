"""Translates QuantizeLinear and DequantizeLinear, where real values become integers and back."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mmsp.errors import InputError
from mmsp.graph import Quantization
from mmsp.importers.onnx_qdq.edges import Edges
from mmsp.importers.onnx_qdq.file import Operation
from mmsp.importers.onnx_qdq.values import Constant, Outside, Pending, Value, Weight

__all__ = ["dequantize", "quantize"]

INT8_BITS = 8
IGNORED = ("saturate", "precision", "output_dtype")
"""Attributes of other types than integers; the type is that of the zero point."""


def read_parameters(op: Operation) -> tuple[NDArray[np.float32], Constant, int]:
    """Scale, zero point and axis."""
    scale = op.constant(1, "scale")
    if scale is None or scale.dtype != np.float32:
        raise InputError("input 1 (scale) must be constant float32")
    if not (np.isfinite(scale).all() and (scale > 0).all() and scale.size):
        raise InputError(f"scale is {scale.reshape(-1)[:1]}, and must be positive and finite")
    zero_point = op.operand(2)
    if zero_point is None:
        zero_point = Constant(np.zeros(scale.shape, np.uint8))
    if not isinstance(zero_point, Constant) or zero_point.array.size not in (1, scale.size):
        raise InputError("input 2 (zero point) must be constant, with an entry for each scale")
    op.expect("block_size", 0)
    for name in IGNORED:
        op.take(name, None, int)
    if scale.ndim > 1:
        raise InputError(f"scale has shape {scale.shape}, and must have at most 1 dimension")
    return scale.reshape(-1), zero_point, op.take("axis", 1)


def signed(array: NDArray, bits: int) -> NDArray:
    """Unsigned integers less half their range, so that they fit the signed type."""
    if array.dtype == np.uint8:
        half = 1 << ((bits or INT8_BITS) - 1)
        return (array.astype(np.int16) - half).astype(np.int8)
    return array


def activation_parameters(
    scale: NDArray[np.float32], zero_point: Constant, what: str
) -> Quantization:
    """Quantisation of an activation: int8, or uint8 as int8."""
    array = zero_point.array
    if scale.size != 1:
        raise InputError(f"{what} has {scale.size} scales, and an activation must have 1")
    if array.dtype not in (np.int8, np.uint8) or zero_point.bits:
        kind = f"{zero_point.bits}-bit" if zero_point.bits else str(array.dtype)
        raise InputError(f"{what} is {kind}, and an activation must be int8 or uint8")
    return Quantization((float(scale[0]),), (int(signed(array, 0).reshape(-1)[0]),))


def quantize(op: Operation, edges: Edges) -> Value:
    """QuantizeLinear: what it reads gets its scale and zero point."""
    scale, zero_point, axis = read_parameters(op)
    value, stem, b = op.required(0), op.outputs[0] or op.name, edges.builder
    if isinstance(value, Constant):
        return quantize_constant(value, scale, zero_point, axis)
    if isinstance(value, Weight):
        raise InputError("its input is a quantised constant, and must be computed or float")
    quantization = activation_parameters(scale, zero_point, "its result")
    if isinstance(value, Outside):
        return edges.quantized_input(value, quantization, stem)
    if isinstance(value, Pending):
        return replace(b.realise(value, quantization, stem), integer=True)
    if value.integer:
        raise InputError("its input is integer: a DequantizeLinear is missing")
    return replace(b.requantized(value, quantization, op.name, stem), integer=True)


def quantize_constant(
    value: Constant, scale: NDArray[np.float32], zero_point: Constant, axis: int
) -> Constant:
    """Quantise a float constant, rounding half to even as ONNX does."""
    shape = [1] * value.array.ndim
    if scale.size > 1:
        if not -value.array.ndim <= axis < value.array.ndim:
            raise InputError(f"attribute axis is {axis}, and the constant has {len(shape)}")
        shape[axis] = -1
    kind = zero_point.array.dtype
    limits = np.iinfo(kind)
    low, high = int(limits.min), int(limits.max)
    if zero_point.bits:
        excess = INT8_BITS - zero_point.bits
        low, high = low >> excess, high >> excess
    zeros = np.broadcast_to(zero_point.array.reshape(-1), scale.shape).reshape(shape)
    steps = np.rint(value.array / scale.reshape(shape)) + zeros
    return Constant(np.clip(steps, low, high).astype(kind), zero_point.bits)


def dequantize(op: Operation, edges: Edges) -> Value:
    """DequantizeLinear: a constant becomes a weight, an activation is read as real values."""
    scale, zero_point, axis = read_parameters(op)
    value = op.required(0)
    if isinstance(value, Constant):
        return dequantize_constant(op, value, scale, zero_point, axis)
    if isinstance(value, Outside):
        quantization = activation_parameters(scale, zero_point, "its input")
        return replace(edges.quantized_input(value, quantization, value.name), integer=False)
    if isinstance(value, Pending | Weight) or not value.integer:
        raise InputError("its input is no integer tensor: a QuantizeLinear is missing")
    quantization = activation_parameters(scale, zero_point, "its input")
    written = edges.builder.quantization(value)
    if written != quantization:
        raise InputError(
            f"it reads with scale {quantization.scale[0]:.9g} and zero point "
            f"{quantization.zero_point[0]} what was written with {written.scale[0]:.9g} and "
            f"{written.zero_point[0]}, and they must be the same"
        )
    return replace(value, integer=False)


def dequantize_constant(
    op: Operation, value: Constant, scale: NDArray[np.float32], zero_point: Constant, axis: int
) -> Weight:
    """A constant with its scales."""
    data, zeros = value.array, zero_point.array
    if data.dtype.kind not in "iu":
        raise InputError(f"its constant input is {data.dtype}, and must be integers")
    if op.operand(2) is None:
        zeros = np.zeros(scale.shape, data.dtype)
    if zeros.dtype != data.dtype:
        raise InputError(f"its zero point is {zeros.dtype}, and its input {data.dtype}")
    if scale.size > 1:
        if not -data.ndim <= axis < data.ndim or data.shape[axis] != scale.size:
            raise InputError(
                f"attribute axis is {axis}: {scale.size} scales do not fit shape {data.shape}"
            )
        axis %= data.ndim
    else:
        axis = 0
    zeros = np.broadcast_to(signed(zeros, value.bits).reshape(-1), scale.shape)
    return Weight(signed(data, value.bits), scale, zeros.astype(np.int64), axis, value.bits)
