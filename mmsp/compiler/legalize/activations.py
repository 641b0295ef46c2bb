"""Legalisation of the operators on one tensor, element by element: activations and QUANTIZE."""

import math
from dataclasses import replace

import numpy as np

from mmsp.compiler.layers import Layer, Multiply, Plain, Scale
from mmsp.compiler.legalize.elementwise import (
    Operand,
    fits_int8,
    identity,
    one_entry,
    operand,
    quantization_of,
    store,
)
from mmsp.compiler.legalize.operands import INT8, Operands
from mmsp.compiler.legalize.quantization import (
    activation_range,
    quantize_multiplier,
)
from mmsp.errors import InputError
from mmsp.graph import Tensor

__all__ = [
    "legalize_clamp",
    "legalize_leaky_relu",
    "legalize_prelu",
    "legalize_quantize",
    "legalize_relu",
    "require_one_type",
    "unary",
]


def unary(operands: Operands) -> tuple[Tensor, Tensor]:
    """Input and output, of one shape."""
    if len(operands.node.outputs) != 1:
        raise InputError(f"has {len(operands.node.outputs)} outputs, and 1 is expected")
    source, output = operands.stored(0), operands.output_of(0)
    if source.pixels != output.pixels:
        raise InputError(f"the output has shape {output.shape}, and the input {source.shape}")
    return source, output


def require_one_type(source: Tensor, output: Tensor) -> None:
    """Require input and output to be both int8 or both int16."""
    if source.dtype != output.dtype:
        raise InputError(
            f"the input is {source.dtype} and the output {output.dtype}, and they must be alike"
        )


def full_range(tensor: Tensor) -> tuple[int, int]:
    """Smallest and largest value of the tensor's type."""
    limits = np.iinfo(tensor.dtype)
    return int(limits.min), int(limits.max)


def scale_layer(
    operands: Operands,
    source: Tensor,
    output: Tensor,
    *,
    limits: tuple[int, int],
    scaling: tuple[int, int],
    negative: tuple[int, int] | None = None,
) -> Scale:
    """The layer that goes from one scale to another."""
    _, in_zero = quantization_of(operands, source)
    _, out_zero = quantization_of(operands, output)
    return Scale(
        name=operands.node.name,
        op=operands.node.op,
        input=source.name,
        output=output.name,
        input_zero_point=in_zero,
        requantization=one_entry(scaling, out_zero, limits),
        negative=negative,
    )


def legalize_quantize(operands: Operands) -> list[Layer]:
    """QUANTIZE between int8 and int16: ``PrepareQuantizeReference`` of ``quantize_common.cc``."""
    source, output = unary(operands)
    scales = [quantization_of(operands, tensor)[0] for tensor in (source, output)]
    scaling = quantize_multiplier(scales[0] / scales[1])
    return [scale_layer(operands, source, output, limits=full_range(output), scaling=scaling)]


def legalize_relu(operands: Operands) -> list[Layer]:
    """RELU, which rescales: ``CalculateReluOpData`` of TFLM's ``activations_common.cc``."""
    source, output = unary(operands)
    require_one_type(source, output)
    (in_scale, _), (scale, zero) = (quantization_of(operands, t) for t in (source, output))
    limits = activation_range("RELU", scale, zero, output.dtype)
    scaling = quantize_multiplier(in_scale / scale)
    return [scale_layer(operands, source, output, limits=limits, scaling=scaling)]


def legalize_clamp(operands: Operands) -> list[Layer]:
    """RELU6 and RELU_N1_TO_1: TFLM clamps without rescaling, so the scales must be equal."""
    source, output = unary(operands)
    require_one_type(source, output)
    operands.require_equal_quantization(source, output)
    limits = activation_range(
        operands.node.op, *quantization_of(operands, output), dtype=output.dtype
    )
    scaling = quantize_multiplier(1.0)
    return [scale_layer(operands, source, output, limits=limits, scaling=scaling)]


def legalize_leaky_relu(operands: Operands) -> list[Layer]:
    """LEAKY_RELU: ``CalculateOpDataLeakyRelu`` of the pinned ``leaky_relu_common.cc``: double."""
    source, output = unary(operands)
    require_one_type(source, output)
    alpha = operands.attribute("alpha")
    if not (math.isfinite(alpha) and alpha >= 0):
        raise InputError(f"alpha is {alpha!r}, and it must be finite and not negative")
    in_scale, out_scale = (quantization_of(operands, tensor)[0] for tensor in (source, output))
    return [
        scale_layer(
            operands,
            source,
            output,
            limits=full_range(output),
            scaling=quantize_multiplier(in_scale / out_scale),
            negative=quantize_multiplier(in_scale * alpha / out_scale),
        )
    ]


def legalize_prelu(operands: Operands) -> list[Layer]:
    """PRELU: ``CalculatePreluParams`` of ``prelu_common.cc``; the slopes are int8.

    One int8 slope a channel makes one layer; other slopes are factors of the negative part, to
    which the positive part is added: one of the two is always zero.
    """
    source, output = unary(operands)
    require_one_type(source, output)
    alpha = operand(operands, 1)
    if alpha.tensor.dtype != INT8:
        raise InputError(f"slopes {alpha.tensor.name!r} are {alpha.tensor.dtype}, not int8")
    sizes = zip(alpha.pixels, source.pixels, strict=True)
    if any(size not in (1, full) for size, full in sizes):
        raise InputError(
            f"slopes of shape {alpha.tensor.shape} do not fit input {source.shape}: "
            f"where sizes differ, the slopes must have 1"
        )
    in_scale, _ = quantization_of(operands, source)
    out_scale, _ = quantization_of(operands, output)
    above = quantize_multiplier(in_scale / out_scale)
    below = quantize_multiplier(in_scale * alpha.scale / out_scale)
    if alpha.values is not None and alpha.pixels[:2] == (1, 1) and output.dtype == INT8:
        slopes = alpha.values.reshape(-1).astype(np.int16) - np.int16(alpha.zero_point)
        if fits_int8(slopes):
            layer = scale_layer(
                operands,
                source,
                output,
                limits=full_range(output),
                scaling=above,
                negative=below,
            )
            return [replace(layer, alpha=np.broadcast_to(slopes, source.pixels[2]).copy())]
    return split_prelu(operands, source, output, alpha, above=above, below=below)


def split_prelu(
    operands: Operands,
    source: Tensor,
    output: Tensor,
    alpha: Operand,
    *,
    above: tuple[int, int],
    below: tuple[int, int],
) -> list[Layer]:
    """PRELU of several layers; each part is exactly the output's zero point where it has no say."""
    name, op, node_output = operands.node.name, operands.node.op, output.name
    _, in_zero = quantization_of(operands, source)
    _, out_zero = quantization_of(operands, output)
    parts = {
        suffix: operands.intermediate(suffix, (1, *output.pixels), output.dtype)
        for suffix in ("negative", "below", "above")
    }
    slopes, slope_layers = store(operands, alpha, "alpha")
    low, _ = full_range(source)
    positive = scale_layer(
        operands, source, output, limits=full_range(output), scaling=above, negative=(0, 0)
    )
    return [
        *slope_layers,
        Scale(
            name=name,
            op=op,
            input=source.name,
            output=parts["negative"].name,
            input_zero_point=in_zero,
            requantization=identity(in_zero, (low, in_zero)),
        ),
        Multiply(
            name=name,
            op=op,
            operands=(parts["negative"].name, slopes),
            output=parts["below"].name,
            input_zero_points=(in_zero, alpha.zero_point),
            requantization=one_entry(below, out_zero, full_range(output)),
        ),
        replace(positive, output=parts["above"].name),
        Plain(
            name=name,
            op=op,
            operands=(parts["below"].name, parts["above"].name),
            output=node_output,
            kind="sum",
            input_zero_points=(out_zero, out_zero),
            zero_point=out_zero,
            range=full_range(output),
        ),
    ]
