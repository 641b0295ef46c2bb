"""Brings the leading one of a number to the top."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["NORMALISED", "Normaliser"]

BITS = 32
SHIFTS = (16, 8, 4, 2, 1)

NORMALISED = data.StructLayout({"aligned": unsigned(BITS), "length": range(BITS + 1)})
"""``aligned = value << (32 - length)``, where ``length`` is what Python's ``bit_length`` says."""


class Normaliser(wiring.Component):
    """Shifts 32 bits left until the top one is set, in five conditional shifts, one a cycle.

    Members
    -------
    i : In(stream.Signature(unsigned(32)))
        Value.
    o : Out(stream.Signature(NORMALISED))
        `LATENCY` cycles later; the length of 0 is 0.
    idle : Out(1)
        Nothing is in.
    """

    LATENCY = 1 + len(SHIFTS)

    i: In(stream.Signature(unsigned(BITS)))
    o: Out(stream.Signature(NORMALISED))
    idle: Out(1)

    def elaborate(self, platform):
        """Build the shifts."""
        m = Module()
        value, length = Signal(BITS), Signal(range(BITS + 1))
        step = Signal(range(len(SHIFTS)))
        m.d.comb += [
            self.o.p.aligned.eq(value),
            # Five shifts leave a length of 1 at least.
            self.o.p.length.eq(length - ~value[-1]),
        ]
        with m.FSM() as fsm:
            with m.State("TAKE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [value.eq(self.i.payload), length.eq(BITS), step.eq(0)]
                with m.If(self.i.valid):
                    m.next = "SHIFT"
            with m.State("SHIFT"):
                m.d.sync += step.eq(step + 1)
                with m.Switch(step):
                    for index, shift in enumerate(SHIFTS):
                        with m.Case(index):
                            with m.If(value[BITS - shift :] == 0):
                                m.d.sync += [value.eq(value << shift), length.eq(length - shift)]
                with m.If(step == len(SHIFTS) - 1):
                    m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "TAKE"
        m.d.comb += self.idle.eq(fsm.ongoing("TAKE"))
        return m
