# amaranth: UnusedElaboratable=no

"""The parameter banks: a group by hand, volume under Verilator, the hand-over by proof."""

from dataclasses import asdict, replace

import pytest
from amaranth.hdl import Assert, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, flipped
from amaranth.sim import Simulator

from hdl.config import ECP5, FULL, SMALL
from hdl.engine.descriptor import parameter_words
from hdl.engine.parameters import ParameterStore
from verif.formal import prove
from verif.sim import simulate

QUARTERS = replace(SMALL, name="QUARTERS", rows=8, lanes=8, requantizers=2)
"""Four slices a group."""


def run(store, testbench):
    sim = Simulator(store)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


def test_corner_values():
    """The ends of every field, sign and all, from the words of one group."""
    store = ParameterStore(SMALL)
    biases = [-(1 << 31), (1 << 31) - 1, -1, 0]
    multipliers = [0, (1 << 31) - 1, 1 << 30, 1]
    shifts = [-31, 31, -1, 0]
    words = [
        b"".join(number.to_bytes(4, "little", signed=True) for number in numbers)
        for numbers in (biases, multipliers)
    ] + [b"".join(number.to_bytes(1, "little", signed=True) for number in shifts)]

    async def testbench(ctx):
        for word in words:
            assert not ctx.get(store.full)
            ctx.set(store.i.payload, int.from_bytes(word, "little"))
            ctx.set(store.i.valid, 1)
            await ctx.tick()
        ctx.set(store.i.valid, 0)
        assert ctx.get(store.full)
        for r in range(SMALL.rows):
            which, lane = divmod(r, SMALL.requantizers)
            ctx.set(store.slice, which)
            channel = store.channels[lane]
            assert ctx.get(channel.bias) == biases[r]
            assert ctx.get(channel.multiplier) == multipliers[r]
            assert ctx.get(channel.shift) == shifts[r]

    run(store, testbench)


def test_release_of_an_incomplete_bank_is_caught():
    store = ParameterStore(SMALL)

    async def testbench(ctx):
        ctx.set(store.release, 1)
        await ctx.tick()
        await ctx.tick()

    with pytest.raises(AssertionError, match="released parameters that are not complete"):
        run(store, testbench)


@pytest.mark.sim
@pytest.mark.parametrize("config", [QUARTERS, ECP5, FULL], ids=lambda config: config.name)
def test_parameters_match_model(config):
    simulate(
        ParameterStore(config),
        bench="verif.tb_parameters",
        name=f"parameters_{config.name.lower()}",
        parameters={"config": asdict(config)},
    )


class HandOver(wiring.Component):
    """A store whose user releases complete banks only; words and releases come at any time."""

    i: In(stream.Signature(128))
    want_release: In(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = ParameterStore(SMALL)
        wiring.connect(m, flipped(self.i), store.i)
        words = parameter_words(SMALL.rows)
        index, owed, completed = Signal(range(words)), Signal(2), Signal()
        moved = self.i.valid & self.i.ready
        m.d.comb += [
            store.release.eq(self.want_release & store.full),
            completed.eq(moved & (index == words - 1)),
        ]
        with m.If(moved):
            m.d.sync += index.eq(index + 1)
            with m.If(completed):
                m.d.sync += index.eq(0)
        m.d.sync += owed.eq(owed + completed - store.release)
        m.d.sync += [
            Assert(owed <= 2, "more groups than banks"),
            Assert(store.full == (owed != 0), "full is not: some group is complete"),
            Assert(self.i.ready == (owed != 2), "ready is not: some bank is free"),
        ]
        return m


@pytest.mark.formal
def test_banks_are_handed_over():
    prove(HandOver(), name="hand_over")
