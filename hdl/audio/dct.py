"""DCT-II of a frame's levels by a quarter-wave table, or each level times a factor."""

from amaranth.hdl import Assert, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.audio.config import AudioConfig
from hdl.audio.levels import LEVEL_BITS
from hdl.audio.multipliers import MultiplierPort
from hdl.audio.table import TablePort

__all__ = ["DCT_SUM_BITS", "FACTOR_BITS", "Dct"]

FACTOR_BITS = 18
DCT_SUM_BITS = 50
"""25 bits times 18, summed over up to 128 bands."""


class Dct(wiring.Component):
    """Sums of levels times cosines, exact.

    Bit-exact with `models.audio.dct.dct`; without DCT with ``levels * cosines[0]``.  Takes a whole
    frame of levels, one a cycle, then needs ``bands + 2`` cycles for each coefficient (without DCT:
    three for each level) and one of the multipliers.  The angle of band b in row k is
    ``k * (2 * b + 1)`` steps of which ``4 * bands`` make a turn; the table has the first quarter.

    Parameters
    ----------
    config : AudioConfig
        Most bands and coefficients.

    Members
    -------
    bands : In(range(config.bands + 1))
        Levels of a frame, at least 1.
    coefficients : In(range(config.coefficients + 1))
        Rows; 0 for no DCT.
    first : In(signed(18))
        Factor of row 0.
    table : In(TablePort(config.bands + 1, signed(18)))
        Cosines; without DCT row 0 is the factor.
    i : In(stream.Signature(signed(25)))
        Levels.
    o : Out(stream.Signature(signed(50)))
        Sums.
    multiply : Out(MultiplierPort())
        The first.

    ``bands``, ``coefficients``, ``first`` and the table may change between frames.
    """

    def __init__(self, config: AudioConfig):
        self.config = config
        super().__init__(
            {
                "bands": In(range(config.bands + 1)),
                "coefficients": In(range(config.coefficients + 1)),
                "first": In(signed(FACTOR_BITS)),
                "table": In(TablePort(config.bands + 1, signed(FACTOR_BITS))),
                "i": In(stream.Signature(signed(LEVEL_BITS))),
                "o": Out(stream.Signature(signed(DCT_SUM_BITS))),
                "multiply": Out(MultiplierPort()),
            }
        )

    def elaborate(self, platform):
        """Build the memories, the angle and the accumulator."""
        m = Module()
        bands = self.config.bands
        m.submodules.levels = levels = Memory(shape=signed(LEVEL_BITS), depth=bands, init=[])
        m.submodules.cosines = cosines = Memory(shape=signed(FACTOR_BITS), depth=bands + 1, init=[])
        level_write, level_read = levels.write_port(), levels.read_port()
        cosine_write, cosine_read = cosines.write_port(), cosines.read_port()
        m.d.comb += [
            cosine_write.en.eq(self.table.enable),
            cosine_write.addr.eq(self.table.address),
            cosine_write.data.eq(self.table.data),
        ]

        row, band = Signal(range(bands + 1)), Signal(range(bands + 1))
        angle, half_turn = Signal(range(4 * bands)), Signal(range(2 * bands + 1))
        m.d.comb += half_turn.eq(self.bands << 1)
        transform = self.coefficients != 0

        # cos(-x) = cos(x), cos(pi - x) = -cos(x)
        folded, mirrored = Signal(range(2 * bands + 1)), Signal()
        m.d.comb += [
            folded.eq(Mux(angle > half_turn, (half_turn << 1) - angle, angle)),
            mirrored.eq(folded > self.bands),
            level_read.addr.eq(Mux(transform, band, row)),
            cosine_read.addr.eq(Mux(transform, Mux(mirrored, half_turn - folded, folded), 0)),
        ]
        turned = Signal(range(6 * bands))
        m.d.comb += turned.eq(angle + (row << 1))

        total = Signal(signed(DCT_SUM_BITS))
        ready, negate = Signal(), Signal()  # the memories' words are those of the last address
        port = self.multiply
        factor = Mux(transform & (row == 0), self.first, cosine_read.data)
        m.d.comb += [port.enable.eq(ready), self.o.payload.eq(total)]
        with m.If(ready):
            m.d.comb += [port.a[0].eq(level_read.data), port.b[0].eq(factor)]
            m.d.sync += total.eq(total + Mux(negate, -port.product[0], port.product[0]))

        with m.FSM() as fsm:
            with m.State("STORE"):
                m.d.comb += [
                    self.i.ready.eq(1),
                    level_write.en.eq(self.i.valid),
                    level_write.addr.eq(band),
                    level_write.data.eq(self.i.payload),
                ]
                m.d.sync += [total.eq(0), row.eq(0), angle.eq(0)]
                with m.If(self.i.valid):
                    m.d.sync += band.eq(band + 1)
                    with m.If(band == self.bands - 1):
                        m.d.sync += band.eq(0)
                        m.next = "SUM"
            with m.State("SUM"):
                m.d.sync += [
                    ready.eq(1),
                    negate.eq(mirrored & transform & (row != 0)),
                    band.eq(band + 1),
                    angle.eq(Mux(turned >= half_turn << 1, turned - (half_turn << 1), turned)),
                ]
                with m.If(~transform | (band == self.bands - 1)):
                    m.d.sync += band.eq(0)
                    m.next = "LAST"
            with m.State("LAST"):
                m.d.sync += ready.eq(0)
                m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [total.eq(0), row.eq(row + 1), angle.eq(row + 1)]
                    m.next = "SUM"
                    with m.If(row + 1 == Mux(transform, self.coefficients, self.bands)):
                        m.next = "STORE"
        summing = fsm.ongoing("SUM") | fsm.ongoing("LAST")
        m.d.sync += [
            Assert(~ready | summing, "a product too many"),
            Assert(~(port.enable & level_write.en), "levels change under the sum"),
        ]
        return m
