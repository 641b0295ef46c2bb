"""Variables that need no copies: what is read from them in place, and what is written there."""

from collections.abc import Sequence
from dataclasses import dataclass

from mmsp.compiler.layers import Copy, Layer, Reshape
from mmsp.graph import Graph

__all__ = ["InPlace", "find_in_place_variables"]


@dataclass(frozen=True)
class InPlace:
    """What needs no copy.

    ``storage`` maps a tensor to the variable whose place it takes; ``copies`` are the layers, by
    index, that become superfluous by it.
    """

    storage: dict[str, str]
    copies: set[int]


def find_in_place_variables(graph: Graph, layers: Sequence[Layer]) -> InPlace:
    """Find the copies from and to variables that need not be made.

    What is read from a variable stays there when nobody writes the variable before its last reader
    is done; what is assigned to it is computed in its place when nobody reads the variable's old
    value from then on.
    """
    result = InPlace({}, set())
    for name in graph.variables:
        reads = [
            i for i, layer in enumerate(layers) if isinstance(layer, Copy) and layer.input == name
        ]
        writes = [i for i, layer in enumerate(layers) if layer.output == name]
        last_read = max(
            (i for i, layer in enumerate(layers) if name in layer.inputs and i not in reads),
            default=-1,
        )
        for i in reads:
            output = layers[i].output
            last = last_use(output, layers)
            if output not in graph.outputs and not any(i < write < last for write in writes):
                result.storage[output] = name
                result.copies.add(i)
                last_read = max(last_read, last)
            else:
                last_read = max(last_read, i)
        if len(writes) == 1 and isinstance(layers[writes[0]], Copy):
            (value,) = layers[writes[0]].inputs
            maker = next((i for i, layer in enumerate(layers) if layer.output == value), None)
            if (
                maker is not None
                and maker > last_read
                and not isinstance(layers[maker], Copy | Reshape)
                and value not in result.storage
            ):
                result.storage[value] = name
                result.copies.add(writes[0])
    return result


def last_use(name: str, layers: Sequence[Layer]) -> int:
    """Index of the last layer that reads a tensor, by this name or by that of a copy's output."""
    last = -1
    for index, layer in enumerate(layers):
        if name in layer.inputs:
            last = max(last, index)
            if isinstance(layer, Copy | Reshape):
                last = max(last, last_use(layer.output, layers))
    return last
