"""The loop nest of a job: which activation word is needed for which product, step by step."""

from amaranth.hdl import Assert, Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from hdl.config import ChipConfig
from hdl.engine.descriptor import Descriptor, Drain, Feed
from hdl.engine.passes import Passes

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
    low_bytes: unsigned(1)
    """The word holds the low bytes of int16: its operands are unsigned."""
    shift: unsigned(2)
    """Bytes by which the products are shifted left, 0 to 2."""
    pixel: unsigned(16)
    """Accumulator index: pixel within the stripe."""
    y: signed(14)
    """Input row of the first window row; may lie outside of the tensor."""
    x: signed(14)
    """Input column of the word to read (dense, window) or first byte of the segment (packed)."""
    reach: signed(14)
    """Packed: the byte whose word is read in this step."""
    block: unsigned(12)
    """Word within the pixel: the channel block, or, for int16, twice that and the plane."""
    rows: unsigned(3)
    """Input rows read at once."""
    cols: unsigned(2)
    """Window columns in use."""
    lanes: unsigned(5)
    """Broadcast lanes in use."""
    offset: unsigned(5)
    """First byte of lane 0 within the word (dense) or within the segment (packed)."""


class Walker(wiring.Component):
    """Nest of counters ``group > stripe > pass > pixel > step``; for the passes see `Passes`.

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

        m.submodules.passes = passes = Passes(config)
        m.d.comb += passes.job.eq(job)
        window, packed = Signal(), Signal()
        m.d.comb += [window.eq(job.feed == Feed.WINDOW), packed.eq(job.feed == Feed.PACKED)]
        two_operands = Signal()
        with m.Switch(job.drain):
            with m.Case(Drain.ADD, Drain.SUBTRACT, Drain.MULTIPLY):
                m.d.comb += two_operands.eq(1)

        # --- counters -------------------------------------------------------------------------
        group, pixel, substep = Signal(12), Signal(16), Signal(2)
        position = {name: Signal(12, name=name) for name in ("out_y", "out_x")}
        position |= {name: Signal(signed(14), name=name) for name in ("in_y", "in_x")}
        stripe_start = {k: Signal.like(v, name=f"start_{k}") for k, v in position.items()}
        fill = Signal(init=1)  # the history holds nothing of this run of pixels yet

        # --- steps of a pixel: fill the history, or shift in what is new, then multiply -----------
        fresh, substeps, substep_end = Signal(2), Signal(2), Signal()
        m.d.comb += [
            fresh.eq(Mux(job.stride_w < passes.columns, job.stride_w, passes.columns)),
            substep_end.eq(substep == substeps - 1),
        ]
        with m.If(window):
            m.d.comb += substeps.eq(Mux(fill, passes.columns, fresh))
        with m.Elif(packed):
            m.d.comb += substeps.eq(Mux(fill, 2, 1))
        with m.Else():
            m.d.comb += substeps.eq(1)

        # --- the step: never read back, or simulators see a loop through its bits ---------------
        x, reach = Signal(signed(14)), Signal(signed(14))
        word_bits = exact_log2(config.rows)
        word, last_word = Signal(signed(14 - word_bits)), Signal(signed(14 - word_bits))
        m.d.comb += [
            x.eq(position["in_x"] + passes.col_offset),
            word.eq(reach >> word_bits),
            step.read.eq(1),
            step.mac.eq(substep_end),
            step.new_tile.eq(substep_end & (pixel == 0) & ~passes.plane),
            step.first.eq(passes.first),
            step.last.eq(passes.last),
            step.operand_b.eq(two_operands & ~passes.first),
            step.low_bytes.eq(job.wide_in & ~passes.plane),
            step.shift.eq(passes.shift),
            step.pixel.eq(pixel),
            step.y.eq(position["in_y"] + passes.row_offset),
            step.x.eq(x),
            step.block.eq(passes.block),
            step.rows.eq(passes.rows),
            step.cols.eq(passes.columns),
            step.lanes.eq(passes.lanes),
            step.offset.eq(passes.offset),
        ]
        with m.If(window):
            m.d.comb += [
                step.x.eq(x + passes.columns - substeps + substep),
                step.block.eq(Mux(job.wide_in, Cat(passes.plane, group), group)),
            ]
        with m.If(packed):
            m.d.comb += [
                reach.eq(Mux(substep_end, x + job.segment - 1, x)),
                step.reach.eq(reach),
                step.read.eq(fill | (word != last_word)),
            ]

        # --- next pixel, pass, stripe, group ----------------------------------------------------
        line_end, image_end, pass_end, stripe_end = Signal(), Signal(), Signal(), Signal()
        following = {k: Signal.like(v, name=f"following_{k}") for k, v in position.items()}
        m.d.comb += [
            line_end.eq(position["out_x"] == job.out_w_last),
            image_end.eq(line_end & (position["out_y"] == job.out_h_last)),
            pass_end.eq(image_end | (pixel == job.stripe_pixels_last)),
            stripe_end.eq(passes.last),
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
                    m.d.comb += passes.next.eq(1)
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
        ranges = [
            (group, job.groups_last),
            (pixel, job.stripe_pixels_last),
            (position["out_y"], job.out_h_last),
            (position["out_x"], job.out_w_last),
            (stripe_start["out_y"], job.out_h_last),
            (stripe_start["out_x"], job.out_w_last),
        ]
        m.d.sync += [
            Assert(~(self.start & self.busy), "job started while another one runs"),
            Assert(
                ~self.busy | (passes.first & passes.last) | (pixel < depth),
                "a stripe holds more pixels than there are accumulators",
            ),
            Assert(~self.busy | (substep < substeps), "a pixel without steps, or too many"),
            *(
                Assert(~self.busy | (count <= end), f"{count.name} too large")
                for count, end in ranges
            ),
            Assert(self.busy | passes.first, "a pass left over"),
            Assert(~(self.busy & packed & job.wide_in), "packed int16"),
            Assert(~(self.busy & packed) | (passes.offset < job.segment), "behind the segment"),
        ]
        return m
