"""Extends a sketch by one operator, or by a block of a few.

Every function of `OPERATORS` and `BLOCKS` takes a sketch and a tensor to read, and returns the
output, or None when it has nothing to do with such a tensor or would make it too large.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from mmsp.fuzz.sketch import Sketch
from mmsp.graph import Quantization, Tensor
from mmsp.importers.operator_options import explicit_padding

__all__ = [
    "BLOCKS",
    "OPERATORS",
    "add_conv",
    "linear_constants",
    "random_activation",
    "random_channels",
]

Extension = Callable[[Sketch, Tensor], Tensor | None]
Pair = tuple[int, int]

ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")
LARGEST_SOFTMAX = 511
"""TFLM aborts when 512 values are near the maximum."""
IMAGE_RANK = 4


def random_activation(rng: Generator) -> str:
    """None in half of the cases."""
    return "NONE" if rng.integers(2) else str(rng.choice(ACTIVATIONS))


def random_pair(rng: Generator, low: int, high: int) -> Pair:
    """Two integers, equal to each other in half of the cases."""
    first = int(rng.integers(low, high + 1))
    return first, first if rng.integers(2) else int(rng.integers(low, high + 1))


def random_channels(rng: Generator, rows: int, most: int) -> int:
    """A number of channels, often next to a multiple of the array's rows."""
    if rng.integers(2):
        near = rows * int(rng.integers(1, max(most // rows, 1) + 1)) + int(rng.integers(-1, 2))
        return max(near, 1)
    return int(np.exp2(rng.uniform(0, math.log2(most + 1))))


def random_window(
    rng: Generator, size: Pair, *, largest_kernel: int, dilate: bool
) -> tuple[Pair, Pair, dict] | None:
    """Kernel, output size and attributes of a window; None when it does not fit into ``size``."""
    kernel, stride = random_pair(rng, 1, largest_kernel), random_pair(rng, 1, 3)
    if rng.integers(2):
        stride = 1, 1
    dilation = random_pair(rng, 1, 3) if dilate and rng.integers(4) == 0 else (1, 1)
    scheme = str(rng.choice(["SAME", "VALID"]))
    padding = explicit_padding(scheme, size, kernel, stride, dilation)
    output = tuple(
        (size[i] + sum(padding[i]) - (kernel[i] - 1) * dilation[i] - 1) // stride[i] + 1
        for i in range(2)
    )
    if min(output) < 1:
        return None
    return (
        kernel, (output[0], output[1]),
        {"stride": stride, "dilation": dilation, "padding": padding},
    )  # fmt: skip


def linear_constants(
    sketch: Sketch, source: Tensor, shape: tuple[int, ...], channels: int, axis: int
) -> list[Tensor]:
    """Random weights of ``shape``, and a bias in four cases of five."""
    rng = sketch.rng
    limit = int(np.exp2(rng.uniform(1, 7)))
    weights = rng.integers(-limit, limit + 1, shape).clip(-128, 127).astype(np.int8)
    count = channels if rng.integers(2) else 1
    base = rng.uniform(-10, 0)
    scales = [float(np.float32(2.0 ** (base + rng.uniform(-1, 1)))) for _ in range(count)]
    constants = [sketch.add_constant("weights", weights, scales, axis)]
    if rng.integers(5):
        assert source.quantization is not None, "every activation is quantised"
        (scale,) = source.quantization.scale
        spread = 74 * (limit / 2 + 1) * math.sqrt(math.prod(shape) / channels)
        magnitude = np.exp2(rng.uniform(0, math.log2(spread + 2), channels))
        bias = (magnitude * rng.choice([-1, 1], channels)).astype(np.int32)
        # The scale of the products; TFLM checks it for FULLY_CONNECTED.
        products = [float(np.float32(scale) * np.float32(s)) for s in scales]
        constants.append(sketch.add_constant("bias", bias, products))
    return constants


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
        padding = explicit_padding("SAME", size, kernel, (1, 1), (1, 1))
        attributes = {"stride": (1, 1), "dilation": (1, 1), "padding": padding}
    shape = (count, *kernel, channels)
    weights = math.prod(shape)
    if not sketch.fits((1, *size, count), weights=weights, macs=weights * math.prod(size)):
        return None
    constants = linear_constants(sketch, source, shape, count, axis=0)
    attributes |= {"activation": random_activation(rng)}
    return sketch.add_node("CONV_2D", [source, *constants], (1, *size, count), attributes)


def add_depthwise(sketch: Sketch, source: Tensor, *, keep_shape: bool = False) -> Tensor | None:
    """DEPTHWISE_CONV_2D, one with a channel multiplier in a quarter of the cases."""
    rng = sketch.rng
    if len(source.shape) != IMAGE_RANK:
        return None
    _, height, width, channels = source.shape
    window = random_window(rng, (height, width), largest_kernel=5, dilate=True)
    if window is None:
        return None
    kernel, size, attributes = window
    multiplier = int(rng.integers(2, 5)) if rng.integers(4) == 0 else 1
    if keep_shape:
        size, multiplier = (height, width), 1
        padding = explicit_padding("SAME", size, kernel, (1, 1), (1, 1))
        attributes = {"stride": (1, 1), "dilation": (1, 1), "padding": padding}
    count = channels * multiplier
    # A multiplier above 1 runs as a dense convolution.
    weights = math.prod(kernel) * count * (channels if multiplier > 1 else sketch.config.lanes)
    if not sketch.fits((1, *size, count), weights=weights, macs=weights * math.prod(size)):
        return None
    constants = linear_constants(sketch, source, (1, *kernel, count), count, axis=3)
    attributes |= {"activation": random_activation(rng), "depth_multiplier": multiplier}
    return sketch.add_node("DEPTHWISE_CONV_2D", [source, *constants], (1, *size, count), attributes)


def add_dense(sketch: Sketch, source: Tensor) -> Tensor | None:
    """FULLY_CONNECTED over the last dimension, over a whole image, or over a reshape to a row."""
    rng = sketch.rng
    count = random_channels(rng, sketch.config.rows, 4 * sketch.config.rows)
    whole = len(source.shape) == IMAGE_RANK and bool(rng.integers(3))
    depth = source.size if whole else source.shape[-1]
    shape = (1, count) if whole else (*source.shape[:-1], count)
    weights = depth * count
    if not sketch.fits(shape, weights=weights, macs=weights * math.prod(shape[:-1])):
        return None
    if whole and rng.integers(2):
        source = reshape(sketch, source, (1, depth))
        sketch.closed.add(source.name)  # only a dense layer reads a flattened image
    constants = linear_constants(sketch, source, (count, depth), count, axis=0)
    attributes = {
        "activation": random_activation(rng),
        "weights_format": "DEFAULT",
        "keep_dimensions": len(shape) > 2,  # noqa: PLR2004  (a matrix)
    }
    return sketch.add_node("FULLY_CONNECTED", [source, *constants], shape, attributes)


def add_sum(sketch: Sketch, source: Tensor) -> Tensor | None:
    """ADD of another tensor of the same shape, a new input of the network, or the tensor itself."""
    rng = sketch.rng
    others = [t for t in sketch.open if t.shape == source.shape and t is not source]
    if others and rng.integers(8):
        other = others[int(rng.integers(len(others)))]
    elif rng.integers(8):
        quantization = source.quantization
        assert quantization is not None, "every activation is quantised"
        scale = float(np.float32(quantization.scale[0] * 2.0 ** rng.uniform(-4, 4)))
        zero = int(rng.integers(-128, 128))
        other = sketch.add_input(source.shape, Quantization((scale,), (zero,)))
    else:
        other = source
    return join(sketch, source, other)


def join(sketch: Sketch, first: Tensor, second: Tensor) -> Tensor:
    """ADD in either order of the operands."""
    operands = [first, second] if sketch.rng.integers(2) else [second, first]
    attributes = {"activation": random_activation(sketch.rng)}
    return sketch.add_node("ADD", operands, first.shape, attributes)


def add_pool(sketch: Sketch, source: Tensor) -> Tensor | None:
    """AVERAGE_POOL_2D or MAX_POOL_2D, over the whole image in a fifth of the cases."""
    rng = sketch.rng
    if len(source.shape) != IMAGE_RANK:
        return None
    _, height, width, channels = source.shape
    window = random_window(rng, (height, width), largest_kernel=6, dilate=False)
    if rng.integers(5) == 0:
        window = (height, width), (1, 1), {"stride": (1, 1), "padding": ((0, 0), (0, 0))}
    if window is None:
        return None
    kernel, size, attributes = window
    attributes.pop("dilation", None)
    attributes |= {"kernel": kernel, "activation": random_activation(rng)}
    taps = math.prod(kernel) * math.prod(size) * channels
    if max(kernel) > 255 or not sketch.fits((1, *size, channels), macs=taps * sketch.config.lanes):  # noqa: PLR2004
        return None
    op = str(rng.choice(["AVERAGE_POOL_2D", "MAX_POOL_2D"]))
    return sketch.add_node(op, [source], (1, *size, channels), attributes, source.quantization)


def add_pad(sketch: Sketch, source: Tensor) -> Tensor | None:
    """PAD: around the image, in the channels, or both."""
    rng = sketch.rng
    rank = len(source.shape)
    amounts = rng.integers(0, 4, (rank, 2)).astype(np.int32)
    if rank > 2:  # noqa: PLR2004  (a matrix has no batch)
        amounts[0] = 0
    if rng.integers(2):
        amounts[-1] = 0
    sizes = zip(source.shape, amounts.sum(axis=1).tolist(), strict=True)
    shape = tuple(size + more for size, more in sizes)
    if not sketch.fits(shape, weights=source.shape[-1] * shape[-1] if amounts[-1].any() else 0):
        return None
    paddings = sketch.add_constant("paddings", amounts)
    return sketch.add_node("PAD", [source, paddings], shape, {}, source.quantization)


def reshape(sketch: Sketch, source: Tensor, shape: tuple[int, ...]) -> Tensor:
    """RESHAPE: the same bytes under another shape."""
    target = sketch.add_constant("shape", np.array(shape, np.int32))
    attributes = {"new_shape": shape}
    return sketch.add_node("RESHAPE", [source, target], shape, attributes, source.quantization)


def add_reshape(sketch: Sketch, source: Tensor) -> Tensor | None:
    """RESHAPE of whole pixels: another height and width, or another rank."""
    rng = sketch.rng
    pixels, channels = source.size // source.shape[-1], source.shape[-1]
    width = int(rng.choice([n for n in range(1, pixels + 1) if pixels % n == 0]))
    shape = [(1, pixels // width, width, channels), (1, pixels, channels), (pixels, channels)][
        int(rng.choice(3, p=[0.6, 0.2, 0.2]))
    ]
    return reshape(sketch, source, shape) if sketch.fits(shape) else None


def add_softmax(sketch: Sketch, source: Tensor) -> Tensor | None:
    """SOFTMAX over the last dimension; rare on images, where it is slow."""
    rng = sketch.rng
    values = source.size
    if source.shape[-1] > LARGEST_SOFTMAX or values > CYCLES_OF_SOFTMAX or rng.integers(2):
        return None
    attributes = {"beta": float(np.float32(2.0 ** rng.uniform(-2, 2)))}
    quantization = Quantization((1 / 256,), (-128,))
    return sketch.add_node("SOFTMAX", [source], source.shape, attributes, quantization)


CYCLES_OF_SOFTMAX = 2000
"""Values of a softmax at most: they are processed one by one."""


def add_residual(sketch: Sketch, source: Tensor) -> Tensor | None:
    """A branch of one or two convolutions, added to what it read."""
    branch = source
    for _ in range(int(sketch.rng.integers(1, 3))):
        extend = add_conv if sketch.rng.integers(2) else add_depthwise
        extended = extend(sketch, branch, keep_shape=True)
        if extended is None:
            break
        branch = extended
    return None if branch is source else join(sketch, source, branch)


def add_diamond(sketch: Sketch, source: Tensor) -> Tensor | None:
    """Two branches of the same tensor, added."""
    first = add_conv(sketch, source, keep_shape=True)
    second = add_depthwise(sketch, source, keep_shape=True)
    return None if first is None or second is None else join(sketch, first, second)


OPERATORS: dict[str, tuple[int, Extension]] = {
    "CONV_2D": (5, add_conv),
    "DEPTHWISE_CONV_2D": (4, add_depthwise),
    "FULLY_CONNECTED": (2, add_dense),
    "ADD": (2, add_sum),
    "POOL": (3, add_pool),
    "PAD": (2, add_pad),
    "RESHAPE": (1, add_reshape),
    "SOFTMAX": (1, add_softmax),
}
"""Weight of the choice, and function, by operator: they add one node, a flattening one before."""

BLOCKS: dict[str, tuple[int, Extension]] = {
    "RESIDUAL": (2, add_residual),
    "DIAMOND": (1, add_diamond),
}
"""The same for what adds up to three nodes."""
