"""Smaller images for a failing network: every shape behind the inputs follows."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mmsp.compiler.legalize import legalize
from mmsp.errors import InputError
from mmsp.fuzz.following import follow
from mmsp.graph import Graph, Node, Tensor

__all__ = ["cropped", "declare_shape"]

IMAGE_RANK = 4
HEIGHT, WIDTH = 1, 2
Values = dict[str, NDArray]


def cropped(graph: Graph, samples: list[Values]) -> Iterator[tuple[Graph, list[Values]]]:
    """Networks whose image inputs lost half of their rows or columns, or the last one.

    All inputs of one height (or width) are cropped alike, so that sums still fit.  A network with
    an operator whose shape is written down elsewhere, such as RESHAPE, gives none.
    """
    images = [name for name in graph.inputs if len(graph.tensors[name].shape) == IMAGE_RANK]
    for axis in (HEIGHT, WIDTH):
        for size in sorted({graph.tensors[name].shape[axis] for name in images}):
            for kept in sorted({size // 2, size - 1} - {0, size}):
                names = [n for n in images if graph.tensors[n].shape[axis] == size]
                smaller = resized(graph, dict.fromkeys(names, (axis, kept)))
                if smaller is not None:
                    yield (
                        smaller,
                        [
                            {
                                name: values.take(range(kept), axis) if name in names else values
                                for name, values in sample.items()
                            }
                            for sample in samples
                        ],
                    )


def resized(graph: Graph, crops: Mapping[str, tuple[int, int]]) -> Graph | None:
    """The network for inputs of other sizes; None when there is no such network."""
    tensors, nodes = dict(graph.tensors), []
    for name, (axis, kept) in crops.items():
        shape = list(tensors[name].shape)
        shape[axis] = kept
        tensors[name] = replace(tensors[name], shape=tuple(shape))
    for node in graph.nodes:
        operands = [tensors[name] for name in node.inputs if name is not None]
        if all(operand is graph.tensors[operand.name] for operand in operands):
            nodes.append(node)
            continue
        following = follow(node, operands, tensors[node.outputs[0]]) if node.outputs else None
        if following is None or len(node.outputs) != 1:
            return None
        shape, attributes = following
        nodes.append(replace(node, attributes=attributes))
        output = tensors[node.outputs[0]]
        tensors[output.name] = replace(output, shape=shape)
        if node.op == "TRANSPOSE_CONV":
            declare_shape(tensors, node, shape)
    smaller = replace(graph, tensors=tensors, nodes=nodes)
    try:
        legalize(replace(smaller, tensors=dict(tensors)))
    except InputError:
        return None
    return smaller


def declare_shape(tensors: dict[str, Tensor], node: Node, shape: tuple[int, ...]) -> None:
    """Give a transposed convolution the constant that holds its output's shape."""
    declared = tensors[node.inputs[0] or ""]
    tensors[declared.name] = replace(declared, data=np.array(shape, np.int32))
