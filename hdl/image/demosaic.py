"""Demosaic: Malvar, He and Cutler's linear interpolation in a window of 5 x 5."""

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.arith import saturate
from hdl.image.delay import delays
from hdl.image.lines import WindowBuffer, window_layout
from hdl.image.phases import PhaseCounter
from hdl.image.pixels import (
    BAYER_ORDERS,
    MAX_WIDTH,
    PIXEL_BITS,
    pixel_stream,
    raw_pixel,
    rgb_pixel,
)
from hdl.image.stage import pass_on

__all__ = ["Demosaic", "Interpolator"]

FRACTION_BITS = 4
SUM_BITS = PIXEL_BITS + 6
"""The positive weights of the largest filter are 28, the negative ones -12: with the half that
rounds, less than 2**17 on either side, and a sign."""


class Interpolator(wiring.Component):
    """Give all three colours of a window's pixel.

    Bit-exact with `models.image.demosaic.demosaic`.  Weights are sums of two powers of two: no
    multiplier.  A pixel needs two of the four filters: green and the opposite colour, or, in a
    green place, the colour beside and the colour above, which are one filter turned.

    Members
    -------
    order : In(2)
        Bayer order, an index of `hdl.image.pixels.BAYER_ORDERS`.
    abort, aborted : In(1), Out(1)
        Forget the frame in progress, here and behind; a pixel in the clock of ``abort`` as well.
    i : In(stream of window_layout(), always ready)
    o : Out(stream of rgb_pixel(12), always ready)
        `LATENCY` clocks behind ``i``: pairs of pixels, their sums, the filters, the choice.
    """

    LATENCY = 4

    order: In(range(len(BAYER_ORDERS)))
    abort: In(1)
    aborted: Out(1)
    i: In(pixel_stream(window_layout()))
    o: Out(pixel_stream(rgb_pixel(PIXEL_BITS)))

    def elaborate(self, platform):
        """Build the sums from the outside in."""
        m = Module()
        [taken, adds, filters, chooses, _] = pass_on(m, self)
        w = self.i.p.pixels
        m.submodules.phases = phases = PhaseCounter()
        m.d.comb += [
            phases.order.eq(self.order),
            phases.abort.eq(self.abort),
            phases.i.valid.eq(self.i.valid),
            phases.i.p.last_column.eq(self.i.p.last_column),
            phases.i.p.last_row.eq(self.i.p.last_row),
        ]
        phase = delays(m, phases.phase, self.LATENCY - 1)

        # Pairs of the same distance: beside, above and below, diagonal; two away.
        pairs = {
            "beside": w[2][1] + w[2][3],
            "above": w[1][2] + w[3][2],
            "far_beside": w[2][0] + w[2][4],
            "far_above": w[0][2] + w[4][2],
            "upper": w[1][1] + w[1][3],
            "lower": w[3][1] + w[3][3],
        }
        with m.If(taken):
            pair = registers(m, pairs, PIXEL_BITS + 1, "pair")
            [centre] = registers(m, {"centre": w[2][2]}, PIXEL_BITS, "pair").values()

        # A green place in a row of blue has above what one in a row of red has beside.
        diagonal = pair["upper"] + pair["lower"]
        near, far = pair["beside"] + pair["above"], pair["far_beside"] + pair["far_above"]
        sums = {
            "green": (centre << 3) + (near << 2),
            "opposite": (centre << 3) + (diagonal << 2) + (centre << 2),
            "far": far,
            "colour_beside": (pair["beside"] << 3) + pair["far_above"],
            "less_beside": pair["far_beside"] << 1,
            "colour_above": (pair["above"] << 3) + pair["far_beside"],
            "less_above": pair["far_above"] << 1,
            "ten": (centre << 3) + (centre << 1),
            "diagonal": diagonal << 1,
        }
        with m.If(adds):
            total = registers(m, sums, signed(SUM_BITS), "sum")
            [centre] = registers(m, {"centre": centre}, PIXEL_BITS, "sum").values()

        far, base = total["far"], total["ten"] - total["diagonal"]
        first, second = Signal(signed(SUM_BITS)), Signal(signed(SUM_BITS))
        with m.If(filters):
            with m.If(phase[1][0] ^ phase[1][1]):
                m.d.sync += first.eq(base + total["colour_beside"] - total["less_beside"])
                m.d.sync += second.eq(base + total["colour_above"] - total["less_above"])
            with m.Else():
                m.d.sync += first.eq(total["green"] - (far << 1))
                m.d.sync += second.eq(total["opposite"] - (far << 1) - far)
            [centre] = registers(m, {"centre": centre}, PIXEL_BITS, "filter").values()

        half = 1 << (FRACTION_BITS - 1)
        first, second = (
            saturate((value + half) >> FRACTION_BITS, unsigned(PIXEL_BITS))
            for value in (first, second)
        )
        colours = [
            (centre, first, second),  # red
            (first, centre, second),  # green in a red row: red beside
            (second, centre, first),
            (second, first, centre),  # blue
        ]
        o = self.o.p
        with m.If(chooses):
            with m.Switch(phase[2]):
                for index, (red, green, blue) in enumerate(colours):
                    with m.Case(index):
                        m.d.sync += [o.red.eq(red), o.green.eq(green), o.blue.eq(blue)]
        return m


def registers(m, values, shape, name):
    """Registers of ``values``, written under the condition around the call."""
    kept = {key: Signal(shape, name=f"{name}_{key}") for key in values}
    m.d.sync += [kept[key].eq(value) for key, value in values.items()]
    return kept


class Demosaic(wiring.Component):
    """Line buffers and the interpolation: a stage of the pipeline.

    Parameters
    ----------
    max_width : int
        Pixels of the longest line, at least 4.

    Members
    -------
    order
        See `Interpolator`.
    abort, aborted : In(1), Out(1)
        See `hdl.image.lines.WindowBuffer`.
    i : In(stream of raw_pixel(), always ready)
    o : Out(stream of rgb_pixel(12), always ready)
        Pixel ``n - (2 * width + 2)`` of a frame leaves `LATENCY` clocks behind pixel ``n``, the
        last ones without a pixel.
    """

    LATENCY = WindowBuffer.LATENCY + Interpolator.LATENCY

    def __init__(self, max_width: int = MAX_WIDTH):
        self.max_width = max_width
        super().__init__(
            {
                "order": In(range(len(BAYER_ORDERS))),
                "abort": In(1),
                "aborted": Out(1),
                "i": In(pixel_stream(raw_pixel())),
                "o": Out(pixel_stream(rgb_pixel(PIXEL_BITS))),
            }
        )

    def elaborate(self, platform):
        """Connect the two."""
        m = Module()
        m.submodules.lines = lines = WindowBuffer(self.max_width)
        m.submodules.interpolator = interpolator = Interpolator()
        connect(m, flipped(self.i), lines.i)
        connect(m, lines.o, interpolator.i)
        connect(m, interpolator.o, flipped(self.o))
        m.d.comb += [
            lines.abort.eq(self.abort),
            interpolator.abort.eq(lines.aborted),
            self.aborted.eq(interpolator.aborted),
            interpolator.order.eq(self.order),
        ]
        return m
