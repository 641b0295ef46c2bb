"""Golden model of the engine's drain: accumulators to outputs, mode by mode, and where they go.

Totals are those of 40-bit accumulators; but for `drain_scale` with one rounding, the low 32 bits of
them count, and all arithmetic wraps in ``int32``.  Channels are the last axis.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.engine.requantization import clamp_to, requantize
from models.fixedpoint import (
    IntArray,
    multiply_and_round_once,
    multiply_by_quantized_multiplier,
    wrap,
)

__all__ = [
    "OperandScale",
    "OutputRange",
    "OutputWalk",
    "drain_add",
    "drain_average",
    "drain_leaky",
    "drain_multiply",
    "drain_prelu",
    "drain_scale",
]


@dataclass(frozen=True, kw_only=True)
class OutputRange:
    """Type and zero point of the output, and the range that the fused activation leaves."""

    zero_point: int
    minimum: int
    maximum: int
    dtype: type[np.int8] | type[np.int16] = np.int8

    def finish(self, scaled: IntArray) -> NDArray[Any]:
        """Add the zero point, which wraps, and clamp."""
        return clamp_to(self.dtype, wrap(scaled + self.zero_point), self.minimum, self.maximum)


@dataclass(frozen=True, kw_only=True)
class OperandScale:
    """Rescaling of one operand of a sum, or of one sign, the same for all channels."""

    multiplier: int
    shift: int

    def apply(self, values: IntArray, left_shift: int = 0) -> IntArray:
        """Rescale what is shifted left first, and wraps."""
        return multiply_by_quantized_multiplier(
            wrap(values << left_shift), self.multiplier, self.shift
        )


Scales = tuple[OperandScale, OperandScale]


def drain_scale(
    total: IntArray,
    output: OutputRange,
    *,
    bias: IntArray,
    multiplier: IntArray,
    shift: IntArray,
    single_rounding: bool,
) -> NDArray[Any]:
    """Rescale per channel; with ``single_rounding``, ``multiplier`` is already reduced to Q0.15."""
    if single_rounding:
        return output.finish(multiply_and_round_once(total + bias, multiplier, shift))
    return requantize(total, bias=bias, multiplier=multiplier, shift=shift, **vars(output))


def drain_average(total: IntArray, count: IntArray, output: OutputRange) -> NDArray[Any]:
    """``total / count``, ties away from zero, by an actual division."""
    total = wrap(total)
    return output.finish(np.sign(total) * ((np.abs(total) + count // 2) // count))


def drain_add(
    operands: tuple[IntArray, IntArray],
    scales: Scales,
    left_shift: int,
    output: OutputRange,
    *,
    bias: IntArray,
    multiplier: IntArray,
    shift: IntArray,
    subtract: bool = False,
) -> NDArray[Any]:
    """Sum or difference of two rescaled operands, itself rescaled per channel."""
    first, second = (scale.apply(x, left_shift) for x, scale in zip(operands, scales, strict=True))
    result = first - second if subtract else first + second
    return requantize(wrap(result), bias=bias, multiplier=multiplier, shift=shift, **vars(output))


def drain_multiply(
    operands: tuple[IntArray, IntArray],
    output: OutputRange,
    *,
    bias: IntArray,
    multiplier: IntArray,
    shift: IntArray,
) -> NDArray[Any]:
    """Product of two operands, rescaled per channel."""
    product = operands[0] * operands[1]
    return requantize(product, bias=bias, multiplier=multiplier, shift=shift, **vars(output))


def drain_leaky(total: IntArray, scales: Scales, output: OutputRange) -> NDArray[Any]:
    """Rescale values >= 0 by the first of ``scales``, others by the second."""
    total = wrap(total)
    return drain_prelu(total, total, scales, output)


def drain_prelu(
    value: IntArray, product: IntArray, scales: Scales, output: OutputRange
) -> NDArray[Any]:
    """Rescale values >= 0 by the first of ``scales``, the product of others by the second."""
    positive, negative = (scale.apply(x) for x, scale in zip((value, product), scales, strict=True))
    return output.finish(np.where(value >= 0, positive, negative))


@dataclass(frozen=True, kw_only=True)
class OutputWalk:
    """Where the words of an output tensor go, in the order in which they are finished.

    The steps are those of `hdl.engine.descriptor.Descriptor`; the counts are not reduced by one.
    ``wide``: outputs are int16, two words a pixel.
    """

    groups: int
    height: int
    width: int
    base: int
    row0: int
    row_words: int
    pixel_step: int
    row_step: int
    wide: bool = False

    def addresses(self, *, banks: int, bank_words: int) -> Iterator[tuple[int, int]]:
        """``(bank, word address)``: group after group, row after row, pixel after pixel."""
        planes = 2 if self.wide else 1
        for group in range(self.groups):
            for y in range(self.height):
                row = self.row0 + y * self.row_step
                line = self.base + row // banks * self.row_words + group * planes
                for x in range(self.width):
                    for plane in range(planes):
                        yield row % banks, (line + x * self.pixel_step + plane) % bank_words
