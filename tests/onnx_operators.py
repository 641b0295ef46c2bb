"""Random small ONNX networks, one for each operator that is imported."""

import numpy as np

IMAGE = (1, 6, 9, 7)
SIGNAL = (1, 6, 20)
MATRIX = (1, 5, 12)


def activation(n, value):
    """Nothing, Relu, Clip to 0..6, or a Relu and a Clip that together do so, behind ``value``."""
    kind = n.rng.integers(4)
    if kind == 0:
        return value
    if kind == 1:
        return n.node("Relu", [value])
    six = n.constant(np.float32(6))
    if kind == 2:
        return n.node("Clip", [value, n.constant(np.float32(0)), six])
    return n.node("Clip", [n.node("Relu", [value]), None, six])


def finish(n, value):
    return [n.quantized(value)]


def window(n, rank, kernel):
    """Random attributes of a window that fits ``IMAGE`` and ``SIGNAL``."""
    attributes = {"strides": n.rng.integers(1, 3, rank).tolist()}
    scheme = n.rng.choice(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"])
    if scheme == "NOTSET":
        attributes["pads"] = [int(n.rng.integers(k)) for k in (*kernel, *kernel)]
    else:
        attributes["auto_pad"] = scheme
    return attributes


def convolution(n, x, *, rank=2, depthwise=False, groups=1, bits=8):
    x = n.quantized(x)
    kernel = n.rng.integers(1, 4, rank).tolist()
    if depthwise:
        groups, channels = 6, 6 * int(n.rng.integers(1, 4))
    else:
        channels = groups * int(n.rng.integers(1, 9))
    w, scale = n.weights((channels, 6 // groups, *kernel), 0, bits)
    attributes = window(n, rank, kernel)
    if n.rng.integers(2) and "auto_pad" not in attributes:
        attributes["dilations"] = n.rng.integers(1, 3, rank).tolist()
    bias = n.bias(channels, x, scale)
    y = n.node("Conv", [x, w, bias], group=groups, kernel_shape=kernel, **attributes)
    return finish(n, activation(n, y))


def image(n, x, channels=6):
    """``x`` through a convolution, whose result lies in memory with the channels last."""
    w, _ = n.weights((channels, 6, 1, 1), 0)
    return n.quantized(n.node("Conv", [n.quantized(x), w]))


def signal_convolution(n, x):
    return convolution(n, x, rank=1)


def depthwise_convolution(n, x):
    return convolution(n, x, depthwise=True)


def grouped_convolution(n, x):
    return convolution(n, x, groups=2)


def int4_convolution(n, x):
    return convolution(n, x, bits=4)


def transposed_convolution(n, x):
    x = n.quantized(x)
    channels, kernel = int(n.rng.integers(1, 9)), n.rng.integers(1, 5, 2).tolist()
    w, scale = n.weights((6, channels, *kernel), 1)
    strides = n.rng.integers(1, 3, 2).tolist()
    attributes = {"strides": strides}
    if n.rng.integers(2):
        attributes["pads"] = [int(n.rng.integers(k)) for k in (*kernel, *kernel)]
        attributes["output_padding"] = [int(n.rng.integers(s)) for s in strides]
    else:
        attributes["auto_pad"] = "SAME_UPPER" if n.rng.integers(2) else "VALID"
    y = n.node("ConvTranspose", [x, w, n.bias(channels, x, scale)], **attributes)
    return finish(n, activation(n, y))


def dense_after_image(n, x):
    """The weights are permuted, not the image."""
    x = n.quantized(x)
    channels, transposed = int(n.rng.integers(1, 20)), int(n.rng.integers(2))
    flat = n.node("Flatten", [n.quantized(n.node("MaxPool", [x], kernel_shape=[2, 2]))])
    depth = 6 * 8 * 6
    shape, axis = ((channels, depth), 0) if transposed else ((depth, channels), 1)
    w, _ = n.weights(shape, axis)
    y = n.node("Gemm", [flat, w, n.constant(n.rng.normal(0, 0.5, channels).astype(np.float32))],
               transB=transposed)  # fmt: skip
    return finish(n, activation(n, y))


def matrix_product(n, x):
    """MatMul over a sequence, with the bias in an Add."""
    x = n.quantized(x)
    w, scale = n.weights((12, 10), 1)
    y = n.node("MatMul", [x, w])
    bias = n.bias(10, x, scale)
    return finish(n, activation(n, y if bias is None else n.node("Add", [bias, y])))


def image_bias(n, x):
    """Conv without bias, then Add of one value a channel."""
    x = n.quantized(x)
    w, _ = n.weights((5, 6, 3, 3), 0)
    bias = n.constant(n.rng.normal(0, 0.5, (5, 1, 1)).astype(np.float32))
    return finish(n, n.node("Add", [n.node("Conv", [x, w]), bias]))


def sums(n, x):
    """Add, Sub and Mul of tensors, with broadcasting, in different orders in memory."""
    x = n.quantized(x)
    op = str(n.rng.choice(["Add", "Sub", "Mul"]))
    w, _ = n.weights((6, 6, 1, 1), 0)
    y = n.quantized(n.node("Conv", [x, w]))
    if n.rng.integers(2):
        y = n.quantized(n.node("GlobalAveragePool", [y]))
    return finish(n, activation(n, n.node(op, [x, y] if n.rng.integers(2) else [y, x])))


def constants(n, x):
    """Add, Sub and Mul with a constant, float or quantised."""
    x = n.quantized(x)
    op = str(n.rng.choice(["Add", "Sub", "Mul"]))
    shape = [(), (6, 1, 1), IMAGE][n.rng.integers(3)]
    real = n.rng.normal(0, 1, shape).astype(np.float32)
    other = n.constant(real)
    if n.rng.integers(2):
        scale = np.float32(np.abs(real).max() / 127)
        other = n.weight(np.rint(real / scale).astype(np.int8), scale)
    y = n.node(op, [x, other] if n.rng.integers(2) else [other, x])
    return finish(n, activation(n, y))


def max_pool(n, x):
    x = n.quantized(x)
    attributes = window(n, 2, [2, 3])
    if n.rng.integers(2):  # windows that end, or even begin, in the padding behind the image
        attributes = {"ceil_mode": 1, "strides": n.rng.integers(1, 5, 2).tolist()}
        attributes["pads"] = n.rng.integers(2, size=4).tolist()
    w, scale = n.weights((6, 6, 1, 1), 0)
    y = n.node("Conv", [x, w, n.bias(6, x, scale)])
    y = n.node("MaxPool", [y], kernel_shape=[2, 3], **attributes)
    return finish(n, activation(n, y))


def average_pool(n, x):
    x = n.quantized(x)
    attributes = window(n, 2, [2, 3]) | {"count_include_pad": int(n.rng.integers(2))}
    return finish(n, activation(n, n.node("AveragePool", [x], kernel_shape=[2, 3], **attributes)))


def global_mean(n, x):
    x = n.quantized(x)
    if n.rng.integers(2):
        return finish(n, n.node("GlobalAveragePool", [x]))
    axes = [[2, 3], [1], [-1], [2]][n.rng.integers(4)]
    keep = int(n.rng.integers(2))
    return finish(n, n.node("ReduceMean", [x, n.constant(np.array(axes))], keepdims=keep))


def concatenation(n, x):
    """Of a convolution's result and its input, so that the scales differ."""
    x = n.quantized(x)
    w, _ = n.weights((4, 6, 1, 1), 0)
    y = n.node("Conv", [x, w])
    if n.rng.integers(2):
        y = n.quantized(y)
    return finish(n, n.node("Concat", [y, x], axis=[1, -3][n.rng.integers(2)]))


def splitting(n, x):
    x = image(n, x)
    sizes = [[3, 3], [1, 5], [2, 3, 1]][n.rng.integers(3)]
    parts = n.node("Split", [x, n.constant(np.array(sizes))], len(sizes), axis=1)
    return [n.quantized(n.node("Relu", [part])) for part in parts]


def slicing(n, x):
    x = image(n, x)
    starts, ends = np.array([1, -6, 0]), np.array([6, 100, -1])
    axes, steps = np.array([1, 2, -1]), np.array([1, 2, 3])
    y = n.node("Slice", [x, *map(n.constant, (starts, ends, axes, steps))])
    return finish(n, n.node("Relu", [y]))


def padding(n, x):
    x = n.quantized(x)
    w, _ = n.weights((3, 6, 3, 3), 0)
    pads = np.array([0, 0, 1, 2, 0, 0, 0, 1])
    y = n.node("Conv", [n.node("Pad", [x, n.constant(pads)]), w])
    return finish(n, n.node("Pad", [n.node("Relu", [y]), n.constant(pads)]))


def resizing(n, x):
    x = image(n, x)
    mode, rounding = [
        ("asymmetric", "floor"),
        ("half_pixel", "round_prefer_ceil"),
        ("align_corners", "round_prefer_ceil"),
    ][n.rng.integers(3)]
    settings = {"coordinate_transformation_mode": mode, "nearest_mode": rounding}
    if n.rng.integers(2) and mode != "align_corners":
        factor = n.constant(np.array([1, 1, *n.rng.integers(1, 4, 2)], np.float32))
        y = n.node("Resize", [x, None, factor], mode="nearest", **settings)
    else:
        sizes = n.constant(np.array([1, 6, *n.rng.integers(4, 30, 2)]))
        y = n.node("Resize", [x, None, None, sizes], mode="nearest", **settings)
    return finish(n, n.node("Relu", [y]))


def reordering(n, x):
    """Transposes and reshapes, of which some move elements in memory."""
    x = image(n, x)
    y = n.node("Transpose", [x], perm=[*n.rng.permutation(3).tolist(), 3])
    y = n.node("Reshape", [y, n.constant(np.array([1, -1, 14]))])
    y = n.node("Transpose", [y], perm=[0, 2, 1])
    y = n.node("Unsqueeze", [y, n.constant(np.array([2]))])
    return finish(n, n.node("Relu", [n.node("Squeeze", [y, n.constant(np.array([2]))])]))


def relu(n, x):
    """Not behind another operator: between DequantizeLinear and QuantizeLinear."""
    y = activation(n, n.quantized(x))
    return finish(n, n.node("Relu", [n.quantized(y)]))


def leaky_relu(n, x):
    return finish(n, n.node("LeakyRelu", [n.quantized(x)], alpha=float(n.rng.uniform(0, 0.5))))


def prelu(n, x):
    x = n.quantized(x)
    slope = n.rng.uniform(-0.3, 0.9, (6, 1, 1)).astype(np.float32)
    return finish(n, n.node("PRelu", [x, n.constant(slope)]))


def curve(n, x):
    return finish(n, n.node(str(n.rng.choice(["Sigmoid", "Tanh"])), [n.quantized(x)]))


def softmax(n, x):
    y = n.node("Softmax", [n.quantized(x)], axis=[1, -1][n.rng.integers(2)])
    return [n.fake_quantize(y, 1 / 256, -128)]


OPERATORS = {
    average_pool: IMAGE,
    concatenation: IMAGE,
    constants: IMAGE,
    convolution: IMAGE,
    curve: IMAGE,
    dense_after_image: IMAGE,
    depthwise_convolution: IMAGE,
    global_mean: IMAGE,
    grouped_convolution: IMAGE,
    image_bias: IMAGE,
    int4_convolution: IMAGE,
    leaky_relu: IMAGE,
    matrix_product: MATRIX,
    max_pool: IMAGE,
    padding: IMAGE,
    prelu: IMAGE,
    relu: IMAGE,
    reordering: IMAGE,
    resizing: IMAGE,
    signal_convolution: SIGNAL,
    slicing: IMAGE,
    softmax: IMAGE,
    splitting: IMAGE,
    sums: IMAGE,
    transposed_convolution: IMAGE,
}
"""How a network is drawn, and the shape of its input."""
