"""The front of the program: reads the stream and hands every word to whom it belongs."""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hdl.config import MRAM_WORD_BYTES, ChipConfig
from hdl.engine.array import PACKINGS, TileWord
from hdl.engine.descriptor import (
    DESCRIPTOR_WORDS,
    SOFTMAX_TABLE_WORDS,
    Descriptor,
    Feed,
    Header,
    LoopDescriptor,
    Operation,
    WeightFormat,
    parameter_words,
)
from hdl.engine.passes import Passes
from hdl.engine.vector_descriptor import VectorDescriptor

__all__ = ["AnyDescriptor", "Loader"]

WORD = unsigned(8 * MRAM_WORD_BYTES)

STATES = ("IDLE", "DESCRIPTOR", "DECODE", "TABLE", "PARAMETERS", "TILES", "STRIPE")


class AnyDescriptor(data.Union):
    """A descriptor, in whichever layout its `Operation` says."""

    header: Header
    job: Descriptor
    vector: VectorDescriptor
    loop: LoopDescriptor


class Loader(wiring.Component):
    """Runs ahead of the computation: descriptors, parameters and weight tiles in stream order.

    While a job computes, the loader fills the shadow weights and the spare parameter bank, and as
    soon as a job's stream is consumed it reads the next descriptor and its first tile, so that
    loading hides behind computing across jobs as well.

    A loop is a stretch of the stream that comes several times, from the cache if it is kept there.
    In each turn the tensors of its jobs lie one step further; the products of turn and steps are
    made while the rest of a descriptor arrives, and cost no cycle.

    Members
    -------
    start : In(1)
        Begin the program at `program`.
    program : In
        MRAM word address of the first descriptor.
    words : In(stream)
        The program stream, from the weight cache.
    address : In
        MRAM address of the word that `words` offers.
    keep, rewind : Out(1)
        Tiles of a group serve several stripes, or a loop's body several turns: keep the words, then
        go back to them.
    seek : Out(stream)
        Start of the program, or of a group or a body too large to keep.
    stop : Out(1)
        The program has ended.
    end, end_valid : Out
        MRAM address behind the program's last word, once a descriptor has told it.
    wake_mark : Out(7)
        `Header.wake_mark` of the descriptor read last; 0 before the first.
    job, job_valid : Out
        The descriptor read last, of a job of whichever unit; holds until `taken`.
    taken : In(1)
        The job has begun.
    running : In(1)
        A job is being computed.
    ended : Out(1)
        The END descriptor has been read; until the next `start`.
    parameters, tiles, table : Out(stream)
        Parameter words; weight tiles; what follows a descriptor of softmax or the vector unit, once
        it is taken.
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        address = unsigned(config.mram_address_bits)
        super().__init__(
            {
                "start": In(1),
                "program": In(address),
                "words": In(stream.Signature(WORD)),
                "address": In(address),
                "keep": Out(1),
                "rewind": Out(1),
                "seek": Out(stream.Signature(address)),
                "stop": Out(1),
                "end": Out(address),
                "end_valid": Out(1),
                "wake_mark": Out(Header.as_shape()["wake_mark"].shape),
                "job": Out(AnyDescriptor),
                "job_valid": Out(1),
                "taken": In(1),
                "running": In(1),
                "ended": Out(1),
                "parameters": Out(stream.Signature(WORD)),
                "tiles": Out(stream.Signature(TileWord)),
                "table": Out(stream.Signature(WORD)),
            }
        )

    def elaborate(self, platform):
        """Build the state machine and the tile counters."""
        m = Module()
        config, words, tile = self.config, self.words, self.tiles.p
        header, job, vector, loop = (
            self.job.header, self.job.job, self.job.vector, self.job.loop
        )  # fmt: skip

        raw = Signal(8 * MRAM_WORD_BYTES * DESCRIPTOR_WORDS)
        index, table_last = Signal(16), Signal(16)
        m.d.comb += self.job.as_value().eq(raw)
        with m.If(self.taken):
            m.d.sync += self.job_valid.eq(0)

        # Counts through the passes that the walker goes through later.
        m.submodules.passes = passes = Passes(config, planes=False)
        group, stripe = Signal(12), Signal(12)
        word, tile_words, lanes = Signal(5), Signal(5), Signal(5)
        group_address = Signal(config.mram_address_bits)
        fresh = Signal()  # the group's first tile word is next
        stripes_end = Signal()
        m.d.comb += [
            passes.job.eq(job),
            lanes.eq(Mux(job.feed == Feed.WINDOW, 3 * config.window_rows, passes.lanes)),
            stripes_end.eq(stripe == job.stripes_last),
        ]
        with m.Switch(job.weight_format):
            for weight_format in WeightFormat:
                word_lanes = config.lanes_per_word << PACKINGS.get(weight_format, 0)
                words_needed = (lanes + word_lanes - 1) >> ceil_log2(word_lanes)
                with m.Case(weight_format):
                    m.d.comb += tile_words.eq(words_needed)

        # --- loops --------------------------------------------------------------------------------
        turn, turns_last, kept = Signal(12), Signal(12), Signal()
        body = Signal(config.mram_address_bits)
        again, keep_body = Signal(), Signal()
        m.d.comb += [again.eq(turn != turns_last), keep_body.eq(kept & again)]
        # Where the tensors of this turn lie.  The header is there from the second word on, and one
        # multiplier makes the three products before the last word has arrived.
        steps = (header.a_step, header.b_step, header.out_step)
        offsets = [Signal(16, name=f"offset_{i}") for i in range(len(steps))]
        step = Signal.like(header.a_step)
        for i, (of_tensor, offset) in enumerate(zip(steps, offsets, strict=True)):
            with m.If(index == i + 1):
                m.d.comb += step.eq(of_tensor)
                m.d.sync += offset.eq(turn * step)

        def move(*bases):
            """Add the turn's offsets to the bases of a descriptor."""
            m.d.sync += [base.eq(base + by) for base, by in zip(bases, offsets, strict=True)]

        moved = Signal()
        m.d.comb += [moved.eq(words.valid & words.ready), self.keep.eq(keep_body)]
        with m.FSM() as fsm:
            with m.State("IDLE"):
                with m.If(self.start):
                    m.d.comb += [self.seek.valid.eq(1), self.seek.payload.eq(self.program)]
                    m.d.sync += [self.ended.eq(0), self.end_valid.eq(0), index.eq(0)]
                    m.d.sync += self.wake_mark.eq(0)
                    m.d.sync += [turn.eq(0), turns_last.eq(0), kept.eq(0)]
                    m.next = "DESCRIPTOR"
            with m.State("DESCRIPTOR"):
                m.d.comb += words.ready.eq(~self.job_valid)
                with m.If(moved):
                    m.d.sync += [
                        raw.word_select(index, words.payload.shape().width).eq(words.payload),
                        index.eq(index + 1),
                    ]
                    with m.If(index == DESCRIPTOR_WORDS - 1):
                        m.d.sync += index.eq(0)
                        m.next = "DECODE"
            with m.State("DECODE"):
                m.d.sync += [group.eq(0), stripe.eq(0), fresh.eq(1)]
                m.d.sync += [self.end.eq(self.address + header.remaining), self.end_valid.eq(1)]
                m.d.sync += self.wake_mark.eq(header.wake_mark)
                held = data.View(AnyDescriptor, raw[: AnyDescriptor.as_shape().size])
                with m.Switch(header.operation):
                    with m.Case(Operation.JOB, Operation.SOFTMAX):
                        move(held.job.a.base, held.job.b.base, held.job.out_base)
                        m.d.sync += [
                            self.job_valid.eq(1),
                            table_last.eq(SOFTMAX_TABLE_WORDS - 1),
                        ]
                        m.next = "TABLE"
                        with m.If(header.operation == Operation.JOB):
                            m.next = "PARAMETERS"
                    with m.Case(Operation.VECTOR):
                        move(held.vector.a.base, held.vector.b.base, held.vector.out.base)
                        m.d.sync += [
                            self.job_valid.eq(1),
                            table_last.eq(vector.payload_words - 1),
                        ]
                        m.next = "TABLE"
                        with m.If(vector.payload_words == 0):
                            m.next = "DESCRIPTOR"
                    with m.Case(Operation.LOOP):
                        m.d.sync += [
                            turn.eq(0), turns_last.eq(loop.turns_last), kept.eq(loop.keep),
                            body.eq(self.address),
                        ]  # fmt: skip
                        m.next = "DESCRIPTOR"
                    with m.Case(Operation.AGAIN):
                        with m.If(again):
                            m.d.sync += turn.eq(turn + 1)
                            m.d.comb += [
                                self.rewind.eq(kept),
                                self.seek.valid.eq(~kept),
                                self.seek.payload.eq(body),
                            ]
                        with m.Else():
                            m.d.sync += [turn.eq(0), turns_last.eq(0), kept.eq(0)]
                        m.next = "DESCRIPTOR"
                    with m.Default():
                        m.d.comb += self.stop.eq(1)
                        m.d.sync += self.ended.eq(1)
                        m.next = "IDLE"
            with m.State("TABLE"):
                # The units may still be at the job before.
                m.d.comb += [
                    self.table.valid.eq(words.valid & ~self.job_valid),
                    self.table.payload.eq(words.payload),
                    words.ready.eq(self.table.ready & ~self.job_valid),
                ]
                with m.If(moved):
                    m.d.sync += index.eq(index + 1)
                    with m.If(index == table_last):
                        m.d.sync += index.eq(0)
                        m.next = "DESCRIPTOR"
            with m.State("PARAMETERS"):
                m.d.comb += [
                    self.parameters.valid.eq(words.valid),
                    self.parameters.payload.eq(words.payload),
                    words.ready.eq(self.parameters.ready),
                ]
                with m.If(moved):
                    m.d.sync += index.eq(index + 1)
                    with m.If(index == parameter_words(config.rows) - 1):
                        m.d.sync += index.eq(0)
                        m.next = "TILES"
            with m.State("TILES"):
                m.d.comb += [
                    self.keep.eq(keep_body | (~stripes_end & ~job.refetch)),
                    tile.weight_format.eq(job.weight_format),
                    tile.data.eq(words.payload),
                    tile.ones.eq(job.ones),
                    tile.last.eq(job.ones | (word == tile_words - 1)),
                    self.tiles.valid.eq(words.valid | job.ones),
                    words.ready.eq(self.tiles.ready & ~job.ones),
                ]
                with m.If(fresh):
                    m.d.sync += group_address.eq(self.address)
                with m.If(self.tiles.valid & self.tiles.ready):
                    m.d.sync += [word.eq(word + 1), fresh.eq(0)]
                    with m.If(tile.last):
                        m.d.sync += word.eq(0)
                        m.d.comb += passes.next.eq(1)
                        with m.If(passes.last):
                            m.d.sync += stripe.eq(stripe + 1)
                            with m.If(~stripes_end):
                                with m.If(~job.ones):
                                    m.next = "STRIPE"
                            with m.Else():
                                m.d.sync += [stripe.eq(0), group.eq(group + 1), fresh.eq(1)]
                                m.next = "PARAMETERS"
                                with m.If(group == job.groups_last):
                                    m.next = "DESCRIPTOR"
            with m.State("STRIPE"):
                # What is kept for the next turn begins elsewhere: let it go.
                with m.If(job.refetch | keep_body):
                    m.d.comb += [self.seek.valid.eq(1), self.seek.payload.eq(group_address)]
                    m.d.sync += kept.eq(0)
                with m.Else():
                    m.d.comb += self.rewind.eq(1)
                m.next = "TILES"

        working = fsm.ongoing("PARAMETERS") | fsm.ongoing("TILES") | fsm.ongoing("STRIPE")
        sinks = [self.parameters, self.tiles, self.table]
        valids = Cat(sink.valid for sink in sinks)
        transfers = Cat(sink.valid & sink.ready for sink in sinks)
        going = (
            moved | transfers.any() | self.seek.valid | self.rewind | fsm.ongoing("DECODE")
            | (fsm.ongoing("IDLE") & ~self.start)
        )  # fmt: skip
        waiting = (
            (~words.valid & ~(fsm.ongoing("TILES") & job.ones))
            | (self.job_valid & (fsm.ongoing("DESCRIPTOR") | fsm.ongoing("TABLE")))
            | (fsm.ongoing("PARAMETERS") & ~self.parameters.ready)
            | (fsm.ongoing("TILES") & ~self.tiles.ready)
            | (fsm.ongoing("TABLE") & ~self.table.ready)
        )
        counters = [(group, job.groups_last), (stripe, job.stripes_last)]
        m.d.sync += [
            Assert(turn <= turns_last, "a turn too many"),
            Assert(~(self.start & self.running), "started while running"),
            Assert(~self.taken | self.job_valid, "took a job that is not there"),
            Assert(~(fsm.ongoing("DESCRIPTOR") & moved & self.job_valid), "lost a descriptor"),
            Assert((valids & (valids - 1)) == 0, "a word for two sinks"),
            Assert(~(self.seek.valid & self.rewind), "back to two places"),
            Assert(~(moved & (self.seek.valid | self.rewind)), "took a word while going back"),
            *(Assert(~working | (count <= end), "a counter too large") for count, end in counters),
            Assert(fsm.ongoing("TILES") | (passes.first & (word == 0)), "a tile was left half way"),
            Assert(~fsm.ongoing("TILES") | (lanes == 0) | (word < tile_words), "behind the tile"),
            Assert(going | waiting, "a state that nobody leaves"),
            Assert(Cat(fsm.ongoing(state) for state in STATES).any(), "a state that there is not"),
        ]
        return m
