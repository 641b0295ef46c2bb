"""The model that the weight cache's bench compares with, and what may happen to a stream."""

from dataclasses import dataclass

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from hdl.mram.signals import ReadError
from verif.bench import parameters, start

__all__ = ["Bench", "Episode", "Surroundings"]

ERROR_PROBABILITY = 0.3
"""That there is a bad word not far ahead of a seek; of a broken bank half of that."""
HOLD_PROBABILITY = 0.05
NEAR_WORDS = 300
"""Seeks go to within this distance of the beginning of a bank."""


class Bench:
    """Drives one cycle at a time, and checks the stream against ``base`` and ``read``."""

    def __init__(self, dut):
        self.dut = dut
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.config = parameters()
        self.words = 1 << len(dut.address)
        self.bank = self.config["bank_words"]
        self.base = self.read = 0
        self.flowing = False  # whether there was a seek

    def word(self, address: int) -> int:
        """Contents of the MRAM: every address has its own word."""
        return sum(
            ((address + 1) * factor % (1 << 32)) << 32 * k
            for k, factor in enumerate(self.config["factors"])
        )

    def random_address(self) -> int:
        """Any address near the beginning of a bank, or near the end of the one before."""
        near = min(NEAR_WORDS, self.bank)
        bank = int(self.rng.integers(self.words // self.bank))
        return (bank * self.bank + int(self.rng.integers(-near, near // 4))) % self.words

    async def start(self) -> None:
        """Reset; banks take as long to wake up as the configuration says, and no longer."""
        dut = self.dut
        for name in ("seek__valid", "stop", "end_valid", "o__ready", "keep", "rewind", "clear"):
            dut[name].value = 0
        for name in ("wake_mark", "may_sleep", "hold", "broken", "bad_valid"):
            dut[name].value = 0
        dut.wakeup.value = self.config["wakeup"]
        await start(dut)

    async def cycle(
        self,
        *,
        seek: int | None = None,
        ready: bool = False,
        keep: bool = False,
        rewind: bool = False,
        stop: bool = False,
        clear: bool = False,
    ) -> bool:
        """Apply the inputs for one cycle, check the outputs; return whether a word moved."""
        dut = self.dut
        dut.seek__valid.value = seek is not None
        dut.seek__payload.value = seek or 0
        dut.o__ready.value = ready
        dut.keep.value = keep
        dut.rewind.value = rewind
        dut.stop.value = stop
        dut.clear.value = clear
        await RisingEdge(dut.clk)

        assert dut.seek__ready.value == 1
        valid = dut.o__valid.value == 1
        assert self.flowing or not valid
        if self.flowing:
            assert dut.address.value.to_unsigned() == self.read
        if valid:
            assert dut.o__payload.value.to_unsigned() == self.word(self.read), f"at {self.read}"
            assert not dut.bad_valid.value or self.read != dut.bad.value.to_unsigned()
        moved = valid and ready
        if moved:
            self.read = (self.read + 1) % self.words
            if not keep:
                self.base = self.read
        if rewind:
            self.read = self.base
        if seek is not None:
            self.base = self.read = seek
            self.flowing = True
        return moved

    async def cycles(self, count: int, **inputs) -> int:
        """Repeat `cycle`; return how many words moved."""
        return sum([await self.cycle(**inputs) for _ in range(count)])

    async def take(self, count: int, **inputs) -> int:
        """Take ``count`` words at full speed; return the cycles that it took."""
        cycles = 0
        while count > 0:
            count -= await self.cycle(ready=True, **inputs)
            cycles += 1
        return cycles

    def reads(self) -> int:
        """Value of the counter, as of the last edge."""
        return self.dut.reads.value.to_unsigned()


@dataclass
class Episode:
    """Probabilities of the consumer's actions in a cycle, constant for a while."""

    ready: float
    keep: float
    rewind: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Episode":
        """A consumer that is slow or fast, keeps much or little, rewinds often or rarely."""
        return cls(
            ready=float(rng.choice([0.1, 0.5, 0.9, 1.0])),
            keep=float(rng.choice([0.0, 0.5, 0.99, 1.0])),
            rewind=float(rng.choice([0.0, 0.01, 0.2])),
        )


class Surroundings:
    """What happens to a stream without the consumer's doing: the MRAM's times and errors, gating.

    ``wrong`` is the address of the first word of the current stream that cannot be read.
    """

    def __init__(self, bench: Bench):
        self.bench, self.rng = bench, bench.rng
        self.wrong: int | None = None
        self.kind = ReadError.NONE
        self.sleep = 0.0

    def draw(self) -> None:
        """Another policy, mark and wake-up time."""
        dut, rng = self.bench.dut, self.rng
        self.sleep = float(rng.choice([0.0, 0.02, 1.0]))  # never, a pulse now and then, always
        dut.wake_mark.value = int(rng.choice([0, 1, int(rng.integers(128))]))
        dut.wakeup.value = int(2 ** rng.uniform(0, 7)) - 1

    def seek(self, address: int) -> None:
        """Errors ahead of a new stream, or none."""
        bench, dut, rng = self.bench, self.bench.dut, self.rng
        self.wrong, self.kind = None, ReadError.NONE
        ahead = int(2 ** rng.uniform(0, np.log2(2 * bench.config["capacity"]))) - 1
        bad = rng.random() < ERROR_PROBABILITY
        # The youngest read of the stream that this one leaves, if it is ahead in this one, too.
        left = (dut.mram__address.value.to_unsigned() - 1 - address) % bench.words
        if rng.random() < ERROR_PROBABILITY and left < bench.words // 2:
            bad, ahead = True, left
        dut.bad_valid.value = bad
        if bad:
            self.wrong, self.kind = (address + ahead) % bench.words, ReadError.UNCORRECTABLE
            dut.bad.value = self.wrong
        broken = rng.random() < ERROR_PROBABILITY / 2
        bank = (address // bench.bank + int(rng.integers(2))) % (bench.words // bench.bank)
        dut.broken.value = broken << bank
        if broken:
            first = address if bank == address // bench.bank else bank * bench.bank
            distance = (first - address) % bench.words
            if not bad or distance <= ahead:
                self.wrong, self.kind = first, ReadError.NO_WAKE

    def cycle(self) -> None:
        """Draw the inputs of one cycle."""
        dut, chance = self.bench.dut, self.rng.random(2)
        dut.may_sleep.value = bool(chance[0] < self.sleep)
        dut.hold.value = bool(chance[1] < HOLD_PROBABILITY)

    def check(self, since_seek: int) -> bool:
        """Whether the stream has failed; if it has, as it should."""
        dut, bench = self.bench.dut, self.bench
        failed = dut.failed.value == 1 and since_seek > 0
        if failed:
            assert dut.error_address.value.to_unsigned() == self.wrong
            assert dut.error_kind.value.to_unsigned() == self.kind.value
            assert dut.mram__enable.value == 0
        if self.wrong is not None and bench.flowing and since_seek > 0:
            left = (self.wrong - bench.read) % bench.words
            assert left <= bench.words // 2, "a word behind one that cannot be read"
        return failed
