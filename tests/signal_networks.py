"""Networks of one FFT operator, for TensorFlow Lite Micro to judge.  Not a test."""

import flatbuffers
import numpy as np
import tflite
from flatbuffers import flexbuffers

from mmsp.importers.option_fields import write_int32_vector
from mmsp.tflm import MicroInterpreter

__all__ = ["signal_irfft", "signal_rfft"]

SCHEMA_VERSION = 3


def network(op: str, points: int, sizes: tuple[int, int]) -> bytes:
    """A .tflite file with the custom operator ``op``: int16 of ``sizes[0]`` to ``sizes[1]``."""
    builder = flatbuffers.Builder(1024)

    def vector(children):
        builder.StartVector(4, len(children), 4)
        for child in reversed(children):
            builder.PrependUOffsetTRelative(child)
        return builder.EndVector()

    tflite.BufferStart(builder)
    buffers = vector([tflite.BufferEnd(builder)])
    name = builder.CreateString(op)
    tflite.OperatorCodeStart(builder)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, tflite.BuiltinOperator.CUSTOM)
    tflite.OperatorCodeAddBuiltinCode(builder, tflite.BuiltinOperator.CUSTOM)
    tflite.OperatorCodeAddCustomCode(builder, name)
    tflite.OperatorCodeAddVersion(builder, 1)
    codes = vector([tflite.OperatorCodeEnd(builder)])
    tensors = []
    for size in sizes:
        shape = write_int32_vector(builder, [size])
        tflite.TensorStart(builder)
        tflite.TensorAddShape(builder, shape)
        tflite.TensorAddType(builder, tflite.TensorType.INT16)
        tensors.append(tflite.TensorEnd(builder))
    tensors = vector(tensors)
    inputs, outputs = write_int32_vector(builder, [0]), write_int32_vector(builder, [1])
    fields = {"T": tflite.TensorType.INT16, "fft_length": points}
    options = builder.CreateByteVector(bytes(flexbuffers.Dumps(fields)))
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, 0)
    tflite.OperatorAddInputs(builder, inputs)
    tflite.OperatorAddOutputs(builder, outputs)
    tflite.OperatorAddCustomOptions(builder, options)
    operators = vector([tflite.OperatorEnd(builder)])
    inputs, outputs = write_int32_vector(builder, [0]), write_int32_vector(builder, [1])
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, tensors)
    tflite.SubGraphAddInputs(builder, inputs)
    tflite.SubGraphAddOutputs(builder, outputs)
    tflite.SubGraphAddOperators(builder, operators)
    subgraphs = vector([tflite.SubGraphEnd(builder)])
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, SCHEMA_VERSION)
    tflite.ModelAddOperatorCodes(builder, codes)
    tflite.ModelAddSubgraphs(builder, subgraphs)
    tflite.ModelAddBuffers(builder, buffers)
    builder.Finish(tflite.ModelEnd(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def signal_rfft(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SignalRfft of blocks ``(n, points)`` of int16: parts of shape ``(n, points / 2 + 1)``."""
    points = x.shape[-1]
    judge = MicroInterpreter(network("SignalRfft", points, (points, points + 2)))
    bins = np.stack([judge.run([block.astype(np.int16)])[0] for block in x])
    return bins[:, 0::2].astype(np.int64), bins[:, 1::2].astype(np.int64)


def signal_irfft(re: np.ndarray, im: np.ndarray) -> np.ndarray:
    """SignalIrfft of blocks of int16 bins."""
    points = 2 * (re.shape[-1] - 1)
    judge = MicroInterpreter(network("SignalIrfft", points, (points + 2, points)))
    bins = np.stack([re, im], axis=-1).reshape(len(re), -1).astype(np.int16)
    return np.stack([judge.run([block])[0] for block in bins]).astype(np.int64)
