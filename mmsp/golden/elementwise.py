"""Runs element-wise layers on the golden models."""

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from mmsp.compiler.layers import Add, Curve, Multiply, Plain, Requantization, Scale, Table
from mmsp.graph import Tensor
from models import engine
from models.engine.curves import curve

__all__ = ["ELEMENTWISE_KERNELS"]

Pixels = NDArray
Operands = list[Pixels]


def scalar_arguments(requantization: Requantization, output: Tensor) -> dict[str, Any]:
    """Arguments of a kernel with one requantisation for all channels."""
    return {
        "multiplier": requantization.multiplier.item(),
        "shift": requantization.shift.item(),
        "output_zero_point": requantization.zero_point,
        "minimum": requantization.minimum,
        "maximum": requantization.maximum,
        "dtype": output.dtype.type,
    }


def run_add(layer: Add, operands: Operands, output: Tensor) -> Pixels:
    """Add or subtract two tensors of different scales."""
    return engine.add(
        *operands,
        subtract=layer.subtract,
        input_zero_points=layer.input_zero_points,
        input_multipliers=layer.input_multipliers,
        input_shifts=layer.input_shifts,
        left_shift=layer.left_shift,
        **scalar_arguments(layer.requantization, output),
    )


def run_multiply(layer: Multiply, operands: Operands, output: Tensor) -> Pixels:
    """Multiply two tensors."""
    return engine.multiply(
        *operands,
        input_zero_points=layer.input_zero_points,
        **scalar_arguments(layer.requantization, output),
    )


def run_plain(layer: Plain, operands: Operands, output: Tensor) -> Pixels:
    """Combine two tensors of one scale."""
    return engine.combine(
        *operands,
        kind=layer.kind,
        input_zero_points=layer.input_zero_points,
        output_zero_point=layer.zero_point,
        minimum=layer.range[0],
        maximum=layer.range[1],
        dtype=output.dtype.type,
    )


def run_scale(layer: Scale, operands: Operands, output: Tensor) -> Pixels:
    """Rescale, negative values perhaps otherwise."""
    return engine.rescale(
        operands[0],
        input_zero_point=layer.input_zero_point,
        negative=layer.negative,
        alpha=layer.alpha,
        **scalar_arguments(layer.requantization, output),
    )


def run_table(layer: Table, operands: Operands, output: Tensor) -> Pixels:
    """Look every element up."""
    return engine.look_up(operands[0], layer.table)


def run_curve(layer: Curve, operands: Operands, output: Tensor) -> Pixels:
    """Interpolate."""
    return curve(operands[0], kind=layer.kind, multiplier=layer.multiplier, shift=layer.shift)


ELEMENTWISE_KERNELS: dict[type, Callable[[Any, Operands, Tensor], Pixels]] = {
    Add: run_add,
    Curve: run_curve,
    Multiply: run_multiply,
    Plain: run_plain,
    Scale: run_scale,
    Table: run_table,
}
"""What runs each kind of layer."""
