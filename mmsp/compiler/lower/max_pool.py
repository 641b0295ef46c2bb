"""Code generation for MAX_POOL_2D of int16: the vector unit compares what the array cannot."""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from hdl.engine.vector_descriptor import Axis, VectorFunction
from mmsp.compiler.layers import Pool
from mmsp.compiler.lower.jobs import Job
from mmsp.compiler.lower.vector import vector_job, vector_place
from mmsp.compiler.placement import Placement

__all__ = ["lower_wide_max_pool"]


@dataclass(frozen=True)
class Reach:
    """Along one axis: the outputs ``first`` to ``last``, which see ``tap`` inside the input."""

    tap: int
    first: int
    last: int

    @property
    def count(self) -> int:
        """How many outputs."""
        return self.last - self.first + 1


def lower_wide_max_pool(layer: Pool, index: int, source: Placement, target: Placement) -> list[Job]:
    """Each output begins as the first tap that it sees; one job a tap then takes the maximum."""
    axes = list(zip(source.pixels, target.pixels, layer.kernel, layer.stride, strict=False))
    befores = [before for before, _ in layer.padding]
    starts = [first_taps(*axis, before) for axis, before in zip(axes, befores, strict=True)]
    reaches = [every_tap(*axis, before) for axis, before in zip(axes, befores, strict=True)]

    def job(function: VectorFunction, rows: Reach, columns: Reach, **fields: Any) -> Job:
        size = (rows.count, columns.count, target.pixels[2])
        steps = ((Axis.CHANNEL, 1), (Axis.COLUMN, layer.stride[1]), (Axis.ROW, layer.stride[0]))
        return vector_job(
            index, function, target, size=size, limits=(layer.minimum, layer.maximum),
            out=vector_place(target, y=rows.first, x=columns.first),
            a=vector_place(
                source,
                y=rows.first * layer.stride[0] + rows.tap - befores[0],
                x=columns.first * layer.stride[1] + columns.tap - befores[1],
            ),
            a_levels=[
                {"last": size[axis.value] - 1, "axis": axis, "step": step} for axis, step in steps
            ],
            **fields,
        )  # fmt: skip

    jobs = [job(VectorFunction.COPY, *pair) for pair in itertools.product(*starts)]
    for rows, columns in itertools.product(*reaches):
        # The first tap once more: it has not been clamped yet.
        other = vector_place(target, y=rows.first, x=columns.first)
        jobs.append(job(VectorFunction.MAXIMUM, rows, columns, b=other, b_moves=[1, 1, 1]))
    return jobs


def first_taps(size: int, out: int, kernel: int, stride: int, before: int) -> list[Reach]:
    """Runs of outputs that have the same first tap inside the input."""
    taps = np.maximum(before - np.arange(out) * stride, 0).tolist()
    return [
        Reach(tap, taps.index(tap), len(taps) - 1 - taps[::-1].index(tap))
        for tap in dict.fromkeys(taps)
    ]


def every_tap(size: int, out: int, kernel: int, stride: int, before: int) -> list[Reach]:
    """For each tap that meets the input at all, the outputs where it does."""
    result = []
    for tap in range(kernel):
        at = np.arange(out) * stride + tap - before
        inside = np.flatnonzero((at >= 0) & (at < size)).tolist()
        if inside:
            result.append(Reach(tap, inside[0], inside[-1]))
    return result
