"""Translates the operators that multiply by weights: Conv, ConvTranspose, Gemm and MatMul."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mmsp.errors import InputError
from mmsp.graph import Quantization
from mmsp.importers.onnx_qdq.builder import GraphBuilder, channels_last
from mmsp.importers.onnx_qdq.file import Operation
from mmsp.importers.onnx_qdq.values import Constant, Pending, Shape, Stored, Weight
from mmsp.importers.onnx_qdq.window import Window, as_image, read_window

__all__ = ["convolution", "gemm", "matmul", "transposed_convolution"]

NHWC = channels_last(4)
BIAS_TOLERANCE = 1e-5
"""Relative difference of a bias's scale from that of the accumulator that is only rounding."""
INT32_LIMIT = 2**31 - 1
MATRIX_RANK = 2

Emit = Callable[[str | None, Quantization, str, str], Stored]
"""Adds the node: name of the bias, quantisation and activation of the output, stem of its name."""


def weights_of(op: Operation, index: int, channel_axis: int) -> Weight:
    """Input ``index``: int8 weights with zero point 0, one scale a tensor or an output channel."""
    weight = op.operand(index)
    if not isinstance(weight, Weight):
        raise InputError(f"input {index} (weights) must be a constant behind DequantizeLinear")
    if weight.data.dtype != np.int8:
        raise InputError(f"weights are {weight.data.dtype}, and must have at most 8 bits")
    if weight.zero_point.any():
        raise InputError(f"weights have zero point {weight.zero_point.max()}, and it must be 0")
    if weight.scale.size > 1 and weight.axis != channel_axis:
        raise InputError(
            f"weights have scales along axis {weight.axis}, and must have one scale, or scales "
            f"along axis {channel_axis}"
        )
    return weight


def add_weights(b: GraphBuilder, op: Operation, weight: Weight, data: NDArray, axis: int) -> str:
    """Add the weights in TFLite's order, in which dimension ``axis`` has the scales."""
    scale = tuple(weight.scale.astype(np.float64).tolist())
    quantization = Quantization(scale, (0,) * len(scale), axis if len(scale) > 1 else 0)
    return b.constant(f"{op.name}:weights", data, quantization, weight.bits or None)


def add_bias(
    b: GraphBuilder, op: Operation, bias: Constant | Weight | None, source: Stored, weight: Weight,
    channels: int,
) -> str | None:  # fmt: skip
    """Add a bias as int32 with the scale of the accumulators."""
    if bias is None:
        return None
    (input_scale,) = b.quantization(source).scale
    scale = np.broadcast_to(np.float64(input_scale) * weight.scale, channels)
    data = bias.data if isinstance(bias, Weight) else bias.array
    if data.size not in (1, channels):
        raise InputError(f"the bias has {data.size} entries, and must have {channels}")
    real = bias.real if isinstance(bias, Weight) else data.astype(np.float64)
    steps = np.rint(np.broadcast_to(real.reshape(-1), channels) / scale)
    largest = np.abs(steps).max(initial=0)
    if not largest <= INT32_LIMIT:
        raise InputError(
            f"a bias of {largest:.6g} steps of input scale times weight scale exceeds int32"
        )
    if not isinstance(bias, Weight):
        b.notes.append(
            f"node {op.name!r}: its float bias is rounded to int32 steps of input scale times "
            f"weight scale"
        )
    elif not np.allclose(bias.scale, scale, rtol=BIAS_TOLERANCE, atol=0):
        b.notes.append(
            f"node {op.name!r}: its bias has scale {bias.scale[0]:.6g}, and is rounded to steps of "
            f"input scale times weight scale, {scale[0]:.6g}"
        )
    quantization = Quantization(
        tuple(scale[: weight.scale.size].astype(np.float32).astype(float).tolist()),
        (0,) * weight.scale.size,
    )
    return b.constant(f"{op.name}:bias", steps.astype(np.int32), quantization)


def pending_sum(
    b: GraphBuilder, op: Operation, source: Stored, weight: Weight, shape: Shape, channels: int,
    emit: Emit, bias: Constant | Weight | None,
) -> Pending:  # fmt: skip
    """A sum of products that waits for its quantisation, and perhaps for a bias."""
    name = add_bias(b, op, bias, source, weight, channels)

    def with_bias(later: Constant | Weight) -> Pending:
        return pending_sum(b, op, source, weight, shape, channels, emit, later)

    return Pending(
        op.name,
        shape,
        lambda quantization, activation, stem: emit(name, quantization, activation, stem),
        fuses=True,
        with_bias=None if bias is not None else with_bias,
    )


def bias_operand(op: Operation, index: int) -> Constant | Weight | None:
    """Input ``index``: a constant, perhaps behind DequantizeLinear, or None."""
    bias = op.operand(index)
    if bias is not None and not isinstance(bias, Constant | Weight):
        raise InputError(f"input {index} (bias) must be constant")
    return bias


def reduce_rank(pending: Pending, b: GraphBuilder, shape: Shape) -> Pending:
    """Give the result of a node on images the shape that ONNX gives it, one of 1-D signals."""
    return replace(
        pending.then(lambda stored: b.reshape(stored, shape), shape),
        with_bias=pending.with_bias
        and (lambda later: reduce_rank(pending.with_bias(later), b, shape)),  # type: ignore[misc]
    )


def convolution(op: Operation, b: GraphBuilder) -> Pending:
    """Conv: CONV_2D, or DEPTHWISE_CONV_2D when each group has one input channel."""
    weight = weights_of(op, 1, channel_axis=0)
    source, image_rank = as_image(b, op.activation(0))
    data = weight.data if image_rank else np.expand_dims(weight.data, 2)
    groups = op.take("group", 1)
    channels_out, depth = data.shape[:2]
    channels_in = source.shape[1]
    if data.ndim != len(NHWC) or groups < 1 or channels_in != groups * depth:
        raise InputError(
            f"input {source.shape}, weights {weight.data.shape} and group {groups} do not fit"
        )
    window = read_window(op, source.shape[2:], (data.shape[2], data.shape[3]), image_rank)
    attributes = {
        "padding": window.padding, "stride": window.stride, "dilation": window.dilation,
    }  # fmt: skip
    shape = (1, channels_out, *window.output_size(source.shape[2:]))
    depthwise = groups > 1 and depth == 1
    if depthwise:
        weights = add_weights(b, op, weight, data.transpose(1, 2, 3, 0), 3)
        attributes["depth_multiplier"] = channels_out // groups
    else:
        weights = add_weights(b, op, weight, data.transpose(0, 2, 3, 1), 0)

    def emit(bias: str | None, quantization: Quantization, activation: str, stem: str) -> Stored:
        result = b.result(stem, shape, NHWC, quantization)
        b.node(
            "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", op.name,
            (b.arrange(source, NHWC), weights, bias), (result.tensor,),
            activation=activation, **attributes,
        )  # fmt: skip
        return result

    pending = pending_sum(b, op, source, weight, shape, channels_out, emit, bias_operand(op, 2))
    return pending if image_rank else reduce_rank(pending, b, (*shape[:2], shape[3]))


def transposed_convolution(op: Operation, b: GraphBuilder) -> Pending:
    """ConvTranspose: TRANSPOSE_CONV."""
    weight = weights_of(op, 1, channel_axis=1)
    source, image_rank = as_image(b, op.activation(0))
    data = weight.data if image_rank else np.expand_dims(weight.data, 2)
    op.expect("group", 1)
    if data.ndim != len(NHWC) or source.shape[1] != data.shape[0]:
        raise InputError(f"input {source.shape} and weights {weight.data.shape} do not fit")
    kernel = (data.shape[2], data.shape[3])
    window, size = read_transposed_window(op, source.shape[2:], kernel, image_rank)
    channels_out = data.shape[1]
    shape = (1, channels_out, *size)
    weights = add_weights(b, op, weight, data.transpose(1, 2, 3, 0), 0)

    def emit(bias: str | None, quantization: Quantization, activation: str, stem: str) -> Stored:
        result = b.result(stem, shape, NHWC, quantization)
        dimensions = np.array(b.tensors[result.tensor].shape, np.int32)
        b.node(
            "TRANSPOSE_CONV", op.name,
            (b.constant(f"{op.name}:shape", dimensions), weights, b.arrange(source, NHWC), bias),
            (result.tensor,),
            activation=activation, stride=window.stride, padding=window.padding,
        )  # fmt: skip
        return result

    pending = pending_sum(b, op, source, weight, shape, channels_out, emit, bias_operand(op, 2))
    return pending if image_rank else reduce_rank(pending, b, (*shape[:2], shape[3]))


def read_transposed_window(
    op: Operation, size: Shape, kernel: tuple[int, int], image_rank: bool
) -> tuple[Window, tuple[int, int]]:
    """Window of a ConvTranspose, and the size of its output."""
    rank = len(kernel) if image_rank else 1
    extra = list(op.take("output_padding", [0] * rank))
    wanted = op.take("output_shape", None, list)
    scheme = op.attributes.get("auto_pad", "NOTSET")
    window = read_window(op, size, kernel, image_rank, transposed=True)
    if window.dilation != (1, 1):
        raise InputError(f"attribute dilations is {window.dilation}, and must be 1")
    extra, wanted = [0] * (len(kernel) - rank) + extra, None if wanted is None else list(wanted)
    full = [
        s * (n - 1) + k + e for s, n, k, e in zip(window.stride, size, kernel, extra, strict=True)
    ]
    if wanted is None and scheme.startswith("SAME"):
        wanted = [n * s for n, s in zip(size, window.stride, strict=True)][-rank:]
    if wanted is None:
        sizes = [n - sum(pair) for n, pair in zip(full, window.padding, strict=True)]
        return window, (sizes[0], sizes[1])
    wanted = [1] * (len(kernel) - rank) + wanted
    pairs = []
    for total, length in zip(full, wanted, strict=True):
        cut = max(total - length, 0)
        before = cut // 2 if scheme == "SAME_UPPER" else cut - cut // 2
        pairs.append((before, cut - before))
    return replace(window, padding=(pairs[0], pairs[1])), (wanted[0], wanted[1])


def dense(
    op: Operation, b: GraphBuilder, source: Stored, weight: Weight, data: NDArray,
    bias: Constant | Weight | None,
) -> Pending:  # fmt: skip
    """FULLY_CONNECTED over the last dimension; ``data`` is ``(Cout, Cin)``.

    A flattened image stays as it lies in memory: its weights change their order instead.
    """
    channels_out, depth = data.shape
    shape = (*source.shape[:-1], channels_out)
    rank = len(source.shape)
    flattened = rank == MATRIX_RANK and source.shape[0] == 1 and source.base[0] == 1
    if flattened and source.shape != source.base and source.layout[0] == 0:
        order = np.arange(depth).reshape(source.base).transpose(source.layout).reshape(-1)
        data = data[:, order]
        tensor = b.reshaped(source.tensor, (1, depth))
        source = Stored(tensor, (1, depth), (0, 1), (1, depth))
    weights = add_weights(b, op, weight, data, 0)

    def emit(bias: str | None, quantization: Quantization, activation: str, stem: str) -> Stored:
        layout = tuple(range(rank))
        result = b.result(stem, shape, layout, quantization)
        b.node(
            "FULLY_CONNECTED", op.name, (b.arrange(source, layout), weights, bias),
            (result.tensor,), activation=activation, weights_format="DEFAULT",
            keep_dimensions=rank > MATRIX_RANK,
        )  # fmt: skip
        return result

    return pending_sum(b, op, source, weight, shape, channels_out, emit, bias)


def gemm(op: Operation, b: GraphBuilder) -> Pending:
    """Gemm with constant weights: FULLY_CONNECTED."""
    for name in ("alpha", "beta"):
        op.expect(name, 1.0)
    op.expect("transA", 0)
    transposed = bool(op.expect("transB", 0, 1))
    weight = weights_of(op, 1, channel_axis=0 if transposed else 1)
    source = op.activation(0)
    data = weight.data if transposed else weight.data.T
    check_matrix(source, data)
    return dense(op, b, source, weight, data, bias_operand(op, 2))


def matmul(op: Operation, b: GraphBuilder) -> Pending:
    """MatMul by constant weights: FULLY_CONNECTED without bias."""
    source = op.activation(0)
    weight = weights_of(op, 1, channel_axis=1)
    check_matrix(source, weight.data.T)
    return dense(op, b, source, weight, weight.data.T, None)


def check_matrix(source: Stored, data: NDArray) -> None:
    """Require weights ``(Cout, Cin)`` that fit the last dimension of the input."""
    if data.ndim != MATRIX_RANK or not source.shape or source.shape[-1] != data.shape[1]:
        raise InputError(f"input {source.shape} and weights {data.T.shape} do not fit")
    if math.prod(source.shape) == source.shape[-1] or len(source.shape) > MATRIX_RANK:
        return
    raise InputError(f"input {source.shape} has batch {source.shape[0]}, and it must be 1")
