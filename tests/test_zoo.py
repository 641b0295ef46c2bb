"""The digit network: its files, the arithmetic that trained it, and its numbers on every target."""

import hashlib
import os
import subprocess
import sys
from importlib.resources import files

import numpy as np
import pytest
from rtl import run_rtl

from hdl.config import SMALL
from mmsp.compiler.legalize import legalize
from mmsp.compiler.program import compile_graph
from mmsp.golden import run_golden
from mmsp.importers.tflite import read_tflite
from mmsp.tflm import MicroInterpreter, tflm_available
from mmsp.zoo import digits_model, exact, held_out_digits, network, quantize_digits
from mmsp.zoo.quantization import activation_quantization, quantize_network
from mmsp.zoo.train_digits import (
    load_images,
    make_model,
    pack_held_out,
    split_digits,
    to_reals,
    train,
)

LARGEST_MODEL = 100_000
LARGEST_DIGITS = 40_000
GOLDEN_RIGHT = 351
"""Held-out digits that the int8 network reads right, 97.5 %."""

OPERATORS = {
    "ADD", "AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MAX_POOL_2D",
    "RESHAPE", "SOFTMAX",
}  # fmt: skip

TRAIN_A_LITTLE = """
import hashlib
import numpy as np
from mmsp.zoo import held_out_digits
from mmsp.zoo.train_digits import to_reals, train
images, labels = held_out_digits()
parameters = train(to_reals(images[:128]), labels[:128], epochs=2)
print(hashlib.sha256(b"".join(np.ascontiguousarray(p) for p in parameters.values())).hexdigest())
"""


@pytest.fixture(scope="module")
def digits():
    """The network, its layers, and the held-out digits as its inputs."""
    graph = read_tflite(digits_model(), "digits")
    images, labels = held_out_digits()
    return graph, legalize(graph), quantize_digits(images), labels


@pytest.fixture(scope="module")
def golden(digits):
    graph, layers, inputs, _ = digits
    return [run_golden(graph, layers, {"image": x})["probabilities"] for x in inputs]


def all_images():
    pytest.importorskip("sklearn", reason="the whole data set comes with scikit-learn")
    return load_images()


def test_model_is_small_and_uses_the_operators(digits):
    graph, *_ = digits
    assert len(digits_model()) < LARGEST_MODEL
    assert {node.op for node in graph.nodes} == OPERATORS
    assert graph.tensors["image"].shape == (1, 8, 8, 1)


def test_held_out_digits():
    images, labels = held_out_digits()
    assert images.shape == (360, 8, 8)
    assert images.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 16)
    np.testing.assert_array_equal(labels, np.arange(360) % 10)
    assert len({image.tobytes() for image in images}) == 360


def test_split_is_that_of_the_file(rng):
    images, labels = all_images()
    training, held_out = split_digits(images, labels)
    assert len(training) == 1437
    assert not set(training) & set(held_out)
    np.testing.assert_array_equal(images[held_out], held_out_digits()[0])
    # No picture is on both sides, and the order of the data set does not matter.
    assert not {images[i].tobytes() for i in training} & {images[i].tobytes() for i in held_out}
    order = rng.permutation(len(images))
    _, again = split_digits(images[order], labels[order])
    np.testing.assert_array_equal(order[again], held_out)
    # The rule itself, for one class.
    digests = sorted(hashlib.sha256(image.tobytes()).digest() for image in images[labels == 3])
    found = [hashlib.sha256(image.tobytes()).digest() for image in images[held_out[3::10]]]
    assert found == digests[:36]


def test_file_of_digits_is_reproduced(tmp_path):
    all_images()
    pack_held_out(tmp_path / "digits.npz")
    data = (tmp_path / "digits.npz").read_bytes()
    assert len(data) < LARGEST_DIGITS
    with np.load(tmp_path / "digits.npz") as arrays:
        assert "CC BY 4.0" in str(arrays["source"])
    assert files("mmsp.zoo").joinpath("digits.npz").read_bytes() == data


def test_inputs_are_quantised_as_the_model_says(digits):
    graph, *_ = digits
    quantization = graph.tensors["image"].quantization
    values = np.arange(17, dtype=np.uint8).reshape(17, 1, 1)
    steps = values.reshape(-1) / 16 / np.float64(1 / 255)
    expected = np.floor(steps + 0.5) + quantization.zero_point[0]
    assert quantization.scale == (float(np.float32(1 / 255)),)
    np.testing.assert_array_equal(quantize_digits(values).reshape(-1), expected)
    assert quantize_digits(values).shape == (17, 1, 1, 1, 1)


def test_golden_accuracy(digits, golden):
    right = sum(int(y.argmax()) == label for y, label in zip(golden, digits[3], strict=True))
    assert right == GOLDEN_RIGHT
    assert right / len(golden) >= 0.965


@pytest.mark.skipif(not tflm_available(), reason="tflite-micro is not installed")
def test_golden_equals_tflm_on_all_digits(digits, golden):
    interpreter = MicroInterpreter(digits_model())
    for x, expected in zip(digits[2], golden, strict=True):
        np.testing.assert_array_equal(interpreter.run([x])[0], expected)
    assert len({y.tobytes() for y in golden}) > 100  # not one answer to everything


@pytest.mark.sim
def test_rtl_equals_golden(digits, golden):
    graph, _, inputs, _ = digits
    program = compile_graph(graph, SMALL)
    runs = run_rtl(program, [{"image": x} for x in inputs[:40]])
    for (outputs, _), expected in zip(runs, golden, strict=False):
        np.testing.assert_array_equal(outputs["probabilities"], expected)
    assert len(runs) == 40


# The arithmetic of training


def test_matmul_does_not_depend_on_the_order(rng):
    a = rng.standard_normal((5, exact.LARGEST_SUM)) * 2.0 ** rng.uniform(-20, 3, (5, 1))
    b = rng.standard_normal((exact.LARGEST_SUM, 3))
    order = rng.permutation(exact.LARGEST_SUM)
    result = exact.exact_matmul(a, b)
    assert result.tobytes() == exact.exact_matmul(a[:, order], b[order]).tobytes()
    products = exact.on_grid(a)[:, :, None] * exact.on_grid(b)
    assert result.tobytes() == np.add.accumulate(products, axis=1)[:, -1].tobytes()
    assert (a @ b).tobytes() != (a[:, order] @ b[order]).tobytes()  # or this test would be none
    # The grid itself is as fine as it says.
    assert np.abs(exact.on_grid(b) - b).max() <= np.abs(b).max() * 2.0**-20
    assert not exact.on_grid(np.zeros(3)).any()


def test_matmul_refuses_longer_sums():
    with pytest.raises(ValueError, match="at most 8192 products, not 8193"):
        exact.exact_matmul(np.ones((1, 8193)), np.ones((8193, 1)))


def test_exponential():
    x = -np.exp2(np.linspace(-20, 4, 1000))
    error = np.abs(exact.exponential(x) / np.exp(x) - 1)
    assert (error <= 1.001 * x * x / 2048 + 1e-12).all()
    np.testing.assert_array_equal(exact.exponential(np.array([0.0, -1024, -1e9])), [1, 0, 0])


def test_gradients(rng, monkeypatch):
    """Against finite differences, with a grid so fine that these mean something."""
    monkeypatch.setattr(exact, "GRID_BITS", 52)
    parameters = network.initial_parameters(rng)
    for name in parameters:
        if name.endswith("_bias"):  # away from 0, where the blank paper sits on every kink
            parameters[name] = rng.uniform(0.05, 0.3, parameters[name].shape)
    images, direction = rng.random((3, 8, 8, 1)), rng.standard_normal((3, 1, 1, 10))

    def loss():
        return float((network.forward(parameters, images)["scores"] * direction).sum())

    gradients = network.backward(parameters, network.forward(parameters, images), direction)
    assert set(gradients) == set(parameters)
    step, checked = 1e-6, 0
    for name, values in parameters.items():
        for index in rng.choice(values.size, min(values.size, 8), replace=False):
            position = np.unravel_index(index, values.shape)
            kept, found = values[position], []
            for sign in (1, -1):
                values[position] = kept + sign * step
                found.append(loss())
            values[position] = kept
            # Differences of float64 of about 10, over 2e-6: rounding is some 1e-9 of the slope.
            slope = (found[0] - found[1]) / (2 * step)
            assert gradients[name][position] == pytest.approx(slope, rel=1e-6, abs=1e-7), name
            checked += 1
    assert checked == 12 * 8


def test_training_does_not_depend_on_the_processor():
    """OpenBLAS picks its kernels by processor: take those of an old one, and one thread."""

    def digest(**environment):
        run = subprocess.run(
            [sys.executable, "-c", TRAIN_A_LITTLE],
            env=os.environ | environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return run.stdout

    first = digest()
    assert len(first.strip()) == 64
    assert first == digest(OPENBLAS_CORETYPE="Nehalem", OPENBLAS_NUM_THREADS="1")


def test_training_learns():
    images, labels = held_out_digits()
    inputs = to_reals(images[:300])
    parameters = train(inputs, labels[:300], epochs=12)
    scores = network.forward(parameters, to_reals(images[300:]))["scores"]
    assert (scores.reshape(60, 10).argmax(axis=1) == labels[300:]).mean() > 0.8


def test_quantisation_rules(rng):
    parameters = network.initial_parameters(rng)
    images, _ = held_out_digits()
    graph = quantize_network(parameters, to_reals(images[:50]))
    tensors = graph.tensors
    for name, weights in parameters.items():
        if name.endswith("_bias"):
            continue
        quantized = tensors[f"{name}/weights"]
        axis, scales = quantized.quantization.axis, quantized.quantization.scale
        other = tuple(d for d in range(quantized.data.ndim) if d != axis)
        assert (np.abs(quantized.data.astype(int)).max(axis=other) == 127).all()
        # Every weight is the nearest step of its channel.
        restored = np.moveaxis(quantized.data, axis, -1) * np.array(scales)
        original = weights.transpose(2, 0, 1, 3) if weights.ndim == 4 else weights
        error = np.abs(restored.reshape(-1, len(scales)) - original.reshape(-1, len(scales)))
        assert (error <= np.array(scales) * 0.5000001).all()
    for name in ("stem", "depthwise_1", "residual", "depthwise_2", "pointwise_2"):
        assert tensors[name].quantization.zero_point == (-128,)  # nothing negative after a ReLU
    assert tensors["pointwise_1"].quantization.zero_point != (-128,)
    for name, source in (("pooled", "residual"), ("averaged", "pointwise_2")):
        assert tensors[name].quantization == tensors[source].quantization
    bias, weights = tensors["stem/bias"].quantization, tensors["stem/weights"].quantization
    product = np.float32(1 / 255) * np.float32(weights.scale)
    assert bias.scale == tuple(product.astype(float).tolist())


@pytest.mark.parametrize(
    ("low", "high", "zero_point"),
    [(0.0, 2.0, -128), (-1.0, 1.0, -1), (0.5, 3.0, -128), (-4, -1, 127)],
)
def test_activation_range_includes_zero(low, high, zero_point):
    quantization = activation_quantization(np.array([low, high]))
    assert quantization.zero_point == (zero_point,)
    span = max(high, 0) - min(low, 0)
    assert quantization.scale == (float(np.float32(span / 255)),)


@pytest.mark.long
def test_retraining_reproduces_the_committed_model():
    all_images()
    model, _ = make_model()
    assert model == digits_model(), "make retrain writes the files anew"
