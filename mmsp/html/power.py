"""Power on a page: which domain is on when, and what gating policies cost and save."""

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from hdl.config import ChipConfig
from hdl.power.domains import PowerDomain, PowerState, power_domains
from mmsp.bench.gating import Ablation
from mmsp.bench.gating_table import TITLES, cells
from mmsp.html.figures import colour, new_figure, to_svg
from mmsp.html.page import legend, table_row
from mmsp.simulator.costs import Span
from mmsp.simulator.results import RunResult

__all__ = ["ablation_table", "pieces", "power_figure", "power_legend", "shown_domains"]

Piece = tuple[int, int]

FINEST = 1500
"""Stretches that are apart by less than this part of the run are drawn as one."""
ROW_INCHES, FRAME_INCHES = 0.21, 0.75


def power_legend() -> str:
    """What the colours of the timeline mean."""
    return legend([("busy", "on"), ("mram", "on: a bank of the MRAM"), ("weights", "retained")])


def shown_domains(run: RunResult, config: ChipConfig) -> list[tuple[int, PowerDomain]]:
    """Domains with something to show, with their places: those that are there, or ever on."""
    domains = list(enumerate(power_domains(config)))
    if not any(power.on_cycles or power.retain_cycles for power in run.power.values()):
        return []  # a chip that does not tell
    return [(at, one) for at, one in domains if one.present or run.power[one.name].on_cycles]


def pieces(run: RunResult, domain: int, state: PowerState, apart: float = 0) -> list[Piece]:
    """Stretches ``(first cycle, end)`` of a domain in a state; closer than ``apart``: as one."""
    assert run.events is not None, "a run of the chip"
    inside = np.concatenate([[False], run.events.states[:, domain] == state.value, [False]])
    edges = np.append(run.events.cycles.astype(np.int64), run.cycles)
    begins = edges[np.flatnonzero(inside[1:-1] & ~inside[:-2])]
    ends = edges[np.flatnonzero(inside[1:-1] & ~inside[2:]) + 1]
    made: list[Piece] = []
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        if made and begin - made[-1][1] < apart:
            made[-1] = made[-1][0], end
        else:
            made.append((begin, end))
    return made


def power_figure(
    run: RunResult, spans: Sequence[Span], numbers: Sequence[int], config: ChipConfig
) -> str:
    """A row for each domain over the run, with lines where layers begin."""
    shown = shown_domains(run, config)
    tips = {}
    with new_figure(FRAME_INCHES + ROW_INCHES * len(shown)) as figure:
        axes = figure.subplots()
        for row, (at, domain) in enumerate(shown):
            on = "mram" if domain.name.startswith("mram") else "busy"
            for state, kind, height in (
                (PowerState.RETAIN, "weights", 0.28),
                (PowerState.ON, on, 0.72),
            ):
                stretches = pieces(run, at, state, run.cycles / FINEST)
                axes.broken_barh(
                    [(begin / 1000, (end - begin) / 1000) for begin, end in stretches],
                    (row - height / 2, height), color=colour(kind), linewidth=0,
                )  # fmt: skip
            power = run.power[domain.name]
            gid = f"domain{at}"
            axes.text(
                -0.01, row, domain.name, ha="right", va="center", fontsize=8, gid=gid,
                transform=axes.get_yaxis_transform(),
            )  # fmt: skip
            tips[gid] = (
                f"{domain.name}, {domain.contents}: on {power.on_cycles / run.cycles:.1%}, "
                f"retained {power.retain_cycles / run.cycles:.1%} of the cycles, "
                f"{power.wakeups:,} wake-ups"
            )
        for index, span in enumerate(spans):
            gid = f"layer{index}"
            axes.axvline(span.first / 1000, color=colour("muted"), linewidth=0.4, gid=gid)
            tips[gid] = f"layer {numbers[span.layer]} from cycle {span.first:,}"
        axes.set(xlim=(0, run.cycles / 1000), ylim=(len(shown) - 0.4, -0.6))
        axes.set(xlabel="thousand cycles", yticks=())
        return to_svg(
            figure, "power", f"Power domains of {config.name} over {run.cycles} cycles", tips
        )


def ablation_table(ablations: Iterable[Ablation], *, networks: bool) -> str:
    """A row for each policy; with the network and the wake-up time in front if ``networks``."""
    names = ["network", "wake-up us"] if networks else []
    head = "".join(f'<th class="left">{name}</th>' for name in [*names, "gating"])
    head += "".join(f"<th>{escape(title)}</th>" for title in TITLES).replace("\n", "<br>")
    rows = []
    for ablation in ablations:
        front = [escape(ablation.model), f"{ablation.wakeup_us:g}"] if networks else []
        for cost in ablation.costs:
            left = [*front, cost.gating.name.lower()]
            rows.append(table_row([*(("left", e) for e in left), *(("", e) for e in cells(cost))]))
            front = [""] * len(front)
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody>'
        "</table></div>"
    )
