"""Operators that move elements, and means: golden models against TFLM."""

from collections import Counter

import numpy as np
import pytest
from random_movement import MOVEMENT

from mmsp.compiler.legalize import legalize
from mmsp.compiler.lower.progressions import LARGEST_STEP, progressions
from mmsp.golden import run_golden
from mmsp.importers.tflite import read_tflite
from mmsp.importers.tflite_writer import write_tflite
from mmsp.tflm import run_tflm

NETWORKS = 60
INT16 = {"CONCATENATION", "MEAN", "RESHAPE", "SLICE", "STRIDED_SLICE", "SUM", "TRANSPOSE"}
"""Operators that TFLM has for int16."""


def random_values(rng, tensor):
    limits = np.iinfo(tensor.dtype)
    return rng.integers(limits.min, limits.max + 1, tensor.shape).astype(tensor.dtype)


@pytest.mark.parametrize("op", sorted(MOVEMENT))
def test_random_networks_equal_tflm(op):
    seen = Counter()
    for index in range(NETWORKS):
        rng = np.random.default_rng([33, index])
        dtype = np.int16 if op in INT16 and index % 3 == 0 else np.int8
        data = write_tflite(MOVEMENT[op](rng, dtype))
        graph = read_tflite(data, op)
        inputs = {name: random_values(rng, graph.tensors[name]) for name in graph.inputs}
        golden = run_golden(graph, legalize(graph), inputs)
        judged = run_tflm(data, list(inputs.values()))
        for name, expected in zip(graph.outputs, judged, strict=True):
            np.testing.assert_array_equal(golden[name], expected, f"network {index}, {name}")
            seen["values"] += len(np.unique(expected))
        seen[np.dtype(dtype).name] += 1
    assert seen["values"] > 4 * NETWORKS
    assert seen["int8"] >= NETWORKS // 2
    assert bool(seen["int16"]) == (op in INT16)


def test_progressions_take_each_position_once(rng):
    lengths = []
    for _ in range(200):
        size, out = rng.integers(1, 30, 2)
        values = np.sort(rng.integers(0, size, out)).tolist()
        if rng.integers(2):
            values = [i * int(size) // int(out) for i in range(out)]
        taken = Counter()
        for p in progressions(values):
            assert 1 <= p.step <= LARGEST_STEP
            assert p.value_step >= 1
            for i in range(p.count):
                assert values[p.start + i * p.step] == p.value + i * p.value_step
                taken[p.start + i * p.step] += 1
        assert taken == Counter(range(len(values)))
        lengths.append(len(list(progressions(values))))
    assert len(set(lengths)) > 5
    assert len(list(progressions([i // 3 for i in range(30)]))) == 3
