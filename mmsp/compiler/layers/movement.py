"""Layers that only move elements, whatever their type."""

from dataclasses import dataclass

from numpy.typing import NDArray

from mmsp.compiler.layers.base import Layer, Unary

__all__ = ["Concat", "Constant", "Copy", "Repeat", "Reshape", "Resize", "Slice", "Transpose"]


@dataclass(frozen=True, kw_only=True)
class Reshape(Unary):
    """RESHAPE: the same bytes in NHWC order under another shape."""


@dataclass(frozen=True, kw_only=True)
class Copy(Unary):
    """The same tensor in another place: READ_VARIABLE and ASSIGN_VARIABLE."""


@dataclass(frozen=True, kw_only=True)
class Constant(Layer):
    """A tensor out of the program: the constant operand of an element-wise operator."""

    values: NDArray

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors that the layer reads, in order."""
        return ()


@dataclass(frozen=True, kw_only=True)
class Concat(Layer):
    """CONCATENATION along ``axis``: 0 rows, 1 columns, 2 channels."""

    parts: tuple[str, ...]
    axis: int

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors that the layer reads, in order."""
        return self.parts


@dataclass(frozen=True, kw_only=True)
class Slice(Unary):
    """STRIDED_SLICE, SLICE, SPLIT: ``size`` elements of (H, W, C) from ``begin``, every ``step``.

    A step may be negative.  The output has these elements in their order, perhaps in another shape.
    """

    begin: tuple[int, int, int]
    step: tuple[int, int, int]
    size: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Transpose(Unary):
    """TRANSPOSE of (H, W, C): axis ``i`` of the output is axis ``order[i]`` of the input."""

    order: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Repeat(Unary):
    """Each channel ``times`` times, next to one another."""

    times: int
    zero_point: int


@dataclass(frozen=True, kw_only=True)
class Resize(Unary):
    """RESIZE_NEAREST_NEIGHBOR: output pixel ``(y, x)`` is input pixel ``(rows[y], columns[x])``."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]
