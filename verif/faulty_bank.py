"""An MRAM bank with faults that a bench controls; otherwise `hdl.mram.bank.MramBank`."""

# Amaranth's `m.If` is typed as a generator, not as the context manager that it is.
# pyright: reportGeneralTypeIssues=false

from amaranth.hdl import Assert, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.config import ChipConfig
from hdl.mram.secded import BLANK
from hdl.mram.signals import MRAM_CODE_BITS, BankMacro

__all__ = ["STUCK_SLOTS", "BankFaults", "FaultyBank"]

STUCK_SLOTS = 2
"""Words of a bank that can have stuck bits."""
COUNT_BITS = 8
SLOW_BITS = 16

NO_RESULT = int.from_bytes(b"\xa5" * (MRAM_CODE_BITS // 8), "little")
"""What the outputs show when no read returns: no code word, and not 0."""


class BankFaults(wiring.Signature):
    """Faults of one bank, seen from the bench.

    Members
    -------
    flip, flip_address, flip_mask : Out
        Invert these stored bits in this cycle: lost retention.  Ignored by a word whose own write
        ends in this cycle.
    stuck_mask, stuck_value, stuck_address : arrays of Out, `STUCK_SLOTS` each
        Bits that read as the value, whatever was written.
    fail, fail_count, fail_mask : Out
        The next ``fail_count`` write pulses leave these bits as they were.  Sampled with ``fail``.
    deaf : Out(1)
        Does not acknowledge its supply.
    slow : Out(16)
        Further cycles from the supply to awake.
    torn : Out(144)
        What a word is left with whose write lost its supply.
    peek_address, peek : Out, In
        Stored bits of any word, at once, and without its stuck bits.
    pulses : In(8)
        Writes that ended or were torn, modulo 256.
    """

    def __init__(self, config: ChipConfig):
        address = config.mram_bank_address_bits
        super().__init__(
            {
                "flip": Out(1),
                "flip_address": Out(address),
                "flip_mask": Out(MRAM_CODE_BITS),
                "stuck_mask": Out(MRAM_CODE_BITS).array(STUCK_SLOTS),
                "stuck_value": Out(MRAM_CODE_BITS).array(STUCK_SLOTS),
                "stuck_address": Out(address).array(STUCK_SLOTS),
                "fail": Out(1),
                "fail_count": Out(COUNT_BITS),
                "fail_mask": Out(MRAM_CODE_BITS),
                "deaf": Out(1),
                "slow": Out(SLOW_BITS),
                "torn": Out(MRAM_CODE_BITS),
                "peek_address": Out(address),
                "peek": In(MRAM_CODE_BITS),
                "pulses": In(COUNT_BITS),
            }
        )


class FaultyBank(wiring.Component):
    """Drop-in for `hdl.mram.bank.MramBank`, with the same ports, timing and misuse `Assert`s.

    All other words survive whatever happens to one.  ``q`` shows `NO_RESULT` when no read returns.

    Parameters
    ----------
    config : ChipConfig
        Sizes, ``mram_latency``, ``mram_wakeup`` and ``mram_write_cycles``.

    Members
    -------
    port, factory_enable, factory_address, factory_data
        As those of `MramBank`.
    faults : In(BankFaults(config))
        All zero: a bank without faults.
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        super().__init__(
            {
                "port": In(BankMacro(config)),
                "factory_enable": In(1),
                "factory_address": In(config.mram_bank_address_bits),
                "factory_data": In(MRAM_CODE_BITS),
                "faults": In(BankFaults(config)),
            }
        )

    def elaborate(self, platform):
        """Build the cells, the pipeline of reads, the write, the wake-up and the faults."""
        m = Module()
        config, port, faults = self.config, self.port, self.faults

        # Nothing has a reset: a macro's state hangs on its supply, and faults on the bench alone.
        awake_cycles = Signal(SLOW_BITS + 1, reset_less=True)
        awake = (awake_cycles >= config.mram_wakeup + faults.slow) & ~faults.deaf
        with m.If(~port.supply):
            m.d.sync += awake_cycles.eq(0)
        with m.Elif(~awake_cycles.all()):
            m.d.sync += awake_cycles.eq(awake_cycles + 1)
        m.d.comb += port.awake.eq(port.supply & awake)

        # Cells are held relative to BLANK, so that a memory of zeros is a new bank.
        m.submodules.cells = cells = Memory(
            shape=unsigned(MRAM_CODE_BITS), depth=config.mram_bank_words, init=[]
        )
        put, flip, get = cells.write_port(), cells.write_port(), cells.read_port(domain="comb")
        before, unflipped = cells.read_port(domain="comb"), cells.read_port(domain="comb")
        peek = cells.read_port(domain="comb")

        write_left = Signal(range(config.mram_write_cycles + 1), reset_less=True)
        address = Signal(config.mram_bank_address_bits, reset_less=True)
        data = Signal(MRAM_CODE_BITS, reset_less=True)
        failures, fail_mask = Signal(COUNT_BITS, reset_less=True), Signal.like(data)
        pulses = Signal(COUNT_BITS, reset_less=True)
        writing = write_left != 0
        ends, torn = Signal(), Signal()
        m.d.comb += [
            port.busy.eq(writing),
            torn.eq(writing & ~port.supply),
            ends.eq(torn | (write_left == 1)),
            faults.pulses.eq(pulses),
            before.addr.eq(address),
        ]
        m.d.sync += pulses.eq(pulses + ends)
        with m.If(~port.supply):
            m.d.sync += write_left.eq(0)
        with m.Elif(port.enable & port.write):
            m.d.sync += [
                write_left.eq(config.mram_write_cycles),
                address.eq(port.address),
                data.eq(port.data),
            ]
        with m.Elif(writing):
            m.d.sync += write_left.eq(write_left - 1)

        unchanged = Mux(failures != 0, fail_mask, 0)
        stored = (before.data ^ BLANK) & unchanged | data & ~unchanged
        with m.If(faults.fail):
            m.d.sync += [failures.eq(faults.fail_count), fail_mask.eq(faults.fail_mask)]
        with m.Elif(ends & (failures != 0)):
            m.d.sync += failures.eq(failures - 1)
        m.d.comb += [
            put.en.eq(ends | self.factory_enable),
            put.addr.eq(Mux(ends, address, self.factory_address)),
            put.data.eq(Mux(torn, faults.torn, Mux(ends, stored, self.factory_data)) ^ BLANK),
            unflipped.addr.eq(faults.flip_address),
            flip.addr.eq(faults.flip_address),
            flip.data.eq(unflipped.data ^ faults.flip_mask),
            flip.en.eq(faults.flip & ~(put.en & (put.addr == faults.flip_address))),
            peek.addr.eq(faults.peek_address),
            faults.peek.eq(peek.data ^ BLANK),
        ]

        # A read takes what the cells hold in the cycle of `enable`, and the faults of that cycle.
        m.d.comb += get.addr.eq(port.address)
        q = get.data ^ BLANK
        for slot in range(STUCK_SLOTS):
            mask = Mux(faults.stuck_address[slot] == port.address, faults.stuck_mask[slot], 0)
            q = q & ~mask | faults.stuck_value[slot] & mask
        in_flight, valid = [], port.enable & ~port.write
        for stage in range(config.mram_latency - 1):
            valid_delayed = Signal(name=f"valid_{stage}", reset_less=True)
            q_delayed = Signal(MRAM_CODE_BITS, name=f"q_{stage}", reset_less=True)
            m.d.sync += [valid_delayed.eq(valid), q_delayed.eq(q)]
            in_flight.append(valid_delayed)
            valid, q = valid_delayed, q_delayed
        m.d.comb += port.q.eq(Mux(valid, q, NO_RESULT))

        m.d.sync += [
            Assert(~port.enable | port.awake, "access to a sleeping MRAM bank"),
            Assert(~port.enable | ~writing, "access to an MRAM bank that is writing"),
            Assert(~self.factory_enable | ~writing, "factory write while the MRAM bank writes"),
        ]
        return m
