"""Legalisation of SVDF: convolutions that write into, and one that reads, a state in memory.

As TFLM's ``svdf_common.cc``.  The state is stored as pixels ``(rank, memory, units)``, oldest
column first, where the file has ``(units, rank, memory)``: features become its last column, and the
time stage is a depthwise convolution as large as it.
"""

import numpy as np
from numpy.typing import NDArray

from mmsp.compiler.layers import Layer, View
from mmsp.compiler.legalize.operands import INT8, INT16, Operands
from mmsp.compiler.legalize.recurrence import Recurrence, matrix, product_ratio, variable
from mmsp.errors import InputError
from mmsp.graph import Tensor

__all__ = ["legalize_svdf"]

FEATURE, TIME, BIAS, STATE = 1, 2, 3, 4


def legalize_svdf(operands: Operands) -> list[Layer]:
    """SVDF; as in TFLM, int8 outputs know no fused activation."""
    source, output = operands.activation(0), operands.output()
    rank, filters = operands.attribute("rank"), feature_count(operands)
    units, rest = divmod(filters, rank)
    if rest:
        raise InputError(f"{filters} filters are not a multiple of rank {rank}")
    if source.pixels[:2] != (1, 1) or output.pixels != (1, 1, units):
        raise InputError(
            f"input {source.shape} and output {output.shape} must be rows of features and of "
            f"{units} units"
        )
    feature = matrix(operands, FEATURE, "feature weights", (filters, source.pixels[2]))
    time, weights = time_weights(operands, filters)
    memory = weights.shape[1]
    state = variable(operands, STATE, filters * memory, (time.dtype,))
    check_reset(operands, state)
    _, source_zero = operands.per_tensor(source)
    state_scale, state_zero = operands.per_tensor(state)
    output_scale, output_zero = operands.per_tensor(output)

    body = Recurrence(operands)
    body.layouts[state.name] = (rank, memory, units)
    if memory > 1:
        older = View(tensor=state.name, height=rank, width=memory - 1)
        newer = View(tensor=state.name, height=rank, width=memory - 1, column=1)
        body.copy(body.view("newer", newer), body.view("older", older))
    assert feature.data is not None  # `matrix` has seen it
    # As the pinned ``PrepareSvdf``: products and quotients in double.
    ratio = product_ratio(operands, source, feature, state_scale)
    for row in range(rank):
        newest = body.view(f"newest_{row}", View(tensor=state.name, row=row, column=memory - 1))
        clamped = body.tensor("clamped", (1, 1, units), INT8) if state_zero else newest
        body.product(
            source.name, clamped, feature.data[row::rank], None,
            ratios=[ratio], zero_points=(source_zero, 0),
        )  # fmt: skip
        if state_zero:
            body.table(clamped, newest, wrapping_sum(state_zero))
    by_unit = weights.reshape(units, rank, memory, 1)
    body.product(
        state.name, output.name, np.ascontiguousarray(by_unit), operands.bias(units, BIAS),
        ratios=[product_ratio(operands, state, time, output_scale)],
        zero_points=(state_zero, output_zero), depthwise=True,
    )  # fmt: skip
    return [body.loop(1, output.name, (source.name, state.name))]


def wrapping_sum(zero_point: int) -> NDArray[np.int8]:
    """Table of ``x + zero_point`` modulo 256: TFLM adds the state's zero point after the clamp."""
    return np.arange(256).astype(np.uint8).view(np.int8) + np.int8(zero_point)


def feature_count(operands: Operands) -> int:
    """Rows of the feature weights."""
    tensor = operands.required(FEATURE, "feature weights")
    return tensor.shape[0] if tensor.shape else 0


def time_weights(operands: Operands, filters: int) -> tuple[Tensor, NDArray]:
    """Time weights, ``(filters, memory)``, int8 or int16."""
    tensor, data = operands.required(TIME, "time weights"), operands.constant(TIME, "time weights")
    if tensor.dtype not in (INT8, INT16) or tensor.shape != (filters, data.size // filters):
        raise InputError(
            f"time weights {tensor.name!r} are {tensor.dtype} of shape {tensor.shape}, and must be "
            f"int8 or int16 with {filters} rows"
        )
    _, zero_point = operands.per_tensor(tensor)
    if zero_point:
        raise InputError(
            f"time weights {tensor.name!r} have zero point {zero_point}, and it must be 0"
        )
    return tensor, data


def check_reset(operands: Operands, state: Tensor) -> None:
    """Require a state that begins as one value, whose order therefore does not matter."""
    values = np.unique(operands.graph.variables[state.name])
    if values.size != 1:
        raise InputError(f"state {state.name!r} must begin as one value everywhere")
