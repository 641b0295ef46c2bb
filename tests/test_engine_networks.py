"""Whole networks on the RTL: recorded TFLM outputs, published outputs, and what they cost."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from published import MODELS, published_goldens
from rtl import run_rtl

from hdl.config import CONFIGS
from mmsp.compiler import Program, compile_graph
from mmsp.importers.tflite import read_tflite
from mmsp.tflm import MicroInterpreter
from mmsp.zoo import digits_model, held_out_digits, quantize_digits

CYCLE_BARS = {
    "ad01_int8": 40_900,
    "kws_ref_model": 56_200,
    "vww_96_int8": 147_000,
    "pretrainedResnet_quant": 107_000,
}
"""Cycles that an Ethos-U55 of as many multipliers is estimated to need (Arm Vela 5.2)."""


@cache
def compiled(path: Path, config: str) -> Program:
    """The network at `path`, compiled for a configuration."""
    return compile_graph(read_tflite(path.read_bytes(), path.stem), CONFIGS[config])


def run_network(path: Path, config: str, inputs: np.ndarray):
    """Outputs, stacked, and cycles of every input."""
    program = compiled(path, config)
    (source,), (target,) = program.graph.inputs, program.graph.outputs
    shape = program.graph.tensors[source].shape
    results = run_rtl(program, [{source: np.reshape(values, shape)} for values in inputs])
    return np.stack([out[target] for out, _ in results]), [run.cycles for _, run in results]


@pytest.mark.sim
@pytest.mark.parametrize("name", CYCLE_BARS)
@pytest.mark.parametrize("config", ["FULL", "ECP5"])
def test_recorded_outputs(shared, config, name):
    """Every golden vector of the MLPerf Tiny networks, and the cycles of the FULL chip."""
    golden = np.load(shared / "mlcommons-tiny" / "golden" / f"{name}.npz")
    outputs, cycles = run_network(MODELS / f"{name}.tflite", config, golden["in0"])
    assert len(outputs) >= 6
    np.testing.assert_array_equal(outputs.reshape(golden["out0"].shape), golden["out0"])
    # Only softmax's serial normalisation takes a cycle more or less.
    assert max(cycles) - min(cycles) <= 2, "cycles depend on the data"
    if config == "FULL":
        assert max(cycles) <= CYCLE_BARS[name]


@pytest.mark.sim
@pytest.mark.parametrize("config", ["FULL", "ECP5"])
def test_published_outputs(shared, config):
    """Outputs that another project published for its own inputs."""
    checked = 0
    for golden in published_goldens():
        outputs, _ = run_network(golden.model, config, golden.input[None])
        golden.check(outputs[0])
        checked += 1
    assert checked == 32


@pytest.mark.sim
def test_program_is_read_once(shared):
    """Weights are fetched once: the words read are the words of the image, and few ahead of END."""
    for name in CYCLE_BARS:
        program = compiled(MODELS / f"{name}.tflite", "FULL")
        source = program.graph.inputs[0]
        zeros = np.zeros(program.graph.tensors[source].shape, np.int8)
        ((_, run),) = run_rtl(program, [{source: zeros}])
        ahead = run.mram_reads - len(program.words)
        assert 0 <= ahead <= 32, f"{name} read {ahead} words more than its image has"


@pytest.mark.sim
def test_all_held_out_digits():
    """The embedded network on every digit that it never saw: RTL == TFLM."""
    data = digits_model()
    program = compile_graph(read_tflite(data, "digits"), CONFIGS["FULL"])
    (source,), (target,) = program.graph.inputs, program.graph.outputs
    images, labels = held_out_digits()
    inputs = quantize_digits(images)
    results = run_rtl(program, [{source: image} for image in inputs])
    reference = MicroInterpreter(data)
    assert len(results) == 360
    for image, (outputs, _) in zip(inputs, results, strict=True):
        np.testing.assert_array_equal(outputs[target], reference.run([image])[0])
    predicted = [int(np.argmax(outputs[target])) for outputs, _ in results]
    assert np.count_nonzero(np.array(predicted) == labels) == 351
