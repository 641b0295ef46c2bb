"""Files of TFLM's signal operators, so that single stages of a front end can be judged."""

from dataclasses import dataclass, field

import flatbuffers
import numpy as np
import tflite
from flatbuffers import flexbuffers

from mmsp.tflm import MicroInterpreter

TYPES = {
    np.dtype(np.int16): tflite.TensorType.INT16,
    np.dtype(np.int32): tflite.TensorType.INT32,
    np.dtype(np.uint32): tflite.TensorType.UINT32,
    np.dtype(np.uint64): tflite.TensorType.UINT64,
}
CUSTOM = tflite.BuiltinOperator.CUSTOM


@dataclass
class SignalNetwork:
    """Operators in a row; tensors are numbered as they are added."""

    tensors: list[tuple[tuple[int, ...], np.dtype, bytes]] = field(default_factory=list)
    operators: list[tuple[str, dict, list[int], list[int]]] = field(default_factory=list)

    def variable(self, shape, dtype) -> int:
        """Add a tensor that is written at run time."""
        self.tensors.append((tuple(shape), np.dtype(dtype), b""))
        return len(self.tensors) - 1

    def constant(self, values) -> int:
        self.tensors.append((values.shape, values.dtype, values.tobytes()))
        return len(self.tensors) - 1

    def operator(self, name, options, inputs, outputs) -> None:
        self.operators.append((name, options, inputs, outputs))

    def interpreter(self, inputs, outputs) -> MicroInterpreter:
        """The operators on TFLM, between tensors ``inputs`` and ``outputs``."""
        return MicroInterpreter(self.write(inputs, outputs))

    def write(self, inputs, outputs) -> bytes:
        builder = flatbuffers.Builder(1024)
        contents = [b"", *(data for _, _, data in self.tensors)]  # buffer 0 is empty
        buffers = offsets(builder, [buffer(builder, content) for content in contents])
        names = list(dict.fromkeys(name for name, *_ in self.operators))
        codes = offsets(builder, [operator_code(builder, name) for name in names])
        tensors = offsets(builder, [tensor(builder, at, t) for at, t in enumerate(self.tensors)])
        nodes = [node(builder, names.index(name), *rest) for name, *rest in self.operators]
        operators = offsets(builder, nodes)
        ends = indices(builder, inputs), indices(builder, outputs)
        tflite.SubGraphStart(builder)
        tflite.SubGraphAddTensors(builder, tensors)
        tflite.SubGraphAddInputs(builder, ends[0])
        tflite.SubGraphAddOutputs(builder, ends[1])
        tflite.SubGraphAddOperators(builder, operators)
        subgraphs = offsets(builder, [tflite.SubGraphEnd(builder)])
        tflite.ModelStart(builder)
        tflite.ModelAddVersion(builder, 3)
        tflite.ModelAddOperatorCodes(builder, codes)
        tflite.ModelAddSubgraphs(builder, subgraphs)
        tflite.ModelAddBuffers(builder, buffers)
        builder.Finish(tflite.ModelEnd(builder), b"TFL3")
        return bytes(builder.Output())


def offsets(builder, tables):
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return builder.EndVector()


def indices(builder, values):
    return builder.CreateNumpyVector(np.asarray(values, np.int32))


def buffer(builder, content):
    data = None
    if content:
        builder.StartVector(1, len(content), 16)  # TFLM uses constants in place
        builder.head -= len(content)
        builder.Bytes[builder.Head() : builder.Head() + len(content)] = content
        data = builder.EndVector()
    tflite.BufferStart(builder)
    if data is not None:
        tflite.BufferAddData(builder, data)
    return tflite.BufferEnd(builder)


def operator_code(builder, name):
    custom = builder.CreateString(name)
    tflite.OperatorCodeStart(builder)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, CUSTOM)
    tflite.OperatorCodeAddBuiltinCode(builder, CUSTOM)
    tflite.OperatorCodeAddCustomCode(builder, custom)
    return tflite.OperatorCodeEnd(builder)


def tensor(builder, number, description):
    shape, dtype, data = description
    dimensions, name = indices(builder, shape), builder.CreateString(f"tensor_{number}")
    tflite.TensorStart(builder)
    tflite.TensorAddShape(builder, dimensions)
    tflite.TensorAddType(builder, TYPES[dtype])
    tflite.TensorAddBuffer(builder, number + 1 if data else 0)
    tflite.TensorAddName(builder, name)
    return tflite.TensorEnd(builder)


def node(builder, code, options, inputs, outputs):
    ends = indices(builder, inputs), indices(builder, outputs)
    custom = builder.CreateByteVector(bytes(flexbuffers.Dumps(options)))
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, code)
    tflite.OperatorAddInputs(builder, ends[0])
    tflite.OperatorAddOutputs(builder, ends[1])
    tflite.OperatorAddCustomOptions(builder, custom)
    return tflite.OperatorEnd(builder)
