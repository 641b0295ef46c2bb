"""The top level that is verilated: the chip behind a register on every input."""

from amaranth.hdl import ClockDomain, ClockSignal, DomainRenamer, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Component, Flow

__all__ = ["CLOCKS", "RegisteredInputs"]

CLOCKS = {
    ("mode_request",): "aon", ("wake_mode",): "aon", ("wake",): "aon", ("wake_clear",): "aon",
    ("audio_pins",): "audio",
    ("audio", "microphone"): "audio", ("audio", "vad"): "audio",
    ("audio", "constants"): "audio", ("audio", "place"): "audio",
    ("image_pins",): "pixel",
    **{("image", name): "pixel" for name in ("config", "size", "raw", "matrix", "tensor")},
    **{("image", name): "codec" for name in ("jpeg", "header", "quantisers", "codes", "file")},
}  # fmt: skip
"""Ports of the chip, or what is in them, that another clock than the core's samples.

They work while the core's stands.  The registers of the front ends, which stand still while these
work, are among them: all their logic would be evaluated with the core's clock otherwise.
"""


class RegisteredInputs(wiring.Component):
    """``component`` with the same ports, whose inputs and resets arrive a cycle later.

    Verilator evaluates all logic that depends on an input at both edges of the clock, in case the
    input has changed; the next state of every register depends on the reset.  For the FULL chip
    that was half of the time.  Logic behind registers is evaluated once a cycle.

    Inputs are registered on the core clock, those in `CLOCKS` on theirs, if there are any.
    """

    def __init__(self, component: Component):
        self.component = component
        super().__init__(component.signature)

    def elaborate(self, platform):
        """Connect outputs directly and inputs through registers, themselves without reset."""
        m = Module()
        there = {
            clock_of(path)
            for path, member, _ in self.signature.flatten(self)
            if member.flow == Flow.In and clock_of(path) != "sync"
        }
        clocks = ["sync", *sorted(there)]
        for clock in clocks:
            inner = f"inner_{clock}"
            m.domains += ClockDomain(inner, local=True)
            reset = Signal(reset_less=True, name=f"reset_{clock}")
            m.d[clock] += reset.eq(ResetSignal(clock))
            m.d.comb += [ClockSignal(inner).eq(ClockSignal(clock)), ResetSignal(inner).eq(reset)]

        renamed = {clock: f"inner_{clock}" for clock in clocks}
        m.submodules.chip = DomainRenamer(renamed)(self.component)
        for (path, member, outside), (_, _, inside) in zip(
            self.signature.flatten(self),
            self.component.signature.flatten(self.component),
            strict=True,
        ):
            if member.flow == Flow.In:
                register = Signal.like(outside, name="__".join(map(str, path)), reset_less=True)
                m.d[clock_of(path)] += register.eq(outside)
                m.d.comb += inside.eq(register)
            else:
                m.d.comb += outside.eq(inside)
        return m


def clock_of(path: tuple[str | int, ...]) -> str:
    """The clock that samples an input."""
    return CLOCKS.get(path[:1], CLOCKS.get(path[:2], "sync"))
