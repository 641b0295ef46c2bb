"""Draws operators that work on every element for itself.

Every function takes a sketch and a tensor to read, and returns the output, or None when it has
nothing to do with such a tensor or would make it too large.
"""

import numpy as np

from mmsp.fuzz.choices import (
    BATCHED_RANK,
    INT8,
    INT16,
    chance,
    float32,
    power_of_two,
    random_activation,
    random_zero_point,
    smaller_shape,
)
from mmsp.fuzz.sketch import Sketch, scale_of
from mmsp.graph import Quantization, Tensor

__all__ = [
    "add_binary",
    "add_clamp",
    "add_curve",
    "add_leaky_relu",
    "add_prelu",
    "add_quantize",
    "add_relu",
    "join",
]

INT8_CURVES = {
    "LOGISTIC": Quantization((1 / 256,), (-128,)),
    "TANH": Quantization((1 / 128,), (0,)),
}
INT16_CURVE = Quantization((2.0**-15,), (0,))

LARGEST_CURVE_SCALE = 2.6
"""TFLM's multiplier of an int16 argument has 15 bits."""


def join(sketch: Sketch, op: str, first: Tensor, second: Tensor) -> Tensor | None:
    """ADD, SUB, MUL, MAXIMUM or MINIMUM in either order of the operands."""
    rng = sketch.rng
    shape = np.broadcast_shapes(first.shape, second.shape)
    if len(shape) == BATCHED_RANK and shape[0] != 1:
        shape = (1, *shape)
    if not sketch.fits(shape, dtype=first.dtype):
        return None
    operands = [first, second] if rng.integers(2) else [second, first]
    if op in ("MAXIMUM", "MINIMUM"):
        return sketch.add_node(op, operands, shape, {}, first.quantization, dtype=first.dtype)
    attributes = {"activation": random_activation(rng)}
    start = None
    if op == "MUL":
        limit = float(np.iinfo(first.dtype).max)
        start = scale_of(first) * scale_of(second) * limit / 4
    return sketch.add_node(op, operands, shape, attributes, dtype=first.dtype, start=start)


def compatible(first: Tensor, second: Tensor, *, alike: bool) -> bool:
    """Whether two tensors can be the operands of one operator."""
    if first.dtype != second.dtype or (alike and first.quantization != second.quantization):
        return False
    try:
        shape = np.broadcast_shapes(first.shape, second.shape)
    except ValueError:
        return False
    return len(shape) < BATCHED_RANK or shape[0] == 1 or len(shape) == BATCHED_RANK


def other_quantization(sketch: Sketch, source: Tensor) -> Quantization:
    """Of a second operand whose values are of a similar size."""
    rng = sketch.rng
    scale = float32(scale_of(source) * 2.0 ** rng.uniform(-4, 4))
    return Quantization((scale,), (random_zero_point(rng) if source.dtype == INT8 else 0,))


def add_binary(op: str, sketch: Sketch, source: Tensor) -> Tensor | None:
    """An operator on ``source`` and another tensor, a new input, a constant or itself.

    Shapes may differ where they broadcast.
    """
    rng = sketch.rng
    alike = op in ("MAXIMUM", "MINIMUM")
    others = [t for t in sketch.open if t is not source and compatible(source, t, alike=alike)]
    kind = int(rng.integers(8))
    if others and kind < 4:  # noqa: PLR2004  (half of the cases)
        same = [t for t in others if t.shape == source.shape]
        others = same if same and rng.integers(2) else others
        other = others[int(rng.integers(len(others)))]
    elif kind == 7:  # noqa: PLR2004  (an eighth)
        other = source
    else:
        constant = bool(rng.integers(2))
        shape = source.shape
        if rng.integers(2):
            shape = smaller_shape(rng, shape, constant=constant)
        quantization = source.quantization if alike else other_quantization(sketch, source)
        assert quantization is not None, "every activation is quantised"
        if constant:
            if chance(rng, 4):
                shape = ()
            (zero,) = quantization.zero_point
            values = sketch.random_values(shape, source.dtype)
            other = sketch.add_constant("constant", values, quantization.scale, zero_point=zero)
        else:
            other = sketch.add_input(shape, quantization, source.dtype)
    return join(sketch, op, source, other)


def add_relu(sketch: Sketch, source: Tensor) -> Tensor | None:
    """RELU, with another scale or with the same."""
    same = source.quantization if sketch.rng.integers(2) else None
    return sketch.add_node("RELU", [source], source.shape, {}, same)


def add_clamp(op: str, sketch: Sketch, source: Tensor) -> Tensor | None:
    """RELU6: the scale stays."""
    return sketch.add_node(op, [source], source.shape, {}, source.quantization)


def add_leaky_relu(sketch: Sketch, source: Tensor) -> Tensor | None:
    """LEAKY_RELU with a slope below or above 1."""
    rng = sketch.rng
    alpha = 0.0 if chance(rng, 8) else power_of_two(rng, -6, 1)
    return sketch.add_node("LEAKY_RELU", [source], source.shape, {"alpha": alpha})


def add_prelu(sketch: Sketch, source: Tensor) -> Tensor | None:
    """PRELU: a slope a channel, mostly; or one, or any shape that broadcasts."""
    rng = sketch.rng
    form, shape = int(rng.integers(4)), source.shape[-1:]
    if form == 0:
        shape = (1,)
    elif form == 1:
        shape = smaller_shape(rng, source.shape, constant=True) or (1,)
    zero = 0 if rng.integers(3) else random_zero_point(rng)
    slopes = sketch.random_values(shape, INT8)
    alpha = sketch.add_constant("alpha", slopes, [power_of_two(rng, -12, -5)], zero_point=zero)
    return sketch.add_node("PRELU", [source, alpha], source.shape, {}, dtype=source.dtype)


def add_curve(op: str, sketch: Sketch, source: Tensor) -> Tensor | None:
    """LOGISTIC or TANH, whose outputs have a scale of their own."""
    if source.dtype == INT16:
        if scale_of(source) > LARGEST_CURVE_SCALE:
            return None
        return sketch.add_node(op, [source], source.shape, {}, INT16_CURVE)
    return sketch.add_node(op, [source], source.shape, {}, INT8_CURVES[op])


def add_quantize(sketch: Sketch, source: Tensor) -> Tensor | None:
    """QUANTIZE to another scale, of the same type or of the other one."""
    dtype = INT16 if sketch.rng.integers(2) else INT8
    if not sketch.fits(source.shape, dtype=dtype):
        return None
    return sketch.add_node("QUANTIZE", [source], source.shape, {}, dtype=dtype)
