"""cocotb bench: `hdl.audio.tflm_tail.TflmTail` against `models.audio.tflm_frontend`'s stages."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge
from cocotb.utils import get_sim_time

from hdl.audio.config import AudioConfig
from hdl.audio.tflm_tail import TflmTail
from models.audio.noise_reduction import NoiseReduction
from models.audio.pcan import Pcan
from models.audio.square_root import square_root
from models.audio.tflm_log import logarithm, quantize_feature
from models.fixedpoint import IntArray
from verif.bench import CLOCK_NS, coin, parameters, start
from verif.stream import StreamSink, StreamSource
from verif.tflm_design import gain_rows, tflm_constants

CONFIG = AudioConfig()
LARGEST_SUM_BITS = 52
CORNERS = (0, 1, 2, 3, (1 << 32) - 1, ((1 << 16) - 1) << 16, 1 << 32, 1 << LARGEST_SUM_BITS)
MIN_FEATURES = 100
STAGES = (NoiseReduction(), NoiseReduction(16384, 0, 16384), NoiseReduction(7, 9000, 40))
GAINS = (Pcan(), Pcan(0.8, 200.0), Pcan(1.0, 80.0))


@dataclass
class Golden:
    """The model's stages, with their state; keeps what passed between them."""

    noise: NoiseReduction
    pcan: Pcan
    estimate: IntArray
    reduced: list[int] = field(default_factory=list)
    estimates: list[int] = field(default_factory=list)
    normalised: list[int] = field(default_factory=list)
    logarithms: list[int] = field(default_factory=list)

    def frame(self, sums: IntArray, shift: int) -> list[int]:
        """Features of a frame."""
        amplitudes = square_root(sums) >> shift
        signal, self.estimate = self.noise.reduce(amplitudes, self.estimate)
        normalised = self.pcan.normalise(signal, self.estimate)
        self.reduced += signal.tolist()
        self.estimates += self.estimate.tolist()
        self.normalised += normalised.tolist()
        self.logarithms += logarithm(normalised).tolist()
        return quantize_feature(logarithm(normalised)).tolist()


class Bench:
    """Ports of the tail, and ears at its stages' registers: int8 hides what happens there."""

    def __init__(self, dut, rng: np.random.Generator, stall: float):
        self.dut = dut
        self.frames = StreamSource(dut, "frame", coin(rng, stall))
        self.sums = StreamSource(dut, "i", coin(rng, stall))
        self.features = StreamSink(dut, "o", coin(rng, stall))
        tail = dut.tail
        self.registers = {
            "reduced": tail.noise_reduction.reduced,
            "estimates": tail.noise_reduction.estimate,
            "normalised": tail.pcan.result,
            "logarithms": tail.log.logarithm,
        }
        self.heard: dict[str, list[int]] = {name: [] for name in self.registers}
        dut.clear.value = 0
        dut.gains__enable.value = 0

    async def listen(self) -> None:
        """Note what each stage has found, once for each band."""
        while True:
            await RisingEdge(self.dut.o__valid)
            await ReadOnly()
            for name, register in self.registers.items():
                self.heard[name].append(register.value.to_unsigned())

    async def configure(self, bands: int, golden: Golden) -> None:
        """Write constants and gains, and forget the noise."""
        dut = self.dut
        dut.bands.value = bands
        dut.constants.value = tflm_constants(golden.noise).as_bits()
        dut.gains__enable.value = 1
        for row, value in enumerate(gain_rows(golden.pcan)):
            dut.gains__address.value, dut.gains__data.value = row, value
            await RisingEdge(dut.clk)
        dut.gains__enable.value = 0
        dut.clear.value = 1
        await RisingEdge(dut.clk)
        dut.clear.value = 0

    async def run(self, sums: IntArray, shift: int) -> list[int]:
        """Features of a frame."""
        cocotb.start_soon(self.frames.send([shift]))
        sender = cocotb.start_soon(self.sums.send(sums.tolist()))
        received = await self.features.receive(len(sums))
        await sender
        return received

    async def run_quickly(self, sums: list[int], shift: int) -> list[int]:
        """Features of a frame; wakes up for events, not for every clock."""
        dut, received = self.dut, []
        dut.frame__payload.value, dut.frame__valid.value = shift, 1
        await FallingEdge(dut.frame__ready)
        dut.frame__valid.value, dut.i__valid.value, dut.o__ready.value = 0, 1, 1
        for value in sums:
            dut.i__payload.value = value
            await FallingEdge(dut.i__ready)
        dut.i__valid.value = 0
        for _ in sums:
            await RisingEdge(dut.o__valid)
            await ReadOnly()
            received.append(dut.o__payload.value.to_signed())
        await FallingEdge(dut.o__valid)
        return received

    def check_stages(self, golden: Golden) -> None:
        """Compare what passed between the stages since the last call."""
        for name, values in self.heard.items():
            assert values == getattr(golden, name), name
        for values in self.heard.values():
            values.clear()


def frames(rng: np.random.Generator, bands: int, count: int) -> Iterator[tuple[IntArray, int]]:
    """Sums of bands of very different loudness, that stays, comes and goes; and shifts."""
    loudness = rng.uniform(0, LARGEST_SUM_BITS, bands)
    for _ in range(count):
        bits = np.where(rng.random(bands) < 0.3, rng.uniform(0, LARGEST_SUM_BITS, bands), loudness)  # noqa: PLR2004
        sums = (2.0 ** (bits - rng.uniform(0, 4, bands))).astype(np.int64)
        corners = rng.random(bands) < 0.05  # noqa: PLR2004
        sums[corners] = rng.choice(CORNERS, corners.sum())
        yield sums, int(rng.integers(0, 15)) * int(rng.integers(0, 2))


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.3])
async def matches_model(dut, stall: float) -> None:
    """All constants, bands of all magnitudes, with and without stalls; state over frames."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    bench = Bench(dut, rng, stall)
    await start(dut)
    cocotb.start_soon(bench.listen())
    features: list[int] = []
    estimate_lengths, ratios = set(), set()
    for noise, pcan in zip(STAGES, GAINS, strict=True):
        for bands in (40, int(rng.integers(1, CONFIG.bands + 1)), CONFIG.bands):
            golden = Golden(noise, pcan, np.zeros(bands, np.int64))
            await bench.configure(bands, golden)
            for sums, shift in frames(rng, bands, 2 if bands > 40 else 4):  # noqa: PLR2004
                expected = golden.frame(sums, shift)
                assert await bench.run(sums, shift) == expected, (bands, sums.tolist(), shift)
                features += expected
            await RisingEdge(dut.clk)
            bench.check_stages(golden)
            estimate_lengths |= {value.bit_length() for value in golden.estimates}
            ratios |= {value.bit_length() for value in golden.normalised}
    dut._log.info(
        "seed %d: %d different features, estimates of %d lengths, ratios of %d",
        cocotb.RANDOM_SEED, len(set(features)), len(estimate_lengths), len(ratios),
    )  # fmt: skip
    assert len(set(features)) > MIN_FEATURES
    assert {-128, 127} <= set(features)
    assert estimate_lengths >= set(range(12, 32)), "gains of few octaves only"
    assert ratios >= set(range(20)), "ratios of few magnitudes only"


@cocotb.test(timeout_time=40, timeout_unit="ms")
async def follows_recordings(dut) -> None:
    """Sums that the test made of recordings, and after the reset none of its noise."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    bench = Bench(dut, rng, 0)
    await start(dut)
    arrays = np.load(parameters()["recordings"])
    for clip in range(int(arrays["clips"])):
        sums, shifts, features = (arrays[f"{key}_{clip}"] for key in ("sums", "shifts", "features"))
        golden = Golden(NoiseReduction(), Pcan(), np.zeros(features.shape[1], np.int64))
        await bench.configure(features.shape[1], golden)
        for values, shift, row in zip(sums, shifts.tolist(), features, strict=True):
            assert await bench.run_quickly(values.tolist(), shift) == row.tolist()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def takes_the_stated_cycles(dut) -> None:
    """`TflmTail.cycles`, without stalls."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    bench = Bench(dut, rng, 0)
    await start(dut)
    for bands in (1, 40, CONFIG.bands):
        await bench.configure(bands, Golden(NoiseReduction(), Pcan(), np.zeros(bands, np.int64)))
        ((sums, shift),) = frames(rng, bands, 1)
        await RisingEdge(dut.clk)
        assert dut.idle.value == 1
        begin = get_sim_time("ns")
        await bench.run(sums, shift)
        cycles = round((get_sim_time("ns") - begin) / CLOCK_NS)
        assert cycles == TflmTail.cycles(bands), bands
