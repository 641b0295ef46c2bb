"""Windows that slide over images, and the pooling operators."""

import math
from dataclasses import dataclass

import numpy as np

from mmsp.errors import InputError
from mmsp.graph import Quantization
from mmsp.importers.onnx_qdq.builder import INT8, INT16, GraphBuilder, channels_last
from mmsp.importers.onnx_qdq.file import Operation
from mmsp.importers.onnx_qdq.values import Pending, Shape, Stored

__all__ = ["Window", "as_image", "average_pool", "global_pool", "max_pool", "read_window"]

NHWC = channels_last(4)
SIGNAL_RANK = 3
UNIT = (1, 1)
Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """Kernel, stride, dilation and padding in rows and columns."""

    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: tuple[Pair, Pair]

    def output_size(self, size: Shape) -> Pair:
        """Rows and columns of the output."""
        steps = [
            (n + sum(pad) - (k - 1) * d - 1) // s + 1
            for n, k, s, d, pad in zip(
                size, self.kernel, self.stride, self.dilation, self.padding, strict=True
            )
        ]
        if min(steps) < 1:
            raise InputError(f"an input of {size} is smaller than the kernel {self.kernel}")
        return steps[0], steps[1]


def as_image(b: GraphBuilder, source: Stored) -> tuple[Stored, bool]:
    """``source`` as ``(1, C, H, W)``, and whether it was; a signal ``(1, C, W)`` gets H = 1."""
    if source.shape[:1] != (1,) or len(source.shape) not in (SIGNAL_RANK, len(NHWC)):
        raise InputError(f"input has shape {source.shape}, and must have (1, C, W) or (1, C, H, W)")
    if len(source.shape) == len(NHWC):
        return source, True
    batch, channels, width = source.shape
    return b.reshape(source, (batch, channels, 1, width)), False


def read_window(
    op: Operation, size: Shape, kernel: Pair | None, image_rank: bool, *, transposed: bool = False
) -> Window:
    """Window of a node; without ``kernel`` it is that of attribute kernel_shape."""
    rank = len(UNIT) if image_rank else 1

    def pair(name: str, values: list[int], low: int = 1) -> Pair:
        if len(values) != rank or min(values) < low:
            raise InputError(f"attribute {name} is {values}, and must be {rank} integers >= {low}")
        padded = [low] * (2 - rank) + values
        return padded[0], padded[1]

    declared = op.take("kernel_shape", None, list)
    if declared is not None:
        declared = pair("kernel_shape", list(declared))
    if kernel is None and declared is None:
        raise InputError("attribute kernel_shape is missing")
    if kernel is not None and declared not in (None, kernel):
        raise InputError(f"attribute kernel_shape is {declared}, and the weights have {kernel}")
    extent = kernel or declared or UNIT
    stride = pair("strides", list(op.take("strides", [1] * rank)))
    dilation = pair("dilations", list(op.take("dilations", [1] * rank)))
    pads = list(op.take("pads", [0] * (2 * rank)))
    if len(pads) != 2 * rank or min(pads) < 0:
        raise InputError(f"attribute pads is {pads}, and must be {2 * rank} integers >= 0")
    scheme = op.expect("auto_pad", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
    pairs = [(0, 0)] * (2 - rank) + [(pads[i], pads[i + rank]) for i in range(rank)]
    if scheme != "NOTSET":
        pairs = [(0, 0), (0, 0)]
    if scheme.startswith("SAME") and not transposed:
        for axis, (n, k, s, d) in enumerate(zip(size, extent, stride, dilation, strict=True)):
            total = max((math.ceil(n / s) - 1) * s + (k - 1) * d + 1 - n, 0)
            before = total // 2 if scheme == "SAME_UPPER" else total - total // 2
            pairs[axis] = before, total - before
    return Window(extent, stride, dilation, (pairs[0], pairs[1]))


def pool_window(op: Operation, size: Shape, image_rank: bool) -> tuple[Window, bool]:
    """Window of a pooling node, and whether ceil_mode has widened it at the end."""
    window = read_window(op, size, None, image_rank)
    if window.dilation != UNIT:
        raise InputError(f"attribute dilations is {window.dilation}, and must be 1")
    if not op.expect("ceil_mode", 0, 1):
        return window, False
    pairs = []
    for n, k, s, (before, after) in zip(
        size, window.kernel, window.stride, window.padding, strict=True
    ):
        steps = math.ceil((n + before + after - k) / s) + 1
        if (steps - 1) * s >= n + before:
            steps -= 1  # a window that begins in the padding does not count
        pairs.append((before, max(after, (steps - 1) * s + k - n - before)))
    widened = Window(window.kernel, window.stride, UNIT, (pairs[0], pairs[1]))
    return widened, widened != window


def max_pool(op: Operation, b: GraphBuilder) -> Stored | Pending:
    """MaxPool: MAX_POOL_2D, which keeps scale and zero point."""
    op.expect("storage_order", 0, 1)  # of the indices only
    if op.outputs[1:] and op.outputs[1] is not None:
        raise InputError("its second output, the indices, is used, and only the first is supported")
    value = op.movable(0)
    rank = len(value.shape)
    image_rank = rank == len(NHWC)
    if rank not in (SIGNAL_RANK, len(NHWC)) or value.shape[0] != 1:
        raise InputError(f"input has shape {value.shape}, and must have (1, C, W) or (1, C, H, W)")
    size = value.shape[2:] if image_rank else (1, value.shape[2])
    window, _ = pool_window(op, size, image_rank)
    shape = (1, value.shape[1], *window.output_size(size))

    def move(source: Stored) -> Stored:
        image, _ = as_image(b, source)
        result = pool(
            b, op, "MAX_POOL_2D", image, window, shape, b.quantization(source), "NONE", op.name
        )
        result = Stored(result.tensor, shape, NHWC, shape, source.integer)
        return result if image_rank else b.reshape(result, (*shape[:2], shape[3]))

    final = shape if image_rank else (*shape[:2], shape[3])
    return value.then(move, final) if isinstance(value, Pending) else move(value)


def pool(
    b: GraphBuilder, op: Operation, kind: str, source: Stored, window: Window, shape: Shape,
    quantization: Quantization, activation: str, stem: str, dtype: np.dtype = INT8,
) -> Stored:  # fmt: skip
    """Add a pooling node."""
    result = b.result(stem, shape, NHWC, quantization, dtype)
    b.node(
        kind, op.name, (b.arrange(source, NHWC),), (result.tensor,), kernel=window.kernel,
        stride=window.stride, padding=window.padding, activation=activation,
    )  # fmt: skip
    return result


def average_pool(op: Operation, b: GraphBuilder) -> Pending:
    """AveragePool.

    AVERAGE_POOL_2D keeps scale and zero point.  Where these change, one rounding must do for both:
    a mean over the whole image is MEAN, another one a depthwise convolution with weights of one.
    Where padding does not count, the count differs at the border, and the mean is taken in int16.
    """
    source, image_rank = as_image(b, op.activation(0))
    window, widened = pool_window(op, source.shape[2:], image_rank)
    counts_padding = bool(op.expect("count_include_pad", 0, 1))
    padded = window.padding != ((0, 0), (0, 0))
    if counts_padding and widened:
        raise InputError("attributes ceil_mode and count_include_pad are both 1: one must be 0")
    shape = (1, source.shape[1], *window.output_size(source.shape[2:]))

    def build(quantization: Quantization, activation: str, stem: str) -> Stored:
        same = b.quantization(source) == quantization
        if same and not (padded and counts_padding):
            return pool(
                b, op, "AVERAGE_POOL_2D", source, window, shape, quantization, activation, stem
            )
        if window.kernel == source.shape[2:] and not padded and activation == "NONE":
            return mean(b, op, source, (2, 3), quantization, stem)
        if counts_padding or not padded:
            return sum_of_ones(b, op, source, window, shape, quantization, activation, stem)
        fine = b.widened(source, op.name)
        averaged = pool(
            b, op, "AVERAGE_POOL_2D", fine, window, shape, b.quantization(fine), "NONE",
            f"{op.name}:int16", INT16,
        )  # fmt: skip
        stored = b.requantized(averaged, quantization, op.name, stem)
        return stored if activation == "NONE" else b.clamped(stored, activation, op.name)

    pending = Pending(op.name, shape, build, fuses=True)
    if image_rank:
        return pending
    signal = (*shape[:2], shape[3])
    return pending.then(lambda stored: b.reshape(stored, signal), signal)


def sum_of_ones(
    b: GraphBuilder, op: Operation, source: Stored, window: Window, shape: Shape,
    quantization: Quantization, activation: str, stem: str,
) -> Stored:  # fmt: skip
    """A mean in which padding counts: a depthwise convolution, whose scale divides by the count."""
    channels = source.shape[1]
    scale = float(np.float32(1 / math.prod(window.kernel)))
    weights = b.constant(
        f"{op.name}:ones",
        np.ones((1, *window.kernel, channels), np.int8),
        Quantization((scale,), (0,)),
    )
    result = b.result(stem, shape, NHWC, quantization)
    b.node(
        "DEPTHWISE_CONV_2D", op.name, (b.arrange(source, NHWC), weights, None), (result.tensor,),
        stride=window.stride, dilation=UNIT, padding=window.padding, depth_multiplier=1,
        activation=activation,
    )  # fmt: skip
    return result


def mean(
    b: GraphBuilder, op: Operation, source: Stored, axes: tuple[int, ...],
    quantization: Quantization, stem: str,
) -> Stored:  # fmt: skip
    """MEAN over ONNX dimensions ``axes``, which stay with size 1."""
    source = b.plain(source)
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(source.shape))
    places = np.array(sorted(source.layout.index(axis) for axis in axes), np.int32)
    result = b.result(stem, shape, source.layout, quantization)
    b.node(
        "MEAN", op.name, (source.tensor, b.constant(f"{op.name}:axes", places)), (result.tensor,),
        keep_dims=True,
    )  # fmt: skip
    return result


def global_pool(op: Operation, b: GraphBuilder) -> Stored | Pending:
    """GlobalAveragePool, ReduceMean: MEAN."""
    source = op.activation(0)
    rank = len(source.shape)
    keep = True
    axes = list(range(2, rank))
    if op.op == "ReduceMean":
        keep = bool(op.expect("keepdims", 1, 0))
        op.expect("noop_with_empty_axes", 0)
        given = op.integers(1, "axes") or op.take("axes", None, list) or list(range(rank))
        op.attributes.pop("axes", None)
        axes = sorted({axis % rank for axis in given if -rank <= axis < rank})
        if len(axes) != len(given):
            raise InputError(f"axes are {given}, and must be different ones of {rank} dimensions")
    if 0 in axes and source.shape[0] != 1:
        raise InputError(f"axes {axes} contain the batch, whose size is {source.shape[0]}")
    reduced = tuple(axis for axis in axes if source.shape[axis] > 1) or tuple(axes[-1:])
    shape = tuple(
        1 if axis in axes else size
        for axis, size in enumerate(source.shape)
        if keep or axis not in axes
    )

    def build(quantization: Quantization, activation: str, stem: str) -> Stored:
        return b.reshape(mean(b, op, source, reduced, quantization, stem), shape)

    return Pending(op.name, shape, build)
