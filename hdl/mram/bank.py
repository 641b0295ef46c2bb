"""Behavioural model of one MRAM bank: what a foundry's memory compiler would deliver."""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In

from hdl.config import ChipConfig
from hdl.mram.secded import BLANK
from hdl.mram.signals import MRAM_CODE_BITS, BankMacro

__all__ = ["HALF_WRITTEN", "MramBank"]

HALF_WRITTEN = int.from_bytes(b"\x3c" * (MRAM_CODE_BITS // 8), "little")
"""Bits that are still wrong while a write is in progress, and stay so if the supply goes."""


class MramBank(wiring.Component):
    """Non-volatile memory of ``config.mram_bank_words`` words of 144 bits; ideal cells.

    Reads are fully pipelined, one a cycle.  A write takes ``config.mram_write_cycles``, in which
    nothing else can be done.  Contents survive reset and the loss of the supply; a word that is
    being written then is left half written, `HALF_WRITTEN`.  A new bank holds zeros with their
    check bits.

    Parameters
    ----------
    config : ChipConfig
        Sizes, ``mram_latency``, ``mram_wakeup`` and ``mram_write_cycles``.

    Members
    -------
    port : In(BankMacro(config))
        ``q`` is 0, which is no code word, in cycles without a result.
    factory_enable, factory_address, factory_data : In
        Put a code word into the cells, with or without supply; see
        `hdl.mram.signals.FactoryWrite`.  Not while a write is in progress.
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        super().__init__(
            {
                "port": In(BankMacro(config)),
                "factory_enable": In(1),
                "factory_address": In(config.mram_bank_address_bits),
                "factory_data": In(MRAM_CODE_BITS),
            }
        )

    def elaborate(self, platform):
        """Build the cells, the pipeline of reads, the write and the wake-up."""
        m = Module()
        config, port = self.config, self.port

        # A macro has no reset: its state hangs on the supply alone.
        awake_cycles = Signal(range(config.mram_wakeup + 1), reset_less=True)
        awake = awake_cycles == config.mram_wakeup
        with m.If(~port.supply):
            m.d.sync += awake_cycles.eq(0)
        with m.Elif(~awake):
            m.d.sync += awake_cycles.eq(awake_cycles + 1)
        m.d.comb += port.awake.eq(port.supply & awake)

        # Cells are held relative to BLANK, so that a memory of zeros is a new bank.
        m.submodules.cells = cells = Memory(
            shape=unsigned(MRAM_CODE_BITS), depth=config.mram_bank_words, init=[]
        )
        write_port, read_port = cells.write_port(), cells.read_port()

        write_left = Signal(range(config.mram_write_cycles + 1), reset_less=True)
        address = Signal(config.mram_bank_address_bits, reset_less=True)
        data = Signal(MRAM_CODE_BITS, reset_less=True)
        begin, writing = port.enable & port.write, write_left != 0
        m.d.comb += port.busy.eq(writing)
        with m.If(~port.supply):
            m.d.sync += write_left.eq(0)
        with m.Elif(begin):
            m.d.sync += [
                write_left.eq(config.mram_write_cycles),
                address.eq(port.address),
                data.eq(port.data),
            ]
        with m.Elif(writing):
            m.d.sync += write_left.eq(write_left - 1)
        with m.If(self.factory_enable):
            m.d.comb += [
                write_port.en.eq(1),
                write_port.addr.eq(self.factory_address),
                write_port.data.eq(self.factory_data ^ BLANK),
            ]
        with m.Else():
            # Half of it in the first cycle; all of it in the last, if it comes.
            m.d.comb += [
                write_port.en.eq(port.supply & (begin | (write_left == 1))),
                write_port.addr.eq(Mux(begin, port.address, address)),
                write_port.data.eq(Mux(begin, port.data ^ HALF_WRITTEN, data) ^ BLANK),
            ]

        pending = Signal(reset_less=True)
        m.d.comb += [
            read_port.en.eq(port.enable & ~port.write),
            read_port.addr.eq(port.address),
        ]
        m.d.sync += pending.eq(read_port.en)
        in_flight, q = [pending], Mux(pending, read_port.data ^ BLANK, 0)
        for stage in range(config.mram_latency - 2):
            pending_delayed = Signal(name=f"pending_{stage}", reset_less=True)
            q_delayed = Signal(MRAM_CODE_BITS, name=f"q_{stage}", reset_less=True)
            m.d.sync += [pending_delayed.eq(in_flight[-1]), q_delayed.eq(q)]
            in_flight.append(pending_delayed)
            q = q_delayed
        m.d.comb += port.q.eq(q)

        # A reset of the chip opens the switches at once: nobody waits for what was being read.
        abandoned = Signal(init=1)
        reading = Cat(*in_flight).any()
        with m.If(~reading):
            m.d.sync += abandoned.eq(0)

        # Clocked: settled values, not those in the middle of a simulator's delta cycles.
        m.d.sync += [
            Assert(~port.enable | port.awake, "access to a sleeping MRAM bank"),
            Assert(~port.enable | ~writing, "access to an MRAM bank that is writing"),
            Assert(port.supply | ~reading | abandoned, "MRAM supply lost with a read in flight"),
            Assert(~self.factory_enable | ~writing, "factory write while the MRAM bank writes"),
        ]
        return m
