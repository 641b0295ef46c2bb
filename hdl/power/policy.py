"""Gating policies: what the program does now, turned into wishes for banks and segments."""

from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ChipConfig
from hdl.power.domains import Gating, PowerState

__all__ = ["GatingPolicy"]


class GatingPolicy(wiring.Component):
    """Decides, cycle by cycle, which activation segments and MRAM banks are wanted.

    Members
    -------
    gating : In(Gating)
        The policy; may change only while no program runs.
    busy : In(1)
        A program runs.
    footprint, held : In(activation_segments)
        Segments that the network uses at all; that hold its inputs, outputs and variables, and so
        outlive a run.
    job_used, job_live : In(activation_segments)
        Of the job that runs; 0 while none does.  See `hdl.engine.descriptor.Header`.
    next_used, next_live : In(activation_segments)
        Of the job that waits; 0 while none does.
    job_done : In(1)
        Pulse: a job ends.
    next_ready : Out(1)
        All segments that the waiting job uses are on.
    host_open : In(1)
        The host wants to read or write segments in ``held``; only while not ``busy``.
    host_ready : Out(1)
        They are on.
    targets, states : Out, In (PowerState), one a segment
        Towards the sequencers of the segments.
    stream_banks : In(mram_banks)
        Banks that the weight cache asks for.
    keep_banks : Out(mram_banks)
        Banks that stay on although nobody asks for them.
    may_sleep : Out(1)
        The weight cache may let its bank sleep.
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        segments, banks = config.activation_segments, config.mram_banks
        super().__init__(
            {
                "gating": In(Gating),
                "busy": In(1),
                "footprint": In(segments),
                "held": In(segments),
                "job_used": In(segments),
                "job_live": In(segments),
                "next_used": In(segments),
                "next_live": In(segments),
                "job_done": In(1),
                "next_ready": Out(1),
                "host_open": In(1),
                "host_ready": Out(1),
                "targets": Out(PowerState).array(segments),
                "states": In(PowerState).array(segments),
                "stream_banks": In(banks),
                "keep_banks": Out(banks),
                "may_sleep": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build the choice for segments and for banks."""
        m = Module()
        segments = self.config.activation_segments

        # Contents that matter now: those of the job that ran last, until the next one begins.
        live = Signal(segments)
        with m.If(~self.busy):
            m.d.sync += live.eq(self.held)
        with m.Elif(self.job_live.any()):
            m.d.sync += live.eq(self.job_live)

        working, kept, on = Signal(segments), Signal(segments), Signal(segments)
        always_on = Signal()
        m.d.comb += always_on.eq(self.gating == Gating.ALWAYS_ON)
        with m.If(~self.busy):
            m.d.comb += [
                working.eq(self.held & self.host_open.replicate(segments)),
                kept.eq(self.held),
            ]
        with m.Else():
            with m.Switch(self.gating):
                with m.Case(Gating.PER_BURST):
                    m.d.comb += [
                        working.eq(self.job_used | self.next_used),
                        kept.eq(live | self.job_live | self.next_live),
                    ]
                with m.Case(Gating.PER_LAYER):
                    m.d.comb += working.eq(live | self.job_live | self.next_live)
                with m.Default():
                    m.d.comb += working.eq(self.footprint | self.held)
        for k in range(segments):
            alive = Signal(name=f"alive_{k}")
            m.d.comb += [
                on[k].eq(self.states[k] == PowerState.ON),
                alive.eq(self.states[k] != PowerState.OFF),
                # What is off has nothing to retain.
                self.targets[k].eq(
                    Mux(
                        always_on | working[k],
                        PowerState.ON,
                        Mux(kept[k] & alive, PowerState.RETAIN, PowerState.OFF),
                    )
                ),
            ]
        m.d.comb += [
            self.next_ready.eq(~(self.next_used & ~on).any()),
            self.host_ready.eq(self.host_open & ~self.busy & ~(self.held & ~on).any()),
        ]

        touched = Signal(self.config.mram_banks)
        with m.If(~self.busy):
            m.d.sync += touched.eq(0)
        with m.Else():
            m.d.sync += touched.eq(touched | self.stream_banks)
        with m.Switch(self.gating):
            with m.Case(Gating.ALWAYS_ON):
                m.d.comb += self.keep_banks.eq(~0)
            with m.Case(Gating.PER_NETWORK):
                m.d.comb += self.keep_banks.eq(touched)
            with m.Case(Gating.PER_LAYER):
                m.d.comb += self.may_sleep.eq(self.job_done)
            with m.Case(Gating.PER_BURST):
                m.d.comb += self.may_sleep.eq(1)

        before, ran = Signal(Gating), Signal()
        m.d.sync += [before.eq(self.gating), ran.eq(self.busy)]
        m.d.sync += [
            Assert(~(ran & self.busy) | (before == self.gating), "the policy changed in a run"),
            Assert(~(self.host_open & self.busy), "the host opens memory that a program uses"),
            Assert(~(self.job_used & ~self.job_live).any(), "a job uses what does not live"),
            Assert(~(self.job_used & ~on).any(), "a job runs on a segment that is not on"),
        ]
        return m
