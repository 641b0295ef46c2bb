"""The vector unit's control: one job from its descriptor to its last write."""

from amaranth.hdl import Assert, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, flipped

from hdl.config import ACT_BANKS, MRAM_WORD_BYTES, ChipConfig
from hdl.engine.drain import BankWrite
from hdl.engine.fetch import BankRead
from hdl.engine.vector.compute import Compute
from hdl.engine.vector.reader import Reader
from hdl.engine.vector.rescale import Rescale
from hdl.engine.vector.walk import LevelWalk, RasterWalk
from hdl.engine.vector.writer import Writer
from hdl.engine.vector_descriptor import VectorDescriptor, VectorFunction

__all__ = ["Vector"]


class Vector(wiring.Component):
    """Streams the elements of one job through a pipeline, one a cycle at best.

    Members
    -------
    start : In(1)
        Begin the job in `job`; only when not `busy`.
    job : In(VectorDescriptor)
        Must not change while `busy`.
    busy : Out(1)
        From the cycle after `start` until the last write is accepted.
    words : In(stream.Signature(unsigned(128)))
        What follows the descriptor: ``payload_words`` words, all of them taken before `busy` ends.
    banks : array of Out(BankRead)
    write : Out(BankWrite)
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "job": In(VectorDescriptor),
                "busy": Out(1),
                "words": In(stream.Signature(unsigned(8 * MRAM_WORD_BYTES))),
                "banks": Out(BankRead(config)).array(ACT_BANKS),
                "write": Out(BankWrite(config)),
            }
        )

    def elaborate(self, platform):
        """Connect the stages, and start them one after the other."""
        m = Module()
        config, job, function = self.config, self.job, self.job.function
        m.submodules.walk_a = walk_a = LevelWalk(config)
        m.submodules.walk_b = walk_b = RasterWalk(config)
        m.submodules.reader = reader = Reader(config)
        m.submodules.compute = compute = Compute()
        m.submodules.rescale = rescale = Rescale()
        m.submodules.writer = writer = Writer(config)
        wiring.connect(m, flipped(self.words), compute.words)
        wiring.connect(m, reader.o, compute.i)
        wiring.connect(m, compute.o, rescale.i)
        wiring.connect(m, rescale.o, writer.i)
        wiring.connect(m, flipped(self.write), writer.write)
        for bank, read in zip(self.banks, reader.banks, strict=True):
            m.d.comb += [
                bank.enable.eq(read.enable),
                bank.address.eq(read.address),
                read.data.eq(bank.data),
            ]
        m.d.comb += [
            walk_a.place.eq(job.a),
            walk_a.levels.eq(job.a_levels),
            walk_b.place.eq(job.b),
            walk_b.moves.eq(job.b_moves),
            walk_b.h_last.eq(job.out_h_last),
            walk_b.w_last.eq(job.out_w_last),
            walk_b.c_last.eq(job.out_c_last),
            reader.a_wide.eq(job.a.wide),
            reader.b_wide.eq(job.b.wide),
            reader.uses_a.eq(function != VectorFunction.LOAD),
            reader.uses_b.eq(function.as_value() >= VectorFunction.MULTIPLY.value),
            compute.job.eq(job),
            compute.running.eq(self.busy),
            rescale.job.eq(job),
            writer.job.eq(job),
        ]

        # --- elements, until the last one: walks, then the stage behind their products ------------
        walking, found = Signal(), Signal()
        step = Signal()
        m.d.comb += [
            step.eq(~found | reader.i.ready),
            walk_a.advance.eq(step & walking),
            walk_b.advance.eq(step & walking),
            reader.i.valid.eq(found),
            reader.i.p.a.eq(walk_a.spot),
        ]
        with m.If(step):
            m.d.sync += found.eq(walking)
            with m.If(walking):
                m.d.sync += [
                    reader.i.p.b.eq(walk_b.spot),
                    reader.i.p.last.eq(walk_b.last),
                    walking.eq(~walk_b.last),
                ]

        # --- one job ------------------------------------------------------------------------------
        # The row multiplier of `walk_a` finds the first rows of the two other tensors before.
        begin = Signal()
        m.d.comb += [
            self.busy.eq(~begin),
            walk_a.borrow_row0.eq(job.b.row0),
            walk_a.borrow_row_words.eq(job.b.row_words),
            walk_b.row_start.eq(job.b.base + walk_a.borrowed),
            writer.row_start.eq(job.out.base + walk_a.borrowed),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [begin.eq(1), walk_a.borrow.eq(self.start)]
                with m.If(self.start):
                    m.d.comb += [walk_a.load.eq(1), compute.start.eq(1)]
                    m.next = "OUTPUT"
            with m.State("OUTPUT"):
                m.d.comb += [
                    walk_b.load.eq(1),
                    walk_a.borrow.eq(1),
                    walk_a.borrow_row0.eq(job.out.row0),
                    walk_a.borrow_row_words.eq(job.out.row_words),
                ]
                m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += writer.start.eq(1)
                m.d.sync += walking.eq(1)
                m.next = "RUN"
            with m.State("RUN"):
                with m.If(~writer.busy):
                    m.next = "IDLE"

        m.d.sync += [
            Assert(~(self.start & self.busy), "job started while another one runs"),
            Assert(
                writer.busy | begin | ~(walking | found) | writer.start,
                "elements without a job",
            ),
        ]
        return m
