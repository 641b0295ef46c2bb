# amaranth: UnusedElaboratable=no

"""The vector unit: proofs of its parts, volume under Verilator."""

import pytest
from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.sim import Simulator

from hdl.config import CONFIGS, SMALL
from hdl.engine.vector import Vector
from hdl.engine.vector.control import Control
from hdl.engine.vector.curve import sigmoid_table
from hdl.engine.vector.reader import Reader
from hdl.engine.vector.rescale import Rescale
from hdl.engine.vector.walk import Spot
from hdl.engine.vector.writer import Writer
from hdl.engine.vector_descriptor import VectorFunction
from models.engine import curves
from verif.formal import prove
from verif.sim import simulate


@pytest.mark.sim
@pytest.mark.parametrize("config", [CONFIGS["SMALL"], CONFIGS["FULL"]], ids=lambda c: c.name)
def test_vector_matches_model(config):
    simulate(
        Vector(config),
        bench="verif.tb_vector",
        name=f"vector_{config.name.lower()}",
        parameters={"config": config.name},
    )


def test_table_is_the_model_s():
    assert sigmoid_table() == curves.sigmoid_table().tolist()


def test_start_while_busy_is_caught():
    unit = Vector(SMALL)

    async def testbench(ctx):
        ctx.set(unit.start, 1)
        for _ in range(3):
            await ctx.tick()

    sim = Simulator(unit)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    with pytest.raises(AssertionError, match="job started while another one runs"):
        sim.run()


class ControlInUse(wiring.Component):
    """A control whose writer ends when it likes, but after the last element."""

    start: In(1)
    last: In(1)
    accepted: In(1)
    ends: In(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.control = control = Control()
        writing, last_offered, all_accepted = Signal(), Signal(), Signal()
        m.d.comb += [
            control.start.eq(self.start & ~control.busy),
            control.last.eq(self.last),
            control.accepted.eq(self.accepted),
            control.writing.eq(writing),
        ]
        with m.If(control.begin):
            m.d.sync += [writing.eq(1), last_offered.eq(0), all_accepted.eq(0)]
        with m.Else():
            with m.If(control.step & self.last):
                m.d.sync += last_offered.eq(1)
            with m.If(control.found & self.accepted & last_offered):
                m.d.sync += all_accepted.eq(1)
            with m.If(self.ends & all_accepted):
                m.d.sync += writing.eq(0)
        # What the induction has to know of the job before.
        m.d.sync += [
            Assert(~all_accepted | ~control.found, "an element behind the last one"),
            Assert(~all_accepted | last_offered),
            Assert(~last_offered | ~control.step, "a step behind the last one"),
            Assert(~writing | control.busy, "writes without a job"),
            Assert(~(control.find_b | control.find_out) | ~writing, "two jobs at once"),
        ]
        return m


class ReaderInUse(wiring.Component):
    """A reader of elements that lie anywhere; operands and widths change between jobs."""

    def __init__(self, config):
        self.config = config
        super().__init__(
            {
                "change": In(4),
                "valid": In(1),
                "ready": In(1),
                "last": In(1),
                "a": In(Spot(config)),
                "b": In(Spot(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.reader = reader = Reader(self.config)
        kind = Signal(4)
        with m.If(reader.idle & ~reader.i.valid):
            m.d.sync += kind.eq(self.change)
        m.d.comb += [
            reader.uses_a.eq(kind[0]),
            reader.uses_b.eq(kind[1]),
            reader.a_wide.eq(kind[2]),
            reader.b_wide.eq(kind[3]),
            reader.i.valid.eq(self.valid),
            reader.i.p.a.eq(self.a),
            reader.i.p.b.eq(self.b),
            reader.i.p.last.eq(self.last),
            reader.o.ready.eq(self.ready),
        ]
        return m


class FreeRescale(wiring.Component):
    """A function of any kind, among neighbours that do as they please."""

    valid: In(1)
    ready: In(1)
    adding: In(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.rescale = rescale = Rescale()
        adding = Signal(init=0)
        busy = Signal()
        m.d.sync += busy.eq(1)
        with m.If(~busy):
            m.d.sync += adding.eq(self.adding)
        m.d.comb += [
            rescale.job.function.eq(Mux(adding, VectorFunction.ADD, VectorFunction.MULTIPLY)),
            rescale.i.valid.eq(self.valid & busy),
            rescale.o.ready.eq(self.ready),
        ]
        return m


class WriterInUse(wiring.Component):
    """A writer that starts when it rests; every job ends with the end of a pixel."""

    def __init__(self, config):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "wide": In(1),
                "valid": In(1),
                "ready": In(1),
                "byte": In(2),
                "pixel_end": In(1),
                "last": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.writer = writer = Writer(self.config)
        m.d.comb += [
            writer.start.eq(self.start & ~writer.busy),
            writer.wide.eq(self.wide),
            writer.i.valid.eq(self.valid),
            writer.i.p.spot.byte.eq(self.byte),
            writer.i.p.pixel_end.eq(self.pixel_end),
            writer.i.p.last.eq(self.last & self.pixel_end),
            writer.write.word.ready.eq(self.ready),
        ]
        return m


@pytest.mark.formal
@pytest.mark.parametrize(
    "component",
    [ControlInUse(), ReaderInUse(SMALL), FreeRescale(), WriterInUse(SMALL)],
    ids=["control", "reader", "rescale", "writer"],
)
def test_parts_keep_their_promises(component):
    """By induction: for every sequence of jobs, elements and stalls."""
    prove(component, name=f"vector_{type(component).__name__.lower()}")
