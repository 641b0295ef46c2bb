"""GRU of ONNX: our integer definition against onnxruntime's floating point."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from mmsp.compiler.legalize import legalize
from mmsp.compiler.legalize.gru import sum_exponent
from mmsp.errors import InputError
from mmsp.golden import run_golden
from mmsp.graph import Quantization

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("onnx", reason="onnx is not installed")

from onnx_networks import gru_network  # noqa: E402  # needs onnx

from mmsp.importers.onnx_qdq import read_onnx  # noqa: E402

SEED = 20261123
NETWORKS = 32
LARGEST_ERROR = 2.0**-7
CALM = 2.0


def random_network(rng, index):
    """A network, and what is special about it."""
    # Weights as large as 4 make many units chaotic: the float reference itself then depends on how
    # its sums are rounded.
    gain = float(rng.choice([0.5, 1.5, 4.0]))
    options = {
        "features": int(np.exp2(rng.uniform(0, 6))),
        "hidden": int(np.exp2(rng.uniform(0, 4 if gain > CALM else 6))),
        "steps": int(rng.integers(1, 40)),
        "linear_before_reset": index & 1,
        "per_channel": bool(index & 2),
        "bias": [None, "float", "int32"][index % 3],
        "initial": bool(index & 4),
        "gain": gain,
    }
    return gru_network(rng, quantized_output=False, **options), options


def test_random_networks_stay_within_a_hundredth():
    cases, worst = Counter(), 0.0
    for index in range(NETWORKS):
        seed = [SEED, index]
        rng = np.random.default_rng(seed)
        data, options = random_network(rng, index)
        graph = read_onnx(data, "gru")
        layers = legalize(graph)
        (name,) = graph.inputs
        (conversion,) = [c for c in graph.host_conversions if c.direction == "input"]
        x = rng.normal(0, 2.0 ** rng.uniform(-1, 2), conversion.outside.shape).astype(np.float32)
        inside = conversion.to_inside(x).reshape(graph.tensors[name].shape)
        golden = run_golden(graph, layers, {name: inside})
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        wanted = [output.name for output in session.get_outputs()]
        reference = dict(zip(wanted, session.run(wanted, {"x": x}), strict=True))
        for back in (c for c in graph.host_conversions if c.direction == "output"):
            real = back.to_outside(golden[back.inside]).reshape(-1)
            error = np.abs(real - reference[back.outside.name].reshape(-1)).max()
            assert error <= LARGEST_ERROR, f"seed {seed}, {options}: {error}"
            worst = max(worst, float(error))
            cases[f"saturated {bool(np.any(np.abs(real) > 0.99))}"] += 1
            cases[f"moves {bool(np.ptp(real) > 0.1)}"] += 1
    print("largest error", worst)
    assert cases["saturated True"] > 3, cases
    assert cases["moves True"] > NETWORKS / 2, cases


def test_state_lives_on():
    """Two halves of a sequence, one after the other, end where the whole does."""
    rng = np.random.default_rng(SEED)
    graph = read_onnx(gru_network(rng, steps=4, quantized_output=False), "gru")
    layers, state, ends = legalize(graph), {}, []
    x = rng.integers(-128, 128, (2, 4, 5)).astype(np.int8)
    (name,) = graph.inputs
    shape = graph.tensors[name].shape
    for part in x:
        outputs = run_golden(graph, layers, {name: part.reshape(shape)}, state=state)
        ends.append(np.concatenate([outputs[key].ravel() for key in graph.outputs]))
    fresh = run_golden(graph, layers, {name: x[1].reshape(shape)})
    again = np.concatenate([fresh[key].ravel() for key in graph.outputs])
    assert not np.array_equal(ends[1], again)
    (variable,) = graph.variables
    assert np.array_equal(state[variable].ravel(), ends[1][-6:])


@pytest.mark.parametrize(("reach", "bits"), [(0.0, 3), (3.0, 3), (3.1, 4), (11.0, 4), (200.0, 7)])
def test_integer_bits_leave_room_for_the_recurrent_part(reach, bits):
    assert sum_exponent(reach) == bits - 15


def test_refuses_other_scales():
    graph = read_onnx(gru_network(np.random.default_rng(SEED)), "gru")
    node = next(node for node in graph.nodes if node.op == "GRU")
    state = graph.tensors[node.inputs[4]]
    graph.tensors[state.name] = replace(state, quantization=Quantization((0.5,), (0,)))
    with pytest.raises(InputError, match=f"tensor '{state.name}' has another scale than Q0.15"):
        legalize(graph)
