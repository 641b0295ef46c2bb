"""cocotb bench: an I2S microphone in, words and wake-ups on the core's clock out."""

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, FallingEdge
from cocotb.utils import get_sim_time

from hdl.audio.domain import FLAGS, AudioMode
from models.audio.frontend import PRESETS
from models.audio.vad import VoiceActivityDetector
from verif.audio_listening import (
    CROSSING_CYCLES,
    LAST_CYCLES,
    VAD,
    Heard,
    begin,
    expected_words,
    flags,
    note,
    pauses,
    pulse,
    read,
    recording,
    samples_of,
    say,
    set_mode,
    sound,
    start_core,
    vad_bits,
    write,
)
from verif.bench import CLOCK_NS
from verif.i2s_sender import FRAME_BITS

LATE_SAMPLES = 3
"""That have been sent but are not yet in the ring."""
RING_SAMPLES = 1152
MIN_INTACT_WORDS = 60


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
        await pulse(dut, "clear")


@cocotb.test(timeout_time=60, timeout_unit="ms")
async def watch(dut) -> None:
    """The detector wakes as its model does, while nothing else moves and the core stands still.

    An onset and a hangover of 0 are taken for the 1 that the model has.
    """
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    core = await begin(dut, 7)
    assert VAD.onset == VAD.hangover == 1
    dut.vad.value = vad_bits(onset=0, hangover=0)
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
    await FallingEdge(dut.subsystem.domain.block.idle)


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
    assert heard.wakes == 1, "the first window wakes, and nothing else"
    assert not heard.words
    start_core(dut, 7)
    await ClockCycles(dut.clk, 4 * LAST_CYCLES)  # several frames have waited
    assert flags(dut).missed
    assert not flags(dut).overruns
    expected = expected_words(samples, frontend)
    intact = expected_words(samples[:room], frontend)
    assert heard.words[: len(intact)] == intact
    assert len(intact) >= MIN_INTACT_WORDS
    assert heard.words != expected

    await set_mode(dut, AudioMode.OFF)
    await pulse(dut, "clear")
    assert not any(getattr(flags(dut), name) for name in FLAGS)
    await recording(dut, heard, frontend, sound(rng, 0.1), windows=2)


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
    await ClockCycles(dut.core_clk, CROSSING_CYCLES)
    assert flags(dut).frame_errors
    assert not flags(dut).locked
    dut.hiccup.value = 0
    await say(dut, np.zeros(8, np.int16))
    assert flags(dut).frame_errors
    assert flags(dut).locked
    await pulse(dut, "clear")
    assert not flags(dut).frame_errors
    await say(dut, np.append(rng.choice(np.array([-32_768, 32_767], np.int16), 8), np.int16(0)))
    await ClockCycles(dut.core_clk, CROSSING_CYCLES)
    assert flags(dut).clipped
    await pulse(dut, "clear")
    assert not flags(dut).clipped
