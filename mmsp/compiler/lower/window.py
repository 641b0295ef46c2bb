"""Code generation for layers without weights: pooling, padding, softmax."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hdl.config import ChipConfig
from hdl.engine.descriptor import Drain, Feed, Operation, Reduction
from mmsp.compiler.layers import Conv, Pad, Padding, Pool, Repeat, Requantization, Softmax
from mmsp.compiler.lower.conv import (
    Fields,
    Grid,
    channel_groups,
    lower_conv,
    operand,
    output,
    stripes,
    window_passes,
)
from mmsp.compiler.lower.jobs import Job
from mmsp.compiler.lower.max_pool import lower_wide_max_pool
from mmsp.compiler.placement import Placement
from models.engine import reciprocal, softmax_exponentials

__all__ = ["lower_pad", "lower_pool", "lower_repeat", "lower_softmax"]

IDENTITY_MULTIPLIER, IDENTITY_SHIFT = 1 << 30, 1
"""TFLite's quantised multiplier of 1.0: rescaling by it changes nothing."""

UNIT = (1, 1)


def identity(zero_point: int = 0, minimum: int = -128, maximum: int = 127) -> Requantization:
    """Requantisation that passes values through."""
    return Requantization(
        multiplier=np.array([IDENTITY_MULTIPLIER], np.int32),
        shift=np.array([IDENTITY_SHIFT], np.int32),
        zero_point=zero_point,
        minimum=minimum,
        maximum=maximum,
    )


def ones_job(
    index: int, fields: Fields, target: Placement, pixels: int,
    requantization: Requantization, config: ChipConfig, *, bias: int = 0,
) -> Job:  # fmt: skip
    """A job of the window feed whose weights are all one."""
    passes = (fields["rows_passes_last"] + 1) * (fields["cols_passes_last"] + 1)
    passes *= 1 + fields.get("wide_in", 0)
    fields = {
        "operation": Operation.JOB,
        "feed": Feed.WINDOW,
        "reduction": Reduction.SUM,
        "drain": Drain.SCALE,
        "ones": 1,
        "stride_h": 1,
        "stride_w": 1,
        **stripes(pixels, passes, config),
        **fields,
    }
    channels = target.groups * config.rows
    biases = np.full(channels, bias, np.int32)
    return Job(layer=index, fields=fields, channels=channel_groups(biases, requantization, config))


def valid_taps(
    size: int, out: int, kernel: int, stride: int, before: int
) -> list[tuple[int, int, int]]:
    """Runs ``(start, length, taps)`` of output positions that see equally many input positions."""
    starts = np.arange(out) * stride - before
    taps = np.minimum(starts + kernel, size) - np.maximum(starts, 0)
    runs, at = [], 0
    for count, run in itertools.groupby(taps.tolist()):
        length = len(list(run))
        runs.append((at, length, count))
        at += length
    return runs


def lower_pool(
    layer: Pool, index: int, sources: Sequence[Placement], target: Placement, config: ChipConfig
) -> list[Job]:
    """Maximum: one pass a tap.  Mean: sums, divided by a count that may differ at the borders."""
    (source,) = sources
    if source.wide and layer.kind == "max":
        return lower_wide_max_pool(layer, index, source, target)
    out_h, out_w, _ = target.pixels
    in_h, in_w, _ = source.pixels
    common = {
        "wide_in": int(source.wide),
        "in_h": in_h,
        "in_w": in_w,
        "a": operand(source, 0),
        "stride_h": layer.stride[0],
        "stride_w": layer.stride[1],
    }
    (top, _), (left, _) = layer.padding
    if layer.kind == "max":
        clamp = identity(0, layer.minimum, layer.maximum)
        fields = common | output(target, Grid(height=out_h, width=out_w), clamp)
        fields |= window_passes(UNIT, UNIT, config)
        fields |= {
            "reduction": Reduction.MAX,
            "rows_passes_last": layer.kernel[0] - 1,
            "cols_passes_last": layer.kernel[1] - 1,
            "row_step": 1,
            "col_step": 1,
            "pad_h": top,
            "pad_w": left,
        }
        return [ones_job(index, fields, target, out_h * out_w, clamp, config)]

    jobs = []
    rows = valid_taps(in_h, out_h, layer.kernel[0], layer.stride[0], top)
    columns = valid_taps(in_w, out_w, layer.kernel[1], layer.stride[1], left)
    for (y, height, taps_h), (x, width, taps_w) in itertools.product(rows, columns):
        count = taps_h * taps_w
        multiplier, shift = reciprocal(count, bits=16 if source.wide else 8)
        divide = Requantization(
            multiplier=np.array([multiplier], np.int32),
            shift=np.array([shift], np.int32),
            zero_point=0,
            minimum=layer.minimum,
            maximum=layer.maximum,
        )
        fields = common | output(target, Grid(height=height, width=width, y=y, x=x), divide)
        fields |= window_passes(layer.kernel, UNIT, config)
        fields |= {
            "drain": Drain.AVERAGE,
            "pad_h": top - y * layer.stride[0],
            "pad_w": left - x * layer.stride[1],
        }
        jobs.append(
            ones_job(index, fields, target, height * width, divide, config, bias=count // 2)
        )
    return jobs


def type_range(place: Placement) -> tuple[int, int]:
    """Smallest and largest element of a place."""
    limits = np.iinfo(place.dtype)
    return int(limits.min), int(limits.max)


def select_channels(
    layer: Pad | Repeat, origins: Sequence[int | None], padding: Padding, index: int,
    sources: Sequence[Placement], target: Placement, config: ChipConfig,
) -> list[Job]:  # fmt: skip
    """Make output channel ``o`` of input channel ``origins[o]``, or of the zero point.

    A convolution with a matrix of zeros and ones.
    """
    weights = np.zeros((len(origins), 1, 1, sources[0].pixels[2]), np.int8)
    for out, origin in enumerate(origins):
        if origin is not None:
            weights[out, 0, 0, origin] = 1
    move = Conv(
        name=layer.name, op=layer.op, input=layer.input, output=layer.output,
        weights=weights, bias=np.zeros(len(weights), np.int32), stride=UNIT, dilation=UNIT,
        padding=padding, depthwise=False, input_zero_point=layer.zero_point,
        requantization=identity(layer.zero_point, *type_range(target)),
    )  # fmt: skip
    return lower_conv(move, index, sources, target, config)


def lower_repeat(
    layer: Repeat, index: int, sources: Sequence[Placement], target: Placement, config: ChipConfig
) -> list[Job]:
    """Sixteen channels of a pixel a cycle."""
    origins = np.repeat(np.arange(sources[0].pixels[2]), layer.times).tolist()
    return select_channels(layer, origins, ((0, 0), (0, 0)), index, sources, target, config)


def lower_pad(
    layer: Pad, index: int, sources: Sequence[Placement], target: Placement, config: ChipConfig
) -> list[Job]:
    """Copy into a larger frame; what lies outside of the input reads as the zero point.

    The zero point of int16 is 0, so rows and columns around an image are copied as bytes.
    """
    (source,) = sources
    (top, _), (left, _), (front, back) = layer.padding
    height, width, _ = target.pixels
    if front or back:
        channels: list[int | None] = [*range(source.pixels[2])]
        origins = [None] * front + channels + [None] * back
        return select_channels(layer, origins, layer.padding[:2], index, sources, target, config)
    if target.wide:
        words = target.pixel_words * target.word_bytes
        target = replace(target, pixels=(height, width, words), wide=False)
    passing = identity(layer.zero_point)
    fields = window_passes(UNIT, UNIT, config) | output(
        target, Grid(height=height, width=width), passing
    )
    fields |= {
        "in_h": source.pixels[0],
        "in_w": source.pixels[1],
        "a": operand(source, layer.zero_point),
        "pad_h": top,
        "pad_w": left,
    }
    return [ones_job(index, fields, target, height * width, passing, config)]


def lower_softmax(
    layer: Softmax, index: int, sources: Sequence[Placement], target: Placement, config: ChipConfig
) -> list[Job]:
    """The serial path, with its table of exponentials."""
    (source,) = sources
    height, width, channels = target.pixels
    fields = output(target, Grid(height=height, width=width), identity())
    fields |= {
        "operation": Operation.SOFTMAX,
        "a": operand(source, 0),
        "inner_last": channels - 1,
    }
    table = softmax_exponentials(
        beta_multiplier=layer.beta_multiplier,
        beta_shift=layer.beta_shift,
        minimum_difference=layer.minimum_difference,
    )
    return [Job(layer=index, fields=fields, table=np.asarray(table, np.int64))]
