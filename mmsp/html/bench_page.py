"""The page of ``mmsp bench --report``."""

from collections.abc import Iterable, Sequence
from html import escape

from hdl.config import ChipConfig
from mmsp.bench.measurement import Measurement, Unsupported
from mmsp.bench.mlperf_tiny import PEERS
from mmsp.html.activity import activity_legend
from mmsp.html.layers import layer_table
from mmsp.html.page import bar, definition_list, make_page, section, table_row
from mmsp.html.roofline import Dot, roofline_figure
from mmsp.report import CORE_HZ

__all__ = ["bench_page"]

HEADINGS = (
    ("left", "network"), ("", "MACs"), ("", "cycles"), ("", "MAC/cycle"), ("", "utilisation"),
    ("", "roofline cycles"), ("", "ratio"), ("", "MRAM bytes"), ("", "uJ"),
    ("", f"us at {CORE_HZ // 1_000_000} MHz"), ("left", "outputs"),
)  # fmt: skip

WORDS = (
    ("cycles", "from start to done of one inference, from a cold weight cache; counted, so the "
     "same on every machine"),
    ("utilisation", "MACs of the network's definition / what the array could do in these cycles"),
    ("roofline", "the larger of MACs / MACs a cycle and words of the program / one word a cycle"),
    ("ratio", "our cycles / those of the roofline: 1 is the best there is"),
    ("uJ", "there is no energy model yet"),
)  # fmt: skip


def bench_page(
    config: ChipConfig,
    measurements: Sequence[Measurement],
    unsupported: Sequence[Unsupported],
    *,
    seed: int,
) -> str:
    """All figures of a benchmark."""
    parts = [
        f"<header><h1>Benchmark of {escape(config.name)}</h1>"
        f'<p class="muted">{config.macs_per_cycle} MAC/cycle, simulated RTL; one inference of each '
        f"network from a cold cache, random input (seed {seed})</p></header>",
        section("Networks", [network_table(measurements, unsupported)]),
    ]
    compared = [measurement for measurement in measurements if measurement.peers]
    if compared:
        parts.append(section("Beside others", peer_bars(config, compared)))
    dots = network_dots(measurements)
    if dots:
        plot = roofline_figure(dots, max(dot.cycles for dot in dots), config)
        text = (
            "A dot is a network, as large as its cycles: how many MACs it does with a byte of its "
            "program, and in a cycle. Under the slope networks are bound by the MRAM, under the "
            "flat roof by the array. Numbers are those of the table."
        )
        parts.append(section("Roofline", [f"<p>{text}</p>", f"<figure>{plot}</figure>"]))
    parts.append(section("Layers", layers(measurements, config)))
    parts.append(f"<footer>{definition_list(WORDS)}</footer>")
    return make_page(f"Benchmark of {config.name}", parts)


def network_table(measurements: Sequence[Measurement], unsupported: Sequence[Unsupported]) -> str:
    """A row for each network, with its reason when it could not run."""
    head = "".join(
        f'<th class="{name}">{text}</th>' if name else f"<th>{text}</th>" for name, text in HEADINGS
    )
    rows = [network_row(n, measurement) for n, measurement in enumerate(measurements, 1)]
    for entry in unsupported:
        reason = f"not supported yet: {escape(entry.reason)}"
        rows.append(
            f'<tr><td class="left">{escape(entry.model)}</td>'
            f'<td class="wide muted" colspan="{len(HEADINGS) - 1}">{reason}</td></tr>'
        )
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody>'
        "</table></div>"
    )


def network_row(number: int, measurement: Measurement) -> str:
    """Figures of one network."""
    result, comparison = measurement.result, measurement.comparison
    total = comparison.total
    title = "" if measurement.title is None else f"<br><small>{escape(measurement.title)}</small>"
    verdict = "not compared" if total is None else "bit-exact" if not total else "not bit-exact"
    kind = "muted" if total is None else "bad" if total else "good"
    said = f'<span class="verdict {kind}" title="{escape(comparison.sentence)}">{verdict}</span>'
    return table_row(
        [
            ("left", f"{number} {escape(measurement.model)}{title}"),
            ("", f"{result.macs:,}"),
            ("", f"{result.cycles:,}"),
            ("", f"{measurement.macs_per_cycle:.1f}"),
            ("", f"{result.mac_utilisation:.1%}"),
            ("", f"{result.roofline_cycles:,}"),
            ("", f"{measurement.roofline_ratio:.2f}"),
            ("", f"{result.mram_bytes_read:,}"),
            ("", "-"),
            ("", f"{measurement.microseconds:,.1f}"),
            ("left", said),
        ]
    )


def peer_bars(config: ChipConfig, measurements: Sequence[Measurement]) -> Iterable[str]:
    """For each network its cycles here, at best, and on other engines, as bars of one scale."""
    yield (
        "<p>Thousand cycles of one inference; shorter is better. Cycles leave the clock out, and "
        "with it the technology, but not the size: the peers have other numbers of multipliers, "
        "and some figures are estimates.</p>"
    )
    shown: set[str] = set()
    yield '<div class="runs">'
    for measurement in measurements:
        result = measurement.result
        ours = result.cycles / 1000
        entries = [
            ("busy", f"MMSP {config.name}", ours),
            ("mram", "its roofline", result.roofline_cycles / 1000),
        ]
        for peer, kilocycles, _ in measurement.peers:
            entries.append(("other", f"{peer.name} [{PEERS.index(peer) + 1}]", kilocycles))
            shown.add(peer.name)
        longest = max(value for _, _, value in entries)
        rows = [
            table_row(
                [
                    ("left", escape(name)),
                    ("left", bar([(kind, value / longest)], f"{value:,.1f} thousand cycles")),
                    ("", f"{value:,.1f}"),
                    ("", f"{value / ours:.2f} x ours"),
                ]
            )
            for kind, name, value in entries
        ]
        yield (
            f"<div><h3>{escape(measurement.title or measurement.model)}</h3>"
            f'<table class="values">{"".join(rows)}</table></div>'
        )
    yield "</div>"
    sources = [
        f"<li>[{number}] {escape(peer.name)}: {escape(peer.source)}</li>"
        for number, peer in enumerate(PEERS, 1)
        if peer.name in shown
    ]
    yield f'<ul class="muted sources">{"".join(sources)}</ul>'


def network_dots(measurements: Sequence[Measurement]) -> list[Dot]:
    """A dot for each network with MACs, numbered as in the table."""
    return [
        Dot(number, entry.model, entry.title or "network", result.macs, size, result.cycles)
        for number, entry in enumerate(measurements, 1)
        for result in (entry.result,)
        for size in (sum(layer.program_bytes for layer in result.layers),)
        if result.macs and size
    ]


def layers(measurements: Sequence[Measurement], config: ChipConfig) -> Iterable[str]:
    """The layers of each network."""
    yield activity_legend()
    for measurement in measurements:
        yield f"<h3>{escape(measurement.model)}</h3>"
        result = measurement.result
        yield layer_table(result.layers, result.cycles, config)
