"""cocotb bench: `hdl.image.change.ChangeDetector` against `models.image.change`."""

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge
from cocotb.utils import get_sim_time

from hdl.image.change import ChangeDetector
from hdl.image.change import ChangeSettings as Registers
from models.fixedpoint import IntArray
from models.image import change
from models.image.change import ChangeSettings
from verif.bench import CLOCK_NS, parameters, start
from verif.image_frames import BACK_TO_BACK, Blanking, FrameSource
from verif.image_registers import change_of

__all__ = ["read_map"]

LATENCY = ChangeDetector.LATENCY
ROUNDS, FRAMES = 20, 8
WIDE = Blanking(0.0, 4, 8)
"""What the narrowest pictures need between lines and frames."""


async def read_map(dut, shape: tuple[int, int]) -> IntArray:
    """Read the map by its port; blocks beyond its columns must be 0."""
    rows, columns = shape
    found = np.zeros(shape, dtype=np.int64)
    for row in range(rows):
        dut.map_row.value = row
        await RisingEdge(dut.clk)
        await RisingEdge(dut.clk)
        word = dut.map.value.to_unsigned()
        assert word >> columns == 0, f"row {row}: changed beyond the picture"
        found[row] = [word >> column & 1 for column in range(columns)]
    return found


class Bench:
    """The detector's ports and what it must say."""

    def __init__(self, dut, rng: np.random.Generator):
        self.dut, self.rng = dut, rng
        self.source = FrameSource(dut, "i", 8, rng)
        self.golden = change.ChangeDetector()
        self.events: list[tuple[float, bool]] = []
        for name in ("abort", "restart", "hold", "map_row", "settings"):
            dut[name].value = 0
        dut.enable.value = 1
        cocotb.start_soon(self.watch())

    async def watch(self) -> None:
        """Note when frames are done, and whether they wake."""
        while True:
            await RisingEdge(self.dut.done)
            await ReadOnly()
            self.events.append((get_sim_time("ns"), self.dut.wake.value == 1))

    async def after_pixels(self, pixels: int) -> None:
        """Wait until so many pixels more have come."""
        while pixels:
            await RisingEdge(self.dut.clk)
            pixels -= self.dut.i__valid.value == 1

    async def send_enabled(self, frame: IntArray, gaps: Blanking, *, enable: bool) -> None:
        """Send a frame that begins with or without ``enable``, which then says the contrary."""

        async def flip() -> None:
            await self.after_pixels(1)
            self.dut.enable.value = not enable

        self.dut.enable.value = enable
        flipping = cocotb.start_soon(flip())
        await self.source.send(frame, gaps)
        await flipping
        self.dut.enable.value = 1

    async def send_and_restart(self, frame: IntArray, gaps: Blanking, pixels: int) -> None:
        """Send a frame, and forget the reference after so many of its pixels."""

        async def forget() -> None:
            await self.after_pixels(pixels)
            self.dut.restart.value = 1
            await RisingEdge(self.dut.clk)
            self.dut.restart.value = 0

        forgetting = cocotb.start_soon(forget())
        await self.source.send(frame, gaps)
        await forgetting

    async def configure(self, settings: ChangeSettings) -> None:
        """Write the registers and forget the reference."""
        self.dut.settings.value = Registers.const(vars(settings)).as_value().value
        self.golden = change.ChangeDetector(settings)
        await self.restart()

    async def restart(self) -> None:
        """Forget the reference."""
        self.golden.reference = None
        self.dut.restart.value = 1
        await self.source.idle(1)
        self.dut.restart.value = 0

    async def abort(self) -> None:
        """Forget the frame in progress; a pixel in the same clock goes with it."""
        self.dut.abort.value = 1
        self.dut.i__valid.value = int(self.rng.integers(2))
        await RisingEdge(self.dut.clk)
        self.dut.abort.value, self.dut.i__valid.value = 0, 0

    async def settle(self) -> list[bool]:
        """Wait for the last frame's result; whether each frame since the last time woke."""
        await self.source.idle(LATENCY + 1)
        events, self.events = self.events, []
        return [wake for _, wake in events]

    async def check(self, wanted: change.Change) -> None:
        """Compare map, count and rectangle."""
        count, rectangle = change_of(self.dut.result.value.to_unsigned())
        assert count == wanted.block_map.sum()
        assert wanted.bounding_box() in (None, rectangle)
        found_map = await read_map(self.dut, wanted.block_map.shape)
        np.testing.assert_array_equal(found_map, wanted.block_map)


def random_settings(rng: np.random.Generator) -> ChangeSettings:
    """Registers of all magnitudes."""
    return ChangeSettings(
        block_bits=int(rng.choice([3, 4, 5], p=[0.6, 0.25, 0.15])),
        mean_threshold=int(np.exp2(rng.uniform(0, 11))) - 1,
        activity_threshold=int(np.exp2(rng.uniform(0, 12))) - 1,
        count=int(np.exp2(rng.uniform(0, 3))),
        shift=int(rng.integers(0, 9)),
    )


def next_frame(rng: np.random.Generator, frame: IntArray) -> IntArray:
    """The frame before with noise, a drift, or parts that are others."""
    rows, columns = frame.shape
    frame = frame + rng.integers(-2, 3, frame.shape) * rng.integers(0, 3)
    kind = rng.integers(4)
    if kind == 0:
        frame = frame + rng.integers(-20, 21)
    elif kind < 3:  # noqa: PLR2004
        for _ in range(int(rng.integers(1, 4))):
            top, left = int(rng.integers(rows)), int(rng.integers(columns))
            height, width = (int(np.exp2(rng.uniform(2, 4.5))) for _ in range(2))
            part = frame[top : top + height, left : left + width]
            frame[top : top + height, left : left + width] = rng.integers(0, 256, part.shape)
    else:  # two corners, of which the lower one is further left
        down, across = -(-rows // 4), -(-columns // 4)
        frame[:down, -across:] ^= 0xFF
        frame[-down:, :across] ^= 0xFF
    return np.clip(frame, 0, 255)


def random_size(rng: np.random.Generator) -> tuple[int, int]:
    """Rows and columns of all magnitudes, often not whole blocks."""
    rows, columns = (int(np.exp2(rng.uniform(2, 6.6))) for _ in range(2))
    return rows, columns


class Story:
    """Frames of one size, one after another, each with something that happens to it.

    Each method sends one and checks what it gives.
    """

    def __init__(self, bench: Bench, gaps: Blanking, met: dict[str, int]):
        self.bench, self.gaps, self.met, self.rng = bench, gaps, met, bench.rng
        self.shown: change.Change | None = None

    async def compare(self, frame: IntArray) -> None:
        """Nothing, or that map and result are held."""
        hold = self.shown is not None and self.rng.random() < 0.3  # noqa: PLR2004
        self.bench.dut.hold.value = int(hold)
        await self.bench.send_enabled(frame, self.gaps, enable=True)
        await self.check(frame, hold=hold)
        self.bench.dut.hold.value = 0
        self.met["held"] += hold

    async def check(self, frame: IntArray, *, hold: bool = False) -> None:
        """Step the model, and compare it with the frame that was sent."""
        bench, wanted = self.bench, self.bench.golden.step(frame)
        assert await bench.settle() == [wanted.wake]
        if self.shown is None or not hold:
            self.shown = wanted
        await bench.check(self.shown)
        self.met["wake" if wanted.wake else "calm"] += 1
        box = wanted.bounding_box()
        if box is not None:
            # The rectangle's left side is not that of its first row.
            self.met["left"] += int(np.flatnonzero(wanted.block_map[box[0]])[0] != box[1])

    async def cut_short(self, frame: IntArray) -> None:
        """Only a part of it comes."""
        bench, pixels = self.bench, int(self.rng.integers(1, frame.size))
        await bench.source.send(frame, self.gaps, pixels=pixels)
        await bench.abort()
        before = bench.golden.reference
        bench.golden.cut_short(frame, pixels)
        moved = before is not None and bool((before != bench.golden.reference).any())
        self.met["moved"] += moved
        self.met["cut"] += 1

    async def skip(self, frame: IntArray) -> None:
        """Nobody asks for it."""
        await self.bench.send_enabled(frame, self.gaps, enable=False)
        assert not await self.bench.settle(), "a frame that was not asked for"
        self.met["skipped"] += 1

    async def restart(self, frame: IntArray) -> None:
        """The reference is forgotten before its first block is complete, or after.

        Before, it is the new one; after, it is compared with the old one, and neither will be one.
        """
        golden, size = self.bench.golden, frame.shape
        rows, columns = (min(1 << golden.settings.block_bits, length) for length in size)
        first = (rows - 1) * size[1] + columns
        late = first + LATENCY < frame.size and self.rng.random() < 0.7  # noqa: PLR2004
        if late:
            pixels = int(self.rng.integers(first + LATENCY, frame.size))
        else:
            pixels = max(first - 1, 1)
            golden.reference = None
        await self.bench.send_and_restart(frame, self.gaps, pixels)
        await self.check(frame)
        if late:
            golden.reference = None
        self.met["late" if late else "early"] += 1


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def random_frames(dut) -> None:
    """Random registers, sizes and frames; some are cut short, not asked for, or held."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    bench = Bench(dut, rng)
    await start(dut)
    events = ("wake", "calm", "cut", "moved", "skipped", "held", "late", "early", "left")
    met: dict[str, int] = dict.fromkeys(events, 0)
    for _ in range(ROUNDS):
        await bench.configure(random_settings(rng))
        size = random_size(rng)
        narrow = min(size) < 8  # noqa: PLR2004
        gaps = WIDE if narrow or rng.random() < 0.5 else BACK_TO_BACK  # noqa: PLR2004
        story = Story(bench, Blanking(float(rng.choice([0, 0.3])), gaps.line, gaps.frame), met)
        happenings = (story.compare, story.cut_short, story.skip, story.restart)
        frame = rng.integers(0, 256, size)
        for _ in range(FRAMES):
            frame = next_frame(rng, frame)
            await happenings[rng.choice(4, p=[0.6, 0.2, 0.08, 0.12])](frame)
    cocotb.log.info("%s", met)
    assert all(count >= 2 for count in met.values()), met  # noqa: PLR2004


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def back_to_back(dut) -> None:
    """Frames without a clock between them, the largest map; each is done in its clock."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    bench = Bench(dut, rng)
    await start(dut)
    for size, count in (((9, 20), 8), ((33, 50), 4), ((240, 320), 2)):
        settings = ChangeSettings(block_bits=3, shift=3, count=1)
        await bench.configure(settings)
        await bench.settle()
        frame, wanted = rng.integers(0, 256, size), None
        events = []
        for _ in range(count):
            frame = next_frame(rng, frame)
            await bench.source.send(frame)
            ended = get_sim_time("ns")
            wanted = bench.golden.step(frame)
            # The pixel's edge is that of the first register.
            events.append((ended + (LATENCY - 1) * CLOCK_NS, wanted.wake))
        await bench.source.idle(LATENCY + 1)
        assert bench.events == events
        await bench.settle()
        assert wanted is not None
        await bench.check(wanted)


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def sequences(dut) -> None:
    """Sequences of pictures that the test gives: noise, a drift, a moving block, a camera."""
    bench = Bench(dut, np.random.default_rng(cocotb.RANDOM_SEED))
    await start(dut)
    path = parameters().get("sequences")
    if path is None:
        return
    with np.load(path) as files:
        for name in files:
            await bench.configure(ChangeSettings())
            await bench.settle()
            wakes = []
            for frame in files[name].astype(np.int64):
                await bench.source.send(frame)
                wanted = bench.golden.step(frame)
                assert await bench.settle() == [wanted.wake]
                await bench.check(wanted)
                wakes.append(wanted.wake)
            cocotb.log.info("%s wakes %s", name, "".join(".#"[wake] for wake in wakes))
            assert any(wakes) == ("moving" in name), name
            if name == "moving":
                first = parameters()["first_moving"]
                assert wakes == [False] * first + [True] * (len(wakes) - first)
