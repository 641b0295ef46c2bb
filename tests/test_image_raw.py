# amaranth: UnusedElaboratable=no

"""The raw half of the image pipeline in hardware: black level to demosaic."""

import re
from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.sim import Simulator

import hdl.image.pixels
import models.image.bayer
from hdl.image.bad_pixels import SORTING_NETWORK
from hdl.image.lines import Tail, WindowBuffer
from hdl.image.raw_pipeline import RawPipeline
from models.image.bayer import BAYER_ORDERS, PIXEL_MAX, mosaic
from tests.image_pictures import RAW, needs_pictures, photo
from verif.formal import prove
from verif.image_frames import pixel_words
from verif.raw_bench import Expected, random_frame, random_settings, registers, statistics_of
from verif.raw_stages import RawStages
from verif.sim import simulate
from verif.verilog import to_verilog

MAX_WIDTH = 6
"""Of the proof."""


class AnyFrames(wiring.Component):
    """Frames of one width, 4 to 6, and of any height, with any gaps and aborts, for a proof."""

    choice: In(2)
    valid: In(1)
    abort: In(1)
    ends: In(1)
    value: In(12)

    def elaborate(self, platform):
        m = Module()
        m.submodules.lines = lines = WindowBuffer(MAX_WIDTH)
        started, width = Signal(), Signal(range(MAX_WIDTH + 1), init=4)
        m.d.sync += started.eq(1)
        with m.If(~started):
            m.d.sync += width.eq(Mux(self.choice == 3, 4, 4 + self.choice))

        column, row, last_row = Signal(range(MAX_WIDTH)), Signal(range(5)), Signal()
        last_column = column == width - 1
        m.d.comb += [
            lines.abort.eq(self.abort),
            lines.i.valid.eq(self.valid & started),
            lines.i.p.value.eq(self.value),
            lines.i.p.last_column.eq(last_column),
            lines.i.p.last_row.eq(last_row),
        ]
        following = Mux(row == 4, 4, row + 1)
        with m.If(lines.i.valid):
            m.d.sync += column.eq(column + 1)
            with m.If(last_column):
                m.d.sync += [column.eq(0), row.eq(Mux(last_row, 0, following))]
                m.d.sync += last_row.eq(~last_row & (following >= 3) & self.ends)
        with m.If(self.abort):
            m.d.sync += [column.eq(0), row.eq(0), last_row.eq(0)]
        m.d.sync += [
            Assert((width >= 4) & (width <= MAX_WIDTH) & (column < width)),
            Assert(started | ((column == 0) & (row == 0) & (lines.tail == Tail.NONE))),
            Assert((row <= 4) & (~last_row | (row >= 3))),
            Assert((lines.column == column) & (lines.row == row)),
            Assert((lines.tail == Tail.NONE) | (lines.edge == width - 1)),
        ]
        return m


@pytest.mark.formal
def test_tail_and_next_frame_never_meet():
    prove(AnyFrames(), name="image_window_buffer", max_steps=8)


def test_limits_are_the_models():
    for name in ("PIXEL_BITS", "MAX_WIDTH", "MAX_HEIGHT", "MIN_SIZE", "BAYER_ORDERS"):
        assert getattr(hdl.image.pixels, name) == getattr(models.image.bayer, name)


def test_memory_is_eight_lines():
    verilog = to_verilog(RawPipeline(), name="raw_pipeline")
    memories = re.findall(r"reg \[(\d+):0\] \S+ \[(\d+):0\];", verilog)
    assert [(int(top) + 1, int(last) + 1) for top, last in memories] == [(12, 1280)] * 8


def test_network_sorts():
    """A network that sorts all sequences of 0 and 1 sorts everything."""
    for word in range(1 << 8):
        values = [word >> place & 1 for place in range(8)]
        for first, second in (pair for layer in SORTING_NETWORK for pair in layer):
            values[first], values[second] = sorted((values[first], values[second]))
        assert values == sorted(values)
    assert sum(len(layer) for layer in SORTING_NETWORK) == 19


def test_rejects_narrow_lines():
    with pytest.raises(ValueError, match="max_width must be at least 4, not 3"):
        WindowBuffer(3)


def raw_clocks(frame, gaps=0.0, rng=None):
    """Clocks of a frame: a payload, or None."""
    clocks = []
    for word in pixel_words(frame, 12).tolist():
        while gaps and rng.random() < gaps:
            clocks.append(None)
        clocks.append(word)
    return clocks


def simulated(clocks, aborts, settings):
    """RGB frames and counters that a pipeline for small frames gives, in Amaranth's simulator."""
    dut, frames, counters = RawPipeline(8), [], []

    async def camera(ctx):
        ctx.set(dut.settings, registers(settings))
        for clock, word in enumerate(clocks):
            ctx.set(dut.i.valid, word is not None)
            ctx.set(dut.abort, clock in aborts)
            if word is not None:
                ctx.set(dut.i.payload.as_value(), word)
            await ctx.tick()

    async def watch(ctx):
        pixels = []
        async for *_, done, valid, pixel, counts, aborted in ctx.tick().sample(
            dut.statistics_done, dut.o.valid, dut.o.payload, dut.statistics, dut.aborted
        ):
            if done:
                counters.append(statistics_of(counts.as_bits()))
            if aborted:
                assert pixels, "nothing to take back"
                assert not valid
                pixels = []
            if valid:
                pixels.append(pixel)
                if pixel.last_column and pixel.last_row:
                    width = [each.last_column for each in pixels].index(1) + 1
                    rgb = np.array([[each.red, each.green, each.blue] for each in pixels])
                    frames.append(rgb.reshape(-1, width, 3))
                    pixels = []

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(camera)
    sim.add_testbench(watch, background=True)
    sim.run()
    return frames, counters


@pytest.mark.parametrize("order", BAYER_ORDERS)
def test_small_frames(order, rng):
    """Back to back, with gaps, and behind frames that were cut short."""
    settings = replace(
        random_settings(rng),
        order=order,
        black_levels=(60, 1900, 0, 2100),
        bad_pixel_threshold=16,
        clip_limit=PIXEL_MAX,
    )
    clocks, aborts, expected = [], set(), []
    for rows, columns in ((4, 4), (5, 7), (6, 8)):
        for gaps, cuts, waits in (
            (0, False, False),
            (0, True, True),  # its third line comes while the first frame's last pixel waits
            (0, True, False),
            (0.1, True, False),
            (0.7, False, False),
        ):
            frame = random_frame(rng, rows, columns)
            if not cuts:  # some pixels are exactly as far from the others as the threshold
                frame = 3000 + rng.choice([-16, 0, 16], p=[0.1, 0.8, 0.1], size=frame.shape)
            words = raw_clocks(frame, gaps, rng)
            if waits:
                words.insert(2 * columns + 1, None)
            clocks += words
            expected.append(Expected.of(frame, settings))
            if cuts:
                cut = raw_clocks(random_frame(rng, rows, columns))
                clocks += cut[: rng.integers(rows * columns)]
                aborts.add(len(clocks))
                # The clock of the abort may have a pixel, which is lost, too.
                clocks.append(0 if rng.random() < 1 / 2 else None)
        clocks += [None] * (4 * columns + 60)
    frames, counters = simulated(clocks, aborts, settings)
    assert len(frames) == len(expected)
    for frame, each in zip(frames, expected, strict=True):
        np.testing.assert_array_equal(frame, each.demosaic)
    assert counters == [each.statistics for each in expected]


@pytest.mark.sim
def test_raw_stages():
    simulate(RawStages(), bench="verif.tb_image_raw", name="raw_stages")


@pytest.mark.sim
@needs_pictures
def test_raw_stages_on_pictures(tmp_path):
    """Parts of photographs behind each mosaic, and of a camera's own RAW, of 14 bits."""
    corner = photo("astronaut")[60:93, 200:249].astype(np.int64) << 4
    parts = {order: mosaic(corner, order) for order in BAYER_ORDERS}
    raw = np.fromfile(RAW, "<u2").reshape(512, 768)[200:234, 300:348]
    parts["RGGB raw"] = raw.astype(np.int64) >> 2
    np.savez(tmp_path / "parts.npz", **parts)
    simulate(
        RawStages(),
        bench="verif.tb_image_raw",
        name="raw_stages",
        testcase="pictures",
        parameters={"pictures": str(tmp_path / "parts.npz")},
    )
