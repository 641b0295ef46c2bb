"""Random networks of one element-wise operator each, int8 or int16, all of them valid for TFLM.

Every function takes a generator and the name of a fused activation (which some operators ignore),
and returns a `mmsp.graph.Graph`.  Scales and magnitudes are log-uniform.
"""

import numpy as np
from random_operators import EXTREME_SHARE, power_of_two, single_operator, zero_point

from mmsp.graph import Quantization, Tensor

INT8, INT16 = np.dtype(np.int8), np.dtype(np.int16)
CONSTANT_SHARE = 1 / 3


def float32(value):
    """The nearest float32, as files hold scales."""
    return float(np.float32(value))


def random_type(rng):
    return INT16 if rng.integers(2) else INT8


def random_values(rng, shape, dtype):
    """Integers of any spread, around any centre."""
    limits = np.iinfo(dtype)
    centre = rng.integers(limits.min, limits.max + 1)
    spread = int(np.exp2(rng.uniform(0, limits.bits)))
    values = centre + rng.integers(-spread, spread + 1, shape)
    return np.clip(values, limits.min, limits.max).astype(dtype)


def random_inputs(rng, graph):
    """Inputs of the types that the graph declares; half of them around their zero points."""
    inputs = {}
    for name in graph.inputs:
        tensor = graph.tensors[name]
        inputs[name] = random_values(rng, tensor.shape, tensor.dtype)
        if rng.integers(2):
            limits, (zero,) = np.iinfo(tensor.dtype), tensor.quantization.zero_point
            magnitude = np.exp2(rng.uniform(0, limits.bits, tensor.shape))
            values = zero + magnitude * rng.choice([-1, 1], tensor.shape)
            inputs[name] = np.clip(values, limits.min, limits.max).astype(tensor.dtype)
    return inputs


def quantized(name, shape, dtype, scale, zero, data=None):
    """A tensor, constant if it has ``data``; int16 has zero point 0."""
    zero = zero if dtype == INT8 else 0
    return Tensor(name, tuple(shape), dtype, Quantization((float32(scale),), (zero,)), data)


def random_shape(rng, smallest_rank=1):
    """One of rank 1 to 4 with batch 1; channels often beyond one word."""
    rank = int(rng.integers(smallest_rank, 5))
    shape = [int(n) for n in rng.integers(1, 6, rank)]
    shape[-1] = int(np.exp2(rng.uniform(0, 5.5)))
    if rank > 2:
        shape[0] = 1
    return tuple(shape)


def broadcast_pair(rng, shape):
    """Shapes of two operands whose common shape is ``shape``: often equal ones."""
    first, second = list(shape), list(shape)
    if rng.integers(3):
        # The array repeats rows and columns, the vector unit channels, too.
        for axis in range(len(shape) - int(rng.integers(2))):
            choice = rng.integers(4)
            if choice < 2:
                (first if choice else second)[axis] = 1
    return first, second


def shorten(rng, shape, constant):
    """Leave leading ones away; an activation of rank 3 keeps its batch, a scalar is constant."""
    shape = list(shape)
    while shape and shape[0] == 1 and rng.integers(2):
        shape.pop(0)
    if not constant and len(shape) == 3 and shape[0] != 1:
        shape.insert(0, 1)
    return tuple(shape) if shape or constant else (1,)


def binary(rng, op, dtype, scales, attributes, zeros=None):
    """A network with broadcast, and perhaps a constant on either side."""
    shape = random_shape(rng)
    zeros = [zero_point(rng) for _ in range(3)] if zeros is None else zeros
    constant_side = int(rng.integers(2)) if rng.random() < CONSTANT_SHARE else None
    operands = []
    for side, full_shape in enumerate(broadcast_pair(rng, shape)):
        constant = side == constant_side
        operand_shape = shorten(rng, full_shape, constant)
        data = random_values(rng, operand_shape, dtype) if constant else None
        operands.append(
            quantized("ab"[side], operand_shape, dtype, scales[side], zeros[side], data)
        )
    # Where both left the leading ones away, so does the output, which needs its batch, though.
    shape = np.broadcast_shapes(*(tensor.shape for tensor in operands))
    shape = (1, *shape) if len(shape) == 3 and shape[0] != 1 else shape
    graph = single_operator(
        op, operands, [], quantized("y", shape, dtype, scales[2], zeros[2]), attributes
    )
    graph.inputs = [tensor.name for tensor in operands if tensor.data is None]
    return graph


def random_sum(rng, activation, op):
    dtype = random_type(rng)
    first = power_of_two(rng, -10, 2)
    if rng.random() < EXTREME_SHARE:
        # TFLM wants an output scale above 2**-20 (2**-15) of the common one.
        second = first * power_of_two(rng, -40, 0)
        output = 2 * max(first, second) * power_of_two(rng, -14 if dtype == INT16 else -19, 14)
    else:
        second = first * power_of_two(rng, -4, 4)
        output = max(first, second) * power_of_two(rng, -2, 2)
    return binary(rng, op, dtype, (first, second, output), {"activation": activation})


def random_add(rng, activation):
    return random_sum(rng, activation, "ADD")


def random_sub(rng, activation):
    return random_sum(rng, activation, "SUB")


def random_mul(rng, activation):
    dtype = random_type(rng)
    first, second = power_of_two(rng, -10, 2), power_of_two(rng, -10, 2)
    bits = 15 if dtype == INT16 else 7
    extreme = rng.random() < EXTREME_SHARE
    ratio = power_of_two(rng, -40, 28) if extreme else power_of_two(rng, -bits - 3, 1)
    # 6.0 must lie within 2**31 steps.
    output = max(float32(first) * float32(second) / ratio, 2.0**-28)
    return binary(rng, "MUL", dtype, (first, second, output), {"activation": activation})


def random_maximum(rng, _activation, op="MAXIMUM"):
    scale, zero = power_of_two(rng, -10, 2), zero_point(rng)
    return binary(rng, op, random_type(rng), (scale,) * 3, {}, (zero,) * 3)


def random_minimum(rng, activation):
    return random_maximum(rng, activation, "MINIMUM")


def unary(rng, op, types, scales, attributes, zeros=None, constants=(), shape=None):
    """A network of one tensor in and one out."""
    shape = random_shape(rng) if shape is None else shape
    zeros = (zero_point(rng), zero_point(rng)) if zeros is None else zeros
    return single_operator(
        op,
        [quantized("x", shape, types[0], scales[0], zeros[0])],
        list(constants),
        quantized("y", shape, types[1], scales[1], zeros[1]),
        attributes,
    )


def ratio_of_scales(rng):
    """Around 1; in a third of the cases anything, up to flushing and to a left shift that wraps."""
    if rng.random() < EXTREME_SHARE:
        return power_of_two(rng, -36, 28)
    return power_of_two(rng, -4, 2)


def random_relu(rng, _activation):
    dtype, scale = random_type(rng), power_of_two(rng, -10, 2)
    return unary(rng, "RELU", (dtype, dtype), (scale, scale / ratio_of_scales(rng)), {})


def random_relu6(rng, _activation):
    dtype, zero = random_type(rng), zero_point(rng)
    scale = power_of_two(rng, -14 if dtype == INT16 else -7, 2)
    return unary(rng, "RELU6", (dtype, dtype), (scale, scale), {}, (zero, zero))


def random_quantize(rng, _activation):
    types = random_type(rng), random_type(rng)
    scale = power_of_two(rng, -10, 2)
    # The scales of int16 are 256 times finer.
    ratio = min(ratio_of_scales(rng) * 256.0 ** (types[1].itemsize - types[0].itemsize), 2.0**29)
    return unary(rng, "QUANTIZE", types, (scale, scale / ratio), {})


def random_leaky_relu(rng, _activation):
    dtype, scale = random_type(rng), power_of_two(rng, -10, 2)
    alpha = 0.0 if rng.integers(8) == 0 else power_of_two(rng, -6, 1)
    scales = scale, scale / ratio_of_scales(rng)
    return unary(rng, "LEAKY_RELU", (dtype, dtype), scales, {"alpha": alpha})


def random_prelu(rng, _activation):
    """One slope a channel, mostly; or one, or any shape that broadcasts; zero points mostly 0."""
    dtype, scale, shape = random_type(rng), power_of_two(rng, -10, 2), random_shape(rng)
    form = rng.integers(4)
    slopes_shape = {0: (1,), 1: broadcast_pair(rng, shape)[0]}.get(int(form), shape[-1:])
    slopes_shape = shorten(rng, slopes_shape, True) or (1,)
    slopes = quantized(
        "alpha",
        slopes_shape,
        INT8,
        power_of_two(rng, -12, -4),
        0 if rng.integers(3) else zero_point(rng),
        random_values(rng, slopes_shape, INT8),
    )
    scales = scale, scale / ratio_of_scales(rng)
    return unary(rng, "PRELU", (dtype, dtype), scales, {}, None, [slopes], shape)


def random_logistic(rng, _activation, op="LOGISTIC"):
    dtype = random_type(rng)
    if dtype == INT8:
        scale, zeros = power_of_two(rng, -12, 6), (zero_point(rng), -128 if op == "LOGISTIC" else 0)
        output = 1 / 256 if op == "LOGISTIC" else 1 / 128
    else:
        scale, zeros, output = power_of_two(rng, -16, 1), (0, 0), 2.0**-15
        if rng.integers(2):
            scale = 2.0 ** int(rng.integers(-15, 0))
    return unary(rng, op, (dtype, dtype), (scale, output), {}, zeros)


def random_tanh(rng, activation):
    return random_logistic(rng, activation, "TANH")


ELEMENTWISE = {
    "ADD": random_add,
    "LEAKY_RELU": random_leaky_relu,
    "LOGISTIC": random_logistic,
    "MAXIMUM": random_maximum,
    "MINIMUM": random_minimum,
    "MUL": random_mul,
    "PRELU": random_prelu,
    "QUANTIZE": random_quantize,
    "RELU": random_relu,
    "RELU6": random_relu6,
    "SUB": random_sub,
    "TANH": random_tanh,
}
"""Generator of a network by operator: ``generate(rng, activation)``."""
