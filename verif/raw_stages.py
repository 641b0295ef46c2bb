"""The raw half of the image pipeline with what each of its stages gives."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.image.pixels import PIXEL_BITS, pixel_stream, raw_pixel, rgb_pixel
from hdl.image.raw_pipeline import RAW_SETTINGS, RawPipeline
from hdl.image.statistics import FRAME_STATISTICS

__all__ = ["STAGES", "RawStages"]

STAGES = ("black_level", "bad_pixels", "white_balance", "demosaic")


class RawStages(wiring.Component):
    """A `hdl.image.raw_pipeline.RawPipeline` that shows its inside.

    Members
    -------
    settings, abort, i, bad, statistics, statistics_done
        The pipeline's.
    black_level, bad_pixels, white_balance, demosaic : Out(stream)
        Of each stage; the last is the pipeline's own output, and ``bad_pixels`` its ``corrected``.
        ``..._aborted`` beside each.
    """

    def __init__(self):
        raw, rgb = pixel_stream(raw_pixel()), pixel_stream(rgb_pixel(PIXEL_BITS))
        super().__init__(
            {
                "settings": In(RAW_SETTINGS),
                "abort": In(1),
                "i": In(raw),
                **{name: Out(rgb if name == "demosaic" else raw) for name in STAGES},
                **{f"{name}_aborted": Out(1) for name in STAGES},
                "bad": Out(1),
                "statistics": Out(FRAME_STATISTICS),
                "statistics_done": Out(1),
            }
        )

    def elaborate(self, platform):
        """Connect the pipeline, and look into it."""
        m = Module()
        m.submodules.pipeline = pipeline = RawPipeline()
        connect(m, flipped(self.i), pipeline.i)
        connect(m, pipeline.o, flipped(self.demosaic))
        connect(m, pipeline.corrected, flipped(self.bad_pixels))
        m.d.comb += [
            pipeline.settings.eq(self.settings),
            pipeline.abort.eq(self.abort),
            self.bad.eq(pipeline.bad),
            self.bad_pixels_aborted.eq(pipeline.corrected_aborted),
            self.demosaic_aborted.eq(pipeline.aborted),
            self.statistics.eq(pipeline.statistics),
            self.statistics_done.eq(pipeline.statistics_done),
        ]
        for name in ("black_level", "white_balance"):
            stage, port = getattr(pipeline, name), getattr(self, name)
            m.d.comb += [
                port.valid.eq(stage.o.valid),
                port.payload.eq(stage.o.payload),
                getattr(self, f"{name}_aborted").eq(stage.aborted),
            ]
        return m
