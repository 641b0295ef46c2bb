"""The command line: results, comparisons, files, help."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from judge import activation, convolution, network, random_int8, small_network
from judge import constant as make_constant
from PIL import Image

import mmsp.cli.run
from hdl.config import CONFIGS, SMALL
from hdl.engine.descriptor import DESCRIPTOR_WORDS
from hdl.power import power_domains
from mmsp import Simulator
from mmsp.cli import main
from mmsp.cli.main import COMMANDS
from mmsp.compiler import compile_graph
from mmsp.errors import InputError
from mmsp.golden import run_golden
from mmsp.image import read_image, write_image
from mmsp.importers.tflite import read_tflite
from mmsp.importers.tflite_writer import write_tflite
from mmsp.loading import load_model
from mmsp.tflm import run_tflm, tflm_available
from mmsp.zoo import digits_model, held_out_digits, quantize_digits

LAYER_FIELDS = [
    "name", "op", "cycles", "macs", "mac_utilisation", "mram_bytes_read", "program_bytes",
    "mac_active_cycles", "wait_weights_cycles", "wait_drain_cycles",
]  # fmt: skip
REPORT_FIELDS = [
    "model", "target", "config", "cycles", "cycles_each", "macs", "mac_utilisation",
    "roofline_cycles", "mram_bytes_read", "mram_active_cycles", "gating",
    "mram_bank_cycles", "mram_wakeups", "corrected", "power", "energy_uj", "layers", "outputs",
    "bit_exact",
]  # fmt: skip

needs_tflm = pytest.mark.skipif(not tflm_available(), reason="tflite-micro is not installed")


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "small.tflite"
    path.write_bytes(write_tflite(small_network()))
    return str(path)


@pytest.fixture
def real_model(tmp_path, rng):
    """Float32 at both ends."""
    inside, hidden = activation("inside", (1, 4, 4, 2), 0.05, 3), activation("hidden", (1, 4, 4, 2))
    real = activation("real", (1, 4, 4, 2), dtype=np.float32)
    result = activation("result", (1, 4, 4, 2), dtype=np.float32)
    weights = make_constant("weights", random_int8(rng, (2, 1, 1, 2)), (0.5, 0.25))
    graph = network(
        ("QUANTIZE", (real,), inside, {}),
        convolution(inside, weights, None, hidden),
        ("DEQUANTIZE", (hidden,), result, {}),
    )
    path = tmp_path / "real.tflite"
    path.write_bytes(write_tflite(graph))
    return str(path)


@pytest.fixture
def digits(tmp_path):
    path = tmp_path / "digits.tflite"
    path.write_bytes(digits_model())
    return str(path)


def test_golden_target(capsys, model, tmp_path, rng):
    values = random_int8(rng, (3, 1, 5, 4, 2))
    np.save(tmp_path / "x.npy", values)
    out, report = tmp_path / "out.npz", tmp_path / "report.json"
    arguments = ["--input", str(tmp_path / "x.npy"), "--output", str(out), "--json", str(report)]
    assert main(["run", model, "--target", "golden", *arguments]) == 0
    graph = small_network()
    loaded = load_model(graph)
    expected = np.stack(
        [run_golden(graph, loaded.layers or [], {"image": x})["labels"] for x in values]
    )
    with np.load(out) as arrays:
        assert arrays.files == ["labels"]
        np.testing.assert_array_equal(arrays["labels"], expected)
    document = json.loads(report.read_text())
    assert list(document) == REPORT_FIELDS
    assert document["cycles"] is document["config"] is document["energy_uj"] is None
    assert document["outputs"] == [
        {"name": "labels", "shape": [3, 1, 4], "dtype": "int8", "scale": 1 / 256,
         "zero_point": -128}
    ]  # fmt: skip
    against = ["tflm"] if tflm_available() else []
    assert document["bit_exact"] == {"against": against, "mismatches": 0 if against else None}
    printed = capsys.readouterr()
    assert "small.tflite (golden): 3 inferences" in printed.out
    assert printed.err == ""
    assert not list(tmp_path.glob(".*"))


@needs_tflm
def test_tflm_target(capsys, model, tmp_path):
    out = str(tmp_path / "out.npz")
    assert main(["run", model, "--target", "tflm", "--output", out, "--seed", "5"]) == 0
    printed = capsys.readouterr().out
    assert "no --input: random values (seed 5)" in printed
    assert "bit-exact: golden model" in printed
    with np.load(out) as arrays:
        assert arrays["labels"].shape == (1, 4)  # no batch was asked for


@needs_tflm
def test_real_values_at_both_ends(capsys, real_model, tmp_path, rng):
    values = rng.normal(0, 3, (1, 4, 4, 2)).astype(np.float32)
    np.savez(tmp_path / "x.npz", real=values)
    out = str(tmp_path / "out.npz")
    run = ["run", real_model, "--input", str(tmp_path / "x.npz"), "--output", out]
    assert main([*run, "--target", "golden"]) == 0
    printed = capsys.readouterr().out
    assert "input 'real' is float32: converted to int8" in printed
    assert "output 'result' is float32: converted from int8" in printed
    assert "bit-exact: TFLM" in printed
    (expected,) = run_tflm(Path(real_model).read_bytes(), [values])
    with np.load(out) as arrays:
        assert arrays["result"].dtype == np.float32
        np.testing.assert_array_equal(arrays["result"], expected)


def test_json_on_stdout(capsys, model):
    assert main(["run", model, "--target", "golden", "--json", "-"]) == 0
    out, err = capsys.readouterr()
    assert list(json.loads(out)) == REPORT_FIELDS
    assert "small.tflite (golden)" in err


def test_compile_and_inspect(capsys, model, tmp_path):
    target = tmp_path / "small.mram"
    assert main(["compile", model, "-o", str(target), "--config", "small"]) == 0
    assert "in the MRAM of SMALL" in capsys.readouterr().out
    expected = write_image(
        compile_graph(read_tflite(Path(model).read_bytes(), "small.tflite"), SMALL)
    )
    assert target.read_bytes() == expected
    assert main(["inspect", str(target)]) == 0
    from_image = capsys.readouterr().out
    assert "small.tflite for SMALL" in from_image
    assert main(["inspect", model, "--config", "SMALL"]) == 0
    assert capsys.readouterr().out == from_image
    mode = target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    assert mode == 0o666 & ~mask


def check_power(document):
    """Fields of a run on SMALL with gating per layer."""
    assert document["mram_active_cycles"] <= document["mram_bank_cycles"]
    assert (document["gating"], document["corrected"]) == ("per_layer", 0)
    assert document["mram_wakeups"] >= 1
    assert list(document["power"]) == [domain.name for domain in power_domains(SMALL)]
    for power in document["power"].values():
        assert list(power) == ["on_cycles", "retain_cycles", "wakeups"]
        assert power["on_cycles"] + power["retain_cycles"] <= document["cycles"]


@pytest.mark.sim
def test_rtl_target(capsys, digits, tmp_path):
    """Digits as tensors and as a picture, from the model and from its image."""
    images, _ = held_out_digits()
    values = quantize_digits(images[:3])
    np.save(tmp_path / "x.npy", values)
    out, report, waves = (tmp_path / name for name in ("o.npz", "r.json", "w.fst"))
    files = ["--input", str(tmp_path / "x.npy"), "--output", str(out), "--json", str(report)]
    assert main(["run", digits, "--config", "SMALL", "--gating", "Per_Layer", *files]) == 0
    printed = capsys.readouterr().out
    names = "golden model, TFLM" if tflm_available() else "golden model"
    assert f"bit-exact: {names}" in printed
    document = json.loads(report.read_text())
    assert list(document) == REPORT_FIELDS
    assert (document["target"], document["config"]) == ("rtl", "SMALL")
    assert len(document["cycles_each"]) == 3
    assert document["cycles_each"][0] == document["cycles"]
    assert document["bit_exact"]["mismatches"] == 0
    layers = document["layers"]
    assert all(list(layer) == LAYER_FIELDS for layer in layers)
    assert sum(layer["macs"] for layer in layers) == document["macs"]
    # The end of the program belongs to no layer.
    assert 0 <= document["cycles"] - sum(layer["cycles"] for layer in layers) < 100
    assert document["mac_utilisation"] == document["macs"] / (document["cycles"] * 16)
    parts = "mac_active", "wait_weights", "wait_drain"
    assert all(sum(e[f"{part}_cycles"] for part in parts) <= e["cycles"] for e in layers)
    assert all(e["mac_active_cycles"] * 16 >= e["macs"] for e in layers)
    image = read_image(write_image(compile_graph(read_tflite(digits_model(), "d"), SMALL)))
    # END and the 128 bytes before the program belong to no layer.
    assert sum(e["program_bytes"] for e in layers) == (image.program.words - DESCRIPTOR_WORDS) * 16
    roofline = max(-(-document["macs"] // 16), image.program.words)
    assert document["roofline_cycles"] == roofline <= document["cycles"]
    assert document["mram_bytes_read"] >= image.program.words * 16
    assert 0 < document["mram_active_cycles"] <= document["cycles"]
    check_power(document)
    with np.load(out) as arrays:
        probabilities = arrays["probabilities"]
    assert probabilities.shape == (3, 1, 10)

    picture = str(tmp_path / "digit.png")
    Image.fromarray((values[1, 0, :, :, 0].astype(int) + 128).astype(np.uint8)).save(picture)
    chip = str(tmp_path / "digits.mram")
    assert main(["compile", digits, "-o", chip, "--config", "SMALL"]) == 0
    capsys.readouterr()
    again = ["--input", picture, "--output", str(out), "--waves", str(waves)]
    assert main(["run", chip, *again]) == 0
    printed = capsys.readouterr().out
    assert "picture 'digit.png': 8 x 8 L" in printed
    assert "not compared (an image holds no graph for the golden model)" in printed
    with np.load(out) as arrays:
        np.testing.assert_array_equal(arrays["probabilities"], probabilities[1])
    assert waves.stat().st_size > 1000
    assert not list(tmp_path.glob(".*"))


@pytest.mark.sim
def test_simulator_from_python(rng):
    graph = small_network()
    program = compile_graph(graph, SMALL)
    batch = random_int8(rng, (2, 1, 5, 4, 2))
    with Simulator(program) as simulator:
        assert simulator.config is SMALL
        result = simulator.run({"image": batch})
        single = simulator.run(batch[1])
        with pytest.raises(InputError, match="and must be int8, float or a uint8 picture"):
            simulator.run(batch.astype(np.int16))
    for index in range(2):
        (expected,) = run_golden(graph, program.layers, {"image": batch[index]}).values()
        np.testing.assert_array_equal(result.outputs["labels"][index], expected)
    np.testing.assert_array_equal(single.int8_outputs["labels"], result.outputs["labels"][1])
    assert len(result.cycles_each) == 2
    assert result.layers[1].cycles == 0  # the reshape is folded
    for source in (graph, write_tflite(graph), write_image(program)):
        with Simulator(source, "small") as simulator:
            np.testing.assert_array_equal(
                simulator.run(batch[0]).outputs["labels"], result.outputs["labels"][0]
            )
    with pytest.raises(InputError, match=r"made for configuration SMALL .*, and this is FULL"):
        Simulator(program, "FULL")


def test_outputs_to_a_device_and_through_a_link(capsys, model, tmp_path):
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    golden = ["run", model, "--target", "golden"]
    assert main([*golden, "--output", os.devnull, "--json", str(tmp_path / "link.json")]) == 0
    assert not Path(os.devnull).is_file()
    assert (tmp_path / "link.json").is_symlink()
    assert list(json.loads((tmp_path / "real.json").read_text())) == REPORT_FIELDS


def test_output_names_that_numpy_would_refuse(tmp_path):
    data = mmsp.cli.run.npz({"file": np.arange(3), "a/b:0": np.ones((2, 2), np.int8)})
    with np.load(io.BytesIO(data)) as arrays:
        assert arrays.files == ["file", "a/b:0"]
        np.testing.assert_array_equal(arrays["file"], np.arange(3))
    assert data == mmsp.cli.run.npz({"file": np.arange(3), "a/b:0": np.ones((2, 2), np.int8)})


@pytest.mark.parametrize("command", COMMANDS)
def test_help(capsys, command):
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"usage: mmsp {command}" in out
    if command in ("features", "isp"):  # the same on every chip
        return
    for name, config in CONFIGS.items():
        assert f"{name} ({config.macs_per_cycle}" in " ".join(out.split())


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("mmsp 0.")


def test_help_starts_at_once():
    command = [sys.executable, "-X", "importtime", "-m", "mmsp.cli", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "commands:" in result.stdout
    for heavy in ("numpy", "amaranth", "rich", "PIL", "tflite", "matplotlib"):
        assert f" {heavy}\n" not in result.stderr, heavy


@pytest.mark.parametrize("options", [[], ["--json", "-"]])
def test_reader_that_leaves(model, options):
    """`mmsp run ... | head -1` says nothing about a broken pipe."""
    command = [sys.executable, "-m", "mmsp.cli", "run", model, "--target", "golden", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        # With --json - the report is on stderr.
        assert b"mmsp: " not in process.stderr.read()
        assert process.wait() == 1
