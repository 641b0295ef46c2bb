"""The vector unit's control: one job from its descriptor to its last write."""

from amaranth.hdl import Assert, Module, Mux, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, flipped

from hdl.config import ACT_BANKS, MRAM_WORD_BYTES, ChipConfig
from hdl.engine.drain import BankWrite
from hdl.engine.fetch import BankRead
from hdl.engine.vector.compute import Compute
from hdl.engine.vector.control import Control
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
        """Connect walks, reader, arithmetic and writer."""
        m = Module()
        job, function = self.job, self.job.function
        m.submodules.control = control = Control()
        m.submodules.walk_a = walk_a = LevelWalk(self.config)
        m.submodules.walk_b = walk_b = RasterWalk(self.config)
        m.submodules.walk_out = walk_out = RasterWalk(self.config)
        m.submodules.reader = reader = Reader(self.config)
        m.submodules.compute = compute = Compute()
        m.submodules.rescale = rescale = Rescale()
        m.submodules.writer = writer = Writer(self.config)

        # --- control ------------------------------------------------------------------------------
        m.d.comb += [
            control.start.eq(self.start),
            self.busy.eq(control.busy),
            control.last.eq(walk_b.last),
            control.accepted.eq(reader.i.ready),
            control.writing.eq(writer.busy),
        ]

        # --- walks: the row multiplier of `walk_a` finds the first rows of the others -------------
        m.d.comb += [
            walk_a.load.eq(control.begin),
            walk_a.place.eq(job.a),
            walk_a.levels.eq(job.a_levels),
            walk_a.advance.eq(control.step),
            walk_a.borrow.eq(control.find_b | control.find_out),
            walk_a.borrow_row0.eq(Mux(control.find_b, job.b.row0, job.out.row0)),
            walk_a.borrow_row_words.eq(Mux(control.find_b, job.b.row_words, job.out.row_words)),
            walk_b.load.eq(control.find_out),
            walk_b.row_start.eq(job.b.base + walk_a.borrowed),
            walk_b.place.eq(job.b),
            walk_b.moves.eq(job.b_moves),
            walk_b.advance.eq(control.step),
            walk_out.load.eq(control.begin),
            walk_out.row_start.eq(job.out.base + walk_a.borrowed),
            walk_out.place.eq(job.out),
            walk_out.moves.as_value().eq(~0),
            walk_out.advance.eq(writer.i.valid & writer.i.ready),
        ]
        for walk in (walk_b, walk_out):
            m.d.comb += [
                walk.h_last.eq(job.out_h_last),
                walk.w_last.eq(job.out_w_last),
                walk.c_last.eq(job.out_c_last),
            ]

        # --- reader -------------------------------------------------------------------------------
        m.d.comb += [
            reader.uses_a.eq(function != VectorFunction.LOAD),
            reader.uses_b.eq(function.as_value() >= VectorFunction.MULTIPLY.value),
            reader.a_wide.eq(job.a.wide),
            reader.b_wide.eq(job.b.wide),
            reader.i.valid.eq(control.found),
            reader.i.p.a.eq(walk_a.spot),
        ]
        with m.If(control.step):
            m.d.sync += [reader.i.p.b.eq(walk_b.spot), reader.i.p.last.eq(walk_b.last)]
        for bank, read in zip(self.banks, reader.banks, strict=True):
            wiring.connect(m, flipped(bank), read)

        # --- arithmetic ---------------------------------------------------------------------------
        wiring.connect(m, flipped(self.words), compute.words)
        wiring.connect(m, reader.o, compute.i)
        wiring.connect(m, compute.o, rescale.i)
        m.d.comb += [
            compute.start.eq(control.find_b),
            compute.running.eq(control.busy),
            compute.job.eq(job),
            rescale.job.eq(job),
        ]

        # --- writer -------------------------------------------------------------------------------
        wiring.connect(m, flipped(self.write), writer.write)
        m.d.comb += [
            writer.start.eq(control.begin),
            writer.wide.eq(job.out.wide),
            writer.i.valid.eq(rescale.o.valid),
            rescale.o.ready.eq(writer.i.ready),
            writer.i.p.value.eq(rescale.o.payload),
            writer.i.p.spot.eq(walk_out.spot),
            writer.i.p.pixel_end.eq(walk_out.pixel_end),
            writer.i.p.last.eq(walk_out.last),
        ]

        words = self.config.bank_words
        for used, spot, wide in (
            (reader.i.valid & reader.uses_a, reader.i.p.a, job.a.wide),
            (reader.i.valid & reader.uses_b, reader.i.p.b, job.b.wide),
            (writer.i.valid, writer.i.p.spot, job.out.wide),
        ):
            m.d.sync += Assert(~used | (spot.address + wide < words), "beyond the memory")
        m.d.sync += [
            Assert(~writer.i.valid | writer.busy, "a result without a job"),
            Assert(~control.begin | reader.idle, "a job began with elements of another one"),
        ]
        return m
