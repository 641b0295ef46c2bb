"""Code generation for the layers that move elements.

Whole words go through the array as a window of one tap, a word a cycle, whatever they hold: the
requantisation is the identity, so an int16 tensor is copied as the bytes that it is.  Elements that
change their place within a word go through the vector unit, one a cycle.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hdl.config import ChipConfig
from hdl.engine.vector_descriptor import Axis, VectorFunction
from mmsp.compiler.layers import Concat, Constant, Copy, Mean, Reshape, Resize, Slice, Transpose
from mmsp.compiler.lower.conv import Grid, operand, output, window_passes
from mmsp.compiler.lower.jobs import Job
from mmsp.compiler.lower.progressions import progressions
from mmsp.compiler.lower.vector import vector_job, vector_place
from mmsp.compiler.lower.window import identity, ones_job
from mmsp.compiler.placement import Placement

__all__ = [
    "lower_concat",
    "lower_constant",
    "lower_copy",
    "lower_mean",
    "lower_reshape",
    "lower_resize",
    "lower_slice",
    "lower_transpose",
]

UNIT = (1, 1)
JOB_CYCLES = 36
"""What a copy of few words takes: descriptor, parameters and the pipeline."""

Pixels = tuple[int, int, int]


def copy_words(
    index: int, source: Placement, target: Placement, config: ChipConfig, *,
    grid: Grid, origin: tuple[int, int] = (0, 0), stride: tuple[int, int] = UNIT,
    blocks: tuple[int, int, int] | None = None,
) -> Job:  # fmt: skip
    """Copy whole words of the pixels from ``origin`` on, every ``stride``, to those of ``grid``.

    ``blocks``: first word within a source pixel, within a target pixel, and how many; by default
    all of the target's.
    """
    first, second, count = blocks or (0, 0, target.pixel_words)
    raw, words = as_bytes(target, target.pixel_words), as_bytes(target, count)
    place = output(raw, grid, identity())
    place |= {"groups_last": count - 1, "out_base": place["out_base"] + second}
    a = operand(source, 0, y=origin[0], x=origin[1])
    fields = window_passes(UNIT, UNIT, config) | place
    fields |= {
        "a": a | {"base": a["base"] + first},
        "in_h": (grid.height - 1) * stride[0] + 1,
        "in_w": (grid.width - 1) * stride[1] + 1,
        "stride_h": stride[0],
        "stride_w": stride[1],
    }
    return ones_job(index, fields, words, grid.height * grid.width, identity(), config)


def as_bytes(place: Placement, words: int) -> Placement:
    """The same place, taken for int8 pixels of ``words`` whole words."""
    height, width, _ = place.pixels
    return replace(place, pixels=(height, width, words * place.word_bytes), wide=False)


def level(last: int, axis: int, step: int) -> dict:
    """Fields of a `hdl.engine.vector_descriptor.Level`."""
    return {"last": last, "axis": Axis(axis), "step": step}


def copy_elements(
    index: int, source: Placement, target: Placement, size: Pixels, *,
    begin: Pixels = (0, 0, 0), step: Pixels = (1, 1, 1), order: Pixels = (0, 1, 2),
    destination: Pixels = (0, 0, 0), written: Pixels | None = None,
) -> Job:  # fmt: skip
    """Copy ``size`` elements of the source, in the order of its axes ``order``, one by one.

    ``written`` is the shape in which they go to ``destination``; by default ``size`` in the
    order of ``order``.
    """
    y, x, channel = begin
    levels = [level(size[axis] - 1, axis, step[axis]) for axis in reversed(order)]
    shape = written or (size[order[0]], size[order[1]], size[order[2]])
    to_y, to_x, to_channel = destination
    return vector_job(
        index, VectorFunction.COPY, target, size=shape,
        out=vector_place(target, y=to_y, x=to_x, channel=to_channel),
        a=vector_place(source, y=y, x=x, channel=channel), a_levels=levels,
    )  # fmt: skip


def block_of(channel: int, place: Placement) -> int | None:
    """Word of a pixel that begins with ``channel``, None when no word does."""
    block, rest = divmod(channel, place.word_bytes)
    return None if rest else block * (2 if place.wide else 1)


def lower_copy(
    layer: Copy, index: int, sources: Sequence[Placement], target: Placement, config: ChipConfig
) -> list[Job]:
    """Copy all words."""
    (source,), (height, width, _) = sources, target.pixels
    return [copy_words(index, source, target, config, grid=Grid(height=height, width=width))]


def lower_concat(
    layer: Concat, index: int, sources: Sequence[Placement], target: Placement, config: ChipConfig
) -> list[Job]:
    """One copy a part, in order: what a part's last word holds too much the next one overwrites."""
    jobs, at = [], 0
    for source in sources:
        height, width, _channels = source.pixels
        start = tuple(at if axis == layer.axis else 0 for axis in range(3))
        block = block_of(start[2], target)
        if block is None:
            jobs.append(
                copy_elements(
                    index, source, target, source.pixels, destination=(start[0], start[1], start[2])
                )
            )
        else:
            grid = Grid(height=height, width=width, y=start[0], x=start[1])
            blocks = (0, block, source.pixel_words)
            jobs.append(copy_words(index, source, target, config, grid=grid, blocks=blocks))
        at += source.pixels[layer.axis]
    return jobs


def lower_slice(
    layer: Slice, index: int, sources: Sequence[Placement], target: Placement, config: ChipConfig
) -> list[Job]:
    """Whole words where channels are taken in blocks and nothing is mirrored or reshaped."""
    (source,) = sources
    block = block_of(layer.begin[2], source)
    forward = layer.step[0] > 0 and layer.step[1] > 0 and (layer.step[2] == 1 or layer.size[2] == 1)
    if block is None or not forward or target.pixels != layer.size:
        return [
            copy_elements(
                index, source, target, layer.size, begin=layer.begin, step=layer.step,
                written=target.pixels,
            )
        ]  # fmt: skip
    grid = Grid(height=layer.size[0], width=layer.size[1])
    return [
        copy_words(
            index, source, target, config, grid=grid, origin=layer.begin[:2], stride=layer.step[:2],
            blocks=(block, 0, target.pixel_words),
        )
    ]  # fmt: skip


def lower_transpose(
    layer: Transpose, index: int, sources: Sequence[Placement], target: Placement,
    config: ChipConfig,
) -> list[Job]:  # fmt: skip
    """Elements one by one."""
    (source,) = sources
    return [copy_elements(index, source, target, source.pixels, order=layer.order)]


def lower_reshape(
    layer: Reshape, index: int, sources: Sequence[Placement], target: Placement, config: ChipConfig
) -> list[Job]:
    """Whole pixels, one run of a row at a time, or elements one by one where that is faster."""
    (source,) = sources
    (in_h, in_w, channels), (_out_h, out_w, out_channels) = source.pixels, target.pixels
    if channels == out_channels:
        ends = set(range(in_w, in_h * in_w + 1, in_w)) | set(range(out_w, in_h * in_w + 1, out_w))
        words = in_h * in_w * target.pixel_words
        if len(ends) * JOB_CYCLES + words <= in_h * in_w * channels + JOB_CYCLES:
            return [
                copy_words(
                    index, source, target, config, origin=divmod(at, in_w),
                    grid=Grid(height=1, width=end - at, y=at // out_w, x=at % out_w),
                )
                for at, end in itertools.pairwise([0, *sorted(ends)])
            ]  # fmt: skip
    return [copy_elements(index, source, target, source.pixels, written=target.pixels)]


def lower_resize(
    layer: Resize, index: int, sources: Sequence[Placement], target: Placement, config: ChipConfig
) -> list[Job]:
    """A copy for each pair of arithmetic progressions of rows and columns."""
    (source,) = sources
    jobs = []
    for rows, columns in itertools.product(progressions(layer.rows), progressions(layer.columns)):
        grid = Grid(
            height=rows.count, width=columns.count, y=rows.start, x=columns.start,
            step=(rows.step, columns.step),
        )  # fmt: skip
        jobs.append(
            copy_words(
                index, source, target, config, grid=grid, origin=(rows.value, columns.value),
                stride=(rows.value_step, columns.value_step),
            )
        )  # fmt: skip
    return jobs


def lower_constant(
    layer: Constant, index: int, sources: Sequence[Placement], target: Placement, config: ChipConfig
) -> list[Job]:
    """Store what follows the descriptor."""
    dtype = np.int16 if target.wide else np.int8
    values: NDArray = np.asarray(layer.values, dtype).reshape(target.pixels)
    return [vector_job(index, VectorFunction.LOAD, target, payload=values)]


def lower_mean(
    layer: Mean, index: int, sources: Sequence[Placement], target: Placement, config: ChipConfig
) -> list[Job]:
    """A window with weights one."""
    (source,) = sources
    out_h = source.pixels[0] if layer.kernel[0] == 1 else 1
    out_w = source.pixels[1] if layer.kernel[1] == 1 else 1
    fields = window_passes(layer.kernel, UNIT, config)
    fields |= output(target, Grid(height=out_h, width=out_w), layer.requantization)
    fields |= {
        "wide_in": int(source.wide),
        "in_h": source.pixels[0],
        "in_w": source.pixels[1],
        "a": operand(source, layer.input_zero_point),
    }
    return [ones_job(index, fields, target, out_h * out_w, layer.requantization, config)]
