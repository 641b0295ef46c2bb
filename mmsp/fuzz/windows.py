"""Draws poolings, means and softmax.

Every function takes a sketch and a tensor to read, and returns the output, or None when it has
nothing to do with such a tensor or would make it too large.
"""

import math

import numpy as np

from mmsp.fuzz.choices import (
    BATCHED_RANK,
    IMAGE_RANK,
    INT8,
    chance,
    random_activation,
    random_window,
)
from mmsp.fuzz.sketch import Sketch, scale_of
from mmsp.graph import Quantization, Tensor

__all__ = ["add_pool", "add_reduction", "add_softmax"]

LARGEST_SOFTMAX = 511
"""TFLM aborts when 512 values are near the maximum."""

CYCLES_OF_SOFTMAX = 2000
"""Values of a softmax at most: they are processed one by one."""

LARGEST_WINDOW = 255


def add_pool(op: str, sketch: Sketch, source: Tensor) -> Tensor | None:
    """AVERAGE_POOL_2D or MAX_POOL_2D, over the whole image in a fifth of the cases."""
    rng = sketch.rng
    if len(source.shape) != IMAGE_RANK:
        return None
    _, height, width, channels = source.shape
    window = random_window(rng, (height, width), largest_kernel=6, dilate=False)
    if chance(rng, 5):
        window = (height, width), (1, 1), {"stride": (1, 1), "padding": ((0, 0), (0, 0))}
    if window is None:
        return None
    kernel, size, attributes = window
    attributes.pop("dilation", None)
    attributes |= {"kernel": kernel, "activation": random_activation(rng)}
    shape, taps = (1, *size, channels), math.prod(kernel) * math.prod(size) * channels
    macs = taps * sketch.config.lanes * source.dtype.itemsize
    if max(kernel) > LARGEST_WINDOW or not sketch.fits(shape, macs=macs, dtype=source.dtype):
        return None
    return sketch.add_node(op, [source], shape, attributes, source.quantization)


def add_reduction(op: str, sketch: Sketch, source: Tensor) -> Tensor | None:
    """MEAN or SUM over any dimensions but the batch; mostly over the pixels of an image."""
    rng = sketch.rng
    rank = len(source.shape)
    if rank < BATCHED_RANK:
        return None
    count = int(rng.integers(1, rank))
    axes = sorted(int(a) for a in rng.choice(np.arange(1, rank), count, replace=False))
    if rank == IMAGE_RANK and rng.integers(2):
        axes = [1, 2]
    keep = bool(rng.integers(2))
    shape = tuple(
        1 if axis in axes else size for axis, size in enumerate(source.shape)
        if keep or axis not in axes
    )  # fmt: skip
    macs = source.size * sketch.config.lanes * source.dtype.itemsize
    if not sketch.fits(shape, macs=macs):
        return None
    given = [axis - (rank if rng.integers(4) == 0 else 0) for axis in axes]
    operands = [source, sketch.add_constant("axes", np.array(given, np.int32))]
    terms = math.prod(source.shape[axis] for axis in axes)
    start = scale_of(source) * (math.sqrt(terms) if op == "SUM" else 1)
    return sketch.add_node(op, operands, shape, {"keep_dims": keep}, start=start)


def add_softmax(sketch: Sketch, source: Tensor) -> Tensor | None:
    """SOFTMAX over the last dimension; not over many values, where it is slow."""
    if source.dtype != INT8 or source.shape[-1] > LARGEST_SOFTMAX:
        return None
    if source.size > CYCLES_OF_SOFTMAX:
        return None
    attributes = {"beta": float(np.float32(2.0 ** sketch.rng.uniform(-2, 2)))}
    quantization = Quantization((1 / 256,), (-128,))
    return sketch.add_node("SOFTMAX", [source], source.shape, attributes, quantization)
