"""Every operator: written, read back equal, and run by TensorFlow Lite Micro."""

import numpy as np
import pytest
from judge import random_like
from operator_examples import EXAMPLES

from mmsp.errors import InputError
from mmsp.importers.operator_options import OPTIONS
from mmsp.importers.tflite import read_tflite
from mmsp.importers.tflite_writer import write_tflite
from mmsp.tflm import MicroInterpreter

SEED = 314
RUNS = 12

HIDDEN = {"CALL_ONCE", "VAR_HANDLE"}
"""Operators of files that no graph contains; the examples of variables write them."""

CONVERSIONS = {"DEQUANTIZE"}
"""Operators at the ends of a network only, see test_importer.py."""

UNKNOWN_TO_TFLM = {"RELU_N1_TO_1"}


def test_every_operator_has_an_example():
    assert set(EXAMPLES) == set(OPTIONS) - HIDDEN - CONVERSIONS


@pytest.mark.parametrize("op", EXAMPLES)
def test_round_trip(op):
    rng = np.random.default_rng([SEED, *op.encode()])
    seen = {}
    for _ in range(RUNS):
        graph = EXAMPLES[op](rng)
        data = write_tflite(graph)
        assert read_tflite(data, graph.name) == graph, f"seed {SEED}"
        for node in graph.nodes:
            for name, value in node.attributes.items():
                seen.setdefault(name, set()).add(value)
        if op in UNKNOWN_TO_TFLM:
            with pytest.raises(InputError, match="TensorFlow Lite Micro refuses the model"):
                MicroInterpreter(data)
            continue
        interpreter = MicroInterpreter(data)
        for _ in range(2):
            inputs = [random_like(rng, graph.tensors[name]) for name in graph.inputs]
            outputs = interpreter.run(inputs)
            for name, values in zip(graph.outputs, outputs, strict=True):
                assert values.dtype == graph.tensors[name].dtype
                assert values.size == graph.tensors[name].size
    for name in {"activation", "keep_dims", "begin_mask", "shrink_axis_mask", "rank"} & set(seen):
        fixed = op in ("CONCATENATION", "SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM")
        assert len(seen[name]) > 1 or (fixed and name == "activation"), f"{name}: seed {SEED}"
