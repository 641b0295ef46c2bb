"""int16 and recurrent networks on the RTL against the golden models, bit for bit."""

from collections import Counter

import numpy as np
import pytest
from judge import random_like
from recurrent_networks import INT8, INT16, lstm, random_svdf
from rtl import run_rtl
from wide_operators import WIDE, random_int16, random_wide

from hdl.config import CONFIGS
from hdl.engine.descriptor import Operation, WeightFormat
from mmsp.compiler import compile_graph
from mmsp.golden import run_golden
from mmsp.simulator.simulator import Simulator

WIDE_NETWORKS = {"SMALL": 16, "FULL": 4}
RECURRENT_NETWORKS = 8
RUNS = 3


@pytest.mark.sim
@pytest.mark.parametrize("operator", WIDE)
@pytest.mark.parametrize("config", WIDE_NETWORKS)
def test_int16_operator(config, operator, seed):
    inside = total = 0
    for index in range(WIDE_NETWORKS[config]):
        rng = np.random.default_rng([seed, index, WIDE.index(operator)])
        graph, _ = random_wide(rng, operator, index)
        program = compile_graph(graph, CONFIGS[config])
        (name,) = graph.inputs
        batches = [{name: random_int16(rng, graph.tensors[name].shape)} for _ in range(2)]
        for inputs, (outputs, _) in zip(batches, run_rtl(program, batches), strict=True):
            for output, values in run_golden(graph, program.layers, inputs).items():
                np.testing.assert_array_equal(outputs[output], values, f"seed {seed}, {index}")
                inside += np.count_nonzero((values > values.min()) & (values < values.max()))
                total += values.size
    assert inside > total / 10, "almost every output sat at a limit: weak stimulus"


def check_runs(graph, rng, config):
    """Run several inferences on one chip, whose state lives on; return the program."""
    program = compile_graph(graph, CONFIGS[config])
    inputs = {
        name: np.stack([random_like(rng, graph.tensors[name]) for _ in range(RUNS)])
        for name in graph.inputs
    }
    with Simulator(program, config) as simulator:
        outputs = simulator.run(inputs).outputs
    state = {}
    for run in range(RUNS):
        each = {name: values[run] for name, values in inputs.items()}
        for name, values in run_golden(graph, program.layers, each, state=state).items():
            np.testing.assert_array_equal(outputs[name][run], values, f"run {run}")
    return program


@pytest.mark.sim
def test_lstm(seed):
    """Kept loops and fetched ones, sequences in either order, one step and several."""
    cases = Counter()
    for index in range(RECURRENT_NETWORKS):
        rng = np.random.default_rng([seed, index])
        graph = lstm(
            rng, steps=1 + index % 4, inputs=int(rng.integers(1, 20)),
            units=1 if index == 1 else int(rng.integers(1, 20)),
            dtype=INT16 if index % 4 == 3 else INT8, time_major=bool(index & 2),
            cell_clip=float(index & 1),
        )  # fmt: skip
        program = check_runs(graph, rng, "FULL" if index == 2 else "SMALL")
        loops = [j.fields for j in program.jobs if j.fields["operation"] is Operation.LOOP]
        cases.update(f"keep {fields['keep']}" for fields in loops)
        cases["no loop"] += not loops
    assert {"keep 0", "keep 1", "no loop"} <= set(cases), cases


@pytest.mark.sim
def test_svdf(seed):
    formats = set()
    for index in range(RECURRENT_NETWORKS):
        rng = np.random.default_rng([seed, index])
        program = check_runs(random_svdf(rng, index)[0], rng, "SMALL")
        formats |= {job.fields.get("weight_format") for job in program.jobs}
    assert {WeightFormat.INT8, WeightFormat.INT16} <= formats


@pytest.mark.sim
@pytest.mark.parametrize("linear_before_reset", [0, 1])
def test_gru(linear_before_reset, seed):
    pytest.importorskip("onnx", reason="onnx is not installed")
    from onnx_networks import gru_network  # noqa: PLC0415  # needs onnx

    from mmsp.importers.onnx_qdq import read_onnx  # noqa: PLC0415

    rng = np.random.default_rng([seed, linear_before_reset])
    data = gru_network(rng, linear_before_reset=linear_before_reset, hidden=9, steps=4)
    graph = read_onnx(data, "gru")
    graph.host_conversions.clear()  # integers at the ends
    check_runs(graph, rng, "SMALL")
