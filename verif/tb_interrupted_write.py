"""cocotb bench: an image is written word by word, and the supply goes at any point of it.

Which slot is started is for the test to say, from what this bench reads back and leaves in the file
``results``.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hdl.mram.signals import WordOperation, WordStatus
from verif.bench import parameters
from verif.faulty_bench import FaultyBench, decode, encode

OFF_CYCLES = 3
FINISHED_SHARE = 1 / 20
"""Points behind the last word."""
HOLD_SHARE = 2 / 3
HEAD_SHARE = 1 / 4
"""Points within the words that are written last, the header."""


class Update:
    """Writes words in a given order through the host's port, one step a cycle."""

    def __init__(self, bench: FaultyBench, words: list[tuple[int, int]]):
        self.bench, self.words = bench, words
        self.next = 0
        self.begun = False
        self.finished: list[int] = []

    def step(self) -> None:
        """At the end of a cycle."""
        dut = self.bench.dut
        if self.begun and dut.word__done.value:
            assert dut.word__status.value == WordStatus.OK.value
            self.finished.append(self.words[self.next][0])
            self.next, self.begun = self.next + 1, False
        elif dut.word__request__valid.value and dut.word__request__ready.value:
            dut.word__request__valid.value, self.begun = 0, True
            return
        if not self.begun and self.next < len(self.words):
            address, word = self.words[self.next]
            self.bench.offer(WordOperation.WRITE, address, word)


async def update_for(
    bench: FaultyBench, words: list[tuple[int, int]], cycles: int, *, hold: bool
) -> Update:
    """Let an update run for so many cycles; cut the supply, and bring it back."""
    dut, update = bench.dut, Update(bench, words)
    for bank in range(bench.banks):
        bench.fault(bank, "torn", bench.random_code())
    dut.word__hold.value = hold
    for _ in range(cycles):
        await RisingEdge(dut.clk)
        update.step()
    dut.cut.value = 1
    await RisingEdge(dut.clk)
    dut.word__request__valid.value = 0
    for _ in range(OFF_CYCLES):
        await RisingEdge(dut.clk)
    dut.cut.value = 0
    await RisingEdge(dut.clk)
    return update


async def read_slot(bench: FaultyBench, first: int, count: int) -> str | None:
    """Bytes of a slot in hex, as the controller reads them; None if a word cannot be read."""
    data = b""
    bench.dut.word__hold.value = 1
    for address in range(first, first + count):
        status, word = await bench.operate(WordOperation.READ, address)
        if status is WordStatus.UNCORRECTABLE:
            data = None
            break
        assert status in (WordStatus.OK, WordStatus.CORRECTED)
        data += word.to_bytes(18, "little")[:16]
    bench.dut.word__hold.value = 0
    return None if data is None else data.hex()


def words_of(text: str) -> list[int]:
    """Memory words of bytes in hex."""
    data = bytes.fromhex(text)
    return [int.from_bytes(data[at : at + 16], "little") for at in range(0, len(data), 16)]


class Campaign:
    """One update, interrupted at many points; every time the slot is as it was before."""

    def __init__(self, bench: FaultyBench, given: dict[str, Any]):
        self.bench = bench
        self.first_a, self.first_b = 0, given["first_b"]
        slot_a, old_b, new_b = (words_of(given[name]) for name in ("slot_a", "old_b", "new_b"))
        self.words_a, self.words_b = len(slot_a), len(new_b)
        self.update = [(self.first_b + index, new_b[index]) for index in given["order"]]
        self.head_words = given["head_words"]
        self.new = {address: encode(word) for address, word in self.update}
        self.cells = {address: bench.random_code() for address in range(bench.words)}
        for first, words in ((self.first_a, slot_a), (self.first_b, old_b)):
            self.cells |= {first + index: encode(word) for index, word in enumerate(words)}
        self.cycles = [0, 0]
        """Of the whole update: the bank wakes up for each word, or is held awake."""
        self.seen: Counter[str] = Counter()

    async def measure(self) -> None:
        """Write all of it without interruption: how long it takes."""
        await self.bench.program(self.cells)
        for hold in (0, 1):
            self.bench.dut.word__hold.value = hold
            whole = Update(self.bench, self.update)
            while len(whole.finished) < len(self.update):
                await RisingEdge(self.bench.dut.clk)
                whole.step()
                self.cycles[hold] += 1

    def draw_length(self, cycles: int) -> int:
        """Cycles from the beginning to the cut: anywhere, in the header, or behind the end."""
        rng, head_cycles = self.bench.rng, cycles * self.head_words // len(self.update)
        kind = rng.random() if self.seen else 0  # the first one is always finished
        if kind < FINISHED_SHARE:
            return cycles + 2
        if kind < FINISHED_SHARE + HEAD_SHARE:
            return int(rng.integers(cycles - head_cycles, cycles))
        return int(rng.integers(cycles))

    def pulses(self) -> list[int]:
        """Write pulses that each bank has seen, modulo 256."""
        return [self.bench.count(f"faults__{bank}__pulses") for bank in range(self.bench.banks)]

    async def interrupt(self) -> dict[str, Any]:
        """One point: check all cells, and return what the controller reads of both slots."""
        bench = self.bench
        await bench.program({address: self.cells[address] for address in self.new})
        hold = bool(bench.rng.random() < HOLD_SHARE)
        pulses, length = self.pulses(), self.draw_length(self.cycles[hold])
        update = await update_for(bench, self.update, length, hold=hold)
        found = await bench.peek_all()
        expected = self.cells | {address: self.new[address] for address in update.finished}
        changed = [address for address in expected if expected[address] != found[address]]
        ended = sum((b - a) % 256 for a, b in zip(pulses, self.pulses(), strict=True))
        self.classify(update, changed, found, begun=ended > len(update.finished))

        result = {
            "complete": all(found[address] == code for address, code in self.new.items()),
            "slot_a": await read_slot(bench, self.first_a, self.words_a),
            "slot_b": await read_slot(bench, self.first_b, self.words_b),
        }
        assert await bench.peek_all() == found, "reading has changed something"
        return result

    def classify(
        self, update: Update, changed: list[int], found: list[int], *, begun: bool
    ) -> None:
        """Check that only the word in work has changed, and only if its pulse had begun."""
        if update.next == len(self.update):
            assert not changed, f"{changed} changed"
            self.seen["finished"] += 1
            return
        address = self.update[update.next][0]
        assert changed in ([], [address]), f"{changed} changed in a write of {address}"
        if not begun:
            assert not changed, f"{changed} changed between two writes"
            self.seen["between writes"] += 1
        elif found[address] == self.new[address]:
            self.seen["written and not yet verified"] += 1
        else:
            assert changed, "a torn word is what it was"
            self.seen["within a write"] += 1
            self.seen["torn, and not seen by the ECC"] += not decode(found[address])[2]


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def update_is_interrupted(dut) -> None:
    """All words but the one in work keep every bit, and that one only changes if it was begun."""
    bench, given = FaultyBench(dut), parameters()
    await bench.start()
    campaign = Campaign(bench, given)
    await campaign.measure()
    points = [await campaign.interrupt() for _ in range(given["points"])]
    dut._log.info(f"{len(points)} points of {campaign.cycles} cycles: {dict(campaign.seen)}")
    Path(given["results"]).write_text(json.dumps({"seen": campaign.seen, "points": points}))
