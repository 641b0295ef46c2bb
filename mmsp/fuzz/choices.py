"""Random sizes, windows and numbers, as networks have them."""

import math

import numpy as np
from numpy.random import Generator

from mmsp.graph import Quantization
from mmsp.importers.operator_options import explicit_padding

__all__ = [
    "BATCHED_RANK",
    "IMAGE_RANK",
    "INT8",
    "INT16",
    "Pair",
    "chance",
    "float32",
    "power_of_two",
    "random_activation",
    "random_channels",
    "random_pair",
    "random_quantization",
    "random_window",
    "random_zero_point",
    "smaller_shape",
]

Pair = tuple[int, int]

INT8, INT16 = np.dtype(np.int8), np.dtype(np.int16)
IMAGE_RANK = 4
BATCHED_RANK = 3
"""From this rank on the first dimension is the batch, which is 1."""

ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")


def float32(value: float) -> float:
    """The nearest float32, as files hold scales."""
    return float(np.float32(value))


def power_of_two(rng: Generator, low: float, high: float) -> float:
    """A log-uniform float32 between ``2**low`` and ``2**high``."""
    return float32(2.0 ** rng.uniform(low, high))


def chance(rng: Generator, one_in: int) -> bool:
    """True in one case of ``one_in``."""
    return int(rng.integers(one_in)) == 0


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


def random_zero_point(rng: Generator) -> int:
    """One of the corners that quantisers produce, or any."""
    return int(rng.choice([-128, 127, 0])) if rng.integers(3) == 0 else int(rng.integers(-128, 128))


def random_quantization(rng: Generator, dtype: np.dtype = INT8) -> Quantization:
    """Scale (log-uniform) and zero point of an activation; int16 is finer, around 0."""
    if dtype == INT16:
        return Quantization((power_of_two(rng, -16, -4),), (0,))
    return Quantization((power_of_two(rng, -10, 2),), (random_zero_point(rng),))


def random_window(
    rng: Generator, size: Pair, *, largest_kernel: int, dilate: bool
) -> tuple[Pair, Pair, dict] | None:
    """Kernel, output size and attributes of a window; None when it does not fit into ``size``.

    One kernel in six has a single row or column.
    """
    kernel, stride = random_pair(rng, 1, largest_kernel), random_pair(rng, 1, 3)
    if chance(rng, 6):
        kernel = (1, kernel[1]) if rng.integers(2) else (kernel[0], 1)
    if rng.integers(2):
        stride = 1, 1
    dilation = random_pair(rng, 1, 3) if dilate and chance(rng, 3) else (1, 1)
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


def smaller_shape(rng: Generator, shape: tuple[int, ...], *, constant: bool) -> tuple[int, ...]:
    """A shape that broadcasts to ``shape``: sizes become 1, leading ones are left away.

    An activation of rank 3 or 4 keeps its batch, and has a dimension.
    """
    smaller = [1 if chance(rng, 2) else size for size in shape]
    while smaller and smaller[0] == 1 and rng.integers(2):
        smaller.pop(0)
    if len(smaller) == BATCHED_RANK and smaller[0] != 1 and not constant:
        smaller.insert(0, 1)
    return tuple(smaller) if smaller or constant else (1,)
