"""Runs layers on the golden models: the numbers that the chip must produce, bit for bit."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsp.compiler.layers import (
    Conv,
    Layer,
    Loop,
    Pad,
    Pool,
    Requantization,
    Reshape,
    Softmax,
    TransposeConv,
)
from mmsp.errors import InputError
from mmsp.golden.elementwise import ELEMENTWISE_KERNELS
from mmsp.golden.loop import run_loop
from mmsp.golden.movement import MOVEMENT_KERNELS
from mmsp.graph import Graph, Tensor
from models import engine

__all__ = ["run_golden"]

Pixels = NDArray
"""``(H, W, C)``, int8 or int16."""

Operands = list[Pixels]


def run_golden(
    graph: Graph,
    layers: Sequence[Layer],
    inputs: Mapping[str, NDArray],
    *,
    state: dict[str, NDArray] | None = None,
    keep_all: bool = False,
) -> dict[str, NDArray]:
    """Run ``layers``, the legalised form of ``graph``.

    Parameters
    ----------
    graph : Graph
        Gives the shapes, inputs and outputs.
    layers : sequence of Layer
        What `mmsp.compiler.legalize.legalize` made of it.
    inputs : mapping
        By input name, each of the shape (with the batch) and the type of its tensor.
    state : dict, optional
        Variables by name: what they hold before and, on return, after.  By default, and where one
        is missing, they begin at their initial values.
    keep_all : bool
        Return the inputs and every intermediate tensor, too.

    Returns
    -------
    dict
        Tensors by name, in the shapes that the graph declares.

    Raises
    ------
    InputError
        When an input is missing, is unknown, or has another shape or type.
    """
    check_inputs(graph, inputs)
    tensors = {name: np.asarray(values) for name, values in inputs.items()}
    tensors |= graph.variables | (state or {})

    def pixels(name: str) -> Pixels:
        return tensors[name].reshape(graph.tensors[name].pixels)

    for layer in layers:
        if isinstance(layer, Loop):
            run_loop(layer, graph, tensors, run_kernel)
            continue
        output = graph.tensors[layer.output]
        result = run_kernel(layer, [pixels(name) for name in layer.inputs], output)
        tensors[layer.output] = result.reshape(output.shape)
    if state is not None:
        state.update({name: tensors[name] for name in graph.variables})
    return tensors if keep_all else {name: tensors[name] for name in graph.outputs}


def check_inputs(graph: Graph, inputs: Mapping[str, NDArray]) -> None:
    """Require exactly the graph's inputs, in their shapes and types."""
    if set(inputs) != set(graph.inputs):
        raise InputError(
            f"{graph.name} takes the inputs {sorted(graph.inputs)}, not {sorted(inputs)}"
        )
    for name, values in inputs.items():
        tensor, array = graph.tensors[name], np.asarray(values)
        if array.shape != tensor.shape or array.dtype != tensor.dtype:
            raise InputError(
                f"input {name!r} is {array.dtype} of shape {array.shape}, "
                f"and must be {tensor.dtype} of shape {tensor.shape}"
            )


def requantization_arguments(requantization: Requantization) -> dict:
    """Arguments that every kernel with a requantisation takes."""
    return {
        "multiplier": requantization.multiplier,
        "shift": requantization.shift,
        "output_zero_point": requantization.zero_point,
        "minimum": requantization.minimum,
        "maximum": requantization.maximum,
    }


def run_conv(layer: Conv, operands: Operands, output: Tensor) -> Pixels:
    """Convolve, each channel for itself or all together."""
    kernel = engine.depthwise_conv2d if layer.depthwise else engine.conv2d
    return kernel(
        operands[0],
        layer.weights,
        bias=layer.bias,
        stride=layer.stride,
        dilation=layer.dilation,
        padding=layer.padding,
        input_zero_point=layer.input_zero_point,
        dtype=output.dtype.type,
        single_rounding=layer.requantization.rounding == "single",
        **requantization_arguments(layer.requantization),
    )


def run_transpose_conv(layer: TransposeConv, operands: Operands, output: Tensor) -> Pixels:
    """Convolve, transposed; the output's size does not follow from the input's."""
    return engine.transpose_conv2d(
        operands[0],
        layer.weights,
        size=output.pixels[:2],
        bias=layer.bias,
        stride=layer.stride,
        before=layer.before,
        input_zero_point=layer.input_zero_point,
        dtype=output.dtype.type,
        single_rounding=layer.requantization.rounding == "single",
        **requantization_arguments(layer.requantization),
    )


def run_pool(layer: Pool, operands: Operands, output: Tensor) -> Pixels:
    """Take the mean or the maximum of every window."""
    kernel = engine.average_pool2d if layer.kind == "average" else engine.max_pool2d
    return kernel(
        operands[0],
        kernel=layer.kernel,
        stride=layer.stride,
        padding=layer.padding,
        minimum=layer.minimum,
        maximum=layer.maximum,
    )


def run_pad(layer: Pad, operands: Operands, output: Tensor) -> Pixels:
    """Surround with the zero point."""
    return engine.pad(operands[0], layer.padding, layer.zero_point)


def run_reshape(layer: Reshape, operands: Operands, output: Tensor) -> Pixels:
    """Keep the bytes; the caller gives them the output's shape."""
    return operands[0]


def run_softmax(layer: Softmax, operands: Operands, output: Tensor) -> Pixels:
    """Normalise over the channels."""
    return engine.softmax(
        operands[0],
        beta_multiplier=layer.beta_multiplier,
        beta_shift=layer.beta_shift,
        minimum_difference=layer.minimum_difference,
    )


def run_kernel(layer: Layer, operands: Operands, output: Tensor) -> Pixels:
    """Run one layer on its operands; ``output`` gives size and type of the result."""
    return KERNELS[type(layer)](layer, operands, output)


KERNELS: dict[type, Callable[[Any, Operands, Tensor], Pixels]] = {
    **ELEMENTWISE_KERNELS,
    **MOVEMENT_KERNELS,
    Conv: run_conv,
    Pad: run_pad,
    Pool: run_pool,
    Reshape: run_reshape,
    Softmax: run_softmax,
    TransposeConv: run_transpose_conv,
}
"""What runs each kind of layer: the layer, its operands and its output, whose size and type do not
always follow from the operands."""
