"""Inputs and outputs: what the host converts and reorders before and after the chip."""

from dataclasses import dataclass, field, replace

import numpy as np

from mmsp.arrangement import Steps, moves_nothing
from mmsp.errors import InputError
from mmsp.graph import Graph, HostConversion, Node, Quantization, Tensor
from mmsp.importers.onnx_qdq.builder import GraphBuilder
from mmsp.importers.onnx_qdq.values import Outside, Pending, Shape, Stored, Value

__all__ = ["Edges"]

OUTSIDE_DTYPES = (np.dtype(np.float32), np.dtype(np.int8), np.dtype(np.uint8))
UINT8_OFFSET = 128


@dataclass
class Edges:
    """The ends of the network under construction.

    ``declared``: type and shape of every input of the file.  Conversions are by tensor inside.
    """

    builder: GraphBuilder
    declared: dict[str, Tensor] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    conversions: dict[str, HostConversion] = field(default_factory=dict)
    quantized: dict[tuple[Outside, Quantization], Stored] = field(default_factory=dict)

    def declare(self, name: str, shape: Shape, dtype: np.dtype) -> Tensor:
        """Require an input or output of a type that the host can convert."""
        if dtype not in OUTSIDE_DTYPES:
            accepted = ", ".join(str(each) for each in OUTSIDE_DTYPES)
            raise InputError(f"{name!r} is {dtype}, and inputs and outputs must be {accepted}")
        return Tensor(name, shape, dtype)

    def declare_input(self, name: str, shape: Shape, dtype: np.dtype) -> Outside:
        """Declare an input of the file."""
        self.declared[name] = self.declare(name, shape, dtype)
        self.builder.tensor_names.add(name)
        return Outside(name, shape)

    def quantized_input(self, value: Outside, quantization: Quantization, stem: str) -> Stored:
        """The tensor of the graph that an input becomes with ``quantization``."""
        if (value, quantization) not in self.quantized:
            if any(other.name == value.name for other, _ in self.quantized):
                raise InputError(
                    f"input {value.name!r} is quantised or reordered in two ways, and one is "
                    f"supported"
                )
            outside = self.declared[value.name]
            if outside.dtype == np.int8 and not value.steps:
                self.builder.tensor_names.discard(value.name)
                stem = value.name
            elif stem == value.name:
                stem = f"{value.name}:int8"
            tensor = self.builder.tensor(stem, value.shape, quantization)
            self.inputs.append(tensor)
            if tensor != value.name:
                self.conversions[tensor] = host_conversion(
                    "input", outside, tensor, quantization, steps=value.steps
                )
            rank = tuple(range(len(value.shape)))
            self.quantized[value, quantization] = Stored(tensor, value.shape, rank, value.shape)
        return replace(self.quantized[value, quantization], integer=True)

    def add_output(self, name: str, value: Value, dtype: np.dtype) -> None:
        """Make ``value`` an output of the network, in the order that ONNX gives it."""
        axis = None
        if isinstance(value, Pending):
            value, axis = self.finish(name, value)
        if not isinstance(value, Stored):
            raise InputError(f"output {name!r} does not depend on a quantised input")
        if value.integer == (dtype == np.float32):
            raise InputError(f"output {name!r} is declared {dtype}, and is not of that type")
        b = self.builder
        tensor = b.arrange(value, tuple(range(len(value.shape))))
        if tensor in self.outputs or tensor in self.inputs:
            source = b.tensors[tensor]
            copy = b.tensor(name, source.shape, source.quantization, source.dtype)
            shape = b.constant(f"{name}:shape", np.array(source.shape, np.int32))
            b.node("RESHAPE", name, (tensor, shape), (copy,), new_shape=source.shape)
            tensor = copy
        self.outputs.append(tensor)
        inside = b.tensors[tensor]
        assert inside.quantization is not None, "every computed tensor has one"
        outside = self.declare(name, value.shape, dtype)
        if tensor != name or dtype != inside.dtype:
            self.conversions[tensor] = host_conversion(
                "output", outside, tensor, inside.quantization, inside.dtype, softmax_axis=axis
            )

    def finish(self, name: str, value: Pending) -> tuple[Stored, int | None]:
        """A result that no QuantizeLinear follows: the host's softmax, or a prescribed scale."""
        if value.softmax is not None:
            source, axis = value.softmax
            return source, axis - len(source.shape)
        if value.natural is None:
            raise InputError(
                f"output {name!r} is the unquantised result of node {value.node!r}: a "
                f"QuantizeLinear and a DequantizeLinear are missing behind it"
            )
        (scale,), (zero_point,) = value.natural.scale, value.natural.zero_point
        self.builder.notes.append(
            f"output {name!r} of node {value.node!r} is quantised to int8 (scale {scale:.9g}, "
            f"zero point {zero_point})"
        )
        return self.builder.realise(value, value.natural, f"{name}:int8"), None

    def graph(self, name: str) -> Graph:
        """The finished graph: reordering at the ends is the host's."""
        order = list(self.declared)
        names = {tensor: c.outside.name for tensor, c in self.conversions.items()}
        graph = Graph(
            name=name,
            tensors=self.builder.tensors,
            nodes=self.builder.nodes,
            inputs=sorted(self.inputs, key=lambda tensor: order.index(names.get(tensor, tensor))),
            outputs=self.outputs,
            host_conversions=list(self.conversions.values()),
            variables=self.builder.variables,
            notes=self.builder.notes,
        )
        while absorb_one(graph):
            pass
        for index, conversion in enumerate(graph.host_conversions):
            if moves_nothing(conversion.steps):
                graph.host_conversions[index] = replace(conversion, steps=())
        used = {name for node in graph.nodes for name in (*node.inputs, *node.outputs)}
        used |= {*graph.inputs, *graph.outputs}
        graph.tensors = {key: tensor for key, tensor in graph.tensors.items() if key in used}
        return graph


def host_conversion(
    direction: str, outside: Tensor, inside: str, quantization: Quantization,
    dtype: np.dtype = np.dtype(np.int8), steps: Steps = (), softmax_axis: int | None = None,
) -> HostConversion:  # fmt: skip
    """A conversion at one end; a uint8 tensor outside has the zero point 128 higher."""
    if outside.dtype == np.uint8:
        zero_point = (quantization.zero_point[0] + UINT8_OFFSET,)
        outside = replace(outside, quantization=replace(quantization, zero_point=zero_point))
    elif outside.dtype == np.int8:
        outside = replace(outside, quantization=quantization)
    float_op = "QUANTIZE" if direction == "input" else "DEQUANTIZE"
    op = float_op if outside.dtype == np.float32 else "QUANTIZE"
    node = f"{outside.name}:{op.lower()}"
    return HostConversion(
        node, op, direction, outside, inside, quantization, dtype, steps, softmax_axis
    )


def absorb_one(graph: Graph) -> bool:
    """Let the host reorder in place of one node at an end of the graph, if there is one."""
    for node in graph.nodes:
        if node.op not in ("RESHAPE", "TRANSPOSE"):
            continue
        source, target = node.inputs[0], node.outputs[0]
        assert source is not None, "both operators have an operand"
        readers = [n for n in graph.nodes if source in n.inputs]
        if source in graph.inputs and readers == [node] and source not in graph.outputs:
            absorb(graph, node, "input", source, target)
            return True
        if (
            target in graph.outputs
            and source not in (*graph.outputs, *graph.inputs)
            and not any(target in n.inputs for n in graph.nodes)
        ):
            absorb(graph, node, "output", target, source)
            return True
    return False


def absorb(graph: Graph, node: Node, direction: str, edge: str, inner: str) -> None:
    """Take ``node`` off: the host then gives or gets ``inner`` in place of ``edge``."""
    source = graph.tensors[node.inputs[0] or ""].shape
    permutation = tuple(range(len(source)))
    if node.op == "TRANSPOSE":
        operand = graph.tensors[node.inputs[1] or ""].data
        assert operand is not None, "the importer writes constants"
        permutation = tuple(operand.tolist())
    step = source, permutation
    tensor = graph.tensors[edge]
    found = [c for c in graph.host_conversions if (c.inside, c.direction) == (edge, direction)]
    if found:
        conversion = found[0]
    else:  # an int8 input or output that the host has only passed on
        assert tensor.quantization is not None, "every computed tensor has one"
        outside = replace(tensor, data=None)
        conversion = host_conversion(direction, outside, edge, tensor.quantization, tensor.dtype)
        graph.host_conversions.append(conversion)
    steps = (*conversion.steps, step) if direction == "input" else (step, *conversion.steps)
    place = graph.host_conversions.index(conversion)
    graph.host_conversions[place] = replace(conversion, inside=inner, steps=steps)
    names = graph.inputs if direction == "input" else graph.outputs
    names[names.index(edge)] = inner
    graph.nodes.remove(node)
