"""Tensors of .tflite files: types, names, quantisation and the packing of their data."""

from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from mmsp.errors import InputError
from mmsp.graph import Quantization, Tensor
from mmsp.importers.option_fields import enum_names

__all__ = [
    "DTYPES",
    "PACKED_BITS",
    "RESOURCE",
    "decode",
    "integers",
    "pack_data",
    "read_tensor",
    "reset_value",
    "unique_name",
]

INT8 = np.dtype(np.int8)
RESOURCE = np.dtype(object)
"""Stands for the type of a handle of a variable, which no tensor of a `mmsp.graph.Graph` has."""

DTYPES: dict[int, np.dtype] = {
    tflite.TensorType.FLOAT32: np.dtype(np.float32),
    tflite.TensorType.FLOAT16: np.dtype(np.float16),
    tflite.TensorType.FLOAT64: np.dtype(np.float64),
    tflite.TensorType.BOOL: np.dtype(np.bool_),
    tflite.TensorType.INT8: INT8,
    tflite.TensorType.INT16: np.dtype(np.int16),
    tflite.TensorType.INT32: np.dtype(np.int32),
    tflite.TensorType.INT64: np.dtype(np.int64),
    tflite.TensorType.UINT8: np.dtype(np.uint8),
    tflite.TensorType.UINT16: np.dtype(np.uint16),
    tflite.TensorType.UINT32: np.dtype(np.uint32),
    tflite.TensorType.UINT64: np.dtype(np.uint64),
}
"""Tensor types that NumPy has."""

PACKED_BITS: dict[int, int] = {tflite.TensorType.INT4: 4}
"""Bits of an element of the types that are packed; in the graph they are int8."""


def read_tensor(model: Any, source: Any, file: str, name: str, *, handle: bool) -> Tensor:
    """Read tensor ``source`` of ``model`` under the name ``name``.

    Only the output of a VAR_HANDLE, a ``handle``, may be a RESOURCE.  Error messages call the model
    ``file``.
    """
    code = source.Type()
    resource = handle and code == tflite.TensorType.RESOURCE
    if code not in DTYPES and code not in PACKED_BITS and not resource:
        kind = enum_names(tflite.TensorType).get(code, code)
        supported = ", ".join(sorted(["int4", *(str(dtype) for dtype in DTYPES.values())]))
        raise InputError(f"tensor {name!r} of {file} has type {kind}, not {supported}")
    shape = read_shape(source, file, name)
    if source.Sparsity() is not None:
        raise InputError(f"tensor {name!r} of {file} is sparse, and only dense is read")
    bits = PACKED_BITS.get(code)
    dtype = RESOURCE if resource else DTYPES.get(code, INT8)
    data = None if resource else read_data(model, source.Buffer(), file, name, shape, dtype, bits)
    if bits and data is None:
        raise InputError(
            f"tensor {name!r} of {file} has type INT{bits}, which only constants may have"
        )
    quantization = read_quantization(source.Quantization(), name)
    return Tensor(name, shape, dtype, quantization, data, bits)


def read_shape(source: Any, file: str, name: str) -> tuple[int, ...]:
    """Shape of a tensor, every dimension of which must be fixed."""
    shape = tuple(integers(source.ShapeAsNumpy()))
    signature = integers(source.ShapeSignatureAsNumpy()) or list(shape)
    # Exporters leave the batch open and give it size 1; nothing else may be open.
    dynamic = any(size < 0 for size in (*shape, *signature[1:]))
    if dynamic or (signature[:1] == [-1] and shape[0] != 1):
        raise InputError(
            f"tensor {name!r} of {file} has the dynamic shape {tuple(signature)}: "
            f"every dimension but the first, which must be 1, needs a fixed size"
        )
    return shape


def read_data(
    model: Any,
    buffer: int,
    file: str,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype,
    bits: int | None,
) -> NDArray | None:
    """Constant data of a tensor, or None when its buffer is empty."""
    if buffer >= model.BuffersLength():
        raise InputError(
            f"tensor {name!r} of {file} refers to buffer {buffer}, "
            f"and there are {model.BuffersLength()}"
        )
    source = model.Buffers(buffer)
    if source.Offset() > 1:
        raise InputError(f"tensor {name!r} of {file} keeps its data outside the model")
    if source.DataLength() == 0:
        return None
    data = np.asarray(source.DataAsNumpy(), np.uint8)
    size = int(np.prod(shape, dtype=object))
    expected = -(-size * bits // 8) if bits else size * dtype.itemsize
    if data.size != expected:
        raise InputError(
            f"tensor {name!r} of {file} holds {data.size} bytes, "
            f"and its shape {shape} of {f'int{bits}' if bits else dtype} needs {expected}"
        )
    if bits:
        values = unpack_data(data, size, bits)
    else:
        values = np.frombuffer(data.tobytes(), dtype.newbyteorder("<")).astype(dtype)
    values = values.reshape(shape)
    values.flags.writeable = False
    return values


def unpack_data(data: NDArray[np.uint8], size: int, bits: int) -> NDArray[np.int8]:
    """Sign-extend ``size`` elements of ``bits`` bits, the first in the lowest bits of a byte."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    elements = (data[:, np.newaxis] >> shifts).reshape(-1)[:size]
    # To the top of the byte, and back with the sign.
    return (elements << np.uint8(8 - bits)).view(np.int8) >> np.int8(8 - bits)


def pack_data(tensor: Tensor) -> bytes:
    """Bytes of a constant as the file holds them; what is left of the last byte is 0.

    Raises
    ------
    InputError
        When the file has no type of so few bits, or a value does not fit into them.
    """
    assert tensor.data is not None
    if tensor.bits is None:
        return np.ascontiguousarray(tensor.data, tensor.dtype.newbyteorder("<")).tobytes()
    if tensor.bits not in PACKED_BITS.values():
        raise InputError(
            f"tensor {tensor.name!r} has {tensor.bits} bits, and a .tflite file packs "
            f"{', '.join(map(str, PACKED_BITS.values()))} bits only"
        )
    limit = 1 << (tensor.bits - 1)
    values = tensor.data.reshape(-1)
    outside = values[(values < -limit) | (values >= limit)]
    if outside.size:
        raise InputError(
            f"tensor {tensor.name!r} holds {outside[0]}, and {tensor.bits} bits hold "
            f"{-limit} to {limit - 1}"
        )
    per_byte = 8 // tensor.bits
    padded = np.pad(values.view(np.uint8), (0, -values.size % per_byte))
    fields = padded.reshape(-1, per_byte) & np.uint8(2 * limit - 1)
    shifts = np.arange(0, 8, tensor.bits, dtype=np.uint8)
    return np.bitwise_or.reduce(fields << shifts, axis=1).astype(np.uint8).tobytes()


def read_quantization(source: Any, name: str) -> Quantization | None:
    """Affine quantisation of a tensor, or None when the file gives none."""
    if source is None or source.ScaleLength() == 0:
        return None
    scale = tuple(np.asarray(source.ScaleAsNumpy()).tolist())
    zero_point = tuple(integers(source.ZeroPointAsNumpy())) or (0,) * len(scale)
    if len(zero_point) == 1:
        zero_point *= len(scale)
    if len(zero_point) != len(scale):
        raise InputError(
            f"tensor {name!r} has {len(scale)} scales and {len(zero_point)} zero points"
        )
    return Quantization(scale, zero_point, source.QuantizedDimension())


def reset_value(tensor: Tensor) -> NDArray:
    """What TFLM's ``ResetVariableTensors`` leaves in a tensor that is a variable.

    int8 gets its zero point, every other type 0.
    """
    zero_point = 0
    if tensor.dtype == INT8 and tensor.quantization is not None:
        zero_point = tensor.quantization.zero_point[0]
    return np.full(tensor.shape, zero_point, tensor.dtype)


def integers(values: Any) -> list[int]:
    """Elements of a flatbuffer vector: the accessors return the integer 0 for an absent one."""
    return [] if isinstance(values, int) else np.asarray(values).tolist()


def decode(text: bytes | None) -> str:
    """Text of a flatbuffer string; names are labels, so what cannot be printed is replaced."""
    decoded = (text or b"").decode(errors="replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in decoded)


def unique_name(name: str, taken: set[str]) -> str:
    """``name``, or ``name`` with the first free suffix; the result is added to ``taken``."""
    candidate, suffix = name, 1
    while candidate in taken:
        suffix += 1
        candidate = f"{name}:{suffix}"
    taken.add(candidate)
    return candidate
