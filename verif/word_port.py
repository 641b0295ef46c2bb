"""The other side of a `hdl.mram.signals.WordPort` in a cocotb bench."""

from collections.abc import Callable

import numpy as np

from hdl.mram.signals import MRAM_CODE_BITS, WordOperation, WordStatus

__all__ = ["Request", "WordServer"]

OPERATION_BITS = 2

Request = tuple[WordOperation, int, int]
"""Operation, address, data."""


class WordServer:
    """Takes the requests of a port ``word`` at random times, and ends them after random times.

    Checks the rules of the port: an offered request stays as it is until it is taken, and none is
    offered before the last one has ended.

    Parameters
    ----------
    dut
        The design, with a port ``word``.
    answer : callable
        From a request that ends to its status and data.
    rng : numpy.random.Generator
        Draws the times.
    longest : int
        The most cycles between an offer and its being taken, and between that and its end: drawn
        log-uniformly.
    """

    def __init__(
        self,
        dut,
        answer: Callable[[Request], tuple[WordStatus, int]],
        rng: np.random.Generator,
        *,
        longest: int = 8,
    ):
        self.dut, self.answer, self.rng, self.longest = dut, answer, rng, longest
        self.address_bits = len(dut.word__request__payload) - OPERATION_BITS - 144
        self.address_bits = len(dut.word__request__payload) - OPERATION_BITS - MRAM_CODE_BITS
        self.ready = False
        self.done = False
        self.hold = False
        self.stall = self.work = 0
        self.offered: Request | None = None
        self.in_work: Request | None = None
        dut.word__request__ready.value = 0
        self.end(False)

    def end(self, done: bool, status: WordStatus = WordStatus.OK, data: int = 0) -> None:
        """Drive ``done`` and what goes with it; without, the values mean nothing."""
        if not done:
            status = list(WordStatus)[int(self.rng.integers(len(WordStatus)))]
            data = int.from_bytes(self.rng.bytes(MRAM_CODE_BITS // 8), "little")
        self.done = done
        self.dut.word__done.value = done
        self.dut.word__status.value = status.value
        self.dut.word__data.value = data

    def sample_offer(self) -> Request | None:
        """The request on offer in this cycle."""
        if not self.dut.word__request__valid.value:
            return None
        payload = self.dut.word__request__payload.value.to_unsigned()
        operation = WordOperation(payload & 3)
        payload >>= OPERATION_BITS
        return operation, payload & ((1 << self.address_bits) - 1), payload >> self.address_bits

    def draw(self) -> int:
        """Cycles."""
        return int(2 ** self.rng.uniform(0, np.log2(self.longest + 1))) - 1

    def step(self) -> Request | None:
        """At the end of each cycle: sample, and drive the next one; what was taken, if any was."""
        self.hold = bool(self.dut.word__hold.value)
        offer, taken = self.sample_offer(), None
        if self.in_work is not None:
            assert offer is None, f"{offer} is offered while {self.in_work} is in work"
            if self.done:
                self.in_work, self.stall = None, self.draw()
                self.end(False)
            elif self.work == 0:
                self.end(True, *self.answer(self.in_work))
            self.work -= 1
        else:
            assert self.offered in (None, offer), f"{self.offered} became {offer}"
            self.offered = offer
            self.stall = max(0, self.stall - 1)
            if offer is not None and self.ready:
                taken = self.in_work = offer
                self.offered, self.work = None, self.draw()
        self.ready = self.in_work is None and self.stall == 0
        self.dut.word__request__ready.value = self.ready
        return taken
