"""Draws random networks that TFLM and a given chip can run."""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hdl.config import MRAM_WORD_BYTES, ChipConfig
from mmsp.errors import InputError
from mmsp.fuzz.choices import INT8, INT16, chance, random_channels
from mmsp.fuzz.linear import add_conv, add_depthwise, add_linear
from mmsp.fuzz.movement import add_reshape_to
from mmsp.fuzz.operators import BLOCKS, OPERATORS
from mmsp.fuzz.sketch import MAX_NODES, Sketch
from mmsp.graph import Graph, Tensor
from mmsp.importers.operator_options import explicit_padding

__all__ = ["random_network"]

ATTEMPTS = 100
"""Extensions tried before a network is left as small as it is."""

INT16_SHARE = 3
"""One network in so many begins with int16."""

LARGE_CYCLES = 60_000


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
    """Convolutions of images that do not fit the memory together: they run in strips of rows.

    Everything behind them is as small as elsewhere.
    """
    rng, config = sketch.rng, sketch.config
    usual = sketch.tensor_bytes, sketch.cycles_per_node
    memory = config.activation_kib * 1024
    sketch.tensor_bytes, sketch.cycles_per_node = memory * 7 // 10, LARGE_CYCLES
    # A pixel takes whole words: as many of these as fill a third to two thirds of the memory.
    pixels = memory / (config.rows * dtype.itemsize) * rng.uniform(0.3, 0.6)
    height = int(np.sqrt(pixels * 2.0 ** rng.uniform(-1, 1)))
    width = max(int(pixels / height), 1)
    channels = int(rng.integers(1, config.rows + 1))
    newest = sketch.add_input((1, height, width, channels), dtype=dtype)
    for _ in range(int(rng.integers(2, 5))):
        extend = add_conv if rng.integers(2) else add_depthwise
        image = attempt(sketch, partial(extend, sketch, newest))
        if image is not None:
            sketch.closed.add(newest.name)
            newest = image
    sketch.tensor_bytes, sketch.cycles_per_node = usual
