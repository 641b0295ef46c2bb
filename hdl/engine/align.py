"""From window history to multiplier operands: rotate, pack and mask."""

from amaranth.hdl import Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.config import ACT_BANKS, ChipConfig
from hdl.engine.descriptor import Descriptor, Feed
from hdl.engine.fetch import HISTORY, OPERAND
from hdl.engine.walker import Step

__all__ = ["Align", "rotate_left"]


def rotate_left(m: Module, words: list, amount, name: str) -> list:
    """Element ``l`` of the result is ``words[(l + amount) % len(words)]``; stages of 2:1."""
    for bit in range(exact_log2(len(words))):
        stage = [Signal.like(word, name=f"{name}_{bit}_{i}") for i, word in enumerate(words)]
        step = 1 << bit
        for i, target in enumerate(stage):
            m.d.comb += target.eq(Mux(amount[bit], words[(i + step) % len(words)], words[i]))
        words = stage
    return words


class Align(wiring.Component):
    """Builds the operands of one step of the multiplier array; combinational.

    Dense: lane ``l`` is byte ``l + offset`` of the word.  Packed: the lanes are consecutive bytes
    of the window's rows, each row rotated to its place.  Window: row ``r`` of the array gets
    channel ``r`` of three rows by three columns.

    Members
    -------
    job : In(Descriptor)
    step : In(Step)
        The step that `history` belongs to.
    history : In
        See `Fetch`.
    lanes : Out
        Broadcast operands.
    window : Out
        ``window[r][3 * q + j]``: array row ``r``, kernel row ``q``, kernel column ``j`` counted so
        that the newest column is 2.
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        word = data.ArrayLayout(OPERAND, config.rows)
        taps = data.ArrayLayout(OPERAND, 3 * config.window_rows)
        super().__init__(
            {
                "job": In(Descriptor),
                "step": In(Step),
                "history": In(data.ArrayLayout(data.ArrayLayout(word, HISTORY), ACT_BANKS)),
                "lanes": Out(data.ArrayLayout(OPERAND, config.lanes)),
                "window": Out(data.ArrayLayout(taps, config.rows)),
            }
        )

    def elaborate(self, platform):
        """Build the rotators and masks."""
        m = Module()
        config, job, step = self.config, self.job, self.step
        word_bits = exact_log2(config.rows)
        packed, window = Signal(), Signal()
        m.d.comb += [packed.eq(job.feed == Feed.PACKED), window.eq(job.feed == Feed.WINDOW)]

        # Bytes of the segment before the row's end.  Those left of the row lie in words of their
        # own, which the history holds as zeros.
        present = Signal(unsigned(6))
        room = Signal(signed(15))
        m.d.comb += [
            room.eq(job.in_w - step.x),
            present.eq(Mux(room < 0, 0, Mux(room < job.segment, room, job.segment))),
        ]
        straddles = Signal()
        start = Signal(word_bits)
        m.d.comb += [
            start.eq(step.x[:word_bits]),
            straddles.eq(start + job.segment > config.rows),
        ]

        sources = []  # per window row: operands by lane, already masked
        for q in range(ACT_BANKS):
            newest, older = self.history[q][0], self.history[q][1]
            first = Signal(signed(8), name=f"first_lane_{q}")  # lane of the segment's byte 0
            amount = Signal(word_bits, name=f"amount_{q}")
            # Shifts and an adder: as a product it would take a multiplier of the FPGA.
            bytes_above = sum(job.segment << bit for bit in range(2) if q >> bit & 1)
            m.d.comb += first.eq(bytes_above - step.offset)
            if q == 0:
                m.d.comb += amount.eq(Mux(packed, start + step.offset, step.offset))
            else:
                m.d.comb += amount.eq(start - first)
            merged = []
            for b in range(config.rows):
                byte = Signal(OPERAND, name=f"merged_{q}_{b}")
                take_older = packed & straddles & (Const(b, word_bits + 1) >= start)
                m.d.comb += byte.eq(Mux(take_older, older[b], newest[b]))
                merged.append(byte)
            rotated = rotate_left(m, merged, amount, f"rotated_{q}")[: config.lanes]
            enables = Signal(config.lanes, name=f"enables_{q}")
            for lane in range(config.lanes):
                in_row = (Const(lane) >= first) & (Const(lane) < first + present)
                in_row = Mux(packed, in_row, 1) if q == 0 else in_row & packed
                m.d.comb += enables[lane].eq(in_row & (Const(lane) < step.lanes))
            sources.append([Mux(enables[i], rotated[i], 0) for i in range(config.lanes)])
        for lane in range(config.lanes):
            merged_lane = Const(0, 9)
            for q in range(ACT_BANKS):
                source = Signal(OPERAND, name=f"source_{q}_{lane}")
                m.d.comb += source.eq(sources[q][lane])
                merged_lane = merged_lane | source.as_unsigned()
            m.d.comb += self.lanes[lane].eq(merged_lane)

        for r in range(config.rows):
            for q in range(config.window_rows):
                for j in range(HISTORY):
                    used = window & (Const(q) < step.rows) & (Const(HISTORY - 1 - j) < step.cols)
                    m.d.comb += self.window[r][3 * q + j].eq(
                        Mux(used, self.history[q][HISTORY - 1 - j][r], 0)
                    )
        return m
