"""cocotb bench: `hdl.audio.vad.VoiceActivityDetector` against `models.audio.vad`."""

from dataclasses import asdict

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from hdl.audio.vad import BandMonitor, VadParameters, VoiceActivityDetector
from models.audio import vad
from verif.bench import coin, parameters, start
from verif.stream import StreamPort

CYCLES_PER_SAMPLE = 64
"""Of the audio clock, at 16 kHz."""
LONGEST_SAMPLE = 6
"""Cycles from one transfer to the next that the detector needs, but for the end of a frame."""
ROUNDS = 3
MIN_WAKES, MIN_SILENT_FRAMES = 5, 40
"""Random registers, and what they must have caused."""


def packed(values: vad.VadParameters) -> int:
    """The registers as one number."""
    return VadParameters.const(asdict(values)).as_value().value


class Monitor:
    """Compares every band of every frame, and every decision, with the golden model."""

    def __init__(self, dut, golden: vad.VoiceActivityDetector, samples: np.ndarray):
        self.dut, self.tracker = dut, golden.tracker
        self.levels = golden.levels(samples).tolist()
        self.frames, self.band = 0, 0
        self.active: list[bool] = []
        self.wakes, self.speech_frames = 0, 0
        self.was = False

    def check(self) -> None:
        """Look at the outputs in this cycle."""
        if self.dut.tracked.value == 1:
            seen = BandMonitor.from_bits(self.dut.monitor.value.to_unsigned())
            assert (seen["band"], seen["level"]) == (self.band, self.levels[self.frames][self.band])
            # Floor and peak are those that the level is compared with.
            tracker = self.tracker
            assert (seen["floor"], seen["peak"]) == (
                tracker.floor[self.band],
                tracker.peak[self.band],
            ), f"frame {self.frames} band {self.band}"
            self.active.append(seen["active"] == 1)
            self.band += 1
        if self.dut.decided.value == 1:
            assert self.band == vad.BANDS
            speech = self.tracker.push(self.levels[self.frames])
            assert self.active == self.tracker.active, f"frame {self.frames}"
            wake = speech and not self.was
            assert (self.dut.speech.value == 1) == speech, f"frame {self.frames}"
            assert (self.dut.wake.value == 1) == wake, f"frame {self.frames}"
            self.frames, self.band, self.was = self.frames + 1, 0, speech
            self.active = []
            self.speech_frames += speech
            self.wakes += wake
        else:
            assert (self.dut.speech.value == 1) == self.was


async def run(dut, samples: np.ndarray, values: vad.VadParameters, stall=None) -> Monitor:
    """Feed ``samples`` and compare everything; ``stall`` pauses the source."""
    dut.samples__valid.value = 0
    dut.parameters.value = packed(values)
    await start(dut)
    monitor = Monitor(dut, vad.VoiceActivityDetector(values), samples)
    port = StreamPort(dut, "samples")
    words = (np.asarray(samples, np.int64) & 0xFFFF).tolist()
    sent, since = 0, VoiceActivityDetector.LATENCY
    while sent < len(words) or since < VoiceActivityDetector.LATENCY:
        if sent < len(words) and not (stall and next(stall)):
            port.payload.value = words[sent]
            port.valid.value = 1
        await RisingEdge(dut.clk)
        moved = port.transfers()
        since += 1
        monitor.check()
        end_of_frame = sent % vad.FRAME == 0 and sent > 0
        if end_of_frame and since == VoiceActivityDetector.LATENCY:
            assert dut.decided.value == 1, "another latency than stated"
        if moved:
            sent, since = sent + 1, 0
            port.valid.value = 0
        else:
            longest = VoiceActivityDetector.LATENCY if end_of_frame else LONGEST_SAMPLE
            assert port.ready.value == 1 or since < longest, "not ready in time"
    assert monitor.frames == len(samples) // vad.FRAME
    return monitor


def worst_case(band: int) -> np.ndarray:
    """The samples that make the largest detail in ``band``: its impulse response's signs."""
    size = 4 << vad.BANDS + 1
    last = size >> band + 1
    response = []
    for place in range(size):
        impulse = np.zeros(size, np.int64)
        impulse[place] = 1 << 14
        response.append(vad.WaveletBank().push(impulse)[band][last - 1])
    return np.where(np.array(response) > 0, 32767, -32768)


def corners(rng: np.random.Generator) -> np.ndarray:
    """Silence, noise of every magnitude, the largest values of every band, squares, an offset."""
    frames = [np.zeros(vad.FRAME * 5, np.int64)]
    for _ in range(12):
        amplitude = 2 ** rng.uniform(0, 16)
        size = vad.FRAME * int(rng.integers(1, 4))
        burst = np.round(rng.standard_normal(size) * amplitude)
        frames += [np.clip(burst, -32768, 32767).astype(np.int64), np.zeros(size, np.int64)]
    frames += [worst_case(band) for band in range(vad.BANDS)]
    for half_period in (1, 2, 5, 8, 16, 128):
        square = np.where(np.arange(vad.FRAME) // half_period % 2, -32768, 32767)
        frames.append(square)
    frames += [np.full(vad.FRAME, -32768), np.full(vad.FRAME, 32767)]
    samples = np.concatenate(frames)
    return samples[: len(samples) // vad.FRAME * vad.FRAME]


def gentle(rng: np.random.Generator, frames: int = 160) -> np.ndarray:
    """Noise whose level moves by a few units a frame, so that comparisons meet equal values."""
    octaves = np.clip(9 + np.cumsum(rng.normal(0, 0.3, frames)), 4, 14)
    noise = rng.uniform(-1, 1, (frames, vad.FRAME)) * 2 ** octaves[:, np.newaxis]
    return np.round(noise).astype(np.int64).reshape(-1)


def gentle_parameters(rng: np.random.Generator) -> vad.VadParameters:
    """Small steps, around whole levels."""
    unit = 1 << vad.FRACTION_BITS
    less = int(rng.integers(0, 2))
    rise, decay = (unit * int(rng.integers(1, 4)) - less for _ in range(2))
    return vad.VadParameters(
        margin=int(rng.integers(0, 3)),
        minimum=int(rng.integers(200, 270)),
        rise=rise,
        decay=decay,
        onset=int(rng.integers(1, 4)),
        hangover=int(rng.integers(1, 6)),
    )


def random_parameters(rng: np.random.Generator) -> vad.VadParameters:
    """Registers of every magnitude; some that decide nothing are as good as any."""
    log = {
        name: int(min(high, max(low, 2 ** rng.uniform(0, high.bit_length()))))
        for name, (low, high) in vad.RANGES.items()
    }
    return vad.VadParameters(**log | {"onset": int(rng.integers(1, 4))})


async def run_fast(dut, samples: np.ndarray, values: vad.VadParameters) -> Monitor:
    """Feed ``samples`` back to back, and look at the outputs only when they are new."""
    dut.samples__valid.value = 0
    dut.parameters.value = packed(values)
    await start(dut)
    monitor = Monitor(dut, vad.VoiceActivityDetector(values), samples)

    async def watch(strobe) -> None:
        while True:
            await RisingEdge(strobe)
            monitor.check()

    # `decided` comes in a cycle of its own, after the last band's `tracked`.
    watchers = [cocotb.start_soon(watch(strobe)) for strobe in (dut.tracked, dut.decided)]
    words = (np.asarray(samples, np.int64) & 0xFFFF).tolist()
    dut.samples__payload.value = words[0]
    dut.samples__valid.value = 1
    for word in words[1:]:
        # Falls with every transfer; one wait a sample and not a cycle.
        await RisingEdge(dut.samples__ready)
        dut.samples__payload.value = word
    await RisingEdge(dut.samples__ready)
    dut.samples__valid.value = 0
    await RisingEdge(dut.clk)
    for watcher in watchers:
        watcher.cancel()
    assert monitor.frames == len(samples) // vad.FRAME
    return monitor


def shuffled(rng: np.random.Generator, samples: np.ndarray) -> np.ndarray:
    """The frames of ``samples`` in another order."""
    frames = samples.reshape(-1, vad.FRAME)
    return frames[rng.permutation(len(frames))].reshape(-1)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def stalled_source(dut) -> None:
    """Random pauses: all outputs in all cycles, ready in time, the latency."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    pauses = coin(rng, rng.choice([0.02, 0.1, 0.5]))
    await run(dut, shuffled(rng, corners(rng)), random_parameters(rng), pauses)


@cocotb.test(timeout_time=200, timeout_unit="ms")
async def random_registers(dut) -> None:
    """Registers of all magnitudes, samples of all magnitudes: every band and decision."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    wakes = silent = 0
    for _ in range(ROUNDS):
        done = await run_fast(dut, shuffled(rng, corners(rng)), random_parameters(rng))
        wakes += done.wakes
        silent += done.frames - done.speech_frames
        done = await run_fast(dut, gentle(rng), gentle_parameters(rng))
        wakes += done.wakes
        silent += done.frames - done.speech_frames
    assert wakes >= MIN_WAKES, "hardly any speech"
    assert silent >= MIN_SILENT_FRAMES, "hardly any silence"


@cocotb.test(timeout_time=200, timeout_unit="ms")
async def recordings(dut) -> None:
    """Every band of every frame of every recording that the test gives, with the defaults."""
    speech = {}
    with np.load(parameters()["recordings"]) as files:
        for name in files:
            done = await run_fast(dut, files[name], vad.VadParameters())
            speech[name] = done.speech_frames
    cocotb.log.info("frames of speech: %s", speech)
    assert any(speech.values()), "no speech"
    assert not all(speech.values()), "nothing but speech"
