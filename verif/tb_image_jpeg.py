"""cocotb bench: `hdl.image.jpeg.JpegEncoder` against `models.image.jpeg.encode`, byte for byte."""

import cocotb

from models.image.jpeg import JpegSettings
from verif.jpeg_driver import Bench, Run


@cocotb.test
async def sizes(dut):
    """1 x 1 to 17 x 17, grey and colour, random tables' quality."""
    bench = Bench(dut)
    await bench.start()
    rng = bench.rng
    corners = [(1, 1), (1, 17), (17, 1), (8, 8), (16, 16), (17, 17), (9, 16), (2, 3)]
    others = [tuple(rng.integers(1, 18, 2)) for _ in range(8)]
    for height, width in corners + others:
        for count in (1, 3):
            planes = rng.integers(0, 256, (count, height, width))
            quality = int(rng.integers(1, 101))
            run = Run(planes, JpegSettings.of_quality(quality), gap=int(rng.integers(0, 200)))
            await bench.check(run)
