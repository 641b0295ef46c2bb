"""cocotb bench: `hdl.mram.scrubber.Scrubber` against a memory whose words have wrong bits."""

from collections import Counter

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from hdl.mram.signals import MRAM_WORD_BITS, WordOperation, WordStatus
from verif.bench import parameters, start
from verif.word_port import Request, WordServer

CYCLES = 40_000
MIN_EVENTS = 10
COUNTERS = ("scrubbed", "corrected", "unrepaired", "uncorrectable", "unreachable")
MIN_PASSES = 3
READ_ENDS = (
    WordStatus.OK, WordStatus.CORRECTED, WordStatus.UNCORRECTABLE, WordStatus.NO_WAKE,
)  # fmt: skip
WRITE_FAILURES = (WordStatus.PROTECTED, WordStatus.VERIFY_FAILED, WordStatus.NO_WAKE)
WRITE_ENDS = (WordStatus.OK, *WRITE_FAILURES)
EVENTS = ("write-back while not idle", "idle ended in a word", "held over several words")
WAKE_FAILURE_PROBABILITY = 0.003
FLIP_PROBABILITY = 0.05
WRITE_FAILURE_PROBABILITY = 0.1


class FlippingMemory:
    """Words that lose bits as time goes by, and what a scrubber has to find in them."""

    def __init__(self, rng: np.random.Generator, words: int, bank_words: int):
        self.rng, self.words, self.bank_words = rng, words, bank_words
        self.data = [self.random_data() for _ in range(words)]
        self.wrong_bits = [0] * words
        self.expected = 0
        """The next address to be read."""
        self.repair: Request | None = None
        """The write-back that must follow."""
        self.counts = dict.fromkeys(COUNTERS, 0)
        self.first_uncorrectable = 0
        self.statuses: Counter[tuple[WordOperation, WordStatus]] = Counter()
        self.passes = 0

    def random_data(self) -> int:
        """Draw a word."""
        return int.from_bytes(self.rng.bytes(MRAM_WORD_BITS // 8), "little")

    def age(self) -> None:
        """Flip a bit now and then."""
        if self.rng.random() < FLIP_PROBABILITY:
            self.wrong_bits[int(self.rng.integers(self.words))] += 1

    def answer(self, request: Request) -> tuple[WordStatus, int]:
        """Check a request, and end it."""
        operation, address, _ = request
        status, data = WordStatus.OK, self.random_data()
        if self.repair is not None:
            assert request == self.repair, f"{request} instead of the write-back {self.repair}"
            self.repair = None
            if self.rng.random() < WRITE_FAILURE_PROBABILITY:
                status = WRITE_FAILURES[int(self.rng.integers(len(WRITE_FAILURES)))]
                self.counts["unrepaired"] += 1
            else:
                self.wrong_bits[address] = 0
            self.advance(address)
        else:
            assert (operation, address) == (WordOperation.READ, self.expected), f"{request}"
            if self.rng.random() < WAKE_FAILURE_PROBABILITY:
                status = WordStatus.NO_WAKE
                self.counts["unreachable"] += 1
                self.advance(address | (self.bank_words - 1))
            else:
                self.counts["scrubbed"] += 1
                status, data = self.read(address)
                if status is WordStatus.CORRECTED:
                    self.repair = (WordOperation.WRITE, address, data)
                else:
                    self.advance(address)
        self.statuses[operation, status] += 1
        return status, data

    def read(self, address: int) -> tuple[WordStatus, int]:
        """As the controller's decoder does; the bits above the data mean nothing."""
        noise = self.random_data() << MRAM_WORD_BITS & (1 << 144) - 1
        if self.wrong_bits[address] == 0:
            return WordStatus.OK, self.data[address] | noise
        if self.wrong_bits[address] == 1:
            self.counts["corrected"] += 1
            return WordStatus.CORRECTED, self.data[address] | noise
        if not self.counts["uncorrectable"]:
            self.first_uncorrectable = address
        self.counts["uncorrectable"] += 1
        self.wrong_bits[address] = 0  # somebody else writes it, or it would stay for ever
        return WordStatus.UNCORRECTABLE, self.random_data()

    def advance(self, last: int) -> None:
        """Expect the word behind ``last``."""
        self.expected = (last + 1) % self.words
        self.passes += self.expected == 0


def reset_inputs(dut) -> None:
    """Drive every input to a defined, idle value."""
    for name in ("enable", "idle", "interval", "clear"):
        dut[name].value = 0


def compare_counters(dut, memory: FlippingMemory) -> None:
    """Compare all counters with the memory's own."""
    found = {name: dut[name].value.to_unsigned() for name in COUNTERS}
    assert found == memory.counts
    assert dut.address.value == memory.expected
    if memory.counts["uncorrectable"]:
        assert dut.first_uncorrectable.value == memory.first_uncorrectable


async def end_and_compare(dut, server: WordServer, memory: FlippingMemory) -> None:
    """Let what has begun end, compare the counters, and clear them."""
    dut.idle.value = 0
    for _ in range(100):
        await RisingEdge(dut.clk)
        server.step()
    assert not dut.busy.value
    assert memory.repair is None
    compare_counters(dut, memory)
    dut.clear.value = 1
    await RisingEdge(dut.clk)
    dut.clear.value = 0
    await RisingEdge(dut.clk)
    memory.counts = dict.fromkeys(COUNTERS, 0)
    compare_counters(dut, memory)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def scrubs_every_word_in_turn(dut) -> None:
    """Random idle times: each word is read once a pass, repaired if it can be, and counted."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    bank_words = parameters()["bank_words"]
    memory = FlippingMemory(rng, 1 << len(dut.address), bank_words)
    reset_inputs(dut)
    server = WordServer(dut, memory.answer, rng)
    await start(dut)

    enable, idle, stay = True, False, 0
    could_begin = offered_before = False
    seen: Counter[str] = Counter()
    holding: int | None = None
    for _ in range(CYCLES):
        memory.age()
        if stay == 0:
            stay = int(2 ** rng.uniform(0, 7))
            idle, enable = bool(rng.random() < 2 / 3), bool(rng.random() < 7 / 8)
            dut.interval.value = int(rng.choice([0, 0, 20, 100]))
        stay -= 1
        dut.idle.value, dut.enable.value = idle, enable
        await RisingEdge(dut.clk)

        offer = server.sample_offer()
        if offer is not None and not offered_before:
            reads = offer[0] is WordOperation.READ
            assert could_begin or not reads, "began to read while the MRAM was not idle"
            seen["write-back while not idle"] += not reads and not idle
        offered_before = offer is not None
        could_begin = idle and enable
        working = offer is not None or server.in_work is not None
        assert dut.busy.value == working
        assert not working or dut.word__hold.value, "the bank may fall asleep"
        seen["idle ended in a word"] += working and not idle

        server.step()
        bank = dut.address.value.to_unsigned() // bank_words
        if server.hold:
            assert holding in (None, bank), "hold goes from one bank to the next"
            holding = bank
        else:
            seen["held over several words"] += holding is not None
            holding = None

    await end_and_compare(dut, server, memory)
    assert memory.passes >= MIN_PASSES
    ways = [(WordOperation.READ, status) for status in READ_ENDS]
    ways += [(WordOperation.WRITE, status) for status in WRITE_ENDS]
    assert min(memory.statuses[way] for way in ways) > 1, memory.statuses
    assert min(seen[event] for event in EVENTS) > MIN_EVENTS, seen


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def bursts_come_at_the_interval(dut) -> None:
    """Bursts of the stated length begin ``interval`` cycles apart, whatever a word takes."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    bank_words, burst = parameters()["bank_words"], parameters()["burst"]
    memory = FlippingMemory(rng, 1 << len(dut.address), bank_words)
    reset_inputs(dut)
    server = WordServer(dut, lambda request: (WordStatus.OK, memory.random_data()), rng, longest=4)
    await start(dut)
    longest_burst = burst * 16
    for interval in (longest_burst, 5 * longest_burst):
        dut.idle.value = dut.enable.value = 1
        dut.interval.value = interval
        begins, words = [], []
        for cycle in range(10 * interval):
            await RisingEdge(dut.clk)
            if server.step() is None:
                continue
            if not words or words[-1] == burst:
                begins.append(cycle)
                words.append(0)
            words[-1] += 1
        periods = set(np.diff(begins[1:]).tolist())
        assert periods == {interval}, f"{periods} instead of {interval}"
        assert set(words[:-1]) == {burst}
