"""How a convolution is fed to the array: dense, window or packed, and its passes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdl.config import ACT_BANKS, ChipConfig
from mmsp.compiler.layers import Conv

__all__ = ["HISTORY", "PackedShape", "can_pack", "dense_lanes", "packed_shape"]

HISTORY = 3
"""Columns that the window feed holds."""


@dataclass(frozen=True)
class PackedShape:
    """Segments of a packed convolution.

    ``columns`` kernel columns make a segment of ``segment`` bytes; ``column_passes`` segments
    cover the kernel's width.  Lanes take the bytes of consecutive window rows, ``lanes`` a pass,
    ``passes`` passes.
    """

    columns: int
    column_passes: int
    segment: int
    lanes: int
    passes: int
    lanes_last: int


def packed_shape(kernel: tuple[int, int], channels: int, config: ChipConfig) -> PackedShape:
    """Cut a kernel of ``channels`` input channels into segments and passes."""
    height, width = kernel
    columns = max(1, min(width, config.rows // channels))
    segment = columns * channels
    taps = height * segment
    lanes = min(config.lanes, ACT_BANKS * segment, taps)
    # A pass that starts in the middle of a segment may touch one row more.
    while -(-(segment - 1 + lanes) // segment) > ACT_BANKS and lanes % segment:
        lanes -= 1
    passes = -(-taps // lanes)
    return PackedShape(
        columns=columns,
        column_passes=-(-width // columns),
        segment=segment,
        lanes=lanes,
        passes=passes,
        lanes_last=taps - (passes - 1) * lanes,
    )


def can_pack(layer: Conv, pixels: tuple[int, int, int], config: ChipConfig) -> bool:
    """Whether a convolution may read its input packed, and gains by it."""
    channels = pixels[2]
    return (
        not layer.depthwise
        and layer.weights.shape[1:3] != (1, 1)
        and layer.weights.shape[3] == channels
        and channels <= config.rows // 4
        and layer.stride[1] * channels <= config.rows
        and layer.dilation == (1, 1)
    )


def dense_lanes(channels: int, config: ChipConfig) -> list[NDArray[np.int64]]:
    """Input channels of each inner pass of a dense convolution."""
    chunks = []
    for block in range(0, channels, config.rows):
        for start in range(block, min(block + config.rows, channels), config.lanes):
            end = min(start + config.lanes, block + config.rows, channels)
            chunks.append(np.arange(start, end))
    return chunks
