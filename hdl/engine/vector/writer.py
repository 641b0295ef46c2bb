"""Results to words: bytes are gathered until their word is complete, or left for another one."""

from amaranth.hdl import Assert, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ChipConfig
from hdl.engine.drain import BankWrite
from hdl.engine.vector.walk import ADDRESS, RasterWalk
from hdl.engine.vector_descriptor import VectorDescriptor

__all__ = ["Writer"]

LOW, HIGH = range(2)


class Writer(wiring.Component):
    """Writes the output in the order rows, columns, channels.

    Members
    -------
    start : In(1)
        Begin the job in `job`; only when not `busy`.
    row_start : In(ADDRESS)
        With `start`: address of the output's first row.
    job : In(VectorDescriptor)
        Must not change while `busy`.
    busy : Out(1)
        From the cycle after `start` until the last word is accepted.
    i : In(stream.Signature(signed(16)))
        Results.
    write : Out(BankWrite)
        Words, and of each the bytes that it carries; int16 as two words one after the other.
    """

    WRITE_DEPTH = 4
    """Words that wait for their bank to be free of reads."""

    def __init__(self, config: ChipConfig):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "row_start": In(ADDRESS),
                "job": In(VectorDescriptor),
                "busy": Out(1),
                "i": In(stream.Signature(signed(16))),
                "write": Out(BankWrite(config)),
            }
        )

    def elaborate(self, platform):
        """Build the gathering, and the queue in front of the banks."""
        m = Module()
        config, job = self.config, self.job
        m.submodules.walk = walk = RasterWalk(config)
        spot = walk.spot
        expecting = Signal()  # results of the job are missing
        m.d.comb += [
            walk.load.eq(self.start),
            walk.row_start.eq(self.row_start),
            walk.place.eq(job.out),
            walk.h_last.eq(job.out_h_last),
            walk.w_last.eq(job.out_w_last),
            walk.c_last.eq(job.out_c_last),
            walk.advance.eq(self.i.valid & self.i.ready),
        ]
        m.d.comb += walk.moves.as_value().eq(~0)

        # --- gathering ----------------------------------------------------------------------------
        word = data.ArrayLayout(unsigned(8), config.rows)
        planes = [Signal(word, name=name) for name in ("low", "high")]
        merged = [Signal(word, name=f"merged_{name}") for name in ("low", "high")]
        mask, merged_mask = Signal(config.rows), Signal(config.rows)
        complete = Signal()
        for plane, (kept, new) in enumerate(zip(planes, merged, strict=True)):
            m.d.comb += [new.eq(kept), new[spot.byte].eq(self.i.payload.word_select(plane, 8))]
        m.d.comb += [
            merged_mask.eq(mask | (Const(1, config.rows) << spot.byte)),
            complete.eq(walk.pixel_end | spot.byte.all()),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [kept.eq(new) for kept, new in zip(planes, merged, strict=True)]
            m.d.sync += mask.eq(Mux(complete, 0, merged_mask))

        # --- the queue: never waits for `ready`, which depends on the reads of the same job -------
        entry = Signal(self.write.word.payload.shape())
        second, second_waits = Signal.like(entry), Signal()
        m.submodules.queue = queue = fifo.SyncFIFO(
            width=len(entry.as_value()), depth=self.WRITE_DEPTH
        )
        address = Signal(ADDRESS)
        m.d.comb += [
            address.eq(spot.address),
            entry.bank.eq(spot.bank),
            entry.address.eq(address),
            entry.mask.eq(merged_mask),
            entry.data.eq(merged[LOW]),
            queue.w_data.eq(Mux(second_waits, second, entry)),
            queue.w_en.eq(second_waits | (self.i.valid & complete)),
            self.i.ready.eq(expecting & (~complete | (queue.w_rdy & ~second_waits))),
            self.write.word.valid.eq(queue.r_rdy),
            self.write.word.payload.as_value().eq(queue.r_data),
            queue.r_en.eq(self.write.word.ready),
            self.busy.eq(expecting | second_waits | queue.r_rdy),
        ]
        with m.If(second_waits):
            m.d.sync += second_waits.eq(~queue.w_rdy)
        with m.Elif(walk.advance & complete):
            m.d.sync += [
                second_waits.eq(job.out.wide),
                second.bank.eq(spot.bank),
                second.address.eq(address + 1),
                second.mask.eq(merged_mask),
                second.data.eq(merged[HIGH]),
            ]
        with m.If(self.start):
            m.d.sync += [expecting.eq(1), mask.eq(0)]
        with m.Elif(walk.advance & walk.last):
            m.d.sync += expecting.eq(0)

        beyond = address + job.out.wide >= config.bank_words
        m.d.sync += [
            Assert(~(self.start & self.busy), "job started while another one is written"),
            Assert(~(walk.advance & beyond), "a write beyond the memory"),
            Assert(~(self.i.valid & ~expecting), "a result without a job"),
            Assert(~expecting | ~second_waits | ~self.i.ready | ~complete, "a word overtaken"),
        ]
        return m
