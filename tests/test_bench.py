"""Benchmarks: the figures of one run, those of others, and what is refused."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from bench_stub import fake_measurement
from judge import activation, constant, convolution, network, small_network
from rich.console import Console

import mmsp.bench.measurement
import mmsp.cli.bench
from hdl.config import ECP5, FULL, SMALL
from mmsp.bench import FURTHER, NETWORKS, PEERS, prepare, recognise
from mmsp.bench.table import print_benchmark
from mmsp.cli import main
from mmsp.compiler import compile_graph
from mmsp.errors import InputError
from mmsp.image import write_image
from mmsp.importers.tflite_writer import write_tflite
from mmsp.inputs import random_batch
from mmsp.zoo import digits_model

DOCUMENT_FIELDS = [
    "config", "array_macs_per_cycle", "clock_hz", "seed", "networks", "not_supported",
]  # fmt: skip
NETWORK_FIELDS = [
    "model", "mlperf_tiny", "title", "weight_bytes", "macs", "cycles", "macs_per_cycle",
    "mac_utilisation", "roofline_cycles", "roofline_ratio", "mram_bytes_read", "energy_uj",
    "microseconds", "layers", "bit_exact", "peers",
]  # fmt: skip
LAYER_FIELDS = [
    "name", "op", "cycles", "macs", "mac_utilisation", "mram_bytes_read", "program_bytes",
    "mac_active_cycles", "wait_weights_cycles", "wait_drain_cycles",
]  # fmt: skip

# Thousand cycles, as published: written down once more, so that a slip in the data is noticed.
STATED = """
                    AD    KWS    VWW    IC
GAP9 NE16           65.0  175.7  415.9  227.8
NDP120              -     134.1  390.6  490.4
Ethos-U55 256 MAC   40.9  56.2   147    107
Ethos-U55 128 MAC   40.9  87.7   210    184
fpgaConvNet         -     46.3   1053   58.8
"""


def no_simulation(*_):
    raise AssertionError("simulated")


@pytest.fixture
def never_simulated(monkeypatch):
    monkeypatch.setattr(mmsp.cli.bench, "simulate", no_simulation)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "small.tflite"
    path.write_bytes(write_tflite(small_network()))
    return str(path)


def test_peers_are_as_stated():
    header, *lines = STATED.strip().splitlines()
    keys = header.split()
    assert [entry.key for entry in NETWORKS] == keys
    stated = {}
    for line in lines:
        *name, _, _, _, _ = line.split()
        figures = dict(zip(keys, line.split()[-4:], strict=True))
        stated[" ".join(name)] = {key: float(x) for key, x in figures.items() if x != "-"}
    assert {peer.name: dict(peer.kilocycles) for peer in PEERS} == stated
    for peer in PEERS:
        assert ("MLPerf Tiny v1." in peer.source) != ("estimate of Arm Vela 5.2" in peer.source)


def test_recognised_by_both_sizes():
    for entry in NETWORKS:
        assert recognise(entry.macs, entry.weight_bytes) is entry
        assert recognise(entry.macs, entry.weight_bytes + 1) is None
        assert recognise(entry.macs - 1, entry.weight_bytes) is None


def test_ratios():
    (kws,) = [entry for entry in NETWORKS if entry.key == "KWS"]
    measurement = fake_measurement(kws, cycles=46_300)
    ratios = {peer.name: ratio for peer, _, ratio in measurement.peers}
    assert list(ratios) == [peer.name for peer in PEERS]
    assert ratios["fpgaConvNet"] == 1
    assert ratios["GAP9 NE16"] == 46_300 / 175_700
    assert measurement.roofline_ratio == 46_300 / 40_000
    assert measurement.microseconds == 926
    assert measurement.macs_per_cycle == 2_656_768 / 46_300
    (ad,) = [entry for entry in NETWORKS if entry.key == "AD"]
    assert [peer.name for peer, _, _ in fake_measurement(ad).peers] == [
        "GAP9 NE16", "Ethos-U55 256 MAC", "Ethos-U55 128 MAC"
    ]  # fmt: skip
    assert fake_measurement().peers == []


def test_table_and_footnotes(capsys, monkeypatch, model):
    """Each peer below its network, with the number of its source."""
    measurements = iter([fake_measurement(n, model=n.file) for n in NETWORKS])
    monkeypatch.setattr(mmsp.cli.bench, "simulate", lambda *_: next(measurements))
    assert main(["bench", *[model] * 4, "--layers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line.split() for line in lines if line.startswith("pretrainedResnet_quant ")]
    assert row[1:] == [
        "12,501,632", "50,000", "250.0", "97.7%", "40,000", "1.25", "160", "-", "1,000.0"
    ]  # fmt: skip
    peers = [line.split("]")[1].split() for line in lines if line.startswith("  fpgaConvNet [5]")]
    assert peers == [["46.3", "k", "1.08"], ["1,053.0", "k", "0.05"], ["58.8", "k", "0.85"]]
    shown = [line for line in lines if line.startswith("  ") and "] " in line]
    assert len(shown) == sum(len(peer.kilocycles) for peer in PEERS) == 18
    for number, peer in enumerate(PEERS, 1):
        assert f"[{number}] {peer.name}: {peer.source}" in lines
    assert sum("recognised by its" in line for line in lines) == 4
    assert sum(line.startswith("layers of ") for line in lines) == 4
    assert sum(line.endswith(": bit-exact: golden model") for line in lines) == 4


def test_no_figure_is_cut_on_a_narrow_terminal():
    printed = io.StringIO()
    console = Console(file=printed, width=40, highlight=False, markup=False)
    measurements = [fake_measurement(entry, cycles=123_456_789) for entry in NETWORKS]
    print_benchmark(console, FULL, measurements, seed=1, layers=False)
    assert printed.getvalue().count(" 123,456,789 ") == 4
    assert " 2,469,135.8" in printed.getvalue()
    assert " 1,053.0 k " in printed.getvalue()
    assert "…" not in printed.getvalue()


def test_mismatch_is_a_failed_benchmark(capsys, monkeypatch, model, tmp_path):
    """Of three networks the second is wrong; the table and the JSON are there all the same."""
    measurements = iter([fake_measurement(mismatches=n) for n in (0, 3, 0)])
    monkeypatch.setattr(mmsp.cli.bench, "simulate", lambda *_: next(measurements))
    report = tmp_path / "bench.json"
    assert main(["bench", model, model, model, "--json", str(report)]) == 1
    printed = capsys.readouterr().out
    assert "some.tflite: not bit-exact: 3 of 12 values differ from the golden model" in printed
    found = [n["bit_exact"]["mismatches"] for n in json.loads(report.read_text())["networks"]]
    assert found == [0, 3, 0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{tmp}/none.tflite"], "none.tflite' does not exist"),
        (["{model}", "{tmp}/none.tflite"], "none.tflite' does not exist"),
        (["{tmp}/text.tflite"], "is neither a .tflite file nor an .mram image"),
        (["{tmp}/float.tflite"], "float.tflite: node "),
        (["{tmp}/ok.mram"], "'ok.mram' is an image, which holds no graph"),
        (["{model}", "--config", "HUGE"], "there is no configuration 'HUGE'"),
        (["{model}", "--seed", "-3"], "--seed must not be negative, and is -3"),
        (["{model}", "--models", "{tmp}"], "are both given: name a directory or files"),
        (["--models", "{model}"], "small.tflite' is not a directory"),
        (["--models", "{tmp}/empty"], "has none of ad01_int8.tflite, kws_ref_model.tflite"),
        (["--models", "{tmp}/twice"], "has several different vww_96_int8.tflite"),
        (["{model}", "--json", "{model}"], "is an input, too"),
        (["{model}", "--json", "{tmp}/none/b.json"], "there is no directory"),
    ],
)
@pytest.mark.usefixtures("never_simulated")
def test_bad_benchmarks(capsys, model, tmp_path, arguments, sentence):
    (tmp_path / "text.tflite").write_text("no network at all")
    (tmp_path / "ok.mram").write_bytes(write_image(compile_graph(small_network(), SMALL)))
    weights = constant("weights", np.ones((3, 2, 2, 2), np.float32))
    real = [activation(name, (1, 4, 4, 2), dtype=np.float32) for name in "xy"]
    graph = network(convolution(real[0], weights, None, real[1]))
    (tmp_path / "float.tflite").write_bytes(write_tflite(graph))
    (tmp_path / "empty").mkdir()
    for name in ("a", "b"):
        (tmp_path / "twice" / name).mkdir(parents=True)
        (tmp_path / "twice" / name / "vww_96_int8.tflite").write_text(name)
    filled = [argument.format(tmp=tmp_path, model=model) for argument in arguments]
    assert main(["bench", *filled]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("mmsp: ")
    assert err.count("\n") == 1, err
    assert sentence in err, err
    assert not list(tmp_path.glob(".*"))


def test_network_that_does_not_fit_is_named(monkeypatch):
    """Also where the compiler's sentence is only about a tensor."""
    graph = small_network()

    def refuse(*_):
        raise InputError("activations do not fit")

    monkeypatch.setattr(mmsp.bench.measurement, "load_image", refuse)
    with pytest.raises(InputError, match=r"^mine: activations do not fit$"):
        prepare(graph, SMALL, name="mine")


def test_networks_of_a_directory(capsys, monkeypatch, tmp_path):
    """Found at any depth, in the order of the suite; copies are one; what is missing is said."""
    data = write_tflite(small_network())
    for place in ("z/kws_ref_model.tflite", "z/copy/kws_ref_model.tflite", "vww_96_int8.tflite"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(data)
    measured = []

    def simulate(model, seed):
        measured.append((model.name, seed, model.image.config))
        return fake_measurement()

    monkeypatch.setattr(mmsp.cli.bench, "simulate", simulate)
    arguments = ["--models", str(tmp_path), "--seed", "7", "--config", "ecp5"]
    assert main(["bench", *arguments]) == 0
    assert measured == [("kws_ref_model.tflite", 7, ECP5), ("vww_96_int8.tflite", 7, ECP5)]
    printed = capsys.readouterr().out
    assert "random input (seed 7)" in printed
    left_out = ["ad01_int8.tflite", "pretrainedResnet_quant.tflite", *(n.file for n in FURTHER)]
    assert f"left out: {', '.join(left_out)}" in " ".join(printed.split())


def test_published_networks_are_recognised(shared):
    for entry in NETWORKS:
        path = shared / "mlcommons-tiny" / "models" / entry.file
        loaded = prepare(path, FULL)
        assert loaded.image is not None
        assert loaded.graph is not None
        constants = [t.data for t in loaded.graph.tensors.values() if t.data is not None]
        assert recognise(loaded.image.description.macs, sum(c.nbytes for c in constants)) is entry


@pytest.mark.sim
def test_benchmark_of_the_digits(capsys, monkeypatch, tmp_path):
    """On the RTL: every field, sums, and the same cycles as `mmsp run` with the same seed."""
    report, ran = tmp_path / "bench.json", tmp_path / "run.json"
    assert main(["bench", "--config", "SMALL", "--layers", "--json", str(report)]) == 0
    printed = capsys.readouterr().out
    assert "digits.tflite: bit-exact: golden model" in printed
    assert "https://github.com/mlcommons/tiny" in printed
    assert "GAP9" not in printed
    assert "\nlayers of digits.tflite\n" in printed
    document = json.loads(report.read_text())
    assert list(document) == DOCUMENT_FIELDS
    assert (document["config"], document["array_macs_per_cycle"]) == ("SMALL", 16)
    assert (document["clock_hz"], document["seed"]) == (50_000_000, 1)
    (digits,) = document["networks"]
    assert list(digits) == NETWORK_FIELDS
    assert (digits["model"], digits["mlperf_tiny"]) == ("digits.tflite", None)
    assert (digits["energy_uj"], digits["peers"]) == (None, [])
    cycles, layers = digits["cycles"], digits["layers"]
    assert all(list(layer) == LAYER_FIELDS for layer in layers)
    assert sum(layer["macs"] for layer in layers) == digits["macs"] == 46_592
    # The end of the program belongs to no layer.
    assert 0 <= cycles - sum(layer["cycles"] for layer in layers) < 100
    assert sum(layer["mram_bytes_read"] for layer in layers) <= digits["mram_bytes_read"]
    assert digits["mac_utilisation"] == 46_592 / (cycles * 16)
    assert digits["macs_per_cycle"] == 46_592 / cycles
    assert digits["roofline_ratio"] == cycles / digits["roofline_cycles"] >= 1
    assert digits["microseconds"] == cycles * 1e6 / 50_000_000
    assert digits["bit_exact"]["mismatches"] == 0
    assert "golden" in digits["bit_exact"]["against"]

    path = tmp_path / "digits.tflite"
    path.write_bytes(digits_model())
    assert main(["run", str(path), "--config", "SMALL", "--json", str(ran)]) == 0
    alone = json.loads(Path(ran).read_text())
    for field in ("cycles", "macs", "mram_bytes_read", "layers", "roofline_cycles", "bit_exact"):
        assert alone[field] == digits[field], field

    capsys.readouterr()
    seeds = []

    def recorded_batch(ports, seed):
        seeds.append(seed)
        return random_batch(ports, seed)

    monkeypatch.setattr(mmsp.bench.measurement, "random_batch", recorded_batch)
    assert main(["bench", str(path), "--config", "SMALL", "--seed", "5", "--json", "-"]) == 0
    out, err = capsys.readouterr()
    again = json.loads(out)
    assert (again["seed"], seeds) == (5, [5])
    assert again["networks"][0]["bit_exact"] == digits["bit_exact"]
    assert "simulated RTL" in err
