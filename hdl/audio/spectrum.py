"""Power or magnitude of the FFT's bins."""

from amaranth.hdl import Assert, Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.audio.multipliers import MultiplierPort

__all__ = ["BIN", "PART_BITS", "POWER_BITS", "Spectrum"]

PART_BITS = 24
POWER_BITS = 48

BIN = data.StructLayout({"re": signed(PART_BITS), "im": signed(PART_BITS)})
"""One bin: two mantissas of the frame's exponent."""

LOW_BITS = 17
"""The part of an operand that its square takes first; the rest has 7 bits."""

ROOT_BITS_A_CYCLE = 4


class Spectrum(wiring.Component):
    """``re**2 + im**2``, or the floor of its square root.

    Bit-exact with `models.audio.spectrum`.  All four multipliers in the cycle in which a bin is
    taken, none in the cycle in which a value is given: a block that multiplies what it takes from
    ``o`` has its turn then.

    Members
    -------
    root : In(1)
        Magnitude instead of power; may change between frames.
    i : In(stream.Signature(BIN))
        Bins.
    o : Out(stream.Signature(unsigned(48)))
        One value for each, after `POWER_LATENCY` or `ROOT_LATENCY` cycles.  The next bin is taken
        in the cycle after the transfer.
    multiply : Out(MultiplierPort())
        All four.
    """

    POWER_LATENCY = 1
    ROOT_LATENCY = 1 + PART_BITS // ROOT_BITS_A_CYCLE

    root: In(1)
    i: In(stream.Signature(BIN))
    o: Out(stream.Signature(unsigned(POWER_BITS)))
    multiply: Out(MultiplierPort())

    def elaborate(self, platform):
        """Build the squares and the square root, digit by digit."""
        m = Module()
        value = Signal(POWER_BITS)
        remainder, root = Signal(PART_BITS + 2), Signal(PART_BITS)
        steps = Signal(range(PART_BITS // ROOT_BITS_A_CYCLE + 1))

        port, bins = self.multiply, self.i.p
        products = list(port.product)
        for index, part in enumerate((bins.re, bins.im)):
            low = Cat(part[:LOW_BITS], Const(0, 1)).as_signed()
            with m.If(port.enable):
                m.d.comb += [
                    port.a[2 * index].eq(part),
                    port.b[2 * index].eq(low),
                    port.a[2 * index + 1].eq(part),
                    port.b[2 * index + 1].eq(part[LOW_BITS:].as_signed()),
                ]
        low_sum, high_sum = products[0] + products[2], products[1] + products[3]

        rest, found = remainder, root
        for digit in range(ROOT_BITS_A_CYCLE):
            top = POWER_BITS - 2 * digit
            widened = Cat(value[top - 2 : top], rest)[: PART_BITS + 2]
            less = widened - Cat(Const(1, 2), found)
            fits = less >= 0
            rest_next, found_next = Signal(PART_BITS + 2), Signal(PART_BITS)
            m.d.comb += [
                rest_next.eq(Mux(fits, less, widened)),
                found_next.eq(Cat(fits, found)),
            ]
            rest, found = rest_next, found_next

        with m.FSM() as fsm:
            with m.State("TAKE"):
                m.d.comb += [self.i.ready.eq(1), port.enable.eq(self.i.valid)]
                m.d.sync += [
                    value.eq(low_sum + (high_sum << LOW_BITS)),
                    remainder.eq(0),
                    root.eq(0),
                    steps.eq(PART_BITS // ROOT_BITS_A_CYCLE),
                ]
                with m.If(self.i.valid):
                    m.next = "ROOT"
                    with m.If(~self.root):
                        m.next = "GIVE"
            with m.State("ROOT"):
                m.d.sync += [
                    remainder.eq(rest),
                    root.eq(found),
                    value.eq(value << (2 * ROOT_BITS_A_CYCLE)),
                    steps.eq(steps - 1),
                ]
                with m.If(steps == 1):
                    m.d.sync += value.eq(found)
                    m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(value)]
                with m.If(self.o.ready):
                    m.next = "TAKE"
        m.d.sync += [
            Assert(~fsm.ongoing("ROOT") | (steps != 0), "a root of no digits"),
            Assert(~(port.enable & self.o.valid), "this block and its successor both multiply"),
        ]
        return m
