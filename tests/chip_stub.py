"""A component with the ports of the chip and a program format small enough to read here.

A program word: bits 0..15 cycles of the job, bit 16 last job, bit 17 report an error, bit 18 fail
an assertion.  Each job also adds one to the first byte of word 0 of bank 0 of activation memory.
"""

from amaranth.hdl import Assert, Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.config import ACT_BANKS, ChipConfig

__all__ = ["ChipStub", "job"]

FETCH_CYCLES = 3
"""Cycles of a job besides those that its word asks for."""


def job(cycles: int, *, last: bool = False, error: bool = False, fail: bool = False) -> int:
    """A program word."""
    return cycles | last << 16 | error << 17 | fail << 18


class ChipStub(wiring.Component):
    """See the module."""

    def __init__(self, config: ChipConfig):
        self.config = config
        address, row = config.bank_address_bits, 8 * config.rows
        host = wiring.Signature(
            {
                "enable": Out(1), "write": Out(1), "bank": Out(2), "address": Out(address),
                "data": Out(row), "q": In(row),
            }
        )  # fmt: skip
        mram_write = wiring.Signature(
            {"enable": Out(1), "address": Out(config.mram_address_bits), "data": Out(128)}
        )
        super().__init__(
            {
                "start": In(1),
                "program": In(unsigned(config.mram_address_bits)),
                "busy": Out(1),
                "layer_done": Out(1),
                "error": Out(1),
                "host": In(host),
                "mram_write": In(mram_write),
                "mram_reads": Out(32),
                "mram_active": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        host = self.host
        m.submodules.mram = mram = Memory(shape=128, depth=self.config.mram_words, init=[])
        mram_write, mram_read = mram.write_port(), mram.read_port()
        m.d.comb += [
            mram_write.en.eq(self.mram_write.enable),
            mram_write.addr.eq(self.mram_write.address),
            mram_write.data.eq(self.mram_write.data),
        ]

        address = Signal(self.config.mram_address_bits)
        left = Signal(16)
        word = mram_read.data
        writes = []
        bank_select = Signal(2)
        with m.If(host.enable):
            m.d.sync += bank_select.eq(host.bank)
        count = Signal(8)
        for index in range(ACT_BANKS):
            bank = Memory(shape=8 * self.config.rows, depth=self.config.bank_words, init=[])
            m.submodules[f"bank_{index}"] = bank
            write, read = bank.write_port(), bank.read_port()
            selected = host.enable & (host.bank == index)
            m.d.comb += [
                read.addr.eq(host.address),
                read.en.eq(selected & ~host.write),
                write.addr.eq(host.address),
                write.data.eq(host.data),
                write.en.eq(selected & host.write),
            ]
            with m.If(bank_select == index):
                m.d.comb += host.q.eq(read.data)
            writes.append(write)

        m.d.comb += mram_read.addr.eq(address)
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.start):
                    m.d.sync += [self.busy.eq(1), address.eq(self.program), self.mram_reads.eq(0)]
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.comb += self.mram_active.eq(1)
                m.d.sync += self.mram_reads.eq(self.mram_reads + 1)
                m.next = "DECODE"
            with m.State("DECODE"):
                m.d.sync += left.eq(word[:16])
                m.next = "WORK"
            with m.State("WORK"):
                m.d.sync += left.eq(left - 1)
                m.d.comb += [
                    self.error.eq(word[17] & (left == 1)),
                    Assert(~(word[18] & (left == 1)), "told to fail"),
                ]
                with m.If(left == 0):
                    m.d.comb += [
                        self.layer_done.eq(1),
                        writes[0].en.eq(1),
                        writes[0].addr.eq(0),
                        writes[0].data.eq(count + 1),
                    ]
                    m.d.sync += [count.eq(count + 1), address.eq(address + 1)]
                    with m.If(word[16]):
                        m.d.sync += self.busy.eq(0)
                        m.next = "IDLE"
                    with m.Else():
                        m.next = "FETCH"
        return m
