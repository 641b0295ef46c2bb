"""Square root of an integer, digit by digit."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SquareRoot"]

SHORT_BITS = 32
SHORT_MAX = (1 << (SHORT_BITS // 2)) - 1


class SquareRoot(wiring.Component):
    """Square root rounded to nearest, without a multiplier.

    Bit-exact with `models.audio.square_root.square_root`, and so with TensorFlow Lite Micro's,
    which gives ``2**16 - 1`` where a radicand of 32 bits has its root nearer to ``2**16``.

    Parameters
    ----------
    radicand_bits : int
        Even, 34 at least.
    digits : int
        Digits of the root that a cycle finds; a divisor of ``radicand_bits / 2``.

    Members
    -------
    i : In(stream.Signature(unsigned(radicand_bits)))
        Radicands.
    o : Out(stream.Signature(unsigned(radicand_bits / 2 + 1)))
        Roots, each `latency` cycles after its radicand was taken.  The next radicand is taken in
        the cycle after the root at the earliest.
    idle : Out(1)
        Nothing is in.
    """

    def __init__(self, radicand_bits: int = 54, digits: int = 3):
        if radicand_bits % 2 or radicand_bits <= SHORT_BITS:
            raise ValueError(f"radicand_bits must be even and above 32, not {radicand_bits!r}")
        if digits < 1 or radicand_bits // 2 % digits:
            raise ValueError(f"digits must divide {radicand_bits // 2}, not be {digits!r}")
        self.radicand_bits, self.digits = radicand_bits, digits
        self.root_bits = radicand_bits // 2
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(radicand_bits))),
                "o": Out(stream.Signature(unsigned(self.root_bits + 1))),
                "idle": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a radicand to its root."""
        return 1 + self.root_bits // self.digits

    def elaborate(self, platform):
        """Build the trial subtractions of one cycle and the rounding."""
        m = Module()
        steps_of_root = self.root_bits // self.digits
        rest_bits = self.root_bits + 2
        radicand = Signal(self.radicand_bits)
        root, remainder = Signal(self.root_bits), Signal(rest_bits)
        short = Signal()
        steps = Signal(range(steps_of_root))

        found, rest = root, remainder
        for digit in range(self.digits):
            top = self.radicand_bits - 2 * digit
            widened = Cat(radicand[top - 2 : top], rest)[:rest_bits]
            less = widened - Cat(Const(1, 2), found)
            fits = less >= 0
            found_next = Signal(self.root_bits, name=f"root_{digit}")
            rest_next = Signal(rest_bits, name=f"remainder_{digit}")
            m.d.comb += [found_next.eq(Cat(fits, found)), rest_next.eq(Mux(fits, less, widened))]
            found, rest = found_next, rest_next

        up = (remainder > root) & ~(short & (root == SHORT_MAX))
        m.d.comb += self.o.payload.eq(root + up)
        with m.FSM() as fsm:
            with m.State("TAKE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [
                    radicand.eq(self.i.payload),
                    short.eq(self.i.payload[SHORT_BITS:] == 0),
                    root.eq(0),
                    remainder.eq(0),
                    steps.eq(steps_of_root - 1),
                ]
                with m.If(self.i.valid):
                    m.next = "DIGITS"
            with m.State("DIGITS"):
                m.d.sync += [
                    radicand.eq(radicand << (2 * self.digits)),
                    root.eq(found),
                    remainder.eq(rest),
                    steps.eq(steps - 1),
                ]
                with m.If(steps == 0):
                    m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "TAKE"
        m.d.comb += self.idle.eq(fsm.ongoing("TAKE"))
        return m
