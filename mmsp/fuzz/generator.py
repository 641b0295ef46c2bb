"""Draws random networks that TFLM and a given chip can run."""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hdl.config import MRAM_WORD_BYTES, ChipConfig
from mmsp.errors import InputError
from mmsp.fuzz.choices import INT8, INT16, Pair, chance, random_channels, random_pair
from mmsp.fuzz.linear import add_conv, add_depthwise, add_linear
from mmsp.fuzz.movement import add_reshape_to
from mmsp.fuzz.operators import BLOCKS, OPERATORS
from mmsp.fuzz.sketch import MAX_NODES, Sketch
from mmsp.fuzz.windows import add_pool
from mmsp.graph import Graph, Tensor
from mmsp.importers.operator_options import explicit_padding

__all__ = ["random_network"]

ATTEMPTS = 100
"""Extensions tried before a network is left as small as it is."""

INT16_SHARE = 2
"""One network in so many begins with int16, where it does not begin with a picture."""


def random_network(
    rng: Generator, config: ChipConfig, name: str = "network"
) -> tuple[Graph, list[dict[str, NDArray]]]:
    """A network of 2 to 12 nodes, and the inputs it was calibrated with.

    Sizes are chosen to reach the corners of ``config``: channels next to multiples of its rows,
    more pixels than accumulators, more weights than its cache, images larger than its memory.
    """
    sketch = Sketch(rng, config, name)
    begin(sketch)
    wanted = int(rng.integers(2, MAX_NODES + 1))
    choices = OPERATORS | BLOCKS
    weights = np.array([weight for weight, _ in choices.values()], float)
    names = list(choices)
    for _ in range(ATTEMPTS):
        if len(sketch.nodes) >= wanted:
            break
        op = names[int(rng.choice(len(names), p=weights / weights.sum()))]
        attempt(sketch, partial(choices[op][1], sketch, random_source(sketch)))
    return sketch.finish()


def attempt(sketch: Sketch, extend: Callable[[], Tensor | None]) -> Tensor | None:
    """Extend a sketch; what does not lead to an output, or is refused, leaves no trace."""
    before = sketch.snapshot()
    try:
        result = extend()
    except InputError:  # scales that suit no output
        result = None
    if result is None or len(sketch.nodes) > MAX_NODES:
        sketch.restore(before)
        return None
    return result


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
    dtype = INT16 if chance(rng, INT16_SHARE) else INT8
    kinds = {
        "picture": 0.3, "features": 0.3, "deep": 0.07, "flat": 0.08, "rows": 0.07,
        "sequence": 0.1, "large": 0.08,
    }  # fmt: skip
    kind = str(rng.choice(list(kinds), p=list(kinds.values())))
    if kind == "picture":  # few channels, a large kernel: read packed
        channels = int(rng.integers(1, 5)) if rng.integers(2) else max(config.rows // 4, 1)
        source = sketch.add_input((1, *size, channels))
        first = add_conv(sketch, source, largest_kernel=11, dilate=False)
        if first is not None and rng.integers(2):
            sketch.closed.add(source.name)  # another reader would keep it from being packed
    elif kind == "deep":
        begin_deep(sketch)
    elif kind == "large":
        begin_large(sketch, dtype)
    elif kind == "flat":  # the host writes it in the shape of the image
        shape = (1, *size, int(rng.integers(1, 9)))
        flat = sketch.add_input((1, int(np.prod(shape))), dtype=dtype)
        add_reshape_to(sketch, flat, shape)
        sketch.closed.add(flat.name)
    elif kind == "sequence":
        features = random_channels(rng, config.rows, 8 * config.rows)
        sketch.add_input((1, int(rng.integers(1, 11)), features), dtype=dtype)
    elif kind == "rows":
        rows = int(rng.integers(1, 9))
        channels = random_channels(rng, config.rows, 8 * config.rows)
        sketch.add_input((rows, channels), dtype=dtype)
    else:
        channels = random_channels(rng, config.rows, 4 * config.rows)
        while not sketch.fits((1, *size, channels), dtype=dtype):
            size = max(size[0] // 2, 1), max(size[1] // 2, 1)
        sketch.add_input((1, *size, channels), dtype=dtype)


def begin_deep(sketch: Sketch) -> None:
    """A convolution whose weights exceed the cache and whose pixels exceed the accumulators."""
    rng, config = sketch.rng, sketch.config
    side = int(rng.integers(3, 6))
    depth = config.cache_words * MRAM_WORD_BYTES / config.rows
    channels = int(depth * rng.uniform(0.9, 1.3)) // side**2 + 1
    edge = int(np.sqrt(config.accumulator_depth)) + int(rng.integers(1, 3))
    source = sketch.add_input((1, edge, edge, channels))
    count = random_channels(rng, config.rows, config.rows)
    padding = explicit_padding("SAME", (edge, edge), (side, side), (1, 1), (1, 1))
    attributes = {"stride": (1, 1), "dilation": (1, 1), "padding": padding}
    shape = (1, edge, edge, count)
    add_linear(sketch, "CONV_2D", source, (count, side, side, channels), shape, attributes)


def begin_large(sketch: Sketch, dtype: np.dtype) -> None:
    """Layers whose inputs and outputs do not fit the memory together: they run in strips of rows.

    A picture, twice as many words a pixel in between, and a quarter of the pixels behind it.
    Everything that follows is as small as elsewhere.
    """
    rng, config = sketch.rng, sketch.config
    memory = config.activation_kib * 1024
    pixels = memory / (config.rows * dtype.itemsize) * rng.uniform(0.25, 0.4)
    height = int(np.sqrt(pixels * 2.0 ** rng.uniform(-1, 1)))
    width = max(int(pixels / height), 1)
    usual = sketch.tensor_bytes
    sketch.tensor_bytes = memory
    source = sketch.add_input(
        (1, height, width, int(rng.integers(1, config.rows + 1))), dtype=dtype
    )
    count = 2 * config.rows - int(rng.integers(config.rows))
    layers = [
        partial(window_conv, count=count, stride=(1, 1)),
        partial(add_depthwise, keep_shape=True),
        partial(window_conv, count=count, stride=(2, 2)),
        partial(add_pool, str(rng.choice(["AVERAGE_POOL_2D", "MAX_POOL_2D"]))),
    ]
    for layer in layers if rng.integers(2) else (layers[0], layers[2]):
        image = attempt(sketch, partial(layer, sketch, source))
        if image is not None:
            sketch.closed.add(source.name)
            source = image
    sketch.tensor_bytes = usual


def window_conv(sketch: Sketch, source: Tensor, *, count: int, stride: Pair) -> Tensor:
    """A SAME convolution of ``count`` channels with a kernel of up to 3 x 3."""
    _, height, width, channels = source.shape
    kernel = random_pair(sketch.rng, 1, 3)
    padding = explicit_padding("SAME", (height, width), kernel, stride, (1, 1))
    shape = (1, -(-height // stride[0]), -(-width // stride[1]), count)
    attributes = {"stride": stride, "dilation": (1, 1), "padding": padding}
    return add_linear(sketch, "CONV_2D", source, (count, *kernel, channels), shape, attributes)
