"""From layers to a program: plan the memory, generate jobs, lay out the stream."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdl.config import MRAM_WORD_BYTES, ChipConfig
from hdl.engine.descriptor import DESCRIPTOR_WORDS
from mmsp.compiler.layers import Add, Conv, Layer, Pad, Pool, Reshape, Softmax, TransposeConv
from mmsp.compiler.legalize import legalize
from mmsp.compiler.lower.conv import lower_conv
from mmsp.compiler.lower.jobs import END_WORDS, Job, encode_job, encode_payload
from mmsp.compiler.lower.transpose_conv import lower_transpose_conv
from mmsp.compiler.lower.window import (
    lower_add,
    lower_pad,
    lower_pool,
    lower_reshape,
    lower_softmax,
)
from mmsp.compiler.memory_plan import MemoryPlan, plan_memory
from mmsp.compiler.simplify import simplify
from mmsp.errors import InputError
from mmsp.graph import Graph

__all__ = ["Program", "compile_graph", "layer_macs"]

LOWERINGS: dict[type, Callable[..., list[Job]]] = {
    Add: lower_add,
    Conv: lower_conv,
    Pad: lower_pad,
    Pool: lower_pool,
    Reshape: lower_reshape,
    Softmax: lower_softmax,
    TransposeConv: lower_transpose_conv,
}


@dataclass(frozen=True)
class Program:
    """A network compiled for one configuration.

    ``words``: ``(n, 16)`` uint8, the program stream from MRAM word 0.  ``job_offsets``: first word
    of each job.  ``layers`` are those of the graph; a layer that needs no job has none.
    """

    config: ChipConfig
    graph: Graph
    layers: list[Layer]
    jobs: list[Job]
    plan: MemoryPlan
    storage: dict[str, str]
    words: NDArray[np.uint8]
    job_offsets: list[int]


def compile_graph(graph: Graph, config: ChipConfig) -> Program:
    """Compile a graph.

    Raises
    ------
    InputError
        When an operator is not supported, or weights or activations do not fit ``config``.
    """
    layers = legalize(graph)
    simplified = simplify(graph, layers)
    plan = plan_memory(graph, simplified, config)
    jobs: list[Job] = []
    for index, layer in simplified.layers:
        sources = [plan.placements[simplified.root(name)] for name in layer.inputs]
        jobs.extend(lower(layer, index, sources, plan.placements[layer.output], config))

    payloads = [encode_payload(job, config) for job in jobs]
    lengths = [DESCRIPTOR_WORDS + len(payload) for payload in payloads] + [len(END_WORDS)]
    offsets = np.cumsum([0, *lengths]).tolist()
    total = offsets[-1]
    if total > config.mram_words:
        raise InputError(
            f"{graph.name} needs {total * MRAM_WORD_BYTES} bytes of MRAM for program and "
            f"weights, and configuration {config.name} has {config.mram_kib * 1024}"
        )
    parts = []
    for job, payload, end in zip(jobs, payloads, offsets[1:-1], strict=True):
        try:
            parts.append(encode_job(job, payload, total - end))
        except InputError as error:
            layer = layers[job.layer]
            raise InputError(
                f"node {layer.name!r} ({layer.op}) does not fit the engine: {error}"
            ) from None
    words = np.concatenate([*parts, END_WORDS])
    return Program(
        config=config,
        graph=graph,
        layers=layers,
        jobs=jobs,
        plan=plan,
        storage={name: simplified.root(name) for name in graph.tensors},
        words=words,
        job_offsets=offsets[:-2],
    )


def lower(
    layer: Layer, index: int, sources: Sequence[Any], target: Any, config: ChipConfig
) -> list[Job]:
    """Jobs of one layer."""
    try:
        return LOWERINGS[type(layer)](layer, index, sources, target, config)
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"node {layer.name!r} ({layer.op}) is too large: {error}") from None


def layer_macs(layer: Layer, graph: Graph) -> int:
    """Multiply-accumulates that a layer's definition asks for, padding included."""
    if isinstance(layer, TransposeConv):
        height, width, _ = graph.tensors[layer.input].pixels
        return height * width * layer.weights.size
    if not isinstance(layer, Conv):
        return 0
    height, width, _ = graph.tensors[layer.output].pixels
    return height * width * layer.weights.size
