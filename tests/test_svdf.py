"""SVDF: the golden model against TFLM, whose state lives on from run to run."""

from collections import Counter

import numpy as np
import pytest
from judge import activation, assert_tflm_agrees, constant, network

from mmsp.compiler.legalize import legalize
from mmsp.errors import InputError

SEED = 20261123
NETWORKS = 40
RUNS = 6
INT16 = np.dtype(np.int16)


def random_svdf(rng, index):
    """A network of one SVDF with int8 or int16 state."""
    dtype = INT16 if index & 1 else np.dtype(np.int8)
    limits = np.iinfo(dtype)
    rank, memory = int(rng.integers(1, 4)), int(rng.integers(1, 11))
    inputs, units = int(np.exp2(rng.uniform(0, 6))), int(np.exp2(rng.uniform(0, 5)))
    spread = int(np.exp2(rng.uniform(1, 7)))
    feature = rng.integers(-spread, spread + 1, (rank * units, inputs)).clip(-128, 127)
    time = np.exp2(rng.uniform(0, np.log2(limits.max + 1), (rank * units, memory))) - 1
    time = (time * rng.choice([-1, 1], time.shape)).astype(dtype)
    time.flat[0] = limits.max  # what quantisers always use
    zero_points = [int(z) for z in rng.integers(-128, 128, 3)]
    if dtype == INT16:
        zero_points[1] = 0
    # States and outputs that fill their ranges, and sometimes leave them.
    state_scale = inputs**0.5 * spread * 74 / limits.max * 2.0 ** rng.uniform(-1, 2)
    sums = (rank * memory) ** 0.5 * float(np.abs(time.astype(int)).mean() + 1) * limits.max
    output_scale = state_scale * sums / 127 * 2.0 ** rng.uniform(-2, 1)
    bias = rng.integers(-sums, sums + 1, units).astype(np.int32)
    size = rank * units * memory
    operands = {
        "x": activation("x", (1, inputs), 1.0, zero_points[0]),
        "feature": constant("feature", feature.astype(np.int8), (1.0,)),
        "time": constant("time", time, (1.0,)),
        "bias": constant("bias", bias, (state_scale,)),
        "state": activation("state", (1, size), state_scale, zero_points[1], dtype),
    }
    output = activation("y", (1, units), output_scale, zero_points[2])
    attributes = {"rank": rank, "activation": "NONE", "asymmetric_quantize_inputs": False}
    graph = network(("SVDF", tuple(operands.values()), output, attributes), name="svdf")
    graph.inputs.remove("state")
    zero = graph.tensors["state"].quantization.zero_point[0]
    graph.variables["state"] = np.full(graph.tensors["state"].shape, zero, dtype)
    return graph, {"int16": dtype == INT16, "rank": rank > 1, "memory of 1": memory == 1}


def test_random_networks_equal_tflm():
    cases = Counter()
    for index in range(NETWORKS):
        seed = [SEED, index]
        rng = np.random.default_rng(seed)
        graph, kinds = random_svdf(rng, index)
        print("seed", seed)
        outputs = assert_tflm_agrees(graph, rng, runs=RUNS)["y"]
        cases.update(kind for kind, yes in kinds.items() if yes)
        cases["varied"] += len(np.unique(outputs)) > 3
        cases["saturated"] += bool(np.any(np.abs(outputs.astype(int)) > 126))
    assert min(cases.values()) > 1, cases
    assert len(cases) == 5, cases


REFUSALS = {
    "type of the time weights": (
        {"time": constant("time", np.ones((6, 4), np.int32), (1.0,))},
        "time weights 'time' are int32 of shape (6, 4), and must be int8 or int16 with 6 rows",
    ),
    "asymmetric weights": (
        {"feature": activation("feature", (6, 5), 1.0, 3)},
        "feature weights 'feature' must be constant",
    ),
    "size of the state": (
        {"state": activation("state", (1, 23), 1.0, 0)},
        "state 'state' is int8 of shape (1, 23), and must be int8 with 24 elements",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refuses(case):
    overrides, message = REFUSALS[case]
    operands = {
        "x": activation("x", (1, 5)),
        "feature": constant("feature", np.ones((6, 5), np.int8), (1.0,)),
        "time": constant("time", np.ones((6, 4), np.int8), (1.0,)),
        "bias": None,
        "state": activation("state", (1, 24)),
    } | overrides
    attributes = {"rank": 2, "activation": "NONE", "asymmetric_quantize_inputs": False}
    graph = network(("SVDF", tuple(operands.values()), activation("y", (1, 3)), attributes))
    graph.inputs[:] = ["x"]
    graph.variables["state"] = np.zeros(operands["state"].shape, np.int8)
    with pytest.raises(InputError) as caught:
        legalize(graph)
    assert str(caught.value) == f"node 'svdf_0' (SVDF): {message}"
