# amaranth: UnusedElaboratable=no

"""The multiplier array: a tile by hand in Amaranth's simulator, volume under Verilator."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, flipped
from amaranth.sim import Simulator

from hdl.config import ECP5, SMALL
from hdl.engine.array import MacArray, TileWord
from hdl.engine.descriptor import WeightFormat
from models.engine.datapath import array_operands, array_sums, load_tile
from verif.formal import prove
from verif.sim import simulate

WIDE = replace(SMALL, name="WIDE", rows=8, lanes=8)
"""A window of two rows, and lanes that need several words; FULL takes a minute to build."""


def run(array, testbench):
    sim = Simulator(array)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


def test_corner_sums():
    """The largest products of every lane at once, in both senses, and a window of them."""
    array = MacArray(SMALL)
    corners = [
        (weight, operand, broadcast)
        for weight in (-128, 127)
        for operand in (-256, -255, 255)
        for broadcast in (True, False)
    ]

    async def testbench(ctx):
        for weight, operand, broadcast in corners:
            ctx.set(array.tile.p.data, int.from_bytes(bytes([weight & 0xFF]) * 16))
            ctx.set(array.tile.p.last, 1)
            ctx.set(array.tile.valid, 1)
            await ctx.tick()
            ctx.set(array.tile.valid, 0)
            assert ctx.get(array.full)
            assert not ctx.get(array.tile.ready)
            ctx.set(array.lanes, [operand] * SMALL.lanes)
            ctx.set(array.window, [[operand] * array.taps] * SMALL.rows)
            ctx.set(array.broadcast, broadcast)
            ctx.set(array.load, 1)
            ctx.set(array.swap, 1)
            await ctx.tick()
            ctx.set(array.load, 0)
            ctx.set(array.swap, 0)
            ctx.set(array.advance, 1)
            await ctx.tick()
            ctx.set(array.advance, 0)
            sums = [ctx.get(array.sums[r]) for r in range(SMALL.rows)]
            assert sums == [SMALL.lanes * weight * operand] * SMALL.rows

    run(array, testbench)


def test_swap_without_a_tile_is_caught():
    array = MacArray(SMALL)

    async def testbench(ctx):
        ctx.set(array.load, 1)
        ctx.set(array.swap, 1)
        await ctx.tick()
        await ctx.tick()

    with pytest.raises(AssertionError, match="swapped in a tile that is not complete"):
        run(array, testbench)


def test_model_of_tiles():
    shadow = np.arange(12).reshape(3, 4)
    lanes = np.arange(100, 106).reshape(2, 3)
    assert load_tile(shadow, lanes).tolist() == [
        [100, 103, 2, 3], [101, 104, 6, 7], [102, 105, 10, 11],
    ]  # fmt: skip
    assert load_tile(shadow, lanes, ones=True).tolist() == [[1] * 4] * 3
    window = np.array([[10, 20], [30, 40], [50, 60]])
    operands = array_operands(np.array([1, 2, 3, 4]), window, broadcast=False)
    assert operands.tolist() == [[10, 20, 3, 4], [30, 40, 3, 4], [50, 60, 3, 4]]
    assert array_sums(shadow, operands).tolist() == [0 + 20 + 6 + 12, 120 + 200 + 18 + 28,
                                                     400 + 540 + 30 + 44]  # fmt: skip


@pytest.mark.sim
@pytest.mark.parametrize("config", [SMALL, ECP5, WIDE], ids=lambda config: config.name)
def test_array_matches_model(config):
    simulate(
        MacArray(config),
        bench="verif.tb_array",
        name=f"array_{config.name.lower()}",
        parameters={"config": asdict(config), "latency": MacArray.LATENCY},
    )


class TileHandshake(wiring.Component):
    """An array whose user keeps to the rules; words and swaps come at any time."""

    def __init__(self, config):
        self.config = config
        super().__init__({"tile": In(stream.Signature(TileWord)), "want_swap": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.array = array = MacArray(self.config)
        lanes, per_word = self.config.lanes, self.config.lanes_per_word
        index, owed = Signal(range(lanes + 1)), Signal(2)
        # All words of a tile have one format.
        chosen, held = Signal(WeightFormat), Signal(WeightFormat)
        m.d.comb += chosen.eq(Mux(index == 0, self.tile.p.weight_format, held))
        m.d.sync += held.eq(chosen)
        words = Signal(range(lanes + 1))
        with m.Switch(chosen):
            with m.Case(WeightFormat.INT4):
                m.d.comb += words.eq(-(-lanes // (2 * per_word)))
            with m.Case(WeightFormat.INT2):
                m.d.comb += words.eq(-(-lanes // (4 * per_word)))
            with m.Default():
                m.d.comb += words.eq(-(-lanes // per_word))
        swap, completed = Signal(), Signal()
        wiring.connect(m, flipped(self.tile), array.tile)
        m.d.comb += [
            array.tile.p.weight_format.eq(chosen),
            array.tile.p.ones.eq(self.tile.p.ones & (index == 0)),
            array.tile.p.last.eq(self.tile.p.last | array.tile.p.ones | (index == words - 1)),
            swap.eq(self.want_swap & array.full),
            array.swap.eq(swap),
            array.load.eq(swap),
            completed.eq(array.tile.valid & array.tile.ready & array.tile.p.last),
        ]
        with m.If(array.tile.valid & array.tile.ready):
            m.d.sync += index.eq(Mux(completed, 0, index + 1))
        m.d.sync += owed.eq(owed + completed - swap)
        m.d.sync += Assert((index == 0) | (index < words), "words behind the tile")
        m.d.sync += Assert(owed == array.full, "a tile was lost, or swapped in twice")
        return m


@pytest.mark.formal
def test_tiles_are_swapped_in_once():
    prove(TileHandshake(WIDE), name="tile_handshake")
