"""The page of ``mmsp run --report``: self-contained, well-formed, complete, and right."""

import re
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from html_page import Page
from judge import random_int8, small_network

from hdl.config import ACT_BANKS, SMALL
from hdl.power import Gating
from mmsp.cli import main
from mmsp.compiler import compile_graph
from mmsp.description import Description
from mmsp.html import run_page
from mmsp.html.activity import resample
from mmsp.html.memory import memory_blocks
from mmsp.image import read_image, write_image
from mmsp.importers.tflite_writer import write_tflite
from mmsp.inputs import random_batch
from mmsp.references import Comparison
from mmsp.report import Report
from mmsp.simulator.binding import COUNTERS
from mmsp.simulator.costs import layer_results, layer_spans
from mmsp.simulator.results import Counters, RunResult
from mmsp.simulator.simulator import Result
from mmsp.zoo import digits_model, held_out_digits, quantize_digits

NASTY = "a<b>&\"'$x$\N{SNOWMAN}\u65e5"


def counters(cycles, reads=0, active=0, mac=0, weights=0, drain=0, banks=0, wakes=0, fixed=0):
    return Counters(
        cycles=cycles, mram_reads=reads, mram_active_cycles=active, mac_active_cycles=mac,
        wait_weights_cycles=weights, wait_drain_cycles=drain, mram_bank_cycles=banks,
        mram_wakeups=wakes, corrected=fixed,
    )  # fmt: skip


def run_of(ends, samples=()):
    """A run whose jobs end with these counters; the last are the run's."""
    table = np.array([list(vars(sample).values()) for sample in samples], np.uint64)
    return RunResult(**vars(ends[-1]), layers=tuple(ends), samples=table.reshape(-1, len(COUNTERS)))


def made_up_report(graph, rng, *, count=1, single=True):
    """A report, image and batch of a run that did not take place."""
    image = read_image(write_image(compile_graph(graph, SMALL)))
    description = image.description
    ends, at = [], np.zeros(len(COUNTERS), int)
    for _ in description.jobs:
        at = at + rng.integers(10, 500, len(COUNTERS)) * [10, 1, 4, 1, 1, 1, 4, 1, 1]
        ends.append(counters(*at.tolist()))
    samples = [counters(*(at * n // 40).tolist()) for n in range(1, 40)]
    run = run_of(ends, samples)
    outputs = {
        port.name: random_int8(rng, (count, *port.shape)[single:]) for port in description.outputs
    }
    result = Result(
        config=SMALL, gating=Gating.PER_BURST, outputs=outputs, int8_outputs=outputs,
        cycles=run.cycles, cycles_each=[run.cycles] * count, macs=description.macs,
        mac_utilisation=0.25, roofline_cycles=1000, mram_reads=run.mram_reads,
        mram_active_cycles=run.mram_active_cycles,
        layers=layer_results(description, SMALL, image.program.words, run), first=run,
    )  # fmt: skip
    report = Report(
        model=graph.name, target="rtl", notes=["said & done"], count=count,
        layers=[(e.name, e.op, e.macs) for e in description.layers], ports=description.outputs,
        outputs=outputs, result=result, comparison=Comparison(4, {"golden": 0}, []),
    )  # fmt: skip
    batch = random_batch(description.inputs, 1)
    values = {name: np.repeat(array, count, 0) for name, array in batch.values.items()}
    return report, image, type(batch)(values, count, single, [])


def renamed(graph, suffix):
    """The same graph with names that need care in HTML, XML and Matplotlib."""

    def name(old):
        return None if old is None else f"{old}{suffix}"

    return replace(
        graph,
        name=name(graph.name),
        tensors={name(k): replace(t, name=name(k)) for k, t in graph.tensors.items()},
        nodes=[
            replace(node, name=name(node.name), inputs=tuple(map(name, node.inputs)),
                    outputs=tuple(map(name, node.outputs)))
            for node in graph.nodes
        ],
        inputs=[name(n) for n in graph.inputs],
        outputs=[name(n) for n in graph.outputs],
    )  # fmt: skip


def test_page_has_all_of_it(rng):
    report, image, batch = made_up_report(renamed(small_network(), NASTY), rng)
    page = Page(run_page(report, image, batch))
    for layer in image.description.layers:
        assert layer.name in page.texts
        assert NASTY in layer.name
    assert f"{report.result.cycles:,}" in page.texts
    assert "bit-exact: golden model" in page.texts
    assert "said & done" in page.texts
    for title in ("Layers", "Roofline", "Activity", "Activation memory", "Inputs and outputs"):
        assert title in page.texts
    assert page.tags.count("svg") == 3
    assert "folded" in page.texts  # the reshape
    stored = image.description.tensors
    shown = [text for text in page.texts if text.split(": ")[0] in stored and "bytes from" in text]
    assert len(shown) == len(stored), "a tensor is missing in the memory plan"
    dots = [text for text in page.texts if "of the roof, " in text]
    assert len(dots) == sum(bool(layer.macs) for layer in image.description.layers) == 2
    assert run_page(report, image, batch) == run_page(report, image, batch)


def test_page_of_an_image_and_of_a_batch(rng):
    """What is not known is said; of many inferences a few are shown."""
    report, image, batch = made_up_report(small_network(), rng, count=11, single=False)
    unknown = Comparison(4, {}, ["an image holds no graph for the golden model"])
    page = Page(run_page(Report(**{**vars(report), "comparison": unknown}), image, batch))
    assert "not compared (an image holds no graph for the golden model)" in page.texts
    assert "compared with nothing: they may be wrong" in page.text
    assert "The first 8 of 11 inferences." in page.texts
    assert [text for text in page.texts if text.startswith("inference ")][-1] == "inference 8"
    assert page.texts.count("output labels") == 8
    wrong = Comparison(4, {"golden": 3}, [])
    text = run_page(Report(**{**vars(report), "comparison": wrong}), image, batch)
    assert '<p class="verdict bad">not bit-exact: 3 of 4' in text


def test_layers_and_spans_add_up(rng):
    _, image, _ = made_up_report(small_network(), rng)
    description = image.description
    jobs = [job.layer for job in description.jobs]
    assert jobs == sorted(jobs)
    ends = [counters(100 * n, n, n, 50 * n, 7 * n, 3 * n) for n in range(1, len(jobs) + 1)]
    run = run_of(ends)
    results = layer_results(description, SMALL, image.program.words, run)
    for index, layer in enumerate(results):
        n = jobs.count(index)
        assert (layer.cycles, layer.mram_bytes_read) == (100 * n, 16 * n)
        assert (layer.mac_active_cycles, layer.wait_weights_cycles) == (50 * n, 7 * n)
        assert layer.wait_drain_cycles == 3 * n
    spans = layer_spans(description, run)
    assert [span.layer for span in spans] == description.steps
    assert [span.end - span.first for span in spans] == [e.cycles for e in results if e.cycles]
    assert spans[0].first == 0


def test_spans_of_layers_that_take_turns():
    jobs = [SimpleNamespace(layer=layer) for layer in (0, 0, 1, 0, 2, 2, 2)]
    run = run_of([counters(10 * n) for n in range(1, 8)])
    spans = layer_spans(cast(Description, SimpleNamespace(jobs=jobs, executed=jobs)), run)
    assert [(span.layer, span.first, span.end) for span in spans] == [
        (0, 0, 20), (1, 20, 30), (0, 30, 40), (2, 40, 70)
    ]  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, 339, 340, 341, 2047])
def test_stretches_of_a_run_lose_nothing(count):
    samples = [counters(8 * n, n, 2 * n, 3 * n, 4 * n, 5 * n) for n in range(1, count + 1)]
    end = counters(8 * count + 5, count + 1, 2 * count, 3 * count, 4 * count, 5 * count)
    counts = resample(run_of([end], samples))
    assert not counts[0].any()
    assert counts[-1].tolist() == list(vars(end).values())
    widths = np.diff(counts[:, 0])
    assert (widths > 0).all()
    assert len(set(widths[:-1])) <= 1, "stretches differ"
    assert len(counts) - 1 <= 340
    assert len(counts) - 1 >= min(count, 170)


def test_memory_blocks_are_the_plan():
    program = compile_graph(small_network(), SMALL)
    image = read_image(write_image(program))
    blocks = {block.name: block for block in memory_blocks(image.description, SMALL)}
    assert set(blocks) == set(program.plan.placements)
    for name, place in program.plan.placements.items():
        block = blocks[name]
        assert (block.start, block.size) == (place.base * 4 * SMALL.rows, place.words * 16)
        assert (block.first, block.last) == tuple(vars(program.plan.lifetimes[name]).values())
    top = max(block.start + block.size for block in blocks.values())
    assert top == program.plan.words * ACT_BANKS * SMALL.rows


def test_nothing_heavy_without_a_report():
    code = "import sys, mmsp.cli.run, mmsp.cli.bench; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--target", "golden", "--report", "{tmp}/r.html"],
         "--report is about the chip, and --target is golden"),
        (["--report", "{tmp}/none/r.html"], "there is no directory"),
        (["--report", "{tmp}/r.html", "--json", "{tmp}/r.html"], "is the file of --json, too"),
        (["--report", "{model}"], "is an input, too"),
    ],
)  # fmt: skip
def test_bad_reports(capsys, tmp_path, arguments, sentence):
    model = tmp_path / "m.tflite"
    model.write_bytes(write_tflite(small_network()))
    assert main(["run", str(model), *(a.format(tmp=tmp_path, model=model) for a in arguments)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert sentence in err
    assert list(tmp_path.iterdir()) == [model]


@pytest.mark.sim
def test_report_of_the_digits(capsys, tmp_path):
    """From the RTL: the figures are those of the table, the picture is the digit; also an image."""
    model, chip, page = (str(tmp_path / name) for name in ("d.tflite", "d.mram", "r.html"))
    (tmp_path / "d.tflite").write_bytes(digits_model())
    values = quantize_digits(held_out_digits()[0][:2])
    np.save(tmp_path / "x.npy", values)
    options = ["--input", str(tmp_path / "x.npy"), "--config", "SMALL", "--report", page]
    assert main(["run", model, *options]) == 0
    (total,) = re.findall(r"cycles +([\d,]+) +\(", capsys.readouterr().out)
    found = Page((tmp_path / "r.html").read_text())
    assert total in found.texts
    assert "2 inferences on SMALL: 4 x 4 = 16 MAC/cycle" in found.text
    for shown, digit in zip(found.images, values, strict=True):
        np.testing.assert_array_equal(shown.astype(int) - 128, digit[0, :, :, 0])
    assert main(["compile", model, "-o", chip, "--config", "SMALL"]) == 0
    assert main(["run", chip, *options]) == 0
    again = Page((tmp_path / "r.html").read_text())
    assert total in again.texts
    assert "compared with nothing" in again.text
    assert not list(tmp_path.glob(".*"))
