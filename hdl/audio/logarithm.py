"""Logarithm to base 2 by normalisation and a table."""

import itertools
import math

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["LOG2_BITS", "LOG_FRACTION", "SUM_BITS", "Log2"]

SUM_BITS = 76
LOG_FRACTION = 16
LOG2_BITS = 7 + LOG_FRACTION

INDEX_BITS, POSITION_BITS, SLOPE_BITS = 7, 16, 10
LINE = data.StructLayout({"start": unsigned(LOG_FRACTION), "slope": unsigned(SLOPE_BITS)})
SHIFTS = (64, 32, 16, 8, 4, 2, 1)


def lines() -> list[dict[str, int]]:
    """Begin and slope of each line between neighbours of ``log2(1 + i / 128)``."""
    entries = 1 << INDEX_BITS
    values = [round(math.log2(1 + i / entries) * (1 << LOG_FRACTION)) for i in range(entries + 1)]
    pairs = itertools.pairwise(values)
    return [{"start": start, "slope": end - start} for start, end in pairs]


class Log2(wiring.Component):
    """``log2(i)`` of an integer above 0, serially and without a multiplier.

    Bit-exact with `models.audio.logarithm.log2`: one cycle for each of seven shifts that bring the
    leading one to the top, one for the table, ten for the product of slope and position.

    Members
    -------
    i : In(stream.Signature(unsigned(76)))
        At least 1; 0 gives a number without meaning.
    o : Out(stream.Signature(unsigned(23)))
        Q7.16, `LATENCY` cycles later.
    """

    LATENCY = 1 + len(SHIFTS) + 1 + SLOPE_BITS

    i: In(stream.Signature(unsigned(SUM_BITS)))
    o: Out(stream.Signature(unsigned(LOG2_BITS)))

    def elaborate(self, platform):
        """Build the normaliser, the table and the serial product."""
        m = Module()
        m.submodules.table = table = Memory(shape=LINE, depth=1 << INDEX_BITS, init=lines())
        read = table.read_port()

        value, exponent = Signal(SUM_BITS), Signal(7)
        step = Signal(range(max(len(SHIFTS), SLOPE_BITS)))
        slope, position = Signal(SLOPE_BITS), Signal(POSITION_BITS + SLOPE_BITS)
        product = Signal(POSITION_BITS + SLOPE_BITS)
        start = Signal(LOG_FRACTION)

        fraction = value[SUM_BITS - 1 - INDEX_BITS - POSITION_BITS : SUM_BITS - 1]
        m.d.comb += read.addr.eq(fraction[POSITION_BITS:])
        line = start + (product >> POSITION_BITS)
        m.d.comb += self.o.payload.eq((exponent << LOG_FRACTION) + line)

        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [value.eq(self.i.payload), exponent.eq(SUM_BITS - 1), step.eq(0)]
                with m.If(self.i.valid):
                    m.next = "NORMALISE"
            with m.State("NORMALISE"):
                m.d.sync += step.eq(step + 1)
                with m.Switch(step):
                    for index, shift in enumerate(SHIFTS):
                        with m.Case(index):
                            with m.If(value[SUM_BITS - shift :] == 0):
                                m.d.sync += [
                                    value.eq(value << shift),
                                    exponent.eq(exponent - shift),
                                ]
                with m.If(step == len(SHIFTS) - 1):
                    m.next = "LOOK_UP"
            with m.State("LOOK_UP"):
                m.d.sync += step.eq(0)
                m.next = "MULTIPLY"
            with m.State("MULTIPLY"):
                first = step == 0
                slope_now = Mux(first, read.data.slope, slope)
                position_now = Mux(first, fraction[:POSITION_BITS], position)
                half = 1 << (POSITION_BITS - 1)
                m.d.sync += [
                    step.eq(step + 1),
                    product.eq(Mux(first, half, product) + Mux(slope_now[0], position_now, 0)),
                    slope.eq(slope_now >> 1),
                    position.eq(position_now << 1),
                ]
                with m.If(first):
                    m.d.sync += start.eq(read.data.start)
                with m.If(step == SLOPE_BITS - 1):
                    m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "TAKE"
        return m
