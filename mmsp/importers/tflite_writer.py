"""Writes a graph as a .tflite file: the inverse of `mmsp.importers.tflite.read_tflite`.

What this writes, TensorFlow Lite Micro runs; it serves to have single operators and generated
networks judged.  Padding is written as VALID or SAME, so only paddings that these two give fit.
"""

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import tflite

from mmsp.errors import InputError
from mmsp.graph import Graph, Node, Quantization, Tensor
from mmsp.importers.host_conversion import restore_host_conversions
from mmsp.importers.operator_options import OPTIONS, same_padding
from mmsp.importers.option_fields import write_int32_vector
from mmsp.importers.tflite import ABSENT, PADDED_OUTPUT, WEIGHTS_INPUT
from mmsp.importers.tflite_tensors import DTYPES, PACKED_BITS, RESOURCE, pack_data
from mmsp.importers.tflite_variables import Subgraph, lower_variables

__all__ = ["write_tflite"]

SCHEMA_VERSION = 3
LARGEST_DEPRECATED_CODE = 127
"""Operator codes above this leave this value in the older, 8-bit member."""

DATA_ALIGNMENT = 16
"""Of constant data: TFLM uses it in place."""

TYPE_CODES = {dtype: code for code, dtype in DTYPES.items()} | {
    RESOURCE: tflite.TensorType.RESOURCE
}
PACKED_TYPE_CODES = {bits: code for code, bits in PACKED_BITS.items()}


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
        self.subgraphs = lower_variables(graph)
        self.constants = [
            tensor
            for subgraph in self.subgraphs
            for tensor in subgraph.tensors.values()
            if tensor.data is not None and tensor.data.size
        ]
        # Buffer 0 is empty by convention: tensors without data refer to it.
        self.buffer_numbers = {id(tensor): 1 + index for index, tensor in enumerate(self.constants)}
        nodes = [node for subgraph in self.subgraphs for node in subgraph.nodes]
        self.ops = list(dict.fromkeys(node.op for node in nodes))

    def write(self) -> bytes:
        """Write the model."""
        builder = self.builder
        contents = [None, *map(pack_data, self.constants)]
        buffers = self.offsets([self.buffer(content) for content in contents])
        codes = self.offsets([self.operator_code(op) for op in self.ops])
        subgraphs = self.offsets([self.subgraph(subgraph) for subgraph in self.subgraphs])
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

    def buffer(self, payload: bytes | None) -> int:
        """Write a buffer that holds ``payload``."""
        vector = None
        if payload is not None:
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

    def subgraph(self, subgraph: Subgraph) -> int:
        """Write tensors and operators."""
        builder = self.builder
        indices = {name: index for index, name in enumerate(subgraph.tensors)}
        tensors = self.offsets(
            [
                self.tensor(tensor, state=name in subgraph.states)
                for name, tensor in subgraph.tensors.items()
            ]
        )
        operators = self.offsets(
            [self.operator(node, subgraph.tensors, indices) for node in subgraph.nodes]
        )
        inputs = self.tensor_indices(subgraph.inputs, indices)
        outputs = self.tensor_indices(subgraph.outputs, indices)
        name = builder.CreateString(subgraph.name)
        tflite.SubGraphStart(builder)
        tflite.SubGraphAddTensors(builder, tensors)
        tflite.SubGraphAddInputs(builder, inputs)
        tflite.SubGraphAddOutputs(builder, outputs)
        tflite.SubGraphAddOperators(builder, operators)
        tflite.SubGraphAddName(builder, name)
        return tflite.SubGraphEnd(builder)

    def tensor_indices(self, names: Sequence[str | None], indices: dict[str, int]) -> int:
        """Write the indices of tensors; an absent one is -1."""
        return write_int32_vector(
            self.builder, [ABSENT if name is None else indices[name] for name in names]
        )

    def tensor(self, tensor: Tensor, *, state: bool) -> int:
        """Write one tensor."""
        builder = self.builder
        name = builder.CreateString(tensor.name)
        shape = write_int32_vector(builder, tensor.shape)
        quantization = self.quantization(tensor.quantization)
        tflite.TensorStart(builder)
        tflite.TensorAddShape(builder, shape)
        tflite.TensorAddType(builder, type_code(tensor))
        if id(tensor) in self.buffer_numbers:
            tflite.TensorAddBuffer(builder, self.buffer_numbers[id(tensor)])
        tflite.TensorAddName(builder, name)
        if quantization is not None:
            tflite.TensorAddQuantization(builder, quantization)
        if state:
            tflite.TensorAddIsVariable(builder, True)
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

    def operator(self, node: Node, tensors: dict[str, Tensor], indices: dict[str, int]) -> int:
        """Write one operator with its options."""
        builder, options = self.builder, OPTIONS[node.op]
        attributes = dict(node.attributes)
        if set(attributes) != options.attributes:
            raise InputError(
                f"node {node.name!r} ({node.op}) has attributes {sorted(attributes)}, "
                f"and must have {sorted(options.attributes)}"
            )
        inputs = self.tensor_indices(node.inputs, indices)
        outputs = self.tensor_indices(node.outputs, indices)
        intermediates = None
        if options.intermediates:
            intermediates = self.tensor_indices(attributes["intermediates"], indices)
        if "padding" in attributes:
            attributes["padding"] = padding_scheme(node, tensors)
        try:
            table = options.write(builder, attributes)
        except InputError as error:
            raise InputError(f"node {node.name!r} ({node.op}): {error}") from None
        tflite.OperatorStart(builder)
        tflite.OperatorAddOpcodeIndex(builder, self.ops.index(node.op))
        tflite.OperatorAddInputs(builder, inputs)
        tflite.OperatorAddOutputs(builder, outputs)
        tflite.OperatorAddBuiltinOptionsType(builder, options.type_code)
        if table is not None:
            tflite.OperatorAddBuiltinOptions(builder, table)
        if intermediates is not None:
            tflite.OperatorAddIntermediates(builder, intermediates)
        return tflite.OperatorEnd(builder)


def type_code(tensor: Tensor) -> int:
    """Code of a tensor's type."""
    if tensor.bits is not None:
        if tensor.data is None:
            raise InputError(
                f"tensor {tensor.name!r} has {tensor.bits} bits, which only constants may have"
            )
        return PACKED_TYPE_CODES[tensor.bits]
    if tensor.dtype not in TYPE_CODES:
        raise InputError(f"tensor {tensor.name!r} has type {tensor.dtype}, which has no code")
    return TYPE_CODES[tensor.dtype]


def padding_scheme(node: Node, tensors: dict[str, Tensor]) -> str:
    """Name of the scheme that gives the node's padding."""
    padding: Any = node.attributes["padding"]
    if padding == ((0, 0), (0, 0)):
        return "VALID"
    padded = node.outputs[0] if node.op in PADDED_OUTPUT else node.inputs[0]
    image = tensors[padded or ""]
    kernel = node.attributes.get("kernel")
    if kernel is None:
        kernel = tensors[node.inputs[WEIGHTS_INPUT] or ""].shape[1:3]
    dilation = node.attributes.get("dilation", (1, 1))
    size = image.shape[1], image.shape[2]
    same = same_padding(size, (kernel[0], kernel[1]), node.attributes["stride"], dilation)
    if padding != same:
        raise InputError(
            f"node {node.name!r} ({node.op}) has padding {padding}, and a .tflite file can "
            f"hold only none or {same}"
        )
    return "SAME"
