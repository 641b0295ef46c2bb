"""The serial path: operators that take one byte a cycle, so far softmax."""

from amaranth.hdl import Assert, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.config import ACT_BANKS, MRAM_WORD_BYTES, ChipConfig
from hdl.engine.descriptor import SOFTMAX_TABLE_WORDS, Descriptor
from hdl.engine.drain import BankWrite
from hdl.engine.fetch import BankRead
from hdl.engine.softmax import Softmax

__all__ = ["Serial"]

PASSES = 3
"""Softmax sees its vector three times: maximum, sum, results."""


class Serial(wiring.Component):
    """Streams the channels of each pixel through `Softmax`, and its results back to memory.

    Members
    -------
    start : In(1)
        Begin the job in `job`; only when not `busy`.
    job : In(Descriptor)
        Operand `a`, output and `inner_last` (channels less one); must not change while `busy`.
    busy : Out(1)
    table : In(stream.Signature(unsigned(128)))
        Exponentials, see `Softmax`.
    banks : array of Out(BankRead)
    write : Out(BankWrite)
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "job": In(Descriptor),
                "busy": Out(1),
                "table": In(stream.Signature(unsigned(8 * MRAM_WORD_BYTES))),
                "banks": Out(BankRead(config)).array(ACT_BANKS),
                "write": Out(BankWrite(config)),
            }
        )

    def elaborate(self, platform):
        """Build the byte walker around the softmax core."""
        m = Module()
        config, job = self.config, self.job
        byte_bits, bank_bits = exact_log2(config.rows), exact_log2(ACT_BANKS)
        m.submodules.core = core = Softmax(config)
        wiring.connect(m, wiring.flipped(self.table), core.table)

        out_y, out_x = Signal(12), Signal(12)
        row_in, row_out = Signal(14), Signal(14)
        channel, channel_out = Signal(12), Signal(12)
        in_address, out_address = Signal(16), Signal(16)
        m.d.comb += [
            row_in.eq(out_y + job.a.row0),
            row_out.eq(out_y + job.out_row0),
            in_address.eq(
                job.a.base + (row_in >> bank_bits) * job.a.row_words
                + out_x * job.a.pixel_words + (channel >> byte_bits)
            ),
            out_address.eq(
                job.out_base + (row_out >> bank_bits) * job.out_row_words
                + out_x * job.out_pixel_step + (channel_out >> byte_bits)
            ),
            core.count.eq(job.inner_last + 1),
        ]  # fmt: skip

        # --- words to bytes ---------------------------------------------------------------------
        fetched = Signal(8 * config.rows)
        with m.Switch(row_in[:2]):
            for b, bank in enumerate(self.banks):
                with m.Case(b):
                    m.d.comb += fetched.eq(bank.data)
        reading = Signal()
        for b, bank in enumerate(self.banks):
            m.d.comb += [
                bank.enable.eq(reading & (row_in[:2] == b)),
                bank.address.eq(in_address),
            ]
        m.d.comb += core.i.payload.eq(fetched.word_select(channel[:byte_bits], 8))

        # --- bytes to words ---------------------------------------------------------------------
        word = Signal(data.ArrayLayout(8, config.rows))
        word_valid = Signal()
        last_out = channel_out == job.inner_last
        m.d.comb += [
            core.o.ready.eq(~word_valid),
            self.write.word.valid.eq(word_valid),
            self.write.word.p.bank.eq(row_out),
            self.write.word.p.address.eq(out_address),
            self.write.word.p.data.eq(word),
            self.write.word.p.mask.eq(~0),
        ]
        with m.If(core.o.valid & core.o.ready):
            m.d.sync += word[channel_out[:byte_bits]].eq(core.o.payload)
            with m.If(last_out | (channel_out[:byte_bits] == config.rows - 1)):
                m.d.sync += word_valid.eq(1)
            with m.Else():
                m.d.sync += channel_out.eq(channel_out + 1)
        written = Signal()
        m.d.comb += written.eq(word_valid & self.write.word.ready)
        with m.If(written):
            m.d.sync += [word_valid.eq(0), channel_out.eq(channel_out + 1)]

        # --- table, then pixel after pixel --------------------------------------------------------
        table_index, table_full = Signal(range(SOFTMAX_TABLE_WORDS)), Signal()
        with m.If(core.table.valid & core.table.ready):
            m.d.sync += table_index.eq(table_index + 1)
            with m.If(table_index == SOFTMAX_TABLE_WORDS - 1):
                m.d.sync += table_full.eq(1)

        passes = Signal(2)
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.start):
                    m.d.sync += [self.busy.eq(1), out_y.eq(0), out_x.eq(0)]
                    m.next = "PIXEL"
            with m.State("PIXEL"):
                m.d.comb += core.start.eq(table_full & ~core.busy)
                m.d.sync += [channel.eq(0), channel_out.eq(0), passes.eq(0)]
                with m.If(core.start):
                    m.next = "READ"
            with m.State("READ"):
                m.d.comb += reading.eq(1)
                m.next = "STREAM"
            with m.State("STREAM"):
                m.d.comb += core.i.valid.eq(1)
                with m.If(core.i.ready):
                    m.d.sync += channel.eq(channel + 1)
                    with m.If(channel == job.inner_last):
                        m.d.sync += [channel.eq(0), passes.eq(passes + 1)]
                        m.next = "READ"
                        with m.If(passes == PASSES - 1):
                            m.next = "FINISH"
                    with m.Elif(channel[:byte_bits] == config.rows - 1):
                        m.next = "READ"
            with m.State("FINISH"):
                with m.If(written & last_out):
                    m.d.sync += out_x.eq(out_x + 1)
                    m.next = "PIXEL"
                    with m.If(out_x == job.out_w_last):
                        m.d.sync += [out_x.eq(0), out_y.eq(out_y + 1)]
                        with m.If(out_y == job.out_h_last):
                            m.d.sync += [self.busy.eq(0), table_full.eq(0)]
                            m.next = "IDLE"

        beyond = (in_address >= config.bank_words, out_address >= config.bank_words)
        m.d.sync += [
            Assert(~(self.start & self.busy), "job started while another one runs"),
            Assert(~(reading & beyond[0]), "a read beyond the memory"),
            Assert(~(word_valid & beyond[1]), "a write beyond the memory"),
            Assert(~self.busy | (channel <= job.inner_last), "a channel too many"),
            Assert(~(core.o.valid & ~self.busy), "a result without a job"),
        ]
        return m
