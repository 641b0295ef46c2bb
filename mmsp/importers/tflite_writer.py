"""Writes a graph as a .tflite file: the inverse of `mmsp.importers.tflite.read_tflite`.

What this writes, TensorFlow Lite Micro runs; it serves to have single operators and generated
networks judged.  Padding is written as VALID or SAME, so only paddings that these two give fit.
"""

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import tflite
from numpy.typing import NDArray

from mmsp.errors import InputError
from mmsp.graph import Graph, Node, Quantization, Tensor
from mmsp.importers.host_conversion import restore_host_conversions
from mmsp.importers.operator_options import OPTIONS, same_padding
from mmsp.importers.option_fields import write_int32_vector
from mmsp.importers.tflite import ABSENT, DTYPES, PADDED_OUTPUT, WEIGHTS_INPUT

__all__ = ["write_tflite"]

SCHEMA_VERSION = 3
LARGEST_DEPRECATED_CODE = 127
"""Operator codes above this leave this value in the older, 8-bit member."""

DATA_ALIGNMENT = 16
"""Of constant data: TFLM uses it in place."""

TYPE_CODES = {dtype: code for code, dtype in DTYPES.items()}


def write_tflite(graph: Graph) -> bytes:
    """Return ``graph`` as a .tflite file; reading it back gives an equal graph.

    Node names are not stored: reading derives them from the operator and its position.

    Raises
    ------
    InputError
        When an operator or an attribute has no representation in the file.
    """
    return TfliteWriter(restore_host_conversions(graph)).write()


class TfliteWriter:
    """Builds one flatbuffer; children are written before the tables that refer to them."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.builder = flatbuffers.Builder(1024)
        self.indices = {name: index for index, name in enumerate(graph.tensors)}
        self.constants = [t for t in graph.tensors.values() if t.data is not None and t.data.size]
        self.ops = list(dict.fromkeys(node.op for node in graph.nodes))

    def write(self) -> bytes:
        """Write the model."""
        builder = self.builder
        # Buffer 0 is empty by convention: tensors without data refer to it.
        buffers = self.offsets([self.buffer(None), *(self.buffer(t.data) for t in self.constants)])
        codes = self.offsets([self.operator_code(op) for op in self.ops])
        subgraphs = self.offsets([self.subgraph()])
        description = builder.CreateString(self.graph.name)
        tflite.ModelStart(builder)
        tflite.ModelAddVersion(builder, SCHEMA_VERSION)
        tflite.ModelAddOperatorCodes(builder, codes)
        tflite.ModelAddSubgraphs(builder, subgraphs)
        tflite.ModelAddDescription(builder, description)
        tflite.ModelAddBuffers(builder, buffers)
        builder.Finish(tflite.ModelEnd(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    def offsets(self, children: Sequence[int]) -> int:
        """Write a vector of offsets."""
        self.builder.StartVector(4, len(children), 4)
        for child in reversed(children):
            self.builder.PrependUOffsetTRelative(child)
        return self.builder.EndVector()

    def buffer(self, data: NDArray | None) -> int:
        """Write a buffer that holds ``data``."""
        vector = None
        if data is not None:
            payload = np.ascontiguousarray(data, data.dtype.newbyteorder("<")).tobytes()
            self.builder.Prep(DATA_ALIGNMENT, len(payload))
            vector = self.builder.CreateByteVector(payload)
        tflite.BufferStart(self.builder)
        if vector is not None:
            tflite.BufferAddData(self.builder, vector)
        return tflite.BufferEnd(self.builder)

    def operator_code(self, op: str) -> int:
        """Write the code of a builtin operator."""
        if op not in OPTIONS:
            raise InputError(
                f"operator {op} of {self.graph.name} cannot be written: it must be one of "
                f"{', '.join(sorted(OPTIONS))}"
            )
        code = getattr(tflite.BuiltinOperator, op)
        tflite.OperatorCodeStart(self.builder)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(
            self.builder, min(code, LARGEST_DEPRECATED_CODE)
        )
        tflite.OperatorCodeAddVersion(self.builder, 1)
        tflite.OperatorCodeAddBuiltinCode(self.builder, code)
        return tflite.OperatorCodeEnd(self.builder)

    def subgraph(self) -> int:
        """Write tensors and operators."""
        builder, graph = self.builder, self.graph
        tensors = self.offsets([self.tensor(tensor) for tensor in graph.tensors.values()])
        operators = self.offsets([self.operator(node) for node in graph.nodes])
        inputs = self.tensor_indices(graph.inputs)
        outputs = self.tensor_indices(graph.outputs)
        tflite.SubGraphStart(builder)
        tflite.SubGraphAddTensors(builder, tensors)
        tflite.SubGraphAddInputs(builder, inputs)
        tflite.SubGraphAddOutputs(builder, outputs)
        tflite.SubGraphAddOperators(builder, operators)
        return tflite.SubGraphEnd(builder)

    def tensor_indices(self, names: Sequence[str | None]) -> int:
        """Write the indices of tensors; an absent one is -1."""
        return write_int32_vector(
            self.builder, [ABSENT if name is None else self.indices[name] for name in names]
        )

    def tensor(self, tensor: Tensor) -> int:
        """Write one tensor."""
        builder = self.builder
        buffers = [constant.name for constant in self.constants]
        name = builder.CreateString(tensor.name)
        shape = write_int32_vector(builder, tensor.shape)
        quantization = self.quantization(tensor.quantization)
        if tensor.dtype not in TYPE_CODES:
            raise InputError(f"tensor {tensor.name!r} has type {tensor.dtype}, which has no code")
        tflite.TensorStart(builder)
        tflite.TensorAddShape(builder, shape)
        tflite.TensorAddType(builder, TYPE_CODES[tensor.dtype])
        if tensor.name in buffers:
            tflite.TensorAddBuffer(builder, 1 + buffers.index(tensor.name))
        tflite.TensorAddName(builder, name)
        if quantization is not None:
            tflite.TensorAddQuantization(builder, quantization)
        return tflite.TensorEnd(builder)

    def quantization(self, quantization: Quantization | None) -> int | None:
        """Write scales as float32 and zero points as int64."""
        if quantization is None:
            return None
        builder = self.builder
        scale = builder.CreateNumpyVector(np.array(quantization.scale, np.float32))
        zero_point = builder.CreateNumpyVector(np.array(quantization.zero_point, np.int64))
        tflite.QuantizationParametersStart(builder)
        tflite.QuantizationParametersAddScale(builder, scale)
        tflite.QuantizationParametersAddZeroPoint(builder, zero_point)
        tflite.QuantizationParametersAddQuantizedDimension(builder, quantization.axis)
        return tflite.QuantizationParametersEnd(builder)

    def operator(self, node: Node) -> int:
        """Write one operator with its options."""
        builder, options = self.builder, OPTIONS[node.op]
        inputs = self.tensor_indices(node.inputs)
        outputs = self.tensor_indices(node.outputs)
        attributes = dict(node.attributes)
        wanted = {field.attribute for field in options.fields}
        if set(attributes) != wanted:
            raise InputError(
                f"node {node.name!r} ({node.op}) has attributes {sorted(attributes)}, "
                f"and must have {sorted(wanted)}"
            )
        if "padding" in attributes:
            attributes["padding"] = self.padding_scheme(node)
        table = options.write(builder, attributes)
        tflite.OperatorStart(builder)
        tflite.OperatorAddOpcodeIndex(builder, self.ops.index(node.op))
        tflite.OperatorAddInputs(builder, inputs)
        tflite.OperatorAddOutputs(builder, outputs)
        tflite.OperatorAddBuiltinOptionsType(builder, options.type_code)
        if table is not None:
            tflite.OperatorAddBuiltinOptions(builder, table)
        return tflite.OperatorEnd(builder)

    def padding_scheme(self, node: Node) -> str:
        """Name of the scheme that gives the node's padding."""
        padding: Any = node.attributes["padding"]
        if padding == ((0, 0), (0, 0)):
            return "VALID"
        padded = node.outputs[0] if node.op in PADDED_OUTPUT else node.inputs[0]
        image = self.graph.tensors[padded or ""]
        kernel = node.attributes.get("kernel")
        if kernel is None:
            kernel = self.graph.tensors[node.inputs[WEIGHTS_INPUT] or ""].shape[1:3]
        dilation = node.attributes.get("dilation", (1, 1))
        size = image.shape[1], image.shape[2]
        same = same_padding(size, (kernel[0], kernel[1]), node.attributes["stride"], dilation)
        if padding != same:
            raise InputError(
                f"node {node.name!r} ({node.op}) has padding {padding}, and a .tflite file can "
                f"hold only none or {same}"
            )
        return "SAME"
