"""Those that use the MRAM controller in a bench: a weight stream, and ports for single words."""

from collections import Counter, deque
from typing import Protocol

import numpy as np

from hdl.mram.signals import WordOperation, WordStatus
from models.mram import secded

__all__ = ["Memory", "StreamDriver", "WordDriver", "encode"]

OPERATION_BITS = 2
CODE_BYTES, WORD_BYTES = secded.CODE_BYTES, secded.WORD_BYTES


SEEK_PROBABILITY = 0.7
"""Of a stretch that begins elsewhere, and not where the last one ended."""
READ_PROBABILITY = 0.9
CODE_PROBABILITY = 0.3
"""Of data that are almost a code word."""
NEAR_PROBABILITY = 0.4
"""Of an operation close to the stream."""
HOLD_PROBABILITY = 0.3
BROKEN_PROBABILITY = 0.35
"""Of an operation in the bank that does not wake up, if there is one."""


def gap(rng: np.random.Generator, longest: int) -> int:
    """Log-uniform, 0 to ``longest``."""
    return int(2 ** rng.uniform(0, np.log2(longest + 1))) - 1


def encode(word: int) -> int:
    """144 stored bits of 128."""
    row = np.frombuffer(word.to_bytes(WORD_BYTES, "little"), np.uint8).reshape(1, WORD_BYTES)
    return int.from_bytes(secded.encode(row).tobytes(), "little")


def decode(code: int) -> tuple[int, int, bool]:
    """Word, corrected bits, and whether there are more."""
    row = np.frombuffer(code.to_bytes(CODE_BYTES, "little"), np.uint8).reshape(1, CODE_BYTES)
    words, corrected, uncorrectable = secded.decode(row)
    return int.from_bytes(words.tobytes(), "little"), int(corrected[0]), bool(uncorrectable[0])


class Memory:
    """What the cells hold, and the counters that the controller must have."""

    def __init__(self, words: int, banks: int):
        self.bank_words = words // banks
        self.cells = [0] * words
        self.wear = [0] * banks
        self.corrected = self.uncorrectable = self.retries = 0
        self.first: int | None = None
        self.protect = self.broken = 0

    def bank(self, address: int) -> int:
        """Where a word lies."""
        return address // self.bank_words

    def read(self, address: int, code: int) -> tuple[int, bool]:
        """Word and error of a stored code; counts."""
        word, corrected, error = decode(code)
        self.corrected += corrected
        self.uncorrectable += error
        if error and self.first is None:
            self.first = address
        return word, error

    def clear(self) -> None:
        """As the controller's input does."""
        self.corrected = self.uncorrectable = self.retries = 0
        self.first = None


class StreamDriver:
    """Wakes, reads stretches from random places, pauses, sleeps; checks every word in its cycle."""

    def __init__(self, dut, memory: Memory, rng: np.random.Generator, latency: int):
        self.dut, self.memory, self.rng, self.latency = dut, memory, rng, latency
        self.returning: deque[tuple[int, int] | None] = deque([None] * latency)
        self.wake = self.want = self.wake_next = False
        self.address = self.left = self.bursts = 0
        self.rest, self.pause = 5, 0
        self.taken: list[int | None] = [None, None]
        self.counts: Counter[str] = Counter()
        self.drive()

    def in_flight(self) -> bool:
        """A read has not returned yet."""
        return any(self.returning)

    def wants(self, bank: int) -> bool:
        """The stream has its hand on a bank in this cycle."""
        here = self.memory.bank(self.address)
        behind = (here + 1) % len(self.memory.wear)
        return self.wake and (bank == here or (self.wake_next and bank == behind))

    def drive(self) -> None:
        """Put the state on the inputs."""
        self.dut.wake.value = self.wake
        self.dut.wake_next.value = self.wake_next
        self.dut.want.value = self.want
        self.dut.address.value = self.address

    def sample(self) -> None:
        """Check what this cycle brought."""
        dut, expected = self.dut, self.returning.popleft()
        assert dut.valid.value == (expected is not None)
        if expected is not None:
            word, error = self.memory.read(*expected)
            assert dut.error.value == error
            if not error:
                assert dut.data.value.to_unsigned() == word, f"address {expected[0]}"
            self.counts.update(reads=1, lost=error)
        ready = bool(dut.ready.value)
        taken = ready and self.want
        if (
            self.want
            and not ready
            and dut.awake.value.to_unsigned() >> self.memory.bank(self.address) & 1
        ):
            self.counts["stalled by a word"] += 1
        code = self.memory.cells[self.address]
        self.returning.append((self.address, code) if taken else None)
        self.taken = [self.taken[1], self.address if taken else None]
        before, after = self.taken
        if before is not None and after is not None:
            crossed = self.memory.bank(before) != self.memory.bank(after)
            self.counts["banks crossed without a bubble"] += crossed
        if taken:
            self.address = (self.address + 1) % len(self.memory.cells)
            self.left -= 1
        self.counts["wakes that failed"] += bool(dut.failed.value)
        if dut.failed.value:
            assert self.memory.broken >> self.memory.bank(self.address) & 1
            self.bursts = self.left = 0

    def step(self, *, go: bool) -> None:
        """Draw the next cycle's inputs."""
        rng, words = self.rng, self.memory.bank_words
        self.rest, self.pause = max(0, self.rest - 1), max(0, self.pause - 1)
        if not self.wake:
            if self.rest == 0 and go:
                self.wake, self.bursts = True, 1 + gap(rng, 6)
        elif max(self.left, self.bursts, self.pause) <= 0 and not self.in_flight():
            self.wake, self.rest = False, gap(rng, 300)
        if self.wake and self.left <= 0 and self.bursts:
            self.bursts -= 1
            self.left, self.pause = 1 + gap(rng, 60), gap(rng, 80)
            if rng.random() < SEEK_PROBABILITY:  # else it goes on where it was
                edge = int(rng.integers(len(self.memory.wear))) * words
                self.address = (edge - gap(rng, words - 1)) % len(self.memory.cells)
                self.counts["seeks in flight"] += self.in_flight()
        self.want = (
            self.wake
            and self.left > 0
            and self.pause == 0
            and bool(rng.random() < READ_PROBABILITY)
        )
        near = self.address % words + self.left > words
        self.wake_next = self.wake and self.left > 0 and near
        self.drive()


class WordObserver(Protocol):
    """Who is told about the operations of a `WordDriver`."""

    memory: Memory
    stream: StreamDriver

    def begin(self, driver: "WordDriver") -> None:
        """Its request was taken."""

    def end(self, driver: "WordDriver", status: WordStatus, data: int) -> None:
        """It has ended."""


class WordDriver:
    """One port: random operations, at times two with the bank held; checks how each ends."""

    def __init__(self, dut, index: int, system: "WordObserver", rng: np.random.Generator):
        self.dut, self.index, self.system, self.rng = dut, index, system, rng
        self.prefix = f"words__{index}__"
        self.rest, self.again, self.hold = gap(rng, 300), 0, False
        self.offered = self.in_work = False
        self.operation, self.address, self.data = WordOperation.READ, 0, 0
        self.drive()

    def port(self, name: str):
        """Handle of a member."""
        return self.dut[self.prefix + name]

    def drive(self) -> None:
        """Put the state on the inputs."""
        bits = len(self.system.memory.cells).bit_length() - 1
        payload = self.operation.value | self.address << OPERATION_BITS
        self.port("request__payload").value = payload | self.data << OPERATION_BITS + bits
        self.port("request__valid").value = self.offered
        self.port("hold").value = self.hold

    def sample(self) -> None:
        """The request was taken, or has ended."""
        assert not (self.port("done").value and not self.in_work), "an end without a request"
        if self.offered and self.port("request__ready").value:
            self.offered, self.in_work = False, True
            self.system.begin(self)
        elif self.in_work and self.port("done").value:
            self.in_work = False
            status = WordStatus(self.port("status").value.to_unsigned())
            self.system.end(self, status, self.port("data").value.to_unsigned())
            self.rest = 0 if self.again else gap(self.rng, 400)
            self.hold = self.again > 0

    def step(self, *, go: bool) -> None:
        """Draw the next cycle's inputs."""
        rng, memory = self.rng, self.system.memory
        self.rest = max(0, self.rest - 1)
        if not self.offered and not self.in_work and self.rest == 0 and (go or self.again):
            self.operation = WordOperation(int(rng.integers(4)))
            self.data = int.from_bytes(rng.bytes(CODE_BYTES), "little")
            if rng.random() < CODE_PROBABILITY:  # few wrong bits
                wrong = rng.choice(CODE_BYTES * 8, size=int(rng.integers(3)), replace=False)
                self.data = encode(self.data >> 16) ^ sum(1 << int(bit) for bit in wrong)
            if self.again:
                self.again -= 1
                first = memory.bank(self.address) * memory.bank_words
                self.address = first + int(rng.integers(memory.bank_words))
            else:
                near = (
                    self.system.stream.address
                    if rng.random() < NEAR_PROBABILITY
                    else rng.integers(1 << 30)
                )
                self.address = (int(near) + gap(rng, 9)) % len(memory.cells)
                self.again = int(rng.integers(1, 3)) if rng.random() < HOLD_PROBABILITY else 0
            self.hold, self.offered = self.again > 0, True
        self.drive()
