# amaranth: UnusedElaboratable=no

"""The scrubber: what it refuses, its bench, and the proof that it leaves no word out."""

from dataclasses import replace

import pytest
from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import SMALL
from hdl.mram.scrubber import Scrubber
from hdl.mram.signals import WordOperation, WordStatus
from verif.formal import prove
from verif.sim import simulate

TINY = replace(SMALL, mram_kib=2)
"""8 banks of 16 words."""


def test_rejects_empty_burst():
    with pytest.raises(ValueError, match="burst must be at least 1, not 0"):
        Scrubber(TINY, burst=0)


def test_all_registers_that_count_are_retained():
    scrubber = Scrubber(TINY)
    outputs = {
        name
        for name, member in scrubber.signature.members.items()
        if member.flow is Out and name not in ("word", "busy")
    }
    retained = {signal.name for signal in scrubber.retained}
    assert retained == outputs | {"elapsed", "left"}


@pytest.mark.sim
@pytest.mark.parametrize("burst", [1, 5])
def test_scrubber(burst):
    simulate(
        Scrubber(TINY, burst=burst),
        bench="verif.tb_scrubber",
        name=f"scrubber_{burst}",
        parameters={"bank_words": TINY.mram_bank_words, "burst": burst},
    )


class WatchedScrubber(wiring.Component):
    """A scrubber, and a port that takes and ends its requests whenever it likes."""

    def __init__(self, config):
        self.config = config
        super().__init__(
            {
                "enable": In(1),
                "idle": In(1),
                "interval": In(2),
                "taken": In(1),
                "ended": In(1),
                "status": In(WordStatus),
                "data": In(144),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.scrubber = scrubber = Scrubber(config, burst=3)
        word = scrubber.word
        request = word.request
        in_work, writes = Signal(), Signal()
        taken, done = Signal(), Signal()
        m.d.comb += [
            scrubber.enable.eq(self.enable),
            scrubber.idle.eq(self.idle),
            scrubber.interval.eq(self.interval),
            request.ready.eq(self.taken & ~in_work),
            word.done.eq(self.ended & in_work),
            word.status.eq(self.status),
            word.data.eq(self.data),
            taken.eq(request.valid & request.ready),
            done.eq(word.done),
        ]
        with m.If(taken):
            m.d.sync += [in_work.eq(1), writes.eq(request.p.operation == WordOperation.WRITE)]
        with m.If(done):
            m.d.sync += in_work.eq(0)

        # The word at the address has been read; what came back asks for a write-back.
        was_read, to_write, skipped, last = Signal(), Signal(), Signal(), Signal(7)
        repair = Signal(128)
        corrected = ~writes & (word.status == WordStatus.CORRECTED)
        m.d.sync += [last.eq(scrubber.address), skipped.eq(0), was_read.eq(0)]
        with m.If(done):
            m.d.sync += [
                was_read.eq(~corrected),
                to_write.eq(corrected),
                skipped.eq(~writes & (word.status == WordStatus.NO_WAKE)),
            ]
            with m.If(corrected):
                m.d.sync += repair.eq(word.data)

        may_begin, waits, started = Signal(), Signal(), Signal()
        payload = Signal.like(request.payload.as_value())
        m.d.sync += [
            started.eq(1),
            may_begin.eq(self.enable & self.idle),
            waits.eq(request.valid & ~request.ready),
            payload.eq(request.payload),
        ]
        new = request.valid & ~waits
        reads = request.p.operation == WordOperation.READ
        following = Mux(skipped, last | (config.mram_bank_words - 1), last) + 1
        m.d.sync += [
            Assert(~started | ~waits | request.valid, "a request was withdrawn"),
            Assert(~waits | (payload == request.payload.as_value()), "a request has changed"),
            Assert(~in_work | ~request.valid, "two requests at once"),
            Assert(~new | ~reads | may_begin, "began while not idle"),
            Assert(~request.valid | (reads != to_write), "not what has to be done"),
            Assert(~in_work | (reads != writes), "forgot what it asked for"),
            Assert(~in_work | (writes == to_write), "did not do what had to be done"),
            Assert(~to_write | (request.p.data[:128] == repair), "writes something else"),
            Assert(scrubber.busy == (request.valid | in_work), "idle with a request"),
            Assert(~to_write | request.valid | in_work, "a write-back was forgotten"),
            # Every pass covers every word: the only way on is one word, after it was read.
            Assert(
                ~started | (scrubber.address == Mux(was_read, following, last)[: len(last)]),
                "left a word out",
            ),
            Assert(~scrubber.busy | word.hold, "the bank may fall asleep"),
        ]
        return m


@pytest.mark.formal
def test_scrubber_leaves_no_word_out():
    prove(WatchedScrubber(TINY), name="scrubber")
