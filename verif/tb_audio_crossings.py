"""cocotb bench: wake-ups by windows, and resets of either side of the audio subsystem."""

from itertools import pairwise

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from hdl.audio.domain import WAKE_PAUSE, AudioMode
from models.audio.frontend import PRESETS
from verif.audio_listening import (
    CROSSING_CYCLES,
    LAST_CYCLES,
    Heard,
    begin,
    expected_windows,
    expected_words,
    flags,
    last_bit,
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
    write,
)

FRONTEND = PRESETS["tflm_micro"]
LEAST_WINDOWS = 4
POLL_CYCLES = 16


@cocotb.test(timeout_time=60, timeout_unit="ms")
async def windows_wake(dut) -> None:
    """Each window wakes a core that sleeps until then; speech does not, and no other word does."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    core = await begin(dut, 7)
    await write(dut, FRONTEND)
    heard, words = Heard(), sound(rng, 0.13)
    expected = expected_windows(samples_of(words), FRONTEND)
    assert len(expected) >= LEAST_WINDOWS
    await note(dut, heard)
    await set_mode(dut, AudioMode.FEATURES)
    speaking = cocotb.start_soon(say(dut, words))
    for number, window in enumerate(expected, start=1):
        core.stop()
        await RisingEdge(dut.wake)
        await ClockCycles(dut.clk, WAKE_PAUSE)
        core = start_core(dut, 7)
        heard.words.clear()
        await take_window(dut, heard)
        assert heard.words == window
        assert heard.wakes == number
        await ClockCycles(dut.clk, CROSSING_CYCLES)
        assert dut.wake.value == 0, "awake without a word"
        # A window later than its wake-up: there is nothing to rise for.
        await pulse(dut, "resume")
    assert heard.speech, "there was no speech that might have woken"
    await speaking
    assert heard.wakes == len(expected)


async def take_window(dut, heard: Heard) -> None:
    """Take words until a window's last."""
    reading = cocotb.start_soon(read(dut, heard, iter(lambda: 0, 1)))
    while not (heard.words and heard.words[-1] >> last_bit()):
        assert dut.wake.value == 1, "asleep with words to take"
        await ClockCycles(dut.core_clk, 1)
    reading.cancel()
    dut.o__ready.value = 0


@cocotb.test(timeout_time=60, timeout_unit="ms")
async def resume_lets_it_rise_again(dut) -> None:
    """Low for two periods of the always-on clock, and high again as the next window waits.

    The core's clock may stop as soon as it has ordered that.
    """
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    core = await begin(dut, 7)
    await write(dut, FRONTEND)
    heard = Heard()
    await set_mode(dut, AudioMode.FEATURES)
    speaking = cocotb.start_soon(say(dut, sound(rng, 0.1)))
    await RisingEdge(dut.wake)
    await speaking  # the second window's samples are there
    await take_window(dut, heard)
    if dut.wake.value == 0:  # it may fall between two windows, for how long tells nothing
        await RisingEdge(dut.wake)
    await ClockCycles(dut.clk, 2 * LAST_CYCLES)
    assert dut.wake.value == 1, "the next window waits"
    assert heard.words[-1] >> last_bit()
    for gap in (0, WAKE_PAUSE // 2):
        low = cocotb.start_soon(cycles_low(dut))
        await RisingEdge(dut.core_clk)
        dut.resume.value = 1
        await RisingEdge(dut.core_clk)
        dut.resume.value = 0
        if gap:  # once more while it is low: then it begins anew
            await ClockCycles(dut.clk, gap)
            assert dut.wake.value == 0
            await pulse(dut, "resume")
            assert WAKE_PAUSE < await low < WAKE_PAUSE + gap + CROSSING_CYCLES
        else:
            core.stop()
            assert await low == WAKE_PAUSE
            core = start_core(dut, 7)
    await ClockCycles(dut.clk, 2 * WAKE_PAUSE)
    assert dut.wake.value == 1
    await set_mode(dut, AudioMode.WATCH)
    assert dut.wake.value == 0, "windows do not wake in WATCH"


async def cycles_low(dut) -> int:
    """Cycles of the microphone's clock that ``wake`` is low, from its next fall on."""
    await FallingEdge(dut.wake)
    cycles = 0
    while dut.wake.value == 0:
        await FallingEdge(dut.clk)
        cycles += 1
    return cycles - 1


@cocotb.test(timeout_time=120, timeout_unit="ms")
async def the_microphones_side_is_reset(dut) -> None:
    """In the middle of a word, taken and waiting: what arrived was right, and what comes is whole.

    One of the resets comes while the core's clock stands, so that it sees nothing of it.
    """
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    core = await begin(dut, 7)
    heard = Heard()
    reader = cocotb.start_soon(read(dut, heard, pauses(rng, 100)))
    words = sound(rng, 0.1)
    expected = expected_words(samples_of(words), FRONTEND)
    for taken, waits, stopped in ((3, False, False), (11, True, False), (14, True, True)):
        heard.words.clear()
        await write(dut, FRONTEND)
        await set_mode(dut, AudioMode.FEATURES)
        speaking = cocotb.start_soon(say(dut, words))
        while len(heard.words) < taken:
            await ClockCycles(dut.clk, POLL_CYCLES)
        if waits:
            reader.cancel()
            dut.o__ready.value = 0
            await RisingEdge(dut.o__valid)
        else:
            await RisingEdge(dut.subsystem.domain.words__request)
        heard.careless = True
        if stopped:
            core.stop()
        dut.rst.value = 1
        dut.run.value = 0
        speaking.cancel()
        await ClockCycles(dut.clk, CROSSING_CYCLES)
        dut.mode.value = AudioMode.OFF.value
        dut.rst.value = 0
        await ClockCycles(dut.clk, CROSSING_CYCLES)
        if stopped:
            core = start_core(dut, 7)
        if waits:
            reader = cocotb.start_soon(read(dut, heard, pauses(rng, 100)))
        await ClockCycles(dut.clk, LAST_CYCLES)
        assert heard.words == expected[: len(heard.words)], "a word that nobody sent"
        assert dut.o__valid.value == 0
        heard.careless = False
    await recording(dut, heard, FRONTEND, words, windows=3)


@cocotb.test(timeout_time=120, timeout_unit="ms")
async def the_cores_side_is_reset(dut) -> None:
    """In the middle of words and of rows: no word is lost, one at most comes twice; rows go on."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    await begin(dut, 7)
    heard, words = Heard(), sound(rng, 0.1)
    cocotb.start_soon(read(dut, heard, pauses(rng, 100)))
    writing = cocotb.start_soon(write(dut, FRONTEND))
    for _ in range(3):
        await ClockCycles(dut.clk, int(rng.integers(100, 400)))
        assert not writing.done()
        await RisingEdge(dut.subsystem.domain.tables__request)
        writing.cancel()
        await reset_core(dut, rng)
        writing = cocotb.start_soon(write(dut, FRONTEND))
    await writing

    await set_mode(dut, AudioMode.FEATURES)
    speaking = cocotb.start_soon(say(dut, words))
    resets = 0
    heard.careless = True
    for taken in (4, 9, 17, 26):
        while len(heard.words) < taken:
            await ClockCycles(dut.clk, POLL_CYCLES)
        await RisingEdge(dut.o__valid)
        await reset_core(dut, rng)
        resets += 1
    await speaking
    dut.run.value = 0
    await ClockCycles(dut.clk, LAST_CYCLES)
    once = without_repeats(heard.words)
    assert once == expected_words(samples_of(words), FRONTEND)
    assert len(heard.words) - len(once) <= resets
    assert not flags(dut).missed
    await set_mode(dut, AudioMode.OFF)
    await pulse(dut, "clear")
    heard.careless = False
    await recording(dut, heard, FRONTEND, words, windows=3)


def without_repeats(words: list[int]) -> list[int]:
    """Words that differ from the one before: those of a window do, if only in their address."""
    return words[:1] + [word for before, word in pairwise(words) if word != before]


async def reset_core(dut, rng: np.random.Generator) -> None:
    """Some cycles from now, for as long as a handshake wants."""
    await ClockCycles(dut.core_clk, int(rng.integers(1, 12)))
    dut.core_rst.value = 1
    dut.tables__valid.value = 0
    for clock in (dut.clk, dut.core_clk):
        await ClockCycles(clock, CROSSING_CYCLES)
    dut.core_rst.value = 0
    await ClockCycles(dut.core_clk, 1)
