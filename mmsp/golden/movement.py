"""Golden kernels of the layers that move elements."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mmsp.compiler.layers import Concat, Constant, Copy, Mean, Repeat, Resize, Slice, Transpose
from mmsp.graph import Tensor
from models import engine

__all__ = ["MOVEMENT_KERNELS"]

Pixels = NDArray
Operands = list[Pixels]


def run_copy(layer: Copy, operands: Operands, output: Tensor) -> Pixels:
    """Keep everything."""
    return operands[0]


def run_constant(layer: Constant, operands: Operands, output: Tensor) -> Pixels:
    """What the program holds."""
    return np.asarray(layer.values, output.dtype)


def run_concat(layer: Concat, operands: Operands, output: Tensor) -> Pixels:
    """Join along an axis."""
    return engine.concatenate(operands, layer.axis)


def run_slice(layer: Slice, operands: Operands, output: Tensor) -> Pixels:
    """Take elements; the caller gives them the output's shape."""
    return engine.strided_slice(operands[0], layer.begin, layer.step, layer.size)


def run_transpose(layer: Transpose, operands: Operands, output: Tensor) -> Pixels:
    """Exchange axes."""
    return operands[0].transpose(layer.order)


def run_repeat(layer: Repeat, operands: Operands, output: Tensor) -> Pixels:
    """Repeat channels."""
    return np.repeat(operands[0], layer.times, axis=2)


def run_resize(layer: Resize, operands: Operands, output: Tensor) -> Pixels:
    """Repeat or leave out pixels."""
    return engine.resize_nearest(operands[0], layer.rows, layer.columns)


def run_mean(layer: Mean, operands: Operands, output: Tensor) -> Pixels:
    """Sum up and rescale."""
    return engine.mean(
        operands[0],
        kernel=layer.kernel,
        input_zero_point=layer.input_zero_point,
        multiplier=layer.requantization.multiplier,
        shift=layer.requantization.shift,
        output_zero_point=layer.requantization.zero_point,
        minimum=layer.requantization.minimum,
        maximum=layer.requantization.maximum,
    )


MOVEMENT_KERNELS: dict[type, Callable[..., Pixels]] = {
    Concat: run_concat,
    Constant: run_constant,
    Copy: run_copy,
    Mean: run_mean,
    Repeat: run_repeat,
    Resize: run_resize,
    Slice: run_slice,
    Transpose: run_transpose,
}
"""What runs each kind of layer."""
