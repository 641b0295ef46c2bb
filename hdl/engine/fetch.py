"""From loop coordinates to activations: addresses, bank reads, zero point, window history."""

from amaranth.hdl import Assert, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.config import ACT_BANKS, ChipConfig
from hdl.engine.descriptor import Descriptor, Feed, Operand
from hdl.engine.walker import Step

__all__ = ["HISTORY", "OPERAND", "BankRead", "Fetch"]

HISTORY = 3
"""Columns of a sliding window that are held."""

OPERAND = signed(9)
"""An activation less its zero point."""


class BankRead(wiring.Signature):
    """Read port of one activation bank; ``data`` holds from the cycle after ``enable``."""

    def __init__(self, config: ChipConfig):
        super().__init__(
            {
                "enable": Out(1),
                "address": Out(config.bank_address_bits),
                "data": In(8 * config.rows),
            }
        )


class Fetch(wiring.Component):
    """Reads up to four rows of a column at once and keeps the last three columns of each.

    Pipeline of four steps, all moved by `advance`: row and column products, bank addresses, bank
    data less zero point, history.  What lies outside of the tensor becomes an operand 0.  Low bytes
    of int16 activations are unsigned, all others signed.

    Members
    -------
    job : In(Descriptor)
        Must not change while steps are in flight.
    advance : In(1)
    step, valid : In
        From the walker.
    banks : array of Out(BankRead)
        The activation memory.
    history : Out
        ``history[q][age]``: the word of window row ``q`` read ``age`` columns ago, operands of
        channels 0 .. rows - 1.
    tag : Out(Step)
        The step that `history` belongs to.
    tag_valid : Out(1)
    inside : Out(1)
        The step's first row and column lie inside of the tensor.
    in_flight : Out(1)
        Some stage holds a valid step.
    """

    LATENCY = 4

    def __init__(self, config: ChipConfig):
        self.config = config
        word = data.ArrayLayout(OPERAND, config.rows)
        super().__init__(
            {
                "job": In(Descriptor),
                "advance": In(1),
                "step": In(Step),
                "valid": In(1),
                "banks": Out(BankRead(config)).array(ACT_BANKS),
                "history": Out(data.ArrayLayout(data.ArrayLayout(word, HISTORY), ACT_BANKS)),
                "tag": Out(Step),
                "tag_valid": Out(1),
                "inside": Out(1),
                "in_flight": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build the pipeline."""
        m = Module()
        config, job = self.config, self.job
        word_bits = exact_log2(config.rows)
        packed = Signal()
        m.d.comb += packed.eq(job.feed == Feed.PACKED)

        valids = Signal(self.LATENCY)
        with m.If(self.advance):
            m.d.sync += valids.eq((valids << 1) | self.valid)
        m.d.comb += [self.tag_valid.eq(valids[-1]), self.in_flight.eq(valids.any())]

        # --- 1: coordinates ---------------------------------------------------------------------
        step1 = Signal(Step)
        with m.If(self.advance):
            m.d.sync += step1.eq(self.step)
        operand = Signal(Operand)
        row, slot, column = Signal(signed(15)), Signal(signed(13)), Signal(signed(14))
        limit = Signal(13)
        m.d.comb += [
            operand.eq(Mux(step1.operand_b, job.b, job.a)),
            row.eq(Mux(operand.one_row, 0, step1.y) + operand.row0),
            slot.eq(row >> exact_log2(ACT_BANKS)),
            column.eq(Mux(packed, step1.reach >> word_bits, step1.x)),
            limit.eq(Mux(packed, operand.row_words, job.in_w)),
        ]

        m.d.sync += Assert(
            ~(valids[0] & operand.one_row) | (step1.rows == 1), "a window over a single row"
        )

        # --- 2: address products ----------------------------------------------------------------
        step2 = Signal(Step)
        phase2 = Signal(2)
        row_words2, base2 = Signal(16), Signal(16)
        row_product, column_product = Signal(16), Signal(16)
        rows_inside, column_inside = Signal(ACT_BANKS), Signal()
        zero_point2 = Signal(signed(8))
        with m.If(self.advance):
            m.d.sync += [
                step2.eq(step1),
                phase2.eq(row[:2]),
                base2.eq(operand.base),
                row_words2.eq(operand.row_words),
                zero_point2.eq(operand.zero_point),
                row_product.eq(slot * operand.row_words),
                column_product.eq(Mux(packed, column, column * operand.pixel_words + step1.block)),
                column_inside.eq((column >= 0) & (column < limit)),
            ]
            for q in range(ACT_BANKS):
                y = step1.y + q
                m.d.sync += rows_inside[q].eq((y >= 0) & (y < job.in_h) & (Const(q) < step1.rows))

        address = Signal(16)
        wrapped = Signal(16)  # the same column one row slot further
        reads2 = Signal(ACT_BANKS)  # by window row
        m.d.comb += [
            address.eq(base2 + row_product + column_product),
            wrapped.eq(address + row_words2),
            reads2.eq(Mux(step2.read & column_inside & valids[1], rows_inside, 0)),
        ]
        for b, bank in enumerate(self.banks):
            window_row = Signal(2, name=f"window_row_{b}")
            bank_address = Signal(16, name=f"bank_address_{b}")
            m.d.comb += [
                window_row.eq(b - phase2),
                bank_address.eq(Mux(Const(b) < phase2, wrapped, address)),
                bank.enable.eq(self.advance & reads2.bit_select(window_row, 1)),
                bank.address.eq(bank_address),
            ]
            beyond = bank_address >= config.bank_words
            m.d.sync += Assert(~(bank.enable & beyond), "a read beyond the memory")

        # --- 3: data, zero point, banks to window rows --------------------------------------------
        step3 = Signal(Step)
        phase3 = Signal(2)
        loaded = Signal(ACT_BANKS)
        zero_point3 = Signal(signed(8))
        inside3 = Signal()
        with m.If(self.advance):
            m.d.sync += [
                step3.eq(step2), phase3.eq(phase2), loaded.eq(reads2),
                zero_point3.eq(zero_point2), inside3.eq(rows_inside[0] & column_inside),
            ]  # fmt: skip
        bank_words = []
        for b, bank in enumerate(self.banks):
            bank_word = Signal(data.ArrayLayout(OPERAND, config.rows), name=f"bank_word_{b}")
            for c in range(config.rows):
                byte = bank.data[8 * c : 8 * c + 8]
                sign = byte[-1] & ~step3.low_bytes
                m.d.comb += bank_word[c].eq(Cat(byte, sign).as_signed() - zero_point3)
            bank_words.append(bank_word.as_value())
        new_words = []
        for q in range(ACT_BANKS):
            new_word = Signal(9 * config.rows, name=f"new_word_{q}")
            with m.If(loaded[q]):
                with m.Switch((phase3 + q)[:2]):
                    for b in range(ACT_BANKS):
                        with m.Case(b):
                            m.d.comb += new_word.eq(bank_words[b])
            new_words.append(new_word)

        # --- 4: history -------------------------------------------------------------------------
        with m.If(self.advance):
            m.d.sync += [self.tag.eq(step3), self.inside.eq(inside3)]
            with m.If(valids[2] & step3.read):
                for q in range(ACT_BANKS):
                    # Rows that the job does not use keep their value: nothing toggles.
                    with m.If(Const(q) < step3.rows):
                        m.d.sync += self.history[q][0].eq(new_words[q])
                        with m.If(job.feed != Feed.DENSE):
                            m.d.sync += [
                                self.history[q][age].eq(self.history[q][age - 1])
                                for age in range(1, HISTORY)
                            ]
        return m
