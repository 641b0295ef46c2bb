"""The top level that is verilated: the chip behind a register on every input."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Component, Flow

__all__ = ["RegisteredInputs"]


class RegisteredInputs(wiring.Component):
    """``component`` with the same ports, whose inputs arrive a cycle later.

    Verilator evaluates all logic that depends on an input at both edges of the clock, in case the
    input has changed.  For the FULL chip that was two fifths of the time; registers have none.
    """

    def __init__(self, component: Component):
        self.component = component
        super().__init__(component.signature)

    def elaborate(self, platform):
        """Connect outputs directly and inputs through registers."""
        m = Module()
        m.submodules.chip = self.component
        inner = self.component.signature.flatten(self.component)
        for (_, member, outside), (_, _, inside) in zip(
            self.signature.flatten(self), inner, strict=True
        ):
            if member.flow == Flow.In:
                m.d.sync += inside.eq(outside)
            else:
                m.d.comb += outside.eq(inside)
        return m
