"""Takes conversions to and from integers off the ends of a graph, and puts them back.

A network quantised for a microcontroller often keeps float32 or uint8 at its ends, converted by a
QUANTIZE or DEQUANTIZE.  The host does these few conversions; the chip runs the int8 or int16 graph
between.
"""

from dataclasses import replace

import numpy as np

from mmsp.errors import InputError
from mmsp.graph import Graph, HostConversion, Node, Quantization, Tensor

__all__ = ["extract_host_conversions", "restore_host_conversions"]

INT8, INT16 = np.dtype(np.int8), np.dtype(np.int16)
UINT8_OFFSET = 128
"""Zero point of uint8 minus zero point of int8 when only the type differs."""


def per_tensor(tensor: Tensor) -> Quantization | None:
    """Quantisation of an int8 or int16 tensor with a single scale, or None."""
    quantization = tensor.quantization
    if tensor.dtype not in (INT8, INT16) or quantization is None or len(quantization.scale) != 1:
        return None
    return quantization


def is_host_conversion(op: str, outside: Tensor, inside: Tensor, direction: str) -> bool:
    """Whether the host can do the conversion between the two: float32, or uint8 of equal scale."""
    quantization = per_tensor(inside)
    if quantization is None or not quantization.scale[0] > 0:
        return False
    if outside.dtype == np.float32:
        return op == ("QUANTIZE" if direction == "input" else "DEQUANTIZE")
    same_width = outside.dtype == np.uint8 and inside.dtype == INT8
    if same_width and outside.quantization is not None and op == "QUANTIZE":
        (zero_point,) = quantization.zero_point
        return outside.quantization.scale == quantization.scale and (
            outside.quantization.zero_point == (zero_point + UINT8_OFFSET,)
        )
    return False


def find_conversion(graph: Graph, node: Node) -> HostConversion | None:
    """The host conversion that ``node`` is, or None."""
    if node.op not in ("QUANTIZE", "DEQUANTIZE"):
        return None
    if len(node.inputs) != 1 or len(node.outputs) != 1 or node.inputs[0] is None:
        return None
    source, target = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
    readers = [n.name for n in graph.nodes for operand in n.inputs if operand == source.name]
    if source.name in graph.inputs and source.name not in graph.outputs and len(readers) == 1:
        direction, outside, inside = "input", source, target
    elif target.name in graph.outputs and source.name not in graph.inputs:
        direction, outside, inside = "output", target, source
        if any(target.name in n.inputs for n in graph.nodes):
            return None
    else:
        return None
    if not is_host_conversion(node.op, outside, inside, direction):
        return None
    quantization = inside.quantization
    assert quantization is not None  # `is_host_conversion` has seen it
    return HostConversion(
        node.name, node.op, direction, outside, inside.name, quantization, inside.dtype
    )


def extract_host_conversions(graph: Graph) -> Graph:
    """Return the graph with the conversions at its ends turned into `HostConversion` records."""
    conversions = []
    for node in graph.nodes:
        conversion = find_conversion(graph, node)
        if conversion is not None:
            conversions.append(conversion)
    if not conversions:
        return graph
    taken = {conversion.node for conversion in conversions}
    inside = {conversion.outside.name: conversion.inside for conversion in conversions}
    return replace(
        graph,
        tensors={name: tensor for name, tensor in graph.tensors.items() if name not in inside},
        nodes=[node for node in graph.nodes if node.name not in taken],
        inputs=[inside.get(name, name) for name in graph.inputs],
        outputs=[inside.get(name, name) for name in graph.outputs],
        host_conversions=graph.host_conversions + conversions,
    )


def restore_host_conversions(graph: Graph) -> Graph:
    """Return the graph with its host conversions as nodes again.

    Raises
    ------
    InputError
        When the host does more than QUANTIZE and DEQUANTIZE can.
    """
    before, after = [], []
    tensors = dict(graph.tensors)
    inputs, outputs = list(graph.inputs), list(graph.outputs)
    for conversion in graph.host_conversions:
        if conversion.steps or conversion.softmax_axis is not None:
            raise InputError(f"{conversion.sentence}: it cannot be written as a node")
        outside, inside = conversion.outside.name, conversion.inside
        tensors[outside] = conversion.outside
        if conversion.direction == "input":
            before.append(Node(conversion.op, conversion.node, (outside,), (inside,)))
            inputs[inputs.index(inside)] = outside
        else:
            after.append(Node(conversion.op, conversion.node, (inside,), (outside,)))
            outputs[outputs.index(inside)] = outside
    return replace(
        graph,
        tensors=tensors,
        nodes=before + graph.nodes + after,
        inputs=inputs,
        outputs=outputs,
        host_conversions=[],
    )
