"""Benchmarks go on where a network is not supported, and their page with plots."""

import json

import numpy as np
import pytest
from bench_stub import fake_measurement
from html_page import Page
from judge import activation, constant, convolution, network, small_network

import mmsp.cli.bench
from hdl.config import FULL
from mmsp.bench import FURTHER, NETWORKS, PEERS, Unsupported, prepare
from mmsp.cli import main
from mmsp.html import bench_page
from mmsp.importers.tflite_writer import write_tflite


@pytest.fixture
def networks(tmp_path, monkeypatch):
    """Files of a network that runs, of one that does not, and of the two beyond MLPerf Tiny."""
    monkeypatch.setattr(mmsp.cli.bench, "simulate", lambda m, _: fake_measurement(model=m.name))
    weights = constant("weights", np.ones((3, 2, 2, 2), np.float32))
    real = [activation(name, (1, 4, 4, 2), dtype=np.float32) for name in "xy"]
    (tmp_path / "float.tflite").write_bytes(
        write_tflite(network(convolution(real[0], weights, None, real[1])))
    )
    for name in ("good.tflite", *(entry.file for entry in FURTHER)):
        (tmp_path / name).write_bytes(write_tflite(small_network()))
    return tmp_path


def test_network_that_is_not_supported_is_a_row(capsys, networks):
    """Where it would stand: its sentence, in table, JSON and page, and the others go on."""
    good, bad = str(networks / "good.tflite"), str(networks / "float.tflite")
    document, page = networks / "b.json", networks / "b.html"
    outputs = ["--json", str(document), "--report", str(page)]
    assert main(["bench", good, bad, good, *outputs]) == 0
    with pytest.raises(Unsupported) as refused:
        prepare(bad, FULL)
    sentence = f"not supported yet: {refused.value.reason}"
    assert "node " in refused.value.reason
    printed = capsys.readouterr().out
    assert f"float  {sentence}" in printed
    assert printed.count("good.tflite: bit-exact") == 2
    read = json.loads(document.read_text())
    assert [entry["model"] for entry in read["networks"]] == ["good.tflite"] * 2
    assert read["not_supported"] == [{"model": "float.tflite", "reason": refused.value.reason}]
    found = Page(page.read_text())
    assert sentence in found.texts
    assert "float.tflite" in found.texts
    # Alone, there is nothing to benchmark.
    assert main(["bench", bad]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"mmsp: {refused.value}\n")


def test_networks_beside_those_of_the_suite(capsys, networks):
    """A GAN and an LSTM are found in a directory, and named; nobody published cycles for them."""
    document = networks / "b.json"
    assert main(["bench", "--models", str(networks), "--json", str(document)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert all(f"{e.file}: {e.title}, {e.origin}" in printed for e in FURTHER)
    read = json.loads(document.read_text())["networks"]
    assert [entry["model"] for entry in read] == [entry.file for entry in FURTHER]
    assert [entry["title"] for entry in read] == [entry.title for entry in FURTHER]
    assert {entry["mlperf_tiny"] for entry in read} == {None}
    assert [entry["peers"] for entry in read] == [[], []]


def test_page_has_all_figures():
    measurements = [fake_measurement(n, model=n.file) for n in NETWORKS]
    measurements.append(fake_measurement(model="<other>", mismatches=3))
    page = Page(bench_page(FULL, measurements, [Unsupported("n", "m & n")], seed=7))
    for entry in NETWORKS:
        assert any(text.endswith(entry.file) for text in page.texts)
        assert f"{entry.key}, {entry.title}" in page.texts
        assert f"{entry.macs:,}" in page.texts
    assert "not supported yet: m & n" in page.texts
    assert page.texts.count("bit-exact") == 4
    assert page.texts.count("not bit-exact") == 1
    assert "random input (seed 7)" in page.text
    for number, peer in enumerate(PEERS, 1):
        assert f"[{number}] {peer.name}: {peer.source}" in page.texts
        assert page.texts.count(f"{peer.name} [{number}]") == len(peer.kilocycles)
        for kilocycles in peer.kilocycles.values():
            assert f"{kilocycles:,.1f}" in page.texts
            assert f"{kilocycles / 50:.2f} x ours" in page.texts
    assert page.texts.count("only") == 5, "the layers of each"
    assert sum("of the roof, 50,000 cycles" in text for text in page.texts) == 5


def test_page_without_peers_or_macs():
    """Neither is there for an own network of additions."""
    page = Page(bench_page(FULL, [], [Unsupported("n", "r")], seed=1))
    assert "Beside others" not in page.texts
    assert page.tags.count("svg") == 0
    assert "not supported yet: r" in page.texts
