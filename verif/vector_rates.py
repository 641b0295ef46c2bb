"""Long jobs of the vector unit whose cycles are counted."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdl.config import ChipConfig
from models.engine.vector import (
    CHANNEL,
    COLUMN,
    ROW,
    Level,
    Place,
    VectorJob,
    level_coordinates,
    locate,
    output_coordinates,
)
from verif.bench import log_uniform
from verif.vector_jobs import Stimulus

__all__ = ["Rate", "rates"]

SIZE = (4, 8, 32)
"""Of the output of every job here."""

SCALES = {
    "multiplier": 3 << 29, "shift": -15, "a_multiplier": 1 << 15, "a_shift": -1,
    "b_multiplier": 1 << 30, "b_shift": -1, "left_shift": 15, "out_min": -32768, "out_max": 32767,
}  # fmt: skip


@dataclass(frozen=True)
class Rate:
    """One job and the cycles that it may take: ``overhead``, and ``limit`` for each element."""

    name: str
    function: str
    wide: int
    overhead: int
    limit: Callable[[ChipConfig], float]
    transposed: bool = False

    @property
    def elements(self) -> int:
        """Of the output."""
        return int(np.prod(SIZE))

    def stimulus(
        self, rng: np.random.Generator, config: ChipConfig, banks: NDArray[np.uint8]
    ) -> Stimulus:
        """The job; no two of its three tensors begin in the same bank."""
        height, width, channels = SIZE
        levels = [(CHANNEL, channels), (COLUMN, width), (ROW, height)]
        source = SIZE
        if self.transposed:  # rows stay, columns and channels change places
            levels[0], levels[1] = (COLUMN, channels), (CHANNEL, width)
            source = (height, channels, width)
        a, b, out = (
            tensor(config, size, self.wide, part * config.bank_words // 3, part)
            for part, size in enumerate((source, SIZE, SIZE))
        )
        job = VectorJob(
            function=self.function,
            a=a,
            a_levels=tuple(Level(last=count - 1, axis=axis, step=1) for axis, count in levels),  # type: ignore[arg-type]
            b=b,
            b_moves=(1, 1, 1),
            out=out,
            size=SIZE,
            **SCALES,
        )
        for place, coordinates in ((a, level_coordinates(job)), (b, output_coordinates(job))):
            values = log_uniform(rng, bits=16 if self.wide else 8, size=self.elements)
            for plane, where in enumerate(locate(place, coordinates, banks)):
                banks[where] = (values >> 8 * plane & 0xFF).astype(np.uint8)
        payload = {"table": 256, "load": self.elements << self.wide}.get(self.function, 0)
        return Stimulus(job, rng.bytes(payload), "rate")


def tensor(
    config: ChipConfig, size: tuple[int, int, int], wide: int, base: int, row0: int
) -> Place:
    """A tensor without gaps."""
    pixel_words = -(-size[CHANNEL] // config.rows) << wide
    return Place(
        base=base,
        row0=row0,
        row_words=size[COLUMN] * pixel_words,
        pixel_words=pixel_words,
        wide=wide,
    )


def rates() -> list[Rate]:
    """The jobs of the table in docs/engine.md, and what each may take."""

    def one(_: ChipConfig) -> float:
        return 1.0

    def second_word(config: ChipConfig) -> float:  # of int16: both are read before the element
        return 1 + 1 / config.rows

    return [
        Rate("copy", "copy", 0, 13, one),
        Rate("copy_int16", "copy", 1, 15, second_word),
        Rate("copy_transposed", "copy", 0, 15, one, transposed=True),
        Rate("copy_transposed_int16", "copy", 1, 15, lambda _: 2.0, transposed=True),
        Rate("load", "load", 0, 13, one),
        Rate("table", "table", 0, 25, one),
        Rate("multiply_int16", "multiply", 1, 20, second_word),
        Rate("add_int16", "add", 1, 20, lambda _: 3.0),
        Rate("sum_int16", "sum", 1, 20, second_word),
        Rate("logistic_int16", "logistic", 1, 20, second_word),
    ]
