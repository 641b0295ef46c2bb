"""Golden model of the camera receiver: frames out of VSYNC, HREF and the data pins."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.fixedpoint import IntArray
from models.image.bayer import MAX_HEIGHT, MAX_WIDTH, MIN_SIZE, PIXEL_BITS, align

__all__ = ["FAULTS", "DvpConfig", "Received", "receive"]

MIN_BITS = 8
FAULTS = ("short_line", "long_line", "few_lines", "missing_vsync")
"""What a frame may be dropped for; see `receive`."""


@dataclass(frozen=True)
class DvpConfig:
    """What arrives on the pins.

    Attributes
    ----------
    width, height : int
        Pixels of a line and lines of a frame, 4 x 4 to 1280 x 1024.
    bits : int
        Of a pixel, 8 to 12, on the lower pins.
    vsync_low, href_low : bool
        VSYNC is low between frames; HREF is low with pixels.
    """

    width: int
    height: int
    bits: int = PIXEL_BITS
    vsync_low: bool = False
    href_low: bool = False

    def __post_init__(self) -> None:
        """Check the registers' ranges."""
        limits = {
            "width": (MIN_SIZE, MAX_WIDTH),
            "height": (MIN_SIZE, MAX_HEIGHT),
            "bits": (MIN_BITS, PIXEL_BITS),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be in {low}..{high}, not {getattr(self, name)}")


@dataclass
class Received:
    """What a camera's pins gave.

    Attributes
    ----------
    frames : list of IntArray
        ``(height, width)`` of 12 bits: the right ones.
    faults : dict of str to int
        Dropped frames by what was wrong with them, of `FAULTS`.
    """

    frames: list[IntArray] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FAULTS, 0))

    @property
    def dropped(self) -> int:
        """Frames that were begun, or due, and not right."""
        return sum(self.faults.values())


def runs(levels: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Begin and end (exclusive) of each run of True, ``(runs, 2)``."""
    edges = np.flatnonzero(np.diff(levels, prepend=False, append=False))
    return edges.reshape(-1, 2)


def receive(vsync: ArrayLike, href: ArrayLike, data: ArrayLike, config: DvpConfig) -> Received:
    """Take the frames out of the pins' values, one of each pin in a pixel clock.

    A line is a run of clocks with HREF and without VSYNC; a frame is what lies between two pulses
    of VSYNC.  It is right when its first ``height`` lines have ``width`` pixels each, and is
    complete with the last of these.  Otherwise the first thing that is wrong counts: a line that
    is too short (as one that VSYNC cuts off) or too long, or a VSYNC that comes after too few
    lines.  A line after the last one is that of a frame whose VSYNC was missing, which is dropped.
    Nothing else is looked at until the next VSYNC.

    A frame that has not ended, or a line, does not count; nor does what comes before the first
    VSYNC.
    """
    blank = np.asarray(vsync, bool) ^ config.vsync_low
    active = (np.asarray(href, bool) ^ config.href_low) & ~blank
    values = np.asarray(data, np.int64)
    received = Received()
    pulses = runs(blank)
    lines = [(begin, end) for begin, end in runs(active).tolist() if end < len(blank)]
    ends = [*pulses[1:, 0].tolist(), None]
    for (_, begin), end in zip(pulses.tolist(), ends[: len(pulses)], strict=True):
        inside = [line for line in lines if begin <= line[0] and (end is None or line[0] < end)]
        fault = None
        for first, last in inside[: config.height]:
            if last - first != config.width:
                fault = "short_line" if last - first < config.width else "long_line"
                break
        if fault is None and len(inside) >= config.height:
            rows = [values[first:last] for first, last in inside[: config.height]]
            received.frames.append(align(np.stack(rows), config.bits))
            if len(inside) > config.height:
                fault = "missing_vsync"
        elif fault is None and end is not None:
            fault = "few_lines"
        if fault is not None:
            received.faults[fault] += 1
    return received
