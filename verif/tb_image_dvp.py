"""cocotb bench: `hdl.image.dvp.DvpReceiver` against `models.image.dvp.receive`."""

from dataclasses import dataclass, field

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from numpy.typing import NDArray

from hdl.image import dvp as hardware
from hdl.image.pixels import FrameSize
from models.image.bayer import PIXEL_BITS, PIXEL_MAX
from models.image.dvp import FAULTS, DvpConfig, receive
from verif.bench import log_uniform, start
from verif.dvp_camera import (
    TIGHT,
    Blanking,
    CameraFault,
    Pins,
    blank_pins,
    frame_pins,
    join,
)

LATENCY = hardware.DvpReceiver.LATENCY
SETTLED = LATENCY + 2
LOOSE = Blanking(vsync=9, front=12, line=7, back=20, fixed=False)
FRAMES = 24
NOISE_CLOCKS = 6000


@dataclass
class Seen:
    """What left: whole frames, the clock of each pixel, frames that were dropped."""

    frames: list[NDArray] = field(default_factory=list)
    clocks: list[int] = field(default_factory=list)
    aborts: int = 0
    part: list[list[int]] = field(default_factory=lambda: [[]])

    def pixel(self, payload: int, width: int, height: int) -> None:
        """Take one, and check its flags."""
        self.part[-1].append(payload & PIXEL_MAX)
        last_column, last_row = len(self.part[-1]) == width, len(self.part) == height
        assert payload >> PIXEL_BITS == last_column | last_row << 1, "wrong flags"
        if last_column:
            self.part.append([])
            if last_row:
                self.frames.append(np.array(self.part[:-1]))
                self.part = [[]]

    def drop(self) -> None:
        """The part of a frame that was seen is worth nothing."""
        assert self.part != [[]], "nothing to drop"
        self.part = [[]]
        self.aborts += 1


def sized(config: DvpConfig) -> int:
    """The port ``size``."""
    return FrameSize.const({"width": config.width, "height": config.height}).as_bits()


async def set_up(dut, config: DvpConfig) -> None:
    """Off, other registers, counters to 0, on."""
    dut.enable.value = 0
    dut.clear.value = 1
    for _ in range(3):
        await RisingEdge(dut.clk)
    assert dut.busy.value == 0
    fields = {name: getattr(config, name) for name in ("bits", "vsync_low", "href_low")}
    dut.config.value = hardware.DvpConfig.const(fields).as_value().value
    dut.size.value = sized(config)
    dut.vsync.value, dut.href.value = config.vsync_low, config.href_low
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.clear.value = 0
    dut.enable.value = 1


async def watch(dut, pins: Pins, config: DvpConfig) -> Seen:
    """Drive the pins' levels, and no more."""
    seen = Seen()
    quiet = Pins(np.zeros(SETTLED, bool), np.zeros(SETTLED, bool), np.zeros(SETTLED, np.int64))
    driven = join([pins, quiet]).polarised(config)
    rows = zip(driven.vsync.tolist(), driven.href.tolist(), driven.data.tolist(), strict=True)
    for clock, (vsync, href, value) in enumerate(rows):
        dut.vsync.value, dut.href.value, dut.data.value = vsync, href, value
        await RisingEdge(dut.clk)
        if dut.o__valid.value == 1:
            assert dut.abort.value == 0
            seen.pixel(dut.o__payload.value.to_unsigned(), config.width, config.height)
            seen.clocks.append(clock)
        elif dut.abort.value == 1:
            seen.drop()
    return seen


def flags(dut) -> dict[str, int]:
    """The port ``faults``."""
    bits = dut.faults.value.to_unsigned()
    return {name: bits >> place & 1 for place, name in enumerate((*FAULTS, "bad_size"))}


async def compare(dut, pins: Pins, config: DvpConfig) -> dict[str, int]:
    """Frames, counters and flags as the model has them; its faults."""
    quiet = np.zeros(1, bool)
    ended = join([pins, Pins(quiet, quiet, np.zeros(1, np.int64))]).polarised(config)
    expected = receive(ended.vsync, ended.href, ended.data, config)
    seen = await watch(dut, pins, config)
    assert len(seen.frames) == len(expected.frames)
    for found, frame in zip(seen.frames, expected.frames, strict=True):
        np.testing.assert_array_equal(found, frame)
    assert dut.good.value == len(expected.frames)
    assert dut.dropped.value == expected.dropped
    assert seen.aborts <= expected.dropped
    raised = {name: int(count > 0) for name, count in expected.faults.items()}
    assert flags(dut) == raised | {"bad_size": 0}
    return expected.faults | {"good": len(expected.frames)}


def random_config(rng: np.random.Generator, **fields) -> DvpConfig:
    """A small frame; every number of bits, every polarity."""
    drawn = {
        "width": int(rng.integers(4, 14)),
        "height": int(rng.integers(4, 9)),
        "bits": int(rng.integers(8, PIXEL_BITS + 1)),
        "vsync_low": bool(rng.integers(2)),
        "href_low": bool(rng.integers(2)),
    }
    return DvpConfig(**(drawn | fields))


def picture(rng: np.random.Generator, config: DvpConfig) -> NDArray[np.int64]:
    """Values of all magnitudes, some with more bits than there should be."""
    values = log_uniform(rng, bits=PIXEL_BITS + 1, size=config.width * config.height)
    return np.abs(values).clip(0, PIXEL_MAX).reshape(config.height, config.width)


async def begin(dut) -> np.random.Generator:
    """Inputs at rest, and reset; the registers only then, a frame may be in progress."""
    dut._log.info("seed %d", cocotb.RANDOM_SEED)
    for name in ("enable", "vsync", "href", "data", "clear"):
        dut[name].value = 0
    await start(dut)
    dut.config.value = dut.size.value = 0
    return np.random.default_rng(cocotb.RANDOM_SEED)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def right_frames(dut) -> None:
    """Any blanking, none, all formats; each pixel in the clock that the design promises."""
    rng = await begin(dut)
    clipped = 0
    for blanking in (TIGHT, LOOSE):
        for bits in range(8, PIXEL_BITS + 1):
            config = random_config(rng, bits=bits)
            pictures = [picture(rng, config) for _ in range(4)]
            pins = join(frame_pins(rng, values, blanking) for values in pictures)
            await set_up(dut, config)
            seen = await watch(dut, pins, config)
            assert seen.clocks == (np.flatnonzero(pins.href) + LATENCY).tolist()
            assert seen.aborts == 0
            await set_up(dut, config)
            assert (await compare(dut, pins, config))["good"] == len(pictures)
            clipped += sum(np.count_nonzero(values >> bits) for values in pictures)
    assert clipped > 0


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def faults_and_recovery(dut) -> None:
    """Each fault between right frames: what follows a VSYNC is received again."""
    rng = await begin(dut)
    counts: dict[str, int] = {}
    for fault in CameraFault:
        for blanking in (TIGHT, LOOSE, LOOSE):
            config = random_config(rng)
            order = [CameraFault.NONE, fault, CameraFault.NONE, fault, fault, CameraFault.NONE]
            pins = join(frame_pins(rng, picture(rng, config), blanking, each) for each in order)
            await set_up(dut, config)
            found = await compare(dut, pins, config)
            # More lines and a missing VSYNC spoil what comes next, up to VSYNC.
            assert found["good"] >= len(order) - order.count(fault)
            counts = {name: counts.get(name, 0) + count for name, count in found.items()}
            if fault is CameraFault.NONE:
                assert found["good"] == len(order)
            else:
                assert sum(found.values()) > found["good"]
    dut._log.info("%s", counts)
    assert min(counts.values()) > 0


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def mixed_faults(dut) -> None:
    """Frames with and without faults in any order."""
    rng = await begin(dut)
    kinds = list(CameraFault)
    for _ in range(6):
        config = random_config(rng, width=4, height=int(rng.integers(4, 6)))
        chosen = [kinds[int(rng.integers(len(kinds)))] for _ in range(FRAMES)]
        blanking = TIGHT if rng.integers(2) else LOOSE
        pins = join(frame_pins(rng, picture(rng, config), blanking, each) for each in chosen)
        await set_up(dut, config)
        found = await compare(dut, pins, config)
        assert found["good"] > 0


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def noise(dut) -> None:
    """Pins without any order: lines are right by chance, frames hardly ever."""
    rng = await begin(dut)
    config = random_config(rng, width=4, height=4)
    counts: dict[str, int] = {}
    for rate in (0.003, 0.03, 0.3):
        vsync = rng.random(NOISE_CLOCKS) < rate
        href = np.resize([1, 1, 1, 1, 0], NOISE_CLOCKS) ^ (rng.random(NOISE_CLOCKS) < rate / 3)
        pins = Pins(vsync, href.astype(bool), rng.integers(0, PIXEL_MAX + 1, NOISE_CLOCKS))
        await set_up(dut, config)
        found = await compare(dut, pins, config)
        counts = {name: counts.get(name, 0) + count for name, count in found.items()}
    dut._log.info("%s", counts)
    assert min(counts.values()) > 0


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def off_and_on(dut) -> None:
    """``enable`` falls in any clock of a frame, and rises in any of the next one."""
    rng = await begin(dut)
    config = random_config(rng, width=4, height=4)
    await set_up(dut, config)
    aborts = 0
    pins = join(frame_pins(rng, picture(rng, config), LOOSE) for _ in range(2))
    for clocks in range(1, len(pins), 2):
        left = Pins(pins.vsync[:clocks], pins.href[:clocks], pins.data[:clocks]).polarised(config)
        seen = Seen()
        for vsync, href, value in zip(left.vsync, left.href, left.data, strict=True):
            dut.vsync.value, dut.href.value, dut.data.value = bool(vsync), bool(href), int(value)
            await RisingEdge(dut.clk)
            if dut.o__valid.value == 1:
                seen.pixel(dut.o__payload.value.to_unsigned(), config.width, config.height)
        dut.enable.value = 0
        dropped = False
        for _ in range(SETTLED):
            await RisingEdge(dut.clk)
            if dut.o__valid.value == 1:
                assert not dropped
                seen.pixel(dut.o__payload.value.to_unsigned(), config.width, config.height)
            if dut.abort.value == 1:
                assert not dropped
                dropped = True
                seen.drop()
        assert seen.part == [[]], "a frame is left without an end"
        aborts += dropped
        assert dut.dropped.value == 0
        assert sum(flags(dut).values()) == 0
        # The middle of a frame, then a right one.
        await set_up(dut, config)
        late = frame_pins(rng, picture(rng, config), TIGHT)
        late.vsync[:] = False
        whole = frame_pins(rng, picture(rng, config), LOOSE)
        assert (await compare(dut, join([late, whole]), config))["good"] == 1
        await set_up(dut, config)
    assert aborts > len(pins) // 8


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def sizes(dut) -> None:
    """Sizes that line buffers cannot take are refused, and flagged; the largest ones are not."""
    rng = await begin(dut)
    good = random_config(rng, width=4, height=4)
    frame = frame_pins(rng, picture(rng, good), TIGHT)
    for width, height, allowed in (
        (3, 4, False), (4, 3, False), (1281, 4, False), (4, 1025, False), (0, 0, False),
        (2047, 2047, False), (4, 4, True), (1280, 1024, True),
    ):  # fmt: skip
        await set_up(dut, good)
        dut.enable.value = 0
        await RisingEdge(dut.clk)
        await RisingEdge(dut.clk)
        dut.size.value = FrameSize.const({"width": width, "height": height}).as_bits()
        dut.enable.value = 1
        await RisingEdge(dut.clk)
        # Only a frame of 4 x 4 is one to both.
        fits = (width, height) == (good.width, good.height)
        for part in (frame, blank_pins(rng, 3, vsync=True)) if fits or not allowed else ():
            await watch(dut, part, good)
        for _ in range(SETTLED):
            await RisingEdge(dut.clk)
        assert flags(dut) == dict.fromkeys(FAULTS, 0) | {"bad_size": not allowed}
        assert dut.good.value == fits
        if not allowed:
            assert dut.busy.value == 0
    for width, height in ((1280, 4), (4, 1024)):
        config = DvpConfig(width=width, height=height)
        await set_up(dut, config)
        assert (await compare(dut, frame_pins(rng, picture(rng, config)), config))["good"] == 1
