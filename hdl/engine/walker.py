"""The loop nest of a job: which activation word is needed for which product, step by step."""

from amaranth.hdl import Assert, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from hdl.config import ChipConfig
from hdl.engine.descriptor import Descriptor, Drain, Feed

__all__ = ["Step", "Walker"]


class Step(data.Struct):
    """One cycle of the engine's front end.

    A step may read activations, shift them into the window history, and multiply; the first steps
    of a run of pixels only fill the history.
    """

    read: unsigned(1)
    """Read the word (up to four rows of it) and shift it into the history."""
    mac: unsigned(1)
    """Multiply once the word has arrived."""
    new_tile: unsigned(1)
    """The first product of a pass: swap in the next weight tile."""
    first: unsigned(1)
    """First pass: the accumulator starts afresh."""
    last: unsigned(1)
    """Last pass: the accumulator leaves for the drain."""
    operand_b: unsigned(1)
    """Read the second operand."""
    pixel: unsigned(16)
    """Accumulator index: pixel within the stripe."""
    y: signed(14)
    """Input row of the first window row; may lie outside of the tensor."""
    x: signed(14)
    """Input column of the word to read (dense, window) or first byte of the segment (packed)."""
    reach: signed(14)
    """Packed: the byte whose word is read in this step."""
    block: unsigned(10)
    """Channel block within the pixel."""
    rows: unsigned(3)
    """Input rows read at once."""
    cols: unsigned(2)
    """Window columns in use."""
    lanes: unsigned(5)
    """Broadcast lanes in use."""
    offset: unsigned(5)
    """First byte of lane 0 within the word (dense) or within the segment (packed)."""


class Walker(wiring.Component):
    """Nest of counters ``group > stripe > pass (row, column, inner) > pixel > step``.

    Every product of a job appears exactly once.  Coordinates are kept by additions only; turning
    them into addresses is `hdl.engine.fetch.Fetch`'s.

    Members
    -------
    start : In(1)
        Begin the job in `job`; only while not `busy`.
    job : In(Descriptor)
        Must not change while `busy`.
    advance : In(1)
        The step is taken.
    step : Out(Step)
        Valid while `busy`.
    busy : Out(1)
        Steps are left.
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "job": In(Descriptor),
                "advance": In(1),
                "step": Out(Step),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build the counters."""
        m = Module()
        config, job, step = self.config, self.job, self.step

        dense = Signal()
        window = Signal()
        packed = Signal()
        m.d.comb += [
            dense.eq(job.feed == Feed.DENSE),
            window.eq(job.feed == Feed.WINDOW),
            packed.eq(job.feed == Feed.PACKED),
        ]

        # --- counters -------------------------------------------------------------------------
        group = Signal(10)
        rows_pass, cols_pass, inner = Signal(8), Signal(8), Signal(12)
        row_offset, col_offset = Signal(signed(14)), Signal(signed(14))
        pixel = Signal(16)
        position = {name: Signal(12, name=name) for name in ("out_y", "out_x")}
        position |= {name: Signal(signed(14), name=name) for name in ("in_y", "in_x")}
        stripe_start = {k: Signal.like(v, name=f"start_{k}") for k, v in position.items()}
        fill = Signal(init=1)  # the history holds nothing of this run of pixels yet
        substep = Signal(2)

        # --- reduction within a kernel position -----------------------------------------------
        chunks = -(-config.rows // config.lanes)  # dense: lane groups of a word
        chunk = Signal(range(max(chunks, 2)))
        block = Signal(10)
        packed_row, packed_offset = Signal(12), Signal(5)
        chunk_lanes = Mux(
            chunk == chunks - 1, config.rows - (chunks - 1) * config.lanes, config.lanes
        )
        inner_end = Signal()
        m.d.comb += inner_end.eq(inner == job.inner_last)

        # --- window geometry ------------------------------------------------------------------
        rows_end, cols_end = Signal(), Signal()
        columns, fresh, substeps = Signal(2), Signal(2), Signal(2)
        m.d.comb += [
            rows_end.eq(rows_pass == job.rows_passes_last),
            cols_end.eq(cols_pass == job.cols_passes_last),
            columns.eq(Mux(cols_end, job.window_cols_last, job.window_cols)),
            fresh.eq(Mux(job.stride_w < columns, job.stride_w, columns)),
        ]
        with m.If(window):
            m.d.comb += substeps.eq(Mux(fill, columns, fresh))
        with m.Elif(packed):
            m.d.comb += substeps.eq(Mux(fill, 2, 1))
        with m.Else():
            m.d.comb += substeps.eq(1)
        substep_end = Signal()
        m.d.comb += substep_end.eq(substep == substeps - 1)

        # --- the step: never read back, or simulators see a loop through its bits ---------------
        x, reach = Signal(signed(14)), Signal(signed(14))
        first, last = Signal(), Signal()
        word_bits = exact_log2(config.rows)
        last_word = Signal(signed(14 - word_bits))
        word = Signal(signed(14 - word_bits))
        segment_ends = Signal(7)  # first lane behind each packed row
        used = Signal(5)
        packed_rows = Signal(3)
        m.d.comb += [
            x.eq(position["in_x"] + col_offset),
            step.y.eq(position["in_y"] + row_offset + packed_row),
            step.mac.eq(substep_end),
            first.eq((rows_pass == 0) & (cols_pass == 0) & (inner == 0)),
            last.eq(rows_end & cols_end & inner_end),
            step.first.eq(first),
            step.last.eq(last),
            step.new_tile.eq(substep_end & (pixel == 0)),
            step.pixel.eq(pixel),
            step.operand_b.eq((job.drain == Drain.ADD) & (rows_pass == 1)),
            word.eq(reach >> word_bits),
            step.reach.eq(reach),
            segment_ends.eq(packed_offset + used),
        ]
        with m.If(window):
            m.d.comb += [
                step.read.eq(1),
                step.x.eq(x + columns - substeps + substep),
                step.block.eq(group),
                step.rows.eq(Mux(rows_end, job.window_rows_last, job.window_rows)),
                step.cols.eq(columns),
            ]
        with m.Elif(packed):
            m.d.comb += [
                used.eq(Mux(inner_end, job.lanes_last, job.packed_lanes)),
                packed_rows.eq(
                    1
                    + (segment_ends > job.segment)
                    + (segment_ends > (job.segment << 1))
                    + (segment_ends > (job.segment << 1) + job.segment)
                ),
                step.x.eq(x),
                reach.eq(Mux(substep_end, x + job.segment - 1, x)),
                step.read.eq(fill | (word != last_word)),
                step.rows.eq(packed_rows),
                step.lanes.eq(used),
                step.offset.eq(packed_offset),
            ]
        with m.Else():
            m.d.comb += [
                step.read.eq(1),
                step.x.eq(x),
                step.block.eq(block),
                step.rows.eq(1),
                step.lanes.eq(Mux(inner_end, job.lanes_last, chunk_lanes)),
                step.offset.eq(chunk * config.lanes),
            ]

        # --- next pixel, pass, stripe, group ----------------------------------------------------
        line_end, image_end, pass_end, stripe_end = Signal(), Signal(), Signal(), Signal()
        following = {k: Signal.like(v, name=f"following_{k}") for k, v in position.items()}
        m.d.comb += [
            line_end.eq(position["out_x"] == job.out_w_last),
            image_end.eq(line_end & (position["out_y"] == job.out_h_last)),
            pass_end.eq(image_end | (pixel == job.stripe_pixels_last)),
            stripe_end.eq(last),
        ]
        origin = {"out_y": 0, "out_x": 0, "in_y": -job.pad_h, "in_x": -job.pad_w}
        with m.If(image_end):
            m.d.comb += [following[k].eq(v) for k, v in origin.items()]
        with m.Elif(line_end):
            m.d.comb += [
                following["out_y"].eq(position["out_y"] + 1),
                following["out_x"].eq(0),
                following["in_y"].eq(position["in_y"] + job.stride_h),
                following["in_x"].eq(-job.pad_w),
            ]
        with m.Else():
            m.d.comb += [
                following["out_y"].eq(position["out_y"]),
                following["out_x"].eq(position["out_x"] + 1),
                following["in_y"].eq(position["in_y"]),
                following["in_x"].eq(position["in_x"] + job.stride_w),
            ]

        def goto(target):
            return [position[k].eq(target[k]) for k in position]

        def next_pass():
            """Advance inner, then column, then row passes."""
            restart_inner = [
                inner.eq(0), chunk.eq(0), block.eq(0), packed_row.eq(0), packed_offset.eq(0)
            ]  # fmt: skip
            with m.If(~inner_end):
                m.d.sync += inner.eq(inner + 1)
                with m.If(chunk == chunks - 1):
                    m.d.sync += [chunk.eq(0), block.eq(block + 1)]
                with m.Else():
                    m.d.sync += chunk.eq(chunk + 1)
                moved = Signal(6)
                m.d.comb += moved.eq(packed_offset + job.segment_bytes)
                wraps = packed & (moved >= job.segment)
                m.d.sync += [
                    packed_row.eq(packed_row + job.segment_rows + wraps),
                    packed_offset.eq(Mux(wraps, moved - job.segment, moved)),
                ]
            with m.Else():
                m.d.sync += restart_inner
                with m.If(~cols_end):
                    m.d.sync += [
                        cols_pass.eq(cols_pass + 1), col_offset.eq(col_offset + job.col_step)
                    ]  # fmt: skip
                with m.Else():
                    m.d.sync += [cols_pass.eq(0), col_offset.eq(0)]
                    with m.If(~rows_end):
                        m.d.sync += [
                            rows_pass.eq(rows_pass + 1), row_offset.eq(row_offset + job.row_step)
                        ]  # fmt: skip
                    with m.Else():
                        m.d.sync += [rows_pass.eq(0), row_offset.eq(0)]

        with m.If(self.start):
            m.d.sync += [self.busy.eq(1), fill.eq(1), pixel.eq(0), substep.eq(0), group.eq(0)]
            m.d.sync += [position[k].eq(v) for k, v in origin.items()]
            m.d.sync += [stripe_start[k].eq(v) for k, v in origin.items()]
        with m.Elif(self.busy & self.advance):
            m.d.sync += last_word.eq(word)
            with m.If(~substep_end):
                m.d.sync += substep.eq(substep + 1)
            with m.Else():
                m.d.sync += [substep.eq(0), fill.eq(line_end | pass_end)]
                with m.If(~pass_end):
                    m.d.sync += [pixel.eq(pixel + 1), *goto(following)]
                with m.Else():
                    m.d.sync += pixel.eq(0)
                    next_pass()
                    with m.If(~stripe_end):
                        m.d.sync += goto(stripe_start)
                    with m.Else():
                        m.d.sync += goto(following)
                        m.d.sync += [stripe_start[k].eq(following[k]) for k in position]
                        with m.If(image_end):
                            m.d.sync += group.eq(group + 1)
                            with m.If(group == job.groups_last):
                                m.d.sync += self.busy.eq(0)

        depth = Const(config.accumulator_depth, ceil_log2(config.accumulator_depth) + 1)
        passes = {
            "rows_pass": rows_pass, "cols_pass": cols_pass, "inner": inner,
            "packed_row": packed_row, "packed_offset": packed_offset,
        }  # fmt: skip
        ranges = [
            (group, job.groups_last),
            (rows_pass, job.rows_passes_last),
            (cols_pass, job.cols_passes_last),
            (inner, job.inner_last),
            (pixel, job.stripe_pixels_last),
            (position["out_y"], job.out_h_last),
            (position["out_x"], job.out_w_last),
            (stripe_start["out_y"], job.out_h_last),
            (stripe_start["out_x"], job.out_w_last),
        ]
        m.d.sync += [
            Assert(~(self.start & self.busy), "job started while another one runs"),
            Assert(
                ~self.busy | (first & last) | (pixel < depth),
                "a stripe holds more pixels than there are accumulators",
            ),
            Assert(~self.busy | (substep < substeps), "a pixel without steps, or too many"),
            *(
                Assert(~self.busy | (count <= end), f"{count.name} too large")
                for count, end in ranges
            ),
            *(
                Assert(self.busy | (count == 0), f"{name} left over")
                for name, count in passes.items()
            ),
            Assert(chunk < chunks, "a chunk that a word has not"),
            Assert(~(self.busy & packed) | (packed_offset < job.segment), "behind the segment"),
        ]
        return m
