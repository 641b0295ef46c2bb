"""What all layers have in common."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Layer", "Padding", "Requantization", "Unary"]

Padding = tuple[tuple[int, int], tuple[int, int]]
"""``((top, bottom), (left, right))`` in pixels."""


@dataclass(frozen=True, kw_only=True)
class Requantization:
    """Accumulator to activation: ``clamp(rescale(acc + bias, multiplier, shift) + zero_point)``.

    ``multiplier`` is Q0.31, ``shift`` is TFLite's exponent (positive: left), one entry an output
    channel.  ``minimum`` and ``maximum`` are within the output's type, int8 or int16.

    ``rounding``: "double" is `models.fixedpoint.multiply_by_quantized_multiplier` of an int32
    accumulator; "single" is TFLite's form for int64 accumulators (int16 activations), whose
    multiplier is reduced to 15 bits: see `models.fixedpoint.multiply_by_reduced_multiplier`.
    """

    multiplier: NDArray[np.int32]
    shift: NDArray[np.int32]
    zero_point: int
    minimum: int
    maximum: int
    rounding: Literal["double", "single"] = "double"


@dataclass(frozen=True, kw_only=True)
class Layer(ABC):
    """A step of a network: the tensors it reads, in order, and the one that it writes.

    ``name`` and ``op`` are those of the node that the layer was made of.
    """

    name: str
    op: str
    output: str

    @property
    @abstractmethod
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors that the layer reads, in order."""

    @property
    def temporaries(self) -> tuple[str, ...]:
        """Names of tensors that live within the layer only."""
        return ()


@dataclass(frozen=True, kw_only=True)
class Unary(Layer):
    """A layer that reads one tensor."""

    input: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors that the layer reads, in order."""
        return (self.input,)
