"""Random networks of one operator each that moves elements or sums them up; int8 and int16.

Every function takes a generator and returns a `mmsp.graph.Graph` that TFLM runs.
"""

import numpy as np
from random_operators import constant, power_of_two, zero_point

from mmsp.graph import Graph, Node, Quantization, Tensor


def stored(rng, name, shape, dtype, scale=None, zero=None):
    """An activation; int16 has the zero point 0."""
    if dtype == np.int16:
        zero = 0
    scale = power_of_two(rng, -8, 2) if scale is None else scale
    quantization = Quantization((scale,), (zero_point(rng) if zero is None else zero,))
    return Tensor(name, tuple(int(n) for n in shape), np.dtype(dtype), quantization)


def like(tensor, name, shape):
    """A tensor of the same type and quantisation in another shape."""
    return Tensor(name, tuple(int(n) for n in shape), tensor.dtype, tensor.quantization)


def graph_of(op, inputs, outputs, attributes):
    """A graph of one node."""
    node = Node(
        op=op,
        name=f"{op.lower()}_0",
        inputs=tuple(tensor.name for tensor in inputs),
        outputs=tuple(tensor.name for tensor in outputs),
        attributes=attributes,
    )
    return Graph(
        name=op.lower(),
        tensors={tensor.name: tensor for tensor in (*inputs, *outputs)},
        nodes=[node],
        inputs=[tensor.name for tensor in inputs if tensor.data is None],
        outputs=[tensor.name for tensor in outputs],
    )


def shape_of(rng, rank, largest=9, channels=40):
    """A random shape of batch 1; a matrix has any number of rows."""
    inner = [*rng.integers(1, largest, rank - 2), rng.integers(1, channels)]
    return (1 if rank > 2 else int(rng.integers(1, largest)), *inner)


def int32(name, values):
    return constant(name, np.array(values, np.int32))


def random_concatenation(rng, dtype):
    rank = int(rng.integers(2, 5))
    shape = list(shape_of(rng, rank))
    axis = int(rng.integers(0 if rank == 2 else 1, rank))
    sizes = rng.integers(1, 20, rng.integers(1, 5))
    if rng.integers(2):
        sizes = rng.integers(1, 4, len(sizes)) * 16  # whole words
    first = stored(rng, "part_0", (*shape[:axis], sizes[0], *shape[axis + 1 :]), dtype)
    rest = [
        like(first, f"part_{i}", (*shape[:axis], size, *shape[axis + 1 :]))
        for i, size in enumerate(sizes[1:], 1)
    ]
    output = like(first, "output", (*shape[:axis], sum(sizes), *shape[axis + 1 :]))
    attributes = {"axis": axis - (rank if rng.integers(2) else 0), "activation": "NONE"}
    return graph_of("CONCATENATION", [first, *rest], [output], attributes)


def random_split(rng, dtype):
    rank = int(rng.integers(2, 5))
    shape = list(shape_of(rng, rank))
    axis = int(rng.integers(0 if rank == 2 else 1, rank))
    count, size = int(rng.integers(1, 5)), int(rng.integers(1, 20))
    shape[axis] = count * size
    source = stored(rng, "input", shape, dtype)
    outputs = [like(source, f"output_{i}", (*shape[:axis], size, *shape[axis + 1 :]))
               for i in range(count)]  # fmt: skip
    return graph_of("SPLIT", [int32("axis", [axis]), source], outputs, {"num_splits": count})


def random_split_v(rng, dtype):
    rank = int(rng.integers(2, 5))
    shape = list(shape_of(rng, rank))
    axis = int(rng.integers(0 if rank == 2 else 1, rank))
    sizes = rng.integers(1, 20, rng.integers(1, 5))
    shape[axis] = int(sizes.sum())
    source = stored(rng, "input", shape, dtype)
    outputs = [like(source, f"output_{i}", (*shape[:axis], size, *shape[axis + 1 :]))
               for i, size in enumerate(sizes)]  # fmt: skip
    constants = [int32("sizes", sizes), int32("axis", [axis])]
    return graph_of("SPLIT_V", [source, *constants], outputs, {"num_splits": len(sizes)})


def random_slice(rng, dtype):
    shape = shape_of(rng, int(rng.integers(2, 5)))
    begin = [int(rng.integers(0, n)) for n in shape]
    size = [int(rng.integers(1, n - b + 1)) for n, b in zip(shape, begin, strict=True)]
    source = stored(rng, "input", shape, dtype)
    given = [-1 if b + s == n and rng.integers(2) else s
             for n, b, s in zip(shape, begin, size, strict=True)]  # fmt: skip
    output = like(source, "output", size)
    return graph_of("SLICE", [source, int32("begin", begin), int32("size", given)], [output], {})


def random_strided_slice(rng, dtype):
    shape = shape_of(rng, int(rng.integers(3, 5)))
    masks = dict.fromkeys(("begin_mask", "end_mask", "shrink_axis_mask"), 0)
    begins, ends, steps, sizes = [], [], [], []
    for axis, n in enumerate(shape):
        step = int(rng.choice([1, 1, 2, 3, -1, -2]))
        first, last = (int(v) for v in np.sort(rng.integers(0, n, 2)))
        begin, end = (first, last + 1) if step > 0 else (last, first - 1)
        taken = range(begin, end, step)
        begin, end = begin - n if rng.integers(2) else begin, end - n  # counted from the end
        if end >= 0 - (step < 0):
            end += n
        if step > 0 and taken.stop == n:
            end = n
        bit = 1 << axis
        if axis and rng.integers(5) == 0 and len(sizes) + len(shape) - axis > 1:
            masks["shrink_axis_mask"] |= bit
            begins.append(begin), ends.append(begin + 1 or n), steps.append(1)
            continue
        if rng.integers(4) == 0:
            masks["begin_mask"] |= bit
            taken = range(0 if step > 0 else n - 1, taken.stop, step)
        if rng.integers(4) == 0 or taken.stop < 0:
            masks["end_mask"] |= bit
            taken = range(taken.start, n if step > 0 else -1, step)
        begins.append(begin), ends.append(end), steps.append(step), sizes.append(len(taken))
    source = stored(rng, "input", shape, dtype)
    constants = [int32("begin", begins), int32("end", ends), int32("strides", steps)]
    attributes = {**masks, "ellipsis_mask": 0, "new_axis_mask": 0, "offset": False}
    output = like(source, "output", sizes)
    return graph_of("STRIDED_SLICE", [source, *constants], [output], attributes)


def random_transpose(rng, dtype):
    rank = int(rng.integers(2, 5))
    shape = shape_of(rng, rank)
    order = [0, *(1 + rng.permutation(rank - 1))] if rank > 2 else list(rng.permutation(2))
    source = stored(rng, "input", shape, dtype)
    output = like(source, "output", [shape[i] for i in order])
    return graph_of("TRANSPOSE", [source, int32("perm", order)], [output], {})


def random_reshape(rng, dtype):
    shape = shape_of(rng, 4)
    total = int(np.prod(shape))
    width = int(rng.choice([d for d in range(1, total + 1) if total % d == 0]))
    target = (1, total // width, width) if rng.integers(2) else (1, total)
    source = stored(rng, "input", shape, dtype)
    output = like(source, "output", target)
    return graph_of(
        "RESHAPE", [source, int32("shape", target)], [output], {"new_shape": tuple(target)}
    )


def random_resize(rng, dtype):
    shape = shape_of(rng, 4)
    factors = rng.integers(1, 5, 2)
    size = [int(n * f) for n, f in zip(shape[1:3], factors, strict=True)]
    if rng.integers(2):
        size = [int(rng.integers(1, 20)) for _ in size]
    flags = {"align_corners": bool(rng.integers(2)), "half_pixel_centers": False}
    if not flags["align_corners"]:
        flags["half_pixel_centers"] = bool(rng.integers(2))
    source = stored(rng, "input", shape, dtype)
    output = like(source, "output", (1, *size, shape[3]))
    return graph_of("RESIZE_NEAREST_NEIGHBOR", [source, int32("size", size)], [output], flags)


def reduction(op):
    def make(rng, dtype):
        rank = int(rng.integers(3, 5))
        shape = shape_of(rng, rank)
        count = int(rng.integers(1, rank))
        axes = sorted(int(a) for a in rng.choice(np.arange(1, rank), count, replace=False))
        keep = bool(rng.integers(2))
        kept = [1 if i in axes else n for i, n in enumerate(shape) if keep or i not in axes]
        source = stored(rng, "input", shape, dtype)
        terms = np.prod([shape[i] for i in axes]) ** (0.5 if op == "SUM" else -0.5)
        scale = source.quantization.scale[0] * terms * np.exp2(rng.uniform(-2, 2))
        output = stored(rng, "output", kept, dtype, scale=float(np.float32(scale)))
        return graph_of(op, [source, int32("axis", axes)], [output], {"keep_dims": keep})

    return make


MOVEMENT = {
    "CONCATENATION": random_concatenation,
    "MEAN": reduction("MEAN"),
    "RESHAPE": random_reshape,
    "RESIZE_NEAREST_NEIGHBOR": random_resize,
    "SLICE": random_slice,
    "SPLIT": random_split,
    "SPLIT_V": random_split_v,
    "STRIDED_SLICE": random_strided_slice,
    "SUM": reduction("SUM"),
    "TRANSPOSE": random_transpose,
}
"""What makes a network of each operator."""
