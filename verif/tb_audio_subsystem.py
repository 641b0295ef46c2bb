"""cocotb bench: an I2S microphone in, words and wake-ups on the core's clock out."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge, ValueChange
from cocotb.utils import get_sim_time
from numpy.typing import NDArray

from hdl.audio.config import AudioConfig
from hdl.audio.feature_window import WindowConstants
from hdl.audio.subsystem import FLAGS, AudioMode, AudioStatus, Table
from hdl.audio.vad import VadParameters as VadRegisters
from models.audio.feature_window import WindowPlace, feature_windows
from models.audio.frontend import PRESETS, FrontEnd
from models.audio.i2s import I2sConfig
from models.audio.microphone import MicrophoneConfig, finish
from models.audio.pipeline import FeatureStream
from models.audio.vad import VadParameters, VoiceActivityDetector
from verif.bench import CLOCK_NS, log_uniform, parameters
from verif.frontend_tables import constants_of, table_rows
from verif.i2s_sender import FRAME_BITS, SLOT_BITS, WORD_BITS
from verif.tb_audio_microphone import config_bits

RATE_HZ = 16_000
MICROPHONE = MicrophoneConfig(
    i2s=I2sConfig(slot_bits=SLOT_BITS, word_bits=WORD_BITS), dc_shift=9, gain=3 << 9
)
VAD = VadParameters(onset=1, hangover=1)
FRAMES, STRIDE = 2, 1
LOUD_FROM, LOUD_UNTIL = 0.55, 0.75
LOSSES = ("overruns", "missed")
CROSSING_CYCLES = 12
"""Of the slower clock: more than any level or pulse takes to cross."""
LAST_CYCLES = 8_000
"""From the last sample to the last word of the frame that it completes, and more."""
LATE_SAMPLES = 3
"""That have been sent but are not yet in the ring."""
RING_SAMPLES = 1152
MIN_INTACT_WORDS = 60
BYTE_BITS = 8


@dataclass
class Heard:
    """Words, announcements of a window, changes of speech, wake-ups."""

    words: list[int] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)
    speech: list[int] = field(default_factory=list)
    wakes: int = 0


def place_of(frontend: FrontEnd) -> WindowPlace:
    """A row for each frame, at a place where no field is 0."""
    word_bytes = parameters()["word_bytes"]
    words = -(-frontend.values // word_bytes)
    return WindowPlace(
        base=5, row0=3, row_values=frontend.values, row_words=words + 1, word_bytes=word_bytes
    )


def samples_of(words: NDArray[np.int16]) -> NDArray[np.int16]:
    """What the microphone's block makes of 16-bit words: they are the highest bits of Q1.17."""
    return finish(words.astype(np.int64) << 2, MICROPHONE)


def sound(rng: np.random.Generator, seconds: float) -> NDArray[np.int16]:
    """Noise of all magnitudes; loud only in a part of it, and there clipped."""
    count = int(seconds * RATE_HZ)
    time = np.arange(count) / count
    loud = (time > LOUD_FROM) & (time < LOUD_UNTIL)
    quiet = log_uniform(rng, bits=WORD_BITS, size=count) >> 9
    return np.where(loud, log_uniform(rng, bits=WORD_BITS, size=count), quiet).astype(np.int16)


async def begin(dut, core_ns: float) -> Clock:
    """Both clocks, a reset, and defined inputs; return the core's clock."""
    dut._log.info("seed %d, core clock %s ns", cocotb.RANDOM_SEED, core_ns)
    for name in ("mode", "tables__valid", "tables__payload", "run", "sample", "hiccup", "clear",
                 "constants", "place", "o__ready"):  # fmt: skip
        dut[name].value = 0
    dut.microphone.value = config_bits(MICROPHONE, pdm=False)
    dut.vad.value = VadRegisters.const(vars(VAD)).as_value().value
    Clock(dut.clk, CLOCK_NS, unit="ns").start()
    dut.rst.value = dut.core_rst.value = 1
    core = start_core(dut, core_ns)
    for clock in (dut.clk, dut.core_clk):
        await ClockCycles(clock, CROSSING_CYCLES)
    dut.rst.value = dut.core_rst.value = 0
    for clock in (dut.clk, dut.core_clk):
        await ClockCycles(clock, CROSSING_CYCLES)
    return core


def start_core(dut, core_ns: float) -> Clock:
    """Let the core's clock run, until it is stopped."""
    clock = Clock(dut.core_clk, core_ns, unit="ns")
    clock.start()
    return clock


async def set_mode(dut, mode: AudioMode) -> None:
    """Change the mode in the core's clock and wait until it must have arrived."""
    await RisingEdge(dut.core_clk)
    dut.mode.value = mode.value
    for clock in (dut.clk, dut.core_clk, dut.clk):
        await ClockCycles(clock, CROSSING_CYCLES)
    assert flags(dut).listening == (mode in (AudioMode.WATCH, AudioMode.FEATURES))


def flags(dut):
    """The status."""
    return AudioStatus.from_bits(int(dut.status.value))


async def write(dut, frontend: FrontEnd) -> None:
    """Registers, and tables row by row over the core's stream."""
    sizes, place = parameters(), place_of(frontend)
    dut.constants.value = constants_of(frontend, AudioConfig())
    fields = {name: getattr(place, name) for name in ("base", "row0", "row_values", "row_words")}
    fields |= {"values": frontend.values * FRAMES, "frames": FRAMES, "stride": STRIDE}
    layout = WindowConstants(sizes["capacity"], sizes["address_bits"])
    dut.place.value = layout.const(fields).as_bits()
    dut.tables__valid.value = 1
    for name, rows in table_rows(frontend, AudioConfig()).items():
        for address, row in enumerate(rows):
            bits = row << 2 + sizes["row_address_bits"] | address << 2 | Table[name.upper()].value
            dut.tables__payload.value = bits
            await RisingEdge(dut.core_clk)
            while dut.tables__ready.value == 0:
                await RisingEdge(dut.core_clk)
    dut.tables__valid.value = 0
    await RisingEdge(dut.core_clk)
    await FallingEdge(dut.core_clk)
    while not flags(dut).idle:
        await ClockCycles(dut.clk, 1)


async def note(dut, heard: Heard) -> None:
    """Note changes of speech, at their source, and wake-ups."""

    async def speech():
        while True:
            await ValueChange(dut.subsystem.block.speech)
            heard.speech.append(int(dut.subsystem.block.speech.value))

    async def wakes():
        while True:
            await RisingEdge(dut.wake)
            heard.wakes += 1

    for monitor in (speech, wakes):
        cocotb.start_soon(monitor())


async def read(dut, heard: Heard, pauses: Iterator[int]) -> None:
    """Take words for ever, each after a pause; an offer must stay as it is."""
    while True:
        if dut.o__valid.value == 0:
            await RisingEdge(dut.o__valid)
        offered = None
        for _ in range(next(pauses)):
            await RisingEdge(dut.core_clk)
            if dut.o__valid.value == 1:
                assert offered in (None, int(dut.o__payload.value)), "a waiting word changed"
                offered = int(dut.o__payload.value)
        dut.o__ready.value = 1
        await RisingEdge(dut.core_clk)
        assert dut.o__valid.value == 1, "an offer has gone"
        heard.words.append(int(dut.o__payload.value))
        heard.ready.append(int(dut.ready.value))
        dut.o__ready.value = 0
        await FallingEdge(dut.core_clk)


def pauses(rng: np.random.Generator, most: int) -> Iterator[int]:
    """Half of the words are taken at once, others after up to so many cycles, of any magnitude."""
    while True:
        yield 0 if rng.integers(2) else int(most ** rng.random())


async def say(dut, words: NDArray[np.int16]) -> None:
    """Send words, one every 64 cycles, and wait until the last has gone through.

    After that the microphone goes on with the last one, unless ``run`` falls, which is an error.
    """
    dut.run.value = 1
    for word in words.tolist():
        dut.sample.value = word & (1 << WORD_BITS) - 1
        await FallingEdge(dut.next)
    await RisingEdge(dut.next)  # the last word's frame is complete now
    await ClockCycles(dut.clk, FRAME_BITS // 2)


def expected_words(samples: NDArray[np.int16], frontend: FrontEnd) -> tuple[list[int], list[int]]:
    """All words of the windows of these samples, and the ends of windows."""
    address_bits, place = parameters()["address_bits"], place_of(frontend)
    words, lasts = [], []
    for window in feature_windows(FeatureStream(frontend).push(samples), FRAMES, STRIDE):
        for bank, address, data in zip(*place.words(window), strict=True):
            packed = int.from_bytes(data.tobytes(), "little") << (2 + address_bits)
            words.append(packed | int(address) << 2 | int(bank))
            lasts.append(0)
        lasts[-1] = 1
        words[-1] |= 1 << (2 + address_bits + BYTE_BITS * place.word_bytes)
    return words, lasts


async def recording(
    dut, heard: Heard, frontend: FrontEnd, words: NDArray[np.int16], *, windows: int
) -> None:
    """One recording from its beginning to its last window: every word of it, and no other."""
    heard.words.clear()
    heard.ready.clear()
    await write(dut, frontend)
    await set_mode(dut, AudioMode.FEATURES)
    await say(dut, words)
    assert not flags(dut).frame_errors
    dut.run.value = 0
    await ClockCycles(dut.clk, LAST_CYCLES)
    assert not any(getattr(flags(dut), name) for name in LOSSES)
    expected, lasts = expected_words(samples_of(words), frontend)
    assert sum(lasts) >= windows, f"{sum(lasts)} windows tell nothing"
    assert heard.words == expected
    assert heard.ready == lasts
    await set_mode(dut, AudioMode.OFF)


@cocotb.test(timeout_time=60, timeout_unit="ms")
async def features_for_a_fast_core(dut) -> None:
    """A clock of 1.4 times the rate."""
    await features(dut, 7)


@cocotb.test(timeout_time=60, timeout_unit="ms")
async def features_for_a_slow_core(dut) -> None:
    """A clock of a quarter of the rate."""
    await features(dut, 37)


async def features(dut, core_ns: int) -> None:
    """Two front ends after each other, and a reader that stalls."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    await begin(dut, core_ns)
    heard = Heard()
    cocotb.start_soon(read(dut, heard, pauses(rng, 400)))
    for name in ("tflm_micro", "mlperf_kws"):
        await recording(dut, heard, PRESETS[name], sound(rng, 0.1), windows=3)
        await pulse_clear(dut)


@cocotb.test(timeout_time=60, timeout_unit="ms")
async def watch(dut) -> None:
    """The detector wakes as its model does, while nothing else moves and the core stands still."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    core = await begin(dut, 7)
    words = sound(rng, 0.25)
    decisions = VoiceActivityDetector(VAD).push(samples_of(words))
    changes = np.flatnonzero(np.diff(decisions.astype(int), prepend=0))
    assert set(decisions.tolist()) == {False, True}, "the sound must wake"
    heard = Heard()
    await note(dut, heard)
    await set_mode(dut, AudioMode.WATCH)
    core.stop()
    busy = cocotb.start_soon(never_busy(dut))
    await say(dut, words)
    assert heard.speech == decisions[changes].tolist()
    assert heard.wakes == sum(heard.speech)
    assert not busy.done()
    busy.cancel()
    start_core(dut, 7)
    await ClockCycles(dut.clk, CROSSING_CYCLES)
    assert flags(dut).idle
    assert dut.o__valid.value == 0


async def never_busy(dut) -> None:
    """Ends when the front end begins with anything."""
    await FallingEdge(dut.subsystem.block.idle)


@cocotb.test(timeout_time=60, timeout_unit="ms")
async def the_core_stands_still(dut) -> None:
    """Words wait as long as samples have room; then the front end, not the detector, loses some."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    core = await begin(dut, 7)
    frontend, words = PRESETS["tflm_micro"], sound(rng, 0.25)
    samples = samples_of(words)
    await write(dut, frontend)
    heard = Heard()
    await note(dut, heard)
    cocotb.start_soon(read(dut, heard, pauses(rng, 4)))
    await set_mode(dut, AudioMode.FEATURES)
    core.stop()
    speaking = cocotb.start_soon(say(dut, words))
    began = get_sim_time("ns")
    while int(dut.missed.value) == 0:
        await ClockCycles(dut.clk, FRAME_BITS)
    room = int(get_sim_time("ns") - began) // (FRAME_BITS * CLOCK_NS) - LATE_SAMPLES
    dut._log.info("room for %d samples", room)
    assert room > RING_SAMPLES
    await speaking
    dut.run.value = 0
    decisions = VoiceActivityDetector(VAD).push(samples)
    changes = np.flatnonzero(np.diff(decisions.astype(int), prepend=0))
    assert changes.size
    assert heard.speech == decisions[changes].tolist(), "the detector hears everything"
    assert not heard.words
    start_core(dut, 7)
    await ClockCycles(dut.clk, 4 * LAST_CYCLES)  # several frames have waited
    assert flags(dut).missed
    assert not flags(dut).overruns
    expected, _ = expected_words(samples, frontend)
    intact, _ = expected_words(samples[:room], frontend)
    assert heard.words[: len(intact)] == intact
    assert len(intact) >= MIN_INTACT_WORDS
    assert heard.words != expected

    await set_mode(dut, AudioMode.OFF)
    await pulse_clear(dut)
    assert not any(getattr(flags(dut), name) for name in FLAGS)
    await recording(dut, heard, frontend, sound(rng, 0.1), windows=2)


async def pulse_clear(dut) -> None:
    """One cycle of the core's clock."""
    await RisingEdge(dut.core_clk)
    dut.clear.value = 1
    await RisingEdge(dut.core_clk)
    dut.clear.value = 0
    for clock in (dut.clk, dut.core_clk):
        await ClockCycles(clock, CROSSING_CYCLES)


@cocotb.test(timeout_time=60, timeout_unit="ms")
async def flags_stay(dut) -> None:
    """Frames of a wrong length and clipped samples are told until the core clears it."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    await begin(dut, 37)
    await set_mode(dut, AudioMode.WATCH)
    await say(dut, np.zeros(8, np.int16))
    assert not any(getattr(flags(dut), name) for name in FLAGS)
    assert flags(dut).locked
    dut.hiccup.value = 1
    await say(dut, np.zeros(4, np.int16))
    dut.hiccup.value = 0
    await ClockCycles(dut.core_clk, CROSSING_CYCLES)
    assert flags(dut).frame_errors
    assert not flags(dut).locked
    await say(dut, np.zeros(8, np.int16))
    assert flags(dut).frame_errors
    assert flags(dut).locked
    await pulse_clear(dut)
    assert not flags(dut).frame_errors
    await say(dut, np.append(rng.choice(np.array([-32_768, 32_767], np.int16), 8), np.int16(0)))
    await ClockCycles(dut.core_clk, CROSSING_CYCLES)
    assert flags(dut).clipped
    await pulse_clear(dut)
    assert not flags(dut).clipped


@cocotb.test(timeout_time=1200, timeout_unit="ms")
@cocotb.skipif(not parameters().get("seconds"))
async def a_long_recording(dut) -> None:
    """Real time for so many seconds: every window of it, no sample lost."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    await begin(dut, 7)
    heard = Heard()
    cocotb.start_soon(read(dut, heard, pauses(rng, 400)))
    seconds = parameters()["seconds"]
    await recording(
        dut, heard, PRESETS["mlperf_kws"], sound(rng, seconds), windows=int(seconds * 40)
    )
