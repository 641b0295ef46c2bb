"""All operators that networks are drawn from, and blocks of a few.

Every function takes a sketch and a tensor to read, and returns an output, or None when it has
nothing to do with such a tensor or would make it too large.
"""

from collections.abc import Callable
from functools import partial

from mmsp.fuzz.cuts import add_slice, add_split, add_split_v, add_strided_slice
from mmsp.fuzz.elementwise import (
    add_binary,
    add_clamp,
    add_curve,
    add_leaky_relu,
    add_prelu,
    add_quantize,
    add_relu,
    join,
)
from mmsp.fuzz.linear import add_conv, add_dense, add_depthwise, add_transpose_conv
from mmsp.fuzz.movement import (
    add_concatenation,
    add_expand_dims,
    add_pad,
    add_reshape,
    add_resize,
    add_squeeze,
    add_transpose,
)
from mmsp.fuzz.recurrent import add_delay_line, add_lstm, add_state, add_svdf
from mmsp.fuzz.sketch import Sketch
from mmsp.fuzz.windows import add_pool, add_reduction, add_softmax
from mmsp.graph import Tensor

__all__ = ["BLOCKS", "DRAWN", "OPERATORS"]

Extension = Callable[[Sketch, Tensor], Tensor | None]


def add_residual(sketch: Sketch, source: Tensor) -> Tensor | None:
    """A branch of one or two convolutions, added to what it read."""
    branch = source
    for _ in range(int(sketch.rng.integers(1, 3))):
        extend = add_conv if sketch.rng.integers(2) else add_depthwise
        extended = extend(sketch, branch, keep_shape=True)
        if extended is None:
            break
        branch = extended
    return None if branch is source else join(sketch, "ADD", source, branch)


def add_diamond(sketch: Sketch, source: Tensor) -> Tensor | None:
    """Two branches of the same tensor, added."""
    first = add_conv(sketch, source, keep_shape=True)
    second = add_depthwise(sketch, source, keep_shape=True)
    return None if first is None or second is None else join(sketch, "ADD", first, second)


def add_gate(sketch: Sketch, source: Tensor) -> Tensor | None:
    """A factor for each channel, between 0 and 1, out of the mean of an image."""
    mean = add_reduction("MEAN", sketch, source)
    if mean is None or mean.shape[-1] != source.shape[-1]:
        return None
    factor = add_curve("LOGISTIC", sketch, mean)
    if factor is None or factor.dtype != source.dtype:
        return None
    if len(factor.shape) == len(source.shape) and factor.size == source.shape[-1]:
        return join(sketch, "MUL", source, factor)
    return factor


def add_padded_conv(sketch: Sketch, source: Tensor) -> Tensor | None:
    """A PAD that nothing but a convolution reads, which can therefore take it over."""
    padded = add_pad(sketch, source)
    if padded is None:
        return None
    sketch.closed.add(padded.name)
    return (add_conv if sketch.rng.integers(2) else add_depthwise)(sketch, padded)


OPERATORS: dict[str, tuple[float, Extension]] = {
    "ADD": (2, partial(add_binary, "ADD")),
    "AVERAGE_POOL_2D": (2, partial(add_pool, "AVERAGE_POOL_2D")),
    "CONCATENATION": (1.5, add_concatenation),
    "CONV_2D": (7, add_conv),
    "DEPTHWISE_CONV_2D": (5, add_depthwise),
    "EXPAND_DIMS": (3, add_expand_dims),
    "FULLY_CONNECTED": (3, add_dense),
    "LEAKY_RELU": (1.5, add_leaky_relu),
    "LOGISTIC": (1, partial(add_curve, "LOGISTIC")),
    "MAXIMUM": (1.5, partial(add_binary, "MAXIMUM")),
    "MAX_POOL_2D": (2, partial(add_pool, "MAX_POOL_2D")),
    "MEAN": (1.5, partial(add_reduction, "MEAN")),
    "MINIMUM": (1.5, partial(add_binary, "MINIMUM")),
    "MUL": (1.5, partial(add_binary, "MUL")),
    "PAD": (2, add_pad),
    "PRELU": (1, add_prelu),
    "QUANTIZE": (2.5, add_quantize),
    "RELU": (2, add_relu),
    "RELU6": (1, partial(add_clamp, "RELU6")),
    "RESHAPE": (1.5, add_reshape),
    "RESIZE_NEAREST_NEIGHBOR": (1.5, add_resize),
    "SLICE": (1, add_slice),
    "SOFTMAX": (1.5, add_softmax),
    "SPLIT": (2, add_split),
    "SPLIT_V": (1.5, add_split_v),
    "SQUEEZE": (3, add_squeeze),
    "STRIDED_SLICE": (1.5, add_strided_slice),
    "SUB": (1.5, partial(add_binary, "SUB")),
    "SUM": (2, partial(add_reduction, "SUM")),
    "SVDF": (2, add_svdf),
    "TANH": (1.5, partial(add_curve, "TANH")),
    "TRANSPOSE": (1.5, add_transpose),
    "TRANSPOSE_CONV": (3, add_transpose_conv),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (2.5, add_lstm),
}
"""Weight of the choice, and function, by operator; a reshape or a QUANTIZE may come before it."""

BLOCKS: dict[str, tuple[float, Extension]] = {
    "DELAY_LINE": (1, add_delay_line),
    "DIAMOND": (1, add_diamond),
    "GATE": (1, add_gate),
    "PADDED": (2, add_padded_conv),
    "RESIDUAL": (2, add_residual),
    "STATE": (1, add_state),
}
"""The same for what adds up to a few nodes."""

DRAWN = frozenset(OPERATORS) | {"ASSIGN_VARIABLE", "READ_VARIABLE"}
"""Operators that networks have.  RELU_N1_TO_1 is not among them: TFLM has it fused only."""
