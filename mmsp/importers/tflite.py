"""Reads TensorFlow Lite files."""

import struct
from typing import Any

import numpy as np
import tflite
from flatbuffers.number_types import Int32Flags
from numpy.typing import NDArray

from mmsp.errors import InputError
from mmsp.graph import Graph, Node, Quantization, Tensor
from mmsp.importers.flatbuffer import verify_tflite
from mmsp.importers.host_conversion import extract_host_conversions
from mmsp.importers.operator_options import OPTIONS, explicit_padding
from mmsp.importers.option_fields import enum_names

__all__ = ["DTYPES", "read_tflite"]

DTYPES: dict[int, np.dtype] = {
    tflite.TensorType.FLOAT32: np.dtype(np.float32),
    tflite.TensorType.FLOAT16: np.dtype(np.float16),
    tflite.TensorType.FLOAT64: np.dtype(np.float64),
    tflite.TensorType.BOOL: np.dtype(np.bool_),
    tflite.TensorType.INT8: np.dtype(np.int8),
    tflite.TensorType.INT16: np.dtype(np.int16),
    tflite.TensorType.INT32: np.dtype(np.int32),
    tflite.TensorType.INT64: np.dtype(np.int64),
    tflite.TensorType.UINT8: np.dtype(np.uint8),
    tflite.TensorType.UINT16: np.dtype(np.uint16),
    tflite.TensorType.UINT32: np.dtype(np.uint32),
    tflite.TensorType.UINT64: np.dtype(np.uint64),
}
"""Tensor types that NumPy has."""

ABSENT = -1
"""Tensor index of an optional operand that is not there."""

BUILTIN_CODE_ENTRY = 10
"""Where a vtable of OperatorCode has the offset of ``builtin_code``."""

PADDED_OUTPUT = ("TRANSPOSE_CONV",)
"""Operators whose SAME refers to the output, over which the window slides."""

WEIGHTS_INPUT = 1
IMAGE_RANK = 4


class TfliteReader:
    """Turns the one subgraph of a model into tensors and nodes."""

    def __init__(self, data: bytes, name: str):
        self.name = name
        # The generated accessors claim to return None, which `verify_tflite` has ruled out.
        self.model: Any = tflite.Model.GetRootAs(data, 0)
        if self.model.SubgraphsLength() != 1:
            raise InputError(
                f"{name} has {self.model.SubgraphsLength()} subgraphs, and only 1 is supported"
            )
        self.subgraph = self.model.Subgraphs(0)
        self.operator_names = [
            self.operator_name(self.model.OperatorCodes(index))
            for index in range(self.model.OperatorCodesLength())
        ]

    def operator_name(self, code: Any) -> str:
        """Name of an operator code: of the builtin operator, or ``CUSTOM:`` and the custom one."""
        # Whichever member is larger holds the code, as in TFLite's ``GetBuiltinCode``.  The
        # package's own ``BuiltinCode`` ignores the newer member below 127, so it is read directly.
        table = code._tab
        slot = table.Offset(BUILTIN_CODE_ENTRY)
        newer = table.Get(Int32Flags, slot + table.Pos) if slot else 0
        value = max(newer, code.DeprecatedBuiltinCode())
        if value == tflite.BuiltinOperator.CUSTOM:
            return "CUSTOM:" + decode(code.CustomCode())
        names = enum_names(tflite.BuiltinOperator)
        if value not in names:
            raise InputError(f"{self.name} uses operator code {value}, which is unknown")
        return names[value]

    def read(self) -> Graph:
        """Read everything."""
        tensors: list[Tensor] = []
        taken: set[str] = set()
        for index in range(self.subgraph.TensorsLength()):
            tensors.append(self.read_tensor(index, taken))
        nodes = [self.read_node(index, tensors) for index in range(self.subgraph.OperatorsLength())]
        inputs = self.tensor_names(self.subgraph.InputsAsNumpy(), tensors, "the graph's inputs")
        outputs = self.tensor_names(self.subgraph.OutputsAsNumpy(), tensors, "the graph's outputs")
        if not outputs:
            raise InputError(f"{self.name} has no outputs")
        return Graph(
            name=self.name,
            tensors={tensor.name: tensor for tensor in tensors},
            nodes=nodes,
            inputs=[name for name in inputs if name is not None],
            outputs=[name for name in outputs if name is not None],
        )

    def read_tensor(self, index: int, taken: set[str]) -> Tensor:
        """Read tensor ``index`` under a name that is not ``taken`` yet."""
        source = self.subgraph.Tensors(index)
        name = unique_name(decode(source.Name()) or f"tensor_{index}", taken)
        if source.Type() not in DTYPES:
            kind = enum_names(tflite.TensorType).get(source.Type(), source.Type())
            supported = ", ".join(sorted(str(dtype) for dtype in DTYPES.values()))
            raise InputError(f"tensor {name!r} of {self.name} has type {kind}, not {supported}")
        dtype = DTYPES[source.Type()]
        shape = tuple(integers(source.ShapeAsNumpy()))
        signature = integers(source.ShapeSignatureAsNumpy()) or list(shape)
        # Exporters leave the batch open and give it size 1; nothing else may be open.
        dynamic = any(size < 0 for size in (*shape, *signature[1:]))
        if dynamic or (signature[:1] == [-1] and shape[0] != 1):
            raise InputError(
                f"tensor {name!r} of {self.name} has the dynamic shape {tuple(signature)}: "
                f"every dimension but the first, which must be 1, needs a fixed size"
            )
        if source.Sparsity() is not None:
            raise InputError(f"tensor {name!r} of {self.name} is sparse, and only dense is read")
        return Tensor(
            name=name,
            shape=shape,
            dtype=dtype,
            quantization=read_quantization(source.Quantization(), name),
            data=self.read_data(source.Buffer(), name, shape, dtype),
        )

    def read_data(
        self, buffer: int, name: str, shape: tuple[int, ...], dtype: np.dtype
    ) -> NDArray | None:
        """Constant data of a tensor, or None when its buffer is empty."""
        if buffer >= self.model.BuffersLength():
            raise InputError(
                f"tensor {name!r} of {self.name} refers to buffer {buffer}, "
                f"and there are {self.model.BuffersLength()}"
            )
        source = self.model.Buffers(buffer)
        if source.Offset() > 1:
            raise InputError(f"tensor {name!r} of {self.name} keeps its data outside the model")
        if source.DataLength() == 0:
            return None
        data = np.asarray(source.DataAsNumpy(), np.uint8)
        expected = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if data.size != expected:
            raise InputError(
                f"tensor {name!r} of {self.name} holds {data.size} bytes, "
                f"and its shape {shape} of {dtype} needs {expected}"
            )
        values = np.frombuffer(data.tobytes(), dtype.newbyteorder("<")).astype(dtype).reshape(shape)
        values.flags.writeable = False
        return values

    def read_node(self, index: int, tensors: list[Tensor]) -> Node:
        """Read operator ``index``; its name is made of the operator and the index."""
        source = self.subgraph.Operators(index)
        if source.OpcodeIndex() >= len(self.operator_names):
            raise InputError(
                f"operator {index} of {self.name} has code {source.OpcodeIndex()}, "
                f"and there are {len(self.operator_names)}"
            )
        op = self.operator_names[source.OpcodeIndex()]
        name = f"{op.lower()}_{index}"
        inputs = self.tensor_names(source.InputsAsNumpy(), tensors, f"the inputs of {name}")
        outputs = self.tensor_names(source.OutputsAsNumpy(), tensors, f"the outputs of {name}")
        attributes = self.read_attributes(source, op, name)
        if "padding" in attributes:
            by_name = {tensor.name: tensor for tensor in tensors}
            operands = [None if operand is None else by_name[operand] for operand in inputs]
            if op in PADDED_OUTPUT and outputs and outputs[0] is not None:
                operands[0] = by_name[outputs[0]]
            attributes["padding"] = resolve_padding(op, name, attributes, operands)
        return Node(
            op=op,
            name=name,
            inputs=inputs,
            outputs=tuple(output for output in outputs if output is not None),
            attributes=attributes,
        )

    def read_attributes(self, source: Any, op: str, name: str) -> dict[str, Any]:
        """Attributes of an operator, padding still by scheme."""
        if op not in OPTIONS:
            return {}
        options = OPTIONS[op]
        union = source.BuiltinOptions()
        if union is None:
            # A table of defaults only may be left out; operators with options need theirs.
            if options.fields and op != "RESHAPE":
                raise InputError(f"node {name!r} ({op}) of {self.name} has no {options.table}")
            return {field.attribute: () for field in options.fields}
        if source.BuiltinOptionsType() != options.type_code:
            raise InputError(
                f"node {name!r} ({op}) of {self.name} has options of type "
                f"{source.BuiltinOptionsType()}, not {options.type_code} ({options.table})"
            )
        try:
            return options.read(union)
        except InputError as error:
            raise InputError(f"node {name!r} ({op}) of {self.name}: {error}") from None

    def tensor_names(
        self, indices: Any, tensors: list[Tensor], what: str
    ) -> tuple[str | None, ...]:
        """Names of the tensors at ``indices``, None for an absent one."""
        names: list[str | None] = []
        for index in integers(indices):
            if index != ABSENT and index not in range(len(tensors)):
                raise InputError(
                    f"{what} in {self.name} refer to tensor {index}, and there are {len(tensors)}"
                )
            names.append(None if index == ABSENT else tensors[index].name)
        return tuple(names)


def resolve_padding(
    op: str, name: str, attributes: dict[str, Any], operands: list[Tensor | None]
) -> Any:
    """Padding in pixels for an operator whose file says SAME or VALID."""
    image = operands[0] if operands else None
    window = attributes.get("kernel")
    if window is None:
        weights = operands[WEIGHTS_INPUT] if len(operands) > WEIGHTS_INPUT else None
        window = weights.shape[1:3] if weights and len(weights.shape) == IMAGE_RANK else None
    if image is None or len(image.shape) != IMAGE_RANK or window is None:
        raise InputError(f"node {name!r} ({op}) needs an input, and weights, of 4 dimensions")
    dilation = attributes.get("dilation", (1, 1))
    for attribute, pair in (
        ("kernel", window),
        ("stride", attributes["stride"]),
        ("dilation", dilation),
    ):
        if min(pair) < 1:
            raise InputError(f"node {name!r} ({op}) has {attribute} {pair}: each must be >= 1")
    height, width = image.shape[1:3]
    kernel = (window[0], window[1])
    return explicit_padding(
        attributes["padding"], (height, width), kernel, attributes["stride"], dilation
    )


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


def read_tflite(data: bytes, name: str) -> Graph:
    """Read a .tflite file of one subgraph.

    Operators that this package does not know are read without attributes: whether a graph can run
    is decided by `mmsp.compiler.legalize.legalize`.  Conversions between float32 or uint8 at the
    ends and int8 inside are taken off, see `mmsp.graph.HostConversion`.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        What error messages call the file; also the name of the graph.

    Raises
    ------
    InputError
        When the file is foreign, truncated, corrupt or of a kind that is not supported.
    """
    verify_tflite(data, name)
    try:
        graph = TfliteReader(data, name).read()
    except InputError:
        raise
    except (
        struct.error,
        ArithmeticError,
        LookupError,
        TypeError,
        ValueError,
        MemoryError,
    ) as error:
        # Options are read by generated code that trusts every offset; a corrupt file can make it
        # fail in any of these ways.
        raise InputError(f"{name} is truncated or corrupt: {error}") from None
    return extract_host_conversions(graph)
