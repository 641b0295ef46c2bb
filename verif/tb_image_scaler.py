"""cocotb bench: `hdl.image.scaler.Scaler` against `models.image.scaler`."""

from dataclasses import dataclass

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge

from hdl.image.pixels import MAX_HEIGHT, MAX_WIDTH
from hdl.image.scaler import MAX_OUTPUT_HEIGHT, MAX_OUTPUT_WIDTH, Scaler, Scaling
from models.fixedpoint import IntArray
from models.image.scaler import Crop, scale_down
from verif.bench import start
from verif.image_frames import BACK_TO_BACK, Blanking, FrameMonitor, FrameSource
from verif.image_registers import scaling_fields

__all__ = ["Case", "random_case"]

LATENCY = Scaler.LATENCY
GAPS = (BACK_TO_BACK, BACK_TO_BACK, Blanking(0.3, 2, 3), Blanking(0.0, 1, 0), Blanking(0.7, 0, 9))


@dataclass(frozen=True)
class Case:
    """A frame's size, its rectangle and the output's size."""

    rows: int
    columns: int
    crop: Crop
    width: int
    height: int

    def picture(self, rng: np.random.Generator) -> IntArray:
        """Random pixels: some frames dark, some bright, some with only the ends of the range."""
        shape = (self.rows, self.columns, 3)
        noise = rng.integers(0, 256, shape)
        kind = rng.integers(4)
        if kind == 0:
            return noise >> rng.integers(0, 8, shape)
        if kind == 1:
            return 255 - (noise >> rng.integers(0, 8, shape))
        return 255 * (noise & 1) if kind == 2 else noise  # noqa: PLR2004

    def expected(self, picture: IntArray) -> IntArray:
        """What the model makes of it."""
        return scale_down(picture, self.crop, self.width, self.height)


def random_case(rng: np.random.Generator, most_columns: int, most_rows: int) -> Case:
    """Sizes of all magnitudes; often the whole frame, often without scaling on an axis."""

    def axis(most: int, most_output: int) -> tuple[int, int, int, int]:
        size = int(np.exp2(rng.uniform(2, np.log2(most + 1))))
        first, source = 0, size
        if rng.random() < 0.6:  # noqa: PLR2004
            first = int(rng.integers(0, size))
            source = int(rng.integers(1, size - first + 1))
        limit = min(source, most_output)
        output = int(np.exp2(rng.uniform(0, np.log2(limit + 1))))
        if rng.random() < 0.2:  # noqa: PLR2004
            output = limit
        return size, first, source, output

    columns, left, source_width, width = axis(most_columns, MAX_OUTPUT_WIDTH)
    rows, top, source_height, height = axis(most_rows, MAX_OUTPUT_HEIGHT)
    return Case(rows, columns, Crop(left, top, source_width, source_height), width, height)


class Bench:
    """The ports of the scaler."""

    def __init__(self, dut, rng: np.random.Generator):
        self.dut, self.rng = dut, rng
        self.source = FrameSource(dut, "i", 8, rng)
        self.monitor = FrameMonitor(dut, "o", 8, 3, abort="aborted")
        self.unfit = self.aborts = 0
        dut.abort.value = 0
        dut.scaling.value = 0
        cocotb.start_soon(self.count())

    async def count(self) -> None:
        """Count what takes frames back."""
        while True:
            await RisingEdge(self.dut.clk)
            if self.dut.aborted.value == 1:
                self.aborts += 1
                self.unfit += int(self.dut.unfit.value)
            else:
                assert self.dut.unfit.value == 0

    async def configure(self, case: Case) -> None:
        """Write the registers."""
        fields = scaling_fields(case.crop, case.width, case.height)
        self.dut.scaling.value = Scaling.const(fields).as_value().value

    async def cut_short(self, case: Case, gaps: Blanking) -> None:
        """Send a part of a frame, then the abort."""
        pixels = int(self.rng.integers(1, case.rows * case.columns))
        await self.source.send(case.picture(self.rng), gaps, pixels=pixels)
        await self.abort()

    async def abort(self) -> None:
        """Forget the frame in progress, at times with a pixel."""
        self.dut.abort.value = 1
        self.dut.i__valid.value = int(self.rng.integers(2))
        await RisingEdge(self.dut.clk)
        self.dut.abort.value, self.dut.i__valid.value = 0, 0

    async def check(self, expected: list[IntArray]) -> None:
        """Compare all frames that have come, and that there are no others."""
        await self.source.idle(LATENCY + 1)
        for frame, wanted in zip(await self.monitor.receive(len(expected)), expected, strict=True):
            np.testing.assert_array_equal(frame, wanted)
        assert not self.monitor.frames, "frames that nobody sent"
        assert not self.monitor.words, "pixels of no frame"


@cocotb.test(timeout_time=60, timeout_unit="ms")
async def random_sizes(dut) -> None:
    """Random frames, rectangles and outputs, gaps and none; some frames are cut short."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    bench = Bench(dut, rng)
    await start(dut)
    sizes, cut = set(), 0
    for _ in range(60):
        case = random_case(rng, 60, 40)
        await bench.configure(case)
        expected = []
        for _ in range(2):
            gaps = GAPS[rng.integers(len(GAPS))]
            if rng.random() < 0.3:  # noqa: PLR2004
                await bench.cut_short(case, gaps)
                cut += 1
            picture = case.picture(rng)
            await bench.source.send(picture, gaps)
            expected.append(case.expected(picture))
        await bench.check(expected)
        across = (case.crop.width - case.width > 0) + (case.crop.width % case.width > 0)
        down = (case.crop.height - case.height > 0) + (case.crop.height % case.height > 0)
        whole = (case.crop.width, case.crop.height) == (case.columns, case.rows)
        sizes |= {("across", across), ("down", down), ("whole", whole), ("one", case.width == 1)}
    assert len(sizes) == 10, f"only {sorted(sizes)}"  # noqa: PLR2004
    assert cut > 10, "hardly any frame was cut short"  # noqa: PLR2004
    assert bench.aborts == cut
    assert not bench.unfit


@cocotb.test(timeout_time=60, timeout_unit="ms")
async def largest_sizes(dut) -> None:
    """The widest frame, the largest output, the worst sums."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    bench = Bench(dut, rng)
    await start(dut)
    cases = (
        Case(14, 1280, Crop(0, 0, 1280, 14), 320, 9),
        Case(5, 1280, Crop(1, 0, 1279, 5), 319, 5),
        Case(242, 322, Crop(1, 2, 321, 240), 320, 240),
        Case(1024, 4, Crop(0, 0, 4, 1024), 3, 239),
    )
    for case in cases:
        await bench.configure(case)
        picture = case.picture(rng)
        await bench.source.send(picture)
        await bench.check([case.expected(picture)])


@cocotb.test(timeout_time=40, timeout_unit="ms")
async def brightest_frame(dut) -> None:
    """White, 1280 x 1024, to one pixel: the largest sums.  Only lines' ends wake the bench."""
    case = Case(MAX_HEIGHT, MAX_WIDTH, Crop(0, 0, MAX_WIDTH, MAX_HEIGHT), 1, 1)
    fields = scaling_fields(case.crop, case.width, case.height)
    dut.scaling.value = Scaling.const(fields).as_value().value
    dut.abort.value, dut.i__valid.value = 0, 0
    await start(dut)
    white = (1 << 24) - 1
    found = cocotb.start_soon(first_output(dut))
    for row in range(case.rows):
        last_row = (row == case.rows - 1) << 25
        dut.i__payload.value, dut.i__valid.value = white | last_row, 1
        await ClockCycles(dut.clk, case.columns - 1)
        dut.i__payload.value = white | last_row | 1 << 24
        await ClockCycles(dut.clk, 1)
        assert not found.done(), "a pixel before the frame's end"
    dut.i__valid.value = 0
    await ClockCycles(dut.clk, LATENCY + 1)
    assert found.done(), "no pixel"
    assert found.result() == white | 3 << 24


async def first_output(dut) -> int:
    """Payload of the next pixel."""
    await RisingEdge(dut.o__valid)
    await ReadOnly()
    return dut.o__payload.value.to_unsigned()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def registers_that_do_not_fit(dut) -> None:
    """Rectangles beyond the frame, outputs that are larger: no frame, a flag; the next is right."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    bench = Bench(dut, rng)
    await start(dut)
    good = Case(9, 12, Crop(1, 1, 10, 7), 4, 3)
    wrong = (
        Case(9, 12, Crop(4, 1, 9, 7), 4, 3),
        Case(9, 12, Crop(1, 4, 10, 6), 4, 3),
        Case(9, 12, Crop(12, 0, 1, 1), 1, 1),
        Case(9, 12, Crop(1, 1, 5, 7), 6, 3),
        Case(9, 12, Crop(1, 1, 10, 2), 4, 3),
        Case(9, 12, Crop(1, 1, 10, 7), 0, 3),
        Case(9, 12, Crop(1, 1, 10, 7), 4, 0),
    )
    for case in wrong:
        # One that was cut short behind its rectangle must not complete this one.
        await bench.configure(good)
        await bench.source.send(good.picture(rng), pixels=9 * 12 - 1)
        await bench.abort()
        await bench.source.idle(LATENCY)
        await bench.configure(case)
        await bench.source.send(case.picture(rng))
        await bench.source.idle(LATENCY)
        await bench.configure(good)
        picture = good.picture(rng)
        await bench.source.send(picture)
        await bench.check([good.expected(picture)])
    assert bench.unfit == len(wrong)
    assert bench.aborts == 2 * len(wrong)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def latency(dut) -> None:
    """Outputs come as many clocks later as stated; the last one waits for the frame's end."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    bench = Bench(dut, rng)
    await start(dut)
    case = Case(6, 6, Crop(1, 1, 4, 4), 2, 2)
    await bench.configure(case)
    seen = []

    async def watch() -> None:
        for clock in range(36 + LATENCY + 4):
            await RisingEdge(dut.clk)
            if dut.o__valid.value == 1:
                seen.append(clock - LATENCY)

    watcher = cocotb.start_soon(watch())
    await bench.source.send(case.picture(rng))
    await watcher
    assert seen == [6 * 2 + 2, 6 * 2 + 4, 6 * 4 + 2, 6 * 5 + 5]
