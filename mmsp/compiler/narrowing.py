"""Weights of fewer bits than the file has: half or a quarter of the MRAM, at some loss."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mmsp.errors import InputError
from mmsp.graph import Graph, Node, Quantization, Tensor

__all__ = ["WEIGHT_BITS", "narrow_weights"]

WEIGHT_BITS = (4, 2)
"""Widths that `narrow_weights` makes."""

CHANNEL_AXES = {
    "CONV_2D": 0,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 0,
    "TRANSPOSE_CONV": 0,
}
"""Operators whose weights become narrow, and the dimension of the weights' output channels."""

WEIGHTS = 1
BIASES = {"TRANSPOSE_CONV": 3}
BIAS = 2


def narrow_weights(graph: Graph, bits: int) -> Graph:
    """Requantise int8 weights to ``bits``, 4 or 2, symmetric, one scale an output channel.

    The largest weight of a channel becomes the largest code; biases follow the new scales.  Weights
    that are as narrow already stay.  The graph says in a note what was done.

    Raises
    ------
    InputError
        When ``bits`` is neither 4 nor 2.
    """
    if bits not in WEIGHT_BITS:
        raise InputError(f"weights can be requantised to 4 or 2 bits, not {bits}")
    tensors, nodes = dict(graph.tensors), []
    for node in graph.nodes:
        nodes.append(narrow_node(node, tensors, bits))
    changed = sum(new is not old for new, old in zip(nodes, graph.nodes, strict=True))
    note = (
        f"weights of {changed} of {len(nodes)} nodes requantised to {bits} bits, one scale an "
        f"output channel"
    )
    return replace(graph, tensors=tensors, nodes=nodes, notes=[*graph.notes, note])


def narrow_node(node: Node, tensors: dict[str, Tensor], bits: int) -> Node:
    """The node with narrow weights, which are added to ``tensors``; itself if it keeps its own."""
    axis = CHANNEL_AXES.get(node.op)
    name = node.inputs[WEIGHTS] if len(node.inputs) > WEIGHTS else None
    weights = None if name is None else tensors[name]
    if axis is None or weights is None or weights.data is None or weights.dtype != np.int8:
        return node
    if weights.quantization is None or len(weights.shape) <= axis:
        return node  # refused later, with the reason
    limit = (1 << (bits - 1)) - 1
    if -limit - 1 <= weights.data.min() and weights.data.max() <= limit:
        return node
    others = tuple(i for i in range(weights.data.ndim) if i != axis)
    peaks = np.abs(weights.data.astype(np.int64)).max(axis=others)
    # New scale over old one; a channel of zeros keeps its scale.
    growth = np.where(peaks > 0, peaks, limit) / limit
    shape = [-1 if i == axis else 1 for i in range(weights.data.ndim)]
    codes = round_half_away(weights.data / growth.reshape(shape)).astype(np.int8)
    scales = np.array(weights.quantization.scale) * growth
    quantization = Quantization(float32(scales), (0,) * len(scales), axis)
    inputs = list(node.inputs)
    inputs[WEIGHTS] = add(
        tensors,
        replace(
            weights, name=f"{node.name}:weights", data=codes, quantization=quantization, bits=bits
        ),
    )
    at = BIASES.get(node.op, BIAS)
    bias_name = inputs[at] if len(inputs) > at else None
    if bias_name is not None and tensors[bias_name].data is not None:
        inputs[at] = add(tensors, narrow_bias(node, tensors[bias_name], growth))
    return replace(node, inputs=tuple(inputs))


def narrow_bias(node: Node, bias: Tensor, growth: NDArray[np.float64]) -> Tensor:
    """The bias in steps that are ``growth`` times as large, by channel."""
    assert bias.data is not None
    data = round_half_away(bias.data.reshape(-1) / growth).astype(bias.dtype)
    quantization = bias.quantization
    if quantization is not None:
        scales = np.array(quantization.scale) * growth
        quantization = Quantization(float32(scales), (0,) * len(scales))
    return replace(
        bias, name=f"{node.name}:bias", data=data.reshape(bias.shape), quantization=quantization
    )


def add(tensors: dict[str, Tensor], tensor: Tensor) -> str:
    """Add a tensor under a name that is free, and return it."""
    while tensor.name in tensors:
        tensor = replace(tensor, name=tensor.name + "'")
    tensors[tensor.name] = tensor
    return tensor.name


def round_half_away(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to the nearest integer, halves away from zero."""
    return np.copysign(np.floor(np.abs(values) + 0.5), values)


def float32(scales: NDArray[np.float64]) -> tuple[float, ...]:
    """Scales as a file would hold them."""
    return tuple(np.asarray(scales, np.float32).astype(np.float64).tolist())
