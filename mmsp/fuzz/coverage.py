"""What a network and its program exercise, by name, so that a campaign can count it."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from hdl.engine.descriptor import Operation
from mmsp.compiler import Program
from mmsp.graph import Graph, Node, Tensor

__all__ = ["network_coverage", "program_coverage"]

WINDOWED = ("AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D")
WEIGHTED = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1, "TRANSPOSE_CONV": 1}
"""Position of the weights among the operands."""

BINARY = ("ADD", "MAXIMUM", "MINIMUM", "MUL", "SUB")
TYPICAL_MULTIPLIER = 4


def network_coverage(graph: Graph) -> Counter:
    """Operators by node and type; what networks have, at most once a network."""
    covered = Counter(f"operator {node.op} {type_of(graph, node)}" for node in graph.nodes)
    readers = Counter(name for node in graph.nodes for name in set(node.inputs))
    activations = [name for name, tensor in graph.tensors.items() if tensor.data is None]
    types = {type_of(graph, node) for node in graph.nodes}
    features = {feature for node in graph.nodes for feature in node_features(graph, node)}
    features |= {
        name
        for name, holds in {
            "int8 and int16": len(types) > 1,
            "int16 only": types == {"int16"},
            "state": bool(graph.variables),
            "several inputs": len(graph.inputs) > 1,
            "several outputs": len(graph.outputs) > 1,
            "read by several": any(readers[name] > 1 for name in activations),
            "output read further": any(readers[name] for name in graph.outputs),
        }.items()
        if holds
    }
    return covered + Counter(features)


def type_of(graph: Graph, node: Node) -> str:
    """Type of a node's activations: that of its output, or of what it stores."""
    name = (*node.outputs, node.inputs[0])[0]
    assert name is not None, "a node without an output stores into a variable"
    return graph.tensors[name].dtype.name


def node_features(graph: Graph, node: Node) -> Iterator[str]:
    """What is special about one node."""
    operands = [None if name is None else graph.tensors[name] for name in node.inputs]
    if node.op in WEIGHTED:
        weights = operands[WEIGHTED[node.op]]
        assert weights is not None, "no operator goes without its weights"
        if weights.bits:
            yield "int4 weights"
        if node.op != "FULLY_CONNECTED" and 1 in weights.shape[1:3] != (1, 1):
            yield "kernel of one row or column"
    if node.op == "CONV_2D" and tuple(node.attributes["dilation"]) != (1, 1):
        yield "dilation"
    if node.attributes.get("depth_multiplier", 1) > TYPICAL_MULTIPLIER:
        yield "depth multiplier > 4"
    if node.op in BINARY:
        first, second = (tensor for tensor in operands if tensor is not None)
        if first.data is not None or second.data is not None:
            yield "constant operand"
        if first.shape != second.shape:
            yield "broadcast"
    if node.op == "QUANTIZE" and operands[0] is not None:
        yield f"{operands[0].dtype} to {type_of(graph, node)}"
    if node.op == "RESHAPE" and splits_pixels(operands[0], graph.tensors[node.outputs[0]]):
        yield "reshape of other channels"


def splits_pixels(source: Tensor | None, output: Tensor) -> bool:
    """Whether a reshape does more than to renumber pixels, or to make them one row."""
    return source is not None and source.shape[-1] != output.shape[-1] != output.size


def program_coverage(program: Program) -> Counter:
    """What a program exercises, at most once each."""
    graph, jobs, plan = program.graph, program.jobs, program.plan
    fields = [job.fields for job in jobs]
    features = {f"feed {f['feed'].name}" for f in fields if f["operation"] is Operation.JOB}
    features |= {f"drain {f['drain'].name}" for f in fields if "drain" in f}
    features |= {f"vector {f['function'].name}" for f in fields if "function" in f}
    activations = {name for name, tensor in graph.tensors.items() if tensor.data is None}
    stored = {program.storage[name] for name in activations if name in program.storage}
    stored &= plan.placements.keys()
    # What overwrites its operand has the very same placement.
    shared = len({id(plan.placements[name]) for name in stored}) < len(stored)
    with_jobs = {job.layer for job in jobs}
    ops = {layer.op for i, layer in enumerate(program.layers) if i not in with_jobs}
    features |= {f"folded {op}" for op in ops}
    order = [job.layer for job in jobs]
    features |= {
        name
        for name, holds in {
            "refetch": any(f.get("refetch") for f in fields),
            "stripes > 1": any(f.get("stripes_last") for f in fields),
            "groups > 1": any(f.get("groups_last") for f in fields),
            "inner passes > 1": any(
                f.get("inner_last") for f in fields if f["operation"] is Operation.JOB
            ),
            "in place": shared,
            "packed": any(place.packed for place in plan.placements.values()),
            "loop": any(f["operation"] is Operation.LOOP for f in fields),
            "strips of rows": bool(np.any(np.diff(order) < 0)),
        }.items()
        if holds
    }
    return Counter(features)
