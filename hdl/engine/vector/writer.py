"""Results to words: bytes are gathered until their word is complete, or left for another one."""

from amaranth.hdl import Assert, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ChipConfig
from hdl.engine.drain import BankWrite
from hdl.engine.vector.walk import Spot

__all__ = ["Result", "Writer"]

LOW, HIGH = range(2)


class Result(data.StructLayout):
    """A value and where it goes; ``pixel_end`` and ``last`` as `RasterWalk` has them."""

    def __init__(self, config: ChipConfig):
        super().__init__(
            {
                "value": signed(16),
                "spot": Spot(config),
                "pixel_end": unsigned(1),
                "last": unsigned(1),
            }
        )


class Writer(wiring.Component):
    """Writes what comes in order of channels: a word when it is complete or its pixel ends.

    Members
    -------
    start : In(1)
        Begin a job; only when not `busy`.
    wide : In(1)
        int16: a word of low bytes, then one of high bytes.  Must not change while `busy`.
    busy : Out(1)
        From the cycle after `start` until the last word is accepted.
    i : In(stream.Signature(Result))
    write : Out(BankWrite)
        Words, and of each the bytes that it carries.
    """

    WRITE_DEPTH = 4
    """Words that wait for their bank to be free of reads."""

    def __init__(self, config: ChipConfig):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "wide": In(1),
                "busy": Out(1),
                "i": In(stream.Signature(Result(config))),
                "write": Out(BankWrite(config)),
            }
        )

    def elaborate(self, platform):
        """Build the gathering, and the queue in front of the banks."""
        m = Module()
        config, spot = self.config, self.i.p.spot
        expecting = Signal()  # results of the job are missing
        taken = Signal()
        m.d.comb += taken.eq(self.i.valid & self.i.ready)

        # --- gathering ----------------------------------------------------------------------------
        word = data.ArrayLayout(unsigned(8), config.rows)
        planes = [Signal(word, name=name) for name in ("low", "high")]
        merged = [Signal(word, name=f"merged_{name}") for name in ("low", "high")]
        mask, merged_mask = Signal(config.rows), Signal(config.rows)
        complete = Signal()
        for plane, (kept, new) in enumerate(zip(planes, merged, strict=True)):
            m.d.comb += [new.eq(kept), new[spot.byte].eq(self.i.p.value.word_select(plane, 8))]
        m.d.comb += [
            merged_mask.eq(mask | (Const(1, config.rows) << spot.byte)),
            complete.eq(self.i.p.pixel_end | spot.byte.all()),
        ]
        with m.If(taken):
            m.d.sync += [kept.eq(new) for kept, new in zip(planes, merged, strict=True)]
            m.d.sync += mask.eq(Mux(complete, 0, merged_mask))

        # --- the queue: `ready` depends on the reads of the same job, which must not depend on it -
        entry = Signal(self.write.word.payload.shape())
        second, second_waits = Signal.like(entry), Signal()
        m.submodules.queue = queue = fifo.SyncFIFO(
            width=len(entry.as_value()), depth=self.WRITE_DEPTH
        )
        m.d.comb += [
            entry.bank.eq(spot.bank),
            entry.address.eq(spot.address),
            entry.mask.eq(merged_mask),
            entry.data.eq(merged[LOW]),
            queue.w_data.eq(Mux(second_waits, second, entry)),
            queue.w_en.eq(second_waits | (taken & complete)),
            self.i.ready.eq(expecting & (~complete | (queue.w_rdy & ~second_waits))),
            self.write.word.valid.eq(queue.r_rdy),
            self.write.word.payload.as_value().eq(queue.r_data),
            queue.r_en.eq(self.write.word.ready),
            self.busy.eq(expecting | second_waits | queue.r_rdy),
        ]
        with m.If(second_waits):
            m.d.sync += second_waits.eq(~queue.w_rdy)
        with m.Elif(taken & complete):
            m.d.sync += [
                second_waits.eq(self.wide),
                second.eq(entry),
                second.address.eq(spot.address + 1),
                second.data.eq(merged[HIGH]),
            ]
        with m.If(self.start):
            m.d.sync += expecting.eq(1)
        with m.Elif(taken & self.i.p.last):
            m.d.sync += expecting.eq(0)

        pushed = queue.w_en & queue.w_rdy
        m.d.sync += [
            Assert(~(self.start & self.busy), "job started while another one is written"),
            Assert(~(taken & complete) | pushed, "a word was lost"),
            Assert(~(taken & complete & second_waits), "high bytes overtaken"),
            Assert(expecting | (mask == 0), "bytes are left behind"),
            Assert(~queue.r_rdy | self.busy, "a word without a job"),
        ]
        return m
