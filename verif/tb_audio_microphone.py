"""cocotb bench: `hdl.audio.microphone.Microphone` against `models.audio.microphone`.

All of it runs in one simulation, and between captures only ``enable`` is low: what an earlier one
has left in the memories must not be heard.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import repeat

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from numpy.typing import ArrayLike, NDArray

import hdl.audio.microphone as hardware
from models.audio.cic import RATIO
from models.audio.dc import remove_dc
from models.audio.fir import TAPS
from models.audio.gain import scale
from models.audio.i2s import Alignment, Channel, I2sConfig, receive, transmit
from models.audio.microphone import MicrophoneConfig, capture_i2s, capture_pdm, finish
from models.audio.pdm import BITS_PER_SAMPLE, modulate, receive_bits
from models.fixedpoint import saturate
from verif.bench import coin, log_uniform, start
from verif.microphone_registers import config_bits
from verif.stream import StreamPort, check_stream_rules

WARM_UP_BITS = RATIO * TAPS
"""Bits up to the first sample."""
SAMPLES = 40
PDM_BITS = WARM_UP_BITS + SAMPLES * BITS_PER_SAMPLE
TAIL_BITS = 160
"""More than it takes from a bit to its sample, and for the sample to be taken."""
FRAMES = 24
SLOTS = 200
WRONG_SLOTS = 0.2
"""Probability that a slot is given another length."""
MOSTLY = 0.9
INT16_MIN, INT16_MAX = -(1 << 15), (1 << 15) - 1


@dataclass
class Capture:
    """What came out, and in which cycle of ``enable`` each sample was first offered."""

    samples: list[int] = field(default_factory=list)
    offered_at: list[int] = field(default_factory=list)
    word_select: list[int] = field(default_factory=list)
    errors: int = 0


async def begin(dut) -> None:
    """Inputs at rest, reset, and a check of the stream's rules that stays."""
    for name in ("enable", "config", "pdm", "i2s_data", "i2s_word_select", "clear", "o__ready"):
        dut[name].value = 0
    await start(dut)
    cocotb.start_soon(check_stream_rules(StreamPort(dut, "o")))


async def restart(dut, bits: int) -> None:
    """Go off, take whatever is on offer, set the configuration, clear the counters."""
    dut.enable.value = 0
    dut.o__ready.value = 1
    dut.clear.value = 1
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.clear.value = 0
    dut.config.value = bits


async def run(
    dut, bits: int, pins: Mapping[str, ArrayLike], stall: Iterator[bool] = repeat(False)
) -> Capture:
    """Enable with the first value of each pin and feed them, one a cycle."""
    await restart(dut, bits)
    capture, waiting = Capture(), False
    handles = [dut[name] for name in pins]
    rows = np.stack([np.asarray(values, np.int64) for values in pins.values()], axis=1).tolist()
    dut.enable.value = 1
    for cycle, row in enumerate(rows):
        for handle, value in zip(handles, row, strict=True):
            handle.value = value
        ready = not next(stall)
        dut.o__ready.value = ready
        await RisingEdge(dut.clk)
        capture.word_select.append(int(dut.i2s_word_select_out.value))
        if dut.o__valid.value == 1:
            if not waiting:
                capture.offered_at.append(cycle)
            waiting = not ready
            if ready:
                capture.samples.append(dut.o__payload.value.to_signed())
    capture.errors = int(dut.frame_errors.value)
    return capture


def check(capture: Capture, expected: NDArray[np.int16], at_least: int) -> None:
    """Samples, in order, none missing but those whose bits have only just come."""
    assert capture.samples == expected[: len(capture.samples)].tolist()
    assert len(capture.samples) >= at_least, f"{len(capture.samples)} samples of {at_least}"


def random_config(rng: np.random.Generator, **i2s) -> MicrophoneConfig:
    """Any corner; a gain of any magnitude."""
    gain = int(rng.integers(1 << 17)) >> int(rng.integers(0, 12))
    return MicrophoneConfig(i2s=I2sConfig(**i2s), dc_shift=int(rng.integers(16)), gain=gain)


def pdm_signals(rng: np.random.Generator) -> dict[str, NDArray[np.uint8]]:
    """What a pin may carry, a microphone behind it or not."""
    n = np.arange(PDM_BITS)
    alternating = (n & 1).astype(np.uint8)
    impulse = alternating.copy()
    impulse[int(rng.integers(WARM_UP_BITS // 2, WARM_UP_BITS))] ^= 1
    period = int(rng.integers(200, 2000))
    phase = rng.uniform(0, 2 * np.pi)
    return {
        "silence": alternating,
        "impulse": impulse,
        "ones": np.ones(PDM_BITS, np.uint8),
        "zeros": np.zeros(PDM_BITS, np.uint8),
        "square": (n // period & 1).astype(np.uint8),
        "square at 8 kHz": (n // 64 & 1).astype(np.uint8),
        "loud tone": modulate(0.85 * np.sin(2 * np.pi * n / period + phase)),
        "quiet tone": modulate(1e-3 * np.sin(2 * np.pi * n / period + phase)),
        "random bits": rng.integers(0, 2, PDM_BITS).astype(np.uint8),
        "mostly ones": (rng.random(PDM_BITS) < MOSTLY).astype(np.uint8),
    }


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.7])
async def pdm_matches_model(dut, stall: float) -> None:
    """Every kind of bits; the first sample of each comes in the cycle that the design promises."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    dut._log.info("seed %d", cocotb.RANDOM_SEED)
    await begin(dut)
    heard, clipped = [], 0
    for name, signal in pdm_signals(rng).items():
        bits = np.concatenate([signal, rng.integers(0, 2, TAIL_BITS)])
        config = random_config(rng) if stall else MicrophoneConfig(dc_shift=0, gain=1100)
        expected = capture_pdm(bits, config)
        capture = await run(dut, config_bits(config, pdm=True), {"pdm": bits}, coin(rng, stall))
        dut._log.info("%s: %d samples", name, len(capture.samples))
        check(capture, expected, len(capture_pdm(signal, config)))
        assert capture.samples, "nothing came"
        assert capture.errors == 0
        assert dut.overruns.value == 0
        if not stall:
            first = WARM_UP_BITS - 1 + hardware.Microphone.PDM_LATENCY
            assert capture.offered_at == [
                first + BITS_PER_SAMPLE * n for n in range(len(capture.samples))
            ]
        heard += capture.samples
        clipped += int(dut.clipped.value)
        # A clipped sample is counted when it is made, at most one before it is taken.
        taken = np.arange(len(expected)) < len(capture.samples)
        unclipped = scale(remove_dc(receive_bits(bits), config.dc_shift), config.gain)
        outside = np.sum(saturate(unclipped, 16) != unclipped, where=taken)
        assert outside <= int(dut.clipped.value) <= outside + 1
    assert len(set(heard)) > SAMPLES, "almost all samples alike"
    assert clipped > 0
    assert {INT16_MIN, INT16_MAX} <= set(heard)


def i2s_words(rng: np.random.Generator, kind: str, bits: int) -> NDArray[np.int64]:
    """Words of one channel."""
    top = 1 << (bits - 1)
    match kind:
        case "silence":
            return np.zeros(FRAMES, np.int64)
        case "square":
            return np.where(np.arange(FRAMES) // 3 % 2, top - 1, -top)
        case "impulse":
            return np.where(np.arange(FRAMES) == FRAMES // 3, top - 1, 0)
        case _:
            return log_uniform(rng, bits=bits, size=FRAMES)


def pins_of(
    rng: np.random.Generator, config: I2sConfig, left: NDArray, right: NDArray
) -> dict[str, NDArray[np.uint8]]:
    """Wires of well-formed frames, with anything where no word is, and quiet at the end."""
    select, data = transmit(left, right, config)
    _, used = transmit(np.full(len(left), -1), np.full(len(right), -1), config)
    data = np.where(used == 1, data, rng.integers(0, 2, data.size)).astype(np.uint8)
    quiet = np.full(config.slot_bits - 4, select[-1]), np.zeros(config.slot_bits - 4)
    return {
        "i2s_word_select": np.concatenate([select, quiet[0]]).astype(np.uint8),
        "i2s_data": np.concatenate([data, quiet[1]]).astype(np.uint8),
    }


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(alignment=list(Alignment), channel=list(Channel))
async def i2s_matches_model(dut, alignment: Alignment, channel: Channel) -> None:
    """Slots and words of every length, all kinds of samples, both channels different."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    dut._log.info("seed %d", cocotb.RANDOM_SEED)
    await begin(dut)
    kinds = ["silence", "square", "impulse", "noise", "noise", "noise"]
    lengths = [(32, 24), (32, 32), (16, 16), (17, 17), (24, 18), tuple(rng.integers(16, 33, 2))]
    heard = []
    for kind, pair in zip(kinds, lengths, strict=True):
        slot_bits, word_bits = int(max(pair)), int(min(pair))
        config = random_config(
            rng, alignment=alignment, channel=channel, slot_bits=slot_bits, word_bits=word_bits
        )
        words = [i2s_words(rng, k, word_bits) for k in (kind, "noise")]
        left, right = reversed(words) if channel is Channel.RIGHT else words
        pins = pins_of(rng, config.i2s, left, right)
        expected, errors = capture_i2s(pins["i2s_word_select"], pins["i2s_data"], config)
        assert (len(expected), errors) == (FRAMES, 0)
        stall = coin(rng, float(rng.choice([0.0, 0.8])))
        capture = await run(dut, config_bits(config, pdm=False), pins, stall)
        check(capture, expected, FRAMES - 1)
        assert capture.errors == 0
        assert dut.locked.value == 1
        first = 1 if alignment is Alignment.LEFT_JUSTIFIED else 2
        first += 2 * slot_bits + hardware.Microphone.I2S_LATENCY
        offered = [first + 2 * slot_bits * n for n in range(len(capture.offered_at))]
        assert capture.offered_at == offered
        heard += capture.samples
    assert len(set(heard)) > FRAMES, "almost all samples alike"


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(alignment=list(Alignment))
async def i2s_recovers(dut, alignment: Alignment) -> None:
    """Slots too short or too long among right ones, and a word select that is noise."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    dut._log.info("seed %d", cocotb.RANDOM_SEED)
    await begin(dut)
    config = MicrophoneConfig(i2s=I2sConfig(alignment=alignment, slot_bits=20, word_bits=18))
    good = bad = 0
    for noise in (False, False, True):
        wrong = rng.random(SLOTS) < WRONG_SLOTS
        if noise:
            slots = rng.integers(1, 64, SLOTS)
        else:
            slots = np.where(wrong, np.maximum(20 + log_uniform(rng, bits=6, size=SLOTS), 1), 20)
        select = np.repeat(np.arange(SLOTS) & 1, slots)
        # A frame that is right at the end shows that it is received whatever came before.
        select = np.concatenate([select, np.repeat([0, 1, 0, 1, 0], 20), np.zeros(19, int)])
        if alignment is Alignment.LEFT_JUSTIFIED:
            select = 1 - select
        pins = {"i2s_word_select": select, "i2s_data": rng.integers(0, 2, select.size)}
        expected, errors = capture_i2s(select, pins["i2s_data"], config)
        capture = await run(dut, config_bits(config, pdm=False), pins)
        check(capture, expected, len(expected))
        assert capture.errors == errors
        good, bad = good + len(expected), bad + errors
    dut._log.info("%d right frames, %d wrong ones", good, bad)
    assert min(good, bad) > FRAMES


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(alignment=list(Alignment))
async def i2s_master(dut, alignment: Alignment) -> None:
    """Our own word select: regular, and with it any data are words."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    await begin(dut)
    for slot_bits in (16, 32):
        i2s = I2sConfig(alignment=alignment, slot_bits=slot_bits, word_bits=16)
        config = MicrophoneConfig(i2s=i2s)
        cycles = 2 * slot_bits * (FRAMES + 3)
        pins = {
            "i2s_data": rng.integers(0, 2, cycles),
            "i2s_word_select": rng.integers(0, 2, cycles),  # must not matter
        }
        capture = await run(dut, config_bits(config, pdm=False, master=True), pins)
        assert dut.i2s_word_select_drive.value == 1
        changes = np.flatnonzero(np.diff(capture.word_select))
        assert (np.diff(changes) == slot_bits).all()
        expected, errors = capture_i2s(capture.word_select, pins["i2s_data"], config)
        check(capture, expected, FRAMES)
        assert errors == capture.errors == 0
        assert len(receive(capture.word_select, pins["i2s_data"], i2s).samples) > FRAMES


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def overruns_are_counted(dut) -> None:
    """Nobody takes samples: the first one stays on offer, in spite of ``enable``, others count."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    await begin(dut)
    config = MicrophoneConfig(i2s=I2sConfig(word_bits=16), dc_shift=0)
    words = rng.integers(INT16_MIN, INT16_MAX, FRAMES)
    pins = pins_of(rng, config.i2s, words, words)
    capture = await run(dut, config_bits(config, pdm=False), pins, repeat(True))
    assert capture.samples == []
    assert dut.overruns.value == FRAMES - 1
    dut.enable.value = 0
    for _ in range(5):
        await RisingEdge(dut.clk)
    assert dut.o__valid.value == 1
    assert dut.o__payload.value.to_signed() == words[0]
    assert dut.i2s_word_select_drive.value == 0
    assert finish([words[0] * 4], config) == words[0]
    dut.clear.value = 1
    dut.o__ready.value = 1
    await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)
    assert dut.o__valid.value == 0
    assert dut.overruns.value == 0
