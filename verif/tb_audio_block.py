"""cocotb bench: from a PDM microphone to words of the activation memory, and to wake-ups."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import repeat

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge, ValueChange
from numpy.typing import NDArray

from hdl.audio.audio_block import TABLES
from hdl.audio.config import AudioConfig
from hdl.audio.feature_window import WindowConstants
from hdl.audio.vad import VadParameters as VadRegisters
from models.audio.feature_window import WindowPlace, feature_windows
from models.audio.frontend import PRESETS, FrontEnd
from models.audio.microphone import MicrophoneConfig, capture_pdm
from models.audio.pdm import BITS_PER_SAMPLE, modulate
from models.audio.pipeline import FeatureStream
from models.audio.vad import VadParameters, VoiceActivityDetector
from verif.bench import coin, parameters, start
from verif.frontend_tables import constants_of, table_rows
from verif.microphone_registers import config_bits

SETTINGS = VadParameters(onset=1, hangover=1)
SECONDS = 0.12
LOUD_FROM, LOUD_UNTIL = 0.55, 0.7
LATE_SAMPLES = 3
"""That the last bits of a recording do not bring yet."""
IDLE_CYCLES = 40_000
MICROPHONE = MicrophoneConfig(dc_shift=6)
PDM_RATE = 1_024_000
BYTE_BITS = 8


@dataclass
class Heard:
    """Samples that the front end took, words, announcements, changes of speech, wake-ups."""

    samples: list[int] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)
    speech: list[int] = field(default_factory=list)
    wakes: int = 0


def sound(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Bits of noise that is loud for a while."""
    count = int(SECONDS * PDM_RATE)
    time = np.arange(count) / count
    loudness = np.where((time > LOUD_FROM) & (time < LOUD_UNTIL), 0.2, 0.002)
    slow = np.repeat(rng.normal(size=count // BITS_PER_SAMPLE + 1), BITS_PER_SAMPLE)[:count]
    return modulate(np.clip(slow * loudness, -0.85, 0.85))


async def write(dut, frontend: FrontEnd, frames: int, stride: int, place: WindowPlace) -> None:
    """Write all constants and tables, one row a cycle."""
    sizes = parameters()
    dut.constants.value = constants_of(frontend, AudioConfig())
    fields = {name: getattr(place, name) for name in ("base", "row0", "row_values", "row_words")}
    fields |= {"values": frontend.values * frames, "frames": frames, "stride": stride}
    layout = WindowConstants(sizes["capacity"], sizes["address_bits"])
    dut.place.value = layout.const(fields).as_bits()
    for name, rows in table_rows(frontend, AudioConfig()).items():
        enable, address, data = (dut[f"{name}__{part}"] for part in ("enable", "address", "data"))
        enable.value = 1
        for row, value in enumerate(rows):
            address.value, data.value = row, value
            await RisingEdge(dut.clk)
        enable.value = 0


async def note(dut, heard: Heard) -> None:
    """Note samples and decisions: waiting for edges takes less time than looking in every cycle."""

    async def samples():
        while True:  # valid only where the sample is taken, and never in neighbouring cycles
            await RisingEdge(dut.front_end.i__valid)
            await RisingEdge(dut.clk)
            heard.samples.append(dut.front_end.i__payload.value.to_signed())

    async def speech():
        while True:
            await ValueChange(dut.speech)
            heard.speech.append(int(dut.speech.value))

    async def wakes():
        while True:
            await RisingEdge(dut.wake)
            heard.wakes += 1

    for monitor in (samples, speech, wakes):
        cocotb.start_soon(monitor())


async def listen(dut, heard: Heard, bits: NDArray[np.uint8], stall: Iterator[bool]) -> None:
    """Feed bits, one a cycle, and note the words that come."""
    for bit in bits.tolist():
        dut.pdm.value = bit
        ready = not next(stall)
        dut.o__ready.value = ready
        await RisingEdge(dut.clk)
        if ready and dut.o__valid.value == 1:
            heard.words.append(dut.o__payload.value.to_unsigned())
            heard.ready.append(int(dut.ready.value))


async def until_idle(dut, value: int) -> None:
    """Wait until ``idle`` has a value."""
    for _ in range(IDLE_CYCLES):
        await RisingEdge(dut.clk)
        if dut.idle.value == value:
            return
    raise AssertionError(f"idle does not become {value}")


def check_words(
    heard: Heard, frontend: FrontEnd, frames: int, stride: int, place: WindowPlace
) -> None:
    """All windows of the samples that the front end took, but perhaps the last."""
    features = FeatureStream(frontend).push(np.array(heard.samples, np.int16))
    address_bits = parameters()["address_bits"]
    expected, lasts = [], []
    for window in feature_windows(features, frames, stride):
        for bank, address, data in zip(*place.words(window), strict=True):
            packed = int.from_bytes(data.tobytes(), "little") << (2 + address_bits)
            expected.append(packed | int(address) << 2 | int(bank))
            lasts.append(0)
        lasts[-1] = 1
        expected[-1] |= 1 << (2 + address_bits + BYTE_BITS * place.word_bytes)
    window_words = len(place.words(np.zeros((frames, frontend.values), np.int8))[0])
    assert heard.words == expected[: len(heard.words)]
    assert heard.ready == lasts[: len(heard.words)]
    assert len(expected) - len(heard.words) <= window_words
    assert len(heard.words) >= 2 * window_words, "too few windows to tell"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def from_pins_to_words(dut) -> None:
    """Three recordings: the first is left in the middle of a frame, the last one stalls."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    dut._log.info("seed %d", cocotb.RANDOM_SEED)
    word_bytes = parameters()["word_bytes"]
    for name in (*(f"{table}__enable" for table in TABLES), "pdm", "i2s_data", "i2s_word_select",
                 "listen", "enable", "clear", "constants", "place", "o__ready"):  # fmt: skip
        dut[name].value = 0
    dut.microphone.value = config_bits(MICROPHONE, pdm=True)
    registers = {name: getattr(SETTINGS, name) for name in vars(SETTINGS)}
    dut.vad.value = VadRegisters.const(registers).as_value().value
    await start(dut)

    bits = sound(rng)
    samples = capture_pdm(bits, MICROPHONE)
    decisions = VoiceActivityDetector(SETTINGS).push(samples)
    assert len(set(decisions.tolist())) > 1, "the sound must wake"

    micro = PRESETS["tflm_micro"]
    place = WindowPlace(base=6, row0=1, row_values=40, row_words=12, word_bytes=word_bytes)
    await write(dut, micro, 2, 1, place)
    dut.listen.value = dut.enable.value = 1
    heard = Heard()
    await note(dut, heard)
    await listen(dut, heard, bits, repeat(False))
    count = len(heard.samples)
    assert count >= len(samples) - LATE_SAMPLES
    assert heard.samples == samples[:count].tolist(), "every sample, from the first on"
    check_words(heard, micro, 2, 1, place)
    changes = np.flatnonzero(np.diff(decisions.astype(int), prepend=0))
    assert heard.speech == decisions[changes].tolist()
    assert heard.wakes == sum(heard.speech) > 0

    dut.o__ready.value = 1
    await until_idle(dut, 0)  # in the middle of a frame
    dut.enable.value = 0
    await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)
    heard.samples, heard.words, heard.ready = [], [], []
    dut.enable.value = 1
    await listen(dut, heard, bits[: int(0.7 * len(bits))], repeat(False))
    check_words(heard, micro, 2, 1, place)

    dut.o__ready.value = 1
    dut.enable.value = 0
    await until_idle(dut, 1)
    words = PRESETS["mlperf_kws"]
    place = WindowPlace(base=3, row0=0, row_values=20, row_words=5, word_bytes=word_bytes)
    await write(dut, words, 2, 2, place)
    heard.samples, heard.words, heard.ready = [], [], []
    dut.enable.value = 1
    await listen(dut, heard, bits[: int(0.85 * len(bits))], coin(rng, 0.8))
    check_words(heard, words, 2, 2, place)
    assert dut.overruns.value == 0
