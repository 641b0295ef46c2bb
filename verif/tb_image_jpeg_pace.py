"""cocotb bench: the JPEG encoder at full speed, at any ratio of clocks, and when it is too slow."""

from pathlib import Path

import cocotb
import numpy as np

from models.image.jpeg import JpegSettings, encode
from verif.bench import CLOCK_NS, parameters
from verif.jpeg_driver import PIXEL_PS, Bench, Run

CYCLE_PS = 1000 * CLOCK_NS
SLOWEST = 2
"""Cycles a pixel."""
BEST = JpegSettings.of_quality(100)


def extremes(rng: np.random.Generator, count: int, height: int, width: int) -> np.ndarray:
    """Binary noise: the most bytes a block."""
    return rng.integers(0, 2, (count, height, width)) * 255


@cocotb.test
async def full_rate(dut):
    """Noise of quality 100 for many rows of MCUs, at the rate that blocks and buffer allow.

    Grey: 64 cycles a block, 1 a pixel.  Colour: a row of MCUs takes 1.5 a pixel, and only 14 lines
    come in meanwhile, so that 24 / 14 = 1.71 are needed.
    """
    bench = Bench(dut)
    for count, rate, interval in ((1, 1.03, 0), (3, 1.73, 0), (3, 1.73, 1)):
        await bench.start(round(rate * CYCLE_PS / 2) * 2)
        planes = extremes(bench.rng, count, 128, 256)
        run = Run(planes, JpegSettings.of_quality(100, interval))
        result = await bench.check(run)
        cycles, size = result.cycles / planes[0].size, len(result.files[0])
        dut._log.info(
            "%d planes: %.3f cycles a pixel, %d bytes, %.2f bytes a cycle",
            count, cycles, size, size / result.cycles,
        )  # fmt: skip
        assert cycles < SLOWEST


@cocotb.test
async def widest(dut):
    """1280 columns at half the clock, more rows of MCUs than the buffer holds; grey and colour."""
    bench = Bench(dut)
    for count, height in ((1, 27), (3, 35)):
        await bench.start()
        planes = extremes(bench.rng, count, height, 1280)
        planes[:, :, ::7] = bench.rng.integers(0, 256, (count, height, 183))
        await bench.check(Run(planes, JpegSettings.of_quality(90)))


@cocotb.test
async def clocks(dut):
    """Pixel clocks that have nothing to do with the encoder's, and much slower ones."""
    bench = Bench(dut)
    for period in (PIXEL_PS + 370, 33330, 5 * CYCLE_PS):
        await bench.start(period)
        planes = bench.rng.integers(0, 256, (3, 32, 64))
        await bench.check(Run(planes, JpegSettings.of_quality(85), frames=2, stall=20))


@cocotb.test
async def slow_reader(dut):
    """A reader that is too slow: pictures are dropped, flagged, and never wrong."""
    bench = Bench(dut)
    await bench.start()
    outcomes = []
    for count, stall, hold in ((3, 180, 0), (1, 205, 0), (3, 0, 20000), (1, 0, 5000)):
        planes = bench.rng.integers(0, 256, (count, 48, 64))
        run = Run(planes, BEST, frames=6, stall=stall)
        expected = encode(list(planes), BEST)
        await bench.load(run)
        result = await bench.play(run, load=False, hold=hold)
        for data, good in zip(result.files, result.good, strict=True):
            if good:
                assert data == expected, f"stall {stall}, hold {hold}"
            else:
                assert data != expected
        assert sum(result.good) + result.drops == run.frames, f"{result.good} {result.drops}"
        dut._log.info("stall %d, hold %d: %s, %d dropped", stall, hold, result.good, result.drops)
        outcomes += ["good" if good else "bad" for good in result.good]
        outcomes += ["nothing"] * (result.drops - result.good.count(False))
        await bench.check(Run(planes, BEST))  # the next picture is right
    counts = {name: outcomes.count(name) for name in ("good", "bad", "nothing")}
    assert min(counts.values()) > 2, counts  # noqa: PLR2004


@cocotb.test
async def many_files_wait(dut):
    """Pictures of one block, while the reader halts: as many files as the queue has words wait."""
    bench = Bench(dut)
    await bench.start()
    planes = np.full((1, 4, 4), 200)  # a few bits
    run = Run(planes, JpegSettings(), frames=60, gap=200)
    result = await bench.play(run, hold=12000)
    expected = encode(list(planes), run.settings)
    assert all(result.good)
    assert all(data == expected for data in result.files)
    waited = len(result.good)
    assert waited + result.drops == run.frames
    assert waited > 24, f"{waited} files"  # noqa: PLR2004
    assert result.drops > 0
    await bench.check(Run(planes, run.settings))


@cocotb.test
async def many_aborts_wait(dut):
    """Pictures that break off behind their first row, while the reader halts."""
    bench = Bench(dut)
    await bench.start()
    planes = np.full((1, 16, 4), 200)
    run = Run(planes, JpegSettings(), frames=60, gap=200, aborts=60, abort_at=50)
    await bench.load(run)
    result = await bench.play(run, load=False, hold=20000)
    assert not any(result.good)
    bad = len(result.good)
    assert bad + result.drops >= run.frames  # a picture may be both
    assert bad > 6, f"{bad} files"  # noqa: PLR2004
    assert result.drops > 0
    await bench.check(Run(planes, run.settings))


@cocotb.test(skip="pictures" not in parameters())
async def pictures(dut):
    """Real pictures at quality 50, 75 and 90, at half the clock."""
    bench = Bench(dut)
    await bench.start()
    for path in parameters()["pictures"]:
        planes = list(np.load(path))
        for quality in (50, 75, 90):
            result = await bench.check(Run(planes, JpegSettings.of_quality(quality)))
            pixels = planes[0].size
            dut._log.info(
                "%s, quality %d: %d bytes, %.3f cycles a pixel",
                Path(path).stem, quality, len(result.files[0]), result.cycles / pixels,
            )  # fmt: skip
