"""cocotb bench: `hdl.mram.self_test.SelfTest` on memories with faults."""

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from hdl.mram.self_test import BACKGROUNDS, background
from hdl.mram.signals import MRAM_CODE_BITS, WordOperation, WordStatus
from verif.bench import parameters, start
from verif.march_faults import (
    CLASSES,
    INTRA_WORD,
    FaultyMemory,
    First,
    intra_word_places,
    march_c_minus,
    places,
)
from verif.word_port import Request, WordServer

OPERATIONS_A_WORD = 10


class Bench:
    """Runs self-tests on one bank; the memory is behind the stored bits."""

    def __init__(self, dut):
        self.dut = dut
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.bank_words = parameters()["bank_words"]
        self.banks = (1 << len(dut.failing_address)) // self.bank_words
        self.memory = FaultyMemory([])
        self.bank = self.operations = 0
        self.refuse_at: int | None = None
        self.refusal = WordStatus.OK
        for name in ("start", "bank", "background"):
            dut[name].value = 0
        self.server = WordServer(dut, self.answer, self.rng, longest=3)

    def answer(self, request: Request) -> tuple[WordStatus, int]:
        """End a request on the memory."""
        operation, address, code = request
        assert operation in (WordOperation.READ_CODE, WordOperation.WRITE_CODE)
        bank, offset = divmod(address, self.bank_words)
        assert bank == self.bank, f"bank {bank} is touched in the test of {self.bank}"
        self.operations += 1
        noise = int.from_bytes(self.rng.bytes(MRAM_CODE_BITS // 8), "little")
        if self.operations - 1 == self.refuse_at:
            return self.refusal, noise
        if operation is WordOperation.READ_CODE:
            return WordStatus.OK, self.memory.read(offset)
        self.memory.write(offset, code)
        return WordStatus.OK, noise

    def random_words(self) -> list[int]:
        """Any contents of the bank."""
        return [
            int.from_bytes(self.rng.bytes(MRAM_CODE_BITS // 8), "little")
            for _ in range(self.bank_words)
        ]

    async def run(self, index: int = 0) -> bool:
        """Start the test of a random bank and wait for its end; whether it passed."""
        dut = self.dut
        self.bank, self.operations = int(self.rng.integers(self.banks)), 0
        dut.start.value, dut.bank.value, dut.background.value = 1, self.bank, index
        await RisingEdge(dut.clk)
        self.server.step()
        for name in ("bank", "background"):  # sampled with start, which is ignored while busy
            dut[name].value = int(self.rng.integers(2))
        while True:
            await RisingEdge(dut.clk)
            dut.start.value = 0
            self.server.step()
            if dut.done.value:
                break
            assert dut.busy.value
            assert dut.word__hold.value
        assert not dut.busy.value
        assert dut.operations.value == self.operations
        return bool(dut.passed.value)

    def check_failure(self, expected: First, status: WordStatus = WordStatus.OK) -> None:
        """Compare what is reported with the first failure."""
        dut, (offset, wrong, element) = self.dut, expected
        assert dut.failing_address.value == self.bank * self.bank_words + offset
        assert dut.failing_bits.value == wrong
        assert dut.failing_element.value == element
        assert dut.status.value == status.value

    async def compare(self, faults: dict, index: int = 0) -> bool:
        """Test a memory with these faults, in hardware and in Python; whether they were found."""
        words = self.random_words()
        expected = march_c_minus(FaultyMemory(words.copy(), **faults), background(index))
        self.memory = FaultyMemory(words.copy(), **faults)
        passed = await self.run(index)
        assert passed == (expected is None)
        if expected is not None:
            self.check_failure(expected)
        else:
            assert self.operations == OPERATIONS_A_WORD * self.bank_words
        for _ in range(int(self.rng.integers(3))):
            await RisingEdge(self.dut.clk)
            self.server.step()
        return not passed


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def passes_a_good_bank(dut) -> None:
    """No fault: passes with each background, after 10 operations a word, and leaves its own."""
    bench = Bench(dut)
    await start(dut)
    for index in range(BACKGROUNDS):
        assert not await bench.compare({}, index)
        assert set(bench.memory.words) == {background(index)}


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def finds_every_fault_between_words(dut) -> None:
    """All faults that March C- is known to find, with any background; the first failure."""
    bench = Bench(dut)
    await start(dut)
    for name, kinds in CLASSES.items():
        run = 0
        for kind in kinds:
            for aggressor, victim in places(bench.rng, bench.bank_words):
                index = int(bench.rng.choice([0, 0, *range(1, BACKGROUNDS)]))
                found = await bench.compare(kind(aggressor, victim), index)
                assert found, f"{name} of {victim} by {aggressor}, background {index}"
                run += 1
        dut._log.info(f"{name}: {run} of {run} found")
        assert run >= len(kinds) * 14


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def finds_faults_within_words_with_stripes(dut) -> None:
    """Bits that disturb others of their word: some need a background in which they differ."""
    bench = Bench(dut)
    await start(dut)
    missed_by_solid = 0
    for name in INTRA_WORD:
        for kind in CLASSES[name]:
            for aggressor, victim in intra_word_places(bench.rng, bench.bank_words):
                fault = kind(aggressor, victim)
                if await bench.compare(fault, 0):
                    continue
                missed_by_solid += 1
                # One stripe in which the two bits differ is enough for those.
                stripes = [k for k in range(BACKGROUNDS) if differ(k, aggressor[1], victim[1])]
                found = [await bench.compare(fault, k) for k in stripes]
                assert any(found), f"{name} of {victim} by {aggressor}"
    dut._log.info(f"{missed_by_solid} faults within words need stripes")
    assert missed_by_solid >= len(CLASSES["state coupling"])


def differ(index: int, first: int, second: int) -> bool:
    """Whether a background has different values in two bits."""
    return (background(index) >> first ^ background(index) >> second) & 1 != 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def ends_when_an_operation_is_refused(dut) -> None:
    """A protected bank, or one that does not wake up, at any operation of the test."""
    bench = Bench(dut)
    await start(dut)
    count = OPERATIONS_A_WORD * bench.bank_words
    spread = np.linspace(0, count - 1, 12).astype(int).tolist()
    for refusal in (WordStatus.PROTECTED, WordStatus.NO_WAKE):
        for operation in spread:
            bench.refuse_at, bench.refusal = operation, refusal
            bench.memory = FaultyMemory(bench.random_words())
            assert not await bench.run()
            assert bench.operations == operation + 1
            bench.check_failure(place_of(operation, bench.bank_words), refusal)
    bench.refuse_at = None
    assert not await bench.compare({}), "does not pass after a refusal"


def place_of(operation: int, words: int) -> First:
    """Offset, no wrong bits, and element of the operation with this number."""
    for element, length in enumerate((1, 2, 2, 2, 2, 1)):
        if operation < length * words:
            step = operation // length
            return (words - 1 - step if element in (3, 4) else step), 0, element
        operation -= length * words
    raise AssertionError("beyond the end of the test")
