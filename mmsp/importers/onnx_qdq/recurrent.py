"""Translates the GRU operator."""

import numpy as np
from numpy.typing import NDArray

from mmsp.errors import InputError
from mmsp.graph import Quantization
from mmsp.importers.onnx_qdq.builder import GraphBuilder
from mmsp.importers.onnx_qdq.file import Operation
from mmsp.importers.onnx_qdq.values import Constant, Stored, Value, Weight

__all__ = ["STATE", "gru"]

INT16 = np.dtype(np.int16)
STATE = Quantization((2.0**-15,), (0,))
"""Q0.15: a GRU's state lies within -1..1."""

GATES = 3
ACTIVATIONS = ["Sigmoid", "Tanh"]
CHANNEL_AXIS = 1
"""Of ONNX's weights ``(directions, gates * hidden, inputs)``."""


def gru(op: Operation, b: GraphBuilder) -> list[Value]:
    """GRU of one direction and batch 1: node GRU, whose state is a variable.

    Its inputs are x ``(1, T, I)`` int8, w ``(3 H, I)`` and r ``(3 H, H)`` int8 with gates z, r, h,
    the bias ``(6 H,)`` float32 or None, and the state ``(1, H)`` int16; its outputs are all states
    ``(1, T, H)`` and the last one ``(1, H)``, int16 in Q0.15.
    """
    source = op.activation(0)
    hidden, before = read_attributes(op)
    if len(source.shape) != 3 or source.shape[1] != 1:  # noqa: PLR2004  (T, batch, I)
        raise InputError(f"input has shape {source.shape}, and must have (T, 1, I): batch 1")
    steps, _, features = source.shape
    lengths = op.integers(4, "sequence_lens")
    if lengths is not None and lengths != [steps]:
        raise InputError(f"sequence_lens is {lengths}, and must be absent or [{steps}]")
    w = gate_weights(op, b, 1, (1, GATES * hidden, features))
    r = gate_weights(op, b, 2, (1, GATES * hidden, hidden))
    bias = real_constant(op, 3, "B", (1, 2 * GATES * hidden))
    initial = real_constant(op, 5, "initial_h", (1, 1, hidden))
    limits = np.iinfo(INT16)
    codes = np.zeros((1, hidden)) if initial is None else np.rint(initial[0] * 2.0**15)
    state = b.tensor(f"{op.name}:state", (1, hidden), STATE, INT16)
    b.variables[state] = np.clip(codes, limits.min, limits.max).astype(INT16)
    names = [*op.outputs, None, None][:2]
    y = b.tensor(names[0] or f"{op.name}:y", (1, steps, hidden), STATE, INT16)
    last = b.tensor(names[1] or f"{op.name}:y_h", (1, hidden), STATE, INT16)
    b.node(
        "GRU",
        op.name,
        (
            b.arrange(source, (1, 0, 2)),
            w,
            r,
            None if bias is None else b.constant(f"{op.name}:bias", bias[0].astype(np.float32)),
            state,
        ),
        (y, last),
        hidden_size=hidden,
        linear_before_reset=before,
    )
    b.notes.append(
        f"node {op.name!r} (GRU) keeps its state from one inference to the next; in ONNX each "
        f"begins with initial_h, as it does after a reset"
    )
    # The dimension of directions, and the order of time and batch, are views only.
    every, end = (1, steps, hidden), (1, hidden)
    return [
        Stored(y, every, (0, 1, 2), (steps, 1, 1, hidden)),
        Stored(last, end, (0, 1), (1, 1, hidden)),
    ]


def read_attributes(op: Operation) -> tuple[int, int]:
    """Hidden size and linear_before_reset; the other attributes have one value only."""
    hidden = op.take("hidden_size", kind=int)
    op.expect("direction", "forward")
    op.expect("layout", 0)
    op.expect("activations", ACTIVATIONS)
    for name in ("activation_alpha", "activation_beta", "clip"):
        if name in op.attributes:
            raise InputError(f"attribute {name} is {op.attributes[name]!r}, and must be absent")
    return hidden, op.expect("linear_before_reset", 0, 1)


def gate_weights(op: Operation, b: GraphBuilder, index: int, shape: tuple[int, ...]) -> str:
    """Add weights as ``(3 H, inputs)``."""
    weight, what = op.operand(index), "WR"[index - 1]
    if not isinstance(weight, Weight) or weight.data.dtype != np.int8:
        raise InputError(f"input {index} ({what}) must be int8 behind DequantizeLinear")
    if weight.data.shape != shape:
        raise InputError(f"{what} has shape {weight.data.shape}, and must have {shape}")
    if weight.zero_point.any():
        raise InputError(f"{what} has zero point {weight.zero_point.max()}, and it must be 0")
    if weight.scale.size > 1 and weight.axis != CHANNEL_AXIS:
        raise InputError(f"{what} has scales along axis {weight.axis}, and must along axis 1")
    scale = tuple(weight.scale.astype(np.float64).tolist())
    return b.constant(
        f"{op.name}:{what.lower()}",
        weight.data[0],
        Quantization(scale, (0,) * len(scale)),
        weight.bits or None,
    )


def real_constant(
    op: Operation, index: int, what: str, shape: tuple[int, ...]
) -> NDArray[np.float64] | None:
    """Input ``index`` as real values, or None when it is absent."""
    value = op.operand(index)
    if value is None:
        return None
    if not isinstance(value, Constant | Weight):
        raise InputError(f"input {index} ({what}) must be constant")
    real = value.real if isinstance(value, Weight) else value.array.astype(np.float64)
    if real.shape != shape or not np.isfinite(real).all():
        raise InputError(f"{what} has shape {real.shape}, and must have {shape} and be finite")
    return real
