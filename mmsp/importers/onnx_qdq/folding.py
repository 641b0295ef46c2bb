"""Computes what depends on constants only, such as the shapes that exporters compute."""

from typing import Any

import numpy as np
from onnx import helper
from onnx.reference import ReferenceEvaluator

from mmsp.errors import InputError, first_line
from mmsp.importers.onnx_qdq.file import Operation
from mmsp.importers.onnx_qdq.values import Constant

__all__ = ["FOLDED", "fold"]

FOLDED = frozenset(
    ("Add", "Cast", "Concat", "ConstantOfShape", "Div", "Flatten", "Gather", "Identity", "Mul",
     "Neg", "Range", "Reshape", "Slice", "Squeeze", "Sub", "Transpose", "Unsqueeze")
)  # fmt: skip
"""Operators that are computed when all of their operands are constant."""


def fold(op: Operation, node: Any) -> list[Constant]:
    """Results of one node whose operands are constant."""
    names = [name for name in node.input if name]
    graph = helper.make_graph(
        [node],
        "constants",
        [helper.make_value_info(name, helper.make_tensor_type_proto(0, None)) for name in names],
        [
            helper.make_value_info(name, helper.make_tensor_type_proto(0, None))
            for name in node.output
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", op.opset)])
    operands = {
        name: value.array
        for name, value in zip(op.operand_names, op.operands, strict=True)
        if isinstance(value, Constant)
    }
    try:
        results = ReferenceEvaluator(model).run(None, operands)
    except Exception as error:  # the evaluator raises whatever NumPy does
        raise InputError(f"its constant result cannot be computed: {first_line(error)}") from None
    op.attributes.clear()
    return [Constant(np.asarray(result)) for result in results]
