"""What benches of `verif.faulty_mram.FaultyMram` share: its ports, one operation at a time."""

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from hdl.mram.signals import MRAM_CODE_BITS, WordOperation, WordStatus
from models.mram import secded
from verif.bench import parameters, start
from verif.faulty_bank import STUCK_SLOTS

__all__ = ["FaultyBench", "decode", "encode", "half_of"]

OPERATION_BITS = 2
MOST_CYCLES = 1000
"""No operation on a word takes as long."""


def encode(word: int) -> int:
    """144 stored bits of 128."""
    row = np.frombuffer(word.to_bytes(secded.WORD_BYTES, "little"), np.uint8)
    return int.from_bytes(secded.encode(row.reshape(1, -1)).tobytes(), "little")


def decode(code: int) -> tuple[int, int, bool]:
    """Word, corrected bits, and whether there are more wrong ones."""
    row = np.frombuffer(code.to_bytes(secded.CODE_BYTES, "little"), np.uint8)
    words, corrected, uncorrectable = secded.decode(row.reshape(1, -1))
    return int.from_bytes(words.tobytes(), "little"), int(corrected[0]), bool(uncorrectable[0])


class FaultyBench:
    """Drives the host's port, the stream, the faults and the factory's port."""

    def __init__(self, dut):
        self.dut = dut
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.latency, self.banks = parameters()["latency"], parameters()["banks"]
        self.words = 1 << len(dut.stream__address)
        self.bank_words = self.words // self.banks
        self.address_bits = len(dut.stream__address)

    async def start(self) -> None:
        """Put every input to 0 and apply reset."""
        for name in (
            "stream__wake", "stream__wake_next", "stream__enable", "stream__address",
            "word__request__valid", "word__request__payload", "word__hold", "scrub", "idle",
            "interval", "test_start", "test_bank", "test_background", "protect", "cut",
            "factory__enable", "factory__address", "factory__data",
        ):  # fmt: skip
            self.dut[name].value = 0
        for bank in range(self.banks):
            for name in (
                "flip", "flip_address", "flip_mask", "fail", "fail_count", "fail_mask", "deaf",
                "slow", "torn", "peek_address",
            ):  # fmt: skip
                self.fault(bank, name, 0)
            for slot in range(STUCK_SLOTS):
                for name in ("mask", "value", "address"):
                    self.fault(bank, f"stuck_{name}__{slot}", 0)
        await start(self.dut)
        await RisingEdge(self.dut.clk)

    def fault(self, bank: int, name: str, value: int) -> None:
        """Set an input of one bank's faults."""
        self.dut[f"faults__{bank}__{name}"].value = value

    def count(self, name: str) -> int:
        """Value of a counter."""
        return self.dut[name].value.to_unsigned()

    def random_word(self) -> int:
        """128 bits."""
        return int.from_bytes(self.rng.bytes(secded.WORD_BYTES), "little")

    def random_code(self) -> int:
        """144 bits."""
        return int.from_bytes(self.rng.bytes(secded.CODE_BYTES), "little")

    def random_address(self) -> int:
        """Any word."""
        return int(self.rng.integers(self.words))

    async def program(self, codes: dict[int, int]) -> None:
        """Put code words into cells, one a cycle."""
        for address, code in codes.items():
            self.dut.factory__enable.value = 1
            self.dut.factory__address.value = address
            self.dut.factory__data.value = code
            await RisingEdge(self.dut.clk)
        self.dut.factory__enable.value = 0
        await RisingEdge(self.dut.clk)

    async def flip(self, address: int, mask: int) -> None:
        """Lose retention of some bits of a word."""
        bank, offset = divmod(address, self.bank_words)
        self.fault(bank, "flip", 1)
        self.fault(bank, "flip_address", offset)
        self.fault(bank, "flip_mask", mask)
        await RisingEdge(self.dut.clk)
        self.fault(bank, "flip", 0)
        await RisingEdge(self.dut.clk)

    async def fail(self, address: int, count: int, mask: int) -> None:
        """Let the next write pulses of the word's bank leave some bits unchanged."""
        bank = address // self.bank_words
        self.fault(bank, "fail", 1)
        self.fault(bank, "fail_count", count)
        self.fault(bank, "fail_mask", mask)
        await RisingEdge(self.dut.clk)
        self.fault(bank, "fail", 0)
        await RisingEdge(self.dut.clk)

    async def peek_all(self) -> list[int]:
        """Stored bits of all words; takes as many cycles as a bank has words."""
        cells = [0] * self.words
        for offset in range(self.bank_words):
            for bank in range(self.banks):
                self.fault(bank, "peek_address", offset)
            await RisingEdge(self.dut.clk)
            for bank in range(self.banks):
                found = self.dut[f"faults__{bank}__peek"].value.to_unsigned()
                cells[bank * self.bank_words + offset] = found
        return cells

    def offer(self, operation: WordOperation, address: int, data: int = 0) -> None:
        """Offer a request."""
        payload = data << self.address_bits | address
        self.dut.word__request__valid.value = 1
        self.dut.word__request__payload.value = payload << OPERATION_BITS | operation.value

    async def operate(
        self, operation: WordOperation, address: int, data: int = 0
    ) -> tuple[WordStatus, int]:
        """Do one operation on a word, and wait for its end."""
        self.offer(operation, address, data)
        for _ in range(MOST_CYCLES):
            await RisingEdge(self.dut.clk)
            if self.dut.word__request__valid.value and self.dut.word__request__ready.value:
                self.dut.word__request__valid.value = 0
            if self.dut.word__done.value:
                status = WordStatus(self.dut.word__status.value.to_unsigned())
                return status, self.dut.word__data.value.to_unsigned()
        raise AssertionError(f"{operation.name} of word {address} does not end")

    async def stream_word(self, address: int) -> tuple[int, bool] | None:
        """Read one word as the weight cache does: data and error; None if the bank has failed."""
        dut = self.dut
        dut.stream__wake.value, dut.stream__address.value = 1, address
        result = None
        for _ in range(MOST_CYCLES):
            await RisingEdge(dut.clk)
            assert not (dut.stream__ready.value and dut.stream__failed.value)
            if dut.stream__ready.value or dut.stream__failed.value:
                break
        else:
            raise AssertionError(f"the stream waits for word {address} for ever")
        if not dut.stream__failed.value:
            dut.stream__enable.value = 1
            await RisingEdge(dut.clk)
            dut.stream__enable.value = 0
            for _ in range(self.latency):
                await RisingEdge(dut.clk)
            assert dut.stream__valid.value
            result = dut.stream__data.value.to_unsigned(), bool(dut.stream__error.value)
        dut.stream__wake.value = 0
        await RisingEdge(dut.clk)
        return result


def half_of(bit: int) -> int:
    """The code word of a stored bit."""
    return bit // (MRAM_CODE_BITS // 2)
