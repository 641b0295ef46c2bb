"""The audio front end from samples to features: awkward sounds, stalls, cycle counts."""

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from cocotb.utils import get_sim_time

from hdl.audio.config import AudioConfig
from hdl.audio.features import FEATURE
from models.audio.frontend import PRESETS, FrontEnd
from models.audio.pipeline import FeatureStream
from models.fixedpoint import IntArray
from verif.bench import CLOCK_NS, coin, log_uniform, parameters, start
from verif.frontend_tables import constants_of, table_rows
from verif.stream import StreamSink, StreamSource

CONFIG = AudioConfig()
SAMPLE_CYCLES = 64
CYCLES = {
    "mlperf_kws": 3450,
    "mlperf_sww": 5500,
    "mlperf_ad": 7100,
    "tflm_micro": 4100,
    "tf_mfcc": 6700,
}
"""Most cycles of a frame; it has ``64 * step`` in real time, and the first budget is 6,000."""


def sounds(rng: np.random.Generator, size: int) -> list[IntArray]:
    """Pieces of ``size`` samples: extremes, tones, and noise of all magnitudes."""
    time = np.arange(size)
    return [
        np.zeros(size, np.int64),
        np.where(time == size // 2, 32_767, 0),
        np.where(time // 8 % 2, 32_767, -32_768),
        np.round(np.sin(time * 0.4)).astype(np.int64),
        np.full(size, -32_768),
        rng.integers(-32_768, 32_768, size),
        log_uniform(rng, bits=16, size=size),
        log_uniform(rng, bits=16, size=size) >> 9,
    ]


class FullRate:
    """Streams without stalls, which sleep while nothing moves: most cycles are arithmetic."""

    def __init__(self, dut):
        self.dut = dut
        dut.i__valid.value = 0
        dut.o__ready.value = 1

    async def send(self, samples: list[int]) -> None:
        """Offer one sample after another."""
        dut = self.dut
        dut.i__valid.value = 1
        for sample in samples:
            dut.i__payload.value = sample & 0xFFFF
            await RisingEdge(dut.clk)
            if dut.i__ready.value == 0:
                await RisingEdge(dut.i__ready)
                await RisingEdge(dut.clk)
        dut.i__valid.value = 0

    async def receive(self, count: int) -> list[int]:
        """Collect features; of two in neighbouring cycles one would be missing, but none are."""
        received = []
        for _ in range(count):
            await RisingEdge(self.dut.o__valid)
            await RisingEdge(self.dut.clk)
            received.append(int(self.dut.o__payload.value))
        return received


class Stalled:
    """Streams that stall half the time, and whose rules are checked."""

    def __init__(self, dut, rng: np.random.Generator):
        self.source = StreamSource(dut, "i", coin(rng, 0.5))
        self.sink = StreamSink(dut, "o", coin(rng, 0.5))

    async def send(self, samples: list[int]) -> None:
        """Offer one sample after another."""
        await self.source.send(samples)

    async def receive(self, count: int) -> list[int]:
        """Collect features."""
        return await self.sink.receive(count, signed=False)


async def prepare(dut, frontend: FrontEnd, peak: int) -> None:
    """Write the constants and the tables, one row a cycle, with the front end held in restart."""
    dut.restart.value = 1
    dut.constants.value = constants_of(frontend, CONFIG, peak)
    for name, rows in table_rows(frontend, CONFIG).items():
        enable, address, data = (dut[f"{name}__{part}"] for part in ("enable", "address", "data"))
        enable.value = 1
        for row, value in enumerate(rows):
            address.value, data.value = row, value
            await RisingEdge(dut.clk)
        enable.value = 0
    await RisingEdge(dut.clk)
    dut.restart.value = 0


async def run(
    dut, ports: FullRate | Stalled, frontend: FrontEnd, pcm: IntArray, peak: int = 0
) -> int:
    """Feed samples, compare all features; return the cycles."""
    stream = FeatureStream(frontend, peak or None)
    expected = stream.push(pcm.astype(np.int16))
    await prepare(dut, frontend, peak)
    before = get_sim_time("ns")
    sender = cocotb.start_soon(ports.send(pcm.tolist()))
    received = np.array(await ports.receive(expected.size))
    cycles = (get_sim_time("ns") - before) / CLOCK_NS
    await sender
    values = (received & 0xFF).astype(np.uint8).astype(np.int8).reshape(expected.shape)
    np.testing.assert_array_equal(values, expected, frontend.name)
    lasts = (received >> 8).reshape(expected.shape)
    assert lasts[:, -1].all()
    assert not lasts[:, :-1].any()
    await RisingEdge(dut.clk)
    assert dut.idle.value == 1
    return int(cycles)


async def begin(dut) -> None:
    """Reset with all inputs defined."""
    assert FEATURE.size == 9  # noqa: PLR2004 - 8 bits of value below `last`
    for name in ("window", "weights", "cosines", "gains"):
        dut[f"{name}__enable"].value = 0
    dut.restart.value = dut.constants.value = dut.i__valid.value = dut.o__ready.value = 0
    await start(dut)


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def features_equal_the_model(dut) -> None:
    """All presets, then described front ends, one after another on the same hardware."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    await begin(dut)
    ports = FullRate(dut)
    for name, budget in CYCLES.items():
        frontend = PRESETS[name]
        pcm = np.concatenate(sounds(rng, frontend.frame)).astype(np.int64)
        peak = int(pcm.max()) if frontend.normalisation == "peak" else 0
        cycles = await run(dut, ports, frontend, pcm, peak)
        # The first frame's samples take a cycle each; later ones come while the frame before is in.
        each = (cycles - frontend.frame) / frontend.frame_count(pcm.size)
        dut._log.info("%s: %.0f cycles a frame", name, each)
        assert each <= min(budget, SAMPLE_CYCLES * frontend.step)
    for fields in parameters().get("described", []):
        frontend = FrontEnd(**fields)
        # Quiet where zeros come first: what the ring held before would be heard.
        limit = 30 if frontend.centred else 32_768
        await run(dut, ports, frontend, rng.integers(-limit, limit, frontend.frame * 2))


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def stalls_and_peaks_of_the_window_before(dut) -> None:
    """Both ends stall; streaming with peak normalisation over short windows, and TFLM's state."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    await begin(dut)
    ports = Stalled(dut, rng)
    fields = {"name": "short windows", "frame": 400, "step": 380, "clip": 1160}
    frontend = FrontEnd(**(vars(PRESETS["mlperf_kws"]) | fields))
    ends = frontend.frame + frontend.step * np.arange(9)
    assert np.any(ends % frontend.clip == 0), "no frame ends with a window"
    loudness = np.repeat(2.0 ** rng.uniform(2, 15, 20), 200)
    pcm = np.round(loudness * np.sin(np.arange(4000) * 0.7)).astype(np.int64)
    await run(dut, ports, frontend, pcm)
    for name in ("mlperf_sww", "tflm_micro"):
        frontend = PRESETS[name]
        await run(dut, ports, frontend, log_uniform(rng, bits=16, size=frontend.frame * 2))
