"""Draws operators that take a part of a tensor: SPLIT, SPLIT_V, SLICE, STRIDED_SLICE.

Every function takes a sketch and a tensor to read, and returns an output, or None when it has
nothing to do with such a tensor or would make it too large.
"""

from dataclasses import dataclass, field

import numpy as np

from mmsp.fuzz.choices import BATCHED_RANK, chance
from mmsp.fuzz.movement import MATRIX_RANK, first_axis, int32, moved
from mmsp.fuzz.sketch import Sketch
from mmsp.graph import Tensor

__all__ = ["add_slice", "add_split", "add_split_v", "add_strided_slice"]

MOST_CUTS = 4


def split_axis(sketch: Sketch, source: Tensor) -> int | None:
    """A dimension that can be cut."""
    axes = [i for i in range(first_axis(source.shape), len(source.shape)) if source.shape[i] > 1]
    return int(sketch.rng.choice(axes)) if axes else None


def cut_into(sketch: Sketch, op: str, source: Tensor, axis: int, sizes: list[int]) -> Tensor | None:
    """SPLIT or SPLIT_V; the last of the outputs is the newest tensor."""
    shapes = [(*source.shape[:axis], size, *source.shape[axis + 1 :]) for size in sizes]
    if not sketch.fits(*shapes, dtype=source.dtype):
        return None
    given = int32(sketch, "axis", [axis - (len(source.shape) if sketch.rng.integers(2) else 0)])
    operands = [given, source]
    if op == "SPLIT_V":
        operands = [source, int32(sketch, "sizes", sizes), given]
    outputs = sketch.add_outputs(
        op, operands, shapes, {"num_splits": len(sizes)}, source.quantization, dtype=source.dtype
    )
    return outputs[-1]


def add_split(sketch: Sketch, source: Tensor) -> Tensor | None:
    """SPLIT into equal parts."""
    axis = split_axis(sketch, source)
    if axis is None:
        return None
    size = source.shape[axis]
    counts = [n for n in range(2, MOST_CUTS + 1) if size % n == 0]
    if not counts:
        return None
    count = int(sketch.rng.choice(counts))
    return cut_into(sketch, "SPLIT", source, axis, [size // count] * count)


def add_split_v(sketch: Sketch, source: Tensor) -> Tensor | None:
    """SPLIT_V into parts of any sizes."""
    rng = sketch.rng
    axis = split_axis(sketch, source)
    if axis is None:
        return None
    size = source.shape[axis]
    count = int(rng.integers(2, min(MOST_CUTS, size) + 1))
    edges = sorted(rng.choice(np.arange(1, size), count - 1, replace=False).tolist())
    sizes = np.diff([0, *edges, size]).tolist()
    return cut_into(sketch, "SPLIT_V", source, axis, sizes)


def add_slice(sketch: Sketch, source: Tensor) -> Tensor | None:
    """SLICE; a size of -1 takes what is left."""
    rng = sketch.rng
    begins = [int(rng.integers(0, n)) if rng.integers(2) else 0 for n in source.shape]
    room = [n - b for n, b in zip(source.shape, begins, strict=True)]
    sizes = [int(rng.integers(1, n + 1)) if rng.integers(2) else n for n in room]
    given = [-1 if s == n and rng.integers(2) else s for s, n in zip(sizes, room, strict=True)]
    constants = [int32(sketch, "begin", begins), int32(sketch, "size", given)]
    shape = tuple(sizes)
    return moved(sketch, "SLICE", source, constants, shape) if sketch.fits(shape) else None


@dataclass
class Cut:
    """STRIDED_SLICE, a dimension after the other."""

    masks: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("begin_mask", "end_mask", "shrink_axis_mask"), 0)
    )
    bounds: list[tuple[int, int, int]] = field(default_factory=list)
    shape: list[int] = field(default_factory=list)

    def take(self, first: int, last: int, step: int) -> None:
        """Take elements ``first`` to ``last`` of a dimension."""
        end = last + (1 if step > 0 else -1)
        self.bounds.append((first, end, step))
        self.shape.append(len(range(first, end, step)))

    def mask(self, name: str) -> None:
        """Ignore one bound of the dimension that was taken last."""
        self.masks[name] |= 1 << (len(self.bounds) - 1)


def add_strided_slice(sketch: Sketch, source: Tensor) -> Tensor | None:
    """STRIDED_SLICE with steps of either sign, masks, bounds from the end, and lost dimensions."""
    rng, cut = sketch.rng, Cut()
    for axis, size in enumerate(source.shape):
        if axis < first_axis(source.shape):
            cut.take(0, 0, 1)
            continue
        left = len(cut.shape) + len(source.shape) - axis
        if chance(rng, 6) and left > MATRIX_RANK:
            first = int(rng.integers(size))
            cut.bounds.append((first - (size if rng.integers(2) else 0), first + 1, 1))
            cut.mask("shrink_axis_mask")
            continue
        step = int(rng.choice([1, 1, 2, 3, -1, -2]))
        low, high = (int(v) for v in np.sort(rng.integers(0, size, 2)))
        first, last = (low, high) if step > 0 else (high, low)
        edges = (0, size - 1) if step > 0 else (size - 1, 0)
        # Without a mask, an end before element 0 cannot be written down.
        open_end = chance(rng, 2) or (step < 0 and last == 0)
        open_begin = chance(rng, 2)
        cut.take(edges[0] if open_begin else first, edges[1] if open_end else last, step)
        if open_begin:
            cut.mask("begin_mask")
        if open_end:
            cut.mask("end_mask")
        elif rng.integers(2):
            begin, end, _ = cut.bounds[-1]
            cut.bounds[-1] = begin - size, end - size if end < size else end, step
    if len(cut.shape) >= BATCHED_RANK and cut.shape[0] != 1:
        return None
    constants = [
        int32(sketch, name, values)
        for name, values in zip(
            ("begin", "end", "strides"), zip(*cut.bounds, strict=True), strict=True
        )
    ]
    attributes = {**cut.masks, "ellipsis_mask": 0, "new_axis_mask": 0, "offset": False}
    return moved(sketch, "STRIDED_SLICE", source, constants, tuple(cut.shape), attributes)
