"""Activation memory plan: which tensors are packed, share a place, and where each lies."""

from dataclasses import dataclass, replace

import numpy as np

from hdl.config import ACT_BANKS, CONFIGS, ChipConfig
from mmsp.compiler.layers import (
    Add,
    Conv,
    Curve,
    Layer,
    Multiply,
    Plain,
    Scale,
    Table,
    Tiled,
)
from mmsp.compiler.lower.feeds import can_pack
from mmsp.compiler.placement import Placement
from mmsp.compiler.simplify import Simplified
from mmsp.errors import InputError
from mmsp.graph import Graph

__all__ = ["Lifetime", "MemoryPlan", "best_plan", "plan_memory"]

KIB = 1024

ROW_PHASE = 2
"""Row phase of an output relative to its input: a 3-row window reads the other three banks."""

ELEMENTWISE = (Add, Curve, Multiply, Plain, Scale, Table)
"""Layers that read an element of each operand of the output's shape before they write it."""


@dataclass(frozen=True)
class Lifetime:
    """First and last step in which a tensor's bytes matter; step -1 is before the first layer."""

    first: int
    last: int

    def overlaps(self, other: "Lifetime") -> bool:
        """Whether both are alive in some step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class MemoryPlan:
    """Placements and lifetimes of stored tensors, and the words they take in a bank at most."""

    placements: dict[str, Placement]
    lifetimes: dict[str, Lifetime]
    words: int


def plan_memory(graph: Graph, simplified: Simplified, config: ChipConfig) -> MemoryPlan:
    """Place every stored tensor; largest first, each at the lowest address that is free.

    Raises
    ------
    InputError
        When the tensors that are alive together do not fit.
    """
    plan = best_plan(graph, simplified, config)
    if plan.words > config.bank_words:
        fitting = [
            other.name
            for other in CONFIGS.values()
            if best_plan(graph, simplified, other).words <= other.bank_words
        ]
        raise does_not_fit(plan, config, fitting)
    return plan


def best_plan(graph: Graph, simplified: Simplified, config: ChipConfig) -> MemoryPlan:
    """Place every stored tensor, in as many words as it takes."""
    lifetimes = find_lifetimes(graph, simplified)
    drafts = draft_placements(graph, simplified, config)
    shared = find_in_place(graph, simplified, lifetimes)

    merged: dict[str, Lifetime] = {}
    for name, lifetime in lifetimes.items():
        owner = follow(shared, name)
        known = merged.get(owner, lifetime)
        merged[owner] = Lifetime(min(known.first, lifetime.first), max(known.last, lifetime.last))
    placed: dict[str, Placement] = {}
    for name in sorted(merged, key=lambda n: (-drafts[n].words, merged[n].first, n)):
        neighbours = sorted(
            (placed[other].base, placed[other].base + placed[other].words)
            for other in placed
            if merged[other].overlaps(merged[name])
        )
        base = 0
        for start, end in neighbours:
            if base + drafts[name].words <= start:
                break
            base = max(base, end)
        placed[name] = replace(drafts[name], base=base)
    top = max((p.base + p.words for p in placed.values()), default=0)
    return MemoryPlan({name: placed[follow(shared, name)] for name in lifetimes}, lifetimes, top)


def find_lifetimes(graph: Graph, simplified: Simplified) -> dict[str, Lifetime]:
    """Lifetimes by stored tensor; steps count `Simplified.layers`."""
    end = len(simplified.layers)
    first = {simplified.root(name): -1 for name in (*graph.inputs, *graph.variables)}
    last = dict(first)
    for step, (_, layer) in enumerate(simplified.layers):
        for name in layer.inputs:
            last[simplified.root(name)] = step
        for name in (simplified.root(layer.output), *layer.temporaries):
            first.setdefault(name, step)
            last[name] = step
    for name in (*graph.outputs, *graph.variables):
        last[simplified.root(name)] = end
    return {name: Lifetime(first[name], last[name]) for name in first}


def draft_placements(
    graph: Graph, simplified: Simplified, config: ChipConfig
) -> dict[str, Placement]:
    """Layout and row phase of every stored tensor, at base 0."""
    readers: dict[str, list] = {}
    for _, layer in simplified.layers:
        for name in layer.inputs:
            readers.setdefault(simplified.root(name), []).append(layer)
    kept = {simplified.root(name) for name in (*graph.outputs, *graph.variables)}
    drafts = {}
    for name in (simplified.root(n) for n in (*graph.inputs, *graph.variables)):
        pixels = simplified.pixels[name]
        packed = (
            bool(readers.get(name))
            and not is_wide(graph, name)
            and name not in kept
            and all(
                isinstance(first, Conv) and can_pack(first, pixels, config)
                for first in map(first_of, readers[name])
            )
        )
        drafts[name] = Placement(
            pixels=pixels,
            word_bytes=config.rows,
            packed=packed,
            base=0,
            row0=0,
            wide=is_wide(graph, name),
        )
    for _, layer in simplified.layers:
        row0 = drafts[simplified.root(layer.inputs[0])].row0 if layer.inputs else 0
        for name in (*layer.temporaries, simplified.root(layer.output)):
            row0 = (row0 + ROW_PHASE) % ACT_BANKS
            drafts.setdefault(
                name,
                Placement(
                    pixels=simplified.pixels[name],
                    word_bytes=config.rows,
                    packed=False,
                    base=0,
                    row0=row0,
                    wide=is_wide(graph, name),
                ),
            )
    return drafts


def first_of(layer: Layer) -> Layer:
    """The layer that does the reading."""
    return layer.chain[0] if isinstance(layer, Tiled) else layer


def is_wide(graph: Graph, name: str) -> bool:
    """Whether a tensor is int16."""
    return graph.tensors[name].dtype == np.int16


def find_in_place(
    graph: Graph, simplified: Simplified, lifetimes: dict[str, Lifetime]
) -> dict[str, str]:
    """Outputs that may overwrite an operand which nobody reads later: output -> operand."""
    kept = {simplified.root(name) for name in (*graph.inputs, *graph.outputs, *graph.variables)}
    shared: dict[str, str] = {}
    for step, (_, layer) in enumerate(simplified.layers):
        if not isinstance(layer, ELEMENTWISE) or simplified.root(layer.output) in kept:
            continue
        for name in layer.inputs:
            operand = simplified.root(name)
            alike = simplified.pixels[operand] == simplified.pixels[layer.output]
            alike = alike and is_wide(graph, operand) == is_wide(graph, layer.output)
            if alike and operand not in kept and lifetimes[operand].last == step:
                shared[layer.output] = operand
                break
    return shared


def follow(shared: dict[str, str], name: str) -> str:
    """The tensor whose place `name` takes."""
    while name in shared:
        name = shared[name]
    return name


def does_not_fit(plan: MemoryPlan, config: ChipConfig, fitting: list[str]) -> InputError:
    """The sentence for a plan that is too large."""
    word_bytes = ACT_BANKS * config.rows
    ends = {name: place.base + place.words for name, place in plan.placements.items()}
    worst = max(ends, key=lambda name: ends[name])
    largest = max(other.activation_kib for other in CONFIGS.values())
    advice = (
        f"configuration {fitting[0]} would fit it"
        if fitting
        else f"no configuration has that much, the largest has {largest} KiB"
    )
    needed = -(-plan.words * word_bytes // KIB)
    return InputError(
        f"activations do not fit configuration {config.name}: tensor {worst!r} would end at "
        f"{plan.words * word_bytes} bytes, and {config.bank_words * word_bytes} bytes are there; "
        f"{advice}; --act-kib {needed} would simulate one that has"
    )
