"""Activation memory: four single-port banks, read by row, written one word at a time.

A write changes the bytes of its word that its mask names.
"""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.config import ACT_BANKS, ChipConfig
from hdl.engine.drain import BankWrite
from hdl.engine.fetch import BankRead

__all__ = ["ActivationMemory", "HostPort"]


class HostPort(wiring.Signature):
    """Access to one word, for whoever fills inputs and takes outputs while the engine rests."""

    def __init__(self, config: ChipConfig):
        super().__init__(
            {
                "enable": Out(1),
                "write": Out(1),
                "bank": Out(2),
                "address": Out(config.bank_address_bits),
                "data": Out(8 * config.rows),
                "q": In(8 * config.rows),
            }
        )


class ActivationMemory(wiring.Component):
    """Four banks with one port each.  A read always wins; a write waits until its bank is free.

    Members
    -------
    reads : array of In(BankRead)
        One read port a bank; data in the next cycle, held until the next read.
    write : In(BankWrite)
        Accepted when its bank is not being read.
    host : In(HostPort)
        Whole words, only while neither of the others is active.
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        super().__init__(
            {
                "reads": In(BankRead(config)).array(ACT_BANKS),
                "write": In(BankWrite(config)),
                "host": In(HostPort(config)),
            }
        )

    def elaborate(self, platform):
        """Build the banks and the arbitration."""
        m = Module()
        config, host = self.config, self.host
        word = self.write.word
        host_bank = Signal(2)
        with m.If(host.enable):
            m.d.sync += host_bank.eq(host.bank)
        for b, read in enumerate(self.reads):
            bank = Memory(shape=8 * config.rows, depth=config.bank_words, init=[])
            m.submodules[f"bank_{b}"] = bank
            # One address, and enables that visibly exclude each other: synthesis finds a single
            # port, and adds no registers for a read and a write in one cycle.
            reader, writer = bank.read_port(), bank.write_port(granularity=8)
            of_host = Signal(name=f"host_{b}")
            address = Signal(config.bank_address_bits, name=f"address_{b}")
            m.d.comb += [
                of_host.eq(host.enable & (host.bank == b)),
                reader.en.eq(read.enable | (of_host & ~host.write)),
                address.eq(Mux(read.enable, read.address, word.p.address)),
                reader.addr.eq(address),
                writer.addr.eq(address),
                read.data.eq(reader.data),
                writer.data.eq(word.p.data),
            ]
            with m.If(of_host):
                m.d.comb += [
                    address.eq(host.address),
                    writer.data.eq(host.data),
                    writer.en.eq((host.write & ~read.enable).replicate(config.rows)),
                ]
            with m.Elif(word.valid & (word.p.bank == b)):
                m.d.comb += [
                    writer.en.eq(word.p.mask & (~read.enable).replicate(config.rows)),
                    word.ready.eq(~read.enable),
                ]
            with m.If(host_bank == b):
                m.d.comb += host.q.eq(reader.data)
            m.d.sync += Assert(~(reader.en & writer.en.any()), "two accesses to a single-port bank")
        engine = word.valid | Cat(read.enable for read in self.reads).any()
        m.d.sync += Assert(~(host.enable & engine), "host access while the engine uses the memory")
        return m
