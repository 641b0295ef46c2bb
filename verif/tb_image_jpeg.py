"""cocotb bench: `hdl.image.jpeg.JpegEncoder` against `models.image.jpeg.encode`, byte for byte."""

from itertools import pairwise

import cocotb
import numpy as np

from models.image.jpeg import JpegSettings
from models.image.jpeg_planes import Region
from models.image.jpeg_tables import AC_SYMBOLS, ZIGZAG, HuffmanTable
from verif.jpeg_driver import Bench, Run, fate_of_aborted

MAX_SIDE = 17
MCU = 16
SLOW = 150
"""Gaps for narrow colour pictures, half of whose MCUs may be padding."""


def wave(row: int, column: int, amplitude: float) -> np.ndarray:
    """A block (8, 8) of one frequency, in the middle of the range."""
    n = 2 * np.arange(8) + 1
    basis = np.outer(np.cos(row * n * np.pi / 16), np.cos(column * n * np.pi / 16))
    return np.clip(np.rint(128 + amplitude * basis / np.abs(basis).max()), 0, 255).astype(int)


def random_codes(rng: np.random.Generator, symbols: frozenset[int]) -> HuffmanTable:
    """A code of random lengths to 16 bits that is complete for the symbols, and not full."""
    counts, left = [], len(symbols)
    free = 1
    for length in range(1, 17):
        free *= 2
        # What stays free here can become codes of 16 bits: enough of them, and one more.
        most = max(0, free - 1 - (left >> 16 - length))
        count = left if length == 16 else min(left, int(rng.integers(0, most + 1)))  # noqa: PLR2004
        while count and (free - count) << 16 - length <= left - count:
            count -= 1
        counts.append(count)
        free, left = free - count, left - count
    return HuffmanTable(tuple(counts), bytes(rng.permutation(sorted(symbols)).tolist()))


def random_settings(rng: np.random.Generator, restart_interval: int = 0) -> JpegSettings:
    """Own quantisers, of all magnitudes, and own codes."""
    luma, chroma = np.rint(2 ** rng.uniform(0, 7.99, (2, 8, 8))).astype(int)
    symbols = (frozenset(range(12)), AC_SYMBOLS) * 2
    huffman = [random_codes(rng, each) for each in symbols]
    return JpegSettings(
        luma=luma, chroma=chroma, huffman=huffman, restart_interval=restart_interval
    )


@cocotb.test
async def sizes(dut):
    """1 x 1 to 17 x 17, grey and colour, any quality, with gaps and stalls."""
    bench = Bench(dut)
    await bench.start()
    rng = bench.rng
    shapes = [(1, 1), (1, 17), (17, 1), (8, 8), (16, 16), (17, 17), (9, 16), (2, 3)]
    shapes += [tuple(rng.integers(1, MAX_SIDE + 1, 2)) for _ in range(12)]
    for height, width in shapes:
        for count in (1, 3):
            planes = rng.integers(0, 256, (count, height, width))
            settings = JpegSettings.of_quality(int(rng.integers(1, 101)))
            gap, stall = rng.integers(0, 200, 2).tolist()
            await bench.check(Run(planes, settings, gap=gap, stall=stall))


@cocotb.test
async def levels(dut):
    """Largest DC and AC, every run of zeros up to the last level, end of block or not."""
    bench = Bench(dut)
    await bench.start()
    best = JpegSettings.of_quality(100)
    plane = np.kron(np.arange(4)[None] % 2 * 255, np.ones((8, 8), int))
    stripes = np.where(wave(0, 4, 1) > 128, 255, 0)  # noqa: PLR2004
    plane = np.concatenate([plane, stripes, 255 - stripes], axis=1)
    await bench.check(Run([plane], best))
    for place in (1, 2, 15, 16, 17, 18, 31, 32, 33, 34, 47, 48, 49, 50, 62, 63):
        table = np.full((8, 8), 255)
        table.reshape(-1)[[0, ZIGZAG[place]]] = 1
        block = wave(*divmod(int(ZIGZAG[place]), 8), 60)
        await bench.check(Run([np.tile(block, (1, 2))], JpegSettings(luma=table)))


@cocotb.test
async def restarts(dut):
    """Markers in turn, after any number of MCUs, and none behind the last."""
    bench = Bench(dut)
    await bench.start()
    rng = bench.rng
    for interval in (1, 2, 3, 12):
        for count in (1, 3):
            height, width = rng.integers(MCU, 3 * MCU, 2)
            planes = rng.integers(0, 256, (count, height, width))
            run = Run(planes, JpegSettings.of_quality(75, interval), gap=SLOW, stall=100)
            (data,) = (await bench.check(run)).files
            mcus = np.prod(-(-np.array([height, width]) // (8 if count == 1 else MCU)))
            found = [n & 7 for n in range(-(-int(mcus) // interval) - 1)]
            scan = data[data.index(b"\xff\xda") :]
            assert [b & 7 for a, b in pairwise(scan)
                    if a == 0xFF and b & 0xF8 == 0xD0] == found  # noqa: PLR2004  # fmt: skip


@cocotb.test
async def user_tables(dut):
    """Own quantisers and codes to 16 bits."""
    bench = Bench(dut)
    await bench.start()
    rng = bench.rng
    for count in (1, 3, 1, 3):
        settings = random_settings(rng, int(rng.integers(0, 4)))
        assert max(len(np.trim_zeros(t.counts, "b")) for t in settings.huffman) == 16  # noqa: PLR2004
        planes = rng.integers(0, 256, (count, 40, 37))
        await bench.check(Run(planes, settings, gap=SLOW))


@cocotb.test
async def regions(dut):
    """Regions at every edge, in pictures that go on around them and after them."""
    bench = Bench(dut)
    await bench.start()
    rng = bench.rng
    seen = set()
    for n in range(20):
        height, width = rng.integers(MCU, 3 * MCU, 2).tolist()
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        region = Region(
            x, y, int(rng.integers(1, width - x + 1)), int(rng.integers(1, height - y + 1))
        )
        count = 1 + n % 2 * 2
        planes = rng.integers(0, 256, (count, height, width))
        settings = JpegSettings.of_quality(int(rng.integers(20, 101)))
        await bench.check(Run(planes, settings, region, gap=100))
        part = region.aligned((height, width), 8 if count == 1 else MCU)
        seen |= {("left", part.x > 0), ("top", part.y > 0), ("right", part.x + part.width < width),
                 ("bottom", part.y + part.height < height), ("odd", part.width % 2)}  # fmt: skip
    assert len(seen) == 10, sorted(seen)  # noqa: PLR2004


@cocotb.test
async def back_to_back(dut):
    """Pictures without a clock between them; enough for the buffer to go round."""
    bench = Bench(dut)
    await bench.start()
    rng = bench.rng
    for count, height, width in ((1, 24, 40), (3, 32, 48), (1, 40, 33)):
        planes = rng.integers(0, 256, (count, height, width))
        for stall in (0, 60):
            await bench.check(Run(planes, JpegSettings.of_quality(60), frames=5, stall=stall))


@cocotb.test
async def aborts(dut):
    """Frames that break off anywhere, and right ones behind them."""
    bench = Bench(dut)
    await bench.start()
    rng = bench.rng
    fates = set()
    for n in range(20):
        count = 1 + n % 2 * 2
        height, width = rng.integers(MCU + 1, 2 * MCU + 8, 2).tolist()
        planes = rng.integers(0, 256, (count, height, width))
        half = Region(0, 0, width, height // 2) if n % 3 == 0 else None
        places = (0, 1, width, height * width - 1, int(rng.integers(0, height * width)))
        run = Run(planes, JpegSettings.of_quality(50, n % 4), half, frames=3, gap=SLOW,
                  aborts=1 + n % 2, abort_at=places[n % 5])  # fmt: skip
        fates.add(tuple(fate_of_aborted(run)))
        await bench.check(run)
    assert len(fates) == 3, fates  # noqa: PLR2004


@cocotb.test
async def too_small(dut):
    """A picture smaller than its region is dropped; right ones follow.  Without enable: nothing."""
    bench = Bench(dut)
    await bench.start()
    rng = bench.rng
    for count, played, bad in ((1, (20, 40), True), (3, (40, 39), False), (3, (39, 40), True)):
        planes = rng.integers(0, 256, (count, 40, 40))
        run = Run(planes, JpegSettings.of_quality(50), frames=2, gap=SLOW)
        await bench.load(run, played)
        result = await bench.play(run, load=False)
        assert (result.drops, result.good) == (2, [False] * 2 * bad)
        await bench.check(run)
        result = await bench.play(run, load=False, enable=False)
        assert (result.drops, result.good) == (0, [])
        await bench.check(run)
