"""Draws operators with weights.

Every function takes a sketch and a tensor to read, and returns the output, or None when it has
nothing to do with such a tensor or would make it too large.
"""

import math

import numpy as np

from mmsp.fuzz.choices import (
    IMAGE_RANK,
    INT8,
    INT16,
    Pair,
    chance,
    float32,
    random_activation,
    random_channels,
    random_pair,
    random_window,
)
from mmsp.fuzz.movement import add_reshape_to
from mmsp.fuzz.sketch import Sketch, scale_of
from mmsp.graph import Tensor
from mmsp.importers.operator_options import explicit_padding

__all__ = [
    "add_conv",
    "add_dense",
    "add_depthwise",
    "add_linear",
    "add_transpose_conv",
    "targeted_scale",
]

UNIFORM_SPREAD = 74
"""Standard deviation of uniform int8 values."""

TYPICAL_INT16 = 8192

LARGEST_MULTIPLIER = 8
INT4_LIMIT = 7

PACKABLE = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""Operators whose weights TFLM takes with four bits, for int8 activations."""

BIASES = {
    "CONV_2D": (np.int32, np.int64, np.int64),
    "DEPTHWISE_CONV_2D": (np.int64,),
    "FULLY_CONNECTED": (np.int64,),
    "TRANSPOSE_CONV": (np.int64, np.int16),
}
"""Types of a bias that TFLM takes for int16 activations."""


def targeted_scale(sketch: Sketch, source: Tensor, spread: float, reach: float) -> float:
    """Scale of weights with which sums of about ``spread`` steps become ``reach``."""
    typical = UNIFORM_SPREAD if source.dtype == INT8 else TYPICAL_INT16
    return reach / (scale_of(source) * spread * typical)


def add_linear(
    sketch: Sketch,
    op: str,
    source: Tensor,
    weights_shape: tuple[int, ...],
    shape: tuple[int, ...],
    attributes: dict,
    *,
    axis: int = 0,
    before: tuple[Tensor, ...] = (),
) -> Tensor:
    """Add ``op`` with random weights of ``weights_shape``, and a bias in four cases of five.

    ``axis`` counts the output channels of the weights; ``before`` are operands in front of them.
    Where real values go is arbitrary, or a range that curves and exponentials do something with.
    """
    rng = sketch.rng
    channels = weights_shape[axis]
    taps = math.prod(weights_shape) / channels
    bits = 4 if op in PACKABLE and source.dtype == INT8 and chance(rng, 8) else None
    limit = INT4_LIMIT if bits else int(np.exp2(rng.uniform(1, 7)))
    weights = rng.integers(-limit, limit + 1, weights_shape).clip(-128, 127).astype(np.int8)
    single = bool(rng.integers(2))
    if op == "FULLY_CONNECTED" and (source.dtype == INT16 or bits):
        single = True  # TFLM knows no other
    spread = (limit / 2 + 1) * math.sqrt(taps)
    base = rng.uniform(-10, 0)
    if rng.integers(2):
        base = math.log2(targeted_scale(sketch, source, spread, 2.0 ** rng.uniform(-1, 3)))
    scales = [float32(2.0 ** (base + rng.uniform(-1, 1))) for _ in range(1 if single else channels)]
    operands = [sketch.add_constant("weights", weights, scales, axis, bits=bits)]
    if op == "TRANSPOSE_CONV":
        operands.append(source)
    if rng.integers(5):
        operands.append(random_bias(sketch, op, source, scales, channels, spread))
    start = scale_of(source) * max(scales) * spread
    if op != "TRANSPOSE_CONV":
        operands.insert(0, source)
    activation = {"activation": random_activation(rng)}
    return sketch.add_node(
        op, [*before, *operands], shape, attributes | activation, dtype=source.dtype, start=start
    )


def random_bias(
    sketch: Sketch, op: str, source: Tensor, scales: list[float], channels: int, spread: float
) -> Tensor:
    """A bias of a magnitude that the sums have, of a type that TFLM takes."""
    rng = sketch.rng
    dtype, typical = np.dtype(np.int32), UNIFORM_SPREAD
    if source.dtype == INT16:
        dtype, typical = np.dtype(rng.choice(BIASES[op])), TYPICAL_INT16
    most = min(typical * spread, np.iinfo(dtype).max / 2)
    magnitude = np.exp2(rng.uniform(0, math.log2(most + 2), channels))
    bias = (magnitude * rng.choice([-1, 1], channels)).astype(dtype)
    # The scale of the products; TFLM checks it for FULLY_CONNECTED.
    products = [float32(scale_of(source) * s) for s in scales]
    return sketch.add_constant("bias", bias, products)


def same_window(size: Pair, kernel: Pair) -> dict:
    """Attributes with which a window keeps the size of the image."""
    padding = explicit_padding("SAME", size, kernel, (1, 1), (1, 1))
    return {"stride": (1, 1), "dilation": (1, 1), "padding": padding}


def add_conv(
    sketch: Sketch,
    source: Tensor,
    *,
    largest_kernel: int = 5,
    dilate: bool = True,
    keep_shape: bool = False,
) -> Tensor | None:
    """CONV_2D; with ``keep_shape`` one that a residual sum can follow."""
    rng = sketch.rng
    if len(source.shape) != IMAGE_RANK:
        return None
    _, height, width, channels = source.shape
    window = random_window(rng, (height, width), largest_kernel=largest_kernel, dilate=dilate)
    if window is None:
        return None
    kernel, size, attributes = window
    count = random_channels(rng, sketch.config.rows, 4 * sketch.config.rows)
    if keep_shape:
        size, count = (height, width), channels
        attributes = same_window(size, kernel)
    weights = (count, *kernel, channels)
    shape, elements = (1, *size, count), math.prod(weights)
    macs = elements * math.prod(size) * source.dtype.itemsize
    if not sketch.fits(shape, weights=elements, macs=macs, dtype=source.dtype):
        return None
    return add_linear(sketch, "CONV_2D", source, weights, shape, attributes)


def add_depthwise(sketch: Sketch, source: Tensor, *, keep_shape: bool = False) -> Tensor | None:
    """DEPTHWISE_CONV_2D, one with a channel multiplier in a third of the cases."""
    rng = sketch.rng
    if len(source.shape) != IMAGE_RANK:
        return None
    _, height, width, channels = source.shape
    window = random_window(rng, (height, width), largest_kernel=5, dilate=True)
    if window is None:
        return None
    kernel, size, attributes = window
    multiplier = int(rng.integers(2, LARGEST_MULTIPLIER + 1)) if chance(rng, 3) else 1
    if keep_shape:
        size, multiplier = (height, width), 1
        attributes = same_window(size, kernel)
    count = channels * multiplier
    elements = math.prod(kernel) * count * sketch.config.lanes  # of which each row uses one
    macs = elements * math.prod(size) * source.dtype.itemsize
    shape = (1, *size, count)
    if not sketch.fits(shape, weights=elements, macs=macs, dtype=source.dtype):
        return None
    attributes |= {"depth_multiplier": multiplier}
    weights = (1, *kernel, count)
    return add_linear(sketch, "DEPTHWISE_CONV_2D", source, weights, shape, attributes, axis=3)


def add_transpose_conv(sketch: Sketch, source: Tensor) -> Tensor | None:
    """TRANSPOSE_CONV: as large as the stride makes the input, or with the kernel's rim as well."""
    rng = sketch.rng
    if len(source.shape) != IMAGE_RANK:
        return None
    _, height, width, channels = source.shape
    kernel, stride = random_pair(rng, 1, 5), random_pair(rng, 1, 3)
    scheme = str(rng.choice(["SAME", "VALID"]))
    size = [
        n * s if scheme == "SAME" else (n - 1) * s + max(k, s)
        for n, s, k in zip((height, width), stride, kernel, strict=True)
    ]
    padding = explicit_padding(scheme, (size[0], size[1]), kernel, stride, (1, 1))
    count = random_channels(rng, sketch.config.rows, 2 * sketch.config.rows)
    weights, shape = (count, *kernel, channels), (1, *size, count)
    elements = math.prod(weights)
    macs = elements * height * width * source.dtype.itemsize
    if not sketch.fits(shape, weights=elements, macs=macs, dtype=source.dtype):
        return None
    declared = sketch.add_constant("shape", np.array(shape, np.int32))
    attributes = {"stride": stride, "padding": padding}
    return add_linear(
        sketch, "TRANSPOSE_CONV", source, weights, shape, attributes, before=(declared,)
    )


def add_dense(sketch: Sketch, source: Tensor) -> Tensor | None:
    """FULLY_CONNECTED over the last dimension, over a whole image, or over a reshape to a row."""
    rng = sketch.rng
    count = random_channels(rng, sketch.config.rows, 4 * sketch.config.rows)
    whole = len(source.shape) == IMAGE_RANK and bool(rng.integers(3))
    depth = source.size if whole else source.shape[-1]
    shape = (1, count) if whole else (*source.shape[:-1], count)
    weights = depth * count
    macs = weights * math.prod(shape[:-1]) * source.dtype.itemsize
    if not sketch.fits(shape, weights=weights, macs=macs, dtype=source.dtype):
        return None
    if whole and rng.integers(2):
        source = add_reshape_to(sketch, source, (1, depth))
        sketch.closed.add(source.name)  # only a dense layer reads a flattened image
    attributes = {
        "weights_format": "DEFAULT",
        "keep_dimensions": len(shape) > 2,  # noqa: PLR2004  (a matrix)
    }
    return add_linear(sketch, "FULLY_CONNECTED", source, (count, depth), shape, attributes)
