"""The front end's four multipliers, which its blocks use in turns."""

from amaranth.hdl import Assert, Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, Signature

__all__ = ["MULTIPLIERS", "MultiplierBank", "MultiplierPort"]

MULTIPLIERS = 4
"""One complex product a cycle."""

A_BITS, B_BITS = 25, 18
"""Signed operands: what a DSP block of a mid-sized FPGA takes."""


class MultiplierPort(Signature):
    """What a user of the multipliers drives and gets, all in one cycle.

    Members
    -------
    enable : Out(1)
        The user's turn.  Its operands must be 0 otherwise.
    a : array of Out(signed(25))
    b : array of Out(signed(18))
    product : array of In(signed(43))
        ``a * b`` while ``enable``.
    """

    def __init__(self):
        super().__init__(
            {
                "enable": Out(1),
                "a": Out(signed(A_BITS)).array(MULTIPLIERS),
                "b": Out(signed(B_BITS)).array(MULTIPLIERS),
                "product": In(signed(A_BITS + B_BITS)).array(MULTIPLIERS),
            }
        )


class MultiplierBank(wiring.Component):
    """Multiplies for one user at a time; an assertion refuses two.

    Combinational: an idle user's zeros keep the multipliers still.

    Parameters
    ----------
    users : int
        Blocks that take turns, at least 1.

    Members
    -------
    users : array of In(MultiplierPort())
    """

    def __init__(self, users: int):
        if users < 1:
            raise ValueError(f"users must be at least 1, not {users!r}")
        self.count = users
        super().__init__({"users": In(MultiplierPort()).array(users)})

    def elaborate(self, platform):
        """Build the selection, which is an OR because idle operands are 0, and the products."""
        m = Module()
        users = list(self.users)
        for index in range(MULTIPLIERS):
            a, b = users[0].a[index].as_unsigned(), users[0].b[index].as_unsigned()
            for user in users[1:]:
                a, b = a | user.a[index].as_unsigned(), b | user.b[index].as_unsigned()
            for user in users:
                m.d.comb += user.product[index].eq(a.as_signed() * b.as_signed())
        enables = [user.enable for user in users]
        for number, user in enumerate(users):
            others = [enable for n, enable in enumerate(enables) if n != number]
            for other in others:
                m.d.sync += Assert(~(user.enable & other), "two users of the multipliers")
            idle = sum((operand != 0 for operand in [*user.a, *user.b]), 0) == 0
            m.d.sync += Assert(user.enable | idle, "operands without a turn")
        return m
