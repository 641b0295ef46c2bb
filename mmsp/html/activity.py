"""Where the cycles go: shares of a stretch of a run, and how they change over it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hdl.config import MRAM_WORD_BYTES, ChipConfig
from mmsp.html.figures import colour, new_figure, to_svg
from mmsp.html.page import legend
from mmsp.simulator.binding import COUNTERS
from mmsp.simulator.costs import Span
from mmsp.simulator.results import RunResult

__all__ = ["KINDS", "activity_figure", "activity_legend", "mram_legend", "resample", "shares"]

KINDS = ("busy", "drain", "weights", "other")
"""Classes of page.css, in the order of `shares`."""
MEANINGS = (
    "the array multiplies",
    "it waits for the drain (requantisers, memory ports)",
    "it waits for weights",
    "neither: pipelines fill, descriptors, element-wise work",
)
MOST_BINS = 340
SHORTEST_LABEL = 0.022
"""Share of the run from which on a layer's number has room above the plot."""
CYCLES, READS, AWAKE, MAC, WEIGHTS, DRAIN = range(6)  # columns of `RunResult.samples`


def activity_legend() -> str:
    """What the colours of `KINDS` mean."""
    return legend(zip(KINDS, MEANINGS, strict=True))


def mram_legend() -> str:
    """What the colours of the MRAM's plot mean."""
    return legend([("mram", "read"), ("other", "awake: share of the time, of full height")])


def shares(cycles: float, mac: float, drain: float, weights: float) -> list[float]:
    """Cycles as four shares that add up to 1, in the order of `KINDS`.

    A pipeline's stages may do different things in one cycle.  Then multiplying comes before
    waiting, and waiting for the drain, which stops both pipelines, before waiting for weights.
    """
    left = max(cycles, 1)
    parts = []
    for part in (mac, drain, weights):
        parts.append(min(part, left) / max(cycles, 1))
        left = max(left - part, 0)
    return [*parts, left / max(cycles, 1)]


def resample(run: RunResult) -> NDArray[np.float64]:
    """Counts at the edges of at most `MOST_BINS` stretches of the run, the first row zeros.

    Columns are those of `RunResult.samples`.  The last stretch is shorter than the others.
    """
    last = [getattr(run, name) for name in COUNTERS]
    step = max(-(-(len(run.samples) + 1) // MOST_BINS), 1)
    rows = [row for row in run.samples[step - 1 :: step].tolist() if row[CYCLES] < run.cycles]
    return np.array([[0] * len(last), *rows, last], float)


def activity_figure(
    run: RunResult, spans: Sequence[Span], numbers: Sequence[int], config: ChipConfig
) -> str:
    """The array's time and the MRAM's traffic along the run, with the layers above.

    ``numbers`` are those that the layers have on the page.
    """
    counts = resample(run)
    edges, steps = counts[:, CYCLES] / 1000, np.diff(counts, axis=0)
    parts = np.array([shares(row[CYCLES], row[MAC], row[DRAIN], row[WEIGHTS]) for row in steps])
    tips = {}
    with new_figure(4.1) as figure:
        array, mram = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        below = np.zeros(len(parts))
        for kind, part in zip(KINDS, parts.T, strict=True):
            array.stairs(below + part, edges, baseline=below, fill=True, color=colour(kind))
            below = below + part
        array.set(ylim=(0, 1), ylabel="share of the cycles")
        array.set_yticks((0, 0.5, 1), ("0", "50 %", "100 %"))
        bytes_a_cycle = steps[:, READS] * MRAM_WORD_BYTES / np.maximum(steps[:, CYCLES], 1)
        awake = steps[:, AWAKE] / np.maximum(steps[:, CYCLES], 1) * MRAM_WORD_BYTES
        mram.stairs(awake, edges, fill=True, color=colour("other"))
        mram.stairs(bytes_a_cycle, edges, fill=True, color=colour("mram"))
        mram.set(ylim=(0, MRAM_WORD_BYTES), ylabel="MRAM, byte / cycle", xlabel="thousand cycles",
                 xlim=(0, edges[-1]))  # fmt: skip
        mram.set_yticks((0, 8, 16))
        total = run.cycles
        for index, span in enumerate(spans):
            x = span.first / 1000
            gid = f"span{index}"
            for axes in (array, mram):
                axes.axvline(x, color=colour("muted"), linewidth=0.4)
            if span.end - span.first >= SHORTEST_LABEL * total:
                middle = (span.first + span.end) / 2000
                array.text(middle, 1.02, f"{numbers[span.layer]}", ha="center", fontsize=8, gid=gid)
                tips[gid] = f"layer {numbers[span.layer]}: cycles {span.first:,} to {span.end:,}"
        return to_svg(
            figure, "activity",
            f"Activity of array and MRAM of {config.name} over {total} cycles", tips,
        )  # fmt: skip
