"""Random networks of one int8 operator each, all of them valid for TFLM.

Every function takes a generator and returns a `mmsp.graph.Graph`.  Scales and magnitudes are
log-uniform.  A third of the networks that rescale are *extreme*: scales that flush to zero, left
shifts that wrap, biases of any size.
"""

import math

import numpy as np

from mmsp.graph import Graph, Node, Quantization, Tensor
from mmsp.importers.operator_options import explicit_padding

ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")
EXTREME_SHARE = 1 / 3


def power_of_two(rng, low, high):
    """A log-uniform scale between ``2**low`` and ``2**high``: a float32 value."""
    return float(np.float32(2.0 ** rng.uniform(low, high)))


def pair(rng, low, high):
    """Two integers, equal to each other in half of the cases."""
    first = int(rng.integers(low, high + 1))
    return first, first if rng.integers(2) else int(rng.integers(low, high + 1))


def zero_point(rng):
    """One of the corners that quantisers produce, or any."""
    return int(rng.choice([-128, 127, 0])) if rng.integers(3) == 0 else int(rng.integers(-128, 128))


def log_uniform(rng, count, limit):
    """Signed integers with log-uniform magnitudes up to ``limit``."""
    magnitude = np.exp2(rng.uniform(0, math.log2(limit + 1), count)) - 1
    return (magnitude * rng.choice([-1, 1], count)).astype(np.int64)


def activation_tensor(name, shape, scale, zero):
    return Tensor(name, shape, np.dtype(np.int8), Quantization((scale,), (zero,)))


def constant(name, data, scales=None, axis=0):
    """A constant tensor; with ``scales`` it is quantised with zero points of 0."""
    quantization = None if scales is None else Quantization(scales, (0,) * len(scales), axis)
    return Tensor(name, data.shape, data.dtype, quantization, data)


def single_operator(op, inputs, constants, output, attributes):
    """A graph of one node; a last constant of None is left out.

    An index of -1 in its place crashes TFLM's DEPTHWISE_CONV_2D.
    """
    operands = [tensor for tensor in (*inputs, *constants) if tensor is not None]
    node = Node(
        op=op,
        name=f"{op.lower()}_0",
        inputs=tuple(tensor.name for tensor in operands),
        outputs=(output.name,),
        attributes=attributes,
    )
    return Graph(
        name=op.lower(),
        tensors={tensor.name: tensor for tensor in (*operands, output)},
        nodes=[node],
        inputs=[tensor.name for tensor in inputs],
        outputs=[output.name],
    )


def random_window(rng, *, largest_kernel, largest_dilation):
    """Image size, window attributes and output size, for SAME and for VALID."""
    kernel, stride = pair(rng, 1, largest_kernel), pair(rng, 1, 3)
    dilation = pair(rng, 1, largest_dilation)
    scheme = str(rng.choice(["SAME", "VALID"]))
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    smallest = extent if scheme == "VALID" else (1, 1)
    size = tuple(int(low + rng.integers(0, 9)) for low in smallest)
    padding = explicit_padding(scheme, size, kernel, stride, dilation)
    output = tuple(
        (n + sum(p) - e) // s + 1 for n, p, e, s in zip(size, padding, extent, stride, strict=True)
    )
    return size, kernel, output, {"stride": stride, "dilation": dilation, "padding": padding}


def linear_operands(rng, weights, *, taps, channels, per_channel, axis):
    """Weights, bias, input scale and output scale that suit each other."""
    extreme = rng.random() < EXTREME_SHARE
    input_scale, output_scale = power_of_two(rng, -10, 2), power_of_two(rng, -10, 2)
    count = channels if per_channel else 1
    spread = float(np.abs(weights).mean() + 1) * 74 * math.sqrt(taps)
    if extreme:
        ratios = np.exp2(rng.uniform(-40, 17, count))
    else:
        ratios = np.exp2(rng.uniform(2, 8)) / spread * np.exp2(rng.uniform(-2, 2, count))
    scales = tuple(
        float(np.float32(ratio * output_scale / input_scale)) for ratio in ratios.tolist()
    )
    limit = (1 << 31) - 1 if extreme else int(2 * spread) + 1
    bias = None
    if rng.integers(5):
        # A convolution's bias has the products' scales; TFLM checks FULLY_CONNECTED's.
        bias_scales = tuple(float(np.float32(input_scale) * np.float32(s)) for s in scales)
        bias = constant("bias", log_uniform(rng, channels, limit).astype(np.int32), bias_scales)
    return constant("weights", weights, scales, axis), bias, input_scale, output_scale


def random_weights(rng, shape):
    """int8 weights of a random magnitude."""
    limit = int(np.exp2(rng.uniform(1, 7)))
    return rng.integers(-limit, limit, shape).astype(np.int8)


def random_conv(rng, activation, per_channel):
    window = random_window(rng, largest_kernel=5, largest_dilation=3)
    return conv(rng, activation, per_channel, window, rng.integers(1, 13, 2))


def random_first_layer(rng, activation, per_channel):
    """A convolution of a picture or a spectrogram: few channels, large kernels, no dilation."""
    window = random_window(rng, largest_kernel=11, largest_dilation=1)
    channels = rng.integers(1, 5), rng.integers(1, 41)
    return conv(rng, activation, per_channel, window, channels)


def conv(rng, activation, per_channel, window, channels):
    """A convolution of the given window and channels."""
    size, kernel, output_size, attributes = window
    channels_in, channels_out = (int(n) for n in channels)
    weights, bias, input_scale, output_scale = linear_operands(
        rng,
        random_weights(rng, (channels_out, *kernel, channels_in)),
        taps=math.prod(kernel) * channels_in,
        channels=channels_out,
        per_channel=per_channel,
        axis=0,
    )
    return single_operator(
        "CONV_2D",
        [activation_tensor("x", (1, *size, channels_in), input_scale, zero_point(rng))],
        [weights, bias],
        activation_tensor("y", (1, *output_size, channels_out), output_scale, zero_point(rng)),
        attributes | {"activation": activation},
    )


def random_depthwise_conv(rng, activation, per_channel):
    size, kernel, output_size, attributes = random_window(rng, largest_kernel=5, largest_dilation=3)
    channels_in, multiplier = int(rng.integers(1, 9)), int(rng.integers(1, 9))
    channels_out = channels_in * multiplier
    weights, bias, input_scale, output_scale = linear_operands(
        rng,
        random_weights(rng, (1, *kernel, channels_out)),
        taps=math.prod(kernel),
        channels=channels_out,
        per_channel=per_channel,
        axis=3,
    )
    return single_operator(
        "DEPTHWISE_CONV_2D",
        [activation_tensor("x", (1, *size, channels_in), input_scale, zero_point(rng))],
        [weights, bias],
        activation_tensor("y", (1, *output_size, channels_out), output_scale, zero_point(rng)),
        attributes | {"activation": activation, "depth_multiplier": multiplier},
    )


def random_transpose_conv(rng, activation, per_channel):
    """SAME: as many outputs as the stride makes of the inputs; VALID: the kernel's rim as well."""
    kernel, stride, size = pair(rng, 1, 5), pair(rng, 1, 3), pair(rng, 1, 6)
    channels_in, channels_out = (int(n) for n in rng.integers(1, 13, 2))
    if rng.integers(2):
        output_size = tuple(n * s for n, s in zip(size, stride, strict=True))
        padding = explicit_padding("SAME", output_size, kernel, stride, (1, 1))
    else:
        sides = zip(size, stride, kernel, strict=True)
        output_size = tuple((n - 1) * s + max(k, s) for n, s, k in sides)
        padding = explicit_padding("VALID", output_size, kernel, stride, (1, 1))
    weights, bias, input_scale, output_scale = linear_operands(
        rng,
        random_weights(rng, (channels_out, *kernel, channels_in)),
        taps=math.prod(kernel) * channels_in,
        channels=channels_out,
        per_channel=per_channel,
        axis=0,
    )
    shape = (1, *output_size, channels_out)
    source = activation_tensor("x", (1, *size, channels_in), input_scale, zero_point(rng))
    graph = single_operator(
        "TRANSPOSE_CONV",
        [],
        [constant("shape", np.array(shape, np.int32)), weights, source, bias],
        activation_tensor("y", shape, output_scale, zero_point(rng)),
        {"stride": stride, "padding": padding, "activation": activation},
    )
    graph.inputs.append("x")
    return graph


def random_fully_connected(rng, activation, per_channel):
    """Rows of features, an image taken whole, or every pixel of an image."""
    height, width = (int(n) for n in rng.integers(1, 5, 2))
    channels, channels_out = int(np.exp2(rng.uniform(0, 8))), int(rng.integers(1, 33))
    form = rng.integers(3)
    shape, output_shape, depth = [
        ((height, channels), (height, channels_out), channels),
        ((1, height, width, channels), (1, channels_out), height * width * channels),
        ((1, height, width, channels), (1, height, width, channels_out), channels),
    ][form]
    weights, bias, input_scale, output_scale = linear_operands(
        rng,
        random_weights(rng, (channels_out, depth)),
        taps=depth,
        channels=channels_out,
        per_channel=per_channel,
        axis=0,
    )
    return single_operator(
        "FULLY_CONNECTED",
        [activation_tensor("x", shape, input_scale, zero_point(rng))],
        [weights, bias],
        activation_tensor("y", output_shape, output_scale, zero_point(rng)),
        {
            "activation": activation,
            "weights_format": "DEFAULT",
            "keep_dimensions": len(output_shape) > 2,
        },
    )


def random_add(rng, activation, _per_channel):
    shape = (1, *(int(n) for n in rng.integers(1, 9, 3)))
    first = power_of_two(rng, -10, 2)
    if rng.random() < EXTREME_SHARE:
        # TFLM wants an output scale above 2**-20 of the common one; beyond 2**12 it flushes.
        second = first * power_of_two(rng, -40, 0)
        output_scale = 2 * max(first, second) * power_of_two(rng, -19, 14)
    else:
        second = first * power_of_two(rng, -4, 4)
        output_scale = max(first, second) * power_of_two(rng, -2, 2)
    second, output_scale = float(np.float32(second)), float(np.float32(output_scale))
    inputs = [
        activation_tensor(name, shape, scale, zero_point(rng))
        for name, scale in (("a", first), ("b", second))
    ]
    output = activation_tensor("y", shape, output_scale, zero_point(rng))
    return single_operator("ADD", inputs, [], output, {"activation": activation})


def random_pool(rng, activation, op):
    size, kernel, output_size, attributes = random_window(rng, largest_kernel=6, largest_dilation=1)
    del attributes["dilation"]
    channels, scale, zero = int(rng.integers(1, 9)), power_of_two(rng, -8, 2), zero_point(rng)
    return single_operator(
        op,
        [activation_tensor("x", (1, *size, channels), scale, zero)],
        [],
        activation_tensor("y", (1, *output_size, channels), scale, zero),
        attributes | {"kernel": kernel, "activation": activation},
    )


def random_average_pool(rng, activation, _per_channel):
    return random_pool(rng, activation, "AVERAGE_POOL_2D")


def random_max_pool(rng, activation, _per_channel):
    return random_pool(rng, activation, "MAX_POOL_2D")


def random_pad(rng, _activation, _per_channel):
    shape = (1, *(int(n) for n in rng.integers(1, 9, 3)))
    amounts = np.vstack([[0, 0], rng.integers(0, 4, (3, 2))]).astype(np.int32)
    if rng.integers(2):
        amounts[3] = 0  # the channels: a copy in another way
    scale, zero = power_of_two(rng, -10, 2), zero_point(rng)
    output_shape = tuple(int(n) for n in np.add(shape, amounts.sum(axis=1)))
    return single_operator(
        "PAD",
        [activation_tensor("x", shape, scale, zero)],
        [constant("paddings", amounts)],
        activation_tensor("y", output_shape, scale, zero),
        {},
    )


def random_softmax(rng, _activation, _per_channel):
    """At most 511 values: TFLM aborts when 512 of them are near the maximum."""
    length = min(int(np.exp2(rng.uniform(0, 9))), 511)
    shape = (int(rng.integers(1, 5)), length)
    if rng.integers(2):
        shape = (1, *(int(n) for n in rng.integers(1, 4, 2)), length)
    return single_operator(
        "SOFTMAX",
        [activation_tensor("x", shape, power_of_two(rng, -12, 5), zero_point(rng))],
        [],
        activation_tensor("y", shape, 1 / 256, -128),
        {"beta": power_of_two(rng, -2, 2)},
    )


OPERATORS = {
    "ADD": random_add,
    "AVERAGE_POOL_2D": random_average_pool,
    "CONV_2D": random_conv,
    "DEPTHWISE_CONV_2D": random_depthwise_conv,
    "FULLY_CONNECTED": random_fully_connected,
    "MAX_POOL_2D": random_max_pool,
    "PAD": random_pad,
    "SOFTMAX": random_softmax,
    "TRANSPOSE_CONV": random_transpose_conv,
}
"""Generator of a network by operator: ``generate(rng, activation, per_channel)``."""
