"""Legalisation of the operators that only move elements: joins, cuts, transpositions, variables."""

import numpy as np

from mmsp.compiler.layers import Concat, Copy, Layer, Resize, Slice, Transpose
from mmsp.compiler.legalize.operands import Operands
from mmsp.errors import InputError
from mmsp.graph import Tensor

__all__ = [
    "legalize_assign_variable",
    "legalize_concatenation",
    "legalize_read_variable",
    "legalize_resize_nearest",
    "legalize_slice",
    "legalize_split",
    "legalize_strided_slice",
    "legalize_transpose",
]

PIXEL_AXES = 3
"""Rows, columns, channels."""


def pixel_axis(axis: int, rank: int) -> int:
    """Axis of ``(H, W, C)`` that dimension ``axis`` of a tensor of ``rank`` becomes; -1: batch."""
    return axis + PIXEL_AXES - rank


def resolve_axis(axis: int, rank: int) -> int:
    """A dimension counted from the front."""
    if not -rank <= axis < rank:
        raise InputError(f"axis is {axis}, and must be in {-rank}..{rank - 1}")
    return axis % rank


def legalize_concatenation(operands: Operands) -> list[Layer]:
    """CONCATENATION; as in TFLM nothing is rescaled, so all scales must be equal."""
    output = operands.output_of(0)
    parts = [operands.stored(index) for index in range(len(operands.node.inputs))]
    if operands.activation_name != "NONE":
        raise InputError(f"activation is {operands.activation_name}, and must be NONE")
    if not parts:
        raise InputError("has no inputs, and at least 1 is needed")
    axis = resolve_axis(operands.attribute("axis"), len(output.shape))
    for part in parts:
        operands.require_equal_quantization(part, output)
        rest = [s for i, s in enumerate(part.shape) if i != axis]
        if len(part.shape) != len(output.shape) or rest != [
            s for i, s in enumerate(output.shape) if i != axis
        ]:
            raise InputError(
                f"input {part.name!r} has shape {part.shape}, which does not fit output "
                f"{output.shape} along axis {axis}"
            )
    if sum(part.shape[axis] for part in parts) != output.shape[axis]:
        raise InputError(
            f"the inputs have {[part.shape[axis] for part in parts]} elements along axis {axis}, "
            f"and the output {output.shape[axis]}"
        )
    return [
        Concat(
            name=operands.node.name,
            op=operands.node.op,
            output=output.name,
            parts=tuple(part.name for part in parts),
            axis=pixel_axis(axis, len(output.shape)),
        )
    ]


def cut(operands: Operands, source: Tensor, output: Tensor, slices: list[range]) -> Layer:
    """The layer that takes ``slices``, one a dimension of the source."""
    operands.require_equal_quantization(source, output)
    rank, taken = len(source.shape), [len(indices) for indices in slices]
    if 0 in taken or int(np.prod(taken)) != output.size:
        raise InputError(
            f"cutting {source.shape} gives {tuple(taken)}, and the output has shape {output.shape}"
        )
    begin, step = [0] * PIXEL_AXES, [1] * PIXEL_AXES
    size = [1] * PIXEL_AXES
    for dimension, indices in enumerate(slices):
        axis = pixel_axis(dimension, rank)
        if axis >= 0:
            begin[axis], step[axis], size[axis] = indices.start, indices.step, len(indices)
    return Slice(
        name=operands.node.name,
        op=operands.node.op,
        input=source.name,
        output=output.name,
        begin=(begin[0], begin[1], begin[2]),
        step=(step[0], step[1], step[2]),
        size=(size[0], size[1], size[2]),
    )


def legalize_split(operands: Operands) -> list[Layer]:
    """SPLIT (axis first) and SPLIT_V (input, sizes, axis): one cut an output."""
    by_sizes = operands.node.op == "SPLIT_V"
    source = operands.stored(0 if by_sizes else 1)
    axis_values = operands.constant(2 if by_sizes else 0, "axis")
    axis = resolve_axis(int(axis_values.reshape(-1)[0]), len(source.shape))
    outputs = [operands.output_of(index) for index in range(len(operands.node.outputs))]
    layers, at = [], 0
    for output in outputs:
        if len(output.shape) != len(source.shape):
            raise InputError(
                f"output {output.name!r} has shape {output.shape}, not the input's rank"
            )
        slices = [range(size) for size in source.shape]
        slices[axis] = range(at, min(at + output.shape[axis], source.shape[axis]))
        layers.append(cut(operands, source, output, slices))
        at += output.shape[axis]
    if at != source.shape[axis]:
        raise InputError(
            f"the outputs take {at} elements along axis {axis}, and the input has "
            f"{source.shape[axis]}"
        )
    return layers


def legalize_slice(operands: Operands) -> list[Layer]:
    """SLICE: constant begin and size; a size of -1 takes what is left."""
    source, output = operands.stored(0), operands.output_of(0)
    begins = operands.constant(1, "begin").reshape(-1).tolist()
    sizes = operands.constant(2, "size").reshape(-1).tolist()
    if not len(begins) == len(sizes) == len(source.shape):
        raise InputError(f"begin {begins} and size {sizes} must have one entry a dimension")
    slices = []
    for begin, size, extent in zip(begins, sizes, source.shape, strict=True):
        end = extent if size == -1 else begin + size
        if not 0 <= begin < end <= extent:
            raise InputError(f"begin {begins} and size {sizes} leave {source.shape}")
        slices.append(range(begin, end))
    return [cut(operands, source, output, slices)]


def legalize_strided_slice(operands: Operands) -> list[Layer]:
    """STRIDED_SLICE with constant begin, end and strides, and masks as NumPy's slices have them."""
    source, output = operands.stored(0), operands.output_of(0)
    names = ("begin", "end", "strides")
    begins, ends, steps = (
        operands.constant(index, name).reshape(-1).tolist() for index, name in enumerate(names, 1)
    )
    if not len(begins) == len(ends) == len(steps) <= len(source.shape):
        raise InputError(
            f"begin {begins}, end {ends} and strides {steps} do not fit {source.shape}"
        )
    for name in ("ellipsis_mask", "new_axis_mask"):
        if operands.node.attributes.get(name, 0):
            raise InputError(f"{name} is {operands.attribute(name)}, and must be 0")
    begin_mask, end_mask, shrink_mask = (
        operands.node.attributes.get(name, 0)
        for name in ("begin_mask", "end_mask", "shrink_axis_mask")
    )
    relative = bool(operands.node.attributes.get("offset", False))
    slices = [range(size) for size in source.shape]
    for dimension, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True)):
        bit, size = 1 << dimension, source.shape[dimension]
        if step == 0:
            raise InputError(f"strides are {steps}, and must not be 0")
        if shrink_mask & bit:
            first = begin + size if begin < 0 else begin
            if not 0 <= first < size:
                raise InputError(f"begin {begin} is outside of dimension {dimension} of {size}")
            slices[dimension] = range(first, first + 1)
            continue
        stop = begin + end if relative else end
        indices = slice(
            None if begin_mask & bit else begin, None if end_mask & bit else stop, step
        ).indices(size)
        slices[dimension] = range(*indices)
    return [cut(operands, source, output, slices)]


def legalize_transpose(operands: Operands) -> list[Layer]:
    """TRANSPOSE by a constant permutation; dimensions of size 1 may go anywhere."""
    source, output = operands.stored(0), operands.output_of(0)
    operands.require_equal_quantization(source, output)
    order = operands.constant(1, "perm").reshape(-1).tolist()
    rank = len(source.shape)
    if sorted(order) != list(range(rank)):
        raise InputError(f"perm is {order}, and must be a permutation of 0..{rank - 1}")
    if output.shape != tuple(source.shape[i] for i in order):
        raise InputError(f"the output has shape {output.shape}, and perm {order} gives another")
    pixel_order: list[int | None] = [None] * PIXEL_AXES
    for target, origin in enumerate(order):
        if source.shape[origin] > 1:
            pixel_order[pixel_axis(target, rank)] = pixel_axis(origin, rank)
    left = [axis for axis in range(PIXEL_AXES) if axis not in pixel_order]
    filled = [left.pop(0) if axis is None else axis for axis in pixel_order]
    return [
        Transpose(
            name=operands.node.name,
            op=operands.node.op,
            input=source.name,
            output=output.name,
            order=(filled[0], filled[1], filled[2]),
        )
    ]


def nearest(size: int, out: int, *, align_corners: bool, half_pixel: bool) -> tuple[int, ...]:
    """Input position of every output position: ``GetNearestNeighbor`` of TFLite, in float32."""
    one = np.float32(1)
    if align_corners and out > 1:
        scale = np.float32(size - 1) / np.float32(out - 1)
    else:
        scale = np.float32(size) / np.float32(out)
    offset = np.float32(0.5) if half_pixel else np.float32(0)
    real = (np.arange(out).astype(np.float32) * one + offset) * scale
    # TfLiteRound is std::round; nothing here is negative.
    chosen = np.floor(real.astype(np.float64) + 0.5) if align_corners else np.floor(real)
    return tuple(np.clip(chosen.astype(np.int64), 0, size - 1).tolist())


def legalize_resize_nearest(operands: Operands) -> list[Layer]:
    """RESIZE_NEAREST_NEIGHBOR to the constant size."""
    source, output = operands.stored(0), operands.output_of(0)
    operands.require_equal_quantization(source, output)
    size = operands.constant(1, "size").reshape(-1).tolist()
    in_h, in_w, channels = source.pixels
    if len(source.shape) != PIXEL_AXES + 1 or output.shape != (1, *size, channels):
        raise InputError(
            f"input {source.shape} and size {size} do not give the output's shape {output.shape}"
        )
    flags = {
        "align_corners": bool(operands.node.attributes.get("align_corners", False)),
        "half_pixel": bool(operands.node.attributes.get("half_pixel_centers", False)),
    }
    if all(flags.values()):
        raise InputError("align_corners and half_pixel_centers are both set, and must not be")
    return [
        Resize(
            name=operands.node.name,
            op=operands.node.op,
            input=source.name,
            output=output.name,
            rows=nearest(in_h, size[0], **flags),
            columns=nearest(in_w, size[1], **flags),
        )
    ]


def legalize_read_variable(operands: Operands) -> list[Layer]:
    """READ_VARIABLE: a copy, which is none where nobody overwrites the variable meanwhile."""
    return [copy(operands, operands.stored(0), operands.output_of(0))]


def legalize_assign_variable(operands: Operands) -> list[Layer]:
    """ASSIGN_VARIABLE: its second input to its first."""
    return [copy(operands, operands.stored(1), operands.stored(0))]


def copy(operands: Operands, source: Tensor, target: Tensor) -> Layer:
    """A copy between tensors that are alike."""
    if (source.shape, source.dtype) != (target.shape, target.dtype):
        raise InputError(
            f"{source.name!r} is {source.dtype} of shape {source.shape}, and {target.name!r} "
            f"{target.dtype} of shape {target.shape}"
        )
    return Copy(name=operands.node.name, op=operands.node.op, input=source.name, output=target.name)
