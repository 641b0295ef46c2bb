"""The first filter behind a PDM microphone: a cascade of integrators and combs."""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

__all__ = ["CIC_BITS", "ORDER", "RATIO", "CicFilter"]

ORDER = 4
RATIO = 16
CIC_BITS = ORDER * exact_log2(RATIO) + 1
"""Width of a result, Q1.16."""
WIDTH = CIC_BITS + 1
"""Width inside, modulo ``2**WIDTH``: results reach 2**16, which does not fit `CIC_BITS`."""


class CicFilter(wiring.Component):
    """One bit a cycle in, one Q1.16 sample for each `RATIO` of them out; nothing is rounded.

    Bit-exact with `models.audio.cic.decimate_bits`, whose ``bits`` begin in the first cycle after
    reset.  The combs take turns on one subtractor.

    Members
    -------
    bit : In(1)
        1 is +1, 0 is -1; one in every cycle.
    o : Out(stream of signed(17), always ready)
        Results, `LATENCY` cycles after the cycle of their last bit.
    """

    LATENCY = 2 * ORDER + 1

    bit: In(1)
    o: Out(stream.Signature(signed(CIC_BITS), always_ready=True))

    def elaborate(self, platform):
        """Build the integrators, one register each, and the serial combs."""
        m = Module()
        sums = [Signal(signed(WIDTH), name=f"sum_{i}") for i in range(ORDER)]
        for total, addend in zip(sums, [Mux(self.bit, 1, -1), *sums[:-1]], strict=True):
            m.d.sync += total.eq(total + addend)

        # The last sum shows bit n in the cycle n + ORDER; the first one wanted is RATIO - 1.
        until_next = Signal(range(RATIO + ORDER), init=RATIO - 1 + ORDER)
        m.d.sync += until_next.eq(until_next - 1)
        value = Signal(signed(WIDTH))
        before = Signal(ORDER * WIDTH)  # the last input of each comb, the next comb's lowest
        left = Signal(range(ORDER + 1))
        with m.If(until_next == 0):
            m.d.sync += [until_next.eq(RATIO - 1), value.eq(sums[-1]), left.eq(ORDER)]
        with m.Elif(left != 0):
            m.d.sync += [
                value.eq(value - before[:WIDTH]),
                before.eq(Cat(before[WIDTH:], value)),
                left.eq(left - 1),
            ]
        m.d.sync += self.o.valid.eq(left == 1)
        largest = (1 << (CIC_BITS - 1)) - 1
        m.d.comb += self.o.payload.eq(Mux(value > largest, largest, value))

        m.d.sync += Assert((until_next != 0) | (left == 0), "a sum came while the combs worked")
        return m
