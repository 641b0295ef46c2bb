"""Legalisation of ONNX's GRU, whose integer definition is ours: `docs/numerics.md`.

Input int8, weights int8, state and output int16 in Q0.15.  Gates are z, r, h as in ONNX, the rows
of one tensor; their sums have one scale, a power of two that `sum_exponent` chooses.
"""

import numpy as np
from numpy.typing import NDArray

from mmsp.compiler.layers import Copy, Layer, View
from mmsp.compiler.legalize.operands import INT8, INT16, Operands
from mmsp.compiler.legalize.recurrence import Q0_15, Recurrence, variable
from mmsp.errors import InputError
from mmsp.graph import Tensor

__all__ = ["legalize_gru", "sum_exponent"]

W, R, B, STATE = 1, 2, 3, 4

GATES = 3
UPDATE, RESET, CANDIDATE = range(GATES)

SATURATED = 5.0
"""From here on sigmoid and tanh are within 2**-7 of their limits."""

FEWEST_INTEGER_BITS, MOST_INTEGER_BITS = 3, 7


class Matrix:
    """Weights of the three gates with their scales, one an output channel."""

    def __init__(self, operands: Operands, index: int, what: str, shape: tuple[int, int]):
        self.tensor = operands.required(index, what)
        self.data = operands.constant(index, what)
        quantization = self.tensor.quantization
        if self.tensor.dtype != INT8 or self.tensor.shape != shape or quantization is None:
            raise InputError(
                f"{what} {self.tensor.name!r} is {self.tensor.dtype} of shape {self.tensor.shape}, "
                f"and must be quantised int8 of shape {shape}"
            )
        if len(quantization.scale) not in (1, shape[0]) or any(quantization.zero_point):
            raise InputError(
                f"{what} {self.tensor.name!r} has {len(quantization.scale)} scales and zero "
                f"points {quantization.zero_point}: it must have 1 or {shape[0]} scales, and 0"
            )
        self.scale = np.broadcast_to(np.array(quantization.scale), shape[0])

    def gate(self, row: int) -> slice:
        """Channels of a gate."""
        size = len(self.scale) // GATES
        return slice(row * size, (row + 1) * size)

    @property
    def reach(self) -> float:
        """Largest sum of magnitudes of a channel's weights."""
        return float((np.abs(self.data.astype(np.float64)).sum(axis=1) * self.scale).max())


def legalize_gru(operands: Operands) -> list[Layer]:
    """GRU: all input products at once, then the loop, then a copy of the last state."""
    hidden = operands.attribute("hidden_size")
    source = operands.activation(0)
    steps, features = source.pixels[1:]
    if source.pixels[0] != 1:
        raise InputError(f"input {source.name!r} has shape {source.shape}, not (1, T, features)")
    states, last = operands.output_of(0), operands.output_of(1)
    if (states.pixels, last.pixels) != ((1, steps, hidden), (1, 1, hidden)):
        raise InputError(
            f"the outputs have shapes {states.shape} and {last.shape}, and must have {steps} "
            f"states of {hidden}, and one"
        )
    state = variable(operands, STATE, hidden, (INT16,))
    for tensor in (states, last, state):
        if operands.per_tensor(tensor) != (Q0_15, 0):
            raise InputError(f"tensor {tensor.name!r} has another scale than Q0.15")
    w = Matrix(operands, W, "W", (GATES * hidden, features))
    r = Matrix(operands, R, "R", (GATES * hidden, hidden))
    before = bool(operands.attribute("linear_before_reset"))
    input_bias, recurrent_bias = biases(operands, hidden, before=before)
    step = 2.0 ** sum_exponent(r.reach + float(np.abs(recurrent_bias).max()))

    first = Recurrence(operands)
    products = first.tensor("products", (GATES, steps, hidden), INT16)
    scale, zero_point = operands.per_tensor(source)
    for row in range(GATES):
        at = w.gate(row)
        target = first.view(f"input_{row}", View(tensor=products, row=row, width=steps))
        first.product(
            source.name, target, w.data[at], quantize(input_bias[at], scale * w.scale[at]),
            ratios=(scale * w.scale[at] / step).tolist(), zero_points=(zero_point, 0),
        )  # fmt: skip
    inputs = first.loop(1, products, (source.name,))

    body = Recurrence(operands)
    add_step(body, products, state, r, recurrent_bias, step, before=before)
    body.copy(state.name, body.view("now", View(tensor=states.name, step=1)))
    return [
        inputs,
        body.loop(steps, states.name, (products, state.name)),
        Copy(**body.node, input=state.name, output=last.name),
    ]


def sum_exponent(reach: float) -> int:
    """Binary logarithm of the scale of sums, whose recurrent part is at most ``reach``.

    An input's part may saturate: the sum is then so large, whatever the recurrent part, that the
    curves are at their ends.
    """
    bits = FEWEST_INTEGER_BITS
    while bits < MOST_INTEGER_BITS and 2.0**bits < reach + SATURATED:
        bits += 1
    return bits - 15


def biases(
    operands: Operands, hidden: int, *, before: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Real biases ``(3 H,)`` of the input's products and of the recurrent ones.

    Only what ``linear_before_reset`` multiplies by the reset gate stays with the recurrent ones.
    """
    if operands.optional(B) is None:
        return np.zeros(GATES * hidden), np.zeros(GATES * hidden)
    values = operands.constant(B, "B").astype(np.float64)
    if values.shape != (2 * GATES * hidden,):
        raise InputError(f"B has shape {values.shape}, and must have ({2 * GATES * hidden},)")
    both = values.reshape(2, GATES * hidden)
    recurrent = np.zeros(GATES * hidden)
    if before:
        recurrent[CANDIDATE * hidden :] = both[1, CANDIDATE * hidden :]
    return both.sum(axis=0) - recurrent, recurrent


def quantize(bias: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.int64]:
    """Biases in steps of ``scale``, rounded half to even."""
    codes = np.rint(bias / scale)
    if np.any(np.abs(codes) > np.iinfo(np.int32).max):
        raise InputError("B holds a bias beyond int32 in steps of input times weight")
    return codes.astype(np.int64)


def add_step(
    body: Recurrence, products: str, state: Tensor, r: Matrix, bias: NDArray[np.float64],
    step: float, *, before: bool,
) -> None:  # fmt: skip
    """Add one step: gates, candidate and the new state."""
    hidden = len(r.scale) // GATES
    exponent = round(np.log2(step))
    one = (1, 1, hidden)
    pair = {"height": CANDIDATE}
    # Rows of these: update, reset, and the candidate's product when it precedes the reset.
    recurrent = body.tensor("recurrent", (GATES, 1, hidden), INT16)
    rows = [body.view(f"recurrent_{row}", View(tensor=recurrent, row=row)) for row in range(GATES)]

    def recurrent_product(row: int, factor: str) -> None:
        at = r.gate(row)
        scale = Q0_15 * r.scale[at]
        body.product(
            factor, rows[row], r.data[at], quantize(bias[at], scale),
            ratios=(scale / step).tolist(), rounding="single",
        )  # fmt: skip

    for row in range(GATES if before else CANDIDATE):
        recurrent_product(row, state.name)
    sums = body.tensor("sums", (CANDIDATE, 1, hidden), INT16)
    gates = body.tensor("gates", (CANDIDATE, 1, hidden), INT16)
    body.combine(
        "sum", body.view("gate_inputs", View(tensor=products, **pair, step=1)),
        body.view("gate_products", View(tensor=recurrent, **pair)), sums,
    )  # fmt: skip
    body.curve("logistic", sums, gates, exponent=exponent)
    update = body.view("update", View(tensor=gates, row=UPDATE))
    reset = body.view("reset", View(tensor=gates, row=RESET))

    if before:
        gated = body.tensor("gated", one, INT16)
        body.multiply(reset, rows[CANDIDATE], gated, ratio=Q0_15)
    else:
        factor = body.tensor("factor", one, INT16)
        body.multiply(reset, state.name, factor, ratio=Q0_15)
        recurrent_product(CANDIDATE, factor)
        gated = rows[CANDIDATE]
    candidate_sum = body.tensor("candidate_sum", one, INT16)
    candidate = body.tensor("candidate", one, INT16)
    candidate_input = body.view("candidate_input", View(tensor=products, row=CANDIDATE, step=1))
    body.combine("sum", candidate_input, gated, candidate_sum)
    body.curve("tanh", candidate_sum, candidate, exponent=exponent)

    # state = candidate - update * candidate + update * state: no step leaves -1..1.
    kept, given = body.tensor("kept", one, INT16), body.tensor("given", one, INT16)
    rest = body.tensor("rest", one, INT16)
    body.multiply(update, state.name, kept, ratio=Q0_15)
    body.multiply(update, candidate, given, ratio=Q0_15)
    body.combine("difference", candidate, given, rest)
    body.combine("sum", rest, kept, state.name)
