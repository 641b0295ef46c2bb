"""SVDF: the golden model against TFLM, whose state lives on from run to run."""

from collections import Counter

import numpy as np
import pytest
from judge import activation, assert_tflm_agrees, constant, network
from recurrent_networks import random_svdf

from mmsp.compiler.legalize import legalize
from mmsp.errors import InputError

SEED = 20261123
NETWORKS = 40
RUNS = 6


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


def test_scales_multiply_in_double():
    """Sums at the middle between two outputs tell the last bits of the multiplier."""
    rng = np.random.default_rng(SEED)
    units, told = 200, 0
    for _ in range(20):
        state, time = (float(np.float32(2.0 ** rng.uniform(-8, -2))) for _ in range(2))
        step = float(np.float32(state * time * 2.0 ** rng.uniform(21, 23)))
        middles = (rng.integers(60, 120, units) + 0.5) * rng.choice([-1, 1], units)
        sums = np.round(middles / (state * time / step)).astype(np.int32)
        graph = network(
            (
                "SVDF",
                (
                    activation("x", (1, 1)),
                    constant("feature", np.zeros((units, 1), np.int8), (1.0,)),
                    constant("time", np.zeros((units, 1), np.int16), (time,)),
                    constant(
                        "bias",
                        (sums + rng.integers(-20, 21, units)).astype(np.int32),
                        (state * time,),
                    ),
                    activation("state", (1, units), state, 0, np.int16),
                ),
                activation("y", (1, units), step),
                {"rank": 1, "activation": "RELU", "asymmetric_quantize_inputs": False},
            ),
            variables={"state": np.zeros((1, units), np.int16)},
        )
        outputs = assert_tflm_agrees(graph, rng, runs=1)["y"]
        told += np.count_nonzero(np.abs(outputs[0]) < np.abs(middles))
    assert 0.2 < told / (20 * units) < 0.8, "sums are not close enough to the middle"


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
