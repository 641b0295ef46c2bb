"""Shape of an output, and attributes of its node, when the inputs have other sizes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from mmsp.graph import Node, Tensor
from mmsp.importers.operator_options import explicit_padding

__all__ = ["follow"]

HEIGHT, WIDTH = 1, 2
NO_PADDING = ((0, 0), (0, 0))

Following = tuple[tuple[int, ...], dict[str, Any]]


def follow(node: Node, operands: list[Tensor], output: Tensor) -> Following | None:
    """Shape of the output and attributes of a node whose inputs have changed.

    None for an operator whose shape is written down elsewhere, and where sizes no longer fit.
    """
    if node.op not in RULES:
        return None
    return RULES[node.op](node, operands, output)


def same_shape(node: Node, operands: list[Tensor], output: Tensor) -> Following:
    """Operators on single elements."""
    return operands[0].shape, node.attributes


def same_output(node: Node, operands: list[Tensor], output: Tensor) -> Following:
    """Operators whose size does not depend on that of the input."""
    return output.shape, node.attributes


def broadcast(node: Node, operands: list[Tensor], output: Tensor) -> Following | None:
    """Operators on two elements."""
    try:
        return np.broadcast_shapes(*(operand.shape for operand in operands)), node.attributes
    except ValueError:
        return None


def concatenation(node: Node, operands: list[Tensor], output: Tensor) -> Following:
    """Sizes add up."""
    shape = list(operands[0].shape)
    axis = node.attributes["axis"]
    shape[axis] = sum(operand.shape[axis] for operand in operands)
    return tuple(shape), node.attributes


def pad(node: Node, operands: list[Tensor], output: Tensor) -> Following:
    """So much more on each side."""
    more = constant(operands[1]).sum(axis=1).tolist()
    shape = tuple(n + m for n, m in zip(operands[0].shape, more, strict=True))
    return shape, node.attributes


def transpose(node: Node, operands: list[Tensor], output: Tensor) -> Following:
    """Another order."""
    order = constant(operands[1]).tolist()
    return tuple(operands[0].shape[axis] for axis in order), node.attributes


def reduction(node: Node, operands: list[Tensor], output: Tensor) -> Following:
    """Dimensions become 1, or vanish."""
    source, keep = operands[0].shape, node.attributes["keep_dims"]
    axes = {int(axis) % len(source) for axis in constant(operands[1]).reshape(-1)}
    sizes = [1 if axis in axes else size for axis, size in enumerate(source)]
    return tuple(n for axis, n in enumerate(sizes) if keep or axis not in axes), node.attributes


def transpose_conv(node: Node, operands: list[Tensor], output: Tensor) -> Following:
    """As SAME and VALID have it: see `mmsp.fuzz.linear.add_transpose_conv`."""
    _, weights, source = operands[:3]
    stride, kernel = node.attributes["stride"], weights.shape[HEIGHT : WIDTH + 1]
    scheme = scheme_of(node)
    height, width = (
        n * s if scheme == "SAME" else (n - 1) * s + max(k, s)
        for n, s, k in zip(source.shape[HEIGHT : WIDTH + 1], stride, kernel, strict=True)
    )
    padding = explicit_padding(scheme, (height, width), (kernel[0], kernel[1]), stride, (1, 1))
    return (1, height, width, output.shape[-1]), node.attributes | {"padding": padding}


def window(node: Node, operands: list[Tensor], output: Tensor) -> Following:
    """Convolutions and poolings."""
    source, attributes = operands[0].shape, node.attributes
    kernel = attributes.get("kernel")
    if kernel is None:
        weights = operands[1].shape
        kernel = weights[HEIGHT], weights[WIDTH]
    stride, dilation = attributes["stride"], attributes.get("dilation", (1, 1))
    size = source[HEIGHT], source[WIDTH]
    padding = explicit_padding(scheme_of(node), size, kernel, stride, dilation)
    sizes = [
        (size[i] + sum(padding[i]) - (kernel[i] - 1) * dilation[i] - 1) // stride[i] + 1
        for i in range(2)
    ]
    return (1, *sizes, output.shape[-1]), attributes | {"padding": padding}


def scheme_of(node: Node) -> str:
    """SAME or VALID."""
    return "VALID" if node.attributes["padding"] == NO_PADDING else "SAME"


def constant(tensor: Tensor) -> np.ndarray:
    """Data of an operand that legalisation requires to be constant."""
    assert tensor.data is not None, "the network was legalised before"
    return tensor.data


RULES: dict[str, Callable[[Node, list[Tensor], Tensor], Following | None]] = {
    **dict.fromkeys(
        ("LEAKY_RELU", "LOGISTIC", "PRELU", "QUANTIZE", "RELU", "RELU6", "SOFTMAX", "TANH"),
        same_shape,
    ),
    **dict.fromkeys(("ADD", "MAXIMUM", "MINIMUM", "MUL", "SUB"), broadcast),
    **dict.fromkeys(("AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D"), window),
    **dict.fromkeys(("MEAN", "SUM"), reduction),
    "CONCATENATION": concatenation,
    "PAD": pad,
    "RESIZE_NEAREST_NEIGHBOR": same_output,
    "TRANSPOSE": transpose,
    "TRANSPOSE_CONV": transpose_conv,
}
"""By operator; SPLIT, RESHAPE, variables and the like have shapes of their own."""
