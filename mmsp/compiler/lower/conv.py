"""Code generation for layers with weights: feeds, passes, tiles and parameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdl.config import ChipConfig
from hdl.engine.descriptor import Drain, Feed, Operation, Reduction, WeightFormat
from mmsp.compiler.layers import Conv, Requantization
from mmsp.compiler.lower.feeds import HISTORY, dense_lanes, packed_shape
from mmsp.compiler.lower.jobs import Job
from mmsp.compiler.lower.weights import int16_digits, weight_format, weight_words
from mmsp.compiler.placement import Placement
from models.fixedpoint import reduce_multiplier

__all__ = [
    "Fields",
    "Grid",
    "channel_groups",
    "conv_job",
    "lower_conv",
    "operand",
    "output",
    "stripes",
    "window_passes",
]

Fields = dict[str, Any]


def operand(place: Placement, zero_point: int, *, y: int = 0, x: int = 0) -> Fields:
    """Operand fields of a tensor whose pixel ``(y, x)`` becomes the job's origin."""
    return {
        "base": place.base + x * place.pixel_words,
        "row0": place.row0 + y,
        "row_words": place.row_words,
        "pixel_words": place.pixel_words,
        "zero_point": zero_point,
    }


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Output pixels of one job: ``height x width`` of them, from ``(y, x)`` on, every ``step``."""

    height: int
    width: int
    y: int = 0
    x: int = 0
    step: tuple[int, int] = (1, 1)


def output(place: Placement, grid: Grid, requantization: Requantization) -> Fields:
    """Output fields of a job."""
    return {
        "groups_last": place.groups - 1,
        "out_h_last": grid.height - 1,
        "out_w_last": grid.width - 1,
        "out_base": place.base + grid.x * place.pixel_words,
        "out_row0": place.row0 + grid.y,
        "out_row_words": place.row_words,
        "out_pixel_step": grid.step[1] * place.pixel_words,
        "out_row_step": grid.step[0],
        "wide_out": int(place.wide),
        "single_rounding": int(requantization.rounding == "single"),
        "out_zero_point": requantization.zero_point,
        "out_min": requantization.minimum,
        "out_max": requantization.maximum,
    }


def stripes(pixels: int, passes: int, config: ChipConfig) -> Fields:
    """Cut the output into stripes of as many pixels as there are accumulators.

    A single pass needs no accumulators, so it takes all pixels at once.
    """
    stripe = pixels if passes == 1 else min(pixels, config.accumulator_depth)
    return {"stripes_last": -(-pixels // stripe) - 1, "stripe_pixels_last": stripe - 1}


def channel_groups(
    bias: NDArray, requantization: Requantization, config: ChipConfig
) -> list[tuple[NDArray, NDArray, NDArray]]:
    """Parameters by groups of ``rows`` channels; multipliers as the requantiser takes them."""
    count = len(bias)
    single = requantization.rounding == "single"
    reduced = reduce_multiplier(requantization.multiplier)
    multiplier = np.broadcast_to(reduced if single else requantization.multiplier, count)
    shift = np.broadcast_to(requantization.shift, count)
    return [
        (bias[at], multiplier[at], shift[at])
        for at in (slice(s, s + config.rows) for s in range(0, count, config.rows))
    ]


def window_passes(kernel: tuple[int, int], dilation: tuple[int, int], config: ChipConfig) -> Fields:
    """Passes of the window feed: up to ``window_rows`` kernel rows by three columns each."""
    rows = config.window_rows if dilation[0] == 1 else 1
    columns = HISTORY if dilation[1] == 1 else 1
    rows, columns = min(rows, kernel[0]), min(columns, kernel[1])
    row_passes, column_passes = -(-kernel[0] // rows), -(-kernel[1] // columns)
    return {
        "rows_passes_last": row_passes - 1,
        "cols_passes_last": column_passes - 1,
        "inner_last": 0,
        "row_step": rows * dilation[0],
        "col_step": columns * dilation[1],
        "window_rows": rows,
        "window_rows_last": kernel[0] - (row_passes - 1) * rows,
        "window_cols": columns,
        "window_cols_last": kernel[1] - (column_passes - 1) * columns,
    }


def lower_conv(
    layer: Conv, index: int, sources: Sequence[Placement], target: Placement, config: ChipConfig
) -> list[Job]:
    """The job of a convolution, depthwise convolution or fully connected layer."""
    (source,), (height, width, _) = sources, target.pixels
    return [conv_job(layer, index, source, target, Grid(height=height, width=width), config)]


def conv_job(
    layer: Conv, index: int, source: Placement, target: Placement, grid: Grid, config: ChipConfig
) -> Job:
    """The job that computes the output pixels of ``grid``."""
    if layer.depthwise and len(layer.weights) == source.pixels[2]:
        fields, tiles = window_conv(layer, config)
    elif source.packed:
        fields, tiles = packed_conv(layer, source, config)
    else:
        fields, tiles = dense_conv(layer, source, config)

    form = weight_format(layer.weights)
    if form is WeightFormat.INT16:
        tiles = [[digit for tile in group for digit in int16_digits(tile)] for group in tiles]
    # A tile of int16 activations works on their low bytes, then on their high bytes.
    fields |= stripes(grid.height * grid.width, len(tiles[0]) * source.planes, config)
    words = sum(weight_words(tile, form) for tile in tiles[0])
    fields = {
        "operation": Operation.JOB,
        "reduction": Reduction.SUM,
        "drain": Drain.SCALE,
        "weight_format": form,
        "wide_in": int(source.wide),
        "refetch": int(fields["stripes_last"] > 0 and words > config.cache_words),
        "a": operand(source, layer.input_zero_point),
        "in_h": source.pixels[0],
        "in_w": source.pixels[1],
        **output(target, grid, layer.requantization),
        **fields,
    }
    channels = channel_groups(layer.bias, layer.requantization, config)
    return Job(layer=index, fields=fields, channels=channels, tiles=tiles)


def window_conv(layer: Conv, config: ChipConfig) -> tuple[Fields, list[list[NDArray]]]:
    """Depthwise: array row = channel, lane ``3 * q + j`` = tap in kernel row q, column j.

    The newest of three columns is lane column 2, so narrower kernels use the higher ones.
    """
    count, height, width, _ = layer.weights.shape
    fields = window_passes((height, width), layer.dilation, config)
    rows, columns = fields["window_rows"], fields["window_cols"]
    tiles = []
    for start in range(0, count, config.rows):
        group = layer.weights[start : start + config.rows, :, :, 0]
        passes = []
        for top in range(0, height, rows):
            for left in range(0, width, columns):
                taps = group[:, top : top + rows, left : left + columns]
                tile = np.zeros((config.window_rows, HISTORY, config.rows), group.dtype)
                tile[: taps.shape[1], HISTORY - taps.shape[2] :, : len(group)] = taps.transpose(
                    1, 2, 0
                )
                passes.append(tile.reshape(-1, config.rows))
        tiles.append(passes)
    fields |= {
        "feed": Feed.WINDOW,
        "stride_h": layer.stride[0],
        "stride_w": layer.stride[1],
        "pad_h": layer.padding[0][0],
        "pad_w": layer.padding[1][0],
    }
    return fields, tiles


def dense_weights(layer: Conv, channels: int) -> NDArray:
    """Weights ``(Cout, kh, kw, Cin)``; depthwise ones become a sparse matrix."""
    if not layer.depthwise:
        return layer.weights
    count = len(layer.weights)
    dense = np.zeros((*layer.weights.shape[:3], channels), layer.weights.dtype)
    outputs = np.arange(count)
    dense[outputs, :, :, outputs // (count // channels)] = layer.weights[:, :, :, 0]
    return dense


def dense_conv(
    layer: Conv, source: Placement, config: ChipConfig
) -> tuple[Fields, list[list[NDArray]]]:
    """A tile is ``lanes`` input channels of one tap, by ``rows`` output channels."""
    weights = dense_weights(layer, source.pixels[2])
    count, height, width, channels = weights.shape
    chunks = dense_lanes(channels, config)
    tiles = [
        [
            lanes_by_rows(weights[start : start + config.rows, i, j][:, chunk], config)
            for i in range(height)
            for j in range(width)
            for chunk in chunks
        ]
        for start in range(0, count, config.rows)
    ]
    fields = {
        "feed": Feed.DENSE,
        "rows_passes_last": height - 1,
        "cols_passes_last": width - 1,
        "inner_last": len(chunks) - 1,
        "row_step": layer.dilation[0],
        "col_step": layer.dilation[1],
        "stride_h": layer.stride[0],
        "stride_w": layer.stride[1],
        "pad_h": layer.padding[0][0],
        "pad_w": layer.padding[1][0],
        "lanes_last": len(chunks[-1]),
    }
    return fields, tiles


def packed_conv(
    layer: Conv, source: Placement, config: ChipConfig
) -> tuple[Fields, list[list[NDArray]]]:
    """Few input channels: lanes are the bytes of consecutive window rows."""
    weights = dense_weights(layer, source.pixels[2])
    count, height, width, channels = weights.shape
    shape = packed_shape((height, width), channels, config)
    columns = shape.columns * shape.column_passes
    padded = np.zeros((count, height, columns, channels), weights.dtype)
    padded[:, :, :width] = weights
    tiles = []
    for start in range(0, count, config.rows):
        group = padded[start : start + config.rows]
        passes = []
        for left in range(0, padded.shape[2], shape.columns):
            taps = group[:, :, left : left + shape.columns].reshape(len(group), -1)
            passes.extend(
                lanes_by_rows(taps[:, at : at + shape.lanes], config)
                for at in range(0, taps.shape[1], shape.lanes)
            )
        tiles.append(passes)
    rows, extra = divmod(shape.lanes, shape.segment)
    fields = {
        "feed": Feed.PACKED,
        "rows_passes_last": 0,
        "cols_passes_last": shape.column_passes - 1,
        "inner_last": shape.passes - 1,
        "col_step": shape.segment,
        "stride_h": layer.stride[0],
        "stride_w": layer.stride[1] * channels,
        "pad_h": layer.padding[0][0],
        "pad_w": layer.padding[1][0] * channels,
        "in_w": source.pixels[1] * channels,
        "lanes_last": shape.lanes_last,
        "segment": shape.segment,
        "segment_rows": rows,
        "segment_bytes": extra,
        "packed_lanes": shape.lanes,
    }
    return fields, tiles


def lanes_by_rows(weights: NDArray, config: ChipConfig) -> NDArray:
    """``(Cout, lanes)`` weights as a tile ``(lanes, rows)``, missing channels zero."""
    tile = np.zeros((weights.shape[1], config.rows), weights.dtype)
    tile[:, : len(weights)] = weights.T
    return tile
