"""Reads TensorFlow Lite files."""

import struct
from typing import Any

import tflite
from flatbuffers.number_types import Int32Flags

from mmsp.errors import InputError
from mmsp.graph import Graph, Node, Tensor
from mmsp.importers.flatbuffer import verify_tflite
from mmsp.importers.host_conversion import extract_host_conversions
from mmsp.importers.operator_options import OPTIONS, explicit_padding
from mmsp.importers.option_fields import enum_names
from mmsp.importers.tflite_tensors import decode, integers, read_tensor, unique_name
from mmsp.importers.tflite_variables import Subgraph, resolve_variables

__all__ = ["read_tflite"]

ABSENT = -1
"""Tensor index of an optional operand that is not there."""

BUILTIN_CODE_ENTRY = 10
"""Where a vtable of OperatorCode has the offset of ``builtin_code``."""

PADDED_OUTPUT = ("TRANSPOSE_CONV",)
"""Operators whose SAME refers to the output, over which the window slides."""

UNNAMED_OPERATORS = ("CALL_ONCE", "VAR_HANDLE")
"""Operators that no graph contains, and that names of nodes do not count."""

WEIGHTS_INPUT = 1
IMAGE_RANK = 4


class TfliteReader:
    """Turns a model into subgraphs of tensors and nodes."""

    def __init__(self, data: bytes, name: str):
        self.name = name
        # The generated accessors claim to return None, which `verify_tflite` has ruled out.
        self.model: Any = tflite.Model.GetRootAs(data, 0)
        if self.model.SubgraphsLength() < 1:
            raise InputError(f"{name} has no subgraphs")
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
        count = self.model.SubgraphsLength()
        subgraphs = [SubgraphReader(self, index).read() for index in range(count)]
        if not subgraphs[0].outputs:
            raise InputError(f"{self.name} has no outputs")
        return resolve_variables(self.name, subgraphs)


class SubgraphReader:
    """Reads the tensors and nodes of one subgraph."""

    def __init__(self, reader: TfliteReader, index: int):
        self.reader = reader
        self.name = reader.name
        self.source = reader.model.Subgraphs(index)
        self.label = decode(self.source.Name()) or str(index)
        self.tensors: list[Tensor] = []
        self.by_name: dict[str, Tensor] = {}

    def read(self) -> Subgraph:
        """Read everything."""
        handles = self.handle_indices()
        taken: set[str] = set()
        states = []
        for index in range(self.source.TensorsLength()):
            source = self.source.Tensors(index)
            name = unique_name(decode(source.Name()) or f"tensor_{index}", taken)
            handle = index in handles
            tensor = read_tensor(self.reader.model, source, self.name, name, handle=handle)
            if source.IsVariable() and not handle:
                if tensor.data is not None:
                    raise InputError(
                        f"tensor {name!r} of {self.name} is a variable and has constant data"
                    )
                states.append(name)
            self.tensors.append(tensor)
            self.by_name[name] = tensor
        nodes: list[Node] = []
        position = 0
        for index in range(self.source.OperatorsLength()):
            nodes.append(self.read_node(index, position))
            position += nodes[-1].op not in UNNAMED_OPERATORS
        inputs = self.tensor_names(self.source.InputsAsNumpy(), "the graph's inputs")
        outputs = self.tensor_names(self.source.OutputsAsNumpy(), "the graph's outputs")
        return Subgraph(
            name=self.label,
            tensors=self.by_name,
            nodes=nodes,
            inputs=[name for name in inputs if name is not None],
            outputs=[name for name in outputs if name is not None],
            states=states,
        )

    def operator(self, index: int) -> tuple[Any, str]:
        """Operator ``index`` and its name."""
        source = self.source.Operators(index)
        names = self.reader.operator_names
        if source.OpcodeIndex() >= len(names):
            raise InputError(
                f"operator {index} of {self.name} has code {source.OpcodeIndex()}, "
                f"and there are {len(names)}"
            )
        return source, names[source.OpcodeIndex()]

    def handle_indices(self) -> set[int]:
        """Tensors that VAR_HANDLE writes."""
        found = set()
        for index in range(self.source.OperatorsLength()):
            source, op = self.operator(index)
            if op == "VAR_HANDLE":
                found.update(integers(source.OutputsAsNumpy()))
        return found

    def read_node(self, index: int, position: int) -> Node:
        """Read operator ``index``; its name is made of the operator and its position."""
        source, op = self.operator(index)
        name = f"{op.lower()}_{position}"
        inputs = self.tensor_names(source.InputsAsNumpy(), f"the inputs of {name}")
        outputs = self.tensor_names(source.OutputsAsNumpy(), f"the outputs of {name}")
        attributes = self.read_attributes(source, op, name)
        if "padding" in attributes:
            operands = [None if operand is None else self.by_name[operand] for operand in inputs]
            if op in PADDED_OUTPUT and outputs and outputs[0] is not None:
                operands[0] = self.by_name[outputs[0]]
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
            if options.fields and not options.optional:
                raise InputError(f"node {name!r} ({op}) of {self.name} has no {options.table}")
            attributes: dict[str, Any] = {field.attribute: () for field in options.fields}
        elif source.BuiltinOptionsType() != options.type_code:
            raise InputError(
                f"node {name!r} ({op}) of {self.name} has options of type "
                f"{source.BuiltinOptionsType()}, not {options.type_code} "
                f"({options.table or 'none'})"
            )
        else:
            try:
                attributes = options.read(union)
            except InputError as error:
                raise InputError(f"node {name!r} ({op}) of {self.name}: {error}") from None
        if options.intermediates:
            indices = source.IntermediatesAsNumpy()
            what = f"the intermediates of {name}"
            attributes["intermediates"] = self.tensor_names(indices, what)
        return attributes

    def tensor_names(self, indices: Any, what: str) -> tuple[str | None, ...]:
        """Names of the tensors at ``indices``, None for an absent one."""
        names: list[str | None] = []
        for index in integers(indices):
            if index != ABSENT and index not in range(len(self.tensors)):
                raise InputError(
                    f"{what} in {self.name} refer to tensor {index}, "
                    f"and there are {len(self.tensors)}"
                )
            names.append(None if index == ABSENT else self.tensors[index].name)
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


def read_tflite(data: bytes, name: str) -> Graph:
    """Read a .tflite file of one subgraph, and of those that initialise its variables.

    Operators that this package does not know are read without attributes: whether a graph can run
    is decided by `mmsp.compiler.legalize.legalize`.  Conversions between float32 or uint8 at the
    ends and int8 or int16 inside are taken off, see `mmsp.graph.HostConversion`.

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
