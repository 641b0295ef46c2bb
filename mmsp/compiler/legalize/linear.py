"""Legalisation of the operators that multiply by weights: all of them become `Conv`."""

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmsp.compiler.layers import Conv, Layer, Repeat, Requantization, TransposeConv
from mmsp.compiler.legalize.operands import INT8, Operands
from mmsp.compiler.legalize.quantization import activation_range, quantize_multiplier
from mmsp.errors import InputError
from mmsp.graph import Quantization, Tensor

__all__ = [
    "legalize_convolution",
    "legalize_depthwise_convolution",
    "legalize_fully_connected",
    "legalize_transpose_convolution",
]

UNIT = (1, 1)
NO_PADDING = ((0, 0), (0, 0))
CONVOLUTION_CHANNEL_AXIS = 0
DEPTHWISE_CHANNEL_AXIS = 3
LARGEST_BIAS_SCALE_ERROR = 0.02
"""In output steps: what ``GetQuantizedConvolutionMultipler`` tolerates."""

Rounding = Literal["double", "single"]

WIDE_BIASES = {
    "CONV_2D": (np.dtype(np.int32), np.dtype(np.int64)),
    "TRANSPOSE_CONV": (np.dtype(np.int16), np.dtype(np.int64)),
}
"""Types of a bias on int16 activations; int64 for other operators."""

MOST_WIDE_TAPS = ((1 << 39) - (1 << 31)) >> 22
"""Products of int16 and int8 that a 40-bit accumulator holds beside an int32 bias."""

LARGEST_SINGLE_SHIFT = 7
"""Left shift that ``MultiplyByQuantizedMultiplier`` allows for 64-bit sums."""


def legalize_convolution(operands: Operands) -> list[Layer]:
    """CONV_2D; a grouped one becomes depthwise, or dense with zeros between the groups."""
    source = operands.image(0, wide=True)
    output = operands.output(source)
    tensor, weights = operands.weights(rank=4)
    channels_out, *kernel, channels_in = weights.shape
    height, width = kernel
    image_channels = source.pixels[2]
    groups, rest = divmod(image_channels, channels_in)
    if rest or channels_out % max(groups, 1) or groups == 0:
        raise InputError(
            f"weights {tensor.name!r} of shape {tensor.shape} do not fit "
            f"{image_channels} input channels"
        )
    operands.check_window_output(source, output, (height, width), channels_out)
    # One input channel a group is depthwise already, down to the layout of the weights.
    depthwise = groups > 1 and channels_in == 1
    if groups > 1 and not depthwise:
        weights = spread_groups(weights, groups)
    return [
        convolution_layer(
            operands, source, output, weights, channel_axis=CONVOLUTION_CHANNEL_AXIS,
            depthwise=depthwise,
        )
    ]  # fmt: skip


def spread_groups(weights: NDArray[np.int8], groups: int) -> NDArray[np.int8]:
    """Dense weights of a grouped convolution: exact, since a zero weight adds nothing."""
    channels_out, height, width, depth = weights.shape
    dense = np.zeros((channels_out, height, width, groups * depth), np.int8)
    outputs = channels_out // groups
    for group in range(groups):
        rows, columns = slice(group * outputs, (group + 1) * outputs), group * depth
        dense[rows, :, :, columns : columns + depth] = weights[rows]
    return dense


def legalize_depthwise_convolution(operands: Operands) -> list[Layer]:
    """DEPTHWISE_CONV_2D; its weights ``(1, kh, kw, Cout)`` get the layout of `Conv`.

    On a single channel it is an ordinary convolution, which needs no array row for each channel.
    With a multiplier, channels are repeated first, unless the kernel has a single tap.
    """
    source = operands.image(0, wide=True)
    output = operands.output(source)
    tensor, weights = operands.weights(rank=4)
    multiplier = operands.attribute("depth_multiplier")
    _, height, width, channels_out = weights.shape
    if weights.shape[0] != 1 or channels_out != source.pixels[2] * multiplier:
        raise InputError(
            f"weights {tensor.name!r} of shape {tensor.shape} do not fit {source.pixels[2]} input "
            f"channels with depth_multiplier {multiplier}"
        )
    operands.check_window_output(source, output, (height, width), channels_out)
    layer = convolution_layer(
        operands, source, output, weights.transpose(3, 1, 2, 0),
        channel_axis=DEPTHWISE_CHANNEL_AXIS,
        depthwise=source.pixels[2] > 1 or multiplier == 1,
    )  # fmt: skip
    if multiplier == 1 or not layer.depthwise or (height, width) == UNIT:
        return [layer]
    repeated = operands.intermediate("repeated", (*source.shape[:-1], channels_out), source.dtype)
    repeat = Repeat(
        name=operands.node.name, op=operands.node.op, input=source.name, output=repeated.name,
        times=multiplier, zero_point=layer.input_zero_point,
    )  # fmt: skip
    return [repeat, replace(layer, input=repeated.name)]


def legalize_transpose_convolution(operands: Operands) -> list[Layer]:
    """TRANSPOSE_CONV: output shape, weights ``(Cout, kh, kw, Cin)``, input, optional bias."""
    source = operands.image(2, wide=True)
    output = operands.output(source)
    tensor, weights = operands.weights(rank=4)
    shape = operands.constant(0, "output shape")
    channels_out, _, _, channels_in = weights.shape
    if channels_in != source.pixels[2]:
        raise InputError(
            f"weights {tensor.name!r} of shape {tensor.shape} do not fit "
            f"{source.pixels[2]} input channels"
        )
    if tuple(shape.tolist()) != output.shape or output.shape[-1] != channels_out:
        raise InputError(
            f"the output has shape {output.shape}, the output shape says {shape.tolist()}, and "
            f"weights {tensor.name!r} have {channels_out} output channels"
        )
    (top, _), (left, _) = operands.attribute("padding")
    bias, rounding = accumulation(operands, source, weights.size // channels_out, channels_out, 3)
    return [
        TransposeConv(
            name=operands.node.name,
            op=operands.node.op,
            input=source.name,
            output=output.name,
            weights=np.ascontiguousarray(weights),
            bias=bias,
            stride=operands.attribute("stride"),
            before=(top, left),
            input_zero_point=operands.per_tensor(source)[1],
            requantization=requantization(
                operands, source, output, channels_out, CONVOLUTION_CHANNEL_AXIS, rounding
            ),
        )
    ]


def convolution_layer(
    operands: Operands,
    source: Tensor,
    output: Tensor,
    weights: NDArray[np.int8],
    *,
    channel_axis: int,
    depthwise: bool,
) -> Conv:
    """Build the layer of a convolution whose weights have the layout of `Conv`."""
    count = len(weights)
    bias, rounding = accumulation(operands, source, weights.size // count, count)
    return Conv(
        name=operands.node.name,
        op=operands.node.op,
        input=source.name,
        output=output.name,
        weights=np.ascontiguousarray(weights),
        bias=bias,
        stride=operands.attribute("stride"),
        dilation=operands.attribute("dilation"),
        padding=operands.attribute("padding"),
        depthwise=depthwise,
        input_zero_point=operands.per_tensor(source)[1],
        requantization=requantization(operands, source, output, count, channel_axis, rounding),
    )


def accumulation(
    operands: Operands, source: Tensor, taps: int, channels: int, index: int = 2
) -> tuple[NDArray, Rounding]:
    """The bias, and how sums of ``taps`` products with it are rescaled.

    int16 activations: TFLM sums in 64 bits and rounds once.  Only a CONV_2D with an int32 bias sums
    in 32 bits instead.
    """
    if source.dtype == INT8:
        bias = operands.bias(channels, index)
        return np.zeros(channels, np.int32) if bias is None else bias, "double"
    op = operands.node.op
    bias = operands.bias(channels, index, dtypes=WIDE_BIASES.get(op, (np.dtype(np.int64),)))
    if bias is not None and bias.dtype == np.int32:
        return bias, "double"
    if taps > MOST_WIDE_TAPS:
        raise InputError(
            f"{taps} products of int16 add up to one output, and 40 bits hold at most "
            f"{MOST_WIDE_TAPS}"
        )
    return np.zeros(channels, np.int64) if bias is None else bias.astype(np.int64), "single"


def channel_scales(operands: Operands, channels: int, axis: int) -> tuple[float, ...]:
    """Scale of the weights of every output channel."""
    tensor, _ = operands.weights(rank=len(operands.required(1, "weights").shape))
    quantization = tensor.quantization
    assert quantization is not None  # `Operands.weights` has seen it
    check_channel_axis(quantization, tensor, channels, axis)
    scales = quantization.scale
    return scales if len(scales) == channels else scales * channels


def check_channel_axis(
    quantization: Quantization, tensor: Tensor, channels: int, axis: int
) -> None:
    """Require one scale, or one for each output channel."""
    count = len(quantization.scale)
    if count not in (1, channels) or (count > 1 and quantization.axis != axis):
        raise InputError(
            f"weights {tensor.name!r} have {count} scales along dimension {quantization.axis}, "
            f"and must have 1, or {channels} along dimension {axis}"
        )


def requantization(
    operands: Operands, source: Tensor, output: Tensor, channels: int, channel_axis: int,
    rounding: Rounding,
) -> Requantization:  # fmt: skip
    """Integers that rescale the accumulators of every output channel."""
    input_scale, _ = operands.per_tensor(source)
    output_scale, output_zero_point = operands.per_tensor(output)
    # ``PopulateConvolutionQuantizationParams``: float32 scales, but product and quotient in
    # double.  The pinned TFLM does the same for FULLY_CONNECTED, with one scale or many, although
    # ``GetQuantizedConvolutionMultipler`` was once written with a float32 product.
    pairs = [
        quantize_multiplier(input_scale * scale / output_scale)
        for scale in channel_scales(operands, channels, channel_axis)
    ]
    largest = max(shift for _, shift in pairs)
    if rounding == "single" and largest > LARGEST_SINGLE_SHIFT:
        raise InputError(
            f"a scale ratio is 2**{largest - 1} or more, and 64-bit sums are scaled by less than "
            f"2**{LARGEST_SINGLE_SHIFT}"
        )
    minimum, maximum = activation_range(
        operands.activation_name, output_scale, output_zero_point, output.dtype
    )
    return Requantization(
        multiplier=np.array([multiplier for multiplier, _ in pairs], np.int32),
        shift=np.array([shift for _, shift in pairs], np.int32),
        zero_point=output_zero_point,
        minimum=minimum,
        maximum=maximum,
        rounding=rounding,
    )


def legalize_fully_connected(operands: Operands) -> list[Layer]:
    """FULLY_CONNECTED: a 1x1 convolution, or one as large as the input that it flattens."""
    source = operands.activation(0, wide=True)
    output = operands.output(source)
    tensor, weights = operands.weights(rank=2)
    weights_format = operands.node.attributes.get("weights_format", "DEFAULT")
    if weights_format != "DEFAULT":
        raise InputError(f"weights_format is {weights_format}, and must be DEFAULT")
    channels_out, depth = weights.shape
    height, width, channels = source.pixels
    if depth == channels and output.pixels == (height, width, channels_out):
        kernel = UNIT
    elif depth == source.size and output.pixels == (1, 1, channels_out):
        kernel = (height, width)
    else:
        raise InputError(
            f"input {source.shape} and weights {tensor.shape} give output {output.shape}, and the "
            f"weights must cover either the channels of each pixel or the whole input"
        )
    check_bias_scale(operands, source, output)
    bias, rounding = accumulation(operands, source, depth, channels_out)
    return [
        Conv(
            name=operands.node.name,
            op=operands.node.op,
            input=source.name,
            output=output.name,
            weights=weights.reshape(channels_out, *kernel, -1),
            bias=bias,
            stride=UNIT,
            dilation=UNIT,
            padding=NO_PADDING,
            depthwise=False,
            input_zero_point=operands.per_tensor(source)[1],
            requantization=requantization(
                operands, source, output, channels_out, CONVOLUTION_CHANNEL_AXIS, rounding
            ),
        )
    ]


def check_bias_scale(operands: Operands, source: Tensor, output: Tensor) -> None:
    """Require the bias to have the scale of the accumulators, as TFLM does for a single scale."""
    bias = operands.optional(2)
    weights = operands.required(1, "weights")
    if bias is None or bias.quantization is None:
        return
    assert weights.quantization is not None  # `Operands.weights` has seen it
    if len(weights.quantization.scale) != 1:
        return
    product = operands.per_tensor(source)[0] * weights.quantization.scale[0]
    scale = bias.quantization.scale[0]
    if not abs(product - scale) / operands.per_tensor(output)[0] <= LARGEST_BIAS_SCALE_ERROR:
        raise InputError(
            f"bias {bias.name!r} has scale {scale!r}, and input times weights gives {product!r}"
        )
