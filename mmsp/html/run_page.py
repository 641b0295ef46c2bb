"""The page of ``mmsp run --report``."""

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from hdl.config import MRAM_WORD_BYTES
from mmsp.bench.gating import Ablation
from mmsp.bench.gating_table import MEANINGS
from mmsp.html.activity import activity_figure, activity_legend, mram_legend
from mmsp.html.audio import audio_section
from mmsp.html.imaging import imaging_section
from mmsp.html.layers import layer_table
from mmsp.html.memory import memory_blocks, memory_figure, peak_bytes
from mmsp.html.page import definition_list, make_page, section, tiles
from mmsp.html.power import ablation_table, power_figure, power_legend, shown_domains
from mmsp.html.roofline import layer_dots, roofline_figure
from mmsp.html.tensors import draw_tensor
from mmsp.image import Image
from mmsp.inputs import Batch
from mmsp.report import CORE_HZ, Report
from mmsp.simulator.costs import Span, layer_spans
from mmsp.simulator.simulator import Result

__all__ = ["run_page"]

KIB = 1024
SHOWN_INFERENCES = 8

WORDS = (
    ("cycles", "from start to done, counted on the RTL; the first inference starts with a cold "
     "weight cache"),
    ("MACs", "multiply-accumulates of the network's definition, padding included"),
    ("utilisation", "MACs / what the array could do in these cycles"),
    ("roofline", "the larger of MACs / MACs a cycle and words of the program / one word a cycle: "
     "no schedule needs fewer cycles"),
    ("MRAM bytes read", "what arrived while a layer ran: weights are prefetched, so they may be "
     "those of its successors"),
    ("folded", "a layer that another one does in passing, or that moves no data"),
)  # fmt: skip


def run_page(report: Report, image: Image, batch: Batch, ablation: Ablation | None = None) -> str:
    """All there is to say about one run on the chip.

    Parameters
    ----------
    report : Report
        Of a run that has a `Result`.
    image : Image
        What ran.
    batch : Batch
        On what it ran.
    ablation : Ablation, optional
        The same network under all gating policies.
    """
    result = report.result
    assert result is not None, "a page is about a chip"
    config, description = result.config, image.description
    numbers = range(1, len(result.layers) + 1)
    spans = layer_spans(description, result.first)
    parts = [
        head(report, result),
        tiles(headline_figures(result, image)),
        notes(report, image),
        section(
            "Layers",
            [
                "<p>The first inference, layer by layer. The numbers are those of the plots below."
                "</p>",
                activity_legend(),
                layer_table(result.layers, result.cycles, config),
            ],
        ),
        section("Roofline", [f"<p>{ROOFLINE_TEXT}</p>", figure(roofline(result))]),
        section(
            "Activity",
            [
                "<p>The first inference in time. Above, what the array does; below, how many bytes "
                "a cycle come from the MRAM, and whether it is powered. Lines are where a layer "
                "begins.</p>",
                activity_legend(),
                figure(activity_figure(result.first, spans, numbers, config)),
                mram_legend(),
            ],
        ),
        *power(result, spans, numbers),
        *([] if ablation is None else [gating(ablation)]),
        section(
            "Activation memory",
            [
                "<p>Which tensor lies where while a layer runs, over all four banks. A sum may "
                "overwrite an operand that nobody needs any more.</p>",
                figure(memory_figure(description, config)),
            ],
        ),
        *audio_section(batch.audio),
        *imaging_section(batch.pictures),
        section("Inputs and outputs", tensors(report, image, batch)),
        footer(),
    ]
    return make_page(f"{report.model} on {config.name}", parts)


ROOFLINE_TEXT = (
    "A dot is a layer, as large as its share of the cycles. On the slope a layer is bound by the "
    "MRAM, which brings 16 bytes a cycle; under the flat roof by the array. The distance to the "
    "roof is what could be gained. Layers without MACs are not there."
)


def roofline(result: Result) -> str:
    """The plot, for the layers of a result."""
    total = sum(layer.cycles for layer in result.layers)
    return roofline_figure(layer_dots(result.layers), total, result.config)


def power(result: Result, spans: Sequence[Span], numbers: Sequence[int]) -> Iterable[str]:
    """The timeline of the power domains, of a chip that has some."""
    run, config = result.first, result.config
    if not shown_domains(run, config):
        return
    assert run.events is not None, "a run of the chip"
    text = (
        f"<p>The first inference, gating {result.gating.name.lower()}: which power domain is on, "
        "and when. Lines are where a layer begins. Stretches that are very close are drawn as "
        "one.</p>"
    )
    if run.events.dropped:
        text += f"<p>The last {run.events.dropped:,} changes are not shown.</p>"
    drawn = figure(power_figure(run, spans, numbers, config))
    yield section("Power", [text, power_legend(), drawn])


def gating(ablation: Ablation) -> str:
    """What the other policies would cost."""
    text = (
        "<p>The first inference again with each policy, from the initial state and a cold cache, "
        f"at an MRAM bank's wake-up of {ablation.wakeup_us:g} us.</p>"
    )
    table = ablation_table([ablation], networks=False)
    return section(
        "Gating policies", [text, table, f'<div class="muted">{definition_list(MEANINGS)}</div>']
    )


def figure(html: str) -> str:
    """A plot."""
    return f"<figure>{html}</figure>"


def head(report: Report, result: Result) -> str:
    """Title, chip and verdict."""
    runs = "1 inference" if report.count == 1 else f"{report.count} inferences"
    config = result.config
    total = report.comparison.total
    kind = "muted" if total is None else "bad" if total else "good"
    return (
        f"<header><h1>{escape(report.model)}</h1>"
        f'<p class="muted">{runs} on {escape(config.name)}: {config.rows} x {config.lanes} = '
        f"{config.macs_per_cycle} MAC/cycle, {config.activation_kib} KiB activations, "
        f"{config.cache_kib} KiB weight cache, {config.mram_kib} KiB MRAM; simulated RTL, "
        f"time at {CORE_HZ // 1_000_000} MHz</p>"
        f'<p class="verdict {kind}">{escape(report.comparison.sentence)}</p></header>'
    )


def headline_figures(result: Result, image: Image) -> list[tuple[str, str]]:
    """The figures that matter most."""
    config = result.config
    peak = peak_bytes(memory_blocks(image.description, config))
    resident = image.resident_words * MRAM_WORD_BYTES
    awake = result.mram_active_cycles / result.cycles
    figures = [
        (f"{result.cycles:,}", f"cycles: {result.cycles * 1e3 / CORE_HZ:.3f} ms"),
        (f"{result.mac_utilisation:.1%}", f"utilisation: {result.macs:,} MACs"),
        (f"{result.cycles / result.roofline_cycles:.2f} x", f"the roofline of "
         f"{result.roofline_cycles:,} cycles"),
        (f"{result.mram_bytes_read:,}", f"bytes from the MRAM, awake {awake:.1%} of the time"),
        (f"{resident / KIB:.1f} KiB", f"of {config.mram_kib} KiB MRAM for program and weights"),
        (f"{peak / KIB:.1f} KiB", f"of {config.activation_kib} KiB activations, at most"),
    ]  # fmt: skip
    if len(result.cycles_each) > 1:
        low, high = min(result.cycles_each), max(result.cycles_each)
        figures.append((f"{low:,} to {high:,}", "cycles, all inferences"))
    return figures


def notes(report: Report, image: Image) -> str:
    """What was converted, and what is not known."""
    said = list(report.notes)
    if not report.comparison.mismatches:
        said.append("the outputs have been compared with nothing: they may be wrong")
    if not image.description.macs:
        said.append("the network has no multiply-accumulates, so the roofline has no dots")
    if not said:
        return ""
    return f'<ul class="muted">{"".join(f"<li>{escape(note)}</li>" for note in said)}</ul>'


def tensors(report: Report, image: Image, batch: Batch) -> Iterable[str]:
    """Inputs beside outputs, inference by inference."""
    shown = min(batch.count, SHOWN_INFERENCES)
    if shown < batch.count:
        yield f"<p>The first {shown} of {batch.count} inferences.</p>"
    yield '<div class="runs">'
    for index in range(shown):
        parts = []
        for port in image.description.inputs:
            values, title = batch.values[port.name][index], f"input {port.name}"
            heard = batch.audio.get(port.name)
            columns = heard and heard.values.shape[1]
            plane = (values.size // columns, columns) if columns else None
            parts.append(draw_tensor(port, values, title, plane=plane))
        for port in image.description.outputs:
            values = np.asarray(report.outputs[port.name])
            if not batch.single:
                values = values[index]
            parts.append(draw_tensor(port, values, f"output {port.name}"))
        title = "" if batch.count == 1 else f"<h3>inference {index + 1}</h3>"
        yield f"<div>{title}{''.join(parts)}</div>"
    yield "</div>"


def footer() -> str:
    """What the words mean."""
    return f"<footer>{definition_list(WORDS)}</footer>"
