"""One random network of a single node for every operator that .tflite files are read with.

What they compute is of no concern here: they exercise the options, types and operands of the file
format, and TFLM accepts them.
"""

from dataclasses import replace

import numpy as np
from judge import activation, constant, network, random_int8, random_like

from mmsp.importers.operator_options import explicit_padding

ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6")
INT16 = np.dtype(np.int16)


def dtype_of(rng):
    return rng.choice([np.dtype(np.int8), INT16])


def tensor_of(rng, name, shape, dtype=np.int8):
    """An activation; int16 has the zero point 0."""
    zero_point = int(rng.integers(-128, 128)) if dtype == np.int8 else 0
    return activation(name, shape, np.exp2(rng.uniform(-8, 2)), zero_point, dtype)


def like(tensor, name, shape):
    return activation(
        name, shape, tensor.quantization.scale[0], tensor.quantization.zero_point[0], tensor.dtype
    )


def int32(name, *values):
    return constant(name, np.array(values, np.int32))


def any_activation(rng):
    return {"activation": str(rng.choice(ACTIVATIONS))}


def any_bool(rng):
    return bool(rng.integers(2))


def binary(op, rng, attributes, *, same_quantization=False):
    dtype = dtype_of(rng)
    shape = (1, int(rng.integers(1, 5)), 3)
    first, second = (tensor_of(rng, name, shape, dtype) for name in ("x", "y"))
    output = tensor_of(rng, "z", shape, dtype)
    if same_quantization:
        second, output = like(first, "y", shape), like(first, "z", shape)
    return network((op, (first, second), output, attributes))


def unary(op, rng, attributes=None, **output):
    source = tensor_of(rng, "x", (1, int(rng.integers(1, 9))))
    result = tensor_of(rng, "y", source.shape)
    if output:
        result = activation("y", source.shape, **output)
    return network((op, (source,), result, attributes or {}))


def window(op, rng):
    """A pool, a convolution, a depthwise or a transposed one, with every attribute random."""
    height, width, channels = (int(n) for n in rng.integers(3, 8, 3))
    stride = tuple(int(n) for n in rng.integers(1, 4, 2))
    kernel = tuple(int(n) for n in rng.integers(1, 4, 2))
    dilation = tuple(int(n) for n in rng.integers(1, 3, 2)) if op.endswith("CONV_2D") else (1, 1)
    if op.endswith("CONV_2D"):
        kernel = tuple(min(size, 2) for size in kernel)
    scheme = str(rng.choice(["SAME", "VALID"]))
    padding = explicit_padding(scheme, (height, width), kernel, stride, dilation)
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = [
        (n + sum(pair) - extent) // step + 1
        for n, pair, extent, step in zip((height, width), padding, extents, stride, strict=True)
    ]
    image = tensor_of(rng, "image", (1, height, width, channels))
    attributes = {"padding": padding, "stride": stride, **any_activation(rng)}
    if op.endswith("POOL_2D"):
        attributes["kernel"] = kernel
        return network((op, (image,), like(image, "out", (1, *size, channels)), attributes))
    if op == "TRANSPOSE_CONV":
        shape = int32("shape", 1, height, width, 2)
        weights = weights_of(rng, (2, *kernel, channels), 0)
        source = tensor_of(rng, "source", (1, *size, channels))
        result = tensor_of(rng, "out", (1, height, width, 2))
        return network((op, (shape, weights, source), result, attributes))
    attributes["dilation"] = dilation
    if op == "CONV_2D":
        weights = weights_of(rng, (2, *kernel, channels), 0)
    else:
        attributes["depth_multiplier"] = 2
        weights = weights_of(rng, (1, *kernel, 2 * channels), 3)
    outputs = weights.shape[weights.quantization.axis]
    bias = constant("bias", random_like(rng, activation("", (outputs,), dtype=np.int32)), (1.0,))
    result = tensor_of(rng, "out", (1, *size, outputs))
    return network((op, (image, weights, bias), result, attributes))


def weights_of(rng, shape, axis):
    """One scale per channel."""
    return constant(
        "weights", random_int8(rng, shape), np.exp2(rng.uniform(-8, -2, shape[axis])), axis
    )


def fully_connected(rng):
    """Of any bias: none, int32, or int64 for int16 activations."""
    dtype = dtype_of(rng)
    rows, columns = int(rng.integers(1, 6)), int(rng.integers(1, 9))
    weights = constant("weights", random_int8(rng, (rows, columns)), (0.01,))
    bias_type = np.int32 if dtype == np.int8 else np.int64
    source = tensor_of(rng, "x", (1, columns), dtype)
    # TFLM requires that the scale of the bias is the product of the others.
    scale = source.quantization.scale[0] * weights.quantization.scale[0]
    bias = constant("bias", rng.integers(-1000, 1000, rows).astype(bias_type), (scale,))
    inputs = (source, weights, bias if any_bool(rng) else None)
    attributes = {"weights_format": "DEFAULT", "keep_dimensions": any_bool(rng)}
    result = tensor_of(rng, "y", (1, rows), dtype)
    return network(("FULLY_CONNECTED", inputs, result, attributes | any_activation(rng)))


def concatenation(rng):
    axis = int(rng.integers(1, 4))
    tensors = [tensor_of(rng, "x", (1, 2, 3, 4), dtype_of(rng))]
    tensors += [like(tensors[0], f"x{n}", (1, 2, 3, 4)) for n in range(rng.integers(1, 4))]
    shape = [1, 2, 3, 4]
    shape[axis] *= len(tensors)
    attributes = {"axis": int(rng.choice([axis, axis - 4])), "activation": "NONE"}
    output = like(tensors[0], "y", shape)
    return network(("CONCATENATION", tuple(tensors), output, attributes))


def split(op, rng):
    parts = int(rng.integers(2, 5))
    source = tensor_of(rng, "x", (1, 2, 12))
    axis = constant("axis", np.array(2, np.int32))
    sizes = [12 // parts] * (parts - 1)
    sizes.append(12 - sum(sizes))
    if op == "SPLIT":
        sizes = [12 // parts] * parts
        source = like(source, "x", (1, 2, sum(sizes)))
    outputs = tuple(like(source, f"y{n}", (1, 2, size)) for n, size in enumerate(sizes))
    inputs = (axis, source) if op == "SPLIT" else (source, int32("sizes", *sizes), axis)
    return network((op, inputs, outputs, {"num_splits": parts}))


def strided_slice(rng):
    source = tensor_of(rng, "x", (1, 6, 8))
    shrink, begin_mask, end_mask = (int(rng.integers(2)) for _ in range(3))
    begin = 0 if begin_mask else 2
    end = 8 if end_mask else 7
    bounds = int32("begin", 0, 1, 2), int32("end", 1, 4, 7), int32("strides", 1, 2, 1)
    shape = (2, end - begin) if shrink else (1, 2, end - begin)
    return network(
        ("STRIDED_SLICE", (source, *bounds), like(source, "y", shape), {
            "begin_mask": begin_mask << 2, "end_mask": end_mask << 2, "ellipsis_mask": 0,
            "new_axis_mask": 0, "shrink_axis_mask": shrink, "offset": False,
        })
    )  # fmt: skip


def moved(op, rng, shape, *constants, attributes=None, source_shape=(1, 2, 3, 4)):
    """An operator that moves elements and keeps their quantisation."""
    source = tensor_of(rng, "x", source_shape)
    return network((op, (source, *constants), like(source, "y", shape), attributes or {}))


def reduction(op, rng):
    keep = any_bool(rng)
    source = tensor_of(rng, "x", (1, 4, 5, 3))
    result = tensor_of(rng, "y", (1, 1, 1, 3) if keep else (1, 3))
    return network((op, (source, int32("axes", 1, 2)), result, {"keep_dims": keep}))


def pack(rng):
    tensors = [tensor_of(rng, "x", (2, 3))]
    tensors += [like(tensors[0], f"x{n}", (2, 3)) for n in range(2)]
    attributes = {"values_count": 3, "axis": 1}
    return network(("PACK", tuple(tensors), like(tensors[0], "y", (2, 3, 3)), attributes))


def unpack(rng):
    source = tensor_of(rng, "x", (2, 3, 4))
    outputs = tuple(like(source, f"y{n}", (2, 4)) for n in range(3))
    return network(("UNPACK", (source,), outputs, {"num": 3, "axis": 1}))


def resize(rng):
    corners = any_bool(rng)
    attributes = {"align_corners": corners, "half_pixel_centers": not corners and any_bool(rng)}
    return moved(
        "RESIZE_NEAREST_NEIGHBOR", rng, (1, 4, 7, 4), int32("size", 4, 7), attributes=attributes
    )


def prelu(rng):
    source, result = tensor_of(rng, "x", (1, 2, 2, 3)), tensor_of(rng, "y", (1, 2, 2, 3))
    alpha = constant("alpha", random_int8(rng, (1, 1, 3)), (0.02,))
    return network(("PRELU", (source, alpha), result, {}))


def pad(op, rng, dtype):
    margins = constant("margins", np.array([[0, 0], [1, 2], [3, 0], [0, 1]], dtype))
    source = tensor_of(rng, "x", (1, 2, 3, 4))
    inputs = (source, margins)
    if op == "PADV2":
        scale, zero_point = source.quantization.scale, source.quantization.zero_point
        value = activation("value", (1,), scale[0], zero_point[0])
        inputs = (*inputs, replace(value, data=random_int8(rng, (1,))))
    return network((op, inputs, like(source, "y", (1, 5, 6, 5)), {}))


def svdf(rng):
    """Its state is a variable: an operand that lives on."""
    rank, units, memory, size = 1 + int(rng.integers(2)), 3, 4, 5
    filters = rank * units
    state = activation("state", (1, memory * filters), 2**-10, 0, INT16)
    weights_time = constant(
        "time", rng.integers(-1000, 1000, (filters, memory)).astype(np.int16), (2**-12,)
    )
    inputs = (
        tensor_of(rng, "x", (1, size)),
        constant("feature", random_int8(rng, (filters, size)), (2**-6,)),
        weights_time,
        constant("bias", np.arange(units, dtype=np.int32), (2**-22,)),
        state,
    )
    attributes = {"rank": rank, "activation": "RELU", "asymmetric_quantize_inputs": False}
    return network(
        ("SVDF", inputs, tensor_of(rng, "y", (1, units)), attributes),
        variables={"state": np.zeros(state.shape, np.int16)},
    )


def lstm(rng):
    """Without the optional peepholes, projection and layer normalisation: inputs that are absent.

    The hidden state starts at its zero point.
    """
    steps, size, units = 3, 4, int(rng.integers(1, 6))
    source = tensor_of(rng, "x", (1, steps, size))
    result = tensor_of(rng, "y", (1, steps, units))
    hidden = like(result, "hidden", (1, units))
    cell = activation("cell", (1, units), 2**-11, 0, INT16)
    names = ("input", "forget", "cell", "output")
    matrices = [
        constant(f"{kind}_{name}", random_int8(rng, (units, columns)), (rng.uniform(0.001, 0.02),))
        for kind, columns in (("w", size), ("r", units))
        for name in names
    ]
    biases = [constant(f"b_{n}", rng.integers(-99, 99, units).astype(np.int32)) for n in names]
    inputs = (
        source, *matrices, None, None, None, *biases, None, None, hidden, cell, *(None,) * 4,
    )  # fmt: skip
    attributes = {
        "activation": "TANH", "cell_clip": float(rng.integers(2) * 10), "proj_clip": 0.0,
        "time_major": False, "asymmetric_quantize_inputs": False,
        "diagonal_recurrent_tensors": False, "intermediates": ("hidden_scale",) * 5,
    }  # fmt: skip
    graph = network(
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, result, attributes),
        variables={
            "hidden": np.full(hidden.shape, hidden.quantization.zero_point[0], np.int8),
            "cell": np.zeros(cell.shape, np.int16),
        },
    )
    graph.tensors["hidden_scale"] = like(result, "hidden_scale", (0,))
    return graph


def variable(rng):
    """Exchanges the value of a variable."""
    dtype = dtype_of(rng)
    state = tensor_of(rng, "state", (1, 3), dtype)
    return network(
        ("READ_VARIABLE", (state,), like(state, "old", (1, 3)), {}),
        ("ASSIGN_VARIABLE", (state, like(state, "new", (1, 3))), (), {}),
        variables={"state": random_like(rng, state)},
    )


EXAMPLES = {
    "ADD": lambda rng: binary("ADD", rng, any_activation(rng)),
    "ASSIGN_VARIABLE": variable,
    "AVERAGE_POOL_2D": lambda rng: window("AVERAGE_POOL_2D", rng),
    "CONCATENATION": concatenation,
    "CONV_2D": lambda rng: window("CONV_2D", rng),
    "DEPTHWISE_CONV_2D": lambda rng: window("DEPTHWISE_CONV_2D", rng),
    "EXPAND_DIMS": lambda rng: moved("EXPAND_DIMS", rng, (1, 2, 1, 3, 4), int32("axis", 2)),
    "FULLY_CONNECTED": fully_connected,
    "LEAKY_RELU": lambda rng: unary("LEAKY_RELU", rng, {"alpha": float(np.float32(rng.normal()))}),
    "LOGISTIC": lambda rng: unary("LOGISTIC", rng, scale=2**-8, zero_point=-128),
    "MAXIMUM": lambda rng: binary("MAXIMUM", rng, {}, same_quantization=True),
    "MAX_POOL_2D": lambda rng: window("MAX_POOL_2D", rng),
    "MEAN": lambda rng: reduction("MEAN", rng),
    "MINIMUM": lambda rng: binary("MINIMUM", rng, {}, same_quantization=True),
    "MUL": lambda rng: binary("MUL", rng, any_activation(rng)),
    "PACK": pack,
    "PAD": lambda rng: pad("PAD", rng, np.int32),
    "PADV2": lambda rng: pad("PADV2", rng, np.int32),
    "PRELU": prelu,
    "QUANTIZE": lambda rng: unary("QUANTIZE", rng),
    "READ_VARIABLE": variable,
    "RELU": lambda rng: unary("RELU", rng),
    "RELU6": lambda rng: unary("RELU6", rng),
    "RELU_N1_TO_1": lambda rng: unary("RELU_N1_TO_1", rng),
    "RESHAPE": lambda rng: moved("RESHAPE", rng, (1, 24), attributes={"new_shape": (1, -1)}),
    "RESIZE_NEAREST_NEIGHBOR": resize,
    "SLICE": lambda rng: moved(
        "SLICE", rng, (1, 1, 2, 4), int32("begin", 0, 1, 1, 0), int32("size", 1, 1, -1, 4)
    ),
    "SOFTMAX": lambda rng: unary("SOFTMAX", rng, {"beta": 0.5}, scale=2**-8, zero_point=-128),
    "SPLIT": lambda rng: split("SPLIT", rng),
    "SPLIT_V": lambda rng: split("SPLIT_V", rng),
    "SQUEEZE": lambda rng: moved(
        "SQUEEZE", rng, (2, 3, 4), attributes={"squeeze_dims": (0,) if any_bool(rng) else ()}
    ),
    "STRIDED_SLICE": strided_slice,
    "SUB": lambda rng: binary("SUB", rng, any_activation(rng)),
    "SUM": lambda rng: reduction("SUM", rng),
    "SVDF": svdf,
    "TANH": lambda rng: unary("TANH", rng, scale=2**-7, zero_point=0),
    "TRANSPOSE": lambda rng: moved("TRANSPOSE", rng, (1, 4, 2, 3), int32("order", 0, 3, 1, 2)),
    "TRANSPOSE_CONV": lambda rng: window("TRANSPOSE_CONV", rng),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": lstm,
    "UNPACK": unpack,
}
"""Functions from a generator to a graph, by operator."""
