"""Legalisation of LOGISTIC and TANH: a table for int8, interpolation for int16."""

import math
from typing import Literal

import numpy as np

from mmsp.compiler.layers import Curve, Layer, Table
from mmsp.compiler.legalize.activations import require_one_type, unary
from mmsp.compiler.legalize.elementwise import quantization_of
from mmsp.compiler.legalize.operands import INT8, Operands
from mmsp.compiler.legalize.quantization import input_radius, round_half_away
from mmsp.errors import InputError
from mmsp.graph import Tensor
from models.engine import logistic_table, tanh_table

__all__ = ["curve_scaling", "legalize_sigmoid"]

CURVES: dict[str, Literal["logistic", "tanh"]] = {"LOGISTIC": "logistic", "TANH": "tanh"}

INT8_OUTPUTS = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}
"""Scale and zero point that TFLite gives the int8 output."""

INT16_OUTPUT_SCALE_LOG2 = -15
INT16_DIRECT_LOG2 = {"logistic": (-12,), "tanh": (-12, -11)}
"""Input scales, as powers of two, that the int16 table takes with a multiplier of 3 or 6."""
INT16_TABLE_SCALE = 3 * 4096.0
"""Real 1 in the units in which the int16 table is looked up."""
LARGEST_TABLE_MULTIPLIER = (1 << 15) - 1
LARGEST_TABLE_SHIFT = 31
LOG2_TOLERANCE = 1e-3
"""``CheckedLog2``: what still counts as a power of two."""

INPUT_INTEGER_BITS = 4
"""int8 LOGISTIC and TANH work on Q4.27."""
LARGEST_SCALE_LOG2 = 30


def legalize_sigmoid(operands: Operands) -> list[Layer]:
    """LOGISTIC and TANH: a table for int8, interpolation for int16."""
    source, output = unary(operands)
    require_one_type(source, output)
    return (
        [int8_table(operands, source, output)]
        if source.dtype == INT8
        else [int16_curve(operands, source, output)]
    )


def int8_table(operands: Operands, source: Tensor, output: Tensor) -> Table:
    """``CalculateArithmeticOpDataLogistic`` and ``tanh.cc``, and all results at once."""
    op = operands.node.op
    if operands.per_tensor(output) != INT8_OUTPUTS[op]:
        raise InputError(
            f"the output has scale and zero point {operands.per_tensor(output)}, "
            f"and must have {INT8_OUTPUTS[op]}"
        )
    scale, zero_point = quantization_of(operands, source)
    real = scale * (1 << (31 - INPUT_INTEGER_BITS))
    fraction, shift = math.frexp(real)
    if not 0 <= shift <= 31 - INPUT_INTEGER_BITS + LARGEST_SCALE_LOG2:
        raise InputError(
            f"the input has scale {scale!r}, and it must be in "
            f"2**-{32 - INPUT_INTEGER_BITS}..2**{LARGEST_SCALE_LOG2}"
        )
    table = (logistic_table if op == "LOGISTIC" else tanh_table)(
        zero_point=zero_point,
        multiplier=round_half_away(fraction * (1 << 31)),
        shift=min(shift, 31),  # beyond, only the zero point itself is within the radius
        radius=input_radius(INPUT_INTEGER_BITS, shift),
    )
    return Table(name=operands.node.name, op=op, input=source.name, output=output.name, table=table)


def checked_log2(scale: float) -> int | None:
    """``CheckedLog2`` of TFLite's ``quantization_util.cc``: None if it is no power of two."""
    log2 = np.log(np.float32(scale)) * (np.float32(1) / np.log(np.float32(2)))
    rounded = round_half_away(float(log2))
    return rounded if abs(log2 - np.float32(rounded)) < LOG2_TOLERANCE else None


def int16_curve(operands: Operands, source: Tensor, output: Tensor) -> Curve:
    """LOGISTIC or TANH of int16, with an output of Q0.15."""
    op = operands.node.op
    out_scale, _ = quantization_of(operands, output)
    if checked_log2(out_scale) != INT16_OUTPUT_SCALE_LOG2:
        raise InputError(
            f"the int16 output has scale {out_scale!r}, and must have 2**{INT16_OUTPUT_SCALE_LOG2}"
        )
    scale, _ = quantization_of(operands, source)
    kind = CURVES[op]
    multiplier, shift = curve_scaling(kind, scale)
    return Curve(
        name=operands.node.name,
        op=op,
        input=source.name,
        output=output.name,
        kind=kind,
        multiplier=multiplier,
        shift=shift,
    )


def curve_scaling(kind: Literal["logistic", "tanh"], scale: float) -> tuple[int, int]:
    """Multiplier and shift from an int16 input to units of 1 / (3 * 4096), which look the table up.

    The int16 parts of ``CalculateArithmeticOpDataLogistic`` in ``logistic_common.cc`` and of
    ``CalculateArithmeticOpData`` in ``tanh.cc``.
    """
    log2, shift = checked_log2(scale), 0
    direct = INT16_DIRECT_LOG2[kind]
    if log2 in direct:
        multiplier = 3 << (log2 - direct[0])
    else:
        real = scale * INT16_TABLE_SCALE
        while real <= LARGEST_TABLE_MULTIPLIER / 2 and shift < LARGEST_TABLE_SHIFT:
            real, shift = real * 2, shift + 1
        multiplier = int(real)
    if multiplier > LARGEST_TABLE_MULTIPLIER:
        largest = LARGEST_TABLE_MULTIPLIER / INT16_TABLE_SCALE
        raise InputError(f"the input has scale {scale!r}, and it must be at most {largest:.4f}")
    if multiplier == 0:  # TFLM would take this for a power of two
        smallest = 2.0**-LARGEST_TABLE_SHIFT / INT16_TABLE_SCALE
        raise InputError(f"the input has scale {scale!r}, and it must be at least {smallest:.2e}")
    return multiplier, shift
