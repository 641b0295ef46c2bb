"""Draws operators that move elements and keep their quantisation.

Every function takes a sketch and a tensor to read, and returns an output, or None when it has
nothing to do with such a tensor or would make it too large.
"""

import math

import numpy as np

from mmsp.fuzz.choices import BATCHED_RANK, IMAGE_RANK, chance
from mmsp.fuzz.sketch import Sketch
from mmsp.graph import Tensor

__all__ = [
    "MATRIX_RANK",
    "add_concatenation",
    "add_expand_dims",
    "add_pad",
    "add_reshape",
    "add_reshape_to",
    "add_resize",
    "add_squeeze",
    "add_transpose",
    "first_axis",
    "int32",
    "moved",
    "requantized",
]

MOST_PARTS = 4
MATRIX_RANK = 2


def first_axis(shape: tuple[int, ...]) -> int:
    """The first dimension that is not the batch."""
    return int(len(shape) >= BATCHED_RANK)


def int32(sketch: Sketch, stem: str, values: object) -> Tensor:
    """Add a constant of integers."""
    return sketch.add_constant(stem, np.array(values, np.int32))


def moved(
    sketch: Sketch, op: str, source: Tensor, constants: list[Tensor], shape: tuple[int, ...],
    attributes: dict | None = None,
) -> Tensor:  # fmt: skip
    """Add an operator that keeps type and quantisation."""
    return sketch.add_node(op, [source, *constants], shape, attributes, source.quantization)


def requantized(sketch: Sketch, source: Tensor, like: Tensor) -> Tensor:
    """``source`` with type and quantisation of ``like``: by a QUANTIZE unless it has them."""
    if (source.quantization, source.dtype) == (like.quantization, like.dtype):
        return source
    return sketch.add_node(
        "QUANTIZE", [source], source.shape, {}, like.quantization, dtype=like.dtype
    )


def add_reshape_to(sketch: Sketch, source: Tensor, shape: tuple[int, ...]) -> Tensor:
    """RESHAPE: the same elements under another shape."""
    target = int32(sketch, "shape", shape)
    return moved(sketch, "RESHAPE", source, [target], shape, {"new_shape": shape})


def divisor(sketch: Sketch, number: int) -> int:
    """Any divisor."""
    return int(sketch.rng.choice([n for n in range(1, number + 1) if number % n == 0]))


def add_reshape(sketch: Sketch, source: Tensor) -> Tensor | None:
    """RESHAPE of whole pixels (another height and width, or another rank), or of any elements."""
    rng = sketch.rng
    pixels, channels = source.size // source.shape[-1], source.shape[-1]
    if chance(rng, 3):
        channels = divisor(sketch, source.size)
        pixels = source.size // channels
    width = divisor(sketch, pixels)
    shape = [(1, pixels // width, width, channels), (1, pixels, channels), (pixels, channels)][
        int(rng.choice(3, p=[0.6, 0.2, 0.2]))
    ]
    if not sketch.fits(shape, dtype=source.dtype):
        return None
    return add_reshape_to(sketch, source, shape)


def add_expand_dims(sketch: Sketch, source: Tensor) -> Tensor | None:
    """EXPAND_DIMS: a batch in front of a matrix, or a dimension of one behind it."""
    rank = len(source.shape)
    if rank >= IMAGE_RANK:
        return None
    axis = int(sketch.rng.integers(first_axis(source.shape), rank + 1))
    if rank == MATRIX_RANK and source.shape[0] != 1:
        axis = 0  # the result has a batch
    shape = (*source.shape[:axis], 1, *source.shape[axis:])
    if not sketch.fits(shape, dtype=source.dtype):
        return None
    given = axis - (rank + 1 if sketch.rng.integers(2) else 0)
    return moved(sketch, "EXPAND_DIMS", source, [int32(sketch, "axis", given)], shape)


def add_squeeze(sketch: Sketch, source: Tensor) -> Tensor | None:
    """SQUEEZE of some dimensions of one; a batch stays where the result needs one."""
    ones = [axis for axis, size in enumerate(source.shape) if size == 1]
    if len(source.shape) <= MATRIX_RANK:
        return None
    ones = [axis for axis in ones if axis > 0 or len(source.shape) == BATCHED_RANK]
    ones = ones[: len(source.shape) - MATRIX_RANK]
    if not ones:
        return None
    shape = tuple(size for axis, size in enumerate(source.shape) if axis not in ones)
    if (len(shape) >= BATCHED_RANK and shape[0] != 1) or not sketch.fits(shape, dtype=source.dtype):
        return None
    return moved(sketch, "SQUEEZE", source, [], shape, {"squeeze_dims": tuple(ones)})


def add_concatenation(sketch: Sketch, source: Tensor) -> Tensor | None:
    """CONCATENATION with tensors that fit, rescaled if they must be, itself or a new input."""
    rng = sketch.rng
    rank = len(source.shape)
    axis = int(rng.integers(first_axis(source.shape), rank))

    def rest(tensor: Tensor) -> tuple[int, ...]:
        return (*tensor.shape[:axis], *tensor.shape[axis + 1 :])

    parts = [source]
    for _ in range(int(rng.integers(1, MOST_PARTS))):
        fitting = [t for t in sketch.open if len(t.shape) == rank and rest(t) == rest(source)]
        if rng.integers(4):
            part = requantized(sketch, fitting[int(rng.integers(len(fitting)))], source)
        else:
            size = int(rng.integers(1, 2 * source.shape[axis] + 1))
            shape = (*source.shape[:axis], size, *source.shape[axis + 1 :])
            part = sketch.add_input(shape, source.quantization, source.dtype)
        parts.insert(int(rng.integers(len(parts) + 1)), part)
    total = sum(part.shape[axis] for part in parts)
    shape = (*source.shape[:axis], total, *source.shape[axis + 1 :])
    if not sketch.fits(shape, dtype=source.dtype):
        return None
    given = axis - (rank if rng.integers(2) else 0)
    attributes = {"axis": given, "activation": "NONE"}
    return sketch.add_node("CONCATENATION", parts, shape, attributes, source.quantization)


def add_transpose(sketch: Sketch, source: Tensor) -> Tensor | None:
    """TRANSPOSE; the batch stays."""
    first = first_axis(source.shape)
    order = [*range(first), *(first + sketch.rng.permutation(len(source.shape) - first))]
    shape = tuple(source.shape[axis] for axis in order)
    if not sketch.fits(shape, dtype=source.dtype):
        return None
    return moved(sketch, "TRANSPOSE", source, [int32(sketch, "perm", order)], shape)


def add_resize(sketch: Sketch, source: Tensor) -> Tensor | None:
    """RESIZE_NEAREST_NEIGHBOR: by whole factors, or to any size."""
    rng = sketch.rng
    if len(source.shape) != IMAGE_RANK:
        return None
    size = [n * int(rng.integers(1, 4)) for n in source.shape[1:3]]
    if rng.integers(2):
        size = [int(rng.integers(1, 2 * n + 1)) for n in source.shape[1:3]]
    shape = (1, *size, source.shape[3])
    if not sketch.fits(shape, dtype=source.dtype):
        return None
    setting = int(rng.integers(3))
    attributes = {"align_corners": setting == 1, "half_pixel_centers": setting == 2}  # noqa: PLR2004
    constants = [int32(sketch, "size", size)]
    return moved(sketch, "RESIZE_NEAREST_NEIGHBOR", source, constants, shape, attributes)


def add_pad(sketch: Sketch, source: Tensor) -> Tensor | None:
    """PAD: around the image, in the channels, or both."""
    rng = sketch.rng
    rank = len(source.shape)
    amounts = rng.integers(0, 4, (rank, 2)).astype(np.int32)
    amounts[: first_axis(source.shape)] = 0
    if rng.integers(2):
        amounts[-1] = 0
    shape = tuple(
        size + more for size, more in zip(source.shape, amounts.sum(axis=1).tolist(), strict=True)
    )
    weights = math.prod((source.shape[-1], shape[-1])) if amounts[-1].any() else 0
    if not sketch.fits(shape, weights=weights, dtype=source.dtype):
        return None
    paddings = sketch.add_constant("paddings", amounts)
    return moved(sketch, "PAD", source, [paddings], shape, {})
