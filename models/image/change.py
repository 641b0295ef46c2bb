"""Golden model of change detection: blocks of the down-scaled luma against a kept reference."""

from dataclasses import dataclass

import numpy as np

from models.fixedpoint import IntArray
from models.image.scaler import MAX_OUTPUT_HEIGHT, MAX_OUTPUT_WIDTH

__all__ = ["Change", "ChangeDetector", "ChangeSettings", "block_statistics"]

FRACTION_BITS = 4
REFERENCE_BITS = 8
"""Fraction bits that the reference has beyond those of the statistics."""
MAX_SHIFT = 8
FEATURES = ("mean", "activity")


@dataclass(frozen=True)
class ChangeSettings:
    """What firmware sets.

    Attributes
    ----------
    block_bits : int
        A block has ``2**block_bits`` rows and columns, 3 to 5.
    mean_threshold, activity_threshold : int
        A block has changed when its mean, or its activity, is further than this from the
        reference's; UQ8.4.
    count : int
        The frame wakes with as many changed blocks, at least 1.
    shift : int
        The reference moves by ``2**-shift`` of the difference each frame, 0 to 8.  A drift of less
        than ``threshold / 2**shift`` a frame never shows as a change.
    """

    block_bits: int = 3
    mean_threshold: int = 8 << FRACTION_BITS
    activity_threshold: int = 8 << FRACTION_BITS
    count: int = 2
    shift: int = 2

    def __post_init__(self) -> None:
        """Check the registers' ranges."""
        limits = {
            "block_bits": (3, 5),
            "mean_threshold": (0, (1 << 12) - 1),
            "activity_threshold": (0, (1 << 12) - 1),
            "count": (1, (1 << 11) - 1),
            "shift": (0, MAX_SHIFT),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be in {low}..{high}, not {getattr(self, name)}")


@dataclass(frozen=True)
class Change:
    """What a frame gave.

    Attributes
    ----------
    block_map : IntArray
        ``(block rows, block columns)``, 1 where the block has changed.
    wake : bool
        As many blocks have changed as it takes.
    """

    block_map: IntArray
    wake: bool

    def bounding_box(self) -> tuple[int, int, int, int] | None:
        """First row and column of changed blocks, last row and column; None without a change."""
        rows, columns = np.nonzero(self.block_map)
        if not rows.size:
            return None
        return int(rows.min()), int(columns.min()), int(rows.max()), int(columns.max())


def block_statistics(luma: IntArray, block_bits: int) -> IntArray:
    """Mean and activity of each block, ``(2, block rows, block columns)``, UQ8.4.

    The activity is the sum of absolute differences between neighbours of a row within a block: it
    sees a texture that moves and keeps its mean.  Both sums are divided (floor) by the pixels of a
    whole block; blocks at the right and lower border may have fewer, and then count less.
    """
    size = 1 << block_bits
    rows, columns = luma.shape
    down, across = -(-rows // size), -(-columns // size)
    difference = np.zeros_like(luma)
    difference[:, 1:] = np.abs(np.diff(luma, axis=1))
    difference[:, ::size] = 0  # the left neighbour is another block's
    statistics = []
    for values in (luma, difference):
        whole = np.zeros((down * size, across * size), dtype=np.int64)
        whole[:rows, :columns] = values
        sums = whole.reshape(down, size, across, size).sum(axis=(1, 3))
        statistics.append((sums << FRACTION_BITS) >> (2 * block_bits))
    return np.stack(statistics)


class ChangeDetector:
    """Compares frame after frame; the first one after a reset becomes the reference.

    Parameters
    ----------
    settings : ChangeSettings
        Thresholds, count, speed of adaptation.

    Notes
    -----
    For each block and statistic ``s`` (UQ8.4) the reference ``r`` has eight more fraction bits.
    ``d = (s << 8) - r``; changed if ``|d| > threshold << 8``; then ``r += d >> shift`` (floor), in
    every block, changed or not.  Two memories of at most 1,200 words of 20 bits, and two rows of
    sums.
    """

    def __init__(self, settings: ChangeSettings | None = None) -> None:
        self.settings = settings or ChangeSettings()
        self.reference: IntArray | None = None

    def step(self, luma: IntArray) -> Change:
        """Compare a frame of ``(rows, columns)``, 8 bits, at most 320 x 240.

        Raises
        ------
        ValueError
            When the size is too large, or another than the frame's before.
        """
        settings = self.settings
        current = self.statistics(luma)
        if self.reference is None:
            self.reference = current
        difference = self.difference(current)
        thresholds = np.array([settings.mean_threshold, settings.activity_threshold])
        far = np.abs(difference) > thresholds[:, None, None] << REFERENCE_BITS
        self.reference = self.reference + (difference >> settings.shift)
        changed = (far[0] | far[1]).astype(np.int64)
        return Change(changed, bool(changed.sum() >= settings.count))

    def cut_short(self, luma: IntArray, pixels: int) -> None:
        """Take in what has come of a frame that is given up after some of its ``pixels``.

        Its complete blocks have moved the reference: hardware writes each one back at once, and a
        second copy of the reference would only serve frames that are dropped.  They give no map,
        do not wake, and are never the first reference.
        """
        if self.reference is None:
            return
        difference = self.difference(self.statistics(luma))
        size, (rows, columns) = 1 << self.settings.block_bits, luma.shape
        _, down, across = difference.shape
        last_row = np.minimum((np.arange(down) + 1) * size, rows) - 1
        last_column = np.minimum((np.arange(across) + 1) * size, columns) - 1
        complete = last_row[:, None] * columns + last_column[None, :] < pixels
        moved = self.reference + (difference >> self.settings.shift)
        self.reference = np.where(complete, moved, self.reference)

    def statistics(self, luma: IntArray) -> IntArray:
        """Statistics of a frame with the reference's fraction bits."""
        rows, columns = luma.shape
        if rows > MAX_OUTPUT_HEIGHT or columns > MAX_OUTPUT_WIDTH:
            raise ValueError(
                f"change detection takes at most {MAX_OUTPUT_WIDTH}x{MAX_OUTPUT_HEIGHT}, "
                f"not {columns}x{rows}"
            )
        return block_statistics(luma, self.settings.block_bits) << REFERENCE_BITS

    def difference(self, current: IntArray) -> IntArray:
        """Subtract the reference."""
        assert self.reference is not None
        if self.reference.shape != current.shape:
            raise ValueError(
                f"the reference has {self.reference.shape[1:]} blocks, the frame "
                f"{current.shape[1:]}: reset the detector first"
            )
        return current - self.reference
