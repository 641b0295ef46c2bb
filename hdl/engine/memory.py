"""Activation memory: four single-port banks, read by row, written one word at a time.

A write changes the bytes of its word that its mask names.
"""

from collections.abc import Callable

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import ceil_log2, exact_log2

from hdl.config import ACT_BANKS, ChipConfig
from hdl.engine.fetch import BankRead
from hdl.engine.writer import BankWrite

__all__ = ["ActivationMemory", "ActivationSegment", "HostPort"]


class HostPort(wiring.Signature):
    """Access to one word, for whoever fills inputs and takes outputs while the engine rests.

    Members
    -------
    open : Out(1)
        The host wants access: the segments that it may use are to be on.
    ready : In(1)
        They are, and the engine rests.
    enable : Out(1)
        Access this cycle; only while ``ready``.
    write : Out(1)
        Write the whole word and do not read.
    bank, address : Out
        Which word.
    data : Out(8 * rows)
        What to write.
    q : In(8 * rows)
        What was read, from the next cycle to the next access.
    """

    def __init__(self, config: ChipConfig):
        super().__init__(
            {
                "open": Out(1),
                "ready": In(1),
                "enable": Out(1),
                "write": Out(1),
                "bank": Out(2),
                "address": Out(config.bank_address_bits),
                "data": Out(8 * config.rows),
                "q": In(8 * config.rows),
            }
        )


class SegmentPort(wiring.Signature):
    """One access to a single-port memory of ``words`` words.

    Members
    -------
    read : Out(1)
        Read this cycle.
    write : Out(rows)
        Bytes to write, a bit each; not with ``read``.
    address : Out
        Word.
    data : Out(8 * rows)
        What to write.
    q : In(8 * rows)
        What was read last.
    """

    def __init__(self, words: int, rows: int):
        super().__init__(
            {
                "read": Out(1),
                "write": Out(rows),
                "address": Out(ceil_log2(words)),
                "data": Out(8 * rows),
                "q": In(8 * rows),
            }
        )


class ActivationSegment(wiring.Component):
    """What is switched on and off together: the same addresses of all four banks, bare memories.

    Members
    -------
    banks : array of In(SegmentPort)
        One port a bank.
    """

    def __init__(self, words: int, rows: int):
        self.words, self.rows = words, rows
        super().__init__({"banks": In(SegmentPort(words, rows)).array(ACT_BANKS)})

    def elaborate(self, platform):
        """Build the memories."""
        m = Module()
        for b, port in enumerate(self.banks):
            bank = Memory(shape=8 * self.rows, depth=self.words, init=[])
            m.submodules[f"bank_{b}"] = bank
            # One address, and enables that visibly exclude each other: synthesis finds a single
            # port, and adds no registers for a read and a write in one cycle.
            reader, writer = bank.read_port(), bank.write_port(granularity=8)
            m.d.comb += [
                reader.en.eq(port.read),
                reader.addr.eq(port.address),
                port.q.eq(reader.data),
                writer.en.eq(port.write),
                writer.addr.eq(port.address),
                writer.data.eq(port.data),
            ]
            m.d.sync += Assert(~(port.read & port.write.any()), "two accesses to one port")
        return m


class ActivationMemory(wiring.Component):
    """Four banks with one port each.  A read always wins; a write waits until its bank is free.

    The addresses of all banks are cut into ``config.activation_segments`` segments, each an
    `ActivationSegment` of up to ``config.segment_words`` words a bank.

    Parameters
    ----------
    config : ChipConfig
        Sizes.
    island : callable, optional
        Puts segment ``k`` into a power domain: takes ``k`` and the `ActivationSegment`, returns a
        component with its ports.

    Members
    -------
    reads : array of In(BankRead)
        One read port a bank; data in the next cycle, held until the next read.
    write : In(BankWrite)
        Accepted when its bank is not being read.
    host : In(HostPort)
        Whole words, only while neither of the others is active.
    host_ready : In(1)
        Becomes ``host.ready``.
    on : In(config.activation_segments)
        Segments that can be used; an access to another one is an error.
    """

    def __init__(
        self,
        config: ChipConfig,
        *,
        island: Callable[[int, ActivationSegment], Component] = lambda _, segment: segment,
    ):
        self.config = config
        super().__init__(
            {
                "reads": In(BankRead(config)).array(ACT_BANKS),
                "write": In(BankWrite(config)),
                "host": In(HostPort(config)),
                "host_ready": In(1),
                "on": In(config.activation_segments),
            }
        )
        size, words = config.segment_words, config.bank_words
        self.segments = [
            island(k, ActivationSegment(min(size, words - first), config.rows))
            for k, first in enumerate(range(0, words, size))
        ]
        """Those that there are: less than ``activation_segments`` if the rest would be empty."""

    def elaborate(self, platform):
        """Build the arbitration, and distribute accesses over the segments."""
        m = Module()
        config, host, segments = self.config, self.host, self.segments
        reads, word = self.reads, self.write.word
        for k, segment in enumerate(segments):
            m.submodules[f"segment_{k}"] = segment
        host_bank = Signal(2)
        with m.If(host.enable):
            m.d.sync += host_bank.eq(host.bank)
        m.d.comb += host.ready.eq(self.host_ready)
        for b, read in enumerate(reads):
            of_host = Signal(name=f"host_{b}")
            reading = Signal(name=f"reading_{b}")
            writing = Signal(config.rows, name=f"writing_{b}")
            address = Signal(config.bank_address_bits, name=f"address_{b}")
            data = Signal(8 * config.rows, name=f"data_{b}")
            m.d.comb += [
                of_host.eq(host.enable & (host.bank == b)),
                reading.eq(read.enable | (of_host & ~host.write)),
                address.eq(Mux(read.enable, read.address, word.p.address)),
                data.eq(word.p.data),
            ]
            with m.If(of_host):
                m.d.comb += [
                    address.eq(host.address),
                    data.eq(host.data),
                    writing.eq((host.write & ~read.enable).replicate(config.rows)),
                ]
            with m.Elif(word.valid & (word.p.bank == b)):
                m.d.comb += [
                    writing.eq(word.p.mask & (~read.enable).replicate(config.rows)),
                    word.ready.eq(~read.enable),
                ]
            selected = self.distribute(m, b, reading, writing, address, data)
            with m.If(host_bank == b):
                m.d.comb += host.q.eq(read.data)
            m.d.sync += Assert(
                ~(reading | writing.any()) | (selected & self.on).any(),
                "access to an activation segment that is not on",
            )
        engine = word.valid | Cat(read.enable for read in reads).any()
        m.d.sync += [
            Assert(~(host.enable & engine), "host access while the engine uses the memory"),
            Assert(~host.enable | host.ready, "host access while its segments are not ready"),
        ]
        return m

    def distribute(
        self, m: Module, b: int, reading: Value, writing: Value, address: Value, data: Value
    ) -> Value:
        """Do an access to bank ``b`` in the segment of its address; return that, one bit each."""
        segments = self.segments
        index = address[exact_log2(self.config.segment_words) :]
        selected = Signal(len(segments), name=f"selected_{b}")
        for k, segment in enumerate(segments):
            port = segment.banks[b]
            m.d.comb += [
                selected[k].eq(index == k),
                port.read.eq(reading & selected[k]),
                port.write.eq(writing & selected[k].replicate(self.config.rows)),
                port.address.eq(address),
                port.data.eq(data),
            ]
        read = self.reads[b]
        if len(segments) == 1:
            m.d.comb += read.data.eq(segments[0].banks[b].q)
        else:
            # The memories hold what they read; which of them read last is to be held, too.
            last = Signal(range(len(segments)), name=f"last_{b}")
            with m.If(reading):
                m.d.sync += last.eq(index)
            with m.Switch(last):
                for k, segment in enumerate(segments):
                    with m.Case(k):
                        m.d.comb += read.data.eq(segment.banks[b].q)
        return selected
