"""Runs the layers of a loop on the golden models, turn after turn."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mmsp.compiler.layers import Layer, Loop
from mmsp.graph import Graph, Tensor

__all__ = ["run_loop"]

Kernel = Callable[[Layer, list[NDArray], Tensor], NDArray]


def run_loop(loop: Loop, graph: Graph, tensors: dict[str, NDArray], kernel: Kernel) -> None:
    """Run ``loop``, and replace in ``tensors`` what it writes.

    ``kernel`` runs one layer of the body on ``(H, W, C)`` operands.  No array that ``tensors`` held
    before is changed.
    """
    pixels: dict[str, NDArray] = {}
    for name in loop.tensors:
        tensor = graph.tensors[name]
        known = tensors[name] if name in tensors else np.zeros(tensor.shape, tensor.dtype)
        pixels[name] = np.array(known).reshape(loop.layouts.get(name, tensor.pixels))

    def part(name: str, turn: int) -> NDArray:
        if name not in loop.views:
            return pixels[name]
        view = loop.views[name]
        left = view.column + turn * view.step
        whole = pixels[view.tensor]
        return whole[view.row : view.row + view.height, left : left + view.width]

    for turn in range(loop.count):
        for layer in loop.body:
            operands = [part(name, turn).copy() for name in layer.inputs]
            target = part(layer.output, turn)
            target[:] = kernel(layer, operands, graph.tensors[layer.output]).reshape(target.shape)
    for name, values in pixels.items():
        tensors[name] = values.reshape(graph.tensors[name].shape)
