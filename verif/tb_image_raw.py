"""cocotb bench: the raw half of the image pipeline against `models.image`, stage by stage.

`verif.raw_stages.RawStages` shows what each stage gives.
"""

from dataclasses import replace
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from hdl.image.bad_pixels import BadPixels
from hdl.image.black_level import BlackLevel
from hdl.image.demosaic import Demosaic
from hdl.image.pixels import BAYER_ORDERS, MAX_WIDTH, MIN_SIZE
from hdl.image.raw_pipeline import RawPipeline
from hdl.image.statistics import Statistics
from hdl.image.white_balance import WhiteBalance
from models.image.pipeline import Settings
from verif.bench import parameters
from verif.image_frames import BACK_TO_BACK, Blanking
from verif.raw_bench import Bench, random_frame, random_settings

GROUPS = 40
LARGEST = 13
"""Columns and rows of a random frame."""
SMALL = ((MIN_SIZE, MIN_SIZE), (MIN_SIZE, MIN_SIZE + 1))
"""Rows and columns of frames for which every place of a gap or an abort is tried."""
WIDE = Settings(gains=(1500, 1024, 1024, 1800))


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def random_frames(dut) -> None:
    """Any size, order, registers and blanking, frames cut short among them."""
    bench = await Bench.begin(dut)
    rng = bench.rng
    aborts = 0
    for _ in range(GROUPS):
        rows, columns = (int(size) for size in rng.integers(MIN_SIZE, LARGEST + 1, size=2))
        bench.set(random_settings(rng))
        for _ in range(rng.integers(1, 4)):
            # Lines may become longer, and fewer or more, while the frame before is on its way.
            rows, columns = int(rng.integers(MIN_SIZE, LARGEST)), columns + int(rng.integers(2))
            blanking = Blanking(
                pixels=float(rng.choice([0, 0, 0.02, 0.3, 0.8])),
                line=int(rng.choice([0, 0, 1, 3, 20])),
                frame=int(rng.choice([0, 0, 1, 2, 5, columns, 5 * columns])),
            )
            frame = random_frame(rng, rows, columns)
            if rng.random() < 1 / 3:
                pixels = int(rng.integers(rows * columns))
                await bench.cut(frame, pixels, blanking, with_pixel=bool(rng.integers(2)))
                aborts += 1
            step = bench.settings.bad_pixel_threshold
            await bench.send(random_frame(rng, rows, columns, step), blanking)
        await bench.check(columns)

    seen = bench.coverage
    dut._log.info("%s, %d aborts", dict(seen), aborts)
    for name in (*BAYER_ORDERS, "rank 0", "rank 1", "rank 2", "rank 3", "odd rows", "odd columns"):
        assert seen[name] > GROUPS // 10, f"{name}: {seen[name]} frames of {GROUPS} groups"
    for name in ("black", "white", "bad", "clipped", "interpolated black", "interpolated white"):
        assert seen["pixels"] // 50 < seen[name] < seen["pixels"] * 3, f"{name}: {dict(seen)}"
    assert aborts > GROUPS // 4
    assert seen["at the limit"] > GROUPS // 10, dict(seen)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def a_gap_anywhere(dut) -> None:
    """Smallest frames back to back, the second with one gap at each of its pixels."""
    bench = await Bench.begin(dut)
    for rows, columns in SMALL:
        bench.set(random_settings(bench.rng))
        for place in range(rows * columns):
            for clocks in (1, 2, columns + 3):
                await bench.send(random_frame(bench.rng, rows, columns))
                await bench.send(random_frame(bench.rng, rows, columns), gaps={place: clocks})
        await bench.check(columns)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def an_abort_anywhere(dut) -> None:
    """A frame cut short at each pixel, between complete ones, which all come out."""
    bench = await Bench.begin(dut)
    for rows, columns in SMALL:
        bench.set(random_settings(bench.rng))
        for pixels in range(rows * columns):
            for with_pixel in (False, True):
                frames = [random_frame(bench.rng, rows, columns) for _ in range(4)]
                await bench.send(frames[0])
                await bench.cut(frames[1], pixels, with_pixel=with_pixel)
                # A second one at once: the rows are not where they were after the first frame.
                await bench.cut(frames[2], pixels // 2, with_pixel=with_pixel)
                await bench.send(frames[3])
        await bench.check(columns)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def widest_lines(dut) -> None:
    """Lines of 1280 pixels, two frames without blanking."""
    bench = await Bench.begin(dut)
    bench.set(replace(WIDE, order="GBRG"))
    for rows in (MIN_SIZE, MIN_SIZE + 1):
        await bench.send(random_frame(bench.rng, rows, MAX_WIDTH))
    await bench.check(MAX_WIDTH)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def latencies(dut) -> None:
    """Every stage gives its first and its last pixel in the clocks that it promises."""
    bench = await Bench.begin(dut)
    bench.set(WIDE)
    rows, columns = 5, 7
    window = 2 * columns + 2
    stages = {
        "black_level": BlackLevel.LATENCY,
        "bad_pixels": BadPixels.LATENCY + window,
        "white_balance": WhiteBalance.LATENCY,
        "demosaic": Demosaic.LATENCY + window,
    }
    valids = {name: [] for name in stages}
    dones = []

    async def watch() -> None:
        clock = 0
        while True:
            await RisingEdge(dut.clk)
            for name, clocks in valids.items():
                if dut[f"{name}__valid"].value == 1:
                    clocks.append(clock)
            if dut.statistics_done.value == 1:
                dones.append(clock)
            clock += 1

    cocotb.start_soon(watch())
    await bench.send(random_frame(bench.rng, rows, columns), BACK_TO_BACK)
    await bench.check(columns)
    behind = 0
    for name, latency in stages.items():
        behind += latency
        assert valids[name] == list(range(behind, behind + rows * columns)), name
    assert behind == RawPipeline.LATENCY + 2 * window
    assert dones == [valids["bad_pixels"][-1] + Statistics.LATENCY]


@cocotb.test(timeout_time=10, timeout_unit="ms", skip=not parameters())
async def pictures(dut) -> None:
    """Mosaics of photographs, which the test gives, one group for each order."""
    bench = await Bench.begin(dut)
    with np.load(Path(parameters()["pictures"])) as arrays:
        mosaics = {name: arrays[name].astype(np.int64) for name in arrays}
    assert mosaics
    for name, mosaic in mosaics.items():
        order = name.split()[0]
        bench.set(replace(WIDE, order=order, black_levels=(16, 20, 24, 8)))
        await bench.send(mosaic)
        await bench.check(mosaic.shape[1])
