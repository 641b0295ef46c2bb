"""The MRAM controller: a corrected stream for the weight cache, and operations on single words."""

from amaranth.hdl import Array, Assert, Cat, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, flipped

from hdl.config import ChipConfig
from hdl.mram.secded import Decoder
from hdl.mram.signals import BankAccess, ReadStream, WordPort
from hdl.mram.word_arbiter import WordArbiter
from hdl.mram.word_unit import MAX_RETRIES, PATIENCE, WordUnit

__all__ = ["COUNTER_BITS", "MramController"]

COUNTER_BITS = 32
"""Width of the counters; they stay at their highest value."""


class MramController(wiring.Component):
    """Sits between the banks and all that use them.

    The stream's reads are pipelined, one a cycle, also from one bank to the next, and corrected on
    their way.  Operations on words go on at the same time in other banks; in the bank of the
    stream they wait until it leaves, for a bounded time (`WordUnit`).

    Parameters
    ----------
    config : ChipConfig
        Sizes and times of the banks.
    ports : int
        How many may ask for operations on words.
    patience, max_retries : int
        See `WordUnit`.

    Attributes
    ----------
    retained : tuple of Signal
        What must survive while the controller has no supply.

    Members
    -------
    stream : In(ReadStream(config))
        From the weight cache.  A bank stays awake until the reads in flight have returned, also
        when ``address`` has moved on.  ``ready`` is low while a word of the bank is in work.
    words : array of In(WordPort(config))
        Most urgent first: host, self-test, scrubber.
    banks : array of Out(BankAccess(config)), one a bank
        Towards the sequencers.
    protect : In(config.mram_banks)
        Banks that must not be written.
    clear : In(1)
        ``corrected``, ``uncorrectable`` and ``retries`` count from zero again.
    corrected : Out(32)
        Wrong bits that were corrected, by the stream and by READs.
    uncorrectable : Out(32)
        Words with more wrong bits, seen by the stream and by READs.
    first_error_address : Out(config.mram_address_bits)
        The first of them, while ``uncorrectable`` is not 0.
    retries : Out(32)
        Write pulses that were not the first of their request.
    wear : array of Out(32), one a bank
        Write pulses since the chip was made.
    busy : Out(1)
        Something is wanted, in work or in flight: the controller must not lose its supply.
    """

    def __init__(
        self,
        config: ChipConfig,
        *,
        ports: int = 3,
        patience: int = PATIENCE,
        max_retries: int = MAX_RETRIES,
    ):
        self.config, self.ports = config, ports
        self.patience, self.max_retries = patience, max_retries
        super().__init__(
            {
                "stream": In(ReadStream(config)),
                "words": In(WordPort(config)).array(ports),
                "banks": Out(BankAccess(config)).array(config.mram_banks),
                "protect": In(config.mram_banks),
                "clear": In(1),
                "corrected": Out(COUNTER_BITS),
                "uncorrectable": Out(COUNTER_BITS),
                "first_error_address": Out(config.mram_address_bits),
                "retries": Out(COUNTER_BITS),
                "wear": Out(COUNTER_BITS).array(config.mram_banks),
                "busy": Out(1),
            }
        )
        self.retained = (
            self.corrected,
            self.uncorrectable,
            self.first_error_address,
            self.retries,
            *self.wear,
        )

    def elaborate(self, platform):
        """Build the stream's pipeline, the word unit, the banks' multiplexers and the counters."""
        m = Module()
        config, stream, banks = self.config, self.stream, self.banks
        low = config.mram_bank_address_bits

        m.submodules.arbiter = arbiter = WordArbiter(config, ports=self.ports)
        m.submodules.unit = unit = WordUnit(
            config, patience=self.patience, max_retries=self.max_retries
        )
        m.submodules.decoder = decoder = Decoder()
        for outer, inner in zip(self.words, arbiter.words, strict=True):
            wiring.connect(m, flipped(outer), inner)
        wiring.connect(m, arbiter.unit, unit.word)
        m.d.comb += unit.protect.eq(self.protect)

        # The stream's reads in flight: stage k is k cycles behind `enable`.
        valids, addresses = [stream.enable], [stream.address]
        for stage in range(1, config.mram_latency + 1):
            valid = Signal(name=f"valid_{stage}")
            address = Signal(config.mram_address_bits, name=f"address_{stage}")
            m.d.sync += [valid.eq(valids[-1]), address.eq(addresses[-1])]
            valids.append(valid)
            addresses.append(address)
        in_macro = list(zip(valids, addresses, strict=True))[1:-1]
        returning, returning_address = in_macro[-1]

        here = stream.address[low:]
        behind = (here + 1)[: len(here)]
        wanted = Signal(config.mram_banks)
        draining = Signal(config.mram_banks)
        for b, bank in enumerate(banks):
            streamed, worked = Signal(name=f"streamed_{b}"), Signal(name=f"worked_{b}")
            m.d.comb += [
                wanted[b].eq(stream.wake & ((here == b) | (stream.wake_next & (behind == b)))),
                draining[b].eq(Cat(*(v & (a[low:] == b) for v, a in in_macro)).any()),
                streamed.eq(stream.enable & (here == b)),
                worked.eq(unit.access.enable & (unit.bank == b)),
                bank.wake.eq(wanted[b] | draining[b] | (unit.access.wake & (unit.bank == b))),
                bank.enable.eq(streamed | worked),
                bank.write.eq(worked & unit.access.write),
                bank.address.eq(Mux(worked, unit.access.address, stream.address[:low])),
                bank.data.eq(unit.access.data),
            ]
            # Clocked: settled values, not those in the middle of a simulator's delta cycles.
            m.d.sync += [
                Assert(~(streamed & worked), "two accesses to an MRAM bank at once"),
                Assert(~bank.enable | bank.ready, "access to a sleeping MRAM bank"),
                Assert(~bank.enable | ~bank.busy, "access to an MRAM bank that is writing"),
                Assert(~bank.enable | bank.wake, "access to an MRAM bank that may fall asleep"),
                Assert(~draining[b] | bank.wake, "MRAM bank let go before a read returned"),
                Assert(~(worked & draining[b]), "access to a word among the stream's reads"),
            ]

        def choose(name: str, index: Value) -> Value:
            return Array(getattr(bank, name) for bank in banks)[index]

        owned_here = unit.owns & (unit.bank == here)
        m.d.comb += [
            stream.ready.eq(
                stream.wake & choose("ready", here) & ~choose("busy", here) & ~owned_here
            ),
            stream.failed.eq(stream.wake & choose("failed", here)),
            unit.contended.eq(wanted.bit_select(unit.bank, 1)),
            unit.quiet.eq(~draining.bit_select(unit.bank, 1)),
            unit.access.ready.eq(choose("ready", unit.bank)),
            unit.access.failed.eq(choose("failed", unit.bank)),
            unit.access.busy.eq(choose("busy", unit.bank)),
            unit.access.q.eq(choose("q", unit.bank)),
            decoder.code.eq(choose("q", returning_address[low:])),
            stream.valid.eq(valids[-1]),
            self.busy.eq(
                stream.wake
                | Cat(*valids).any()
                | unit.busy
                | Cat(*(word.request.valid for word in self.words)).any()
            ),
        ]
        m.d.sync += [stream.data.eq(decoder.data), stream.error.eq(decoder.error)]

        def count(counter: Value, events: ValueLike, *, clear: ValueLike = 0) -> None:
            total = Mux(clear, 0, counter) + events
            m.d.sync += counter.eq(Mux(total[COUNTER_BITS:].any(), ~0, total))

        lost = returning & decoder.error
        count(
            self.corrected,
            Mux(returning, decoder.corrected, 0) + unit.corrected,
            clear=self.clear,
        )
        count(self.uncorrectable, lost + unit.lost, clear=self.clear)
        count(self.retries, unit.pulse & unit.retry, clear=self.clear)
        for b in range(config.mram_banks):
            count(self.wear[b], unit.pulse & (unit.bank == b))
        with m.If((lost | unit.lost) & (self.clear | (self.uncorrectable == 0))):
            m.d.sync += self.first_error_address.eq(Mux(lost, returning_address, unit.address))

        in_flight = Signal(range(config.mram_latency + 1))
        m.d.sync += [
            in_flight.eq(in_flight + stream.enable - stream.valid),
            Assert(~stream.enable | stream.ready, "read from an MRAM bank that is not ready"),
            Assert(in_flight == sum(valids[1:]), "the stream's reads in flight do not add up"),
        ]
        return m
