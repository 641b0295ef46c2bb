"""The multiplier array: rows x lanes products a cycle, weights stationary and double-buffered."""

from amaranth.hdl import Assert, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import MRAM_WORD_BYTES, ChipConfig
from hdl.engine.descriptor import WeightFormat
from hdl.engine.fetch import OPERAND

__all__ = ["PACKINGS", "SUM_BITS", "MacArray", "TileWord"]

PACKINGS = {WeightFormat.INT4: 1, WeightFormat.INT2: 2}
"""Binary logarithm of how many weights take the place of one of int8, where it is not one."""

SUM_BITS = 9 + 8 + 4
"""Sum of up to 16 products of a 9-bit operand and an 8-bit weight.

``16 * 255 * 128 < 2**19.1``, and one bit of sign.
"""


class TileWord(data.Struct):
    """A piece of a weight tile on its way into the shadow registers."""

    data: 8 * MRAM_WORD_BYTES
    """``16 // rows`` lanes of ``rows`` weights, array row 0 first; twice as many lanes of int4 and
    four times as many of int2, the earlier weight in the lower bits."""
    weight_format: WeightFormat
    """Of all words of a tile; INT16 is loaded as INT8, tile by tile."""
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
        The next tile, lane after lane; weights of fewer bits are extended to int8.  Ready unless a
        complete tile waits to be swapped in.
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
        rows, lanes = config.rows, config.lanes

        def weights(name):
            return [
                [Signal(signed(8), name=f"{name}_{r}_{lane}") for lane in range(lanes)]
                for r in range(rows)
            ]

        shadow, active = weights("shadow"), weights("active")
        tile = self.tile.p
        index = Signal(range(-(-lanes // config.lanes_per_word) + 1))
        unpacked = self._unpacked_weights(m)
        words = [self._word_of(m, lane) for lane in range(lanes)]
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
                    with m.If(index == words[lane]):
                        for r in range(rows):
                            m.d.sync += shadow[r][lane].eq(unpacked[lane % len(unpacked)][r])

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
            Assert(~loading | tile.ones | (index <= words[-1]), "a tile longer than the array"),
            Assert(
                ~(loading & tile.ones) | (tile.last & (index == 0)),
                "a tile of ones is a single word",
            ),
        ]
        return m

    def _unpacked_weights(self, m: Module) -> list[list[Signal]]:
        """Weights of a word, by lane and row, extended to int8.

        Of as many lanes as a word of the narrowest format holds: a lane takes those of its number
        modulo their count, whatever the format, which leaves no choice to each lane.
        """
        tile, rows, per_word = self.tile.p, self.config.rows, self.config.lanes_per_word
        period = per_word << max(PACKINGS.values())
        result = []
        for lane in range(min(self.config.lanes, period)):
            weights = []
            for r in range(rows):
                weight = Signal(signed(8), name=f"unpacked_{lane}_{r}")
                with m.Switch(tile.weight_format):
                    for weight_format, packing in PACKINGS.items():
                        at = lane % (per_word << packing) * rows + r
                        with m.Case(weight_format):
                            m.d.comb += weight.eq(
                                tile.data.word_select(at, 8 >> packing).as_signed()
                            )
                    with m.Default():
                        at = lane % per_word * rows + r
                        m.d.comb += weight.eq(tile.data.word_select(at, 8))
                weights.append(weight)
            result.append(weights)
        return result

    def _word_of(self, m: Module, lane: int) -> Signal:
        """Index of the word of a tile that holds the weights of ``lane``."""
        per_word = self.config.lanes_per_word
        word = Signal(range(-(-self.config.lanes // per_word) + 1), name=f"word_of_{lane}")
        with m.Switch(self.tile.p.weight_format):
            for weight_format, packing in PACKINGS.items():
                with m.Case(weight_format):
                    m.d.comb += word.eq(lane // (per_word << packing))
            with m.Default():
                m.d.comb += word.eq(lane // per_word)
        return word
