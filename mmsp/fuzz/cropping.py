"""Smaller images for a failing network: every shape behind the inputs follows."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from mmsp.compiler.legalize import legalize
from mmsp.errors import InputError
from mmsp.graph import Graph, Node, Tensor
from mmsp.importers.operator_options import explicit_padding

__all__ = ["cropped"]

IMAGE_RANK = 4
HEIGHT, WIDTH = 1, 2
WINDOWED = ("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D")
SAME_SHAPE = ("ADD", "SOFTMAX")

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
        output = tensors[node.outputs[0]]
        if all(operand is graph.tensors[operand.name] for operand in operands):
            nodes.append(node)
            continue
        following = follow(node, operands, output)
        if following is None:
            return None
        shape, attributes = following
        nodes.append(replace(node, attributes=attributes))
        tensors[output.name] = replace(output, shape=shape)
    smaller = Graph(graph.name, tensors, nodes, graph.inputs, graph.outputs)
    try:
        legalize(smaller)
    except InputError:
        return None
    return smaller


def follow(
    node: Node, operands: list[Tensor], output: Tensor
) -> tuple[tuple[int, ...], dict[str, Any]] | None:
    """Shape of the output and attributes of a node whose inputs have changed."""
    source, attributes = operands[0].shape, node.attributes
    if node.op in SAME_SHAPE:
        return source, attributes
    if node.op == "PAD" and operands[1].data is not None:
        more = operands[1].data.sum(axis=1).tolist()
        return tuple(n + m for n, m in zip(source, more, strict=True)), attributes
    if node.op not in WINDOWED:
        return None
    kernel = attributes.get("kernel")
    if kernel is None:
        weights = operands[1].shape
        kernel = weights[HEIGHT], weights[WIDTH]
    stride, dilation = attributes["stride"], attributes.get("dilation", (1, 1))
    scheme = "VALID" if attributes["padding"] == ((0, 0), (0, 0)) else "SAME"
    size = source[HEIGHT], source[WIDTH]
    padding = explicit_padding(scheme, size, kernel, stride, dilation)
    sizes = [
        (size[i] + sum(padding[i]) - (kernel[i] - 1) * dilation[i] - 1) // stride[i] + 1
        for i in range(2)
    ]
    return (1, *sizes, output.shape[-1]), attributes | {"padding": padding}
