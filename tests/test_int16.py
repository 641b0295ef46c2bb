"""int16 activations with int8 weights: the golden models against TFLM, the limits of the engine."""

from collections import Counter

import numpy as np
import pytest
from wide_operators import BIASES, WIDE, random_int16, random_wide

from mmsp.compiler.layers import Conv, TransposeConv
from mmsp.compiler.legalize import legalize
from mmsp.golden import run_golden
from mmsp.importers.tflite_writer import write_tflite
from mmsp.tflm import run_tflm

SEED = 20261123
NETWORKS = 48


@pytest.mark.parametrize("op", WIDE)
def test_random_networks_equal_tflm(op):
    cases, inside, total = Counter(), 0, 0
    for index in range(NETWORKS):
        seed = [SEED, index]
        rng = np.random.default_rng(seed)
        graph, bias = random_wide(rng, op, index)
        (layer,) = layers = legalize(graph)
        (name,) = graph.inputs
        x = random_int16(rng, graph.tensors[name].shape)
        golden = run_golden(graph, layers, {name: x})[graph.outputs[0]]
        (tflm,) = run_tflm(write_tflite(graph), [x])
        assert golden.dtype == tflm.dtype == np.int16
        mismatches = np.count_nonzero(golden != tflm)
        assert mismatches == 0, f"{mismatches} mismatches, seed {seed}: {layer}"
        inside += np.count_nonzero((golden > golden.min()) & (golden < golden.max()))
        total += golden.size
        if isinstance(layer, Conv | TransposeConv):
            cases[f"bias {bias}"] += 1
            cases[layer.requantization.rounding] += 1
            cases["left"] += bool(np.any(layer.requantization.shift > 0))
            cases["right"] += bool(np.any(layer.requantization.shift < -8))
    assert inside > total / 10, f"only {inside} of {total} outputs lie inside their range"
    if op in BIASES:
        wanted = {f"bias {np.dtype(kind).name if kind else False}" for kind in BIASES[op]}
        wanted |= {"single", "left", "right"} | ({"double"} if op == "CONV_2D" else set())
        assert min(cases[case] for case in wanted) > 1, cases
