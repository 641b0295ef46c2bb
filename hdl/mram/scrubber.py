"""Background scrubbing: reads every word of the MRAM in turn, and repairs what is one bit wrong."""

from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ChipConfig
from hdl.mram.signals import WordOperation, WordPort, WordStatus

__all__ = ["COUNTER_BITS", "INTERVAL_BITS", "Scrubber"]

COUNTER_BITS = 32
"""Width of the counters; they stay at their highest value."""
INTERVAL_BITS = 32
"""Width of the interval: up to 86 s at 50 MHz."""


class Scrubber(wiring.Component):
    """Keeps single wrong bits from becoming double ones while nothing else uses the MRAM.

    Every ``interval`` cycles a burst of words is due.  While ``enable`` and ``idle`` it is read
    word by word, from where the last one ended, and a word that had to be corrected is written
    back, with verification.  A burst that was interrupted goes on as soon as the MRAM is idle
    again.  A word that has begun, its write-back included, is always finished; the next one waits.

    Read and write-back of a word are two requests with ``hold`` high between them: the arbiter must
    not let anyone else write in that time, or the write-back would undo it.

    Parameters
    ----------
    config : ChipConfig
        ``mram_words`` and ``mram_banks``.
    burst : int
        Words of a burst, at least 1.

    Attributes
    ----------
    retained : tuple of Signal
        What must survive sleep.  Without it a chip that is never awake for as long as a pass takes
        would scrub the same words again and again.

    Members
    -------
    enable : In(1)
        Scrub at all.
    idle : In(1)
        No program runs.
    interval : In(32)
        Cycles from one burst being due to the next; 0: back to back.  May change at any time.
    clear : In(1)
        Counters to 0; the address stays.
    word : Out(WordPort(config))
        To the arbiter.  A burst ends at the end of a bank, so ``hold`` is for one bank.
    busy : Out(1)
        A word is in work: the controller must not be switched off.
    address : Out(config.mram_address_bits)
        The word in work, or the next one.
    scrubbed : Out(32)
        Words that were read, right or not.
    corrected : Out(32)
        Those of them with wrong bits that were corrected.
    unrepaired : Out(32)
        Those of ``corrected`` whose write-back failed or was not allowed (write protection).
    uncorrectable : Out(32)
        Words that were lost; they are not written.  The same one counts once a pass.
    first_uncorrectable : Out(config.mram_address_bits)
        The first of them, while ``uncorrectable`` is not 0.
    unreachable : Out(32)
        Times that a bank did not wake up; the rest of it was skipped in this pass.
    """

    def __init__(self, config: ChipConfig, *, burst: int = 16):
        if burst < 1:
            raise ValueError(f"burst must be at least 1, not {burst!r}")
        self.config, self.burst = config, burst
        super().__init__(
            {
                "enable": In(1),
                "idle": In(1),
                "interval": In(INTERVAL_BITS),
                "clear": In(1),
                "word": Out(WordPort(config)),
                "busy": Out(1),
                "address": Out(config.mram_address_bits),
                "scrubbed": Out(COUNTER_BITS),
                "corrected": Out(COUNTER_BITS),
                "unrepaired": Out(COUNTER_BITS),
                "uncorrectable": Out(COUNTER_BITS),
                "first_uncorrectable": Out(config.mram_address_bits),
                "unreachable": Out(COUNTER_BITS),
            }
        )
        self.elapsed = Signal(INTERVAL_BITS)
        self.left = Signal(range(burst + 1))
        self.retained = (
            self.address, self.scrubbed, self.corrected, self.unrepaired, self.uncorrectable,
            self.first_uncorrectable, self.unreachable, self.elapsed, self.left,
        )  # fmt: skip

    def elaborate(self, platform):
        """Build the interval, the walk over the words and the counters."""
        m = Module()
        config, word = self.config, self.word
        request = word.request
        go, within_bank, finished, skip = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            go.eq(self.enable & self.idle),
            within_bank.eq(self.address[: config.mram_bank_address_bits].any()),
        ]

        def count(counter: Signal) -> None:
            m.d.sync += counter.eq(counter + ~counter.all())

        repaired = Signal.like(word.data)
        with m.FSM():
            with m.State("PAUSE"):
                m.d.comb += word.hold.eq(go & self.left.any() & within_bank)
                with m.If(go & self.left.any()):
                    m.next = "READ"
            with m.State("READ"):
                m.d.comb += [
                    self.busy.eq(1),
                    request.valid.eq(1),
                    request.p.operation.eq(WordOperation.READ),
                ]
                with m.If(request.ready):
                    m.next = "READ_DONE"
            with m.State("READ_DONE"):
                m.d.comb += self.busy.eq(1)
                with m.If(word.done):
                    m.next = "PAUSE"
                    m.d.comb += finished.eq(1)
                    with m.If(word.status != WordStatus.NO_WAKE):
                        count(self.scrubbed)
                    with m.Switch(word.status):
                        with m.Case(WordStatus.CORRECTED):
                            m.d.comb += finished.eq(0)
                            count(self.corrected)
                            m.d.sync += repaired.eq(word.data)
                            m.next = "WRITE"
                        with m.Case(WordStatus.UNCORRECTABLE):
                            count(self.uncorrectable)
                            with m.If(~self.uncorrectable.any()):
                                m.d.sync += self.first_uncorrectable.eq(self.address)
                        with m.Case(WordStatus.NO_WAKE):
                            # Not tried word by word: each would cost a time-out.
                            m.d.comb += skip.eq(1)
                            count(self.unreachable)
            with m.State("WRITE"):
                m.d.comb += [
                    self.busy.eq(1),
                    request.valid.eq(1),
                    request.p.operation.eq(WordOperation.WRITE),
                ]
                with m.If(request.ready):
                    m.next = "WRITE_DONE"
            with m.State("WRITE_DONE"):
                m.d.comb += [self.busy.eq(1), request.p.operation.eq(WordOperation.WRITE)]
                with m.If(word.done):
                    m.d.comb += finished.eq(1)
                    with m.If(word.status != WordStatus.OK):
                        count(self.unrepaired)
                    m.next = "PAUSE"
        with m.If(self.busy):
            m.d.comb += word.hold.eq(1)
        m.d.comb += [request.p.address.eq(self.address), request.p.data.eq(repaired)]

        last_of_bank = self.address | (config.mram_bank_words - 1)
        with m.If(finished):
            m.d.sync += [
                self.address.eq(Mux(skip, last_of_bank, self.address) + 1),
                self.left.eq(self.left - 1),
            ]

        # Due while the last burst is still in work: that one is late, and this one follows at once.
        due = Signal()
        m.d.comb += due.eq(self.elapsed + 1 >= self.interval)
        with m.If(~due):
            m.d.sync += self.elapsed.eq(self.elapsed + 1)
        with m.Elif(~self.left.any() & self.enable):
            m.d.sync += [self.elapsed.eq(0), self.left.eq(self.burst)]

        with m.If(self.clear):
            m.d.sync += [
                counter.eq(0)
                for counter in (
                    self.scrubbed, self.corrected, self.unrepaired, self.uncorrectable,
                    self.unreachable,
                )
            ]  # fmt: skip

        m.d.sync += Assert(~self.busy | self.left.any(), "a word outside of a burst")
        return m
