"""Code generation for element-wise layers.

The array does what fits its words: int8 operands with all channels of the output, and rescaling of
one operand of any type.  Everything else goes through the vector unit, one element a cycle.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdl.config import MRAM_WORD_BYTES, ChipConfig
from hdl.engine.descriptor import Drain, Feed, Operation, Reduction
from hdl.engine.vector_descriptor import VectorFunction
from mmsp.compiler.layers import Add, Curve, Multiply, Plain, Requantization, Scale, Table
from mmsp.compiler.lower.conv import (
    Fields,
    Grid,
    channel_groups,
    operand,
    output,
    stripes,
    window_passes,
)
from mmsp.compiler.lower.feeds import HISTORY
from mmsp.compiler.lower.jobs import Job
from mmsp.compiler.lower.vector import broadcast_moves, natural_levels, vector_job, vector_place
from mmsp.compiler.placement import Placement

__all__ = [
    "lower_add",
    "lower_curve",
    "lower_multiply",
    "lower_plain",
    "lower_scale",
    "lower_table",
]

UNIT = (1, 1)

PLAIN_FUNCTIONS = {
    "sum": VectorFunction.SUM,
    "difference": VectorFunction.DIFFERENCE,
    "maximum": VectorFunction.MAXIMUM,
    "minimum": VectorFunction.MINIMUM,
}
CURVE_FUNCTIONS = {"logistic": VectorFunction.LOGISTIC, "tanh": VectorFunction.TANH}


def array_takes(sources: Sequence[Placement], target: Placement) -> bool:
    """Whether the array can combine the operands: int8, repeated along rows and columns at most."""
    channels = target.pixels[2]
    return not any(place.wide or place.pixels[2] != channels for place in (*sources, target))


def array_operand(place: Placement, zero_point: int, target: Placement) -> Fields:
    """Operand fields of a tensor that is repeated where it has one row or one column."""
    fields = operand(place, zero_point) | {"one_row": int(place.pixels[0] < target.pixels[0])}
    return fields | ({"pixel_words": 0} if place.pixels[1] < target.pixels[1] else {})


def array_job(
    index: int,
    target: Placement,
    requantization: Requantization,
    config: ChipConfig,
    *,
    passes: int,
    wide_in: bool = False,
    tiles: list[list[NDArray[np.int8]]] | None = None,
    **fields: Any,
) -> Job:
    """A job of the window feed with one tap: weights are one, or ``tiles``, one a pass."""
    height, width, _ = target.pixels
    counts = stripes(height * width, passes * (2 if wide_in else 1), config)
    group_words = sum(-(-tile.size // MRAM_WORD_BYTES) for tile in (tiles or [[]])[0])
    return Job(
        layer=index,
        fields={
            "operation": Operation.JOB,
            "feed": Feed.WINDOW,
            "reduction": Reduction.SUM,
            "ones": int(tiles is None),
            "refetch": int(counts["stripes_last"] > 0 and group_words > config.cache_words),
            "wide_in": int(wide_in),
            "wide_out": int(target.wide),
            **window_passes(UNIT, UNIT, config),
            **output(target, Grid(height=height, width=width), requantization),
            **counts,
            "groups_last": target.groups - 1,
            "rows_passes_last": passes - 1,
            "row_step": 0,
            "stride_h": 1,
            "stride_w": 1,
            "in_h": height,
            "in_w": width,
            **fields,
        },
        channels=channel_groups(
            np.zeros(target.groups * config.rows, np.int32), requantization, config
        ),
        tiles=tiles or [],
    )


def binary_vector_job(
    index: int,
    function: VectorFunction,
    sources: Sequence[Placement],
    target: Placement,
    *,
    input_zero_points: tuple[int, int],
    zero_point: int,
    limits: tuple[int, int],
    **fields: Any,
) -> Job:
    """A job of the vector unit on two operands, each repeated where it has one element."""
    first, second = sources
    return vector_job(
        index,
        function,
        target,
        out=vector_place(target, zero_point),
        limits=limits,
        a=vector_place(first, input_zero_points[0]),
        a_levels=natural_levels(target.pixels, first.pixels),
        b=vector_place(second, input_zero_points[1]),
        b_moves=broadcast_moves(target.pixels, second.pixels),
        **fields,
    )


def requantization_fields(requantization: Requantization) -> Fields:
    """Fields of the vector unit for one requantisation of all elements."""
    return {
        "zero_point": requantization.zero_point,
        "limits": (requantization.minimum, requantization.maximum),
        "multiplier": requantization.multiplier.item(),
        "shift": requantization.shift.item(),
    }


def lower_add(
    layer: Add, index: int, sources: Sequence[Placement], target: Placement, config: ChipConfig
) -> list[Job]:
    """Sum or difference: both operands are rescaled, and so is the result."""
    fields: Fields = {
        "a_multiplier": layer.input_multipliers[0],
        "a_shift": layer.input_shifts[0],
        "b_multiplier": layer.input_multipliers[1],
        "b_shift": layer.input_shifts[1],
        "left_shift": layer.left_shift,
    }
    if array_takes(sources, target):
        drain = Drain.SUBTRACT if layer.subtract else Drain.ADD
        return [
            two_pass_job(
                index, drain, layer.input_zero_points, sources, target, layer.requantization,
                config, **fields,
            )
        ]  # fmt: skip
    function = VectorFunction.SUBTRACT if layer.subtract else VectorFunction.ADD
    return [
        binary_vector_job(
            index,
            function,
            sources,
            target,
            input_zero_points=layer.input_zero_points,
            **requantization_fields(layer.requantization),
            **fields,
        )
    ]


def two_pass_job(
    index: int, drain: Drain, zero_points: tuple[int, int], sources: Sequence[Placement],
    target: Placement, requantization: Requantization, config: ChipConfig, **fields: Any,
) -> Job:  # fmt: skip
    """One pass an operand; the drain combines them."""
    return array_job(
        index,
        target,
        requantization,
        config,
        passes=2,
        drain=drain,
        a=array_operand(sources[0], zero_points[0], target),
        b=array_operand(sources[1], zero_points[1], target),
        **fields,
    )


def lower_multiply(
    layer: Multiply, index: int, sources: Sequence[Placement], target: Placement, config: ChipConfig
) -> list[Job]:
    """Products of two tensors."""
    zero_points, requantization = layer.input_zero_points, layer.requantization
    if array_takes(sources, target):
        return [
            two_pass_job(
                index, Drain.MULTIPLY, zero_points, sources, target, requantization, config
            )
        ]
    return [
        binary_vector_job(
            index,
            VectorFunction.MULTIPLY,
            sources,
            target,
            input_zero_points=zero_points,
            **requantization_fields(requantization),
        )
    ]


def lower_plain(
    layer: Plain, index: int, sources: Sequence[Placement], target: Placement, config: ChipConfig
) -> list[Job]:
    """Two tensors of one scale, on the vector unit."""
    return [
        binary_vector_job(
            index,
            PLAIN_FUNCTIONS[layer.kind],
            sources,
            target,
            input_zero_points=layer.input_zero_points,
            zero_point=layer.zero_point,
            limits=layer.range,
        )
    ]


def lower_scale(
    layer: Scale, index: int, sources: Sequence[Placement], target: Placement, config: ChipConfig
) -> list[Job]:
    """A pass through the drain; with slopes, a second pass that multiplies by them."""
    (source,), requantization = sources, layer.requantization
    fields: Fields = {"a": operand(source, layer.input_zero_point), "wide_in": source.wide}
    if layer.negative is None:
        return [
            array_job(index, target, requantization, config, passes=1, drain=Drain.SCALE, **fields)
        ]
    fields |= {
        "a_multiplier": requantization.multiplier.item(),
        "a_shift": requantization.shift.item(),
        "b_multiplier": layer.negative[0],
        "b_shift": layer.negative[1],
    }
    if layer.alpha is None:
        return [
            array_job(index, target, requantization, config, passes=1, drain=Drain.LEAKY, **fields)
        ]
    tiles = [
        [one_tap(np.ones(config.rows), config), one_tap(layer.alpha[at : at + config.rows], config)]
        for at in range(0, len(layer.alpha), config.rows)
    ]
    return [
        array_job(
            index, target, requantization, config, passes=2, drain=Drain.PRELU, tiles=tiles,
            b=fields["a"], **fields,
        )
    ]  # fmt: skip


def one_tap(weights: NDArray, config: ChipConfig) -> NDArray[np.int8]:
    """A tile of the window feed: one weight a channel, in the newest column of the first row."""
    tile = np.zeros((config.window_rows, HISTORY, config.rows), np.int8)
    tile[0, -1, : len(weights)] = weights
    return tile.reshape(-1, config.rows)


def lower_table(
    layer: Table, index: int, sources: Sequence[Placement], target: Placement, config: ChipConfig
) -> list[Job]:
    """Table look-up on the vector unit."""
    return [
        vector_job(
            index,
            VectorFunction.TABLE,
            target,
            payload=layer.table,
            a=vector_place(sources[0]),
            a_levels=natural_levels(target.pixels),
        )
    ]


def lower_curve(
    layer: Curve, index: int, sources: Sequence[Placement], target: Placement, config: ChipConfig
) -> list[Job]:
    """Interpolation on the vector unit."""
    return [
        vector_job(
            index,
            CURVE_FUNCTIONS[layer.kind],
            target,
            a=vector_place(sources[0]),
            a_levels=natural_levels(target.pixels),
            a_multiplier=layer.multiplier,
            left_shift=layer.shift,
        )
    ]
