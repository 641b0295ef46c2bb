"""ONNX networks as a whole: published ones, what the host does at their ends, and the RTL."""

from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto
from onnx_networks import NetworkBuilder, calibrated_network, symmetric
from onnx_operators import IMAGE, convolution, sums

from hdl.config import FULL, SMALL
from mmsp import Simulator
from mmsp.arrangement import moves_nothing, rearrange
from mmsp.compiler import compile_graph
from mmsp.compiler.legalize import legalize
from mmsp.description import graph_ports
from mmsp.golden import run_golden
from mmsp.image import read_image, write_image
from mmsp.importers.onnx_qdq import read_onnx
from mmsp.importers.tflite_writer import write_tflite
from mmsp.inputs import make_batch
from mmsp.loading import load_model
from mmsp.onnx_reference import layer_differences, output_difference, run_onnxruntime
from mmsp.references import compare, golden_outputs
from mmsp.tflm import run_tflm, tflm_available

FOLDER = "mlcommons-tiny_results_v1.3"
STEPS = {"kws_ref_model": 4, "resnet": 2}
"""How far the logits of the published networks are from onnxruntime's, over all their inputs."""


def published(shared, name):
    """A published network, its inputs and the outputs that onnxruntime gave."""
    golden = np.load(shared / FOLDER / "golden" / f"{name}.npz")
    data = (shared / FOLDER / "models_onnx_qdq" / f"{name}.onnx").read_bytes()
    return data, golden["in"][:, None], golden["out"]


def run(data, inputs):
    """Outputs of the golden models by name, and the model."""
    model = load_model(data)
    batch = make_batch(inputs, graph_ports(model.graph)[0])
    return golden_outputs(model, batch, reset_state=True), model, batch


@pytest.mark.parametrize("name", STEPS)
def test_published_networks(shared, name):
    """The same class everywhere; layer by layer at most one step from onnxruntime."""
    data, inputs, expected = published(shared, name)
    outputs, model, batch = run(data, {"input_1": inputs})
    scores = outputs["dense"].reshape(expected.shape)
    np.testing.assert_array_equal(scores.argmax(1), expected.argmax(1))
    assert len(np.unique(scores.argmax(1))) >= 8
    assert output_difference(data, {"input_1": inputs}) == {"dense": STEPS[name]}
    for each in inputs[:2]:
        differences = layer_differences(data, {"input_1": each})
        assert len(differences) >= 11
        assert max(difference.largest for difference in differences) == 1
    verdict = compare("golden", outputs, model, batch).sentence
    assert f"at most {STEPS[name]} steps from onnxruntime" in verdict


@pytest.mark.skipif(not tflm_available(), reason="tflite-micro is not installed")
@pytest.mark.parametrize("name", STEPS)
def test_published_networks_in_tflm(shared, name):
    """The imported graph is a TFLite network: TFLM computes it bit for bit as the golden models."""
    data, inputs, _ = published(shared, name)
    graph = read_onnx(data, name)
    (port,), _ = graph_ports(graph)
    written = write_tflite(replace(graph, host_conversions=[]))
    layers = legalize(graph)
    for each in inputs[:3]:
        codes = port.rearrange(port.to_inside(each)).reshape(graph.tensors[graph.inputs[0]].shape)
        (expected,) = run_tflm(written, [codes])
        outputs = run_golden(graph, layers, {graph.inputs[0]: codes})
        np.testing.assert_array_equal(outputs[graph.outputs[0]], expected)


@pytest.mark.sim
@pytest.mark.parametrize("name", STEPS)
def test_published_networks_on_rtl(shared, name):
    """As from the command line: float in, float out, equal to the golden models."""
    data, inputs, _ = published(shared, name)
    for config in (FULL, SMALL) if name == "kws_ref_model" else (FULL,):
        with Simulator(data, config) as simulator:
            result = simulator.run({"input_1": inputs[:2]})
        expected, _, _ = run(data, {"input_1": inputs[:2]})
        np.testing.assert_array_equal(result.outputs["dense"], expected["dense"])


def test_images_keep_their_order_outside(seed):
    """NCHW in, NCHW out, as the file declares; the host reorders, and says so."""
    data, inputs = calibrated_network(seed, convolution, IMAGE)
    outputs, model, _ = run(data, {"x": inputs})
    graph = model.graph
    assert {node.op for node in graph.nodes} == {"CONV_2D"}
    first, last = graph.host_conversions
    assert first.steps == ((IMAGE, (0, 2, 3, 1)),)
    ((shape, order),) = last.steps
    assert (shape, order) == (graph.tensors[graph.outputs[0]].shape, (0, 3, 1, 2))
    assert all("reordered on the host" in sentence for sentence in graph.conversions[:2])
    (name,) = outputs
    for mine, each in zip(outputs[name], inputs, strict=True):
        theirs = run_onnxruntime(data, {"x": each})[name]
        assert mine.shape == theirs.shape
        scale = graph_ports(graph)[1][0].scale
        assert np.abs(mine - theirs).max() < 1.01 * scale


def test_ports_survive_in_an_image(seed):
    """Order and softmax of the ends are in the .mram file."""
    n = NetworkBuilder()
    x = n.fake_quantize("x", 0.05, 3)
    w = n.weight(*symmetric(np.random.default_rng(seed).normal(size=(5, 2, 3, 3)), 0), 0)
    y = n.fake_quantize(n.node("Conv", [x, w]), 0.1, -4)
    n.node("Softmax", [y], ["y"], axis=1)
    data = n.model({"x": (1, 2, 5, 6)}, {"y": None})
    model = load_model(data)
    image = read_image(write_image(compile_graph(model.graph, SMALL)), SMALL)
    inputs, outputs = graph_ports(model.graph)
    for ports, stored in ((inputs, image.description.inputs), (outputs, image.description.outputs)):
        assert [replace(port, tensor="") for port in ports] == [
            replace(port, tensor="") for port in stored
        ]
    assert inputs[0].steps
    assert outputs[0].softmax_axis == -3
    values = np.random.default_rng(seed).normal(0, 2, (2, 1, 2, 5, 6)).astype(np.float32)
    results, _, _ = run(data, {"x": values})
    np.testing.assert_allclose(results["y"].sum(axis=2), 1, rtol=1e-6)
    theirs = run_onnxruntime(data, {"x": values[1]})["y"]
    assert np.abs(results["y"][1] - theirs).max() < 0.1
    assert "softmax in floating point on the host" in model.graph.conversions[1]


def test_integers_at_the_ends(rng):
    """int8 and uint8 without float: the same integers in, the same out, in the file's types."""
    n = NetworkBuilder()
    a = n.dequantize("a", 0.05, 3)
    b = n.dequantize("b", 0.04, 140, np.uint8)
    y = n.node("Add", [a, b])
    n.node("QuantizeLinear", [y, n.constant(np.float32(0.1)), n.constant(np.uint8(100))], ["y"])
    z = n.node("Sub", [a, b])
    n.node("QuantizeLinear", [z, n.constant(np.float32(0.1)), n.constant(np.int8(-9))], ["z"])
    shape = (1, 4, 3, 2)
    data = n.model(
        {"a": (shape, TensorProto.INT8), "b": (shape, TensorProto.UINT8)},
        {"y": (shape, TensorProto.UINT8), "z": (shape, TensorProto.INT8)},
    )
    inputs = {
        "a": rng.integers(-128, 128, (3, *shape)).astype(np.int8),
        "b": rng.integers(0, 256, (3, *shape)).astype(np.uint8),
    }
    outputs, model, _ = run(data, inputs)
    assert model.graph.inputs == ["a", "b:int8"]
    for index in range(3):
        theirs = run_onnxruntime(data, {name: values[index] for name, values in inputs.items()})
        for name, expected in theirs.items():
            assert outputs[name].dtype == expected.dtype
            steps = np.abs(outputs[name][index].astype(int) - expected.astype(int))
            assert steps.max() <= 1
            assert len(np.unique(expected)) > 10


def test_reordering_in_several_steps(rng):
    """The host takes over a chain of reshapes and transposes at either end.

    The first one reverses three dimensions: transposes of two commute, all else being flat.
    """
    n = NetworkBuilder()
    x = n.fake_quantize(n.node("Transpose", ["x"], perm=[0, 3, 2, 1]), 0.05, 3)
    image = n.node("Reshape", [x, n.constant(np.array([1, 2, 5, 6]))])
    w = n.weight(*symmetric(rng.normal(size=(4, 2, 1, 1)), 0), 0)
    y = n.fake_quantize(n.node("Conv", [image, w]), 0.04)
    n.node("Flatten", [n.node("Transpose", [y], perm=[0, 3, 1, 2])], ["y"])
    data = n.model({"x": (1, 3, 4, 5)}, {"y": None})
    values = rng.normal(0, 2, (1, 1, 3, 4, 5)).astype(np.float32)
    outputs, model, _ = run(data, {"x": values})
    assert [node.op for node in model.graph.nodes] == ["CONV_2D"]
    assert [len(conversion.steps) for conversion in model.graph.host_conversions] == [3, 2]
    theirs = run_onnxruntime(data, {"x": values[0]})["y"]
    assert np.abs(outputs["y"][0] - theirs).max() <= 0.041
    assert len(np.unique(theirs)) > 30


def test_bias_of_another_scale(rng):
    """It is rounded to the scale of the accumulators, and said; one of that scale is kept."""
    for factor, notes in ((1, 0), (0.3, 1)):
        n = NetworkBuilder()
        x = n.fake_quantize("x", 0.5, 3)
        data, scale = symmetric(rng.normal(size=(4, 2, 1, 1)), 0)
        codes = rng.integers(-20_000, 20_000, 4).astype(np.int32)
        bias = n.weight(codes, np.float32(0.5) * scale * np.float32(factor), 0)
        n.fake_quantize(n.node("Conv", [x, n.weight(data, scale, 0), bias]), 0.4)
        n.nodes[-1].output[0] = "y"
        file = n.model({"x": (1, 2, 3, 3)}, {"y": None})
        graph = read_onnx(file, "bias")
        assert len(graph.notes) == notes, graph.notes
        expected = np.rint(codes * factor)
        found = graph.tensors[graph.nodes[0].inputs[2]].data
        assert np.abs(found - expected).max() <= (1 if notes else 0)
        values = rng.normal(0, 9, (1, 2, 3, 3)).astype(np.float32)
        assert layer_differences(file, {"x": values})[-1].largest <= 1


def test_limits_that_meet(rng):
    """Relu, then Clip from above: RELU6, fused, where the integers reach beyond both."""
    n = NetworkBuilder()
    w = n.weight(*symmetric(rng.normal(size=(4, 2, 1, 1)), 0), 0)
    y = n.node("Relu", [n.node("Conv", [n.fake_quantize("x", 0.1), w])])
    y = n.node("Clip", [y, None, n.constant(np.float32(6))])
    n.fake_quantize(n.node("MaxPool", [y], kernel_shape=[2, 2]), 0.1)
    n.nodes[-1].output[0] = "y"
    data = n.model({"x": (1, 2, 9, 9)}, {"y": None})
    graph = read_onnx(data, "limits")
    assert [node.op for node in graph.nodes] == ["CONV_2D", "MAX_POOL_2D"]
    assert graph.nodes[0].attributes["activation"] == "RELU6"
    values = rng.normal(0, 9, (1, 2, 9, 9)).astype(np.float32)
    assert layer_differences(data, {"x": values})[-1].largest <= 1
    expected = run_onnxruntime(data, {"x": values})["y"]
    assert {0.0, 6.0} <= set(np.unique(expected.round(4)).tolist())


@pytest.mark.parametrize(("op", "scale"), [("Sigmoid", 1 / 256), ("Tanh", 1 / 128)])
def test_unquantized_curve_at_the_end(rng, op, scale):
    """Its result gets TFLite's scale, and the import says so."""
    n = NetworkBuilder()
    n.node(op, [n.fake_quantize("x", 0.05)], ["y"])
    data = n.model({"x": (1, 50)}, {"y": None})
    values = rng.normal(0, 2, (1, 1, 50)).astype(np.float32)
    outputs, model, _ = run(data, {"x": values})
    assert np.abs(outputs["y"][0] - run_onnxruntime(data, {"x": values[0]})["y"]).max() <= scale
    assert "quantised to int8" in model.graph.notes[0]


def test_one_tensor_as_two_outputs(rng):
    """Also where both are views of the same memory, and one is read inside, too."""
    n = NetworkBuilder()
    y = n.fake_quantize(n.node("Relu", [n.fake_quantize("x", 0.05)]), 0.03, -128)
    n.node("Identity", [y], ["first"])
    n.node("Flatten", [y], ["second"])
    n.node("Transpose", [y], ["third"], perm=[0, 2, 1])
    data = n.model({"x": (1, 4, 3)}, {"first": None, "second": None, "third": None})
    values = rng.normal(0, 1, (1, 1, 4, 3)).astype(np.float32)
    outputs, _, _ = run(data, {"x": values})
    for name, expected in run_onnxruntime(data, {"x": values[0]}).items():
        np.testing.assert_array_equal(outputs[name][0], expected)


def test_steps():
    """Orders that cancel are none."""
    steps = (((1, 2, 3), (0, 2, 1)), ((1, 3, 2), (0, 2, 1)))
    assert moves_nothing(steps)
    assert moves_nothing((((1, 1, 6), (2, 0, 1)),))
    assert not moves_nothing(steps[:1])
    np.testing.assert_array_equal(rearrange(np.arange(6), steps[:1])[0].T.reshape(-1), np.arange(6))


@pytest.mark.sim
def test_random_networks_on_rtl():
    """With operands that lie in memory in different orders."""
    for seed in range(3):
        data, inputs = calibrated_network(seed, sums, IMAGE)
        with Simulator(data, SMALL) as simulator:
            result = simulator.run({"x": inputs})
        expected, _, _ = run(data, {"x": inputs})
        for name, values in expected.items():
            np.testing.assert_array_equal(result.outputs[name], values, f"seed {seed}")
