"""Code generation for transposed convolutions: ordinary ones, one an output phase."""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hdl.config import ChipConfig
from mmsp.compiler.layers import Conv, TransposeConv
from mmsp.compiler.lower.conv import Grid, conv_job
from mmsp.compiler.lower.jobs import Job
from mmsp.compiler.placement import Placement

__all__ = ["lower_transpose_conv"]


def lower_transpose_conv(
    layer: TransposeConv, index: int, sources: Sequence[Placement], target: Placement,
    config: ChipConfig,
) -> list[Job]:  # fmt: skip
    """One ordinary convolution for each output phase: no inserted zero is ever multiplied.

    A phase is every ``stride``-th output row and column; the engine writes with that step.
    """
    (source,), (out_h, out_w, _) = sources, target.pixels
    kernel_h, kernel_w = layer.weights.shape[1:3]
    jobs = []
    for y, x in itertools.product(range(layer.stride[0]), range(layer.stride[1])):
        if y >= out_h or x >= out_w:
            continue
        rows, top = phase_taps(y, layer.before[0], layer.stride[0], kernel_h)
        columns, left = phase_taps(x, layer.before[1], layer.stride[1], kernel_w)
        weights = layer.weights[:, rows][:, :, columns]
        if weights.size == 0:  # a phase that the kernel, smaller than the stride, never reaches
            weights, top, left = np.zeros_like(layer.weights[:, :1, :1]), 0, 0
        phase = Conv(
            name=layer.name, op=layer.op, input=layer.input, output=layer.output,
            weights=weights, bias=layer.bias, stride=(1, 1), dilation=(1, 1),
            padding=((top, 0), (left, 0)), depthwise=False,
            input_zero_point=layer.input_zero_point, requantization=layer.requantization,
        )  # fmt: skip
        grid = Grid(
            height=-(-(out_h - y) // layer.stride[0]),
            width=-(-(out_w - x) // layer.stride[1]),
            y=y,
            x=x,
            step=layer.stride,
        )
        jobs.append(conv_job(phase, index, source, target, grid, config))
    return jobs


def phase_taps(phase: int, before: int, stride: int, kernel: int) -> tuple[NDArray[np.intp], int]:
    """Taps of one axis in the order of the inputs they meet, and the padding before input 0.

    With ``q, r = divmod(phase + before, stride)``, output ``phase + stride * i`` sees the taps
    ``r, r + stride, ...``: tap ``r`` at input ``i + q``, each further one an input earlier.
    """
    quotient, first = divmod(phase + before, stride)
    taps = np.arange(first, kernel, stride)[::-1]
    return taps, len(taps) - 1 - quotient
