"""Features from bins: every preset, awkward and real sounds, stalls; a cycle count without."""

from collections.abc import Iterator

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from cocotb.utils import get_sim_time
from numpy.typing import NDArray

from hdl.audio.config import AudioConfig
from hdl.audio.features import FEATURE
from hdl.audio.levels import FRAME
from hdl.audio.spectrum import BIN
from models.audio.fft import Fft
from models.audio.frames import windowed_frames
from models.audio.frontend import PRESETS, FrontEnd
from models.audio.pipeline import features
from models.audio.tables import mel_table, tail_table
from models.fixedpoint import IntArray
from verif.bench import CLOCK_NS, log_uniform, parameters, start
from verif.feature_design import constants_of, weight_rows
from verif.stream import StreamSink, StreamSource

CONFIG = AudioConfig()
BUDGET = {"mlperf_kws": 1650, "tf_mfcc": 2500, "mlperf_sww": 1350, "mlperf_ad": 3050}
"""Cycles from a frame's first bin to its last feature, of 20,480 to 32,768 in real time."""


def sounds(rng: np.random.Generator, size: int) -> list[IntArray]:
    """Recordings of one or two frames: extremes, noise of all magnitudes, and what tests gave."""
    time = np.arange(size)
    given = [np.array(clip, np.int64) for clip in parameters().get("recordings", [])]
    return [
        np.zeros(size, np.int64),
        np.where(time // 8 % 2, 32_767, -32_768),
        np.where(time == size // 2, 32_767, 0),
        np.round(np.sin(time * 0.4)).astype(np.int64),
        np.full(size, -32_768),
        rng.integers(-32_768, 32_768, size),
        log_uniform(rng, bits=16, size=size),
        log_uniform(rng, bits=16, size=size) >> 9,
        *[clip[:size] for clip in given],
    ]


async def write_tables(dut, frontend: FrontEnd) -> None:
    """Write the constants and both tables, one row a cycle."""
    dut.constants.value = constants_of(frontend, CONFIG).as_bits()
    cosines = [value & 0x3FFFF for value in tail_table(frontend).cosines.tolist()]
    for name, rows in (("weights", weight_rows(frontend, CONFIG)), ("cosines", cosines)):
        enable, address, data = (dut[f"{name}__{part}"] for part in ("enable", "address", "data"))
        enable.value = 1
        for row, value in enumerate(rows):
            address.value, data.value = row, value
            await RisingEdge(dut.clk)
        enable.value = 0


def stimulus(frontend: FrontEnd, pcm: IntArray) -> tuple[list[int], list[int], NDArray[np.int8]]:
    """Frames, bins and expected features of one recording."""
    margin = frontend.fft // 2 if frontend.centred else 0
    windowed = windowed_frames(frontend, np.pad(pcm, margin))
    re, im, exponents = Fft(frontend.fft).block_floating(windowed)
    mel = mel_table(frontend)
    peak = max(1, int(pcm.max())) if frontend.normalisation == "peak" else 1
    frames = [FRAME.const({"exponent": e, "peak": peak}).as_bits() for e in exponents.tolist()]
    used = slice(mel.first, mel.last + 1)
    mask = (1 << 24) - 1
    packed = (re[:, used] & mask) | ((im[:, used] & mask) << 24)
    return frames, packed.reshape(-1).tolist(), features(frontend, pcm.astype(np.int16))


class Ports:
    """The three streams, whose stalls can be changed."""

    def __init__(self, dut, rng: np.random.Generator):
        self.stall = 0.0
        self.coins = rng
        self.frames = StreamSource(dut, "frame", self.stalls())
        self.bins = StreamSource(dut, "i", self.stalls())
        self.features = StreamSink(dut, "o", self.stalls())

    def stalls(self) -> Iterator[bool]:
        """Yield whether to stall, by the present probability."""
        while True:
            yield self.stall > 0 and bool(self.coins.random() < self.stall)


async def run_frames(dut, ports: Ports, frontend: FrontEnd, pcm: IntArray) -> None:
    """Feed a recording, compare every feature and every ``last``."""
    frames, bins, expected = stimulus(frontend, pcm)
    senders = [
        cocotb.start_soon(ports.frames.send(frames)),
        cocotb.start_soon(ports.bins.send(bins)),
    ]
    received = await ports.features.receive(expected.size, signed=False)
    for sender in senders:
        await sender
    values = (np.array(received) & 0xFF).astype(np.uint8).astype(np.int8).reshape(expected.shape)
    np.testing.assert_array_equal(values, expected, f"{frontend.name}")
    lasts = (np.array(received) >> 8).reshape(expected.shape)
    assert lasts[:, -1].all()
    assert not lasts[:, :-1].any()
    assert dut.idle.value == 0  # the edge of the last transfer
    await RisingEdge(dut.clk)
    assert dut.idle.value == 1


@cocotb.test(timeout_time=40, timeout_unit="ms")
async def features_equal_the_model(dut) -> None:
    """All presets one after another on the same hardware, with and without stalls."""
    assert BIN.size == 48 and FEATURE.size == 9  # noqa: PLR2004, PT018 - what the packing assumes
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    dut.weights__enable.value = dut.cosines__enable.value = 0
    dut.constants.value = 0
    ports = Ports(dut, rng)
    await start(dut)
    described = [FrontEnd(**fields) for fields in parameters().get("described", [])]
    for frontend in [*(PRESETS[name] for name in BUDGET), *described]:
        name, is_preset = frontend.name, frontend.name in BUDGET
        await write_tables(dut, frontend)
        chosen = sounds(rng, frontend.frame)
        for index, pcm in enumerate(chosen if is_preset else chosen[2:7:2]):
            ports.stall = 0.6 * (index % 3 == 0)
            before = get_sim_time("ns")
            await run_frames(dut, ports, frontend, pcm)
            frames = frontend.frame_count(pcm.size)
            cycles = (get_sim_time("ns") - before) / CLOCK_NS / frames
            dut._log.info("%s, sound %d: %.0f cycles a frame", name, index, cycles)
            assert ports.stall or cycles <= BUDGET.get(name, np.inf), (
                f"{name}: {cycles} cycles a frame"
            )
