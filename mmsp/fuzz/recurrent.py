"""Draws operators with a state: LSTM, SVDF, and variables.

Every function takes a sketch and a tensor to read, and returns the output, or None when it has
nothing to do with such a tensor or would make it too large.
"""

import math

import numpy as np

from mmsp.fuzz.choices import (
    BATCHED_RANK,
    IMAGE_RANK,
    INT8,
    INT16,
    chance,
    float32,
    power_of_two,
    random_channels,
    random_quantization,
    random_zero_point,
)
from mmsp.fuzz.elementwise import join
from mmsp.fuzz.linear import targeted_scale
from mmsp.fuzz.movement import add_reshape_to
from mmsp.fuzz.sketch import Sketch, scale_of
from mmsp.graph import Quantization, Tensor

__all__ = ["add_delay_line", "add_lstm", "add_state", "add_svdf"]

GATES = ("input", "forget", "cell", "output")
MOST_STEPS = 12
MOST_FEATURES = 256
MOST_MEMORY = 12

LARGEST_BIAS_SCALE = 64
"""TFLM wants the bias of an SVDF to have the scale of the products within 1e-5: above, the nearest
float32 is further away."""

ACTIVATION_OF_SVDF = "RELU"
"""TFLM takes no other; its int8 kernel clamps to the whole range."""


def random_matrix(sketch: Sketch, stem: str, rows: int, depth: int, scale: float) -> Tensor:
    """Uniform int8 weights of one scale."""
    values = sketch.rng.integers(-128, 128, (rows, depth)).astype(np.int8)
    return sketch.add_constant(stem, values, [scale])


def sequence(sketch: Sketch, source: Tensor) -> Tensor | None:
    """``source`` as ``(1, steps, features)``."""
    steps, features = source.size // source.shape[-1], source.shape[-1]
    if steps > MOST_STEPS or features > MOST_FEATURES:
        return None
    if len(source.shape) == BATCHED_RANK:
        return source
    return add_reshape_to(sketch, source, (1, steps, features))


def add_lstm(sketch: Sketch, source: Tensor) -> Tensor | None:
    """UNIDIRECTIONAL_SEQUENCE_LSTM over the last dimension but one."""
    rng = sketch.rng
    units = random_channels(rng, sketch.config.rows, 4 * sketch.config.rows)
    depth = source.shape[-1] + units
    work = source.size // source.shape[-1] * 4 * units * depth
    if not sketch.fits((1, 8, units), weights=4 * units * depth, macs=work * 2):
        return None
    series = sequence(sketch, source)
    if series is None:
        return None
    if source.dtype == INT8:
        hidden_quantization = Quantization((power_of_two(rng, -8, -6),), (random_zero_point(rng),))
        if rng.integers(2):
            hidden_quantization = Quantization((1 / 128,), (0,))
    else:
        hidden_quantization = Quantization((power_of_two(rng, -16, -14),), (0,))
    cell_scale = 2.0 ** int(rng.integers(-13, -8))
    (zero,) = hidden_quantization.zero_point
    hidden = sketch.add_variable(np.full((1, units), zero, source.dtype), hidden_quantization)
    cell = sketch.add_variable(np.zeros((1, units), np.int16), Quantization((cell_scale,), (0,)))
    matrices = []
    for kind, read in (("w", series), ("r", hidden)):
        size = read.shape[-1]
        for gate in GATES:
            reach = 2.0 ** rng.uniform(-1, 2)
            scale = targeted_scale(sketch, read, 74 * math.sqrt(size), reach)
            matrices.append(random_matrix(sketch, f"{kind}_{gate}", units, size, scale))
    biases = []
    for gate, weights in zip(GATES, matrices[:4], strict=True):
        product = scale_of(series) * scale_of(weights)
        values = np.clip(rng.normal(0, 1, units) / product, -(2.0**30), 2.0**30)
        bias = values.astype(np.int32 if source.dtype == INT8 else np.int64)
        biases.append(sketch.add_constant(f"b_{gate}", bias, [product]))
    scratch = Tensor(sketch.unique("hidden_scale"), (0,), source.dtype, hidden_quantization)
    sketch.tensors[scratch.name] = scratch
    operands = [
        series, *matrices, None, None, None, *biases, None, None, hidden, cell, *(None,) * 4,
    ]  # fmt: skip
    attributes = {
        "activation": "TANH", "cell_clip": float(rng.choice([0.0, 1.0, 10.0])), "proj_clip": 0.0,
        "time_major": False, "asymmetric_quantize_inputs": False,
        "diagonal_recurrent_tensors": False, "intermediates": (scratch.name,) * 5,
    }  # fmt: skip
    shape = (*series.shape[:-1], units)
    return sketch.add_node(
        "UNIDIRECTIONAL_SEQUENCE_LSTM", operands, shape, attributes, hidden_quantization
    )


def add_svdf(sketch: Sketch, source: Tensor) -> Tensor | None:
    """SVDF of a row of features."""
    rng = sketch.rng
    if source.dtype != INT8 or source.size > MOST_FEATURES:
        return None
    rank, memory = int(rng.integers(1, 4)), int(rng.integers(1, MOST_MEMORY))
    units = random_channels(rng, sketch.config.rows, 3 * sketch.config.rows)
    filters, size = rank * units, source.size
    if not sketch.fits((1, filters * memory), weights=filters * size, dtype=INT16):
        return None
    row = source
    if source.shape != (1, size):
        row = add_reshape_to(sketch, source, (1, size))
    feature_scale = power_of_two(rng, -8, -2)
    features = random_matrix(sketch, "feature", filters, size, feature_scale)
    # Sums of features fill the state to a quarter or more.
    dtype = INT16 if rng.integers(2) else INT8
    limits = np.iinfo(dtype)
    typical = scale_of(row) * feature_scale * 74 * 74 * math.sqrt(size)
    state_scale = float32(4 * typical / limits.max * 2.0 ** rng.uniform(-1, 2))
    zero = int(rng.integers(-20, 21)) if dtype == INT8 and rng.integers(2) else 0
    state = sketch.add_variable(
        np.full((1, memory * filters), zero, dtype), Quantization((state_scale,), (zero,))
    )
    limit = int(np.exp2(rng.uniform(4, limits.bits - 1)))
    times = rng.integers(-limit, limit, (filters, memory)).astype(dtype)
    time_scale = power_of_two(rng, -14, -8)
    operands = [row, features, sketch.add_constant("time", times, [time_scale])]
    product = state_scale * time_scale
    if product >= LARGEST_BIAS_SCALE:
        return None
    # TFLM reads a bias, whether it is there or not.
    values = np.exp2(rng.uniform(0, 20, units)) * rng.choice([-1, 1], units)
    bias = sketch.add_constant("bias", values.astype(np.int32), [product])
    attributes = {
        "rank": rank, "activation": ACTIVATION_OF_SVDF, "asymmetric_quantize_inputs": False,
    }  # fmt: skip
    start = product * limits.max / 8 * limit / 2 * math.sqrt(rank * memory)
    return sketch.add_node(
        "SVDF", [*operands, bias, state], (1, units), attributes, dtype=INT8, start=start
    )


def new_variable(sketch: Sketch, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """A variable of the type of ``like``, with random initial values, or zeros in every fourth."""
    rng = sketch.rng
    values = sketch.random_values(shape, like.dtype)
    if chance(rng, 4):
        values = np.zeros(shape, like.dtype)
    return sketch.add_variable(values, random_quantization(rng, like.dtype))


def add_state(sketch: Sketch, source: Tensor) -> Tensor | None:
    """What a variable holds, joined with ``source``; the result, or the source, is kept in it."""
    rng = sketch.rng
    if not sketch.fits(source.shape, source.shape, dtype=source.dtype):
        return None
    variable = new_variable(sketch, source.shape, source)
    read = sketch.add_node("READ_VARIABLE", [variable], source.shape, {}, variable.quantization)
    result = join(sketch, str(rng.choice(["ADD", "SUB", "MUL"])), source, read)
    assert result is not None, "it is as large as the source"
    kept = result if rng.integers(4) else source
    sketch.add_outputs("ASSIGN_VARIABLE", [variable, kept], [], dtype=source.dtype)
    return result


def add_delay_line(sketch: Sketch, source: Tensor) -> Tensor | None:
    """The last rows of a streaming convolution: old ones and new ones, of which the last are kept.

    CONCATENATION of a variable and ``source``; STRIDED_SLICE of that is the variable's new value.
    """
    rng = sketch.rng
    if len(source.shape) < BATCHED_RANK:
        return None
    axis = int(rng.integers(1, len(source.shape) - 1)) if len(source.shape) == IMAGE_RANK else 1
    rows, kept = source.shape[axis], int(rng.integers(1, 5))

    def shape(size: int) -> tuple[int, ...]:
        return (*source.shape[:axis], size, *source.shape[axis + 1 :])

    if not sketch.fits(shape(rows + kept), shape(kept), dtype=source.dtype):
        return None
    variable = new_variable(sketch, shape(kept), source)
    old = sketch.add_node("READ_VARIABLE", [variable], shape(kept), {}, source.quantization)
    attributes = {"axis": axis, "activation": "NONE"}
    whole = sketch.add_node(
        "CONCATENATION", [old, source], shape(rows + kept), attributes, source.quantization
    )
    rank = len(source.shape)
    begins, ends = [0] * rank, list(whole.shape)
    begins[axis] = rows
    constants = [
        sketch.add_constant(name, np.array(values, np.int32))
        for name, values in (("begin", begins), ("end", ends), ("strides", [1] * rank))
    ]
    masks = {"begin_mask": 0, "end_mask": 0, "shrink_axis_mask": 0, "ellipsis_mask": 0}
    newest = sketch.add_node(
        "STRIDED_SLICE", [whole, *constants], shape(kept),
        masks | {"new_axis_mask": 0, "offset": False}, source.quantization,
    )  # fmt: skip
    sketch.add_outputs("ASSIGN_VARIABLE", [variable, newest], [], dtype=source.dtype)
    return whole
