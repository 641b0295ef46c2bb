"""Plays pictures to the JPEG encoder in its rig and compares files with the golden model's."""

from collections.abc import Sequence
from dataclasses import dataclass

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge, Timer, with_timeout
from numpy.typing import NDArray

from hdl.image.jpeg_words import WORD_BYTES
from hdl.image.jpeg_words import JpegSettings as Registers
from models.image.jpeg import JpegSettings, encode
from models.image.jpeg_planes import Region
from verif.bench import CLOCK_NS
from verif.jpeg_design import design_of
from verif.jpeg_rig import FILE_WORDS, PIXELS_A_ROW, Play

__all__ = ["PIXEL_PS", "Bench", "Planes", "Result", "Run"]

PIXEL_PS = 2 * 1000 * CLOCK_NS
"""The fastest camera: half the encoder's clock."""
PATIENCE_MS = 20
"""Two million cycles: far longer than any picture here takes."""
NOISE = (1 << 31) - 1
END = b"\xff\xd9"
Planes = Sequence[NDArray[np.integer]] | NDArray[np.integer]


@dataclass
class Run:
    """What the camera and the reader of the file do; files are those of ``planes``."""

    planes: Planes
    settings: JpegSettings
    region: Region | None = None
    frames: int = 1
    gap: int = 0
    stall: int = 0
    aborts: int = 0
    abort_at: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.planes[0].shape
        return height, width


@dataclass
class Result:
    """Files that ended, whether they are good, and when: cycles from the camera's start."""

    files: list[bytes]
    good: list[bool]
    drops: int
    cycles: int


class Bench:
    """The rig: clocks, tables, pictures, files."""

    def __init__(self, dut):
        self.dut = dut
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.clocks: tuple[Clock, ...] = ()

    async def start(self, pixel_ps: int = PIXEL_PS) -> None:
        """Both clocks, and a reset."""
        dut = self.dut
        dut._log.info("seed %d, pixel clock %d ps", cocotb.RANDOM_SEED, pixel_ps)
        for port in ("picture", "header", "quantisers", "codes"):
            dut[f"{port}__enable"].value = 0
        for name in ("go", "enable", "stall", "hold", "settings", "play", "file_row"):
            dut[name].value = 0
        dut.seed.value = int(self.rng.integers(1, NOISE))
        for clock in self.clocks:
            clock.stop()
        self.clocks = (
            Clock(dut.clk, CLOCK_NS, unit="ns"),
            Clock(dut.pixel_clk, pixel_ps, unit="ps"),
        )
        for clock in self.clocks:
            clock.start()
        dut.rst.value = dut.pixel_rst.value = 1
        await ClockCycles(dut.pixel_clk, 4)
        await self.away_from_edges()
        dut.rst.value = dut.pixel_rst.value = 0
        await ClockCycles(dut.pixel_clk, 4)

    async def away_from_edges(self) -> None:
        """Until no clock's edge is near: changes here are those of one cycle for both."""
        await FallingEdge(self.dut.clk)
        await Timer(100, unit="ps")

    async def write(self, port: str, rows: Sequence[int], clock) -> None:
        """Rows of a table."""
        dut = self.dut
        await RisingEdge(clock)
        dut[f"{port}__enable"].value = 1
        for address, row in enumerate(rows):
            dut[f"{port}__address"].value = address
            dut[f"{port}__data"].value = row
            await RisingEdge(clock)
        dut[f"{port}__enable"].value = 0

    async def load(self, run: Run, played: tuple[int, int] | None = None) -> None:
        """Tables, registers and the picture; or one of another shape is ``played``."""
        dut, grey = self.dut, len(run.planes) == 1
        design = design_of(run.settings, run.shape, grey=grey, region=run.region)
        for port in ("header", "quantisers", "codes"):
            await self.write(port, getattr(design, port), dut.clk)
        planes = [np.asarray(run.planes[n % len(run.planes)], np.uint8) for n in range(3)]
        if grey:  # what the chroma wires carry is nobody's business
            planes[1:] = self.rng.integers(0, 256, (2, *run.shape), np.uint8)
        data = np.stack(planes, axis=-1).tobytes()
        size = 3 * PIXELS_A_ROW
        rows = [int.from_bytes(data[n : n + size], "little") for n in range(0, len(data), size)]
        await self.write("picture", rows, dut.pixel_clk)
        dut.settings.value = bits_of(Registers, design.registers)
        play = {name: getattr(run, name) for name in ("frames", "gap", "aborts", "abort_at")}
        height, width = played or run.shape
        dut.play.value = bits_of(Play, play | {"width": width, "height": height})
        dut.stall.value = run.stall
        await ClockCycles(dut.pixel_clk, 4)

    async def play(
        self, run: Run, *, load: bool = True, hold: int = 0, enable: bool = True
    ) -> Result:
        """Play a picture and read its files; ``hold`` the reader for so many cycles."""
        dut = self.dut
        if load:
            await self.load(run)
        before = (int(dut.good.value), int(dut.bad.value), int(dut.drops.value))
        words, start = int(dut.words.value), int(dut.cycle.value)
        dut.enable.value, dut.hold.value = enable, hold > 0
        await RisingEdge(dut.pixel_clk)
        dut.go.value = 1
        if hold:
            await ClockCycles(dut.clk, hold)
            await self.away_from_edges()
            dut.hold.value = 0
        if not dut.played.value:
            await with_timeout(RisingEdge(dut.played), PATIENCE_MS, "ms")
        dut.go.value = 0
        await ClockCycles(dut.pixel_clk, 8)
        if not dut.idle.value:
            await with_timeout(RisingEdge(dut.idle), PATIENCE_MS, "ms")
        await ClockCycles(dut.clk, 4)
        count = (int(dut.words.value) - words) % FILE_WORDS
        files, good = await self.read(words, words + count)
        assert (int(dut.good.value) - before[0]) % 256 == sum(good)
        assert (int(dut.bad.value) - before[1]) % 256 == len(good) - sum(good)
        drops = (int(dut.drops.value) - before[2]) % 256
        return Result(files, good, drops, int(dut.last_cycle.value) - start)

    async def read(self, first: int, end: int) -> tuple[list[bytes], list[bool]]:
        """Words of the memory, cut into files."""
        dut = self.dut
        files, good, data = [], [], b""
        for row in range(first, end):
            dut.file_row.value = row % FILE_WORDS
            await RisingEdge(dut.clk)
            await FallingEdge(dut.clk)
            word = int(dut.file_word.value)
            count, last, bad = word >> 32 & 7, word >> 35 & 1, word >> 36
            data += (word & 0xFFFFFFFF).to_bytes(WORD_BYTES, "little")[:count]
            if last:
                files.append(data)
                good.append(not bad)
                data = b""
        assert not data, "a file without an end"
        return files, good

    async def check(self, run: Run, **how) -> Result:
        """Play it; expect the model's file of each whole frame, and what aborted ones leave."""
        expected = encode(list(run.planes), run.settings, run.region)
        result = await self.play(run, **how)
        about = describe(run)
        assert result.drops == 0, f"{result.drops} pictures dropped: {about}"
        good = [True] * (run.frames - run.aborts)
        assert result.good == fate_of_aborted(run) * run.aborts + good, f"{result.good}: {about}"
        for data, good in zip(result.files, result.good, strict=True):
            if good:
                assert data == expected, f"{difference(data, expected)}: {about}"
            else:
                assert data.endswith(END), about
        return result


def fate_of_aborted(run: Run) -> list[bool]:
    """Whether an aborted frame leaves a good file (its region was complete), a bad one, or none."""
    side = 8 if len(run.planes) == 1 else 16
    height, width = run.shape
    region = (run.region or Region(0, 0, width, height)).aligned(run.shape, side)
    ends = [
        (region.y + lines) * width - (width - region.x - region.width)
        for lines in (min(side, region.height), region.height)
    ]
    return [run.abort_at >= ends[1]] if run.abort_at >= ends[0] else []


def bits_of(layout, fields: dict[str, int]) -> int:
    """The number that a port of a struct takes."""
    return layout.const(fields).as_bits()


def describe(run: Run) -> str:
    """A run without its pixels."""
    return (
        f"{len(run.planes)} planes of {run.shape}, region {run.region}, {run.frames} frames, "
        f"{run.aborts} aborts at {run.abort_at}, restart {run.settings.restart_interval}, "
        f"gap {run.gap}, stall {run.stall}"
    )


def difference(data: bytes, expected: bytes) -> str:
    """Where two files part."""
    pairs = enumerate(zip(data, expected, strict=False))
    first = next((n for n, (a, b) in pairs if a != b), min(len(data), len(expected)))
    return (
        f"{len(data)} bytes for {len(expected)}, from {first} on {data[first : first + 8].hex()} "
        f"for {expected[first : first + 8].hex()}"
    )
