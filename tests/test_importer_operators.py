"""Every operator: written, read back equal, and run by TensorFlow Lite Micro."""

from dataclasses import replace

import numpy as np
import pytest
from judge import random_like
from operator_examples import EXAMPLES

from mmsp.errors import InputError
from mmsp.importers.operator_options import OPTIONS
from mmsp.importers.option_fields import Field
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


OUTSIDE = [
    ("SPLIT", "num_splits", 0, r"num_splits 0 is not at least 1"),
    ("STRIDED_SLICE", "end_mask", -1, r"end_mask -1 is not at least 0"),
    ("LEAKY_RELU", "alpha", float("nan"), r"alpha nan is not finite"),
    ("SOFTMAX", "beta", float("inf"), r"beta inf is not finite"),
    ("SVDF", "rank", 0, r"rank 0 is not at least 1"),
    ("UNIDIRECTIONAL_SEQUENCE_LSTM", "cell_clip", -1.0, r"cell_clip -1.0 is not at least 0"),
]


@pytest.mark.parametrize(("op", "attribute", "value", "message"), OUTSIDE)
def test_values_out_of_range(op, attribute, value, message, monkeypatch):
    graph = EXAMPLES[op](np.random.default_rng(SEED))
    (node,) = graph.nodes
    graph.nodes[0] = replace(node, attributes={**node.attributes, attribute: value})
    with pytest.raises(InputError, match=rf"node '.*_0' \({op}\): {message}"):
        write_tflite(graph)
    with monkeypatch.context() as patch:
        patch.setattr(Field, "check", lambda self, value: value)
        data = write_tflite(graph)
    with pytest.raises(InputError, match=rf"node '.*_0' \({op}\) of x: {message}"):
        read_tflite(data, "x")


def test_unknown_names():
    graph = EXAMPLES["ADD"](np.random.default_rng(SEED))
    graph.nodes[0] = replace(graph.nodes[0], attributes={"activation": "SWISH"})
    message = r"node 'add_0' \(ADD\): activation 'SWISH' is not one of NONE, RELU, .*, TANH"
    with pytest.raises(InputError, match=message):
        write_tflite(graph)
    with pytest.raises(InputError, match=r"has attributes \['axis'\], and must have \['activation"):
        write_tflite(replace(graph, nodes=[replace(graph.nodes[0], attributes={"axis": 1})]))
