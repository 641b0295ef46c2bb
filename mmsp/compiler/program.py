"""From layers to a program: plan the memory, generate jobs, lay out the stream."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdl.config import MRAM_WORD_BYTES, ChipConfig
from hdl.engine.descriptor import DESCRIPTOR_WORDS, Operation
from mmsp.compiler.layers import Constant, Conv, Layer, Loop, Tiled, TransposeConv
from mmsp.compiler.legalize import legalize
from mmsp.compiler.lower.dispatch import lower
from mmsp.compiler.lower.jobs import Job, encode_descriptor, encode_job, encode_payload
from mmsp.compiler.lower.loop import lower_loop
from mmsp.compiler.lower.tiled import lower_tiled
from mmsp.compiler.memory_plan import MemoryPlan, best_plan, plan_memory
from mmsp.compiler.narrowing import narrow_weights
from mmsp.compiler.placement import Placement
from mmsp.compiler.power import (
    assign_segments,
    footprint,
    live_in_step,
    live_segments,
    wake_marks,
)
from mmsp.compiler.simplify import Simplified, simplify
from mmsp.compiler.tiling import tile
from mmsp.errors import InputError
from mmsp.graph import Graph

__all__ = ["Program", "compile_graph", "layer_macs"]


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
    footprint: int
    """Segments of the activation memory that hold any tensor, a bit each."""
    held: int
    """Those of inputs, outputs and variables, whose contents stay between runs."""
    reset: NDArray[np.uint8] | None = None
    """A program of its own that gives the variables their initial values, if there are any."""


def compile_graph(graph: Graph, config: ChipConfig, *, weight_bits: int | None = None) -> Program:
    """Compile a graph, with ``weight_bits`` after `narrow_weights`.

    Raises
    ------
    InputError
        When an operator is not supported, or weights or activations do not fit ``config``.
    """
    if weight_bits is not None:
        graph = narrow_weights(graph, weight_bits)
    layers = legalize(graph)
    simplified = simplify(graph, layers)
    simplified = tile(
        graph, simplified, lambda layers: best_plan(graph, layers, config), config.bank_words
    )
    plan = plan_memory(graph, simplified, config)
    jobs: list[Job] = []
    live: list[int] = []
    for step, (index, layer) in enumerate(simplified.layers):
        made = lower_step(layer, index, simplified, plan, config)
        jobs.extend(made)
        live.extend(live_in_step(made, plan, step, config))
    assign_segments(jobs, live, config)
    at_end = live_segments(plan, len(simplified.layers), config)
    words, offsets = encode_program(graph.name, jobs, layers, config, at_end)
    reset = None
    if graph.variables:
        variables = footprint(plan, config, graph.variables)
        first = reset_jobs(graph, plan, config)
        assign_segments(first, [variables] * len(first), config)
        reset, _ = encode_program(graph.name, first, layers, config, variables)
        check_size(graph.name, len(words) + len(reset), config)
    ends = {simplified.root(name) for name in (*graph.inputs, *graph.outputs, *graph.variables)}
    return Program(
        config=config,
        graph=graph,
        layers=layers,
        jobs=jobs,
        plan=plan,
        storage={name: simplified.root(name) for name in graph.tensors},
        words=words,
        job_offsets=offsets,
        footprint=footprint(plan, config),
        held=footprint(plan, config, ends),
        reset=reset,
    )


def lower_step(
    layer: Layer, index: int, simplified: Simplified, plan: MemoryPlan, config: ChipConfig
) -> list[Job]:
    """Jobs of one layer of the plan."""

    def place(name: str) -> Placement:
        return plan.placements[simplified.root(name)]

    if isinstance(layer, Loop | Tiled):
        places = {name: place(name) for name in (*layer.inputs, *layer.temporaries, layer.output)}
        if isinstance(layer, Loop):
            return lower_loop(layer, index, places, lower, config)
        return lower_tiled(layer, places, lower, config)
    return lower(layer, index, [*map(place, layer.inputs)], place(layer.output), config)


def reset_jobs(graph: Graph, plan: MemoryPlan, config: ChipConfig) -> list[Job]:
    """Jobs that give every variable its initial value."""
    jobs = []
    for name, values in graph.variables.items():
        layer = Constant(name=name, op="VAR_HANDLE", output=name, values=values)
        jobs.extend(lower(layer, 0, [], plan.placements[name], config))
    return jobs


def check_size(name: str, words: int, config: ChipConfig) -> None:
    """Require that so many words fit the MRAM."""
    if words > config.mram_words:
        raise InputError(
            f"{name} needs {words * MRAM_WORD_BYTES} bytes of MRAM for program and "
            f"weights, and configuration {config.name} has {config.mram_kib * 1024}"
        )


def encode_program(
    name: str, jobs: Sequence[Job], layers: Sequence[Layer], config: ChipConfig, live: int
) -> tuple[NDArray[np.uint8], list[int]]:
    """The words of jobs and END, ``(n, 16)``, and the first word of each job.

    ``live``: segments that hold something when the program has ended.  Jobs get their wake marks.
    """
    payloads = [encode_payload(job, config) for job in jobs]
    lengths = [DESCRIPTOR_WORDS + len(payload) for payload in payloads] + [DESCRIPTOR_WORDS]
    offsets = np.cumsum([0, *lengths]).tolist()
    check_size(name, offsets[-1], config)
    for job, mark in zip(jobs, wake_marks(jobs, config), strict=True):
        job.fields["wake_mark"] = mark
    parts = []
    for job, payload, end in zip(jobs, payloads, offsets[1:-1], strict=True):
        try:
            parts.append(encode_job(job, payload, offsets[-1] - end))
        except InputError as error:
            layer = layers[job.layer]
            raise InputError(
                f"node {layer.name!r} ({layer.op}) does not fit the engine: {error}"
            ) from None
    parts.append(encode_descriptor({"operation": Operation.END, "live": live}))
    return np.concatenate(parts), offsets[:-2]


def layer_macs(layer: Layer, graph: Graph) -> int:
    """Multiply-accumulates that a layer's definition asks for, padding included."""
    if isinstance(layer, Loop):
        return layer.count * sum(layer_macs(each, graph) for each in layer.body)
    if isinstance(layer, TransposeConv):
        height, width, _ = graph.tensors[layer.input].pixels
        return height * width * layer.weights.size
    if not isinstance(layer, Conv):
        return 0
    height, width, _ = graph.tensors[layer.output].pixels
    return height * width * layer.weights.size
