"""Draws random networks that TFLM and a given chip can run."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hdl.config import MRAM_WORD_BYTES, ChipConfig
from mmsp.fuzz.operators import (
    BLOCKS,
    OPERATORS,
    add_conv,
    linear_constants,
    random_activation,
    random_channels,
)
from mmsp.fuzz.sketch import MAX_NODES, Sketch
from mmsp.graph import Graph, Tensor
from mmsp.importers.operator_options import explicit_padding

__all__ = ["random_network"]

ATTEMPTS = 100
"""Extensions tried before a network is left as small as it is."""

LARGEST_BLOCK = 3
"""Nodes of one block."""


def random_network(
    rng: Generator, config: ChipConfig, name: str = "network"
) -> tuple[Graph, list[dict[str, NDArray]]]:
    """A network of 2 to 12 nodes, and the inputs it was calibrated with.

    Sizes are chosen to reach the corners of ``config``: channels next to multiples of its rows,
    more pixels than accumulators, more weights than its cache.
    """
    sketch = Sketch(rng, config, name)
    begin(sketch)
    wanted = int(rng.integers(2, MAX_NODES + 1))
    for _ in range(ATTEMPTS):
        if len(sketch.nodes) >= wanted:
            break
        choices = OPERATORS
        if len(sketch.nodes) + LARGEST_BLOCK <= MAX_NODES:
            choices = OPERATORS | BLOCKS
        weights = np.array([weight for weight, _ in choices.values()], float)
        op = str(rng.choice(list(choices), p=weights / weights.sum()))
        if op == "FULLY_CONNECTED" and len(sketch.nodes) + 2 > MAX_NODES:
            continue
        choices[op][1](sketch, random_source(sketch))
    graph = sketch.finish()
    used = {n for node in graph.nodes for n in (*node.inputs, *node.outputs)}
    # What was drawn for a node that then did not fit; and inputs that nothing reads.
    graph.tensors = {n: tensor for n, tensor in graph.tensors.items() if n in used}
    graph.inputs = [n for n in graph.inputs if n in used]
    inputs = [{n: sample[n] for n in graph.inputs} for sample in sketch.samples]
    return graph, inputs


def random_source(sketch: Sketch) -> Tensor:
    """A tensor to read: mostly the newest, or any."""
    tensors = sketch.open
    if sketch.rng.integers(3) == 0:
        return tensors[int(sketch.rng.integers(len(tensors)))]
    return tensors[-1]


def begin(sketch: Sketch) -> None:
    """Add the first input, and for some kinds of it the node that it is for."""
    rng, config = sketch.rng, sketch.config
    size = int(rng.integers(1, 25)), int(rng.integers(1, 25))
    kind = str(
        rng.choice(["picture", "features", "deep", "flat", "rows"], p=[0.4, 0.3, 0.1, 0.1, 0.1])
    )
    if kind == "picture":  # few channels, a large kernel: read packed
        channels = int(rng.integers(1, 5)) if rng.integers(2) else max(config.rows // 4, 1)
        source = sketch.add_input((1, *size, channels))
        first = add_conv(sketch, source, largest_kernel=11, dilate=False)
        if first is not None and rng.integers(2):
            sketch.closed.add(source.name)  # another reader would keep it from being packed
    elif kind == "deep":
        begin_deep(sketch)
    elif kind == "flat":  # the host writes it in the shape of the image
        shape = (1, *size, int(rng.integers(1, 9)))
        flat = sketch.add_input((1, int(np.prod(shape))))
        target = sketch.add_constant("shape", np.array(shape, np.int32))
        sketch.add_node(
            "RESHAPE", [flat, target], shape, {"new_shape": shape}, flat.quantization
        )  # fmt: skip
        sketch.closed.add(flat.name)
    elif kind == "rows":
        rows = int(rng.integers(1, 9))
        sketch.add_input((rows, random_channels(rng, config.rows, 8 * config.rows)))
    else:
        channels = random_channels(rng, config.rows, 4 * config.rows)
        while not sketch.fits((1, *size, channels)):
            size = max(size[0] // 2, 1), max(size[1] // 2, 1)
        sketch.add_input((1, *size, channels))


def begin_deep(sketch: Sketch) -> None:
    """A convolution whose weights exceed the cache and whose pixels exceed the accumulators."""
    rng, config = sketch.rng, sketch.config
    side = int(rng.integers(3, 6))
    depth = config.cache_words * MRAM_WORD_BYTES / config.rows
    channels = int(depth * rng.uniform(0.9, 1.3)) // side**2 + 1
    edge = int(np.sqrt(config.accumulator_depth)) + int(rng.integers(1, 3))
    source = sketch.add_input((1, edge, edge, channels))
    count = random_channels(rng, config.rows, config.rows)
    deep_conv(sketch, source, side, count)


def deep_conv(sketch: Sketch, source: Tensor, side: int, count: int) -> None:
    """A SAME convolution of ``count`` channels with a square kernel; not bounded in size."""
    _, height, width, channels = source.shape
    constants = linear_constants(sketch, source, (count, side, side, channels), count, axis=0)
    padding = explicit_padding("SAME", (height, width), (side, side), (1, 1), (1, 1))
    attributes = {
        "stride": (1, 1),
        "dilation": (1, 1),
        "padding": padding,
        "activation": random_activation(sketch.rng),
    }
    sketch.add_node("CONV_2D", [source, *constants], (1, height, width, count), attributes)
