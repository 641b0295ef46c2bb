"""Turns through a requantiser: sums and differences take three, both operands and the result."""

from collections.abc import Sequence

from amaranth.hdl import Assert, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import enum

__all__ = ["Slot", "assert_alternation"]


class Slot(enum.Enum, shape=unsigned(2)):
    """What travels in a stage of the requantiser pipeline."""

    EMPTY = 0
    A = 1
    B = 2
    OUT = 3


def assert_alternation(m: Module, slots: Sequence, *, next_is_b: Value, advance: Value) -> None:
    """Assert that operands alternate all the way through the pipeline, and that none is lost.

    ``next_is_b`` says what is issued next, ``slots`` are the stages, youngest first, and whatever
    leaves the last of them as an A is held until its B comes.
    """
    held_waits = Signal()
    with m.If(advance & (slots[-1] == Slot.A)):
        m.d.sync += held_waits.eq(1)
    with m.If(advance & (slots[-1] == Slot.B)):
        m.d.sync += held_waits.eq(0)
    after_a = next_is_b  # the youngest operand behind this point is an A
    for slot in slots:
        is_a, is_b = slot == Slot.A, slot == Slot.B
        m.d.sync += [
            Assert(~is_a | after_a, "a first operand without its second"),
            Assert(~is_b | ~after_a, "a second operand without its first"),
        ]
        after_a = Mux(is_a, Const(0, 1), Mux(is_b, Const(1, 1), after_a))
    m.d.sync += Assert(held_waits == after_a, "a held operand was lost")
