"""Random frames for the raw half of the image pipeline, and the models' word on what comes out."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from numpy.typing import NDArray

from hdl.image.pixels import BAYER_ORDERS, PHASES, PIXEL_BITS
from hdl.image.raw_pipeline import RAW_SETTINGS
from hdl.image.statistics import BINS, FRAME_STATISTICS
from hdl.image.white_balance import GAIN_BITS
from models.image.bad_pixels import MAX_RANK, correct_bad_pixels
from models.image.bayer import PIXEL_MAX, phases
from models.image.black_level import subtract_black
from models.image.demosaic import demosaic
from models.image.pipeline import Settings
from models.image.statistics import Statistics, measure
from models.image.white_balance import balance
from verif.bench import start
from verif.image_frames import BACK_TO_BACK, Blanking, FrameMonitor, FrameSource
from verif.raw_stages import STAGES

__all__ = [
    "Bench",
    "Expected",
    "random_frame",
    "random_settings",
    "registers",
    "statistics_of",
]

Frame = NDArray[np.int64]

PIPELINE_CLOCKS = 60
"""More than all stages' latencies."""
OUTLIERS = 0.04
DEFAULTS = Settings()


def random_settings(rng: np.random.Generator) -> Settings:
    """Registers of any size; the correction of bad pixels is on as a rule."""
    threshold = int(rng.integers(1 << PIXEL_BITS)) >> int(rng.integers(PIXEL_BITS))
    return Settings(
        order=str(rng.choice(BAYER_ORDERS)),
        black_levels=(rng.integers(1 << PIXEL_BITS, size=PHASES) >> rng.integers(1, 13)).tolist(),
        bad_pixel_threshold=PIXEL_MAX if rng.random() < 1 / 8 else threshold,
        bad_pixel_rank=int(rng.integers(MAX_RANK + 1)),
        clip_limit=PIXEL_MAX if rng.random() < 1 / 2 else int(rng.integers(1 << PIXEL_BITS)),
        gains=(rng.integers(1 << GAIN_BITS, size=PHASES) >> rng.integers(0, 6)).tolist(),
    )


def random_frame(rng: np.random.Generator, rows: int, columns: int, step: int = 1) -> Frame:
    """A slope with noise and outliers, or values of any magnitude, of two or of three levels.

    Three levels are ``step`` apart: if that is the threshold, some pixels are exactly at the limit
    of what is bad.
    """
    kind = rng.random()
    shape = (rows, columns)
    if kind < 1 / 8:
        return rng.choice([0, PIXEL_MAX], size=shape)
    if kind < 2 / 8:
        levels = rng.choice([-1, 0, 1], p=[OUTLIERS, 1 - 2 * OUTLIERS, OUTLIERS], size=shape)
        return np.clip((PIXEL_MAX >> 1) + levels * step, 0, PIXEL_MAX)
    if kind < 4 / 8:
        return rng.integers(1 << PIXEL_BITS, size=shape) >> rng.integers(PIXEL_BITS, size=shape)
    y, x = np.indices(shape)
    slope = rng.integers(0, 1 << PIXEL_BITS) + rng.normal(0, 100, 2) @ [y.ravel(), x.ravel()]
    noisy = slope.reshape(shape) + rng.normal(0, 10, shape)
    frame = np.clip(np.rint(noisy), 0, PIXEL_MAX).astype(np.int64)
    outliers = rng.random(shape) < OUTLIERS
    return np.where(outliers, rng.choice([0, PIXEL_MAX], size=shape), frame)


def registers(settings: Settings) -> dict[str, Any]:
    """Fields of the port ``settings``."""
    return {
        "order": BAYER_ORDERS.index(settings.order),
        "black_levels": list(settings.black_levels),
        "bad_pixel_threshold": settings.bad_pixel_threshold,
        "bad_pixel_rank": settings.bad_pixel_rank,
        "clip_limit": settings.clip_limit,
        "gains": list(settings.gains),
    }


def statistics_of(raw: int) -> Statistics:
    """Counters from the bits of a port."""
    counters: Any = FRAME_STATISTICS.from_bits(raw)
    return Statistics(
        sums=tuple(counters.sums[phase] for phase in range(PHASES)),
        counts=tuple(counters.counts[phase] for phase in range(PHASES)),
        histogram=tuple(counters.histogram[at] for at in range(BINS)),
        clipped=counters.clipped,
    )


@dataclass
class Expected:
    """What the models make of a frame, stage by stage."""

    black_level: Frame
    bad_pixels: Frame
    bad: Frame
    statistics: Statistics
    white_balance: Frame
    demosaic: Frame

    @classmethod
    def of(cls, frame: Frame, settings: Settings) -> "Expected":
        """Run all models."""
        phase = phases((frame.shape[0], frame.shape[1]), settings.order)
        black_level = subtract_black(frame, phase, settings.black_levels)
        corrected, bad = correct_bad_pixels(
            black_level, settings.bad_pixel_threshold, settings.bad_pixel_rank
        )
        balanced = balance(corrected, phase, settings.gains)
        return cls(
            black_level=black_level,
            bad_pixels=corrected,
            bad=bad,
            statistics=measure(corrected, phase, settings.clip_limit),
            white_balance=balanced,
            demosaic=demosaic(balanced, phase),
        )


class Bench:
    """The camera, and everything that comes out."""

    def __init__(self, dut, seed: int):
        self.dut = dut
        self.rng = np.random.default_rng(seed)
        dut.abort.value = 0
        dut.settings.value = 0
        self.source = FrameSource(dut, "i", PIXEL_BITS, self.rng)
        self.monitors = {
            name: FrameMonitor(
                dut,
                name,
                PIXEL_BITS,
                3 if name == "demosaic" else 1,
                abort=f"{name}_aborted",
                beside="bad" if name == "bad_pixels" else None,
            )
            for name in STAGES
        }
        self.statistics: list[Statistics] = []
        self.expected: list[Expected] = []
        self.settings = DEFAULTS
        self.coverage: Counter[str] = Counter()
        self.cuts: Counter[str] = Counter()

    @classmethod
    async def begin(cls, dut) -> "Bench":
        """Reset, and watch."""
        bench = cls(dut, cocotb.RANDOM_SEED)
        await start(dut)
        cocotb.start_soon(bench.watch_statistics())
        return bench

    async def watch_statistics(self) -> None:
        """Take the counters whenever a frame is complete."""
        while True:
            await RisingEdge(self.dut.clk)
            if self.dut.statistics_done.value == 1:
                self.statistics.append(statistics_of(self.dut.statistics.value.to_unsigned()))

    def set(self, settings: Settings) -> None:
        """Write all registers."""
        self.settings = settings
        self.dut.settings.value = RAW_SETTINGS.const(registers(settings)).as_value().value

    async def send(
        self, frame: Frame, blanking: Blanking = BACK_TO_BACK, gaps: dict[int, int] | None = None
    ) -> None:
        """Send a frame that shall come out."""
        self.expected.append(Expected.of(frame, self.settings))
        await self.source.send(frame, blanking, gaps=gaps)

    async def cut(
        self, frame: Frame, pixels: int, blanking: Blanking = BACK_TO_BACK, *, with_pixel: bool
    ) -> None:
        """Send a part of a frame, then abort: after it, or with one more pixel."""
        await self.source.send(frame, blanking, pixels=pixels)
        window = 2 * frame.shape[1] + 2
        self.cuts.update({
            "black_level": pixels > 0,
            "bad_pixels": pixels > window,
            "white_balance": pixels > window,
            "demosaic": pixels > 2 * window,
        })  # fmt: skip
        self.dut.abort.value = 1
        if with_pixel:
            self.source.valid.value = 1
            self.source.payload.value = int(self.rng.integers(1 << len(self.source.payload)))
            await RisingEdge(self.dut.clk)
            self.source.valid.value = 0
        else:
            await self.source.idle(1)
        self.dut.abort.value = 0

    async def check(self, columns: int) -> None:
        """Let everything come out, and compare."""
        await self.source.idle(4 * columns + PIPELINE_CLOCKS)
        for name, monitor in self.monitors.items():
            assert not monitor.words, f"{name}: {len(monitor.words)} pixels of no frame"
            self.compare(name, monitor.frames)
            monitor.frames = []
            assert monitor.aborted == self.cuts[name], f"{name}: frames that were taken back"
        corrector = self.monitors["bad_pixels"]
        self.compare("bad", corrector.beside_frames)
        corrector.beside_frames = []
        assert self.statistics == [each.statistics for each in self.expected]
        self.statistics = []
        self.count()
        self.expected = []

    def compare(self, name: str, frames: list[Frame]) -> None:
        """Compare frames with the models'."""
        assert len(frames) == len(self.expected), (
            f"{name}: {len(frames)} frames, not {len(self.expected)}"
        )
        for index, (frame, expected) in enumerate(zip(frames, self.expected, strict=True)):
            np.testing.assert_array_equal(
                frame, getattr(expected, name), f"{name}, frame {index}, {registers(self.settings)}"
            )

    def at_limit(self, each: Expected) -> int:
        """Pixels that are kept, but would not be at a threshold of one less."""
        threshold, rank = self.settings.bad_pixel_threshold, self.settings.bad_pixel_rank
        if threshold == 0:
            return 0
        _, stricter = correct_bad_pixels(each.black_level, threshold - 1, rank)
        return int(np.sum(stricter > each.bad))

    def count(self) -> None:
        """Count what the frames had in them."""
        for each in self.expected:
            rows, columns = each.black_level.shape
            self.coverage.update({
                self.settings.order: 1,
                f"rank {self.settings.bad_pixel_rank}": 1,
                "odd rows": rows % 2,
                "odd columns": columns % 2,
                "pixels": rows * columns,
                "black": np.count_nonzero(each.black_level == 0),
                "at the limit": self.at_limit(each),
                "bad": np.count_nonzero(each.bad),
                "white": np.count_nonzero(each.white_balance == PIXEL_MAX),
                "clipped": each.statistics.clipped,
                "interpolated black": np.count_nonzero(each.demosaic == 0),
                "interpolated white": np.count_nonzero(each.demosaic == PIXEL_MAX),
            })  # fmt: skip
