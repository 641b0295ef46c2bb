"""Behavioural model of the MRAM macro: what a foundry's memory compiler would deliver."""

from amaranth.hdl import Assert, Cat, Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.config import MRAM_WORD_BYTES, ChipConfig

__all__ = ["MRAM_WORD_BITS", "MramMacro", "MramReadSignature", "MramWriteSignature"]

MRAM_WORD_BITS = 8 * MRAM_WORD_BYTES


class MramReadSignature(wiring.Signature):
    """Reading, seen from the side that asks.

    Members
    -------
    power : Out(1)
        Keep the macro awake.  Must stay high until all reads in flight have returned.
    ready : In(1)
        The macro is awake and takes reads.
    enable : Out(1)
        Read this cycle; only while ``ready``.
    address : Out(config.mram_address_bits)
        Word address.
    data : In(128)
        The word, while ``valid``.
    valid : In(1)
        ``config.mram_latency`` cycles after ``enable``.
    """

    def __init__(self, config: ChipConfig):
        super().__init__(
            {
                "power": Out(1),
                "ready": In(1),
                "enable": Out(1),
                "address": Out(config.mram_address_bits),
                "data": In(MRAM_WORD_BITS),
                "valid": In(1),
            }
        )


class MramWriteSignature(wiring.Signature):
    """Programming, seen from the side that writes: one word a cycle, powered or not.

    Members
    -------
    enable : Out(1)
        Write this cycle.
    address : Out(config.mram_address_bits)
        Word address.
    data : Out(128)
        The word.
    """

    def __init__(self, config: ChipConfig):
        super().__init__(
            {
                "enable": Out(1),
                "address": Out(config.mram_address_bits),
                "data": Out(MRAM_WORD_BITS),
            }
        )


class MramMacro(wiring.Component):
    """Non-volatile memory of ``config.mram_words`` words of 128 bits that sleeps when not needed.

    Reads are fully pipelined, one a cycle, each with a latency of ``config.mram_latency`` cycles.
    The contents survive without power.

    Parameters
    ----------
    config : ChipConfig
        Capacity, ``mram_latency`` and ``mram_wakeup`` (core cycles).

    Members
    -------
    read : In(MramReadSignature(config))
        ``ready`` rises ``config.mram_wakeup`` cycles after ``power``, and falls with it.
    write : In(MramWriteSignature(config))
        Must not write a word that is being read.
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        super().__init__(
            {"read": In(MramReadSignature(config)), "write": In(MramWriteSignature(config))}
        )

    def elaborate(self, platform):
        """Build the array, its delay and the wake-up counter."""
        m = Module()
        config = self.config

        m.submodules.array = array = Memory(
            shape=unsigned(MRAM_WORD_BITS), depth=config.mram_words, init=[]
        )
        write_port, read_port = array.write_port(), array.read_port()
        m.d.comb += [
            write_port.en.eq(self.write.enable),
            write_port.addr.eq(self.write.address),
            write_port.data.eq(self.write.data),
        ]

        awake_cycles = Signal(range(config.mram_wakeup + 1))
        awake = awake_cycles == config.mram_wakeup
        with m.If(~self.read.power):
            m.d.sync += awake_cycles.eq(0)
        with m.Elif(~awake):
            m.d.sync += awake_cycles.eq(awake_cycles + 1)
        m.d.comb += self.read.ready.eq(self.read.power & awake)

        # The delay is on the address and not on the data: the same behaviour, fewer flip-flops.
        enable, address = self.read.enable, self.read.address
        pending = []
        for stage in range(config.mram_latency - 1):
            enable_delayed = Signal(name=f"enable_{stage}")
            address_delayed = Signal(config.mram_address_bits, name=f"address_{stage}")
            m.d.sync += [enable_delayed.eq(enable), address_delayed.eq(address)]
            enable, address = enable_delayed, address_delayed
            pending.append(enable)
        m.d.comb += [
            read_port.en.eq(enable),
            read_port.addr.eq(address),
            self.read.data.eq(read_port.data),
        ]
        m.d.sync += self.read.valid.eq(enable)

        # Clocked: settled values, not those in the middle of a simulator's delta cycles.
        m.d.sync += [
            Assert(~self.read.enable | self.read.ready, "read from a sleeping MRAM"),
            Assert(
                self.read.power | ~Cat(*pending, self.read.valid).any(),
                "MRAM power removed before a read returned",
            ),
        ]
        return m
