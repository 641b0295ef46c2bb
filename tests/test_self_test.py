# amaranth: UnusedElaboratable=no

"""The self-test: its backgrounds, its bench, and the proof that it ends."""

from dataclasses import replace
from itertools import combinations

import pytest
from amaranth.hdl import Array, Assert, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.config import SMALL
from hdl.mram.self_test import BACKGROUNDS, MARCH, SelfTest, background
from hdl.mram.signals import MRAM_CODE_BITS, WordOperation, WordStatus
from verif.formal import prove
from verif.sim import simulate

TINY = replace(SMALL, mram_kib=2)
"""8 banks of 16 words."""


def test_any_two_bits_differ_in_a_background():
    rows = [
        tuple(background(k) >> bit & 1 for k in range(BACKGROUNDS)) for bit in range(MRAM_CODE_BITS)
    ]
    assert all(one != other for one, other in combinations(rows, 2))
    assert background(0) == 0
    assert background(1) == int("10" * (MRAM_CODE_BITS // 2), 2)


def test_operations_a_word():
    assert sum(len(operations) for _, *operations in MARCH) == 10


@pytest.mark.sim
def test_self_test():
    simulate(
        SelfTest(TINY),
        bench="verif.tb_self_test",
        name="self_test_tiny",
        parameters={"bank_words": TINY.mram_bank_words},
    )


class WatchedSelfTest(wiring.Component):
    """A self-test, and a port that takes and ends its requests whenever it likes."""

    def __init__(self, config):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "bank": In(range(config.mram_banks)),
                "background": In(range(BACKGROUNDS)),
                "taken": In(1),
                "ended": In(1),
                "status": In(WordStatus),
                "data": In(MRAM_CODE_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.test = test = SelfTest(config)
        word, request = test.word, test.word.request
        in_work, waits, started = Signal(), Signal(), Signal()
        payload = Signal.like(request.payload.as_value())
        m.d.comb += [
            test.start.eq(self.start),
            test.bank.eq(self.bank),
            test.background.eq(self.background),
            request.ready.eq(self.taken & ~in_work),
            word.done.eq(self.ended & in_work),
            word.status.eq(self.status),
            word.data.eq(self.data),
        ]
        m.d.sync += [
            started.eq(1),
            waits.eq(request.valid & ~request.ready),
            payload.eq(request.payload),
        ]
        with m.If(request.valid & request.ready):
            m.d.sync += in_work.eq(1)
        with m.Elif(word.done):
            m.d.sync += in_work.eq(0)

        # Which operation this is, counted from the start, follows from the place: so the number
        # that have ended rises with each, none is left out, and there are no more than ten a word.
        words = config.mram_bank_words
        lengths = [len(operations) for _, *operations in MARCH]
        before = Array(sum(lengths[:element]) * words for element in range(8))[test.element]
        length = Array([*lengths, 0, 0])[test.element]
        down = Array([order == "down" for order, *_ in MARCH] + [False] * 2)[test.element]
        step = Mux(down, words - 1 - test.offset, test.offset)
        number = before + step * length + test.second
        writes = request.p.operation == WordOperation.WRITE_CODE
        expected = [op for _, *ops in MARCH for op in (ops * 2)[:2]] + ["r0"] * 4
        m.d.sync += [
            Assert(~started | ~waits | request.valid, "a request was withdrawn"),
            Assert(~waits | (payload == request.payload.as_value()), "a request has changed"),
            Assert(~in_work | ~request.valid, "two requests at once"),
            Assert(test.busy == (request.valid | in_work), "waits for nothing"),
            Assert(test.busy == word.hold, "the bank is not held"),
            Assert(~test.busy | (test.operations == number), "an operation was left out"),
            Assert(test.operations <= 10 * words, "does not end"),
            Assert(~test.passed | (test.operations == 10 * words), "passed without all operations"),
            Assert(
                ~request.valid
                | (
                    writes == Array(op[0] == "w" for op in expected)[test.element * 2 + test.second]
                ),
                "another operation than March C- has",
            ),
        ]
        return m


@pytest.mark.formal
def test_self_test_ends():
    config = replace(SMALL, mram_kib=1, mram_banks=16)
    assert config.mram_bank_words == 4
    prove(WatchedSelfTest(config), name="self_test")
