"""Finished words on their way to the activation memory: where each goes, and a queue."""

from amaranth.hdl import Assert, Module, Mux, Signal, unsigned
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.config import ACT_BANKS, ChipConfig
from hdl.engine.descriptor import Descriptor

__all__ = ["BankWrite", "OutputWriter", "finished_word"]


class BankWrite(wiring.Signature):
    """One word on its way to an activation bank; of its bytes, those whose mask bit is set."""

    def __init__(self, config: ChipConfig):
        word = data.StructLayout(
            {
                "bank": unsigned(2),
                "address": unsigned(config.bank_address_bits),
                "data": unsigned(8 * config.rows),
                "mask": unsigned(config.rows),
            }
        )
        super().__init__({"word": Out(stream.Signature(word))})


def finished_word(rows: int) -> data.StructLayout:
    """``rows`` outputs: their low bytes, and their high bytes, which only int16 has."""
    return data.StructLayout({"low": unsigned(8 * rows), "high": unsigned(8 * rows)})


class OutputWriter(wiring.Component):
    """Counts the pixels of a job's output, and writes one word for each, or two if it is int16.

    The order is that of the job: group after group, row after row, pixel after pixel.  int16 takes
    word ``2 * group`` of a pixel for the low bytes and the next one for the high bytes; both halves
    wait in the queue together, so that writing them stalls nobody before the queue is full.

    Members
    -------
    start : In(1)
        Begin the job in `job`; only when not `busy`.
    job : In(Descriptor)
        Must not change while `busy`.
    busy : Out(1)
        Outputs of the job are missing.
    i : In(stream)
        Words, see `finished_word`.
    write : Out(BankWrite)
        To the memory; whole words.
    """

    DEPTH = 4
    """Words that wait for their bank to be free of reads."""

    LATENCY = 1
    """Cycles from `i` to `write`."""

    def __init__(self, config: ChipConfig):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "job": In(Descriptor),
                "busy": Out(1),
                "i": In(stream.Signature(finished_word(config.rows))),
                "write": Out(BankWrite(config)),
            }
        )

    def elaborate(self, platform):
        """Build the counters and the queue."""
        m = Module()
        job, word = self.job, self.write.word

        group, out_y, out_x = Signal(12), Signal(12), Signal(12)
        row, column = Signal(14), Signal(16)
        address, line_end, image_end = Signal(16), Signal(), Signal()
        m.d.comb += [
            address.eq(
                job.out_base
                + (row >> exact_log2(ACT_BANKS)) * job.out_row_words
                + column
                + (group << job.wide_out)
            ),
            line_end.eq(out_x == job.out_w_last),
            image_end.eq(line_end & (out_y == job.out_h_last)),
        ]
        layout = {"bank": word.p.bank.shape(), "address": word.p.address.shape()}
        entry, oldest = (
            Signal(
                data.StructLayout({**layout, "word": finished_word(self.config.rows)}), name=name
            )
            for name in ("entry", "oldest")
        )
        m.submodules.queue = queue = fifo.SyncFIFO(width=len(entry.as_value()), depth=self.DEPTH)
        high = Signal()  # the oldest entry's low bytes are written
        m.d.comb += [
            entry.bank.eq(row),
            entry.address.eq(address),
            entry.word.eq(self.i.payload),
            queue.w_data.eq(entry),
            queue.w_en.eq(self.i.valid),
            self.i.ready.eq(queue.w_rdy),
            oldest.as_value().eq(queue.r_data),
            word.valid.eq(queue.r_rdy),
            word.p.bank.eq(oldest.bank),
            word.p.address.eq(oldest.address + high),
            word.p.data.eq(Mux(high, oldest.word.high, oldest.word.low)),
            word.p.mask.eq(~0),
            queue.r_en.eq(word.ready & (high | ~job.wide_out)),
        ]
        with m.If(word.valid & word.ready):
            m.d.sync += high.eq(job.wide_out & ~high)

        written_all = Signal(init=1)
        m.d.comb += self.busy.eq(~written_all | queue.r_rdy)
        with m.If(self.start):
            m.d.sync += [
                group.eq(0), out_y.eq(0), out_x.eq(0),
                row.eq(job.out_row0), column.eq(0), written_all.eq(0),
            ]  # fmt: skip
        with m.Elif(self.i.valid & self.i.ready):
            with m.If(image_end):
                m.d.sync += [
                    group.eq(group + 1), out_y.eq(0), out_x.eq(0),
                    row.eq(job.out_row0), column.eq(0), written_all.eq(group == job.groups_last),
                ]  # fmt: skip
            with m.Elif(line_end):
                m.d.sync += [
                    out_y.eq(out_y + 1), out_x.eq(0),
                    row.eq(row + job.out_row_step), column.eq(0),
                ]  # fmt: skip
            with m.Else():
                m.d.sync += [out_x.eq(out_x + 1), column.eq(column + job.out_pixel_step)]

        m.d.sync += [
            Assert(queue.level <= self.DEPTH, "more words than places"),
            Assert(~(high & ~queue.r_rdy), "high bytes of nothing"),
            Assert(~self.start | ~self.busy, "job started while another one is drained"),
        ]
        return m
