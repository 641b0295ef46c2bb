# amaranth: UnusedElaboratable=no

"""Proofs of the MRAM controller: arbitration, retries, and that every request ends."""

from dataclasses import replace

import pytest
from amaranth.hdl import Assert, Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import SMALL
from hdl.mram.controller import MramController
from hdl.mram.signals import MRAM_CODE_BITS, MRAM_WORD_BITS
from verif.formal import prove

TINY = replace(SMALL, mram_kib=1, mram_banks=2, mram_write_cycles=2, mram_latency=2)
PORTS = 2
PATIENCE = 3
LONGEST_WAKE = 2
"""Cycles in which a bank is ready, or has failed."""
RETRIES = 1
DATA_BITS = 3


def longest(config):
    """Cycles from a request's being taken to its end."""
    wait = max(LONGEST_WAKE + 1, PATIENCE) + config.mram_latency + 1
    pulse = 1 + config.mram_write_cycles
    verify = config.mram_latency + 1
    return wait + (1 + RETRIES) * (pulse + verify) + 1


class FreeMram(wiring.Component):
    """A controller; stream, ports and banks do anything that their contracts allow."""

    def __init__(self, config):
        self.config = config
        super().__init__(
            {
                "wake": In(1),
                "wake_next": In(1),
                "want": In(1),
                "address": In(config.mram_address_bits),
                "offer": In(PORTS),
                "hold": In(PORTS),
                "payloads": In(2 + config.mram_address_bits + DATA_BITS).array(PORTS),
                "protect": In(config.mram_banks),
                "wakes": In(config.mram_banks),
                "fails": In(config.mram_banks),
                "q": In(DATA_BITS).array(config.mram_banks),
                "clear": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.controller = controller = MramController(
            config, ports=PORTS, patience=PATIENCE, max_retries=RETRIES
        )
        m.d.comb += [controller.protect.eq(self.protect), controller.clear.eq(self.clear)]
        self.drive_stream(m, controller.stream)
        for bank in range(config.mram_banks):
            self.drive_bank(m, controller.banks[bank], bank)
        taken = Signal(PORTS)
        done = Cat(word.done for word in controller.words)
        for port in range(PORTS):
            self.drive_port(m, controller.words[port], port)
            word = controller.words[port]
            m.d.comb += taken[port].eq(word.request.valid & word.request.ready)

        in_work, waited = Signal(PORTS), Signal(range(longest(config) + 2))
        m.d.sync += in_work.eq((in_work | taken) & ~done)
        with m.If(~in_work.any() | done.any()):
            m.d.sync += waited.eq(0)
        with m.Elif(waited <= longest(config)):
            m.d.sync += waited.eq(waited + 1)
        m.d.sync += [
            Assert(~(taken & in_work).any(), "taken twice"),
            Assert(~(done & ~in_work).any(), "ended without a request"),
            Assert(~in_work.all(), "two at once"),
            Assert(waited < longest(config), "a request does not end"),
        ]
        return m

    def drive_stream(self, m, stream):
        in_flight = Signal(range(self.config.mram_latency + 1))
        m.d.sync += in_flight.eq(in_flight + stream.enable - stream.valid)
        m.d.comb += [
            stream.wake.eq(self.wake | (in_flight != 0)),
            stream.wake_next.eq(self.wake_next),
            stream.address.eq(self.address),
            stream.enable.eq(self.want & stream.ready),
        ]

    def drive_port(self, m, word, port):
        """What is on offer stays until it is taken."""
        offered = Signal(name=f"offered_{port}")
        payload = Signal(len(self.payloads[port]), name=f"payload_{port}")
        with m.If(~offered | word.request.ready):
            m.d.sync += [offered.eq(self.offer[port]), payload.eq(self.payloads[port])]
        m.d.comb += [
            word.request.valid.eq(offered),
            word.request.payload.eq(payload),
            word.hold.eq(self.hold[port]),
        ]

    def drive_bank(self, m, access, bank):
        """Ready or failed at any time up to `LONGEST_WAKE`; writes take their time."""
        settled, good = Signal(name=f"settled_{bank}"), Signal(name=f"good_{bank}")
        waited = Signal(range(LONGEST_WAKE + 1), name=f"waited_{bank}")
        left = Signal(range(self.config.mram_write_cycles + 1), name=f"left_{bank}")
        with m.If(~access.wake):
            m.d.sync += [settled.eq(0), waited.eq(0)]
        with m.Elif(~settled):
            m.d.sync += [
                settled.eq(self.wakes[bank] | (waited >= LONGEST_WAKE)),
                good.eq(~self.fails[bank]),
                waited.eq(waited + 1),
            ]
        with m.If(access.enable & access.write):
            m.d.sync += left.eq(self.config.mram_write_cycles)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        m.d.comb += [
            access.ready.eq(settled & good & access.wake),
            access.failed.eq(settled & ~good & access.wake),
            access.busy.eq(left != 0),
            access.q.eq(self.q[bank]),
        ]
        m.d.sync += Assert((left == 0) | access.wake, "a bank falls asleep while it writes")


class AnyDecoder(wiring.Component):
    """In place of the code, about which nothing is proved here: each outcome may come."""

    code: In(MRAM_CODE_BITS)
    data: Out(MRAM_WORD_BITS)
    corrected: Out(2)
    error: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [self.error.eq(self.code[0]), self.corrected.eq(self.code[1:3])]
        return m


@pytest.fixture
def without_data(monkeypatch):
    """Narrow words and counters: the solver would spend its time on them."""
    monkeypatch.setattr("hdl.mram.word_unit.MRAM_CODE_BITS", DATA_BITS)
    monkeypatch.setattr("hdl.mram.word_unit.encode", lambda word: word)
    monkeypatch.setattr("hdl.mram.word_unit.Decoder", AnyDecoder)
    monkeypatch.setattr("hdl.mram.controller.Decoder", AnyDecoder)
    monkeypatch.setattr("hdl.mram.controller.COUNTER_BITS", 2)


@pytest.mark.formal
@pytest.mark.usefixtures("without_data")
@pytest.mark.parametrize("latency", [2, 3])
def test_every_request_ends_and_no_bank_is_misused(latency):
    config = replace(TINY, mram_latency=latency)
    prove(FreeMram(config), name=f"free_mram_{latency}", max_steps=40)
