"""The pass loops of a job: which piece of the reduction the array holds."""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ChipConfig
from hdl.engine.descriptor import Descriptor, Feed, WeightFormat

__all__ = ["INT16_DIGITS", "Passes"]

INT16_DIGITS = 3
"""Tiles of a pass with `WeightFormat.INT16`; the last one has the weight 256."""


class Passes(wiring.Component):
    """Five nested counters: kernel rows, kernel columns, inner passes, digits, and planes.

    A dense inner pass is a lane group of an input word; a packed one is the next `lanes` bytes of
    the window, rows end to end.  Weights of 16 bits come as three tiles, the digits.  Each tile
    works on the two planes of int16 activations, the low bytes and the high bytes.

    The walker and the loader each count through the same passes, one for the activations and one,
    ahead of it, for the weights, which knows no planes: a tile is loaded once.

    Parameters
    ----------
    planes : bool
        Count planes, too.

    Members
    -------
    job : In(Descriptor)
        Must not change from the first pass of a job to its last.
    next : In(1)
        The pass is over; behind the last one comes the first one again.
    first, last : Out(1)
        The pass is the first or the last one of a stripe.
    row_offset, col_offset : Out
        Input rows and columns (packed: bytes) from the first pass to this one.
    rows, columns : Out
        Input rows read at once, and window columns.
    block, offset : Out
        Dense: word within the pixel, and lane 0 within the word.  Packed: `offset` is lane 0 within
        the segment.
    plane : Out(1)
        The pass works on the high bytes of int16 activations.
    shift : Out(2)
        Bytes by which the sums of the pass are shifted left, 0 to 2.
    lanes : Out
        Broadcast lanes in use; 0 for the window feed.
    """

    def __init__(self, config: ChipConfig, *, planes: bool = True):
        self.config = config
        self.planes = planes
        super().__init__(
            {
                "job": In(Descriptor),
                "next": In(1),
                "first": Out(1),
                "last": Out(1),
                "row_offset": Out(signed(14)),
                "col_offset": Out(signed(14)),
                "rows": Out(unsigned(3)),
                "columns": Out(unsigned(2)),
                "block": Out(unsigned(12)),
                "offset": Out(unsigned(5)),
                "plane": Out(1),
                "shift": Out(unsigned(2)),
                "lanes": Out(unsigned(5)),
            }
        )

    def elaborate(self, platform):
        """Build the counters and what follows from them."""
        m = Module()
        config, job = self.config, self.job
        rows_pass, cols_pass, inner = Signal(8), Signal(8), Signal(12)
        rows_end, cols_end, inner_end = Signal(), Signal(), Signal()
        digit, digit_end = Signal(2), Signal()
        plane, plane_end = Signal(), Signal()
        m.d.comb += [
            plane_end.eq(plane | ~job.wide_in if self.planes else 1),
            digit_end.eq((job.weight_format != WeightFormat.INT16) | (digit == INT16_DIGITS - 1)),
            self.plane.eq(plane),
            self.shift.eq(plane + (digit != 0)),
            rows_end.eq(rows_pass == job.rows_passes_last),
            cols_end.eq(cols_pass == job.cols_passes_last),
            inner_end.eq(inner == job.inner_last),
            self.first.eq(
                (rows_pass == 0) & (cols_pass == 0) & (inner == 0) & (digit == 0) & ~plane
            ),
            self.last.eq(rows_end & cols_end & inner_end & digit_end & plane_end),
        ]

        # --- dense: lane groups of a word, word after word ----------------------------------------
        chunks = -(-config.rows // config.lanes)
        chunk, block = Signal(range(max(chunks, 2))), Signal(12)
        rest = config.rows - (chunks - 1) * config.lanes  # lanes of a word's last group
        # --- packed: the window's bytes, row after row --------------------------------------------
        packed_row, packed_offset = Signal(12), Signal(5)
        moved, wraps = Signal(6), Signal()
        m.d.comb += [
            moved.eq(packed_offset + job.segment_bytes),
            wraps.eq((job.feed == Feed.PACKED) & (moved >= job.segment)),
        ]

        row_start, col_start = Signal(signed(14)), Signal(signed(14))
        with m.If(self.next):
            m.d.sync += plane.eq(~plane_end)
            with m.If(plane_end):
                m.d.sync += digit.eq(Mux(digit_end, 0, digit + 1))
        with m.If(self.next & plane_end & digit_end):
            m.d.sync += [
                inner.eq(inner + 1),
                chunk.eq(chunk + 1),
                packed_row.eq(packed_row + job.segment_rows + wraps),
                packed_offset.eq(Mux(wraps, moved - job.segment, moved)),
            ]
            with m.If(chunk == chunks - 1):
                m.d.sync += [chunk.eq(0), block.eq(block + 1)]
            with m.If(inner_end):
                m.d.sync += [
                    *(count.eq(0) for count in (inner, chunk, block, packed_row, packed_offset)),
                    cols_pass.eq(cols_pass + 1),
                    col_start.eq(col_start + job.col_step),
                ]
                with m.If(cols_end):
                    m.d.sync += [
                        cols_pass.eq(0),
                        col_start.eq(0),
                        rows_pass.eq(rows_pass + 1),
                        row_start.eq(row_start + job.row_step),
                    ]
                    with m.If(rows_end):
                        m.d.sync += [rows_pass.eq(0), row_start.eq(0)]

        m.d.comb += [self.row_offset.eq(row_start + packed_row), self.col_offset.eq(col_start)]
        behind = Signal(7)  # the first byte behind the pass, counted from its first row's start
        with m.Switch(job.feed):
            with m.Case(Feed.WINDOW):
                m.d.comb += [
                    self.rows.eq(Mux(rows_end, job.window_rows_last, job.window_rows)),
                    self.columns.eq(Mux(cols_end, job.window_cols_last, job.window_cols)),
                ]
            with m.Case(Feed.PACKED):
                m.d.comb += [
                    self.lanes.eq(Mux(inner_end, job.lanes_last, job.packed_lanes)),
                    self.offset.eq(packed_offset),
                    behind.eq(packed_offset + self.lanes),
                    self.rows.eq(
                        1
                        + (behind > job.segment)
                        + (behind > (job.segment << 1))
                        + (behind > (job.segment << 1) + job.segment)
                    ),
                ]
            with m.Default():
                full = Mux(chunk == chunks - 1, rest, config.lanes)
                m.d.comb += [
                    self.lanes.eq(Mux(inner_end, job.lanes_last, full)),
                    self.offset.eq(chunk * config.lanes),
                    self.block.eq(Mux(job.wide_in, Cat(plane, block), block)),
                    self.rows.eq(1),
                ]

        counts = (
            plane,
            digit,
            rows_pass,
            cols_pass,
            inner,
            chunk,
            block,
            packed_row,
            packed_offset,
        )
        m.d.sync += [
            Assert((rows_pass == 0) | (rows_pass <= job.rows_passes_last), "rows_pass too large"),
            Assert((cols_pass == 0) | (cols_pass <= job.cols_passes_last), "cols_pass too large"),
            Assert((inner == 0) | (inner <= job.inner_last), "inner too large"),
            Assert(
                (digit == 0) | ((job.weight_format == WeightFormat.INT16) & (digit < INT16_DIGITS)),
                "a digit that there is not",
            ),
            Assert(~plane | job.wide_in, "high bytes of int8"),
            Assert(chunk < chunks, "a chunk that a word has not"),
            *(Assert(~self.first | (c == 0), f"{c.name} left over") for c in counts),
        ]
        return m
