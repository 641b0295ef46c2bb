"""Ends a run that cannot go on: an unreadable word, or a supply that does not come up."""

from amaranth.hdl import Assert, Module, Signal, unsigned
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ChipConfig
from hdl.mram.signals import ReadError

__all__ = ["RunControl", "RunError"]


class RunError(enum.Enum, shape=unsigned(2)):
    """Why a run was ended."""

    NONE = 0
    UNCORRECTABLE = 1
    """A word of the program has more errors than can be corrected."""
    NO_WAKE = 2
    """The MRAM bank of a word did not wake up."""
    POWER = 3
    """The supply of an activation segment did not come up."""


class RunControl(wiring.Component):
    """Watches a run; at an error it stops the stream, waits for it, and resets who took part.

    Members
    -------
    start : In(1)
        A run begins: forget the last error.
    running : In(1)
        The engine's ``busy``.
    failed, kind, address : In
        ``failed``, ``error_kind`` and ``error_address`` of the weight cache.
    power_failed : In(1)
        A segment that is wanted does not come up.
    streaming : In(1)
        Reads may be in flight.
    stop : Out(1)
        Fetch no more.
    abort : Out(1)
        Reset of engine and weight cache: the run is over.
    error, error_kind, error_address : Out
        A run was ended, why, and the MRAM word address of what could not be read; until ``start``.
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "running": In(1),
                "failed": In(1),
                "kind": In(ReadError),
                "address": In(config.mram_address_bits),
                "power_failed": In(1),
                "streaming": In(1),
                "stop": Out(1),
                "abort": Out(1),
                "error": Out(1),
                "error_kind": Out(RunError),
                "error_address": Out(config.mram_address_bits),
            }
        )

    def elaborate(self, platform):
        """Build the three states: running or not, stopping, and the reset."""
        m = Module()
        waited = Signal(range(self.config.mram_latency + 2))
        with m.FSM() as fsm:
            with m.State("WATCH"):
                m.d.sync += waited.eq(0)
                with m.If(self.running & (self.failed | self.power_failed)):
                    m.d.sync += [self.error_kind.eq(RunError.POWER), self.error_address.eq(0)]
                    with m.If(self.failed):
                        m.d.sync += self.error_address.eq(self.address)
                        m.d.sync += self.error_kind.eq(RunError.UNCORRECTABLE)
                        with m.If(self.kind == ReadError.NO_WAKE):
                            m.d.sync += self.error_kind.eq(RunError.NO_WAKE)
                    m.next = "STOP"
            with m.State("STOP"):
                # The last reads return before anybody who waits for them is reset.
                m.d.comb += self.stop.eq(1)
                m.d.sync += waited.eq(waited + 1)
                with m.If(self.streaming):
                    m.d.sync += waited.eq(0)
                with m.Elif(waited == self.config.mram_latency):
                    m.next = "ABORT"
            with m.State("ABORT"):
                m.d.comb += self.abort.eq(1)
                m.d.sync += self.error.eq(1)
                m.next = "WATCH"
        with m.If(self.start):
            m.d.sync += [self.error.eq(0), self.error_kind.eq(RunError.NONE)]

        aborted = Signal()
        m.d.sync += [
            aborted.eq(self.abort),
            Assert(~aborted | ~self.running, "a run survives its end"),
            Assert(~self.start | fsm.ongoing("WATCH"), "started while a run is being ended"),
            Assert(~self.error | (self.error_kind != RunError.NONE), "an error without a reason"),
            Assert(~self.abort | ~self.streaming, "reset with reads in flight"),
        ]
        return m
