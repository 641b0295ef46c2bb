"""The roofline plot: how fast each layer is, and how fast it could be."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10

from hdl.config import MRAM_WORD_BYTES, ChipConfig
from mmsp.html.figures import SERIES, colour, new_figure, to_svg
from mmsp.simulator.costs import LayerResult

__all__ = ["Dot", "layer_dots", "roof", "roofline_figure"]

LABELLED_SHARE = 0.02
"""Layers with at least this share of the cycles get their number."""
SMALLEST_DOT, LARGEST_DOT = 4.0, 17.0  # points


GRID = 16
"""Places a decade: dots nearer than that share a label."""


@dataclass(frozen=True)
class Dot:
    """A layer or a network.

    ``program_bytes`` are what the program has to bring for it, whenever that arrives.
    """

    number: int
    name: str
    kind: str
    macs: int
    program_bytes: int
    cycles: int

    @property
    def intensity(self) -> float:
        """MACs a byte."""
        return self.macs / self.program_bytes

    @property
    def speed(self) -> float:
        """MACs a cycle."""
        return self.macs / self.cycles


def roof(intensity: float, config: ChipConfig) -> float:
    """MACs a cycle at best, for ``intensity`` MACs a byte of weights from the MRAM."""
    return min(float(config.macs_per_cycle), intensity * MRAM_WORD_BYTES)


def layer_dots(layers: Sequence[LayerResult]) -> list[Dot]:
    """A dot for each layer with MACs, numbered as in the table of layers."""
    return [
        Dot(number, layer.name, layer.op, layer.macs, layer.program_bytes, layer.cycles)
        for number, layer in enumerate(layers, 1)
        if layer.macs and layer.cycles and layer.program_bytes
    ]


def roofline_figure(dots: Sequence[Dot], total: int, config: ChipConfig) -> str:
    """The roof of a chip, and a dot for each layer or network, as large as its share of ``total``.

    Parameters
    ----------
    dots : sequence of Dot
        With MACs, bytes and cycles above zero.
    total : int
        Cycles that a dot of full size stands for.
    config : ChipConfig
        Which chip.
    """
    kinds = list(dict.fromkeys(dot.kind for dot in dots))
    peak = config.macs_per_cycle
    ridge = peak / MRAM_WORD_BYTES
    left = min([ridge / 8, *(dot.intensity / 2 for dot in dots)])
    right = max([ridge * 64, *(2 * dot.intensity for dot in dots)])
    bottom = min([peak / 64, *(dot.speed / 2 for dot in dots)])
    tips = {}
    with new_figure(4.3) as figure:
        axes = figure.subplots()
        axes.set(xscale="log", yscale="log", xlim=(left, right), ylim=(bottom, peak * 1.6))
        axes.set(xlabel="MACs a byte of program (weights, parameters, descriptors)")
        axes.set(ylabel="MACs a cycle")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(visible=True)
        corners = [left, ridge, right]
        axes.plot(corners, [roof(x, config) for x in corners], color=colour("ink"), linewidth=1.2)
        above = peak * 1.08
        axes.text(right, above, f"array: {peak} MAC/cycle ", ha="right", fontsize=8)
        axes.text(ridge, above, f"MRAM: {MRAM_WORD_BYTES} byte/cycle ", ha="right", fontsize=8)
        for dot in dots:
            size = dot_size(dot, total)
            gid = f"dot{dot.number}"
            tips[gid] = (
                f"{dot.number} {dot.name} ({dot.kind}): {dot.speed:.1f} MAC/cycle, "
                f"{dot.intensity:.1f} MAC/byte, {dot.speed / roof(dot.intensity, config):.0%} of "
                f"the roof, {dot.cycles:,} cycles"
            )
            axes.plot([dot.intensity], [dot.speed], "o", gid=gid, clip_on=False, markersize=size,
                      color=SERIES[kinds.index(dot.kind) % len(SERIES)],
                      markeredgecolor=colour("paper"), markeredgewidth=0.8)  # fmt: skip
        for dot, text in labels(dots, total):
            size = dot_size(dot, total)
            axes.annotate(text, (dot.intensity, dot.speed), (size / 2 + 1.5, -size / 2 - 3.5),
                          fontsize=8, textcoords="offset points")  # fmt: skip
        for index, kind in enumerate(kinds):
            axes.plot([], [], "o", color=SERIES[index % len(SERIES)], label=kind)
        if kinds:
            axes.legend(loc="lower right", fontsize=8)
        return to_svg(figure, "roofline", f"Roofline of {config.name} with {len(dots)} dots", tips)


def dot_size(dot: Dot, total: int) -> float:
    """Diameter in points: the area grows with the cycles."""
    return SMALLEST_DOT + (LARGEST_DOT - SMALLEST_DOT) * (dot.cycles / total) ** 0.5


def labels(dots: Sequence[Dot], total: int) -> list[tuple[Dot, str]]:
    """Numbers of the dots that matter, those of dots in one place together."""
    places: dict[tuple[int, int], list[Dot]] = {}
    for dot in dots:
        if dot.cycles >= LABELLED_SHARE * total:
            place = (round(GRID * log10(dot.intensity)), round(GRID * log10(dot.speed)))
            places.setdefault(place, []).append(dot)
    return [(held[0], ", ".join(str(dot.number) for dot in held)) for held in places.values()]
