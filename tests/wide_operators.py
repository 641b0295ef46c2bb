"""Random networks of one operator on int16 activations, all of them valid for TFLM."""

from dataclasses import replace

import numpy as np
from random_operators import ACTIVATIONS, OPERATORS

from mmsp.compiler.legalize import legalize
from mmsp.errors import InputError
from mmsp.graph import Graph, Quantization

INT16 = np.dtype(np.int16)
WIDE = ("AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MAX_POOL_2D",
        "PAD", "TRANSPOSE_CONV")  # fmt: skip
BIASES = {
    "CONV_2D": (np.int32, np.int64, None),
    "DEPTHWISE_CONV_2D": (np.int64, None),
    "FULLY_CONNECTED": (np.int64, None),
    "TRANSPOSE_CONV": (np.int64, np.int16, None),
}
"""Types of a bias that TFLM takes."""


def widen(rng, graph: Graph, bias_dtype) -> Graph:
    """The same network on int16: zero points of 0, the bias of another type."""
    (node,) = graph.nodes
    tensors = {}
    for name, tensor in graph.tensors.items():
        quantization = tensor.quantization
        if name in (*graph.inputs, *graph.outputs):
            assert quantization is not None
            symmetric = Quantization(quantization.scale, (0,))
            tensors[name] = replace(tensor, dtype=INT16, quantization=symmetric)
        elif name != "bias":
            tensors[name] = tensor
        elif bias_dtype is not None:
            limits = np.iinfo(bias_dtype)
            data = tensor.data.astype(np.int64) << int(rng.integers(0, 9))
            data = np.clip(data, max(limits.min, -(1 << 31)), min(limits.max, (1 << 31) - 1))
            data = data.astype(bias_dtype)
            tensors[name] = replace(tensor, dtype=data.dtype, data=data)
    inputs = tuple(name for name in node.inputs if name in tensors)
    return replace(graph, tensors=tensors, nodes=[replace(node, inputs=inputs)])


def tame(graph: Graph) -> bool:
    """Whether TFLM can rescale the sums: int64 ones shift left by 7 bits at most."""
    try:
        legalize(graph)
    except InputError as error:
        if "64-bit sums are scaled by less than" not in str(error):
            raise
        return False
    return True


def random_wide(rng, op, index):
    """A random network of one operator on int16 activations, and the type of its bias."""
    kinds = BIASES.get(op, (None,))
    bias_dtype = kinds[index % len(kinds)]
    per_channel = bool(index & 4) and op != "FULLY_CONNECTED"  # TFLM: int8 only
    while True:
        narrow = OPERATORS[op](rng, ACTIVATIONS[index // 3 % 4], per_channel)
        graph = widen(rng, narrow, bias_dtype)
        if tame(graph):
            return graph, "bias" in graph.tensors and np.dtype(bias_dtype).name


def random_int16(rng, shape):
    """Values of any spread, around any centre."""
    centre, spread = rng.integers(-32768, 32768), int(np.exp2(rng.uniform(0, 16)))
    values = centre + rng.integers(-spread, spread + 1, shape)
    return np.clip(values, -32768, 32767).astype(np.int16)
