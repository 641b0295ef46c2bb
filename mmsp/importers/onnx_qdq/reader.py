"""Walks the nodes of an ONNX network and gives each to the function that translates it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from mmsp.errors import InputError, first_line
from mmsp.graph import Graph
from mmsp.importers.onnx_qdq import elementwise, linear, movement, quantize, recurrent, window
from mmsp.importers.onnx_qdq.builder import GraphBuilder
from mmsp.importers.onnx_qdq.edges import Edges
from mmsp.importers.onnx_qdq.file import (
    DOMAINS,
    Operation,
    declared_shape,
    open_model,
    read_constant,
)
from mmsp.importers.onnx_qdq.folding import FOLDED, fold
from mmsp.importers.onnx_qdq.resize import resize
from mmsp.importers.onnx_qdq.values import Constant, Stored, Value
from mmsp.importers.tflite import unique_name

__all__ = ["OnnxImport", "import_onnx", "read_onnx"]

Translator = Callable[[Operation, GraphBuilder], Value | list[Value]]

TRANSLATORS: dict[str, Translator] = {
    "Add": elementwise.two_operands,
    "AveragePool": window.average_pool,
    "Clip": elementwise.clip,
    "Concat": movement.concatenate,
    "Conv": linear.convolution,
    "ConvTranspose": linear.transposed_convolution,
    "Dropout": movement.identity,
    "Flatten": movement.reshape,
    "GRU": recurrent.gru,
    "Gemm": linear.gemm,
    "GlobalAveragePool": window.global_pool,
    "Identity": movement.identity,
    "LeakyRelu": elementwise.leaky_relu,
    "MatMul": linear.matmul,
    "MaxPool": window.max_pool,
    "Mul": elementwise.two_operands,
    "PRelu": elementwise.prelu,
    "Pad": movement.pad,
    "ReduceMean": window.global_pool,
    "Relu": elementwise.relu,
    "Reshape": movement.reshape,
    "Resize": resize,
    "Sigmoid": elementwise.curve,
    "Slice": movement.slice_,
    "Softmax": elementwise.softmax,
    "Split": movement.split,
    "Squeeze": movement.reshape,
    "Sub": elementwise.two_operands,
    "Tanh": elementwise.curve,
    "Transpose": movement.transpose,
    "Unsqueeze": movement.reshape,
}
QUANTIZERS = {"QuantizeLinear": quantize.quantize, "DequantizeLinear": quantize.dequantize}


@dataclass(frozen=True)
class OnnxImport:
    """A graph, and where its tensors come from: ``origins`` maps a tensor to an ONNX value.

    That value holds the tensor's integers, once `to_stored` has brought them into its order.
    """

    graph: Graph
    origins: dict[str, tuple[str, Stored]]

    def to_stored(self, tensor: str, values: NDArray) -> NDArray:
        """Integers of an ONNX value as the graph's tensor holds them."""
        _, stored = self.origins[tensor]
        if values.dtype == np.uint8:
            values = (values ^ np.uint8(0x80)).view(np.int8)
        return values.reshape(stored.base).transpose(stored.layout)


def read_onnx(data: bytes, name: str) -> Graph:
    """Read an ONNX network of int8 in QDQ form as a graph with TFLite's operators.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        What error messages call the file; also the name of the graph.

    Raises
    ------
    InputError
        When the file is foreign, truncated or corrupt, or its network cannot be expressed.
    """
    return import_onnx(data, name).graph


def import_onnx(data: bytes, name: str) -> OnnxImport:
    """As `read_onnx`, with the origins of the graph's tensors."""
    model, opset = open_model(data, name)
    try:
        return OnnxReader(model, opset, name).read()
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except (ArithmeticError, LookupError, TypeError, ValueError, MemoryError) as error:
        # What a corrupt file can still make NumPy say.
        raise InputError(f"{name} is truncated or corrupt: {first_line(error)}") from None


class OnnxReader:
    """The values of one network by name."""

    def __init__(self, model: Any, opset: int, name: str):
        self.model = model
        self.opset = opset
        self.name = name
        self.edges = Edges(GraphBuilder())
        self.values: dict[str, Value] = {}
        self.origins: dict[str, tuple[str, Stored]] = {}
        self.taken: set[str] = set()

    def read(self) -> OnnxImport:
        """Read everything."""
        for tensor in self.model.initializer:
            self.values[tensor.name] = read_constant(tensor, tensor.name)
        for info in self.model.input:
            if info.name not in self.values:
                self.values[info.name] = self.edges.declare_input(
                    info.name, declared_shape(info), element_type(info)
                )
        for index, node in enumerate(self.model.node):
            self.read_node(index, node)
        for info in self.model.output:
            if info.name not in self.values:
                raise InputError(f"output {info.name!r} is written by no node")
            self.edges.add_output(info.name, self.values[info.name], element_type(info))
        if missing := [name for name in self.edges.declared if not self.is_read(name)]:
            raise InputError(f"input {missing[0]!r} is not used, and every input must be")
        graph = self.edges.graph(self.name)
        return OnnxImport(graph, {k: v for k, v in self.origins.items() if k in graph.tensors})

    def is_read(self, name: str) -> bool:
        """Whether an input of the file has become one of the graph."""
        return any(outside.name == name for outside, _ in self.edges.quantized)

    def read_node(self, index: int, node: Any) -> None:
        """Translate one node."""
        name = unique_name(node.name or f"{node.op_type.lower()}_{index}", self.taken)
        if node.domain not in DOMAINS:
            raise InputError(
                f"node {name!r} uses operator {node.op_type} of domain {node.domain!r}, and only "
                f"ONNX's own operators are supported"
            )
        for operand in node.input:
            if operand and operand not in self.values:
                raise InputError(f"node {name!r} reads {operand!r} before a node writes it")
        try:
            op = Operation(
                name=name,
                op=node.op_type,
                opset=self.opset,
                operands=[self.values[operand] if operand else None for operand in node.input],
                outputs=[output or None for output in node.output],
                attributes={a.name: read_attribute(a) for a in node.attribute},
                operand_names=list(node.input),
            )
            results = self.translate(op, node)
        except InputError as error:
            raise InputError(f"node {name!r} ({node.op_type}): {error}") from None
        if op.attributes:
            raise InputError(
                f"node {name!r} ({node.op_type}): attribute {next(iter(op.attributes))} is unknown"
            )
        for output, value in zip(op.outputs, results, strict=False):
            if output is None:
                continue
            if output in self.values:
                raise InputError(f"node {name!r} writes {output!r} a second time")
            self.values[output] = value
            if isinstance(value, Stored) and value.integer:
                self.origins.setdefault(value.tensor, (output, value))

    def translate(self, op: Operation, node: Any) -> Sequence[Value]:
        """Values of the outputs of a node."""
        if op.op == "Constant":
            return [constant_node(node, op)]
        if op.op == "Shape" and op.operands and op.operands[0] is not None:
            shape = np.array(movement.shape_of(op.operands[0]), np.int64)
            return [Constant(shape[op.take("start", 0) : op.take("end", None, int)])]
        if op.op in FOLDED and all(isinstance(v, Constant) for v in op.operands if v is not None):
            return fold(op, node)
        if op.op in QUANTIZERS:
            return [QUANTIZERS[op.op](op, self.edges)]
        if op.op not in TRANSLATORS:
            reason = UNSUPPORTED.get(op.op, "the engine cannot run it")
            raise InputError(
                f"{reason}; supported are {', '.join(sorted([*TRANSLATORS, *QUANTIZERS]))}"
            )
        results = TRANSLATORS[op.op](op, self.edges.builder)
        return results if isinstance(results, list) else [results]


UNSUPPORTED = {
    "BatchNormalization": "it must be folded into the convolution before it",
    "LSTM": "the engine runs LSTM from .tflite files only",
}


def element_type(info: Any) -> np.dtype:
    """Type of an input or output of the network."""
    kind = info.type.tensor_type.elem_type
    try:
        return np.dtype(helper.tensor_dtype_to_np_dtype(kind))
    except (KeyError, TypeError):
        raise InputError(f"{info.name!r} has type {kind}, which is unknown") from None


def read_attribute(attribute: Any) -> Any:
    """Value of an attribute: numbers, text, or lists of them; others as they are."""
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if attribute.type in (onnx.AttributeProto.INTS, onnx.AttributeProto.FLOATS):
        return list(value)
    if attribute.type == onnx.AttributeProto.STRINGS:
        return [text.decode(errors="replace") for text in value]
    return value


def constant_node(node: Any, op: Operation) -> Constant:
    """Value of a Constant node."""
    ((name, value),) = op.attributes.items()
    op.attributes.clear()
    if isinstance(value, TensorProto):
        return read_constant(value, node.output[0])
    kinds = {"value_float": np.float32, "value_floats": np.float32}
    kinds |= {"value_int": np.int64, "value_ints": np.int64}
    if name not in kinds:
        raise InputError(f"attribute {name} is not supported, and must be value or a number")
    return Constant(np.array(value, kinds[name]))
