"""What the benches of the audio subsystem do to it: clocks, registers, sound, words."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge, ValueChange
from numpy.typing import NDArray

from hdl.audio.config import AudioConfig
from hdl.audio.domain import AudioMode, AudioStatus, Table
from hdl.audio.feature_window import WindowConstants
from hdl.audio.vad import VadParameters as VadRegisters
from models.audio.feature_window import WindowPlace, feature_windows
from models.audio.frontend import FrontEnd
from models.audio.i2s import I2sConfig
from models.audio.microphone import MicrophoneConfig, finish
from models.audio.pipeline import FeatureStream
from models.audio.vad import VadParameters
from verif.bench import CLOCK_NS, log_uniform, parameters
from verif.frontend_tables import constants_of, table_rows
from verif.i2s_sender import FRAME_BITS, SLOT_BITS, WORD_BITS
from verif.microphone_registers import config_bits

__all__ = [
    "CROSSING_CYCLES",
    "FRAMES",
    "LAST_CYCLES",
    "LOSSES",
    "VAD",
    "Heard",
    "begin",
    "expected_windows",
    "expected_words",
    "flags",
    "last_bit",
    "note",
    "pauses",
    "pulse",
    "read",
    "recording",
    "samples_of",
    "say",
    "set_mode",
    "sound",
    "start_core",
    "vad_bits",
    "write",
]

RATE_HZ = 16_000
MICROPHONE = MicrophoneConfig(
    i2s=I2sConfig(slot_bits=SLOT_BITS, word_bits=WORD_BITS), dc_shift=9, gain=3 << 9
)
VAD = VadParameters(onset=1, hangover=1)
FRAMES, STRIDE = 2, 1
LOUD_FROM, LOUD_UNTIL = 0.55, 0.75
LOSSES = ("overruns", "missed")
CROSSING_CYCLES = 24
"""Of the slower clock: more than any level or pulse takes to cross."""
LAST_CYCLES = 8_000
"""From the last sample to the last word of the frame that it completes, and more."""
BYTE_BITS = 8


@dataclass
class Heard:
    """Words, changes of speech, wake-ups.  Offers may go while ``careless``: a side is reset."""

    words: list[int] = field(default_factory=list)
    speech: list[int] = field(default_factory=list)
    wakes: int = 0
    careless: bool = False


def place_of(frontend: FrontEnd) -> WindowPlace:
    """A row for each frame, at a place where no field is 0."""
    word_bytes = parameters()["word_bytes"]
    words = -(-frontend.values // word_bytes)
    return WindowPlace(
        base=5, row0=3, row_values=frontend.values, row_words=words + 1, word_bytes=word_bytes
    )


def last_bit() -> int:
    """That of a word which says that it is its window's last."""
    sizes = parameters()
    return 2 + sizes["address_bits"] + BYTE_BITS * sizes["word_bytes"]


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


def vad_bits(**changes: int) -> int:
    """The detector's registers."""
    return VadRegisters.const(vars(VAD) | changes).as_value().value


async def begin(dut, core_ns: float) -> Clock:
    """Both clocks, a reset, and defined inputs; return the core's clock."""
    dut._log.info("seed %d, core clock %s ns", cocotb.RANDOM_SEED, core_ns)
    for name in ("mode", "tables__valid", "tables__payload", "run", "sample", "hiccup", "clear",
                 "resume", "constants", "place", "o__ready"):  # fmt: skip
        dut[name].value = 0
    dut.microphone.value = config_bits(MICROPHONE, pdm=False)
    dut.vad.value = vad_bits()
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


async def pulse(dut, name: str) -> None:
    """Order something, in one cycle of the core's clock, and wait until it must have arrived."""
    await RisingEdge(dut.core_clk)
    dut[name].value = 1
    await RisingEdge(dut.core_clk)
    dut[name].value = 0
    for clock in (dut.clk, dut.core_clk):
        await ClockCycles(clock, CROSSING_CYCLES)


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
        source = dut.subsystem.domain.block.speech
        while True:
            await ValueChange(source)
            heard.speech.append(int(source.value))

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
                assert heard.careless or offered in (None, int(dut.o__payload.value)), "it changed"
                offered = int(dut.o__payload.value)
        dut.o__ready.value = 1
        await RisingEdge(dut.core_clk)
        assert heard.careless or dut.o__valid.value == 1, "an offer has gone"
        if dut.o__valid.value == 1 and dut.core_rst.value == 0:
            heard.words.append(int(dut.o__payload.value))
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


def expected_words(samples: NDArray[np.int16], frontend: FrontEnd) -> list[int]:
    """All words of the windows of these samples."""
    return list(chain.from_iterable(expected_windows(samples, frontend)))


def expected_windows(samples: NDArray[np.int16], frontend: FrontEnd) -> list[list[int]]:
    """The same, a list a window."""
    address_bits, place = parameters()["address_bits"], place_of(frontend)
    windows = []
    for window in feature_windows(FeatureStream(frontend).push(samples), FRAMES, STRIDE):
        words = [
            int.from_bytes(data.tobytes(), "little") << (2 + address_bits)
            | int(address) << 2
            | int(bank)
            for bank, address, data in zip(*place.words(window), strict=True)
        ]
        words[-1] |= 1 << last_bit()
        windows.append(words)
    return windows


async def recording(
    dut, heard: Heard, frontend: FrontEnd, words: NDArray[np.int16], *, windows: int
) -> None:
    """One recording from its beginning to its last window: every word of it, and no other."""
    heard.words.clear()
    await write(dut, frontend)
    await set_mode(dut, AudioMode.FEATURES)
    await say(dut, words)
    assert not flags(dut).frame_errors
    dut.run.value = 0
    await ClockCycles(dut.clk, LAST_CYCLES)
    assert not any(getattr(flags(dut), name) for name in LOSSES)
    expected = expected_words(samples_of(words), frontend)
    count = sum(word >> last_bit() for word in expected)
    assert count >= windows, f"{count} windows tell nothing"
    assert heard.words == expected
    await set_mode(dut, AudioMode.OFF)
