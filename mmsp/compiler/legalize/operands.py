"""The operands of one node, checked as legalisation takes them."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsp.errors import InputError
from mmsp.graph import Graph, Node, Tensor

__all__ = ["INT8", "INT16", "Operands"]

INT8 = np.dtype(np.int8)
INT16 = np.dtype(np.int16)
INT32 = np.dtype(np.int32)
IMAGE_RANK = 4


class Operands:
    """Operands and attributes of ``node``, by position and by name.

    Every method raises `InputError` with a reason when the operand is not what it should be; the
    caller puts the node's name in front with `error`.
    """

    def __init__(self, graph: Graph, node: Node):
        self.graph = graph
        self.node = node

    @property
    def tensors(self) -> list[Tensor]:
        """All operands that are there, inputs first."""
        names = [name for name in (*self.node.inputs, *self.node.outputs) if name is not None]
        return [self.graph.tensors[name] for name in names]

    def error(self, reason: str) -> InputError:
        """Return an error that names the node."""
        return InputError(f"node {self.node.name!r} ({self.node.op}): {reason}")

    def attribute(self, name: str) -> Any:
        """Value of an attribute."""
        if name not in self.node.attributes:
            raise InputError(f"attribute {name} is missing")
        return self.node.attributes[name]

    @property
    def activation_name(self) -> str:
        """Name of the fused activation."""
        return self.attribute("activation")

    def optional(self, index: int) -> Tensor | None:
        """Input ``index``, or None when it is absent."""
        name = self.node.inputs[index] if index < len(self.node.inputs) else None
        return None if name is None else self.graph.tensors[name]

    def required(self, index: int, what: str) -> Tensor:
        """Input ``index``, which must be there."""
        tensor = self.optional(index)
        if tensor is None:
            raise InputError(f"input {index} ({what}) is missing")
        return tensor

    def activation(self, index: int, *, wide: bool = False) -> Tensor:
        """Input ``index``: int8, or with ``wide`` int16 as well; not constant, batch 1."""
        if wide:
            return self.stored(index)
        tensor = self.required(index, "an activation")
        if tensor.data is not None:
            raise InputError(f"input {tensor.name!r} is constant, which is not supported here")
        return check_activation(tensor)

    def stored(self, index: int, *, sequence: bool = False) -> Tensor:
        """Input ``index``, int8 or int16, not constant; with ``sequence``, perhaps time-major."""
        tensor = self.required(index, "an activation")
        if tensor.data is not None:
            raise InputError(f"input {tensor.name!r} is constant, which is not supported here")
        return check_stored(tensor, sequence=sequence)

    def output_of(self, index: int, *, sequence: bool = False) -> Tensor:
        """Output ``index``, int8 or int16; with ``sequence``, perhaps time-major."""
        if index >= len(self.node.outputs):
            raise InputError(f"has {len(self.node.outputs)} outputs, and {index + 1} are expected")
        return check_stored(self.graph.tensors[self.node.outputs[index]], sequence=sequence)

    def image(self, index: int, *, wide: bool = False) -> Tensor:
        """Input ``index``: an activation of 4 dimensions."""
        tensor = self.activation(index, wide=wide)
        if len(tensor.shape) != IMAGE_RANK:
            raise InputError(f"input {tensor.name!r} has shape {tensor.shape}, not 4 dimensions")
        return tensor

    def output(self, source: Tensor | None = None, *, sequence: bool = False) -> Tensor:
        """The one output: batch 1, int8, or of the type of ``source``."""
        if len(self.node.outputs) != 1:
            raise InputError(f"has {len(self.node.outputs)} outputs, and 1 is expected")
        tensor = self.graph.tensors[self.node.outputs[0]]
        if source is None:
            return check_activation(tensor)
        if tensor.dtype != source.dtype:
            raise InputError(
                f"output {tensor.name!r} is {tensor.dtype}, and must be {source.dtype} as input "
                f"{source.name!r} is"
            )
        return check_stored(tensor, sequence=sequence)

    def intermediate(self, suffix: str, shape: tuple[int, ...], dtype: np.dtype) -> Tensor:
        """Add a tensor to the graph, between the layers that this node becomes.

        Legalising the graph once more finds the same tensor again.
        """
        name = f"{self.node.name}:{suffix}"
        while True:
            tensor = Tensor(name, shape, np.dtype(dtype))
            if self.graph.tensors.setdefault(name, tensor) == tensor:
                return tensor
            name += "'"

    def constant(self, index: int, what: str) -> NDArray:
        """Data of input ``index``, which must be constant."""
        tensor = self.required(index, what)
        if tensor.data is None:
            raise InputError(f"{what} {tensor.name!r} must be constant")
        return tensor.data

    def weights(self, rank: int) -> tuple[Tensor, NDArray[np.int8]]:
        """Input 1: constant int8 weights of ``rank`` dimensions with zero point 0."""
        tensor, data = self.required(1, "weights"), self.constant(1, "weights")
        if tensor.dtype != INT8:
            raise InputError(f"weights {tensor.name!r} are {tensor.dtype}, and must be int8")
        if len(tensor.shape) != rank or tensor.size < 1:
            raise InputError(
                f"weights {tensor.name!r} have shape {tensor.shape}, and must have {rank} "
                f"dimensions, none of them empty"
            )
        if tensor.quantization is None:
            raise InputError(f"weights {tensor.name!r} have no scale")
        if any(tensor.quantization.zero_point):
            zero_point = next(z for z in tensor.quantization.zero_point if z)
            raise InputError(
                f"weights {tensor.name!r} have zero point {zero_point}, and it must be 0"
            )
        for scale in tensor.quantization.scale:
            check_scale(scale, tensor)
        return tensor, data

    def bias(
        self, channels: int, index: int = 2, *, dtypes: tuple[np.dtype, ...] = (INT32,)
    ) -> NDArray | None:
        """Input ``index``: constant bias of ``channels`` entries, None when it is absent.

        ``dtypes`` are the types that it may have; its values must fit int32.
        """
        tensor = self.optional(index)
        if tensor is None:
            return None
        data = self.constant(index, "bias")
        if tensor.dtype not in dtypes or tensor.size != channels:
            types = " or ".join(str(dtype) for dtype in dtypes)
            raise InputError(
                f"bias {tensor.name!r} is {tensor.dtype} of shape {tensor.shape}, "
                f"and must be {types} with {channels} entries"
            )
        limits = np.iinfo(np.int32)
        beyond = data[(data < limits.min) | (data > limits.max)]
        if beyond.size:
            raise InputError(
                f"bias {tensor.name!r} holds {beyond.ravel()[0]}, and the engine adds "
                f"{limits.min}..{limits.max}"
            )
        return data.reshape(channels)

    def per_tensor(self, tensor: Tensor) -> tuple[float, int]:
        """Scale and zero point of an activation."""
        quantization = tensor.quantization
        if quantization is None or len(quantization.scale) != 1:
            count = 0 if quantization is None else len(quantization.scale)
            raise InputError(f"tensor {tensor.name!r} has {count} scales, and must have 1")
        (scale,), (zero_point,) = quantization.scale, quantization.zero_point
        check_scale(scale, tensor)
        if zero_point not in range(-128, 128):
            raise InputError(
                f"tensor {tensor.name!r} has zero point {zero_point}, not one of -128..127"
            )
        if tensor.dtype == INT16 and zero_point != 0:
            raise InputError(
                f"tensor {tensor.name!r} is int16 with zero point {zero_point}, and it must be 0"
            )
        return scale, zero_point

    def require_equal_quantization(self, source: Tensor, output: Tensor) -> None:
        """Require an operator that only moves bytes to keep scale and zero point."""
        if self.per_tensor(source) != self.per_tensor(output):
            raise InputError(
                f"scale and zero point change from {self.per_tensor(source)} to "
                f"{self.per_tensor(output)}, and must stay"
            )

    def check_window_output(
        self, source: Tensor, output: Tensor, kernel: tuple[int, int], channels: int
    ) -> None:
        """Require the output's shape to follow from the window's attributes."""
        sizes = []
        dilation = self.node.attributes.get("dilation", (1, 1))
        for axis, pair in enumerate(self.attribute("padding")):
            extent = (kernel[axis] - 1) * dilation[axis] + 1
            free = source.shape[1 + axis] + sum(pair) - extent
            sizes.append(free // self.attribute("stride")[axis] + 1)
        expected = (1, *sizes, channels)
        if min(sizes) < 1 or output.shape != expected:
            raise InputError(
                f"the output has shape {output.shape}, and input {source.shape} with kernel "
                f"{kernel} gives {expected}"
            )


def check_activation(tensor: Tensor) -> Tensor:
    """Require an int8 tensor that has a view as pixels."""
    if tensor.dtype != INT8:
        raise InputError(f"tensor {tensor.name!r} is {tensor.dtype}, and must be int8")
    return check_stored(tensor)


def check_stored(tensor: Tensor, *, sequence: bool = False) -> Tensor:
    """Require an int8 or int16 tensor that has a view as pixels, in the order of its dimensions.

    With ``sequence`` the first dimension may be time: a view of other dimensions, but no other
    bytes.
    """
    if tensor.dtype not in (INT8, INT16):
        raise InputError(f"tensor {tensor.name!r} is {tensor.dtype}, and must be int8 or int16")
    if len(tensor.pixels) and not tensor.shape:
        raise InputError(f"tensor {tensor.name!r} is a scalar, and needs a dimension")
    if tensor.time_major and not sequence:
        raise InputError(
            f"tensor {tensor.name!r} has shape {tensor.shape}: the first dimension is the batch, "
            f"which must be 1, or the time of a recurrent operator"
        )
    return tensor


def check_scale(scale: float, tensor: Tensor) -> None:
    """Require a scale that can be divided by."""
    if not (math.isfinite(scale) and scale > 0):
        raise InputError(
            f"tensor {tensor.name!r} has scale {scale!r}, and it must be positive and finite"
        )
