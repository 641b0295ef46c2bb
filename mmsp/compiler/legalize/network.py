"""Turns a graph into layers: checks that the engine can run it and derives every integer.

`LEGALIZERS` lists the operators that are supported; everything else is refused by name.
"""

from collections.abc import Callable

import numpy as np

from mmsp.compiler.layers import Layer, Pad, Pool, Reshape, Softmax
from mmsp.compiler.legalize.activations import (
    legalize_clamp,
    legalize_leaky_relu,
    legalize_prelu,
    legalize_quantize,
    legalize_relu,
)
from mmsp.compiler.legalize.curves import legalize_sigmoid
from mmsp.compiler.legalize.elementwise import (
    legalize_maximum,
    legalize_multiply,
    legalize_sum,
)
from mmsp.compiler.legalize.gru import legalize_gru
from mmsp.compiler.legalize.linear import (
    legalize_convolution,
    legalize_depthwise_convolution,
    legalize_fully_connected,
    legalize_transpose_convolution,
)
from mmsp.compiler.legalize.lstm import legalize_lstm
from mmsp.compiler.legalize.movement import (
    legalize_assign_variable,
    legalize_concatenation,
    legalize_read_variable,
    legalize_resize_nearest,
    legalize_slice,
    legalize_split,
    legalize_strided_slice,
    legalize_transpose,
)
from mmsp.compiler.legalize.operands import Operands
from mmsp.compiler.legalize.quantization import (
    activation_range,
    softmax_scaling,
)
from mmsp.compiler.legalize.reduction import legalize_reduction
from mmsp.compiler.legalize.svdf import legalize_svdf
from mmsp.errors import InputError
from mmsp.graph import Graph, Node

__all__ = ["LEGALIZERS", "legalize"]

SOFTMAX_OUTPUT = (1 / 256, -128)
"""Scale and zero point that an int8 softmax must have."""

REAL_BIAS = ("GRU",)
"""Operators with a constant bias in floating point, which legalisation quantises."""

LARGEST_SOFTMAX = 4096
"""Values whose exponentials a 32-bit Q12.19 sum holds."""

PIXEL_DIMENSIONS = 3


def legalize(graph: Graph) -> list[Layer]:
    """Return the layers of ``graph``, in the order of its nodes.

    Raises
    ------
    InputError
        When the engine cannot run the graph: one sentence that names the node and the reason.
    """
    if not graph.nodes:
        raise InputError(f"{graph.name} has no operators")
    layers: list[Layer] = []
    written = {*graph.inputs, *graph.variables}
    for node in graph.nodes:
        for layer in legalize_node(graph, node):
            for name in layer.inputs:
                if name not in written:
                    raise InputError(f"node {node.name!r} reads {name!r} before a node writes it")
            if layer.output in written and layer.output not in graph.variables:
                raise InputError(f"node {node.name!r} writes {layer.output!r} a second time")
            written.add(layer.output)
            layers.append(layer)
    for name in graph.outputs:
        if name not in written:
            raise InputError(f"output {name!r} of {graph.name} is written by no node")
    return layers


def legalize_node(graph: Graph, node: Node) -> list[Layer]:
    """Return the layers of one node."""
    operands = Operands(graph, node)
    for tensor in operands.tensors:
        if tensor.dtype.kind == "f" and not (node.op in REAL_BIAS and tensor.data is not None):
            raise InputError(
                f"node {node.name!r} ({node.op}) computes in floating point: tensor "
                f"{tensor.name!r} is {tensor.dtype}, and only int8 networks run on the engine"
            )
    if node.op not in LEGALIZERS:
        raise InputError(
            f"node {node.name!r} uses operator {node.op}, which the engine cannot run: "
            f"supported are {', '.join(sorted(LEGALIZERS))}"
        )
    try:
        return LEGALIZERS[node.op](operands)
    except InputError as error:
        raise operands.error(str(error)) from None


def legalize_pool(operands: Operands) -> list[Layer]:
    """AVERAGE_POOL_2D and MAX_POOL_2D; as in TFLM, only the output's scale is used."""
    source = operands.image(0, wide=True)
    output = operands.output(source)
    stride, padding = operands.attribute("stride"), operands.attribute("padding")
    kernel = operands.attribute("kernel")
    operands.check_window_output(source, output, kernel, source.pixels[2])
    minimum, maximum = activation_range(
        operands.activation_name, *operands.per_tensor(output), output.dtype
    )
    for size, extent, (before, after) in zip(source.pixels[:2], kernel, padding, strict=False):
        if max(before, after) >= extent or before + after + size < extent:
            raise InputError(f"padding {padding} leaves a window of {kernel} without a pixel")
    return [
        Pool(
            name=operands.node.name,
            op=operands.node.op,
            input=source.name,
            output=output.name,
            kind="average" if operands.node.op == "AVERAGE_POOL_2D" else "max",
            kernel=kernel,
            stride=stride,
            padding=padding,
            minimum=minimum,
            maximum=maximum,
        )
    ]


def legalize_pad(operands: Operands) -> list[Layer]:
    """PAD with the output's zero point, which must be the input's."""
    source = operands.stored(0)
    output = operands.output(source)
    amounts = operands.constant(1, "paddings")
    rank = len(source.shape)
    if amounts.shape != (rank, 2) or amounts.dtype != np.int32:
        raise InputError(
            f"paddings are {amounts.dtype} of shape {amounts.shape}, and must be int32 "
            f"of shape {(rank, 2)}"
        )
    pairs = [(int(before), int(after)) for before, after in amounts]
    if min(min(pair) for pair in pairs) < 0:
        raise InputError(f"paddings {pairs} must not be negative")
    expected = tuple(size + sum(pair) for size, pair in zip(source.shape, pairs, strict=True))
    if output.shape != expected:
        raise InputError(f"the output has shape {output.shape}, and padding gives {expected}")
    if rank >= PIXEL_DIMENSIONS and pairs.pop(0) != (0, 0):
        raise InputError(f"paddings {amounts.tolist()} must leave the batch dimension alone")
    operands.require_equal_quantization(source, output)
    height, width, channels = ([(0, 0)] * PIXEL_DIMENSIONS + pairs)[-PIXEL_DIMENSIONS:]
    return [
        Pad(
            name=operands.node.name,
            op=operands.node.op,
            input=source.name,
            output=output.name,
            padding=(height, width, channels),
            zero_point=operands.per_tensor(output)[1],
        )
    ]


def legalize_reshape(operands: Operands) -> list[Layer]:
    """RESHAPE to the shape of the output tensor, which the file has resolved."""
    source, output = operands.stored(0, sequence=True), operands.output_of(0, sequence=True)
    if source.size != output.size:
        raise InputError(f"shape {source.shape} cannot become {output.shape}: the sizes differ")
    return [
        Reshape(name=operands.node.name, op=operands.node.op, input=source.name, output=output.name)
    ]


def legalize_softmax(operands: Operands) -> list[Layer]:
    """SOFTMAX over the last dimension, int8 to int8."""
    source, output = operands.activation(0), operands.output()
    if source.pixels[2] > LARGEST_SOFTMAX:
        raise InputError(f"{source.pixels[2]} values exceed the limit of {LARGEST_SOFTMAX}")
    if source.shape != output.shape:
        raise InputError(f"the output has shape {output.shape}, and the input {source.shape}")
    if operands.per_tensor(output) != SOFTMAX_OUTPUT:
        raise InputError(
            f"the output has scale and zero point {operands.per_tensor(output)}, "
            f"and must have {SOFTMAX_OUTPUT}"
        )
    scale, _ = operands.per_tensor(source)
    multiplier, shift, minimum_difference = softmax_scaling(operands.attribute("beta"), scale)
    return [
        Softmax(
            name=operands.node.name,
            op=operands.node.op,
            input=source.name,
            output=output.name,
            beta_multiplier=multiplier,
            beta_shift=shift,
            minimum_difference=minimum_difference,
        )
    ]


LEGALIZERS: dict[str, Callable[[Operands], list[Layer]]] = {
    "ADD": legalize_sum,
    "ASSIGN_VARIABLE": legalize_assign_variable,
    "AVERAGE_POOL_2D": legalize_pool,
    "CONCATENATION": legalize_concatenation,
    "CONV_2D": legalize_convolution,
    "DEPTHWISE_CONV_2D": legalize_depthwise_convolution,
    "EXPAND_DIMS": legalize_reshape,
    "FULLY_CONNECTED": legalize_fully_connected,
    "GRU": legalize_gru,
    "LEAKY_RELU": legalize_leaky_relu,
    "LOGISTIC": legalize_sigmoid,
    "MAXIMUM": legalize_maximum,
    "MAX_POOL_2D": legalize_pool,
    "MEAN": legalize_reduction,
    "MINIMUM": legalize_maximum,
    "MUL": legalize_multiply,
    "PAD": legalize_pad,
    "PRELU": legalize_prelu,
    "QUANTIZE": legalize_quantize,
    "READ_VARIABLE": legalize_read_variable,
    "RELU": legalize_relu,
    "RELU6": legalize_clamp,
    "RELU_N1_TO_1": legalize_clamp,
    "RESHAPE": legalize_reshape,
    "RESIZE_NEAREST_NEIGHBOR": legalize_resize_nearest,
    "SLICE": legalize_slice,
    "SOFTMAX": legalize_softmax,
    "SPLIT": legalize_split,
    "SPLIT_V": legalize_split,
    "SQUEEZE": legalize_reshape,
    "STRIDED_SLICE": legalize_strided_slice,
    "SUB": legalize_sum,
    "SUM": legalize_reduction,
    "TANH": legalize_sigmoid,
    "SVDF": legalize_svdf,
    "TRANSPOSE": legalize_transpose,
    "TRANSPOSE_CONV": legalize_transpose_convolution,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": legalize_lstm,
}
"""How every supported operator becomes layers."""
