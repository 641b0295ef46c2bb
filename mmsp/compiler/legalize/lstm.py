"""Legalisation of UNIDIRECTIONAL_SEQUENCE_LSTM: convolutions and element-wise layers in a loop.

As TFLM's ``lstm_eval.cc`` and ``lstm_eval_common.cc``: no peepholes, projection or layer
normalisation.  The four gates are rows of one tensor, in the order of `GATES`, so that one layer
works on several of them; their sums are Q3.12, and what the curves make of them Q0.15.
"""

import math
from typing import Literal, NamedTuple

import numpy as np

from mmsp.compiler.layers import Layer, View
from mmsp.compiler.legalize.operands import INT8, INT16, Operands
from mmsp.compiler.legalize.recurrence import (
    Q0_15,
    Q3_12,
    Recurrence,
    matrix,
    product_ratio,
    type_range,
    variable,
)
from mmsp.errors import InputError
from mmsp.graph import Tensor

__all__ = ["legalize_lstm"]

Rounding = Literal["double", "single"]

GATES = ("input", "forget", "output", "cell")
"""Rows: those with a logistic curve first."""

INPUT, FORGET, OUTPUT, CELL = range(4)

WEIGHTS = {"input": (1, 5, 12), "forget": (2, 6, 13), "output": (4, 8, 15), "cell": (3, 7, 14)}
"""Positions of a gate's input weights, recurrent weights and bias among the operands."""

OUTPUT_STATE, CELL_STATE = 18, 19

UNSUPPORTED = {
    "peephole weights": (9, 10, 11),
    "a projection": (16, 17),
    "layer normalisation": (20, 21, 22, 23),
}

SEQUENCE_RANK = 3
LOG2_TOLERANCE = 1e-3
"""``CheckedLog2``."""

SMALLEST_EXPONENT, LARGEST_EXPONENT = -27, 0


class Sizes(NamedTuple):
    """Time steps, features and units."""

    steps: int
    inputs: int
    units: int


def legalize_lstm(operands: Operands) -> list[Layer]:
    """UNIDIRECTIONAL_SEQUENCE_LSTM: all input products at once, then the loop."""
    for what, indices in UNSUPPORTED.items():
        present = [operands.optional(index) for index in indices]
        for tensor in present:
            if tensor is not None:
                raise InputError(f"input {tensor.name!r} asks for {what}, which is not supported")
    source = operands.stored(0, sequence=True)
    output = operands.output(source, sequence=True)
    sizes = sequence_sizes(operands, source, output)
    state = variable(operands, OUTPUT_STATE, sizes.units, (source.dtype,))
    cell = variable(operands, CELL_STATE, sizes.units, (INT16,))
    if operands.per_tensor(state) != operands.per_tensor(output):
        raise InputError(
            f"scale and zero point of state {state.name!r}, {operands.per_tensor(state)}, differ "
            f"from those of the output, {operands.per_tensor(output)}"
        )
    rounding: Rounding = "double" if source.dtype == INT8 else "single"

    first = Recurrence(operands)
    products = first.tensor("products", (len(GATES), sizes.steps, sizes.units), INT16)
    add_products(first, source, products, sizes, part="input", rounding=rounding)
    inputs = first.loop(1, products, (source.name,))

    body = Recurrence(operands)
    add_gates(body, products, state, sizes, rounding)
    add_state(body, state, cell, sizes)
    now = body.view("now", View(tensor=output.name, step=1))
    body.copy(state.name, now)
    return [inputs, body.loop(sizes.steps, output.name, (products, state.name, cell.name))]


def sequence_sizes(operands: Operands, source: Tensor, output: Tensor) -> Sizes:
    """Sizes of a sequence whose batch is 1."""
    if len(source.shape) != SEQUENCE_RANK:
        raise InputError(f"input {source.name!r} has shape {source.shape}, not 3 dimensions")
    time_axis = 0 if operands.attribute("time_major") else 1
    steps, inputs = source.shape[time_axis], source.shape[2]
    if source.shape[1 - time_axis] != 1:
        raise InputError(
            f"input {source.name!r} has shape {source.shape}, and its batch, dimension "
            f"{1 - time_axis}, must be 1"
        )
    units = output.shape[-1]
    if output.shape != (*source.shape[:2], units):
        raise InputError(
            f"the output has shape {output.shape}, and must have {source.shape[:2]} and the units"
        )
    return Sizes(steps, inputs, units)


def add_products(
    target: Recurrence, source: Tensor, products: str, sizes: Sizes, *,
    part: Literal["input", "recurrent"], rounding: Rounding,
) -> None:  # fmt: skip
    """Add the products of one kind of weights, a row a gate; the input's have the bias."""
    operands = target.operands
    zero_point = operands.per_tensor(source)[1]
    depth, width = (sizes.inputs, sizes.steps) if part == "input" else (sizes.units, 1)
    bias_dtype = np.dtype(np.int32 if rounding == "double" else np.int64)
    for row, gate in enumerate(GATES):
        index = WEIGHTS[gate][0 if part == "input" else 1]
        weights = matrix(
            operands, index, f"{part} weights of the {gate} gate", (sizes.units, depth)
        )
        assert weights.data is not None  # `matrix` has seen it
        bias = None
        if part == "input":
            bias = operands.bias(sizes.units, WEIGHTS[gate][2], dtypes=(bias_dtype,))
        target.product(
            source.name,
            target.view(f"{part}_{gate}", View(tensor=products, row=row, width=width)),
            weights.data, bias,
            ratios=[product_ratio(operands, source, weights, Q3_12)],
            zero_points=(zero_point, 0), rounding=rounding,
        )  # fmt: skip


def add_gates(
    body: Recurrence, products: str, state: Tensor, sizes: Sizes, rounding: Rounding
) -> None:
    """Add the sums of both kinds of products, and the curves: tensor ``gates``, Q0.15."""
    pixels = (len(GATES), 1, sizes.units)
    recurrent = body.tensor("recurrent", pixels, INT16)
    sums, gates = body.tensor("sums", pixels, INT16), body.tensor("gates", pixels, INT16)
    add_products(body, state, recurrent, sizes, part="recurrent", rounding=rounding)
    current = body.view("current", View(tensor=products, height=len(GATES), step=1))
    body.combine("sum", current, recurrent, sums)
    if body.operands.activation_name != "TANH":
        raise InputError(f"activation is {body.operands.activation_name}, and must be TANH")
    logistic = {"height": CELL}
    body.curve(
        "logistic",
        body.view("logistic_sums", View(tensor=sums, **logistic)),
        body.view("logistic_gates", View(tensor=gates, **logistic)),
    )
    body.curve(
        "tanh",
        body.view("cell_sum", View(tensor=sums, row=CELL)),
        body.view("cell_gate", View(tensor=gates, row=CELL)),
    )


def add_state(body: Recurrence, state: Tensor, cell: Tensor, sizes: Sizes) -> None:
    """Add the update of the cell and of the output's state."""
    operands, pixels = body.operands, (1, 1, sizes.units)
    gates = body.tensor("gates", (len(GATES), 1, sizes.units), INT16)
    row = [body.view(f"{gate}_gate", View(tensor=gates, row=i)) for i, gate in enumerate(GATES)]
    scale, exponent = cell_scale(operands, cell)
    kept, fresh = body.tensor("kept", pixels, INT16), body.tensor("fresh", pixels, INT16)
    body.multiply(row[FORGET], cell.name, kept, ratio=Q0_15 * scale / scale)
    body.multiply(row[INPUT], row[CELL], fresh, ratio=Q0_15 * Q0_15 / scale)
    body.combine("sum", kept, fresh, cell.name, limit=cell_limit(operands, scale))
    squashed = body.tensor("squashed", pixels, INT16)
    body.curve("tanh", cell.name, squashed, exponent=exponent)
    output_scale, zero_point = operands.per_tensor(state)
    body.multiply(
        squashed, row[OUTPUT], state.name, ratio=Q0_15 * Q0_15 / output_scale,
        zero_point=zero_point,
    )  # fmt: skip


def cell_scale(operands: Operands, cell: Tensor) -> tuple[float, int]:
    """Scale of the cell, and its binary logarithm."""
    scale, _ = operands.per_tensor(cell)
    exponent = round(math.log2(scale))
    if abs(math.log2(scale) - exponent) >= LOG2_TOLERANCE:
        raise InputError(f"state {cell.name!r} has scale {scale!r}, and it must be a power of two")
    if exponent not in range(SMALLEST_EXPONENT, LARGEST_EXPONENT + 1):
        raise InputError(
            f"state {cell.name!r} has scale {scale!r}, and it must be in "
            f"2**{SMALLEST_EXPONENT}..2**{LARGEST_EXPONENT}"
        )
    return scale, exponent


def cell_limit(operands: Operands, scale: float) -> int | None:
    """Magnitude to which the cell is clipped, as ``CreateLstmCellStateInfo`` truncates it."""
    clip = float(operands.attribute("cell_clip"))
    if clip < 0:
        raise InputError(f"cell_clip is {clip!r}, and must not be negative")
    if clip == 0:
        return None
    return int(min(float(np.float32(clip)) / scale, type_range(INT16)[1]))
