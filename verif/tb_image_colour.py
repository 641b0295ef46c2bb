"""cocotb bench: `hdl.image.colour_path.ColourPath` against `models.image`."""

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from hdl.image.colour_path import ColourPath
from models.fixedpoint import IntArray
from models.image.colour import IDENTITY_MATRIX, correct_colour, to_ycbcr
from models.image.gamma import IDENTITY_TABLE, KNOTS, apply_gamma, srgb_table
from models.image.pipeline import Settings
from verif.bench import log_uniform, start
from verif.image_frames import BACK_TO_BACK, Blanking, FrameMonitor, FrameSource
from verif.image_registers import matrix_register

PIXEL_MAX, BYTE_MAX = 4095, 255
COEFFICIENT_LIMIT = 1 << 13
FRAMES = 24
MIN_SHARE = 0.02
"""Of the results that must be saturated, at either end, and of those that must not."""


def random_matrix(rng: np.random.Generator) -> IntArray:
    """Coefficients of all magnitudes, now and then the largest of them."""
    matrix = log_uniform(rng, bits=14, size=9).reshape(3, 3)
    if rng.random() < 0.2:  # noqa: PLR2004
        matrix[rng.integers(3)] = rng.choice([-COEFFICIENT_LIMIT, COEFFICIENT_LIMIT - 1])
    return matrix


def random_table(rng: np.random.Generator) -> tuple[int, ...]:
    """Knots that rise, fall and jump, so that every bit of a value shows in the output."""
    choices = (IDENTITY_TABLE, srgb_table(), tuple(rng.integers(0, 1 << 12, KNOTS).tolist()))
    return choices[rng.choice(3, p=[0.15, 0.15, 0.7])]


def random_frame(rng: np.random.Generator) -> IntArray:
    """Pixels of all magnitudes and of the ends of their range."""
    shape = (int(rng.integers(4, 12)), int(rng.integers(4, 30)), 3)
    frame = np.abs(log_uniform(rng, bits=13, size=int(np.prod(shape)))).reshape(shape)
    frame = np.where(rng.random(shape) < 0.3, PIXEL_MAX - frame, frame)  # noqa: PLR2004
    return np.clip(frame, 0, PIXEL_MAX)


class Bench:
    """The ports, and a count of what the frames have met."""

    def __init__(self, dut, rng: np.random.Generator):
        self.dut, self.rng = dut, rng
        self.source = FrameSource(dut, "i", 12, rng)
        self.rgb = FrameMonitor(dut, "rgb", 8, 3, abort="rgb_aborted")
        self.ycbcr = FrameMonitor(dut, "ycbcr", 8, 3, abort="ycbcr_aborted")
        dut.abort.value = 0
        dut.gamma__enable.value = 0
        dut.matrix.value = 0
        self.low = self.high = self.values = 0

    async def configure(self, matrix, table) -> None:
        """Write the table in any order, and the matrix."""
        dut = self.dut
        dut.matrix.value = matrix_register(Settings(matrix=np.asarray(matrix).tolist()))
        dut.gamma__enable.value = 1
        for knot in self.rng.permutation(KNOTS).tolist():
            dut.gamma__address.value, dut.gamma__data.value = knot, table[knot]
            await RisingEdge(dut.clk)
        dut.gamma__enable.value = 0

    def expect(self, frame: IntArray, matrix, table) -> tuple[IntArray, IntArray]:
        """RGB and YCbCr of the model."""
        linear = correct_colour(frame, matrix)
        self.low += int((linear == 0).sum())
        self.high += int((linear == PIXEL_MAX).sum())
        self.values += linear.size
        rgb = apply_gamma(linear, table)
        return rgb, to_ycbcr(rgb)

    async def check(self, expected: list[tuple[IntArray, IntArray]]) -> None:
        """Compare all frames that have come, and that there are no others."""
        for index, monitor in enumerate((self.rgb, self.ycbcr)):
            found = await monitor.receive(len(expected))
            for frame, wanted in zip(found, expected, strict=True):
                np.testing.assert_array_equal(frame, wanted[index], monitor.name)
            assert not monitor.frames, "frames that nobody sent"
            assert not monitor.words, "pixels of no frame"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def random_colours(dut) -> None:
    """Random registers and pixels, with any gaps or none; some frames are cut short."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    bench = Bench(dut, rng)
    await start(dut)
    cut = 0
    for _ in range(FRAMES):
        matrix, table = random_matrix(rng), random_table(rng)
        await bench.configure(matrix, table)
        expected = []
        for _ in range(2):
            frame = random_frame(rng)
            gaps = BACK_TO_BACK if rng.random() < 0.5 else Blanking(0.3, int(rng.integers(4)), 2)  # noqa: PLR2004
            if rng.random() < 0.3:  # noqa: PLR2004
                pixels = int(rng.integers(1, frame.shape[0] * frame.shape[1]))
                await bench.source.send(frame, gaps, pixels=pixels)
                cut += 1
                dut.abort.value = 1
                # A pixel in this clock belongs to the frame that is forgotten.
                dut.i__valid.value = int(rng.integers(2))
                await RisingEdge(dut.clk)
                dut.abort.value, dut.i__valid.value = 0, 0
            await bench.source.send(frame, gaps)
            expected.append(bench.expect(frame, matrix, table))
        await bench.source.idle(ColourPath.YCBCR_LATENCY + 1)
        await bench.check(expected)
    assert cut > FRAMES // 4, "hardly any frame was cut short"
    assert bench.rgb.aborted == bench.ycbcr.aborted > 0
    inside = bench.values - bench.low - bench.high
    cocotb.log.info("0: %d, 4095: %d, others: %d", bench.low, bench.high, inside)
    assert min(bench.low, bench.high, inside) > MIN_SHARE * bench.values


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def every_colour_of_the_cube(dut) -> None:
    """Luma and chroma of corners, greys and random colours; the corners of the identity."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    bench = Bench(dut, rng)
    await start(dut)
    await bench.configure(IDENTITY_MATRIX, IDENTITY_TABLE)
    corners = [[BYTE_MAX * (n >> c & 1) for c in range(3)] for n in range(8)]
    greys = [[value] * 3 for value in range(BYTE_MAX + 1)]
    near = np.clip(rng.choice([0, 255], (760, 3)) + rng.integers(-3, 4, (760, 3)), 0, BYTE_MAX)
    pixels = np.concatenate([corners, greys, near, rng.integers(0, 256, (4096, 3))])
    frame = (pixels.reshape(64, -1, 3) << 4).astype(np.int64)
    await bench.source.send(frame)
    await bench.check([bench.expect(frame, IDENTITY_MATRIX, IDENTITY_TABLE)])


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def latency(dut) -> None:
    """Pixels come out as many clocks later as stated."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    bench = Bench(dut, rng)
    await start(dut)
    await bench.configure(IDENTITY_MATRIX, IDENTITY_TABLE)
    await bench.source.idle(1)
    dut.i__valid.value = 1
    seen = {}
    for clock in range(ColourPath.YCBCR_LATENCY + 3):
        await RisingEdge(dut.clk)
        dut.i__valid.value = 0
        for name in ("rgb", "ycbcr"):
            if dut[f"{name}__valid"].value == 1:
                seen.setdefault(name, []).append(clock)
    assert seen == {"rgb": [ColourPath.RGB_LATENCY], "ycbcr": [ColourPath.YCBCR_LATENCY]}
