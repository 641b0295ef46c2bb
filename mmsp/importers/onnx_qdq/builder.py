"""Collects the tensors and nodes of the graph, and moves elements where it must be."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmsp.errors import InputError
from mmsp.graph import Node, Quantization, Tensor
from mmsp.importers.onnx_qdq.file import check_size
from mmsp.importers.onnx_qdq.values import (
    ACTIVATIONS,
    Layout,
    Pending,
    Shape,
    Stored,
    activation_of,
    in_order,
)
from mmsp.importers.tflite import unique_name

__all__ = ["INT8", "INT16", "GraphBuilder", "channels_last"]

INT8, INT16 = np.dtype(np.int8), np.dtype(np.int16)
WIDER = 128
"""Steps of `GraphBuilder.widened` in one of int8."""


def channels_last(rank: int) -> Layout:
    """Layout of an image ``(N, C, ...)`` in memory: the channels last."""
    return (0, *range(2, rank), 1)


@dataclass
class GraphBuilder:
    """The graph so far.  ``notes`` are sentences about what the import changed."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    variables: dict[str, NDArray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    tensor_names: set[str] = field(default_factory=set)
    node_names: set[str] = field(default_factory=set)
    moved: dict[tuple[str, Shape, Layout], str] = field(default_factory=dict)

    def tensor(
        self,
        stem: str,
        shape: Sequence[int],
        quantization: Quantization | None,
        dtype: np.dtype = INT8,
    ) -> str:
        """Add a tensor that is computed; return its name."""
        name = unique_name(stem, self.tensor_names)
        self.tensors[name] = Tensor(name, check_size(tuple(shape)), dtype, quantization)
        return name

    def constant(
        self,
        stem: str,
        data: ArrayLike,
        quantization: Quantization | None = None,
        bits: int | None = None,
    ) -> str:
        """Add a constant; return its name."""
        name = unique_name(stem, self.tensor_names)
        data = np.ascontiguousarray(data)
        data.flags.writeable = False
        self.tensors[name] = Tensor(name, data.shape, data.dtype, quantization, data, bits)
        return name

    def node(
        self,
        op: str,
        stem: str,
        inputs: Sequence[str | None],
        outputs: Sequence[str],
        **attributes: Any,
    ) -> None:
        """Add a node."""
        name = unique_name(stem, self.node_names)
        self.nodes.append(Node(op, name, tuple(inputs), tuple(outputs), attributes))

    def quantization(self, value: Stored) -> Quantization:
        """Scale and zero point of a stored value."""
        quantization = self.tensors[value.tensor].quantization
        assert quantization is not None, "every computed tensor has one"
        return quantization

    # Order of elements.

    def reshaped(self, tensor: str, shape: Shape) -> str:
        """The tensor under another shape, by a RESHAPE unless it has that shape."""
        return self.move(tensor, shape, None)

    def transposed(self, tensor: str, permutation: Layout) -> str:
        """The tensor transposed: by a TRANSPOSE, or a RESHAPE where no element moves."""
        source = self.tensors[tensor].shape
        shape = tuple(source[axis] for axis in permutation)
        return self.move(tensor, shape, None if in_order(source, permutation) else permutation)

    def move(self, tensor: str, shape: Shape, permutation: Layout | None) -> str:
        """Add a RESHAPE, or a TRANSPOSE, once for all that read its output."""
        source = self.tensors[tensor]
        if permutation is None and shape == source.shape:
            return tensor
        key = tensor, shape, permutation or ()
        if key not in self.moved:
            op = "RESHAPE" if permutation is None else "TRANSPOSE"
            stem = f"{tensor}:{op.lower()}"
            operand = self.constant(
                f"{stem}:{'shape' if permutation is None else 'perm'}",
                np.array(shape if permutation is None else permutation, np.int32),
            )
            output = self.tensor(stem, shape, source.quantization, source.dtype)
            attributes = {"new_shape": shape} if permutation is None else {}
            self.node(op, stem, (tensor, operand), (output,), **attributes)
            self.moved[key] = output
        return self.moved[key]

    def arrange(self, value: Stored, layout: Layout) -> str:
        """Name of a tensor that holds ``value`` in the order ``layout``."""
        shape = tuple(value.shape[axis] for axis in layout)
        if value.shape == value.base:
            return self.transposed(value.tensor, tuple(value.layout.index(a) for a in layout))
        tensor = self.row_major(value)
        if in_order(value.shape, layout):
            return self.reshaped(tensor, shape)
        return self.transposed(self.reshaped(tensor, value.shape), layout)

    def row_major(self, value: Stored) -> str:
        """Name of a tensor with the elements of ``value`` in row-major order, of any shape."""
        if in_order(value.base, value.layout):
            return value.tensor
        base, layout = value.base, value.layout
        if base[0] != 1:  # the engine wants a batch of 1 in front, wherever ONNX has put it
            kept = [axis for axis in range(len(base)) if base[axis] != 1]
            places = [axis for axis in layout if base[axis] != 1]
            source = self.reshaped(value.tensor, (1, *(base[axis] for axis in places)))
            return self.transposed(source, (0, *(1 + places.index(axis) for axis in kept)))
        return self.transposed(value.tensor, tuple(layout.index(axis) for axis in range(len(base))))

    def arranged(self, value: Stored, layout: Layout) -> Stored:
        """``value`` in the order ``layout``, not reshaped any more."""
        return replace(value, tensor=self.arrange(value, layout), base=value.shape, layout=layout)

    def plain(self, value: Stored) -> Stored:
        """``value`` in some order, not reshaped any more."""
        if value.shape == value.base:
            return value
        return self.arranged(value, tuple(range(len(value.shape))))

    def reshape(self, value: Stored, shape: Shape) -> Stored:
        """``value`` under another shape: nothing moves until somebody needs it."""
        if math.prod(shape) != math.prod(value.shape):
            raise InputError(f"shape {value.shape} cannot become {shape}: the sizes differ")
        return replace(value, shape=shape)

    # Values.

    def result(
        self,
        stem: str,
        shape: Shape,
        layout: Layout,
        quantization: Quantization,
        dtype: np.dtype = INT8,
    ) -> Stored:
        """A new tensor of ONNX shape ``shape``, in the order ``layout``."""
        name = self.tensor(stem, tuple(shape[axis] for axis in layout), quantization, dtype)
        return Stored(name, shape, layout, shape)

    def like(self, value: Stored, shape: Shape, stem: str) -> Stored:
        """A new tensor for elements of ``value``, which is not reshaped: as it in all but shape."""
        tensor = self.tensors[value.tensor]
        result = self.result(stem, shape, value.layout, self.quantization(value), tensor.dtype)
        return replace(result, integer=value.integer)

    def realise(self, pending: Pending, quantization: Quantization, stem: str) -> Stored:
        """Write a pending result with the scale and zero point that it gets."""
        try:
            activation = activation_of(pending.clamp, quantization)
        except InputError as error:
            raise InputError(f"the result of node {pending.node!r}: {error}") from None
        if pending.fuses:
            return pending.make(quantization, activation, stem)
        stored = pending.make(quantization, "NONE", stem)
        if activation == "NONE":
            return stored
        return self.clamped(stored, activation, pending.node)

    def clamped(self, value: Stored, activation: str, stem: str) -> Stored:
        """``value`` through RELU or one of its kind, with the same scale and zero point."""
        assert activation in ACTIVATIONS, activation
        return self.unary(value, activation, stem, f"{value.tensor}:{activation.lower()}",
                          self.quantization(value))  # fmt: skip

    def unary(
        self,
        value: Stored,
        op: str,
        node: str,
        stem: str,
        quantization: Quantization,
        dtype: np.dtype = INT8,
        **attributes: Any,
    ) -> Stored:
        """``value`` through an element-wise operator, wherever its elements are."""
        shape = self.tensors[value.tensor].shape
        output = self.tensor(stem, shape, quantization, dtype)
        self.node(op, node, (value.tensor,), (output,), **attributes)
        return replace(value, tensor=output)

    def requantized(
        self, value: Stored, quantization: Quantization, node: str, stem: str
    ) -> Stored:
        """``value`` as int8 with another scale and zero point, by a QUANTIZE if it needs one."""
        tensor = self.tensors[value.tensor]
        if tensor.quantization == quantization and tensor.dtype == INT8:
            return value
        return self.unary(value, "QUANTIZE", node, stem, quantization)

    def widened(self, value: Stored, node: str) -> Stored:
        """``value`` as int16 in steps 128 times as fine: exact, since 255 * 128 fits."""
        (scale,) = self.quantization(value).scale
        fine = Quantization((scale / WIDER,), (0,))
        return self.unary(value, "QUANTIZE", node, f"{value.tensor}:int16", fine, INT16)
