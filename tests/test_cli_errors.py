"""The command line: one sentence and the right status for whatever goes wrong, and no files."""

import json
from pathlib import Path

import numpy as np
import pytest
from judge import small_network

import mmsp.cli.run
from hdl.config import SMALL
from mmsp.cli import main
from mmsp.compiler import compile_graph
from mmsp.image import write_image
from mmsp.importers.tflite_writer import write_tflite
from mmsp.references import Comparison
from mmsp.simulator import BuildError, SimulationError


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "small.tflite"
    path.write_bytes(write_tflite(small_network()))
    return str(path)


def fails(capsys, arguments, sentence, *, status=2):
    """Run a command that must fail with one sentence and nothing else."""
    assert main(arguments) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("mmsp: ")
    assert err.count("\n") == 1, err
    assert sentence in err, err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "a command is missing: run, compile, inspect"),
        (["walk"], "invalid choice: 'walk'"),
        (["run"], "the following arguments are required: MODEL"),
        (["run", "{model}", "--target", "chip"], "invalid choice: 'chip'"),
        (["run", "{model}", "--config", "HUGE"],
         "there is no configuration 'HUGE': it must be FULL, ECP5, SMALL"),
        (["run", "{tmp}/none.tflite"], "none.tflite' does not exist"),
        (["run", "{tmp}"], "' is a directory, not a file"),
        (["run", "{tmp}/text.tflite"], "is neither a .tflite file nor an .mram image"),
        (["run", "{tmp}/cut.tflite"], "cut.tflite"),
        (["run", "{tmp}/cut.mram"], "the image is truncated: its header says"),
        (["run", "{tmp}/ok.mram", "--config", "FULL"], "made for configuration SMALL"),
        (["run", "{tmp}/ok.mram", "--target", "golden"], "target golden needs the .tflite file"),
        (["run", "{model}", "--input", "{tmp}/none.npy"], "none.npy' does not exist"),
        (["run", "{model}", "--input", "y={tmp}/x.npy"],
         "has no input 'y': its inputs are 'image'"),
        (["run", "{model}", "--input", "{tmp}/x.npy"],
         "has shape (3,), and must have (1, 5, 4, 2), or one leading dimension more"),
        (["run", "{model}", "--target", "golden", "--waves", "{tmp}/x.fst"],
         "--waves records the chip, and --target is golden"),
        (["run", "{model}", "--seed", "-3"], "--seed must not be negative, and is -3"),
        (["run", "{model}", "--output", "{tmp}/none/o.npz"], "there is no directory"),
        (["run", "{model}", "--output", "{tmp}"], "is a directory, not a file"),
        (["run", "{model}", "--json", "{model}"], "is an input, too"),
        (["run", "{model}", "--input", "image={tmp}/x.npy", "--output", "{tmp}/x.npy"],
         "is an input, too"),
        (["run", "{model}", "--json", "{tmp}/a", "--output", "{tmp}/a"],
         "is the file of --output, too"),
        (["compile", "{model}"], "the following arguments are required: -o/--output"),
        (["compile", "{tmp}/ok.mram", "-o", "{tmp}/b.mram"], "is an image already"),
        (["compile", "{model}", "-o", "/proc/b.mram"], "cannot be written: "),
        (["inspect", "{tmp}/cut.mram"], "the image is truncated"),
        (["inspect", "{model}", "--config", "x"], "there is no configuration 'x'"),
    ],
)  # fmt: skip
def test_bad_input(capsys, monkeypatch, model, tmp_path, arguments, sentence):
    def simulated(*_):
        raise AssertionError("refused only after the simulation has begun")

    monkeypatch.setattr(mmsp.cli.run, "simulate", simulated)
    data = write_image(compile_graph(small_network(), SMALL))
    (tmp_path / "ok.mram").write_bytes(data)
    (tmp_path / "cut.mram").write_bytes(data[:-32])
    (tmp_path / "cut.tflite").write_bytes(Path(model).read_bytes()[:200])
    (tmp_path / "text.tflite").write_text("not at all")
    np.save(tmp_path / "x.npy", np.zeros(3, np.int8))
    before = sorted(tmp_path.iterdir())
    fails(capsys, [a.format(model=model, tmp=tmp_path) for a in arguments], sentence)
    assert sorted(tmp_path.iterdir()) == before


def test_mismatch_is_a_failed_run(capsys, monkeypatch, model, tmp_path):
    def wrong(loaded, batch, **_):
        return {"labels": np.full((batch.count, 1, 4), 3, np.int8)}

    monkeypatch.setitem(mmsp.cli.run.REFERENCES, "golden", wrong)
    report = tmp_path / "r.json"
    monkeypatch.setattr(
        "mmsp.references.tflm_outputs", lambda *_, **__: {"labels": np.array([[[3, 3, 4, 5]]])}
    )
    monkeypatch.setattr("mmsp.references.tflm_available", lambda: True)
    assert main(["run", model, "--target", "golden", "--json", str(report)]) == 1
    assert "not bit-exact: 2 of 4 values differ from the TFLM" in capsys.readouterr().out
    assert json.loads(report.read_text())["bit_exact"] == {"against": ["tflm"], "mismatches": 2}


def test_the_worst_reference_counts():
    comparison = Comparison(9, {"golden": 0, "tflm": 3}, [])
    assert comparison.total == 3
    assert comparison.sentence == (
        "not bit-exact: 0 of 9 values differ from the golden model, 3 of 9 values differ from "
        "the TFLM"
    )


def test_without_tflm(capsys, monkeypatch, model):
    monkeypatch.setattr("mmsp.references.tflm_available", lambda: False)
    monkeypatch.setattr("mmsp.tflm.tflm_available", lambda: False)
    assert main(["run", model, "--target", "golden"]) == 0
    assert "not compared (TFLM is not installed" in capsys.readouterr().out
    fails(capsys, ["run", model, "--target", "tflm"], "TensorFlow Lite Micro is missing")


@pytest.mark.parametrize(
    ("error", "sentence", "status"),
    [
        (SimulationError("assertion failed"), "mmsp: assertion failed\n", 1),
        (BuildError("no C++ compiler"), "mmsp: no C++ compiler\n", 1),
        (KeyboardInterrupt(), "mmsp: interrupted\n", 130),
        (KeyError("k"), "mmsp: unexpected KeyError: 'k'; please report this", 1),
    ],
)
def test_failed_runs_leave_nothing(capsys, monkeypatch, model, tmp_path, error, sentence, status):
    def simulate(*_):
        raise error

    monkeypatch.setattr(mmsp.cli.run, "simulate", simulate)
    monkeypatch.delenv("MMSP_DEBUG", raising=False)
    kept = tmp_path / "o.npz"
    kept.write_text("from before")
    before = sorted(tmp_path.iterdir())
    options = ["--output", str(kept), "--json", str(tmp_path / "r.json"), "--waves",
               str(tmp_path / "w.fst")]  # fmt: skip
    assert main(["run", model, "--config", "SMALL", *options]) == status
    assert sorted(tmp_path.iterdir()) == before
    assert kept.read_text() == "from before"
    err = capsys.readouterr().err
    assert sentence in err
    assert "Traceback" not in err
    monkeypatch.setenv("MMSP_DEBUG", "1")
    main(["run", model, "--config", "SMALL"])
    assert "Traceback" in capsys.readouterr().err
