"""Translates operators that move elements, cut them out or put them together."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mmsp.errors import InputError
from mmsp.graph import Quantization
from mmsp.importers.onnx_qdq.builder import GraphBuilder
from mmsp.importers.onnx_qdq.file import Operation
from mmsp.importers.onnx_qdq.values import Constant, Outside, Pending, Shape, Stored, Value, Weight

__all__ = ["concatenate", "identity", "pad", "reshape", "slice_", "split", "transpose"]


def through(value: Stored | Pending, move: Callable[[Stored], Stored], shape: Shape) -> Value:
    """Move a stored value now, a pending one when it is written."""
    return value.then(move, shape) if isinstance(value, Pending) else move(value)


def shape_of(value: Value) -> Shape:
    """Shape of any value."""
    if isinstance(value, Constant):
        return value.array.shape
    return value.data.shape if isinstance(value, Weight) else value.shape


def resolve(axis: int, rank: int, what: str = "axis") -> int:
    """A dimension counted from the front."""
    if not -rank <= axis < rank:
        raise InputError(f"{what} is {axis}, and must be one of {-rank}..{rank - 1}")
    return axis % rank


def identity(op: Operation, b: GraphBuilder) -> Value:
    """Identity, and Dropout, which does nothing when a network is used."""
    op.attributes.clear()
    return op.required(0)


def reshape(op: Operation, b: GraphBuilder) -> Value:
    """Reshape, Flatten, Squeeze and Unsqueeze."""
    value = op.required(0)
    source = shape_of(value)
    shape = new_shape(op, source)
    if math.prod(shape) != math.prod(source):
        raise InputError(f"shape {source} cannot become {shape}: the sizes differ")
    if isinstance(value, Outside):
        rank = tuple(range(len(source)))
        return replace(value, shape=shape, steps=(*value.steps, (source, rank)))
    if isinstance(value, Weight):
        if value.scale.size > 1:
            kept = [size for size in source if size != 1]
            if kept != [size for size in shape if size != 1] or source[value.axis] == 1:
                raise InputError(
                    f"weights of shape {source} with scales along axis {value.axis} cannot become "
                    f"{shape}"
                )
            place = sum(size != 1 for size in source[: value.axis])
            axes = [axis for axis, size in enumerate(shape) if size != 1]
            value = replace(value, axis=axes[place])
        return replace(value, data=value.data.reshape(shape))
    if isinstance(value, Constant):
        return replace(value, array=value.array.reshape(shape))
    return through(value, lambda stored: b.reshape(stored, shape), shape)


def new_shape(op: Operation, source: Shape) -> Shape:
    """Shape that one of the four operators gives."""
    rank = len(source)
    match op.op:
        case "Flatten":
            axis = op.take("axis", 1)
            if not -rank <= axis <= rank:
                raise InputError(f"attribute axis is {axis}, and must be one of {-rank}..{rank}")
            axis = axis + rank if axis < 0 else axis
            return math.prod(source[:axis]), math.prod(source[axis:])
        case "Squeeze":
            axes = op.integers(1, "axes")
            if axes is None:
                return tuple(size for size in source if size != 1)
            dropped = {resolve(axis, rank) for axis in axes}
            if any(source[axis] != 1 for axis in dropped):
                raise InputError(f"axes are {axes}, and not all of shape {source} are 1 there")
            return tuple(size for axis, size in enumerate(source) if axis not in dropped)
        case "Unsqueeze":
            axes = op.integers(1, "axes") or []
            full = rank + len(axes)
            added, sizes = {resolve(axis, full) for axis in axes}, iter(source)
            return tuple(1 if axis in added else next(sizes) for axis in range(full))
    wanted, keep_zero = op.integers(1, "shape"), op.expect("allowzero", 0, 1)
    if wanted is None:
        raise InputError("input 1 (shape) is missing")
    if wanted.count(-1) > 1 or any(size < -1 for size in wanted):
        raise InputError(f"shape is {wanted}, and may have one -1 and otherwise sizes")
    if not keep_zero:
        wanted = [
            source[axis] if size == 0 and axis < rank else size for axis, size in enumerate(wanted)
        ]
    known = math.prod(size for size in wanted if size != -1)
    rest = math.prod(source) // known if known else 0
    return tuple(rest if size == -1 else size for size in wanted)


def transpose(op: Operation, b: GraphBuilder) -> Value:
    """Transpose: another view of what lies in memory."""
    value = op.required(0)
    source = shape_of(value)
    permutation = tuple(op.take("perm", list(range(len(source)))[::-1]))
    if sorted(permutation) != list(range(len(source))):
        raise InputError(
            f"attribute perm is {permutation}, and must order the {len(source)} dimensions"
        )
    shape = tuple(source[axis] for axis in permutation)
    if isinstance(value, Outside):
        return replace(value, shape=shape, steps=(*value.steps, (source, permutation)))
    if isinstance(value, Weight):
        return replace(
            value, data=value.data.transpose(permutation), axis=permutation.index(value.axis)
        )
    if isinstance(value, Constant):
        return replace(value, array=value.array.transpose(permutation))

    def move(stored: Stored) -> Stored:
        plain = b.plain(stored)
        layout = tuple(permutation.index(axis) for axis in plain.layout)
        return replace(plain, base=shape, layout=layout, shape=shape)

    return through(value, move, shape)


def concatenate(op: Operation, b: GraphBuilder) -> Value:
    """Concat: CONCATENATION of operands with one scale and zero point."""
    values = [op.movable(index) for index in range(len(op.operands))]
    axis = resolve(op.take("axis", kind=int), len(values[0].shape), "attribute axis")
    rest = {(value.shape[:axis], value.shape[axis + 1 :]) for value in values}
    if len(rest) > 1:
        shapes = ", ".join(str(value.shape) for value in values)
        raise InputError(f"shapes {shapes} do not go together along axis {axis}")
    total = sum(value.shape[axis] for value in values)
    shape = (*values[0].shape[:axis], total, *values[0].shape[axis + 1 :])

    def join(quantization: Quantization, stem: str) -> Stored:
        parts = []
        for value in values:
            if isinstance(value, Pending):
                parts.append(b.plain(b.realise(value, quantization, f"{op.name}:operand")))
            else:
                plain = b.plain(value)
                name = f"{value.tensor}:rescaled"
                parts.append(b.requantized(plain, quantization, op.name, name))
        layout = parts[0].layout
        names = [b.arrange(part, layout) for part in parts]
        result = b.result(stem, shape, layout, quantization)
        b.node(
            "CONCATENATION", op.name, names, (result.tensor,), axis=layout.index(axis),
            activation="NONE",
        )  # fmt: skip
        return replace(result, integer=all(part.integer for part in parts))

    stored = [value for value in values if isinstance(value, Stored)]
    if len(stored) == len(values) and len({b.quantization(value) for value in stored}) == 1:
        return join(b.quantization(stored[0]), op.name)
    if any(value.integer for value in stored):
        raise InputError("integer operands differ in scale or zero point, and must not")
    return Pending(op.name, shape, lambda quantization, _, stem: join(quantization, stem))


def split(op: Operation, b: GraphBuilder) -> list[Value]:
    """Split: SPLIT, or SPLIT_V when the parts differ."""
    value = op.movable(0)
    axis = resolve(op.take("axis", 0), len(value.shape), "attribute axis")
    size, count = value.shape[axis], len(op.outputs)
    sizes = op.integers(1, "split")
    count = op.take("num_outputs", count)
    if sizes is None:
        each = math.ceil(size / count)
        sizes = [each] * (count - 1) + [size - each * (count - 1)]
    if sum(sizes) != size or min(sizes) < 1 or len(sizes) != len(op.outputs):
        raise InputError(
            f"split is {sizes} for {len(op.outputs)} outputs, and must divide {size} elements"
        )
    shapes = [(*value.shape[:axis], part, *value.shape[axis + 1 :]) for part in sizes]
    done: dict[str, list[Stored]] = {}

    def parts(stored: Stored) -> list[Stored]:
        if stored.tensor not in done:
            plain = b.plain(stored)
            results = [b.like(plain, shape, f"{op.name}:part") for shape in shapes]
            place = b.constant(f"{op.name}:axis", np.int32(plain.layout.index(axis)))
            names = [result.tensor for result in results]
            if len(set(sizes)) == 1:
                b.node("SPLIT", op.name, (place, plain.tensor), names, num_splits=count)
            else:
                amounts = b.constant(f"{op.name}:sizes", np.array(sizes, np.int32))
                operands = (plain.tensor, amounts, place)
                b.node("SPLIT_V", op.name, operands, names, num_splits=count)
            done[stored.tensor] = results
        return done[stored.tensor]

    return [
        through(value, lambda stored, index=index: parts(stored)[index], shape)
        for index, shape in enumerate(shapes)
    ]


def slice_(op: Operation, b: GraphBuilder) -> Value:
    """Slice with positive steps: STRIDED_SLICE."""
    value = op.movable(0)
    rank = len(value.shape)
    starts, ends = op.integers(1, "starts"), op.integers(2, "ends")
    if starts is None or ends is None:
        raise InputError("inputs 1 and 2 (starts and ends) must be there")
    axes = op.integers(3, "axes") or list(range(len(starts)))
    steps = op.integers(4, "steps") or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise InputError(f"starts {starts}, ends {ends}, axes {axes} and steps {steps} differ")
    bounds = [(0, size, 1) for size in value.shape]
    for start, end, given, step in zip(starts, ends, axes, steps, strict=True):
        axis = resolve(given, rank)
        if step < 1:
            raise InputError(f"step is {step}, and must be at least 1")
        bounds[axis] = *slice(start, end).indices(value.shape[axis])[:2], step
    shape = tuple(len(range(*bound)) for bound in bounds)
    if min(shape) < 1:
        raise InputError(f"bounds {bounds} leave nothing of shape {value.shape}")

    def move(stored: Stored) -> Stored:
        plain = b.plain(stored)
        ordered = np.array([bounds[axis] for axis in plain.layout], np.int32)
        operands = [
            b.constant(f"{op.name}:{name}", ordered[:, column])
            for column, name in enumerate(("begin", "end", "strides"))
        ]
        result = b.like(plain, shape, op.name)
        b.node(
            "STRIDED_SLICE", op.name, (plain.tensor, *operands), (result.tensor,), begin_mask=0,
            end_mask=0, ellipsis_mask=0, new_axis_mask=0, shrink_axis_mask=0, offset=False,
        )  # fmt: skip
        return result

    return through(value, move, shape)


def pad(op: Operation, b: GraphBuilder) -> Value:
    """Pad with zero: PAD."""
    op.expect("mode", "constant")
    value = op.movable(0)
    rank = len(value.shape)
    if isinstance(value, Stored):
        value = op.activation(0)
    amounts, fill = op.integers(1, "pads"), op.operand(2)
    axes = [resolve(axis, rank) for axis in op.integers(3, "axes") or range(rank)]
    if fill is not None and read_fill(fill).any():
        raise InputError(f"the value is {read_fill(fill).reshape(-1)[0]}, and must be 0")
    if amounts is None or len(amounts) != 2 * len(axes) or min(amounts) < 0:
        raise InputError(f"pads are {amounts}, and must be {2 * len(axes)} integers >= 0")
    pairs = [(0, 0)] * rank
    for place, axis in enumerate(axes):
        pairs[axis] = amounts[place], amounts[place + len(axes)]
    shape = tuple(size + sum(pair) for size, pair in zip(value.shape, pairs, strict=True))

    def move(stored: Stored) -> Stored:
        plain = b.plain(stored)
        ordered = np.array([pairs[axis] for axis in plain.layout], np.int32)
        result = b.like(plain, shape, op.name)
        paddings = b.constant(f"{op.name}:paddings", ordered)
        b.node("PAD", op.name, (plain.tensor, paddings), (result.tensor,))
        return result

    return through(value, move, shape)


def read_fill(value: Value) -> NDArray:
    """The number with which Pad fills."""
    if isinstance(value, Constant):
        return value.array
    if isinstance(value, Weight):
        return value.real
    raise InputError("input 2 (value) must be constant")
