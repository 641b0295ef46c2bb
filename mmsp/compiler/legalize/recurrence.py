"""Builds loops: the layers of a body, the tensors between them, and views of rows and columns."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mmsp.compiler.layers import (
    Conv,
    Copy,
    Curve,
    Layer,
    Loop,
    Multiply,
    Padding,
    Plain,
    Requantization,
    Table,
    View,
)
from mmsp.compiler.legalize.operands import INT8, Operands
from mmsp.compiler.legalize.quantization import quantize_multiplier
from mmsp.errors import InputError
from mmsp.graph import Tensor

__all__ = [
    "Q0_15",
    "Q3_12",
    "Recurrence",
    "matrix",
    "product_ratio",
    "type_range",
    "variable",
]

Q3_12, Q0_15 = 2.0**-12, 2.0**-15
"""Scales of what enters the curves, and of what leaves them."""

Rounding = Literal["double", "single"]
Pixels = tuple[int, int, int]

NO_PADDING: Padding = ((0, 0), (0, 0))
UNIT = (1, 1)
MATRIX_RANK = 2


def type_range(dtype: np.dtype) -> tuple[int, int]:
    """Smallest and largest value of an integer type."""
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)


def variable(operands: Operands, index: int, size: int, dtypes: tuple[np.dtype, ...]) -> Tensor:
    """Input ``index``: a variable of ``size`` elements, of one of ``dtypes``."""
    tensor = operands.required(index, "a state")
    if tensor.name not in operands.graph.variables:
        raise InputError(f"state {tensor.name!r} is not a variable")
    if tensor.dtype not in dtypes or tensor.size != size:
        types = " or ".join(str(dtype) for dtype in dtypes)
        raise InputError(
            f"state {tensor.name!r} is {tensor.dtype} of shape {tensor.shape}, and must be {types} "
            f"with {size} elements"
        )
    return tensor


@dataclass
class Recurrence:
    """A loop in the making; every method that adds a layer takes the names of its operands."""

    operands: Operands
    layers: list[Layer] = field(default_factory=list)
    views: dict[str, View] = field(default_factory=dict)
    layouts: dict[str, Pixels] = field(default_factory=dict)

    @property
    def node(self) -> dict[str, Any]:
        """Name and operator of every layer."""
        return {"name": self.operands.node.name, "op": self.operands.node.op}

    def tensor(self, suffix: str, pixels: Pixels, dtype: np.dtype) -> str:
        """Name of a new tensor ``(H, W, C)`` between the layers."""
        return self.operands.intermediate(suffix, (1, *pixels), dtype).name

    def dtype(self, name: str) -> np.dtype:
        """Type of a tensor's elements."""
        return self.operands.graph.tensors[name].dtype

    def view(self, suffix: str, view: View) -> str:
        """Name of a part of a tensor."""
        whole = self.operands.graph.tensors[view.tensor]
        channels = self.layouts.get(view.tensor, whole.pixels)[2]
        name = self.tensor(suffix, (view.height, view.width, channels), whole.dtype)
        self.views[name] = view
        return name

    def product(
        self, source: str, output: str, weights: NDArray, bias: NDArray | None, *,
        ratios: list[float], zero_points: tuple[int, int] = (0, 0), rounding: Rounding = "double",
        depthwise: bool = False,
    ) -> None:  # fmt: skip
        """Add a convolution, 1x1 for ``weights`` of two dimensions.

        ``ratios``: real scales of the sums, in steps of the output, one or one a channel;
        ``zero_points``: of input and output.
        """
        count = len(weights)
        kernel = weights.reshape(count, 1, 1, -1) if weights.ndim == MATRIX_RANK else weights
        wide = np.dtype("int64" if rounding == "single" else "int32")
        pairs = [quantize_multiplier(ratio) for ratio in ratios]
        minimum, maximum = type_range(self.dtype(output))
        self.layers.append(
            Conv(
                **self.node, input=source, output=output, weights=kernel,
                bias=(np.zeros(count) if bias is None else bias).astype(wide),
                stride=UNIT, dilation=UNIT, padding=NO_PADDING, depthwise=depthwise,
                input_zero_point=zero_points[0],
                requantization=Requantization(
                    multiplier=np.array([multiplier for multiplier, _ in pairs], np.int32),
                    shift=np.array([shift for _, shift in pairs], np.int32),
                    zero_point=zero_points[1], minimum=minimum, maximum=maximum, rounding=rounding,
                ),
            )
        )  # fmt: skip

    def multiply(
        self, first: str, second: str, output: str, *, ratio: float, zero_point: int = 0
    ) -> None:
        """Add a product of elements; ``ratio`` is its scale in steps of the output."""
        multiplier, shift = quantize_multiplier(ratio)
        minimum, maximum = type_range(self.dtype(output))
        self.layers.append(
            Multiply(
                **self.node, operands=(first, second), output=output, input_zero_points=(0, 0),
                requantization=Requantization(
                    multiplier=np.array([multiplier], np.int32), shift=np.array([shift], np.int32),
                    zero_point=zero_point, minimum=minimum, maximum=maximum,
                ),
            )
        )  # fmt: skip

    def combine(
        self, kind: Literal["sum", "difference"], first: str, second: str, output: str, *,
        limit: int | None = None,
    ) -> None:  # fmt: skip
        """Add a sum or difference, saturated to ``-limit .. limit`` or to the output's type."""
        bounds = type_range(self.dtype(output)) if limit is None else (-limit, limit)
        self.layers.append(
            Plain(**self.node, operands=(first, second), output=output, kind=kind, range=bounds)
        )

    def curve(
        self, kind: Literal["logistic", "tanh"], source: str, output: str, *, exponent: int = -12
    ) -> None:
        """Add a curve of a tensor with scale ``2**exponent``."""
        # Three quarters of a step of the table are 2**-12; TFLM's ``Tanh`` of lstm_eval.cc.
        left = exponent + 12
        multiplier, shift = (3 << left, 0) if left >= 0 else (3, -left)
        self.layers.append(
            Curve(
                **self.node, input=source, output=output, kind=kind, multiplier=multiplier,
                shift=shift,
            )
        )  # fmt: skip

    def table(self, source: str, output: str, table: NDArray[np.int8]) -> None:
        """Add a function of int8 by its table."""
        self.layers.append(Table(**self.node, input=source, output=output, table=table))

    def copy(self, source: str, output: str) -> None:
        """Add a copy."""
        self.layers.append(Copy(**self.node, input=source, output=output))

    def loop(self, count: int, output: str, outside: tuple[str, ...]) -> Loop:
        """Make the loop, of which ``outside`` are the tensors that it reads or changes."""
        return Loop(
            **self.node, output=output, count=count, body=tuple(self.layers), views=self.views,
            layouts=self.layouts, reads=outside,
        )  # fmt: skip


def product_ratio(operands: Operands, source: Tensor, weights: Tensor, step: float) -> float:
    """Scale of products of an activation and a weight, in steps of ``step``; in double."""
    return operands.per_tensor(source)[0] * operands.per_tensor(weights)[0] / step


def matrix(operands: Operands, index: int, what: str, shape: tuple[int, int]) -> Tensor:
    """Input ``index``: constant int8 weights of ``shape`` with one scale and zero point 0."""
    tensor = operands.required(index, what)
    operands.constant(index, what)
    if tensor.dtype != INT8 or tensor.shape != shape:
        raise InputError(
            f"{what} {tensor.name!r} are {tensor.dtype} of shape {tensor.shape}, and must be int8 "
            f"of shape {shape}"
        )
    _, zero_point = operands.per_tensor(tensor)
    if zero_point:
        raise InputError(f"{what} {tensor.name!r} have zero point {zero_point}, and it must be 0")
    return tensor
