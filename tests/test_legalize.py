"""From real scales to integers: against exact arithmetic, and TFLM where float widths decide."""

from fractions import Fraction

import numpy as np
import pytest
from judge import (
    NO_PADDING,
    activation,
    assert_tflm_agrees,
    constant,
    convolution,
    fully_connected,
    network,
    random_int8,
)

from mmsp.compiler.layers import Add, Conv, Pad, Pool, Reshape, Softmax
from mmsp.compiler.legalize import legalize
from mmsp.compiler.legalize.quantization import (
    activation_range,
    quantize_multiplier,
    quantize_multiplier_smaller_than_one,
    softmax_scaling,
)
from mmsp.errors import InputError
from mmsp.golden import run_golden
from mmsp.importers.tflite_writer import write_tflite
from mmsp.tflm import run_tflm
from models.fixedpoint import multiply_by_quantized_multiplier

SEED = 31337


def float32(value):
    return float(np.float32(value))


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        (0.0, (0, 0)),
        (1.0, (1 << 30, 1)),
        (0.5, (1 << 30, 0)),
        (0.75, (3 << 29, 0)),
        (1 - 2.0**-40, (1 << 30, 1)),  # rounds up to 1
        (2.0**-32, (1 << 30, -31)),
        (2.0**-32 * (1 - 2.0**-40), (1 << 30, -31)),  # rounds up to the smallest shift
        (2.0**-33, (0, 0)),  # a shift of -32 is flushed
        (0.5 + 2.0**-32, ((1 << 30) + 1, 0)),  # a tie goes up
        (0.5 + 2.0**-33, (1 << 30, 0)),
        (2.0**29, (1 << 30, 30)),
    ],
)
def test_quantize_multiplier_corners(real, expected):
    assert quantize_multiplier(real) == expected


def test_quantize_multiplier_is_the_nearest():
    rng = np.random.default_rng(SEED)
    ups = 0
    for real in np.exp2(rng.uniform(-31, 29, 2000)).tolist():
        multiplier, shift = quantize_multiplier(real)
        assert 1 << 30 <= multiplier < 1 << 31
        error = Fraction(multiplier) - Fraction(real) * Fraction(2) ** (31 - shift)
        assert abs(error) <= Fraction(1, 2), f"seed {SEED}: {real!r}"
        ups += error > 0
    assert 500 < ups < 1500


@pytest.mark.parametrize("real", [-1.0, float("nan"), float("inf"), 2.0**30])
def test_quantize_multiplier_refuses(real):
    with pytest.raises(InputError, match="a scale ratio is"):
        quantize_multiplier(real)


@pytest.mark.parametrize("real", [0.0, 1.0, 1 - 2.0**-40])
def test_smaller_than_one_refuses(real):
    with pytest.raises(InputError, match="a scale ratio is"):
        quantize_multiplier_smaller_than_one(real)


@pytest.mark.parametrize(
    ("name", "scale", "zero_point", "expected"),
    [
        ("NONE", 0.1, 7, (-128, 127)),
        ("RELU", 0.1, 7, (7, 127)),
        ("RELU", 0.1, -128, (-128, 127)),
        ("RELU6", 0.5, -10, (-10, 2)),
        ("RELU6", 0.01, -10, (-10, 127)),
        ("RELU_N1_TO_1", 0.25, 3, (-1, 7)),
        ("RELU_N1_TO_1", 0.4, 0, (-3, 3)),  # 2.5 in float32: half away from zero
    ],
)
def test_activation_range(name, scale, zero_point, expected):
    assert activation_range(name, float32(scale), zero_point) == expected


def test_activation_range_divides_in_float32():
    """Scales for which 6 / scale is a tie in float32 and none in double."""
    rng = np.random.default_rng(SEED)
    found = []
    for target in rng.integers(1, 200, 4000) + 0.5:
        scale = float32(6 / target)
        exact = int(np.floor(6.0 / scale + 0.5))
        if activation_range("RELU6", scale, -128)[1] != -128 + exact:
            found.append((scale, exact))
    assert len(found) > 20, f"seed {SEED}"
    for scale, exact in found[:8]:
        source, output = activation("x", (1, 8), 1.0, 0), activation("y", (1, 1), scale, -128)
        weights = constant("weights", np.full((1, 8), 127, np.int8), (1.0,))
        bias = constant("bias", np.array([1 << 20], np.int32), (1.0,))
        outputs = assert_tflm_agrees(
            network(fully_connected(source, weights, bias, output, "RELU6")), rng, runs=1
        )
        assert outputs["y"].item() != -128 + exact, f"seed {SEED}: {scale!r}"


def tell_apart(right, wrong, accumulators):
    """An accumulator whose int8 outputs under two multipliers differ, or None."""
    outputs = [multiply_by_quantized_multiplier(accumulators, *m) for m in (right, wrong)]
    found = accumulators[(outputs[0] != outputs[1]) & (np.abs(outputs[0]) < 100)]
    return int(found[0]) if len(found) else None


def accumulators_at_ties(ratio):
    """Large accumulators that ``ratio`` scales to about a half between two outputs."""
    ties = np.concatenate([np.arange(-99.5, -40), np.arange(40.5, 100)]) / ratio
    near = np.rint(ties[:, None]).astype(np.int64) + np.arange(-200, 201)
    return near[np.abs(near) < 1 << 31]


def linear_network(kind, input_scale, weight_scales, output_scale, biases):
    """An operator with zero weights, whose outputs are its rescaled biases."""
    count = len(biases)
    products = [float32(input_scale) * float32(scale) for scale in weight_scales]
    bias = constant("bias", np.array(biases, np.int32), products)
    if kind == "FULLY_CONNECTED":
        source, output = activation("x", (1, 2), input_scale), activation("y", (1, count))
        weights = constant("weights", np.zeros((count, 2), np.int8), weight_scales)
        node = fully_connected
        attributes = {}
    else:
        depthwise = kind == "DEPTHWISE_CONV_2D"
        source, output = activation("x", (1, 1, 1, 1), input_scale), activation("y", (1, 1, 1, 1))
        shape = (1, 1, 1, count) if depthwise else (count, 1, 1, 1)
        weights = constant(
            "weights", np.zeros(shape, np.int8), weight_scales, 3 if depthwise else 0
        )
        node = convolution
        attributes = {"depth_multiplier": count} if depthwise else {}
    output = activation("y", (*source.shape[:-1], count), output_scale, 1)
    return network(node(source, weights, bias, output, **attributes))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
def test_width_of_the_scale_product(kind, channels):
    """TFLM multiplies the input's and the weights' scales as double, not as float32.

    The bias is chosen so that the other width gives another output: TFLM decides.
    """
    rng = np.random.default_rng(SEED)
    decided = 0
    for _ in range(40):
        input_scale = float32(2.0 ** rng.uniform(-12, -8))
        output_scale = float32(2.0 ** rng.uniform(1, 2))
        scales = [float32(2.0 ** rng.uniform(-14, -13)) for _ in range(channels)]
        biases = []
        for scale in scales:
            ratio = input_scale * scale / output_scale
            right = quantize_multiplier(ratio)
            wrong = quantize_multiplier(float32(input_scale * scale) / output_scale)
            bias = tell_apart(right, wrong, accumulators_at_ties(ratio))
            decided += bias is not None
            biases.append(12345 if bias is None else bias)
        assert_tflm_agrees(
            linear_network(kind, input_scale, scales, output_scale, biases), rng, runs=1
        )
    assert decided > 20, f"seed {SEED}: {decided} biases tell the widths apart"


def test_width_of_the_scale_product_without_bias():
    """As above, where TFLM checks no bias: the accumulator comes from many products."""
    rng = np.random.default_rng(SEED)
    depth, span, limit = 1 << 14, 255, 127
    decided = 0
    for _ in range(20):
        input_scale, weight_scale = (float32(2.0 ** rng.uniform(-14, -12)) for _ in range(2))
        # Not a whole number of products a step, or every tie is met exactly.
        output_scale = float32(input_scale * weight_scale * depth * span * rng.uniform(1.3, 1.4))
        right = quantize_multiplier(input_scale * weight_scale / output_scale)
        wrong = quantize_multiplier(float32(input_scale * weight_scale) / output_scale)
        accumulator = tell_apart(right, wrong, span * np.arange(64 * depth, limit * depth))
        if accumulator is None:
            continue
        decided += 1
        share, rest = divmod(accumulator // span, depth)
        values = np.full((1, depth), share, np.int8)
        values[0, :rest] += 1
        graph = network(
            fully_connected(
                activation("x", (1, depth), input_scale, -128),
                constant("weights", values, (weight_scale,)),
                None,
                activation("y", (1, 1), output_scale),
            )
        )
        inputs = np.full((1, depth), 127, np.int8)
        (output,) = run_golden(graph, legalize(graph), {"x": inputs}).values()
        (expected,) = run_tflm(write_tflite(graph), [inputs])
        np.testing.assert_array_equal(output, expected)
    assert decided > 5, f"seed {SEED}: {decided} sums tell the widths apart"


def test_layers_of_every_kind():
    x, y, z = (activation(name, (1, 4, 4, 2), 0.5) for name in "xyz")
    pool = {"stride": (2, 2), "kernel": (2, 2), "padding": NO_PADDING, "activation": "NONE"}
    margins = constant("margins", np.array([[0, 0], [1, 2], [3, 4], [5, 6]], np.int32))
    weights = constant("weights", random_int8(np.random.default_rng(SEED), (2, 1, 1, 2)), (0.1,))
    graph = network(
        convolution(x, weights, None, y),
        ("ADD", (y, x), z, {"activation": "NONE"}),
        ("AVERAGE_POOL_2D", (z,), activation("p", (1, 2, 2, 2)), pool),
        ("PAD", (activation("p", (1, 2, 2, 2)), margins), activation("q", (1, 5, 9, 13)), {}),
        ("RESHAPE", (activation("q", (1, 5, 9, 13)),), activation("r", (1, 585)),
         {"new_shape": ()}),
        ("SOFTMAX", (activation("r", (1, 585)),), activation("s", (1, 585), 1 / 256, -128),
         {"beta": 1.0}),
    )  # fmt: skip
    layers = legalize(graph)
    assert [type(layer) for layer in layers] == [Conv, Add, Pool, Pad, Reshape, Softmax]
    assert [layer.name for layer in layers] == [node.name for node in graph.nodes]
    convolution_layer, *_, pad, _, softmax = layers
    assert pad.padding == ((1, 2), (3, 4), (5, 6))
    np.testing.assert_array_equal(convolution_layer.bias, [0, 0])
    assert convolution_layer.bias.dtype == np.int32
    assert (softmax.beta_multiplier, softmax.beta_shift) == (1 << 30, 26)
    assert softmax.minimum_difference == -31


@pytest.mark.parametrize(
    ("beta", "scale", "expected"),
    [
        (1.0, 2.0**-26 * 1.5, (3 << 29, 1, -(31 << 25))),
        (1.0, 1e9, (0x7FFFFFFF, 31, 0)),  # capped below 2**31
        (2.0, 0.5, (1 << 30, 27, -15)),
    ],
)
def test_softmax_scaling(beta, scale, expected):
    assert softmax_scaling(beta, scale) == expected


def test_views_of_fully_connected():
    """Every way in which weights can meet the dimensions of the input."""
    rng = np.random.default_rng(SEED)
    for shape, depth, output_shape, kernel in [
        ((1, 12), 12, (1, 5), (1, 1)),
        ((3, 12), 12, (3, 5), (1, 1)),
        ((1, 7, 12), 12, (1, 7, 5), (1, 1)),
        ((1, 2, 3, 12), 12, (1, 2, 3, 5), (1, 1)),
        ((1, 2, 3, 12), 72, (1, 5), (2, 3)),
        ((1, 1, 1, 12), 12, (1, 5), (1, 1)),
    ]:
        source, output = activation("x", shape, 0.5, -9), activation("y", output_shape, 12.0, 4)
        weights = constant("weights", random_int8(rng, (5, depth)), (0.03,))
        graph = network(fully_connected(source, weights, None, output))
        (layer,) = legalize(graph)
        assert layer.weights.shape == (5, *kernel, 12)
        values = assert_tflm_agrees(graph, rng)["y"]
        assert len(np.unique(values)) > 3


@pytest.mark.parametrize(("channels", "groups"), [(4, 2), (6, 3), (4, 4)])
def test_grouped_convolution(channels, groups):
    rng = np.random.default_rng(SEED)
    source, output = activation("x", (1, 4, 5, channels), 0.5, 20), activation("y", (1, 3, 4, 12))
    weights = constant(
        "weights", random_int8(rng, (12, 2, 2, channels // groups)), rng.uniform(0.001, 0.01, 12)
    )
    graph = network(convolution(source, weights, None, output))
    (layer,) = legalize(graph)
    assert layer.depthwise == (groups == channels)
    assert len(np.unique(assert_tflm_agrees(graph, rng)["y"])) > 20


@pytest.mark.parametrize(
    ("shape", "margins"),
    [
        ((1, 2, 3, 4), [[0, 0], [1, 0], [0, 2], [3, 1]]),
        ((1, 3, 4), [[0, 0], [1, 2], [0, 3]]),
        ((3, 4), [[1, 2], [0, 3]]),
        ((1, 4), [[0, 0], [2, 3]]),
        ((4,), [[2, 3]]),
    ],
)
def test_pad_in_every_dimension(shape, margins):
    amounts = np.array(margins, np.int32)
    output = activation("y", np.array(shape) + amounts.sum(axis=1), 0.5, -77)
    graph = network(("PAD", (activation("x", shape, 0.5, -77), constant("m", amounts)), output, {}))
    rng = np.random.default_rng(SEED)
    assert np.count_nonzero(assert_tflm_agrees(graph, rng)["y"] == -77) >= output.size // 4


@pytest.mark.parametrize("error", [0.0, 0.019, 0.021])
def test_scale_of_a_bias(error):
    """TFLM takes a bias whose scale is off by at most 0.02 output steps."""
    source, output = activation("x", (1, 2), 0.5), activation("y", (1, 1), 1.0)
    weights = constant("weights", np.ones((1, 2), np.int8), (0.5,))
    bias = constant("bias", np.array([40], np.int32), (0.25 + error,))
    graph = network(fully_connected(source, weights, bias, output))
    if error < 0.02:
        assert_tflm_agrees(graph, np.random.default_rng(SEED))
        return
    with pytest.raises(InputError, match=r"bias 'bias' has scale 0.27\d*, and input times weights"):
        legalize(graph)
    with pytest.raises(InputError, match="TensorFlow Lite Micro refuses the model"):
        run_tflm(write_tflite(graph), [np.zeros((1, 2), np.int8)])


def test_add_on_all_pairs():
    rng = np.random.default_rng(SEED)
    a, b = (side.astype(np.int8)[None, :, :, None] for side in np.mgrid[-128:128, -128:128])
    for _ in range(6):
        tensors = [
            activation(name, a.shape, 2.0 ** rng.uniform(-6, -3), int(rng.integers(-20, 20)))
            for name in "aby"
        ]
        graph = network(("ADD", (tensors[0], tensors[1]), tensors[2], {"activation": "NONE"}))
        (layer,) = legalize(graph)
        assert layer.left_shift == 20
        (output,) = run_golden(graph, [layer], {"a": a, "b": b}).values()
        (expected,) = run_tflm(write_tflite(graph), [a, b])
        np.testing.assert_array_equal(output, expected, f"seed {SEED}")
        assert len(np.unique(output)) > 50
