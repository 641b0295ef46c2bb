"""The multiplier array: rows x lanes products a cycle, weights stationary and double-buffered."""

from amaranth.hdl import Assert, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import MRAM_WORD_BYTES, ChipConfig
from hdl.engine.fetch import OPERAND

__all__ = ["SUM_BITS", "MacArray", "TileWord"]

SUM_BITS = 9 + 8 + 4
"""Sum of up to 16 products of a 9-bit operand and an 8-bit weight.

``16 * 255 * 128 < 2**19.1``, and one bit of sign.
"""


class TileWord(data.Struct):
    """A piece of a weight tile on its way into the shadow registers."""

    data: 8 * MRAM_WORD_BYTES
    """``16 // rows`` lanes of ``rows`` weights, array row 0 first."""
    ones: 1
    """Ignore `data`, set every weight of the tile to one."""
    last: 1
    """The tile is complete; lanes not loaded keep what they held and must get operand 0."""


class MacArray(wiring.Component):
    """Multiplies and sums: ``sums[r] = sum over lanes of weight[r][lane] * operand[r][lane]``.

    One tile of weights works while the next one is loaded into shadow registers.  The operand of a
    lane is broadcast to all rows, or, in a window step, the row's own tap.

    Members
    -------
    tile : In(stream.Signature(TileWord))
        The next tile, lane after lane.  Ready unless a complete tile waits to be swapped in.
    full : Out(1)
        A complete tile waits.
    load : In(1)
        Take `lanes` and `window` into the operand registers.
    swap : In(1)
        With `load`: swap in the waiting tile, for these operands onwards.
    broadcast : In(1)
        With `load`: use `lanes`; otherwise the first lanes use `window`.
    lanes, window : In
        Operands; see `Align`.
    advance : In(1)
        Take the products of the operands into `sums`.
    sums : Out
        ``rows`` sums, one cycle of `advance` after `load`.
    """

    LATENCY = 2
    """Cycles from `load` to `sums`, with `advance` in the second."""

    def __init__(self, config: ChipConfig):
        self.config = config
        self.taps = 3 * config.window_rows
        super().__init__(
            {
                "tile": In(stream.Signature(TileWord)),
                "full": Out(1),
                "load": In(1),
                "swap": In(1),
                "broadcast": In(1),
                "lanes": In(data.ArrayLayout(OPERAND, config.lanes)),
                "window": In(data.ArrayLayout(data.ArrayLayout(OPERAND, self.taps), config.rows)),
                "advance": In(1),
                "sums": Out(data.ArrayLayout(signed(SUM_BITS), config.rows)),
            }
        )

    def elaborate(self, platform):
        """Build weights, operands and adder trees."""
        m = Module()
        config = self.config
        rows, lanes, per_word = config.rows, config.lanes, config.lanes_per_word

        def weights(name):
            return [
                [Signal(signed(8), name=f"{name}_{r}_{lane}") for lane in range(lanes)]
                for r in range(rows)
            ]

        shadow, active = weights("shadow"), weights("active")
        tile = self.tile.p
        index = Signal(range(-(-lanes // per_word) + 1))
        m.d.comb += self.tile.ready.eq(~self.full | self.swap)
        with m.If(self.swap):
            m.d.sync += self.full.eq(0)
            for r in range(rows):
                m.d.sync += [active[r][lane].eq(shadow[r][lane]) for lane in range(lanes)]
        with m.If(self.tile.valid & self.tile.ready):
            m.d.sync += [index.eq(Mux(tile.last, 0, index + 1)), self.full.eq(tile.last)]
            with m.If(tile.ones):
                for r in range(rows):
                    m.d.sync += [shadow[r][lane].eq(1) for lane in range(lanes)]
            with m.Else():
                for lane in range(lanes):
                    start = lane % per_word * rows
                    with m.If(index == lane // per_word):
                        for r in range(rows):
                            byte = tile.data[8 * (start + r) : 8 * (start + r + 1)]
                            m.d.sync += shadow[r][lane].eq(byte)

        lane_operands = [Signal(OPERAND, name=f"lane_{lane}") for lane in range(lanes)]
        windowed = Signal()
        with m.If(self.load):
            m.d.sync += windowed.eq(~self.broadcast)
            m.d.sync += [lane_operands[lane].eq(self.lanes[lane]) for lane in range(lanes)]
        for r in range(rows):
            products = []
            for lane in range(lanes):
                operand = lane_operands[lane]
                if lane < self.taps:
                    own = Signal(OPERAND, name=f"window_{r}_{lane}")
                    with m.If(self.load & ~self.broadcast):
                        m.d.sync += own.eq(self.window[r][lane])
                    operand = Mux(windowed, own, operand)
                products.append(operand.as_signed() * active[r][lane])
            while len(products) > 1:  # a balanced tree
                pairs = [a + b for a, b in zip(products[::2], products[1::2], strict=False)]
                products = pairs + (products[-1:] if len(products) % 2 else [])
            with m.If(self.advance):
                m.d.sync += self.sums[r].eq(products[0])

        loading = self.tile.valid & self.tile.ready
        m.d.sync += [
            Assert(~self.swap | self.full, "swapped in a tile that is not complete"),
            Assert(~self.swap | self.load, "swapped in a tile without operands"),
            Assert(~loading | (index < -(-lanes // per_word)), "a tile longer than the array"),
            Assert(
                ~(loading & tile.ones) | (tile.last & (index == 0)),
                "a tile of ones is a single word",
            ),
        ]
        return m
