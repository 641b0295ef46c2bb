"""cocotb bench: the MRAM controller on ideal banks against a dictionary, cycle by cycle.

A stream with seeks and pauses and several ports with operations on words run against one another.
Faults are seeded: wrong bits in the cells, write pulses that store wrong bits, banks that do not
wake up, protected banks.
"""

from collections import Counter, deque

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from hdl.mram.signals import WordOperation, WordStatus
from hdl.mram.word_unit import MAX_RETRIES
from models.mram.secded import WORD_BYTES
from verif.bench import parameters, start
from verif.mram_users import Memory, StreamDriver, WordDriver, encode

CYCLES = 12_000
QUIET_EVERY = 600
"""Cycles between two moments at which nothing is in work, and the faults may change."""

FAULT_PROBABILITY = 0.6
"""Of protected banks, and of one that does not wake up, from one quiet moment to the next."""
CLEAR_PROBABILITY = 0.3
SPOIL_PROBABILITY = 0.6
"""Of a write pulse."""


class System:
    """Everything around the design, and what one operation must have done."""

    def __init__(self, dut, rng: np.random.Generator):
        values = parameters()
        self.dut, self.rng, self.latency = dut, rng, values["latency"]
        self.patience, banks = values["patience"], values["banks"]
        self.memory = Memory(1 << len(dut.address), banks)
        dut.clear.value = dut.factory__enable.value = dut.spoil.value = 0
        dut.protect.value = dut.broken.value = 0
        self.stream = StreamDriver(dut, self.memory, rng, self.latency)
        self.words = [WordDriver(dut, index, self, rng) for index in range(values["ports"])]
        self.owner: WordDriver | None = None
        self.pulses: list[tuple[int, int, int]] = []
        self.spoil = self.cycle = self.taken_at = 0
        self.wanted = deque([0] * (self.latency + 1), maxlen=self.latency + 1)
        self.counts: Counter[str] = Counter()

    async def program(self) -> None:
        """Random words; some of them have wrong bits."""
        dut, rng = self.dut, self.rng
        for address in range(len(self.memory.cells)):
            bits = rng.choice(144, size=(0, 0, 0, 0, 1, 1, 2, 3)[rng.integers(8)], replace=False)
            code = encode(int.from_bytes(rng.bytes(WORD_BYTES), "little"))
            self.memory.cells[address] = code ^ sum(1 << int(bit) for bit in bits)
            dut.factory__enable.value = 1
            dut.factory__address.value = address
            dut.factory__data.value = self.memory.cells[address]
            await RisingEdge(dut.clk)
        dut.factory__enable.value = 0

    def begin(self, driver: WordDriver) -> None:
        """A request was taken."""
        assert self.owner is None or self.owner is driver, "two operations at once, or one between"
        assert not self.pulses
        self.owner, self.taken_at = driver, self.cycle
        self.counts["begun where the stream is"] += self.stream.wants(
            self.memory.bank(driver.address)
        )

    def sample_pulse(self) -> None:
        """A write pulse stores what it should, apart from the spoiled bits."""
        dut, memory = self.dut, self.memory
        self.wanted.append((1 << memory.bank(self.stream.address)) if self.stream.wake else 0)
        if dut.pulse.value:
            address, data = (
                dut.pulse_address.value.to_unsigned(),
                dut.pulse_data.value.to_unsigned(),
            )
            owner, bank = self.owner, memory.bank(address)
            assert owner is not None
            assert address == owner.address
            if not self.pulses and all(wanted >> bank & 1 for wanted in self.wanted):
                self.counts["out of patience"] += 1
                assert self.cycle - self.taken_at > self.patience, "the stream goes first"
            self.pulses.append((address, data, self.spoil))
            memory.cells[address] = data ^ self.spoil
            memory.wear[bank] += 1
        if self.pulses and (read := self.stream.taken[1]) is not None:
            bank = memory.bank(self.pulses[-1][0])
            self.counts["reads beside a write"] += memory.bank(read) != bank

    def end(self, driver: WordDriver, status: WordStatus, data: int) -> None:
        """A request has ended: its status, its data and its pulses are right."""
        memory, operation, address = self.memory, driver.operation, driver.address
        assert self.owner is driver
        pulses, self.pulses = self.pulses, []
        if not driver.again:
            self.owner = None
        bank = memory.bank(address)
        self.counts[f"{operation.name} {status.name}"] += 1
        self.counts["held"] += driver.again > 0
        writes = operation in (WordOperation.WRITE, WordOperation.WRITE_CODE)
        if status in (WordStatus.PROTECTED, WordStatus.NO_WAKE):
            assert not pulses
        protected = writes and memory.protect >> bank & 1
        assert (status == WordStatus.PROTECTED) == bool(protected)
        assert (status == WordStatus.NO_WAKE) == (not protected and memory.broken >> bank & 1)
        if status in (WordStatus.PROTECTED, WordStatus.NO_WAKE):
            return
        if operation == WordOperation.READ:
            corrected_before = memory.corrected
            word, error = memory.read(address, memory.cells[address])
            corrected = memory.corrected != corrected_before
            expected = WordStatus.CORRECTED if corrected else WordStatus.OK
            assert status == (WordStatus.UNCORRECTABLE if error else expected)
            assert data == (0 if error else word)
        elif operation == WordOperation.READ_CODE:
            assert data == memory.cells[address]
        elif operation == WordOperation.WRITE_CODE:
            assert [code for _, code, _ in pulses] == [driver.data]
            assert status == WordStatus.OK
        else:
            self.check_write(driver, status, pulses)
            assert data == memory.cells[address]
        assert writes or not pulses

    def check_write(self, driver, status: WordStatus, pulses: list[tuple[int, int, int]]) -> None:
        """Only as many pulses as it takes, all with the right data."""
        code = encode(driver.data & (1 << 128) - 1)
        assert all(data == code for _, data, _ in pulses)
        *before, last = [spoil for _, _, spoil in pulses]
        assert all(before), "written again although it was right"
        assert status == (WordStatus.VERIFY_FAILED if last else WordStatus.OK)
        assert not last or len(pulses) == MAX_RETRIES + 1
        self.memory.retries += len(before)
        self.counts["retries"] += len(before)

    def idle(self) -> bool:
        """Nobody asks for anything."""
        ports = any(word.offered or word.in_work or word.again for word in self.words)
        return not (ports or self.stream.wake or self.stream.in_flight())

    def check_counters(self) -> None:
        """When everything has ended."""
        dut, memory = self.dut, self.memory
        assert not dut.busy.value
        assert not dut.awake.value.to_unsigned(), "a bank is awake for nobody"
        assert dut.corrected.value == memory.corrected
        assert dut.uncorrectable.value == memory.uncorrectable
        assert dut.retries.value == memory.retries
        if memory.first is not None:
            assert dut.first_error_address.value == memory.first
        for bank, wear in enumerate(memory.wear):
            assert dut[f"wear__{bank}"].value == wear
        self.counts["counters checked"] += 1

    def change_faults(self) -> None:
        """Other banks are protected and broken; at times the counters are cleared."""
        rng, banks = self.rng, len(self.memory.wear)
        self.memory.protect = (
            int(rng.integers(1 << banks)) if rng.random() < FAULT_PROBABILITY else 0
        )
        self.memory.broken = (
            1 << int(rng.integers(banks)) if rng.random() < FAULT_PROBABILITY else 0
        )
        self.dut.protect.value, self.dut.broken.value = self.memory.protect, self.memory.broken
        clear = bool(rng.random() < CLEAR_PROBABILITY)
        self.dut.clear.value = clear
        if clear:
            self.memory.clear()

    async def run(self) -> None:
        """All cycles, then until everything has ended."""
        dut, rng, still = self.dut, self.rng, 0
        since_change = 0
        while self.cycle < CYCLES or still <= self.latency + 4:
            assert self.cycle < 2 * CYCLES, "something never ends"
            await RisingEdge(dut.clk)
            self.sample_pulse()
            self.stream.sample()
            for word in self.words:
                word.sample()
            self.cycle, since_change = self.cycle + 1, since_change + 1
            dut.clear.value = 0
            still = still + 1 if self.idle() else 0
            go = since_change < QUIET_EVERY and self.cycle < CYCLES
            if still > self.latency + 4 and since_change >= QUIET_EVERY:
                self.check_counters()
                self.change_faults()
                since_change = still = 0
            self.stream.step(go=go)
            for word in self.words:
                word.step(go=go)
            wrong = rng.choice(144, size=int(rng.integers(1, 4)), replace=False)
            self.spoil = (
                sum(1 << int(bit) for bit in wrong) if rng.random() < SPOIL_PROBABILITY else 0
            )
            dut.spoil.value = self.spoil


MUST_OCCUR = (
    "reads",
    "lost",
    "banks crossed without a bubble",
    "seeks in flight",
    "stalled by a word",
    "wakes that failed",
    "begun where the stream is",
    "reads beside a write",
    "out of patience",
    "held",
    "retries",
    "counters checked",
    *(
        f"{operation} {status}"
        for operation, statuses in {
            "READ": "OK CORRECTED UNCORRECTABLE NO_WAKE",
            "WRITE": "OK PROTECTED VERIFY_FAILED NO_WAKE",
            "READ_CODE": "OK NO_WAKE",
            "WRITE_CODE": "OK PROTECTED NO_WAKE",
        }.items()
        for status in statuses.split()
    ),
)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def controller_matches_model(dut) -> None:
    """Stream and words against one another, to the cycle and the bit."""
    system = System(dut, np.random.default_rng(cocotb.RANDOM_SEED))
    await start(dut)
    await system.program()
    await system.run()
    system.check_counters()
    counts = system.counts + system.stream.counts
    cocotb.log.info("seed %d: %s", cocotb.RANDOM_SEED, dict(counts))
    missing = [name for name in MUST_OCCUR if not counts[name]]
    assert not missing, missing
    assert counts["reads"] > CYCLES // 12
    assert counts["banks crossed without a bubble"] > CYCLES // 1000
