"""Scales with which the output of a node fills its type, more or less."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from mmsp.fuzz.choices import INT8, float32, random_zero_point
from mmsp.graph import Node, Quantization, Tensor

__all__ = ["calibrate", "starting_scale"]

TRIALS = 8
"""Scales tried until the outputs of a node fill the range."""

FEW_SATURATED = 0.01

SMALLEST_SCALE, LARGEST_SCALE = 2.0**-24, 2.0**20


def calibrate(
    rng: Generator,
    node: Node,
    output: Tensor,
    run: Callable[[Node, Tensor], Sequence[NDArray]],
    start: float,
) -> Quantization:
    """Scale and zero point for ``output``, beginning with the scale ``start``.

    ``run`` returns the values of an output for every sample.  The final range is that of the
    values, or half or twice as wide; one zero point in eight is arbitrary.
    """
    limits = np.iinfo(output.dtype)
    plain = replace(node, attributes=node.attributes | {"activation": "NONE"})
    scale, low, high = start, -1, 1
    for _ in range(TRIALS):
        quantization = Quantization((float32(scale),), (0,))
        values = np.stack(run(plain, replace(output, quantization=quantization)))
        low, high = min(int(values.min()), 0), max(int(values.max()), 0)
        if np.mean((values == values.min()) | (values == values.max())) > FEW_SATURATED and (
            low == limits.min or high == limits.max
        ):
            scale *= 8
        elif 0 < max(high, -low) < (limits.max + 1) // 4:
            scale /= (limits.max + 1) / (max(high, -low) + 1)
        else:
            break
    widen = 2.0 ** rng.uniform(-1, 1)
    if output.dtype != INT8:
        step = scale * max(high, -low, 1) / limits.max * widen
        return Quantization((float32(np.clip(step, SMALLEST_SCALE, LARGEST_SCALE)),), (0,))
    step = scale * max(high - low, 1) / 255 * widen
    step = float32(np.clip(step, SMALLEST_SCALE, LARGEST_SCALE))
    zero = -128 - round(low * scale / step) + int(rng.integers(-20, 21))
    if rng.integers(8) == 0:
        zero = random_zero_point(rng)
    return Quantization((step,), (int(np.clip(zero, -128, 127)),))


def starting_scale(operands: Sequence[Tensor], output: Tensor) -> float:
    """Scale to begin with: twice the coarsest of the operands, in steps of the output's type."""
    widths = {name: np.iinfo(name).bits for name in ("int8", "int16")}
    return 2 * max(
        operand.quantization.scale[0]
        * 2.0 ** (widths[operand.dtype.name] - widths[output.dtype.name])
        for operand in operands
        if operand.quantization is not None and operand.dtype.name in widths
    )
