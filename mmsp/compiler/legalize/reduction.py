"""Legalisation of MEAN and SUM."""

import math

import numpy as np

from mmsp.compiler.layers import Conv, Layer, Mean, Requantization, Reshape
from mmsp.compiler.legalize.movement import pixel_axis, resolve_axis
from mmsp.compiler.legalize.operands import Operands
from mmsp.compiler.legalize.quantization import quantize_multiplier
from mmsp.errors import InputError

__all__ = ["legalize_reduction"]

LARGEST_SHIFT, SMALLEST_SHIFT = 32, -31
CHANNEL_AXIS = 2


def mean_scaling(real: float, count: int) -> tuple[int, int]:
    """Multiplier and shift of a mean of ``count`` elements, from the ratio of the scales.

    As TFLite's ``QuantizedMeanOrSum``: the multiplier is divided by the count in integers, after it
    has been widened by as many bits as the count has, less one, and as the shift allows.
    """
    multiplier, shift = quantize_multiplier(real)
    widened = min(count.bit_length() - 1, LARGEST_SHIFT, shift - SMALLEST_SHIFT)
    return (multiplier << widened) // count, shift - widened


def legalize_reduction(operands: Operands) -> list[Layer]:
    """MEAN and SUM over any axes but the batch: a sum of ones, rescaled once.

    Over rows and columns the window feed adds; over channels it is a convolution with weights one.
    """
    source, output = operands.stored(0), operands.output_of(0)
    rank = len(source.shape)
    axes = {resolve_axis(int(a), rank) for a in operands.constant(1, "axis").reshape(-1)}
    kept = [size for axis, size in enumerate(source.shape) if axis not in axes]
    if not axes or math.prod(kept) != output.size:
        raise InputError(
            f"reducing {source.shape} along {sorted(axes)} does not give shape {output.shape}"
        )
    (in_scale, in_zero), (out_scale, out_zero) = map(operands.per_tensor, (source, output))
    reduced = {pixel_axis(axis, rank) for axis in axes if pixel_axis(axis, rank) >= 0}
    count = math.prod(source.shape[axis] for axis in axes)
    if operands.node.op == "MEAN":
        multiplier, shift = mean_scaling(in_scale / out_scale, count)
    else:
        multiplier, shift = quantize_multiplier(in_scale / out_scale)
    limits = np.iinfo(output.dtype)
    requantization = Requantization(
        multiplier=np.array([multiplier], np.int32),
        shift=np.array([shift], np.int32),
        zero_point=out_zero,
        minimum=int(limits.min),
        maximum=int(limits.max),
    )
    kernel = tuple(source.pixels[axis] if axis in reduced else 1 for axis in range(2))
    shape = tuple(1 if axis in reduced else size for axis, size in enumerate(source.pixels))
    result, layers = output, []
    if output.pixels != shape:  # a dimension less moves the others
        result = operands.intermediate("sums", (1, *shape), output.dtype)
        layers = [
            Reshape(
                name=operands.node.name, op=operands.node.op, input=result.name, output=output.name
            )
        ]
    common = {
        "name": operands.node.name,
        "op": operands.node.op,
        "input": source.name,
        "output": result.name,
        "input_zero_point": in_zero,
        "requantization": requantization,
    }
    if CHANNEL_AXIS not in reduced:
        return [Mean(**common, kernel=(kernel[0], kernel[1])), *layers]
    return [
        Conv(
            **common,
            weights=np.ones((1, *kernel, source.pixels[2]), np.int8),
            bias=np.zeros(1, np.int32),
            stride=(1, 1),
            dilation=(1, 1),
            padding=((0, 0), (0, 0)),
            depthwise=False,
        ),
        *layers,
    ]
