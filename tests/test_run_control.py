# amaranth: UnusedElaboratable=no

"""The end of a run that cannot go on: by hand, and its invariants for all time."""

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.sim import Simulator

from hdl.config import SMALL
from hdl.mram.signals import ReadError
from hdl.soc.run_control import RunControl, RunError
from verif.formal import prove

ADDRESS = 1234


def run(testbench):
    dut = RunControl(SMALL)

    async def wrapped(ctx):
        await testbench(ctx, dut)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(wrapped)
    sim.run()


@pytest.mark.parametrize(
    ("cause", "kind", "error", "address"),
    [
        ("failed", ReadError.UNCORRECTABLE, RunError.UNCORRECTABLE, ADDRESS),
        ("failed", ReadError.NO_WAKE, RunError.NO_WAKE, ADDRESS),
        ("power_failed", ReadError.NONE, RunError.POWER, 0),
    ],
)
@pytest.mark.parametrize("streaming", [0, 1, 20])
def test_aborts_when_the_last_read_has_returned(cause, kind, error, address, streaming):
    async def testbench(ctx, dut):
        ctx.set(dut.running, 1)
        ctx.set(dut.streaming, 1)
        await ctx.tick().repeat(5)
        assert not ctx.get(dut.stop)
        ctx.set(getattr(dut, cause), 1)
        ctx.set(dut.kind, kind)
        ctx.set(dut.address, ADDRESS)
        await ctx.tick()
        for _ in range(streaming):
            assert ctx.get(dut.stop)
            assert not ctx.get(dut.abort)
            await ctx.tick()
        ctx.set(dut.streaming, 0)
        for _ in range(SMALL.mram_latency + 1):
            assert not ctx.get(dut.abort)
            await ctx.tick()
        assert ctx.get(dut.abort)
        await ctx.tick()
        ctx.set(dut.running, 0)
        ctx.set(getattr(dut, cause), 0)
        assert not ctx.get(dut.abort)
        assert ctx.get(dut.error)
        assert ctx.get(dut.error_kind) == error
        assert ctx.get(dut.error_address) == address
        await ctx.tick()
        ctx.set(dut.start, 1)
        await ctx.tick()
        assert not ctx.get(dut.error)
        assert ctx.get(dut.error_kind) == RunError.NONE

    run(testbench)


def test_a_failure_without_a_run_is_none():
    async def testbench(ctx, dut):
        ctx.set(dut.failed, 1)
        ctx.set(dut.kind, ReadError.NO_WAKE)
        for _ in range(20):
            await ctx.tick()
            assert not ctx.get(dut.stop | dut.abort | dut.error)

    run(testbench)


class Surroundings(wiring.Component):
    """What the chip promises: a run ends with its abort, and starts only when none is under way."""

    start: In(1)
    ends: In(1)
    failed: In(1)
    power_failed: In(1)
    asks: In(1)
    kind: In(ReadError)

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = RunControl(SMALL)
        running, awake = Signal(), Signal()
        with m.If(dut.abort | self.ends):
            m.d.sync += running.eq(0)
        with m.Elif(self.start & ~dut.stop):
            m.d.sync += running.eq(1)
        with m.If(dut.stop):
            m.d.sync += awake.eq(0)
        with m.Else():
            m.d.sync += awake.eq(running & self.asks)
        m.d.comb += [
            dut.start.eq(self.start & ~running & ~dut.stop & ~dut.abort),
            dut.running.eq(running),
            dut.failed.eq(self.failed),
            dut.power_failed.eq(self.power_failed),
            dut.kind.eq(self.kind),
            dut.streaming.eq(awake),
        ]
        return m


@pytest.mark.formal
def test_invariants():
    prove(Surroundings(), name="run_control", max_steps=12)
