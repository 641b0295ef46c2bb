"""UNIDIRECTIONAL_SEQUENCE_LSTM: the golden model against TFLM, and on a trained network."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from judge import activation, assert_tflm_agrees, constant
from published import DATA, needs_data
from recurrent_networks import INT8, INT16, lstm

from mmsp.compiler.layers import Loop
from mmsp.compiler.legalize import legalize
from mmsp.errors import InputError
from mmsp.golden import run_golden
from mmsp.importers.tflite import read_tflite

SEED = 20261123
NETWORKS = 40
RUNS = 3
TRAINED = DATA / "tensorflow-tflite-micro" / "models" / "trained_lstm_int8.tflite"


def test_random_networks_equal_tflm():
    cases = Counter()
    for index in range(NETWORKS):
        seed = [SEED, index]
        print("seed", seed)
        rng = np.random.default_rng(seed)
        dtype = INT16 if index % 4 == 3 else INT8
        clip = 0.0 if rng.integers(2) else float(2.0 ** rng.uniform(-3, 2))
        exponent = int(rng.integers(-15, -8))
        graph = lstm(
            rng, steps=int(rng.integers(1, 9)), inputs=int(np.exp2(rng.uniform(0, 5))),
            units=int(np.exp2(rng.uniform(0, 5))), dtype=dtype, cell_exponent=exponent,
            time_major=bool(index & 1),
            gain=float(2.0 ** rng.uniform(-1, 2)), cell_clip=clip,
        )  # fmt: skip
        outputs = assert_tflm_agrees(graph, rng, runs=RUNS)["y"]
        cases["moves"] += len(np.unique(outputs)) > outputs.size / 4
        time_major = graph.tensors["x"].time_major
        for kind in (
            str(dtype),
            f"time first {time_major}",
            f"clip {clip > 0}",
            f"fine {exponent < -12}",
        ):
            cases[kind] += 1
    assert len(cases) == 9, cases
    assert min(cases.values()) > 2, cases


@needs_data
def test_trained_network():
    graph = read_tflite(TRAINED.read_bytes(), "lstm")
    golden = np.load(TRAINED.parents[1] / "golden" / "trained_lstm_int8.npz")
    layers = legalize(graph)
    (name,), (output,) = graph.inputs, graph.outputs
    for sample, expected in zip(golden["in0"], golden["out0"], strict=True):
        assert np.array_equal(run_golden(graph, layers, {name: sample})[output], expected)


def test_input_products_precede_the_loop():
    first, second = legalize(lstm(np.random.default_rng(SEED), steps=7, inputs=3, units=5))
    assert isinstance(first, Loop)
    assert isinstance(second, Loop)
    assert (first.count, second.count) == (1, 7)
    assert first.output in second.reads
    assert not {"hidden", "cell", "x", "y"} & set(second.temporaries)


REFUSALS = {
    "peepholes": (
        {9: constant("p", np.ones(4, np.int16), (1.0,))},
        {},
        "input 'p' asks for peephole weights, which is not supported",
    ),
    "projection": (
        {16: constant("p", np.ones((4, 4), np.int8), (1.0,))},
        {},
        "input 'p' asks for a projection, which is not supported",
    ),
    "cell type": (
        {19: activation("cell", (1, 4), 2.0**-11)},
        {},
        "state 'cell' is int8 of shape (1, 4), and must be int16 with 4 elements",
    ),
    "cell scale": (
        {19: activation("cell", (1, 4), 0.3, 0, INT16)},
        {},
        "state 'cell' has scale 0.30000001192092896, and it must be a power of two",
    ),
    "activation": ({}, {"activation": "RELU"}, "activation is RELU, and must be TANH"),
    "weights": (
        {6: constant("w", np.ones((4, 3), np.int8), (1.0,))},
        {},
        "recurrent weights of the forget gate 'w' are int8 of shape (4, 3), and must be int8 of "
        "shape (4, 4)",
    ),
    "no input gate": (
        {1: None},
        {},
        "input 1 (input weights of the input gate) is missing",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refuses(case):
    operands, attributes, message = REFUSALS[case]
    graph = lstm(np.random.default_rng(SEED), steps=2, inputs=3, units=4, **attributes)
    (node,) = graph.nodes
    inputs = list(node.inputs)
    for index, tensor in operands.items():
        inputs[index] = tensor and tensor.name
        if tensor is not None:
            graph.tensors[tensor.name] = tensor
    graph.nodes[0] = replace(node, inputs=tuple(inputs))
    with pytest.raises(InputError) as caught:
        legalize(graph)
    assert str(caught.value) == f"node {node.name!r} ({node.op}): {message}"
