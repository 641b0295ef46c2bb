"""A camera: frames on PCLK, VSYNC, HREF and D, with any blanking, and with what goes wrong."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import repeat

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.image.bayer import PIXEL_MAX
from models.image.dvp import DvpConfig

__all__ = [
    "TIGHT", "Blanking", "CameraFault", "Pins", "blank_pins", "film", "frame_pins", "join", "wide",
]  # fmt: skip


class CameraFault(Enum):
    """What is wrong with a frame."""

    NONE = "none"
    SHORT_LINE = "short line"
    LONG_LINE = "long line"
    FEW_LINES = "few lines"
    MORE_LINES = "more lines"
    NO_VSYNC = "no VSYNC"
    CUT = "VSYNC in a line"
    EMPTY = "no lines"


@dataclass(frozen=True)
class Blanking:
    """Clocks, the most of each: VSYNC, in front of the first line, between lines, behind them.

    ``fixed``: just so many; otherwise all numbers from the least possible one are drawn, small ones
    more often.
    """

    vsync: int = 1
    front: int = 0
    line: int = 1
    back: int = 0
    fixed: bool = True

    def draw(self, rng: np.random.Generator, name: str) -> int:
        """Clocks of one of them."""
        least, most = int(name in ("vsync", "line")), getattr(self, name)
        return most if self.fixed else max(least, int((most + 1) ** rng.random()) - 1)


TIGHT = Blanking()
"""As little as there can be: HREF falls for a clock between lines, VSYNC is all of the blanking."""


@dataclass
class Pins:
    """Levels of the pins, one of each in a pixel clock."""

    vsync: NDArray[np.bool_]
    href: NDArray[np.bool_]
    data: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.data)

    def first(self, clocks: int) -> "Pins":
        """The first of these clocks."""
        return Pins(self.vsync[:clocks], self.href[:clocks], self.data[:clocks])

    def polarised(self, config: DvpConfig) -> "Pins":
        """As a camera of these polarities drives them."""
        return Pins(self.vsync ^ config.vsync_low, self.href ^ config.href_low, self.data)


def join(parts: Iterable[Pins]) -> Pins:
    """One after the other."""
    parts = list(parts)
    return Pins(
        np.concatenate([part.vsync for part in parts]),
        np.concatenate([part.href for part in parts]),
        np.concatenate([part.data for part in parts]),
    )


def blank_pins(rng: np.random.Generator, clocks: int, *, vsync: bool = False) -> Pins:
    """No pixels: anything on the data pins."""
    return Pins(
        np.full(clocks, vsync), np.zeros(clocks, bool), rng.integers(0, PIXEL_MAX + 1, clocks)
    )


def wide(frame: ArrayLike, bits: int) -> NDArray[np.int64]:
    """Pixels of up to 16 bits as pins of up to 12 have them."""
    values = np.minimum(np.asarray(frame, np.int64), (1 << bits) - 1)
    return values >> max(bits - PIXEL_MAX.bit_length(), 0)


def frame_pins(
    rng: np.random.Generator,
    frame: ArrayLike,
    blanking: Blanking = TIGHT,
    fault: CameraFault = CameraFault.NONE,
) -> Pins:
    """VSYNC and the lines of a frame ``(rows, columns)``, whose values are on the pins as they are.

    VSYNC and HREF are high when active; see `Pins.polarised`.
    """
    rows = [np.asarray(row, np.int64) for row in np.asarray(frame)]
    spoilt = int(rng.integers(len(rows)))
    parts: list[Pins] = []
    if fault is not CameraFault.NO_VSYNC:
        parts.append(blank_pins(rng, blanking.draw(rng, "vsync"), vsync=True))
    # Without any clock between two of them, VSYNCs are one, and so are lines.
    gap = 1 if fault in (CameraFault.EMPTY, CameraFault.NO_VSYNC) else 0
    parts.append(blank_pins(rng, blanking.draw(rng, "front") + gap))
    if fault is CameraFault.SHORT_LINE:
        rows[spoilt] = rows[spoilt][: int(rng.integers(1, len(rows[spoilt])))]
    elif fault is CameraFault.LONG_LINE:
        rows[spoilt] = np.resize(rows[spoilt], len(rows[spoilt]) + int(rng.integers(1, 4)))
    elif fault is CameraFault.FEW_LINES:
        rows = rows[: max(spoilt, 1)]
    elif fault is CameraFault.MORE_LINES:
        rows = [*rows, *rows[: spoilt + 1]]
    elif fault is CameraFault.CUT:
        rows = [*rows[:spoilt], rows[spoilt][: int(rng.integers(1, len(rows[spoilt])))]]
    elif fault is CameraFault.EMPTY:
        rows = []
    for index, row in enumerate(rows):
        parts.append(Pins(np.zeros(len(row), bool), np.ones(len(row), bool), row))
        if fault is CameraFault.CUT and index == len(rows) - 1:
            # HREF goes on as if nothing had happened; the next frame's VSYNC follows without a gap.
            rest = blank_pins(rng, int(rng.integers(1, 4)), vsync=True)
            rest.href[:] = rng.random(len(rest)) < 0.5  # noqa: PLR2004  (either level)
            return join([*parts, rest])
        if index < len(rows) - 1:
            parts.append(blank_pins(rng, blanking.draw(rng, "line")))
    parts.append(blank_pins(rng, blanking.draw(rng, "back")))
    return join(parts)


def film(
    rng: np.random.Generator,
    frames: Iterable[ArrayLike],
    blanking: Blanking = TIGHT,
    faults: Iterable[CameraFault] = repeat(CameraFault.NONE),
) -> Pins:
    """Frames, one after another, and a clock in which the last line ends."""
    parts = [frame_pins(rng, frame, blanking, fault) for frame, fault in zip(frames, faults)]  # noqa: B905  (faults may be endless)
    return join([*parts, blank_pins(rng, 1)])
