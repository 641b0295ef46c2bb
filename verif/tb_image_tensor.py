"""cocotb bench: `hdl.image.tensor_path.TensorPath` against `models.image.pipeline.tensor_of`.

Where words lie comes from the test, which asks the compiler.
"""

import json
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from cocotb.utils import get_sim_time

from hdl.audio.feature_window import window_word
from hdl.image.colour import ToLuma
from hdl.image.quantiser import Quantiser
from hdl.image.scaler import Scaler
from hdl.image.tensor_path import TensorPath, TensorSettings
from hdl.image.tensor_words import TensorWords
from models.fixedpoint import IntArray
from models.image.change import ChangeDetector, ChangeSettings
from models.image.colour import luma
from models.image.pipeline import tensor_of
from models.image.quantiser import SHIFTED, TensorFormat
from models.image.scaler import Crop, scale_down
from verif.bench import CLOCK_NS, log_uniform, parameters, start
from verif.image_frames import BACK_TO_BACK, Blanking, FrameSource
from verif.image_registers import scaling_fields
from verif.stream import StreamPort, check_stream_rules
from verif.tb_image_change import read_map

__all__ = ["picture"]

EVENTS = ("ready", "overrun", "unfit", "done", "wake")
LONGEST_DRAIN = 40


def picture(case: dict, seed: int) -> IntArray:
    """A frame for a case: blocks of colour and noise, another one for each seed."""
    rng = np.random.default_rng(seed)
    rows, columns = case["rows"], case["columns"]
    coarse = rng.integers(0, 256, (-(-rows // 4), -(-columns // 4), 3))
    fine = coarse.repeat(4, axis=0).repeat(4, axis=1)[:rows, :columns]
    return np.clip(fine + log_uniform(rng, bits=9, size=fine.size).reshape(fine.shape), 0, 255)


class Bench:
    """The path's ports, and all words that have left it."""

    def __init__(self, dut, rng: np.random.Generator):
        self.dut, self.rng = dut, rng
        sizes = parameters()
        self.word_bytes = sizes["word_bytes"]
        self.word = window_word(self.word_bytes, sizes["address_bits"])
        self.settings = TensorSettings(sizes["address_bits"])
        self.source = FrameSource(dut, "i", 8, rng)
        self.words: list[tuple[int, int, list[int], int]] = []
        self.events: dict[str, int] = dict.fromkeys(EVENTS, 0)
        self.stall: Iterator[bool] = repeat(False)
        self.stuck, self.ready_at = False, 0.0
        for name in ("abort", "restart", "hold", "map_row", "settings", "o__ready"):
            dut[name].value = 0
        cocotb.start_soon(self.watch())
        for name in EVENTS[1:]:
            cocotb.start_soon(self.count(name))
        cocotb.start_soon(check_stream_rules(StreamPort(dut, "o")))

    async def watch(self) -> None:
        """Take words, with pauses."""
        dut, port = self.dut, StreamPort(self.dut, "o")
        while True:
            dut.o__ready.value = not (self.stuck or next(self.stall))
            await RisingEdge(dut.clk)
            if port.transfers():
                word: Any = self.word.from_bits(port.payload.value.to_unsigned())
                self.words.append((word.bank, word.address, list(word.data), word.last))
                assert dut.ready.value == word.last, "announced in another clock"
                self.events["ready"] += word.last
                self.ready_at = get_sim_time("ns")
            else:
                assert dut.ready.value == 0, "announced without a word"

    async def count(self, name: str) -> None:
        """Count the pulses of an event; none comes in two clocks one after another."""
        while True:
            await RisingEdge(self.dut[name])
            self.events[name] += 1

    async def configure(self, case: dict, *, tensor: bool = True, change: bool = False) -> None:
        """Write the registers of a case, when nothing is on its way."""
        self.dut.abort.value = 0
        await self.quiet()
        fields = {
            "scaling": scaling_fields(crop_of(case), case["width"], case["height"]),
            "format": vars(format_of(case)),
            "place": case["place"],
            "change": vars(ChangeSettings()),
            "tensor_enable": tensor,
            "change_enable": change,
        }
        self.dut.settings.value = self.settings.const(fields).as_value().value

    async def quiet(self) -> None:
        """Wait until nothing is on its way: never long if words are taken."""
        for _ in range(TensorPath.QUIET + LONGEST_DRAIN):
            await self.source.idle(1)
            if self.dut.idle.value == 1:
                return
        raise AssertionError("never idle")

    async def abort(self) -> None:
        """Forget the frame in progress."""
        self.dut.abort.value = 1
        await self.source.idle(1)
        self.dut.abort.value = 0

    def take(self) -> tuple[list, dict[str, int]]:
        """Words and events since the last time."""
        words, events = self.words, self.events
        self.words, self.events = [], dict.fromkeys(EVENTS, 0)
        return words, events


def pauses(rng: np.random.Generator) -> Iterator[bool]:
    """One clock in eight."""
    while True:
        pause = int(rng.integers(8))
        yield from (clock == pause for clock in range(8))


def all_cases() -> list[dict[str, Any]]:
    """What the test wrote for the bench."""
    return json.loads(Path(parameters()["cases"]).read_text())


def crop_of(case: dict) -> Crop:
    """The rectangle of a case."""
    return Crop(*case["crop"])


def format_of(case: dict) -> TensorFormat:
    """Its scale and zero point."""
    return TensorFormat(*case["format"]) if case["format"] else SHIFTED


def words_of(case: dict, frame: IntArray, word_bytes: int) -> list:
    """What the model's tensor is in words: the test says which element each byte is, or -1."""
    grey = bool(case["place"]["grey"])
    tensor = tensor_of(
        frame, crop_of(case), case["width"], case["height"], grey=grey, tensor=format_of(case)
    )
    values = np.append(tensor.view(np.uint8).reshape(-1), 0)[case["elements"]]
    assert values.shape[1] == word_bytes
    last = [0] * (len(values) - 1) + [1]
    return list(zip(case["bank"], case["address"], values.tolist(), last, strict=True))


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def tensors(dut) -> None:
    """Each case: two frames, then one that is cut short and a whole one, with gaps and none."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    bench = Bench(dut, rng)
    await start(dut)
    saturated = 0
    for number, case in enumerate(all_cases()):
        # Words can wait, but not longer than they come.
        gaps = Blanking(rng.choice([0.0, 0.5]), int(rng.integers(3)), int(rng.integers(3)))
        bench.stall = pauses(rng) if gaps.pixels else repeat(False)
        await bench.configure(case)
        frames = [picture(case, 4 * number + index) for index in range(3)]
        await bench.source.send(frames[0], gaps)
        await bench.source.send(frames[1], gaps)
        await bench.quiet()
        words, events = bench.take()
        expected = [words_of(case, frame, bench.word_bytes) for frame in frames]
        assert words == expected[0] + expected[1], f"case {number}: {case}"
        assert events == {"ready": 2, "overrun": 0, "unfit": 0, "done": 0, "wake": 0}

        pixels = int(rng.integers(1, case["rows"] * case["columns"]))
        await bench.source.send(frames[1], gaps, pixels=pixels)
        await bench.abort()
        await bench.source.send(frames[2], gaps)
        await bench.quiet()
        words, events = bench.take()
        count = len(words) - len(expected[2])
        assert words == expected[1][:count] + expected[2], f"case {number}: {case}"
        assert not any(word[3] for word in words[:count]), "the last word of a frame cut short"
        assert (events["ready"], events["overrun"], events["unfit"]) == (1, 0, 0)
        data = np.array([word[2] for word in expected[2]])
        saturated += int(np.isin(data, (127, 128)).sum() > 0)
    assert saturated > 0, "nothing was saturated"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def whole_tensor(dut) -> None:
    """One frame of the first case, without a pause; its last word comes when it should."""
    bench = Bench(dut, np.random.default_rng(cocotb.RANDOM_SEED))
    await start(dut)
    case = all_cases()[0]
    frame = picture(case, cocotb.RANDOM_SEED)
    await bench.configure(case)
    await bench.source.send(frame)
    sent = get_sim_time("ns")
    await bench.quiet()
    luma_latency = ToLuma.LATENCY if case["place"]["grey"] else 0
    stages = Scaler.LATENCY + luma_latency + Quantiser.LATENCY + TensorWords.LATENCY
    assert (bench.ready_at - sent) / CLOCK_NS == stages
    words, events = bench.take()
    assert words == words_of(case, frame, bench.word_bytes)
    assert events["ready"] == 1


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def overruns(dut) -> None:
    """Words that nobody takes: the frame is given up and flagged, the one after it is whole."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    bench = Bench(dut, rng)
    await start(dut)
    for case in all_cases():
        frames = [picture(case, index) for index in range(3)]
        await bench.configure(case)
        first = words_of(case, frames[0], bench.word_bytes)
        if len(first) <= LONGEST_DRAIN:
            continue
        bench.stuck = True
        await bench.source.send(frames[0])
        await bench.source.send(frames[1])
        await bench.source.idle(TensorPath.QUIET)
        words, events = bench.take()
        assert not words
        assert events["overrun"] == 2, "once for each frame"  # noqa: PLR2004
        bench.stuck = False
        await bench.quiet()
        await bench.source.send(frames[2])
        await bench.quiet()
        words, events = bench.take()
        waited = len(words) - len(first)
        assert waited == parameters()["depth"]
        assert words[:waited] == first[:waited]
        assert words[waited:] == words_of(case, frames[2], bench.word_bytes)
        assert events["ready"] == 1
        return
    raise AssertionError("no case with many words")


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def change_alone(dut) -> None:
    """Change detection without a tensor, with one that nobody takes, and without a wish for it."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    bench = Bench(dut, rng)
    await start(dut)
    case = all_cases()[0] | {
        "rows": 24, "columns": 40, "crop": [0, 0, 40, 24], "width": 32, "height": 20,
    }  # fmt: skip
    bench.stuck = True
    golden, wakes = ChangeDetector(), 0
    frame = picture(case, 1)
    for step in range(12):
        await bench.configure(case, tensor=False, change=step != 6)  # noqa: PLR2004
        if step % 3 == 0:
            row, column = int(rng.integers(10)), int(rng.integers(20))
            frame = frame.copy()
            frame[row : row + 20, column : column + 20] ^= 0xFF
        await bench.source.send(frame, BACK_TO_BACK if step % 2 else Blanking(0.2, 1, 1))
        await bench.source.idle(TensorPath.QUIET)
        words, events = bench.take()
        assert not words
        if step == 6:  # noqa: PLR2004
            assert not any(events.values()), "a frame that was not asked for"
            continue
        crop = crop_of(case)
        change = golden.step(luma(scale_down(frame, crop, case["width"], case["height"])))
        assert (events["done"], events["wake"]) == (1, change.wake)
        await bench.configure(case, tensor=False)
        np.testing.assert_array_equal(await read_map(dut, change.block_map.shape), change.block_map)
        wakes += change.wake
    assert 2 <= wakes <= 9, "hardly any decision"  # noqa: PLR2004


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def rectangles_that_do_not_fit(dut) -> None:
    """A rectangle beyond the frame: no tensor, no comparison, a flag; the next frame is right."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    bench = Bench(dut, rng)
    await start(dut)
    case = all_cases()[0]
    left, top, width, _ = case["crop"]
    await bench.configure(case | {"crop": [left, top + 1, width, case["rows"]]}, change=True)
    await bench.source.send(picture(case, 1))
    await bench.quiet()
    words, events = bench.take()
    assert not any(word[3] for word in words)
    assert events == {"ready": 0, "overrun": 0, "unfit": 1, "done": 0, "wake": 0}
    await bench.configure(case, change=True)
    frame = picture(case, 2)
    await bench.source.send(frame)
    await bench.quiet()
    words, events = bench.take()
    assert words == words_of(case, frame, bench.word_bytes)
    assert events == {"ready": 1, "overrun": 0, "unfit": 0, "done": 1, "wake": 0}
