"""Layers in strips of rows: less memory between them, for some rows computed twice.

Where activations do not fit, a chain of convolutions and poolings around the fullest moment is cut
into turns: each turn computes a few rows of the chain's last output, and of the tensors in between
only the rows that these need.  Rows that two turns share are computed by both, and each turn brings
its own copy of the weights, so few strips are tried first.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from mmsp.compiler.layers import Conv, Layer, Pool
from mmsp.compiler.layers.tiled import Strip, Tiled
from mmsp.compiler.memory_plan import MemoryPlan
from mmsp.compiler.simplify import Simplified
from mmsp.graph import Graph

__all__ = ["tile"]

STRIP_COUNTS = (2, 3, 4, 6, 8, 12, 16, 24, 32)
LONGEST_CHAIN = 8
MOST_CHAINS = 6

Planner = Callable[[Simplified], MemoryPlan]


@dataclass(frozen=True)
class Candidate:
    """A tiled network, its plan, and what the tiling costs in cycles."""

    simplified: Simplified
    plan: MemoryPlan
    cost: float


def tile(graph: Graph, simplified: Simplified, planner: Planner, words: int) -> Simplified:
    """Tile chains until the plan takes at most ``words`` of a bank, or nothing helps any more.

    Parameters
    ----------
    graph : Graph
        The network.
    simplified : Simplified
        Its layers.
    planner : callable
        Makes a memory plan of whatever size.
    words : int
        What there is.
    """
    plan = planner(simplified)
    for _ in range(MOST_CHAINS):
        if plan.words <= words:
            break
        candidates = [
            Candidate(tiled, planner(tiled), cost)
            for tiled, cost in tilings(graph, simplified, fullest_steps(simplified, plan))
        ]
        fitting = [c for c in candidates if c.plan.words <= words]
        if fitting:
            return min(fitting, key=lambda c: c.cost).simplified
        best = min(candidates, key=lambda c: (c.plan.words, c.cost), default=None)
        if best is None or best.plan.words >= plan.words:
            break
        simplified, plan = best.simplified, best.plan
    return simplified


def fullest_steps(simplified: Simplified, plan: MemoryPlan) -> set[int]:
    """The steps in which a tensor that ends at the top of the plan is alive."""
    steps: set[int] = set()
    for name, life in plan.lifetimes.items():
        place = plan.placements[name]
        if place.base + place.words == plan.words:
            steps |= set(range(max(life.first, 0), min(life.last + 1, len(simplified.layers))))
    return steps


def tilings(
    graph: Graph, simplified: Simplified, steps: set[int]
) -> Iterator[tuple[Simplified, float]]:
    """Every way to tile one chain that takes part in one of ``steps``, with its cost."""
    kept = {simplified.root(name) for name in (*graph.outputs, *graph.variables)}
    layers = simplified.layers
    for start in range(len(layers)):
        length = 1
        while (
            start + length < len(layers)
            and length < LONGEST_CHAIN
            and links(simplified, start + length - 1, kept)
        ):
            length += 1
            if steps & set(range(start, start + length)):
                for count in STRIP_COUNTS:
                    cut = tile_chain(simplified, start, length, count)
                    if cut is not None:
                        yield cut


def links(simplified: Simplified, at: int, kept: set[str]) -> bool:
    """Whether layers ``at`` and ``at + 1`` may be in one chain."""
    first, second = simplified.layers[at][1], simplified.layers[at + 1][1]
    middle = first.output
    readers = [
        layer
        for _, layer in simplified.layers
        if middle in (simplified.root(name) for name in layer.inputs)
    ]
    return (
        can_tile(simplified, first)
        and can_tile(simplified, second)
        and second.inputs == (middle,)
        and readers == [second]
        and simplified.root(middle) == middle
        and middle not in kept
    )


def can_tile(simplified: Simplified, layer: Layer) -> bool:
    """Whether the layer slides a window over rows, its output as laid out as it is computed."""
    if not isinstance(layer, Conv | Pool):
        return False
    rows = simplified.pixels[simplified.root(layer.output)][0]
    return rows > 1 and simplified.root(layer.output) == layer.output


def window_rows(layer: Conv | Pool) -> int:
    """Input rows of one window."""
    if isinstance(layer, Pool):
        return layer.kernel[0]
    return (layer.weights.shape[1] - 1) * layer.dilation[0] + 1


def rows_needed(layer: Conv | Pool, output: Strip, height: int) -> Strip:
    """Input rows that a strip of the output needs; at least one."""
    top = layer.padding[0][0]
    first = max(output.first * layer.stride[0] - top, 0)
    end = min((output.end - 1) * layer.stride[0] - top + window_rows(layer), height)
    first = min(first, height - 1)
    return Strip(first, max(end, first + 1))


def tile_chain(
    simplified: Simplified, start: int, length: int, count: int
) -> tuple[Simplified, float] | None:
    """The network with one chain in ``count`` strips, and its cost; None when it has fewer rows."""
    part = simplified.layers[start : start + length]
    chain = [layer for _, layer in part]
    heights = [simplified.pixels[simplified.root(layer.output)][0] for layer in chain]
    if count > heights[-1]:
        return None
    edges = [heights[-1] * i // count for i in range(count + 1)]
    turns, cost = [], 0.0
    for first, end in itertools.pairwise(edges):
        strips = [Strip(first, end)]
        for layer, height in zip(chain[:0:-1], heights[-2::-1], strict=True):
            assert isinstance(layer, Conv | Pool)
            strips.append(rows_needed(layer, strips[-1], height))
        turns.append(tuple(reversed(strips)))
    for i, layer in enumerate(chain):
        if isinstance(layer, Conv):
            rows = sum(turn[i].rows for turn in turns) - heights[i]
            width = simplified.pixels[layer.output][1]
            cost += (count - 1) * layer.weights.size / 16 + rows * width * layer.weights.size / 256
    tiled = Tiled(
        name=chain[-1].name,
        op=chain[-1].op,
        output=chain[-1].output,
        chain=tuple(chain),
        indices=tuple(index for index, _ in part),
        strips=tuple(turns),
        strip_rows={
            layer.output: max(turn[i].rows for turn in turns) for i, layer in enumerate(chain[:-1])
        },
    )
    pixels = dict(simplified.pixels)
    for name, rows in tiled.strip_rows.items():
        pixels[name] = (rows, *pixels[name][1:])
    layers = [
        *simplified.layers[:start],
        (part[-1][0], tiled),
        *simplified.layers[start + length :],
    ]
    return replace(simplified, layers=layers, pixels=pixels), cost
