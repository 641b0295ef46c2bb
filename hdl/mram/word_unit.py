"""Executes operations on single words of the MRAM: reads, and writes with verification."""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ChipConfig
from hdl.mram.secded import Decoder, encode
from hdl.mram.signals import (
    MRAM_CODE_BITS,
    MRAM_WORD_BITS,
    BankAccess,
    WordOperation,
    WordPort,
    WordStatus,
)

__all__ = ["MAX_RETRIES", "PATIENCE", "WordUnit"]

MAX_RETRIES = 3
"""Further write pulses for a word that does not read back as it was written."""
PATIENCE = 4096
"""Cycles that a request gives way to the stream: 82 us at 50 MHz."""


class WordUnit(wiring.Component):
    """One operation at a time, from waking the bank to its end; every request ends.

    A WRITE is a pulse of ``config.mram_write_cycles``, a read of all 144 bits and a comparison,
    again for up to `MAX_RETRIES` times.  An operation *begins* with its first access, and then has
    its bank for itself until it ends.  Before that it waits while the weight stream wants the bank,
    but no longer than ``patience`` cycles.

    Parameters
    ----------
    config : ChipConfig
        Sizes and ``mram_latency``.
    patience : int
        Cycles that a request gives way to the stream, at least 1: with some gating policies a run
        keeps its banks awake to its end.
    max_retries : int
        Other than `MAX_RETRIES` for proofs only.

    Members
    -------
    word : In(WordPort(config))
        Requests.  A protected bank is not woken.
    protect : In(config.mram_banks)
        Banks that must not be written; what has begun is finished.
    bank : Out(range(config.mram_banks))
        The bank that ``access`` and the following are about.
    access : Out(BankAccess(config))
        To the bank, by way of the controller.
    contended : In(1)
        The stream wants the bank.
    quiet : In(1)
        None of the stream's reads is in flight in the bank.
    owns : Out(1)
        The bank is this unit's: an operation begins in this cycle, or has begun.
    pulse : Out(1)
        A write pulse begins.
    retry : Out(1)
        With ``pulse``: not the first for this request.
    corrected : Out(2)
        Bits that were corrected in the READ that ends in this cycle.
    lost : Out(1)
        The READ that ends in this cycle found an uncorrectable word.
    address : Out(config.mram_address_bits)
        Of the request in work.
    busy : Out(1)
        A request is in work, or a bank is held.
    """

    def __init__(
        self, config: ChipConfig, *, patience: int = PATIENCE, max_retries: int = MAX_RETRIES
    ):
        if patience < 1:
            raise ValueError(f"patience must be at least 1, not {patience!r}")
        self.config, self.patience, self.max_retries = config, patience, max_retries
        super().__init__(
            {
                "word": In(WordPort(config)),
                "protect": In(config.mram_banks),
                "bank": Out(range(config.mram_banks)),
                "access": Out(BankAccess(config)),
                "contended": In(1),
                "quiet": In(1),
                "owns": Out(1),
                "pulse": Out(1),
                "retry": Out(1),
                "corrected": Out(2),
                "lost": Out(1),
                "address": Out(config.mram_address_bits),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build the state machine."""
        m = Module()
        config, access, word = self.config, self.access, self.word

        operation = Signal(WordOperation)
        code = Signal(MRAM_CODE_BITS)
        """What to write."""
        read = Signal(MRAM_CODE_BITS)
        """What was read, as stored; then what is handed back."""
        status = Signal(WordStatus)
        tries = Signal(range(self.max_retries + 1))
        waited = Signal(range(self.patience + 1))
        claimed = Signal()
        reading = Signal(config.mram_latency - 1)
        """Shift register: how far the read has come."""
        held = Signal()
        """The last operation reached its bank, which stays awake if the port holds."""

        m.submodules.decoder = decoder = Decoder()
        writes, refused, claim = Signal(), Signal(), Signal()
        m.d.comb += [
            decoder.code.eq(read),
            self.bank.eq(self.address[config.mram_bank_address_bits :]),
            writes.eq((operation == WordOperation.WRITE) | (operation == WordOperation.WRITE_CODE)),
            refused.eq(writes & self.protect.bit_select(self.bank, 1)),
            access.address.eq(self.address),
            access.data.eq(code),
            self.pulse.eq(access.enable & access.write),
            word.status.eq(status),
            word.data.eq(read),
            self.busy.eq(1),
        ]
        m.d.sync += reading.eq(Cat(access.enable & ~access.write, reading))

        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.comb += [
                    word.request.ready.eq(1),
                    access.wake.eq(held & word.hold),
                    self.busy.eq(access.wake),
                ]
                m.d.sync += held.eq(access.wake)
                with m.If(word.request.valid):
                    payload = word.request.payload
                    m.d.sync += [
                        operation.eq(payload.operation),
                        self.address.eq(payload.address),
                        code.eq(
                            Mux(
                                payload.operation == WordOperation.WRITE,
                                encode(payload.data[:MRAM_WORD_BITS]),
                                payload.data,
                            )
                        ),
                        read.eq(0),
                        tries.eq(0),
                        waited.eq(0),
                        claimed.eq(0),
                        held.eq(0),
                    ]
                    m.next = "WAIT"

            with m.State("WAIT"):
                # The stream's reads in flight leave the bank before the first access.
                m.d.comb += [
                    access.wake.eq(~refused),
                    claim.eq(
                        ~refused
                        & access.ready
                        & ~access.busy
                        & (claimed | ~self.contended | (waited == self.patience))
                    ),
                    self.owns.eq(claim),
                    access.enable.eq(claim & self.quiet),
                    access.write.eq(writes),
                ]
                m.d.sync += claimed.eq(claim)
                with m.If(waited != self.patience):
                    m.d.sync += waited.eq(waited + 1)
                with m.If(refused):
                    m.d.sync += status.eq(WordStatus.PROTECTED)
                    m.next = "END"
                with m.Elif(access.failed):
                    m.d.sync += status.eq(WordStatus.NO_WAKE)
                    m.next = "END"
                with m.Elif(access.enable):
                    m.d.sync += held.eq(1)
                    with m.If(writes):
                        m.next = "WRITE"
                    with m.Else():
                        m.next = "READ"

            with m.State("WRITE"):
                m.d.comb += [access.wake.eq(1), self.owns.eq(1)]
                with m.If(~access.busy):
                    with m.If(operation == WordOperation.WRITE):
                        m.d.comb += access.enable.eq(1)
                        m.next = "READ"
                    with m.Else():
                        m.d.sync += status.eq(WordStatus.OK)
                        m.next = "END"

            with m.State("READ"):
                m.d.comb += [access.wake.eq(1), self.owns.eq(1)]
                with m.If(reading[-1]):
                    m.d.sync += read.eq(access.q)
                    m.next = "CHECK"

            with m.State("CHECK"):
                m.d.comb += [access.wake.eq(1), self.owns.eq(1)]
                m.next = "END"
                m.d.sync += status.eq(WordStatus.OK)
                with m.If(operation == WordOperation.READ):
                    m.d.comb += [self.corrected.eq(decoder.corrected), self.lost.eq(decoder.error)]
                    m.d.sync += read.eq(Mux(decoder.error, 0, decoder.data))
                    with m.If(decoder.error):
                        m.d.sync += status.eq(WordStatus.UNCORRECTABLE)
                    with m.Elif(decoder.corrected != 0):
                        m.d.sync += status.eq(WordStatus.CORRECTED)
                with m.Elif((operation == WordOperation.WRITE) & (read != code)):
                    m.d.sync += status.eq(WordStatus.VERIFY_FAILED)
                    with m.If(tries != self.max_retries):
                        m.d.comb += [access.enable.eq(1), access.write.eq(1), self.retry.eq(1)]
                        m.d.sync += tries.eq(tries + 1)
                        m.next = "WRITE"

            with m.State("END"):
                m.d.comb += [word.done.eq(1), access.wake.eq(held & word.hold)]
                m.d.sync += held.eq(access.wake)
                m.next = "IDLE"

        states = [fsm.ongoing(name) for name in ("IDLE", "WAIT", "WRITE", "READ", "CHECK", "END")]
        outstanding = Signal(2)
        m.d.sync += outstanding.eq(
            outstanding + (word.request.valid & word.request.ready) - word.done
        )
        # Clocked: settled values, not those in the middle of a simulator's delta cycles.
        m.d.sync += [
            Assert(~access.enable | access.wake, "access to a bank that is not kept awake"),
            Assert(~access.enable | access.ready, "access to a sleeping MRAM bank"),
            Assert(~access.enable | ~access.busy, "access to an MRAM bank that is writing"),
            Assert(~access.enable | self.owns, "access to an MRAM bank that others may use"),
            Assert(~self.pulse | self.retry | ~refused, "write to a protected MRAM bank"),
            Assert(Cat(*states).any(), "a state that does not exist"),
            Assert(outstanding == ~states[0], "requests that were taken and ends do not add up"),
        ]
        return m
