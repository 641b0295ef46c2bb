"""A stream component small enough to test the bench helpers themselves."""

from amaranth.hdl import Assert, Module, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Increment"]


class Increment(wiring.Component):
    """One register stage: ``o = i + step``.

    ``fault`` plants an error: ``"value"`` adds one too much, ``"unstable"`` changes a waiting
    payload, ``"assert"`` has an assertion fail at the eighth transfer.
    """

    def __init__(self, step: int = 1, fault: str = ""):
        self.step, self.fault = step, fault
        super().__init__(
            {"i": In(stream.Signature(signed(16))), "o": Out(stream.Signature(signed(16)))}
        )

    def elaborate(self, platform):
        m = Module()
        transfers = Signal(8)
        m.d.comb += self.i.ready.eq(self.o.ready | ~self.o.valid)
        with m.If(self.i.ready):
            m.d.sync += [
                self.o.valid.eq(self.i.valid),
                self.o.payload.eq(self.i.payload + self.step + (self.fault == "value")),
            ]
        with m.Elif(self.fault == "unstable"):
            m.d.sync += self.o.payload.eq(self.o.payload + 1)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += transfers.eq(transfers + 1)
        limit = 8 if self.fault == "assert" else 256
        m.d.comb += Assert(transfers < limit, "too many transfers")
        return m
