"""Opens an ONNX file and checks what does not depend on single operators."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from mmsp.errors import InputError, first_line
from mmsp.importers.onnx_qdq.values import Constant, Pending, Shape, Stored, Value, Weight

__all__ = ["Operation", "check_size", "declared_shape", "open_model", "read_constant"]

OLDEST_OPSET, NEWEST_OPSET = 13, 25
"""13 brought scales per channel."""

LARGEST_TENSOR = 1 << 24

DOMAINS = ("", "ai.onnx")
HALF_BYTE = {TensorProto.INT4: 4, TensorProto.UINT4: 4, TensorProto.INT2: 2, TensorProto.UINT2: 2}
UNSIGNED = (TensorProto.UINT4, TensorProto.UINT2)
REQUIRED = object()


@dataclass
class Operation:
    """One node with its operands' values; attributes leave ``attributes`` as they are read."""

    name: str
    op: str
    opset: int
    operands: list[Value | None]
    outputs: list[str | None]
    attributes: dict[str, Any]
    operand_names: list[str] = field(default_factory=list)

    def take(self, name: str, default: Any = REQUIRED, kind: type | None = None) -> Any:
        """Value of an attribute, of type ``kind`` or that of ``default``, or ``default``."""
        if name not in self.attributes:
            if default is REQUIRED:
                raise InputError(f"attribute {name} is missing")
            return default
        value, kind = self.attributes.pop(name), kind or type(default)
        if not isinstance(value, kind):
            raise InputError(f"attribute {name} is {value!r}, and must be of type {kind.__name__}")
        return value

    def expect(self, name: str, value: Any, *others: Any) -> Any:
        """An attribute that must have ``value``, which is its default, or one of ``others``."""
        found = self.take(name, value)
        if found not in (value, *others):
            accepted = " or ".join(repr(each) for each in (value, *others))
            raise InputError(f"attribute {name} is {found!r}, and must be {accepted}")
        return found

    def operand(self, index: int) -> Value | None:
        """Input ``index``, or None when it is absent."""
        return self.operands[index] if index < len(self.operands) else None

    def required(self, index: int) -> Value:
        """Input ``index``, which must be there."""
        value = self.operand(index)
        if value is None:
            raise InputError(f"input {index} is missing")
        return value

    def movable(self, index: int) -> Stored | Pending:
        """Input ``index`` of a node that only moves elements: quantised, or about to be."""
        value, name = self.required(index), self.operand_names[index]
        if isinstance(value, Stored | Pending):
            return value
        if isinstance(value, Constant | Weight):
            raise InputError(f"input {index} ({name!r}) is constant, and must be computed")
        raise InputError(
            f"input {name!r} of the network is read before a QuantizeLinear has quantised it"
        )

    def activation(self, index: int) -> Stored:
        """Input ``index`` of a node that computes: behind DequantizeLinear."""
        value, name = self.movable(index), self.operand_names[index]
        if isinstance(value, Pending):
            raise InputError(
                f"input {index} ({name!r}) is the unquantised result of node {value.node!r}: "
                f"QuantizeLinear and DequantizeLinear are missing between them"
            )
        if value.integer:
            raise InputError(f"input {index} ({name!r}) is integer: a DequantizeLinear is missing")
        return value

    def constant(self, index: int, what: str) -> NDArray | None:
        """Input ``index``, or None when it is absent: a plain constant."""
        value = self.operand(index)
        if value is None:
            return None
        if not isinstance(value, Constant):
            raise InputError(f"input {index} ({what}) must be constant")
        return value.array

    def integers(self, index: int, what: str) -> list[int] | None:
        """Input ``index``, or None when it is absent: constant integers."""
        array = self.constant(index, what)
        if array is None:
            return None
        if array.dtype.kind not in "iu":
            raise InputError(f"input {index} ({what}) is {array.dtype}, and must be integers")
        return [int(each) for each in array.reshape(-1)]


def open_model(data: bytes, name: str) -> tuple[Any, int]:
    """Parse a file; return its graph and its operator set.

    Raises
    ------
    InputError
        When it is truncated or corrupt, or of an operator set that is not supported.
    """
    try:
        model: Any = onnx.load_from_string(data)
    except DecodeError as error:
        raise InputError(f"{name} is truncated or corrupt: {first_line(error)}") from None
    opsets = [entry.version for entry in model.opset_import if entry.domain in DOMAINS]
    if not model.graph.node or len(opsets) != 1:
        raise InputError(
            f"{name} is truncated, corrupt or no ONNX network: it has {len(model.graph.node)} "
            f"nodes and {len(opsets)} versions of the ONNX operator set"
        )
    if not OLDEST_OPSET <= opsets[0] <= NEWEST_OPSET:
        raise InputError(
            f"{name} uses version {opsets[0]} of the ONNX operator set, and {OLDEST_OPSET} to "
            f"{NEWEST_OPSET} are supported"
        )
    if model.graph.sparse_initializer:
        raise InputError(f"{name} has sparse constants, and only dense ones are read")
    return model.graph, opsets[0]


def read_constant(tensor: Any, name: str) -> Constant:
    """Values of a constant; those of fewer than 8 bits become int8 or uint8."""
    if tensor.data_location == TensorProto.EXTERNAL:
        raise InputError(f"constant {name!r} keeps its data in another file, and must hold them")
    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, MemoryError, OverflowError) as error:
        raise InputError(
            f"constant {name!r} is truncated or corrupt: {first_line(error)}"
        ) from None
    bits = HALF_BYTE.get(tensor.data_type, 0)
    if bits:
        array = array.astype(np.uint8 if tensor.data_type in UNSIGNED else np.int8)
    elif array.dtype.kind not in "iufb":
        kind = TensorProto.DataType.Name(tensor.data_type)
        raise InputError(f"constant {name!r} has type {kind}, which is not supported")
    return Constant(array, bits)


def declared_shape(info: Any) -> Shape:
    """Shape of an input or output of the network; an open first dimension, the batch, is 1."""
    kind = info.type.tensor_type
    if not kind.HasField("shape"):
        raise InputError(f"{info.name!r} has no shape, and every dimension needs a size")
    sizes = []
    for index, dimension in enumerate(kind.shape.dim):
        size = dimension.dim_value if dimension.HasField("dim_value") else 0
        if size < 1:
            if index:
                raise InputError(
                    f"{info.name!r} has dimension {index} of size "
                    f"{dimension.dim_param or size!r}: every dimension but the first needs one"
                )
            size = 1
        sizes.append(size)
    return check_size(tuple(sizes))


def check_size(shape: Shape) -> Shape:
    """Refuse a shape that no chip could ever hold, before anybody allocates memory for it."""
    if math.prod(shape) > LARGEST_TENSOR:
        raise InputError(f"shape {shape} has more than {LARGEST_TENSOR:,} elements")
    return shape
