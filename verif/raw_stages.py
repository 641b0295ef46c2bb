"""All stages of the raw half of the image pipeline, each on its own and in their row."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.image.bad_pixels import BadPixels
from hdl.image.black_level import BlackLevel
from hdl.image.demosaic import Demosaic
from hdl.image.pixels import PIXEL_BITS, pixel_stream, raw_pixel, rgb_pixel
from hdl.image.raw_pipeline import RAW_SETTINGS, RawPipeline
from hdl.image.statistics import FRAME_STATISTICS, Statistics
from hdl.image.white_balance import WhiteBalance

__all__ = ["STAGES", "RawStages"]

STAGES = {
    "black_level": (BlackLevel, {"order": "order", "levels": "black_levels"}),
    "bad_pixels": (BadPixels, {"threshold": "bad_pixel_threshold", "rank": "bad_pixel_rank"}),
    "white_balance": (WhiteBalance, {"order": "order", "gains": "gains"}),
    "demosaic": (Demosaic, {"order": "order"}),
}
"""Of each stage, its component and which settings its registers are."""


class RawStages(wiring.Component):
    """One camera, seen by each stage alone and by the pipeline.

    Members
    -------
    settings, abort, i
        As of `hdl.image.raw_pipeline.RawPipeline`.
    black_level, bad_pixels, white_balance, demosaic : Out(stream)
        What the stage makes of ``i``; ``..._aborted`` beside it.
    bad : Out(1)
        With ``bad_pixels``.
    statistics, statistics_done
        Of ``i``.
    pipeline, corrected : Out(stream)
        Of the stages in their row, ``..._aborted`` beside them.
    pipeline_bad, pipeline_statistics, pipeline_done
        The same of theirs.
    """

    def __init__(self):
        raw, rgb = pixel_stream(raw_pixel()), pixel_stream(rgb_pixel(PIXEL_BITS))
        outputs = {name: Out(rgb if name == "demosaic" else raw) for name in STAGES}
        super().__init__(
            {
                "settings": In(RAW_SETTINGS),
                "abort": In(1),
                "i": In(raw),
                **outputs,
                **{f"{name}_aborted": Out(1) for name in STAGES},
                "bad": Out(1),
                "statistics": Out(FRAME_STATISTICS),
                "statistics_done": Out(1),
                "pipeline": Out(rgb),
                "corrected": Out(raw),
                "corrected_aborted": Out(1),
                "pipeline_bad": Out(1),
                "pipeline_aborted": Out(1),
                "pipeline_statistics": Out(FRAME_STATISTICS),
                "pipeline_done": Out(1),
            }
        )

    def elaborate(self, platform):
        """Give every stage the same pixels."""
        m = Module()
        for name, (component, registers) in STAGES.items():
            m.submodules[name] = stage = component()
            self.watch(m, stage)
            connect(m, stage.o, flipped(getattr(self, name)))
            m.d.comb += getattr(self, f"{name}_aborted").eq(stage.aborted)
            for register, setting in registers.items():
                m.d.comb += getattr(stage, register).eq(self.settings[setting])
            if name == "bad_pixels":
                m.d.comb += self.bad.eq(stage.bad)

        m.submodules.statistics = statistics = Statistics()
        self.watch(m, statistics)
        m.d.comb += [
            statistics.order.eq(self.settings.order),
            statistics.limit.eq(self.settings.clip_limit),
            self.statistics.eq(statistics.result),
            self.statistics_done.eq(statistics.done),
        ]

        m.submodules.pipeline = pipeline = RawPipeline()
        self.watch(m, pipeline)
        connect(m, pipeline.o, flipped(self.pipeline))
        connect(m, pipeline.corrected, flipped(self.corrected))
        m.d.comb += [
            pipeline.settings.eq(self.settings),
            self.pipeline_bad.eq(pipeline.bad),
            self.corrected_aborted.eq(pipeline.corrected_aborted),
            self.pipeline_aborted.eq(pipeline.aborted),
            self.pipeline_statistics.eq(pipeline.statistics),
            self.pipeline_done.eq(pipeline.statistics_done),
        ]
        return m

    def watch(self, m, stage):
        """Connect a stage's input with the camera."""
        m.d.comb += [
            stage.i.valid.eq(self.i.valid),
            stage.i.payload.eq(self.i.payload),
            stage.abort.eq(self.abort),
        ]
