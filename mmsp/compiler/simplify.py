"""What needs no work on the chip: reshapes that rename, folded padding, needless copies."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mmsp.compiler.layers import Conv, Layer, Loop, Pad, Reshape
from mmsp.compiler.variables import find_in_place_variables
from mmsp.graph import Graph

__all__ = ["Simplified", "simplify"]

Pixels = tuple[int, int, int]


@dataclass(frozen=True)
class Simplified:
    """Layers that the engine runs, and the tensors that are stored under another name or shape.

    ``layers`` are ``(index, layer)``: the index counts the layers before simplification.
    ``storage`` maps a tensor to the one whose bytes it shares; ``pixels`` has the shape in which
    each stored tensor is laid out.
    """

    layers: list[tuple[int, Layer]]
    storage: dict[str, str]
    pixels: dict[str, Pixels]

    def root(self, name: str) -> str:
        """The stored tensor behind a name."""
        while name in self.storage:
            name = self.storage[name]
        return name


def simplify(graph: Graph, layers: Sequence[Layer]) -> Simplified:
    """Fold reshapes, spatial padding and copies where the consumer can take them over."""
    readers: dict[str, list[Layer]] = {}
    for layer in layers:
        for name in layer.inputs:
            readers.setdefault(name, []).append(layer)
    pixels = {name: graph.tensors[name].pixels for name in graph.inputs}
    pixels |= {layer.output: graph.tensors[layer.output].pixels for layer in layers}
    in_place = find_in_place_variables(graph, layers)
    pixels |= {name: graph.tensors[name].pixels for name in graph.variables}
    for layer in layers:
        pixels |= {name: graph.tensors[name].pixels for name in layer.temporaries}
        if isinstance(layer, Loop):
            pixels |= layer.layouts
    result = Simplified(layers=[], storage=dict(in_place.storage), pixels=pixels)
    folded: dict[str, Pad] = {}

    for index, original in enumerate(layers):
        layer = original
        if index in in_place.copies:
            continue
        if isinstance(layer, Reshape) and is_free(graph, layer, result, readers):
            result.storage[layer.output] = layer.input
            continue
        if isinstance(layer, Pad) and can_fold(graph, layer, readers):
            folded[layer.output] = layer
            continue
        if isinstance(layer, Conv):
            layer = fold_padding(layer, folded.get(layer.input))
            layer = fold_flattening(layer, result)
        result.layers.append((index, layer))
    return result


def is_free(
    graph: Graph, layer: Reshape, result: Simplified, readers: dict[str, list[Layer]]
) -> bool:
    """Whether the bytes can stay where they are."""
    root = result.root(layer.input)
    before, after = result.pixels[root], graph.tensors[layer.output].pixels
    if before == after:
        return True
    if root == layer.input and root in graph.inputs and len(readers[root]) == 1:
        result.pixels[root] = after  # the host writes the input in its new shape
        return True
    consumers = readers.get(layer.output, [])
    flattened = after[:2] == (1, 1)
    return flattened and all(
        isinstance(c, Conv) and not c.depthwise and c.weights.shape[1:3] == (1, 1)
        for c in consumers
    )


def can_fold(graph: Graph, layer: Pad, readers: dict[str, list[Layer]]) -> bool:
    """Whether padding can become padding of the convolutions behind it."""
    consumers = readers.get(layer.output, [])
    return (
        layer.padding[2] == (0, 0)
        and layer.output not in graph.outputs
        and bool(consumers)
        and all(isinstance(c, Conv) and c.input_zero_point == layer.zero_point for c in consumers)
    )


def fold_padding(layer: Conv, pad: Pad | None) -> Conv:
    """Let the convolution read what the padding reads."""
    if pad is None:
        return layer
    sides = [
        (before + more_before, after + more_after)
        for (before, after), (more_before, more_after) in zip(
            layer.padding, pad.padding[:2], strict=True
        )
    ]
    return replace(layer, input=pad.input, padding=(sides[0], sides[1]))


def fold_flattening(layer: Conv, result: Simplified) -> Conv:
    """Make a fully connected layer over a flattened tensor a convolution as large as the tensor."""
    height, width, channels = result.pixels[result.root(layer.input)]
    if layer.depthwise or layer.weights.shape[3] == channels:
        return layer
    if layer.weights.shape[1:] != (1, 1, height * width * channels):
        return layer
    return replace(layer, weights=layer.weights.reshape(-1, height, width, channels))
