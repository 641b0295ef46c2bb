"""The top level that is verilated: the chip behind a register on every input."""

from amaranth.hdl import ClockDomain, ClockSignal, DomainRenamer, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Component, Flow

__all__ = ["RegisteredInputs"]


class RegisteredInputs(wiring.Component):
    """``component`` with the same ports, whose inputs and reset arrive a cycle later.

    Verilator evaluates all logic that depends on an input at both edges of the clock, in case the
    input has changed; the next state of every register depends on the reset.  For the FULL chip
    that was half of the time.  Logic behind registers is evaluated once a cycle.
    """

    def __init__(self, component: Component):
        self.component = component
        super().__init__(component.signature)

    def elaborate(self, platform):
        """Connect outputs directly and inputs through registers, themselves without reset."""
        m = Module()
        m.domains += ClockDomain("inner", local=True)
        reset = Signal(reset_less=True)
        m.d.sync += reset.eq(ResetSignal())
        m.d.comb += [ClockSignal("inner").eq(ClockSignal()), ResetSignal("inner").eq(reset)]

        m.submodules.chip = DomainRenamer("inner")(self.component)
        for (path, member, outside), (_, _, inside) in zip(
            self.signature.flatten(self),
            self.component.signature.flatten(self.component),
            strict=True,
        ):
            if member.flow == Flow.In:
                register = Signal.like(outside, name="__".join(map(str, path)), reset_less=True)
                m.d.sync += register.eq(outside)
                m.d.comb += inside.eq(register)
            else:
                m.d.comb += outside.eq(inside)
        return m
