"""Correction of pixels that are stuck, dead or hot."""

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.image.lines import WindowBuffer, window_layout
from hdl.image.pixels import MAX_WIDTH, PIXEL_BITS, pixel_stream, raw_pixel
from hdl.image.stage import pass_on

__all__ = ["SORTING_NETWORK", "BadPixels", "OutlierFilter"]

NEIGHBOURS = 8
RANK_BITS = 2

SORTING_NETWORK = (
    ((0, 1), (2, 3), (4, 5), (6, 7)),
    ((0, 2), (1, 3), (4, 6), (5, 7)),
    ((1, 2), (5, 6)),
    ((0, 4), (1, 5), (2, 6), (3, 7)),
    ((2, 4), (3, 5)),
    ((1, 2), (3, 4), (5, 6)),
)
"""Layers of comparators for eight values, 19 in all: K. E. Batcher, "Sorting networks and their
applications", AFIPS 1968 (odd-even merge).  The smaller value goes to the first place."""

LAYERS_A_CLOCK = 2
MARGIN_BITS = PIXEL_BITS + 1


class OutlierFilter(wiring.Component):
    """Replace a window's pixel by the median of its colour if it is out of their range.

    Bit-exact with `models.image.bad_pixels.correct_bad_pixels`.

    Members
    -------
    threshold : In(12)
        4095 switches the correction off.
    rank : In(2)
        How many of the eight neighbours may be bad the same way.
    abort, aborted : In(1), Out(1)
        Forget the frame in progress, here and behind; a pixel in the clock of ``abort`` as well.
    i : In(stream of window_layout(), always ready)
    o : Out(stream of raw_pixel(), always ready)
        `LATENCY` clocks behind ``i``: three of the sorting network, one for the limits, one for the
        choice.
    bad : Out(1)
        With ``o``: it was replaced.
    """

    SORT_CLOCKS = len(SORTING_NETWORK) // LAYERS_A_CLOCK
    LATENCY = SORT_CLOCKS + 2

    threshold: In(PIXEL_BITS)
    rank: In(RANK_BITS)
    abort: In(1)
    aborted: Out(1)
    i: In(pixel_stream(window_layout()))
    o: Out(pixel_stream(raw_pixel()))
    bad: Out(1)

    def elaborate(self, platform):
        """Build the network, the limits and the choice."""
        m = Module()
        valids = pass_on(m, self)
        window = self.i.p.pixels
        ordered = [window[row][column] for row in (0, 2, 4) for column in (0, 2, 4)]
        centre = ordered.pop(NEIGHBOURS // 2)
        for clock in range(self.SORT_CLOCKS):
            for layer in SORTING_NETWORK[LAYERS_A_CLOCK * clock :][:LAYERS_A_CLOCK]:
                ordered = exchanged(m, ordered, layer)
            with m.If(valids[clock]):
                ordered = registered(m, ordered, f"sorted_{clock}")
                [centre] = registered(m, [centre], f"centre_{clock}")

        low = Array(ordered[: NEIGHBOURS // 2])[self.rank]
        high = Array(reversed(ordered[NEIGHBOURS // 2 :]))[self.rank]
        margin = Signal(MARGIN_BITS)
        m.d.comb += margin.eq(self.threshold + high - low)
        highest, lowest = Signal(MARGIN_BITS + 1), Signal(signed(MARGIN_BITS + 1))
        median, kept = Signal(PIXEL_BITS), Signal(PIXEL_BITS)
        with m.If(valids[self.SORT_CLOCKS]):
            m.d.sync += [
                highest.eq(high + margin),
                lowest.eq(low - margin),
                median.eq((ordered[3] + ordered[4] + 1) >> 1),
                kept.eq(centre),
            ]
        bad = (kept > highest) | (kept < lowest)
        with m.If(valids[-2]):
            m.d.sync += [self.bad.eq(bad), self.o.p.value.eq(Mux(bad, median, kept))]
        return m


def exchanged(m, values, comparators):
    """Values behind a layer of comparators: the smaller of each pair in the first place."""
    values = list(values)
    for first, second in comparators:
        smaller, larger = Signal(PIXEL_BITS), Signal(PIXEL_BITS)
        a, b = values[first], values[second]
        swap = Signal()
        m.d.comb += [swap.eq(a > b), smaller.eq(Mux(swap, b, a)), larger.eq(Mux(swap, a, b))]
        values[first], values[second] = smaller, larger
    return values


def registered(m, values, name):
    """Registers of ``values``, written under the condition around the call."""
    registers = [Signal(PIXEL_BITS, name=f"{name}_{at}") for at in range(len(values))]
    m.d.sync += [register.eq(value) for register, value in zip(registers, values, strict=True)]
    return registers


class BadPixels(wiring.Component):
    """Line buffers and the filter of outliers: a stage of the pipeline.

    Parameters
    ----------
    max_width : int
        Pixels of the longest line, at least 4.

    Members
    -------
    threshold, rank, bad
        See `OutlierFilter`.
    abort, aborted : In(1), Out(1)
        See `hdl.image.lines.WindowBuffer`.
    i, o : In, Out(stream of raw_pixel(), always ready)
        Pixel ``n - (2 * width + 2)`` of a frame leaves `LATENCY` clocks behind pixel ``n``, the
        last ones without a pixel.
    """

    LATENCY = WindowBuffer.LATENCY + OutlierFilter.LATENCY

    def __init__(self, max_width: int = MAX_WIDTH):
        self.max_width = max_width
        super().__init__(
            {
                "threshold": In(PIXEL_BITS),
                "rank": In(RANK_BITS),
                "abort": In(1),
                "aborted": Out(1),
                "i": In(pixel_stream(raw_pixel())),
                "o": Out(pixel_stream(raw_pixel())),
                "bad": Out(1),
            }
        )

    def elaborate(self, platform):
        """Connect the two."""
        m = Module()
        m.submodules.lines = lines = WindowBuffer(self.max_width)
        m.submodules.filter = outliers = OutlierFilter()
        connect(m, flipped(self.i), lines.i)
        connect(m, lines.o, outliers.i)
        connect(m, outliers.o, flipped(self.o))
        m.d.comb += [
            lines.abort.eq(self.abort),
            outliers.abort.eq(lines.aborted),
            self.aborted.eq(outliers.aborted),
            outliers.threshold.eq(self.threshold),
            outliers.rank.eq(self.rank),
            self.bad.eq(outliers.bad),
        ]
        return m
