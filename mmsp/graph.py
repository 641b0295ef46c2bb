"""Graphs of tensors and operators, as importers produce them and legalisation consumes them."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsp.arrangement import Steps, softmax
from mmsp.errors import InputError

__all__ = ["Graph", "HostConversion", "Node", "Quantization", "Tensor"]

BATCHED_RANK = 4
"""Rank of an image tensor, whose first dimension is the batch."""


@dataclass(frozen=True)
class Quantization:
    """Affine quantisation: ``real = scale * (q - zero_point)``.

    Scales are the float32 values of the file, held as Python floats.  One entry stands for the
    whole tensor; more are one for each index of dimension ``axis``.
    """

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int = 0


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of a graph: a constant when it has ``data``."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    quantization: Quantization | None = None
    data: NDArray | None = None
    bits: int | None = None
    """Bits of a weight as the file stores it, where they are fewer than those of ``dtype``."""

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def pixels(self) -> tuple[int, int, int]:
        """The shape as ``(H, W, C)``, the batch left away.

        ``(1, H, W, C)`` gives ``(H, W, C)``, ``(1, W, C)`` and ``(W, C)`` give ``(1, W, C)``, and
        ``(C,)`` gives ``(1, 1, C)``; a matrix of one row is one pixel of ``C`` channels.  A
        sequence whose time comes first, ``(T, 1, C)``, gives ``(1, T, C)``, the same bytes.

        Raises
        ------
        InputError
            When there is no such view: a batch above 1, an empty dimension, a rank above 4.
        """
        problem = None
        if len(self.shape) > BATCHED_RANK:
            problem = "at most 4 dimensions are supported"
        elif any(size < 1 for size in self.shape):
            problem = "every dimension must be at least 1"
        elif len(self.shape) >= BATCHED_RANK - 1 and self.shape[0] != 1 and not self.time_major:
            problem = "the first dimension is the batch, which must be 1"
        if problem:
            raise InputError(f"tensor {self.name!r} has shape {self.shape}: {problem}")
        if self.time_major:
            return 1, self.shape[0], self.shape[2]
        inner = self.shape[1:] if len(self.shape) >= BATCHED_RANK - 1 else self.shape
        height, width, channels = (1, 1, 1, *inner)[-3:]
        return height, width, channels

    @property
    def time_major(self) -> bool:
        """Whether it is a sequence ``(T, 1, C)`` of several steps and batch 1."""
        return len(self.shape) == BATCHED_RANK - 1 and self.shape[0] > 1 and self.shape[1] == 1

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tensor):
            return NotImplemented
        if (self.name, self.shape, self.dtype, self.quantization, self.bits) != (
            other.name,
            other.shape,
            other.dtype,
            other.quantization,
            other.bits,
        ):
            return False
        if self.data is None or other.data is None:
            return self.data is other.data
        return self.data.tobytes() == other.data.tobytes()

    __hash__ = None  # type: ignore[assignment]  # holds an array: compared by value, never a key


@dataclass(frozen=True)
class Node:
    """One operator.  An input of None is an optional operand that is absent."""

    op: str
    name: str
    inputs: tuple[str | None, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class HostConversion:
    """A conversion at the edge of a graph that the host does, so that the chip sees integers only.

    ``outside`` is the tensor that the file declares, float32 or uint8; ``inside`` names the tensor
    of the graph, int8 or, against float32 only, int16.  ``quantization`` is that of ``inside``.
    """

    node: str
    op: str
    direction: str  # "input" or "output"
    outside: Tensor
    inside: str
    quantization: Quantization
    inside_dtype: np.dtype = field(default=np.dtype(np.int8))
    steps: Steps = ()
    """How elements are reordered from where they come to where they go.

    `to_inside` and `to_outside` leave the order alone; see `mmsp.arrangement.rearrange`.
    """
    softmax_axis: int | None = None
    """Dimension of an output, counted from its last one (-1), of a softmax at the very end."""

    @property
    def sentence(self) -> str:
        """What the conversion does, for the user."""
        (scale,), (zero_point,) = self.quantization.scale, self.quantization.zero_point
        outside, parameters = self.outside, f"scale {scale:.9g}, zero point {zero_point}"
        preposition = "to" if self.direction == "input" else "from"
        done = [f"converted {preposition} {self.inside_dtype} ({parameters})"]
        if outside.dtype == self.inside_dtype:
            done.clear()
        if self.steps:
            done.append("reordered")
        if self.softmax_axis is not None:
            done.append("passed through a softmax in floating point")
        return (
            f"{self.direction} {outside.name!r} is {outside.dtype}: "
            f"{' and '.join(done) or 'renamed'} on the host"
        )

    def to_inside(self, values: NDArray) -> NDArray:
        """Quantise what the user gives (float32 or uint8) to the graph's int8 or int16 input.

        float32 rounds half away from zero and saturates, as TFLM's ``AffineQuantize`` does.
        """
        if self.outside.dtype == np.uint8:
            return (np.asarray(values, np.uint8) ^ np.uint8(0x80)).view(np.int8)
        scale = np.float32(self.quantization.scale[0])
        scaled = np.asarray(values, np.float32) / scale
        # Truncation of |x| + 0.5 in float64, where the sum of a float32 and 0.5 is exact enough
        # that no value below a half is rounded up to one.
        rounded = np.trunc(scaled.astype(np.float64) + np.copysign(0.5, scaled))
        shifted = rounded + self.quantization.zero_point[0]
        limits = np.iinfo(self.inside_dtype)
        return np.clip(shifted, limits.min, limits.max).astype(self.inside_dtype)

    def to_outside(self, values: NDArray) -> NDArray:
        """Convert the graph's int8 or int16 output to what the file declares."""
        if self.outside.dtype == np.uint8:
            return np.asarray(values, np.int8).view(np.uint8) ^ np.uint8(0x80)
        offset = np.asarray(values, np.int32) - self.quantization.zero_point[0]
        # TFLM's Dequantize multiplies in double and rounds once, to float32.
        real = (np.float64(self.quantization.scale[0]) * offset).astype(np.float32)
        return real if self.softmax_axis is None else softmax(real, self.softmax_axis)


@dataclass
class Graph:
    """A network: nodes in an order in which they can run, and the tensors between them.

    Tensor names are unique.  ``host_conversions`` lists what was taken off the ends of the graph;
    ``inputs`` and ``outputs`` name what is left, the tensors that the chip reads and writes.

    ``variables`` are tensors whose values live on from one run to the next, by name, with what they
    hold before the first run or after a reset.  READ_VARIABLE copies one to its output,
    ASSIGN_VARIABLE copies its second input to its first; an operator with a state of its own (an
    LSTM, say) names its variables among its inputs.
    """

    name: str
    tensors: dict[str, Tensor]
    nodes: list[Node]
    inputs: list[str]
    outputs: list[str]
    host_conversions: list[HostConversion] = field(default_factory=list)
    variables: dict[str, NDArray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """Sentences about what an importer changed."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Graph):
            return NotImplemented
        # By hand, since arrays have no truth of their own to compare dictionaries by.
        mine, theirs = self.variables, other.variables
        if {**vars(self), "variables": None} != {**vars(other), "variables": None}:
            return False
        return mine.keys() == theirs.keys() and all(
            mine[name].dtype == theirs[name].dtype and np.array_equal(mine[name], theirs[name])
            for name in mine
        )

    __hash__ = None  # type: ignore[assignment]  # mutable: compared by value, never a key

    @property
    def conversions(self) -> list[str]:
        """One sentence for each host conversion, and the notes."""
        return [*(conversion.sentence for conversion in self.host_conversions), *self.notes]
