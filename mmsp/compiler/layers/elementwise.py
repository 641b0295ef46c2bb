"""Layers that work on every element for itself; activations are int8 or int16."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmsp.compiler.layers.base import Layer, Requantization, Unary

__all__ = ["Add", "Binary", "Curve", "Multiply", "Plain", "Scale", "Table"]


@dataclass(frozen=True, kw_only=True)
class Binary(Layer):
    """Two operands; in each dimension an operand has the output's size, or 1 and is repeated."""

    operands: tuple[str, str]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors that the layer reads, in order."""
        return self.operands


@dataclass(frozen=True, kw_only=True)
class Add(Binary):
    """ADD or SUB with TFLite's three scales; shifts are exponents <= 0.

    ``left_shift`` (int8: 20, int16: 15) widens both operands before they are rescaled.
    """

    subtract: bool = False
    input_zero_points: tuple[int, int]
    input_multipliers: tuple[int, int]
    input_shifts: tuple[int, int]
    left_shift: int
    requantization: Requantization  # one entry: the sum to the output


@dataclass(frozen=True, kw_only=True)
class Multiply(Binary):
    """MUL: the product of both operands less their zero points, rescaled."""

    input_zero_points: tuple[int, int]
    requantization: Requantization  # one entry


@dataclass(frozen=True, kw_only=True)
class Plain(Binary):
    """Two operands of one scale, combined without rescaling.

    ``sum`` and ``difference`` are those of the values less ``input_zero_points``, plus
    ``zero_point``; ``maximum`` and ``minimum`` compare.  The result is clamped to ``range``.
    """

    kind: Literal["sum", "difference", "maximum", "minimum"]
    input_zero_points: tuple[int, int] = (0, 0)
    zero_point: int = 0
    range: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Scale(Unary):
    """QUANTIZE, RELU, LEAKY_RELU, PRELU: rescale, negative values perhaps otherwise.

    ``requantization`` has one entry; ``negative`` is ``(multiplier, shift)`` for values below the
    zero point, after a multiplication with ``alpha`` of their channel if there is one.
    """

    input_zero_point: int
    requantization: Requantization
    negative: tuple[int, int] | None = None
    alpha: NDArray[np.int16] | None = None


@dataclass(frozen=True, kw_only=True)
class Table(Unary):
    """An int8 function by its table: LOGISTIC and TANH.  ``table[x & 0xFF]``, int8."""

    table: NDArray[np.int8]


@dataclass(frozen=True, kw_only=True)
class Curve(Unary):
    """LOGISTIC or TANH, int16 to int16 (Q0.15), by interpolation in TFLite's sigmoid table.

    The argument is ``(x * multiplier + round) >> shift``.
    """

    kind: Literal["logistic", "tanh"]
    multiplier: int
    shift: int
