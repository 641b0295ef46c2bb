"""The raw half of the image pipeline: from the mosaic's pixels to linear RGB."""

from itertools import pairwise

from amaranth.hdl import Module, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.image.bad_pixels import BadPixels
from hdl.image.black_level import BlackLevel
from hdl.image.demosaic import Demosaic
from hdl.image.pixels import (
    BAYER_ORDERS,
    MAX_WIDTH,
    PHASES,
    PIXEL_BITS,
    pixel_stream,
    raw_pixel,
    rgb_pixel,
)
from hdl.image.statistics import FRAME_STATISTICS, Statistics
from hdl.image.white_balance import GAIN_BITS, WhiteBalance

__all__ = ["RAW_SETTINGS", "RawPipeline"]

RAW_SETTINGS = data.StructLayout(
    {
        "order": range(len(BAYER_ORDERS)),
        "black_levels": data.ArrayLayout(unsigned(PIXEL_BITS), PHASES),
        "bad_pixel_threshold": unsigned(PIXEL_BITS),
        "bad_pixel_rank": unsigned(2),
        "clip_limit": unsigned(PIXEL_BITS),
        "gains": data.ArrayLayout(unsigned(GAIN_BITS), PHASES),
    }
)
"""Registers, as in `models.image.pipeline.Settings`."""


class RawPipeline(wiring.Component):
    """Black level, bad pixels, statistics, white balance and demosaic, one pixel a clock.

    Bit-exact with these stages of `models.image.pipeline.process`.

    Parameters
    ----------
    max_width : int
        Pixels of the longest line, at least 4.

    Members
    -------
    settings : In(RAW_SETTINGS)
        May change while no frame is in progress: not before the last pixel's ``o``.
    abort : In(1)
        Forget the frame in progress; a pixel in the same clock as well.  The next pixel is the
        first of a frame.  What is left of a complete frame before it still comes out.
    aborted : Out(1)
        Take back what came of the frame in progress: it will not go on.  In its place between the
        pixels of ``o``, so that stages behind take this as their ``abort``, not the receiver's.
    i : In(stream of raw_pixel(), always ready)
        12 bits, aligned.  Frames of 4 x 4 and more, of any size from one to the next; one with
        shorter lines than the one before only when that one's last pixel has left.
    o : Out(stream of rgb_pixel(12), always ready)
        Linear RGB.  Pixel ``n - (4 * width + 4)`` of a frame leaves `LATENCY` clocks behind pixel
        ``n``; the last ones one a clock, whatever comes in.
    corrected : Out(stream of raw_pixel(), always ready)
        The mosaic in front of the gains, which statistics see.
    bad : Out(1)
        With ``corrected``: this pixel was replaced.
    corrected_aborted : Out(1)
        Take back what came of the frame in progress from ``corrected``.
    statistics : Out(FRAME_STATISTICS)
        Of the last complete frame.
    statistics_done : Out(1)
        ``statistics`` is a new frame's since this clock.

    Attributes
    ----------
    black_level, bad_pixels, white_balance, demosaic : Component
        The stages in their row.
    statistics_unit : Statistics
        Beside it.
    """

    LATENCY = BlackLevel.LATENCY + BadPixels.LATENCY + WhiteBalance.LATENCY + Demosaic.LATENCY

    def __init__(self, max_width: int = MAX_WIDTH):
        self.black_level = BlackLevel()
        self.bad_pixels = BadPixels(max_width)
        self.statistics_unit = Statistics()
        self.white_balance = WhiteBalance()
        self.demosaic = Demosaic(max_width)
        super().__init__(
            {
                "settings": In(RAW_SETTINGS),
                "abort": In(1),
                "aborted": Out(1),
                "i": In(pixel_stream(raw_pixel())),
                "o": Out(pixel_stream(rgb_pixel(PIXEL_BITS))),
                "corrected": Out(pixel_stream(raw_pixel())),
                "bad": Out(1),
                "corrected_aborted": Out(1),
                "statistics": Out(FRAME_STATISTICS),
                "statistics_done": Out(1),
            }
        )

    def elaborate(self, platform):
        """Connect the stages in a row, statistics beside it."""
        m = Module()
        settings = self.settings
        m.submodules.black_level = black_level = self.black_level
        m.submodules.bad_pixels = bad_pixels = self.bad_pixels
        m.submodules.statistics = statistics = self.statistics_unit
        m.submodules.white_balance = white_balance = self.white_balance
        m.submodules.demosaic = demosaic = self.demosaic
        m.d.comb += [
            black_level.order.eq(settings.order),
            black_level.levels.eq(settings.black_levels),
            bad_pixels.threshold.eq(settings.bad_pixel_threshold),
            bad_pixels.rank.eq(settings.bad_pixel_rank),
            statistics.order.eq(settings.order),
            statistics.limit.eq(settings.clip_limit),
            white_balance.order.eq(settings.order),
            white_balance.gains.eq(settings.gains),
            demosaic.order.eq(settings.order),
        ]

        row = [black_level, bad_pixels, white_balance, demosaic]
        connect(m, flipped(self.i), row[0].i)
        m.d.comb += row[0].abort.eq(self.abort)
        for stage, following in pairwise(row):
            connect(m, stage.o, following.i)
            m.d.comb += following.abort.eq(stage.aborted)
        connect(m, row[-1].o, flipped(self.o))
        m.d.comb += self.aborted.eq(row[-1].aborted)

        m.d.comb += [
            self.corrected.valid.eq(bad_pixels.o.valid),
            self.corrected.payload.eq(bad_pixels.o.payload),
            self.bad.eq(bad_pixels.bad),
            self.corrected_aborted.eq(bad_pixels.aborted),
            statistics.i.valid.eq(bad_pixels.o.valid),
            statistics.i.payload.eq(bad_pixels.o.payload),
            statistics.abort.eq(bad_pixels.aborted),
            self.statistics.eq(statistics.result),
            self.statistics_done.eq(statistics.done),
        ]
        return m
