"""Makes a failing network small: fewer nodes, outputs, samples, pixels and channels."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mmsp.compiler.legalize import legalize
from mmsp.fuzz.cropping import cropped, declare_shape
from mmsp.golden import run_golden
from mmsp.graph import Graph, Node, Tensor

__all__ = ["shrink"]

MAX_TRIALS = 150
"""Candidates tried at most: each is a run on the simulated chip."""

Values = dict[str, NDArray]
Case = tuple[Graph, list[Values]]


def shrink(
    graph: Graph, samples: Sequence[Mapping[str, NDArray]], fails: Callable[..., bool]
) -> Case:
    """Return a smaller network, and its inputs, for which ``fails(graph, samples)`` still holds.

    Greedy: the first candidate that fails is taken, until none does.  Nodes go from the end, from
    the front (what they wrote becomes an input, with the values it had), and one at a time from
    between; then unneeded outputs, samples, rows and columns of images, biases, output channels.
    """
    case: Case = graph, [dict(sample) for sample in samples]
    trials, progress = 0, True
    while progress and trials < MAX_TRIALS:
        progress = False
        for candidate in candidates(*case):
            trials += 1
            if fails(*candidate):
                case, progress = candidate, True
                break
            if trials >= MAX_TRIALS:
                break
    return case


def candidates(graph: Graph, samples: list[Values]) -> Iterator[Case]:
    """Smaller networks, the boldest first."""
    yield from fewer_samples(graph, samples)
    values = intermediate_values(graph, samples)
    for nodes, outputs in fewer_nodes(graph):
        case = rebuild(graph, nodes, values, outputs)
        if case is not None:
            yield case
    yield from cropped(graph, samples)
    for smaller in (*without_bias(graph), *with_fewer_channels(graph)):
        yield smaller, samples


def fewer_samples(graph: Graph, samples: list[Values]) -> Iterator[Case]:
    """One sample; with a state, fewer at the end or at the beginning as well."""
    for sample in samples if len(samples) > 1 else ():
        yield graph, [sample]
    if graph.variables and len(samples) > 2:  # noqa: PLR2004  (one is left above)
        yield graph, samples[:-1]
        yield graph, samples[1:]


def fewer_nodes(graph: Graph) -> Iterator[tuple[list[Node], list[str] | None]]:
    """Nodes to keep, and the outputs that are wanted (see `rebuild`)."""
    nodes, count = graph.nodes, len(graph.nodes)
    for size in sorted({1 << n for n in range(count.bit_length())} | {count - 1}):
        if 0 < size < count:
            yield nodes[:size], None
            yield nodes[count - size :], graph.outputs
    for index in range(count if count > 1 else 0):
        yield nodes[:index] + nodes[index + 1 :], graph.outputs
    for output in graph.outputs if len(graph.outputs) > 1 else ():
        yield nodes, [output]


def intermediate_values(graph: Graph, samples: list[Values]) -> list[Values]:
    """Every tensor of every sample, by the golden models; only the inputs when these crash."""
    try:
        # What legalisation adds to the tensors belongs to nodes that may go.
        scratch = replace(graph, tensors=dict(graph.tensors))
        layers, state = legalize(scratch), {}
        return [
            run_golden(scratch, layers, sample, state=state, keep_all=True) for sample in samples
        ]
    except Exception:  # which may be what is being shrunk
        return samples


def rebuild(
    graph: Graph, nodes: Sequence[Node], values: list[Values], outputs: list[str] | None
) -> Case | None:
    """The network of ``nodes`` alone, without those that no output needs.

    What they read and none of them writes becomes an input.  Outputs are those of ``outputs`` that
    are still written, and all of what nobody reads if that leaves none.  None when there are no
    values for an input, or nothing is written.
    """
    written = [name for node in nodes for name in node.outputs]
    read = {name for node in nodes for name in node.inputs}
    ends = [name for name in outputs or () if name in written]
    ends = ends or [name for name in written if name not in read] or written[-1:]
    kept = needed_nodes(graph, nodes, ends)
    needed = {*ends, *(n for node in kept for n in (*node.inputs, *node.outputs) if n is not None)}
    for node in kept:
        needed.update(node.attributes.get("intermediates", ()))
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name in needed}
    scratch = {name for node in kept for name in node.attributes.get("intermediates", ())}
    made = {*graph.variables, *scratch, *(name for node in kept for name in node.outputs)}
    inputs = [n for n, tensor in tensors.items() if tensor.data is None and n not in made]
    if not ends or any(name not in sample for name in inputs for sample in values):
        return None
    variables = {name: first for name, first in graph.variables.items() if name in needed}
    return (
        Graph(graph.name, tensors, kept, inputs, ends, variables=variables),
        [{name: sample[name] for name in inputs} for sample in values],
    )


def needed_nodes(graph: Graph, nodes: Sequence[Node], ends: Sequence[str]) -> list[Node]:
    """Those that ``ends`` need, in their order.

    What writes a variable is needed when its value is, in this run or in the next one.
    """
    needed: set[str | None] = set(ends)
    kept: set[int] = set()
    while True:
        more = {
            index
            for index, node in enumerate(nodes)
            if needed & {*node.outputs, *(set(node.inputs[:1]) & set(graph.variables))}
        }
        if more == kept:
            return [nodes[index] for index in sorted(kept)]
        kept = more
        needed |= {name for index in kept for name in nodes[index].inputs}


def without_bias(graph: Graph) -> Iterator[Graph]:
    """Networks that lack one bias."""
    for index, node in enumerate(graph.nodes):
        bias = BIAS.get(node.op, len(node.inputs))
        if len(node.inputs) > bias:
            shorter = replace(node, inputs=node.inputs[:bias])
            nodes = [*graph.nodes[:index], shorter, *graph.nodes[index + 1 :]]
            tensors = {n: t for n, t in graph.tensors.items() if n != node.inputs[bias]}
            yield replace(graph, tensors=tensors, nodes=nodes)


BIAS = {"CONV_2D": 2, "FULLY_CONNECTED": 2, "DEPTHWISE_CONV_2D": 2, "TRANSPOSE_CONV": 3}
"""Position of an optional bias among the operands."""

CHANNEL_OPERANDS = {"CONV_2D": (1, 2), "FULLY_CONNECTED": (1, 2), "TRANSPOSE_CONV": (1, 3)}
"""Positions of weights and bias of operators whose output channels are the rows of the weights."""


def with_fewer_channels(graph: Graph) -> Iterator[Graph]:
    """Networks one of whose last convolutions computes either half of its channels."""
    read = {name for node in graph.nodes for name in node.inputs}
    for node in graph.nodes:
        if node.op not in CHANNEL_OPERANDS:
            continue
        output = graph.tensors[node.outputs[0]]
        count = output.shape[-1]
        if output.name in read or count == 1:
            continue
        for part in (slice(0, count // 2), slice(count // 2, count)):
            tensors = dict(graph.tensors)
            for index in CHANNEL_OPERANDS[node.op]:
                name = node.inputs[index] if index < len(node.inputs) else None
                if name is not None:
                    tensors[name] = take_channels(tensors[name], part)
            shape = (*output.shape[:-1], len(range(count)[part]))
            tensors[output.name] = replace(output, shape=shape)
            if node.op == "TRANSPOSE_CONV":
                declare_shape(tensors, node, shape)
            yield replace(graph, tensors=tensors)


def take_channels(tensor: Tensor, part: slice) -> Tensor:
    """Rows ``part`` of weights or of a bias, with their scales."""
    data, quantization = tensor.data, tensor.quantization
    assert data is not None, "weights and biases are constant"
    assert quantization is not None, "and have scales"
    data = np.ascontiguousarray(data[part])
    if len(quantization.scale) > 1:
        quantization = replace(
            quantization,
            scale=quantization.scale[part],
            zero_point=quantization.zero_point[part],
        )
    return replace(tensor, data=data, shape=data.shape, quantization=quantization)
