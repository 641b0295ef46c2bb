"""The golden executor against TensorFlow Lite Micro's outputs, recorded and published."""

import time
from functools import cache

import numpy as np
import pytest
from judge import small_network
from published import COUNT, DATA, needs_data, published_goldens

from mmsp.compiler.legalize import legalize
from mmsp.errors import InputError
from mmsp.golden import run_golden
from mmsp.importers.tflite import read_tflite
from mmsp.tflm import MicroInterpreter, run_tflm, tflm_available

NETWORKS = {
    "mlcommons-tiny": (
        "ad01_int8",
        "kws_ref_model",
        "pretrainedResnet_quant",
        "vww_96_int8",
    ),
    "tensorflow-tflite-micro": ("micro_speech_quantized",),
}


@cache
def load(path):
    graph = read_tflite(path.read_bytes(), path.name)
    return graph, legalize(graph)


@needs_data
@pytest.mark.parametrize(
    ("folder", "model"), [(folder, model) for folder in NETWORKS for model in NETWORKS[folder]]
)
def test_recorded_outputs(folder, model):
    graph, layers = load(DATA / folder / "models" / f"{model}.tflite")
    golden = np.load(DATA / folder / "golden" / f"{model}.npz")
    assert len(golden["in0"]) >= 4
    for values, expected in zip(golden["in0"], golden["out0"], strict=True):
        outputs = run_golden(graph, layers, {graph.inputs[0]: values})
        assert list(outputs) == graph.outputs
        np.testing.assert_array_equal(outputs[graph.outputs[0]], expected)


@needs_data
def test_published_outputs():
    goldens = published_goldens()
    assert len(goldens) == COUNT
    for golden in goldens:
        graph, layers = load(golden.model)
        (output,) = run_golden(graph, layers, {graph.inputs[0]: golden.input}).values()
        golden.check(output)
        output[..., -1] ^= 1
        with pytest.raises(AssertionError, match=golden.name):
            golden.check(output)


@needs_data
def test_tflm_runs_every_network():
    for folder, models in NETWORKS.items():
        for model in models:
            data = (DATA / folder / "models" / f"{model}.tflite").read_bytes()
            golden = np.load(DATA / folder / "golden" / f"{model}.npz")
            (output,) = run_tflm(data, [golden["in0"][0]])
            np.testing.assert_array_equal(output, golden["out0"][0])


@needs_data
def test_vww_takes_less_than_two_seconds():
    graph, layers = load(DATA / "mlcommons-tiny" / "models" / "vww_96_int8.tflite")
    start = time.perf_counter()
    run_golden(graph, layers, {graph.inputs[0]: np.zeros((1, 96, 96, 3), np.int8)})
    assert time.perf_counter() - start < 2


def test_keeps_every_tensor():
    graph = small_network()
    image = np.ones((1, 5, 4, 2), np.int8)
    tensors = run_golden(graph, legalize(graph), {"image": image}, keep_all=True)
    activations = {name for name, tensor in graph.tensors.items() if tensor.data is None}
    assert set(tensors) == activations
    for name, values in tensors.items():
        assert values.shape == graph.tensors[name].shape
        assert values.dtype == np.int8


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, r"small takes the inputs \['image'\], not \[\]"),
        (
            {"image": np.zeros((1, 5, 4, 2)), "other": np.zeros(1)},
            r"small takes the inputs \['image'\], not \['image', 'other'\]",
        ),
        (
            {"image": np.zeros((1, 5, 4, 2))},
            r"input 'image' is float64 of shape \(1, 5, 4, 2\), and must be int8 of shape",
        ),
        (
            {"image": np.zeros((5, 4, 2), np.int8)},
            r"input 'image' is int8 of shape \(5, 4, 2\), and must be int8 of shape \(1, 5, 4, 2\)",
        ),
    ],
)
def test_refuses_other_inputs(inputs, message):
    graph = small_network()
    with pytest.raises(InputError, match=message):
        run_golden(graph, legalize(graph), inputs)


def test_tflm_refuses_what_is_no_model():
    assert tflm_available()
    with pytest.raises(InputError, match="the model has 3 bytes"):
        MicroInterpreter(b"abc")


@needs_data
def test_tflm_counts_inputs():
    data = (DATA / "mlcommons-tiny" / "models" / "ad01_int8.tflite").read_bytes()
    with pytest.raises(InputError, match="the model takes 1 inputs, not 2"):
        run_tflm(data, [np.zeros((1, 640), np.int8)] * 2)
