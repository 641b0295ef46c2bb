"""What firmware learns about a frame: sums for the grey world, and its exposure."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.image.delay import delays
from hdl.image.phases import PhaseCounter
from hdl.image.pixels import (
    BAYER_ORDERS,
    MAX_HEIGHT,
    MAX_WIDTH,
    PHASES,
    PIXEL_BITS,
    pixel_stream,
    raw_pixel,
)

__all__ = ["BINS", "COUNT_BITS", "FRAME_STATISTICS", "SUM_BITS", "Statistics"]

BIN_BITS = 4
BINS = 1 << BIN_BITS
COUNT_BITS = (MAX_WIDTH * MAX_HEIGHT).bit_length()
SUM_BITS = (MAX_WIDTH * MAX_HEIGHT * ((1 << PIXEL_BITS) - 1)).bit_length()

FRAME_STATISTICS = data.StructLayout(
    {
        "sums": data.ArrayLayout(unsigned(SUM_BITS), PHASES),
        "counts": data.ArrayLayout(unsigned(COUNT_BITS), PHASES),
        "histogram": data.ArrayLayout(unsigned(COUNT_BITS), BINS),
        "clipped": unsigned(COUNT_BITS),
    }
)
"""Counters at the end of a frame: `models.image.statistics.Statistics`."""


class Statistics(wiring.Component):
    """Count a frame's pixels, and keep the last complete frame's counters for firmware.

    Bit-exact with `models.image.statistics.measure`.  One adder each for sums, counts, bins and
    clipped pixels.

    Members
    -------
    order : In(2)
        Bayer order, an index of `hdl.image.pixels.BAYER_ORDERS`.
    limit : In(12)
        What counts as clipped.
    abort : In(1)
        Forget the frame in progress; a pixel in this clock as well.
    i : In(stream of raw_pixel(), always ready)
        Behind the correction of bad pixels, in front of the gains.
    result : Out(FRAME_STATISTICS)
        Of the last complete frame; stays until the next one's ``done``.
    done : Out(1)
        ``result`` is a new frame's since this clock, `LATENCY` clocks behind its last pixel.
    """

    LATENCY = 3

    order: In(range(len(BAYER_ORDERS)))
    limit: In(PIXEL_BITS)
    abort: In(1)
    i: In(pixel_stream(raw_pixel()))
    result: Out(FRAME_STATISTICS)
    done: Out(1)

    def elaborate(self, platform):
        """Build the counters and their copy."""
        m = Module()
        m.submodules.phases = phases = PhaseCounter()
        phases.look_at(m, self)
        valid = self.i.valid & ~self.abort
        last = valid & self.i.p.last_column & self.i.p.last_row
        [counts], [forgets] = delays(m, valid, 1), delays(m, self.abort, 1)
        [_, closes] = delays(m, last, 2)
        value, phase, good = Signal(PIXEL_BITS), Signal.like(phases.phase), Signal()
        with m.If(valid):
            m.d.sync += [
                value.eq(self.i.p.value),
                phase.eq(phases.phase),
                good.eq(self.i.p.value < self.limit),
            ]

        # The counters are whole in the clock of `closes`, which may count the next frame's first
        # pixel: they start from 0 then.
        running = Signal(FRAME_STATISTICS)
        restarts = Signal()
        m.d.comb += restarts.eq(closes | forgets)
        with m.If(restarts):
            m.d.sync += running.eq(0)

        def add(counter, amount):
            m.d.sync += counter.eq(Mux(restarts, 0, counter) + amount)

        with m.If(counts):
            add(running.histogram[value[-BIN_BITS:]], 1)
            with m.If(good):
                add(running.sums[phase], value)
                add(running.counts[phase], 1)
            with m.Else():
                add(running.clipped, 1)
        with m.If(closes):
            m.d.sync += self.result.eq(running)
        m.d.sync += self.done.eq(closes)
        return m
