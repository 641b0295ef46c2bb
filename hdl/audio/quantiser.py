"""From sums in the tensor's scale to int8."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.audio.dct import DCT_SUM_BITS

__all__ = ["OFFSET_BITS", "Quantisation", "Quantiser"]

OFFSET_BITS = 60
SHIFT_BITS = 6


class Quantisation(data.Struct):
    """Constants of a front end, see `models.audio.tables.TailTable`."""

    offset: signed(OFFSET_BITS)
    shift: unsigned(SHIFT_BITS)
    low: signed(8)
    high: signed(8)


class Quantiser(wiring.Component):
    """``clip((i + offset) >> shift)``.

    Bit-exact with `models.audio.quantiser.quantise`.  Combinational.

    Members
    -------
    constants : In(Quantisation)
        May change when no value is on its way.
    i : In(stream.Signature(signed(50)))
        Sums.
    o : Out(stream.Signature(signed(8)))
        Features.
    """

    constants: In(Quantisation)
    i: In(stream.Signature(signed(DCT_SUM_BITS)))
    o: Out(stream.Signature(signed(8)))

    def elaborate(self, platform):
        """Build the adder, the shifter and the bounds."""
        m = Module()
        constants = self.constants
        steps = Signal(signed(OFFSET_BITS + 1))
        above, below = steps > constants.high, steps < constants.low
        m.d.comb += [
            steps.eq((self.i.payload + constants.offset) >> constants.shift),
            self.o.payload.eq(Mux(below, constants.low, Mux(above, constants.high, steps))),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready),
        ]
        return m
