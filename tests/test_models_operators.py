"""The golden models against TFLM: one random operator at a time, and the corners by hand.

TFLM must run every network that is generated; a refusal fails the test.
"""

from collections import Counter

import numpy as np
import pytest
from random_operators import (
    ACTIVATIONS,
    OPERATORS,
    activation_tensor,
    constant,
    single_operator,
)

from mmsp.compiler.layers import Add, Conv
from mmsp.compiler.legalize import legalize
from mmsp.golden import run_golden
from mmsp.importers.tflite_writer import write_tflite
from mmsp.tflm import run_tflm
from models import engine

SEED = 2022
NETWORKS = 240
RUNS_PER_NETWORK = 2
LINEAR = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def judge(graph, inputs):
    """Return the one output of the golden model and of TFLM."""
    (name,) = graph.outputs
    golden = run_golden(graph, legalize(graph), inputs)[name]
    (tflm,) = run_tflm(write_tflite(graph), [inputs[key] for key in graph.inputs])
    return golden, tflm


def random_inputs(rng, graph):
    """int8 inputs of any spread, around any centre."""
    inputs = {}
    for name in graph.inputs:
        centre, spread = rng.integers(-128, 128), int(np.exp2(rng.uniform(0, 8)))
        values = centre + rng.integers(-spread, spread + 1, graph.tensors[name].shape)
        inputs[name] = np.clip(values, -128, 127).astype(np.int8)
    return inputs


def scaling_cases(layer):
    """What is special about the scales of a layer."""
    cases = set()
    if isinstance(layer, Conv | Add):
        requantization = layer.requantization
        if np.any(requantization.multiplier == 0):
            cases.add("flushed to zero")
        if np.any(requantization.shift > 0):
            cases.add("left shift")
        if np.any(requantization.shift < -8):
            cases.add("right shift")
        if isinstance(layer, Add) and 0 in layer.input_multipliers:
            cases.add("operand flushed to zero")
        if isinstance(layer, Conv) and len(set(requantization.multiplier.tolist())) > 1:
            cases.add("per channel")
    return cases


def required_cases(op):
    """The cases that the random networks of an operator must have met."""
    if op in LINEAR:
        return {"flushed to zero", "left shift", "right shift", "per channel"}
    if op == "ADD":
        return {"flushed to zero", "operand flushed to zero", "right shift"}
    return set()


@pytest.mark.parametrize("op", sorted(OPERATORS))
def test_random_networks_equal_tflm(op):
    ran, inside, total, cases = 0, 0, 0, Counter()
    for index in range(NETWORKS):
        rng = np.random.default_rng([SEED, index])
        activation, per_channel = ACTIVATIONS[index % 4], bool(index & 4)
        graph = OPERATORS[op](rng, activation, per_channel)
        *before, layer = legalize(graph)
        model = write_tflite(graph)
        for _ in range(RUNS_PER_NETWORK):
            inputs = random_inputs(rng, graph)
            golden = run_golden(graph, [*before, layer], inputs)[graph.outputs[0]]
            (tflm,) = run_tflm(model, [inputs[name] for name in graph.inputs])
            mismatches = np.count_nonzero(golden != tflm)
            assert golden.shape == tflm.shape, f"seed {[SEED, index]}: {layer}"
            assert golden.dtype == tflm.dtype == np.int8
            assert mismatches == 0, f"{mismatches} mismatches, seed {[SEED, index]}: {layer}"
            ran += 1
            inside += np.count_nonzero((golden > golden.min()) & (golden < golden.max()))
            total += golden.size
        cases.update(scaling_cases(layer))
    assert ran == NETWORKS * RUNS_PER_NETWORK
    assert inside > total / 10, f"only {inside} of {total} outputs lie inside their range"
    missing = required_cases(op) - cases.keys()
    assert not missing, f"no network had {missing}"


def pointwise(bias, scales, output_zero_point):
    """A 1x1 convolution whose weights are 0: its accumulators are the biases."""
    input_scale, weight_scale = scales
    channels = len(bias)
    return single_operator(
        "CONV_2D",
        [activation_tensor("x", (1, 1, 1, 1), input_scale, 0)],
        [
            constant("weights", np.zeros((channels, 1, 1, 1), np.int8), (weight_scale,)),
            constant("bias", np.array(bias, np.int32), (input_scale * weight_scale,)),
        ],
        activation_tensor("y", (1, 1, 1, channels), 1.0, output_zero_point),
        {
            "activation": "NONE",
            "stride": (1, 1),
            "dilation": (1, 1),
            "padding": ((0, 0), (0, 0)),
        },
    )


@pytest.mark.parametrize("zero_point", [127, 1, 0, -1, -128])
def test_zero_point_addition_wraps(zero_point):
    """The largest multiplier, 2**31 - 1, leaves values so near the end that adding 127 wraps."""
    top, bottom = (1 << 31) - 1, -(1 << 31)
    bias = [top - n for n in (0, 1, 2, 100, 127, 128, 129, 300)]
    bias += [bottom + n for n in (0, 1, 2, 100, 127, 128, 129, 300)]
    offset = 181 * 2.0**-23  # its square is 2**-31
    graph = pointwise(bias, (1 + offset, 1 - offset), zero_point)
    *_, layer = legalize(graph)
    assert layer.requantization.multiplier.tolist() == [top] * len(bias)
    golden, tflm = judge(graph, {"x": np.zeros((1, 1, 1, 1), np.int8)})
    assert np.array_equal(golden, tflm)
    assert (golden.ravel()[0] == -128) == (zero_point > 1)


@pytest.mark.parametrize("shift", range(-31, 31))
def test_every_shift(shift):
    """Rounding ties on the right, values that wrap, also to exactly 0, on the left."""
    rng = np.random.default_rng([SEED, shift + 31])
    magnitudes = np.exp2(rng.uniform(0, 31, 400)).astype(np.int64)
    bias = np.where(rng.integers(2, size=400) == 1, magnitudes, -magnitudes)
    halves = (2 * np.arange(-8, 8) + 1) << max(-shift - 1, 0)
    wrapping = np.arange(-8, 8) << min(32 - shift, 31 - 3)
    bias = np.clip(np.concatenate([bias, halves, wrapping]), -(1 << 31), (1 << 31) - 1)
    graph = pointwise(bias, (2.0**shift * 0.75, 1.0), 3)
    *_, layer = legalize(graph)
    assert set(layer.requantization.shift.tolist()) == {shift}
    golden, tflm = judge(graph, {"x": np.zeros((1, 1, 1, 1), np.int8)})
    assert np.array_equal(golden, tflm)
    assert len(np.unique(golden)) > 2


@pytest.mark.parametrize("taps", [65_793, 65_794, 131_587, 140_000])
@pytest.mark.parametrize("weight", [-128, 127])
def test_accumulator_wraps(taps, weight):
    """255 * 128 a product: 65 794 of them leave int32."""
    bias = np.array([0, (1 << 31) - 1 if weight > 0 else -(1 << 31)], np.int32)
    graph = single_operator(
        "FULLY_CONNECTED",
        [activation_tensor("x", (1, taps), 1.0, 127)],
        [
            constant("weights", np.full((2, taps), weight, np.int8), (2.0**-10,)),
            constant("bias", bias, (2.0**-10,)),
        ],
        activation_tensor("y", (1, 2), 2.0**14, 0),
        {"activation": "NONE", "weights_format": "DEFAULT", "keep_dimensions": False},
    )
    golden, tflm = judge(graph, {"x": np.full((1, taps), -128, np.int8)})
    assert np.array_equal(golden, tflm)
    exact = -255 * weight * taps
    wraps = not -(1 << 31) <= exact < 1 << 31
    assert wraps == (taps > 65_793 and (weight == -128 or taps > 66_311))


def test_large_accumulators_keep_every_unit():
    """A bias cancels sums beyond 2**24, where single precision would have lost the last bits."""
    rng = np.random.default_rng(SEED)
    x = rng.integers(-128, 0, (1, 5000)).astype(np.int8)
    weights = rng.integers(-128, 0, (16, 5000)).astype(np.int8)
    sums = weights.astype(np.int64) @ (x[0].astype(np.int64) - 127)
    assert sums.min() > 1 << 24
    graph = single_operator(
        "FULLY_CONNECTED",
        [activation_tensor("x", x.shape, 1.0, 127)],
        [
            constant("weights", weights, (1.0,)),
            constant("bias", (np.arange(16) - sums).astype(np.int32), (1.0,)),
        ],
        activation_tensor("y", (1, 16), 1.0, 0),
        {"activation": "NONE", "weights_format": "DEFAULT", "keep_dimensions": False},
    )
    golden, tflm = judge(graph, {"x": x})
    assert golden.tolist() == tflm.tolist() == [list(range(16))]


def test_softmax_of_many_values():
    """More than 511 values are fine while few of them are near the maximum."""
    rng = np.random.default_rng(SEED)
    for length in (512, 1000, 4096):
        graph = single_operator(
            "SOFTMAX",
            [activation_tensor("x", (1, length), 0.25, 0)],
            [],
            activation_tensor("y", (1, length), 1 / 256, -128),
            {"beta": 1.0},
        )
        values = np.minimum(rng.integers(-128, 128, (1, length)), 100).astype(np.int8)
        values[0, :3] = [127, 126, 120]
        golden, tflm = judge(graph, {"x": values})
        assert np.array_equal(golden, tflm)
        assert golden.max() > -100


def test_mismatched_shapes_are_refused():
    scale = {"bias": 0, "multiplier": 1 << 30, "shift": 0, "minimum": -128, "maximum": 127}
    window = {"stride": (1, 1), "dilation": (1, 1), "padding": ((0, 0), (0, 0))}
    zero_points = {"input_zero_point": 0, "output_zero_point": 0}
    x = np.zeros((2, 2, 3), np.int8)

    def weights(*shape):
        return np.zeros(shape, np.int8)

    with pytest.raises(ValueError, match="weights take 4 channels, the input has 3"):
        engine.conv2d(x, weights(1, 1, 1, 4), **scale, **window, **zero_points)
    with pytest.raises(ValueError, match="kernel spans 3x1 pixels, the padded input has only 2x2"):
        engine.conv2d(x, weights(1, 3, 1, 3), **scale, **window, **zero_points)
    with pytest.raises(ValueError, match="do not fit 3 input channels: expected"):
        engine.depthwise_conv2d(x, weights(4, 1, 1, 1), **scale, **window, **zero_points)
    with pytest.raises(ValueError, match="weights take 5 features, the input has 3"):
        engine.fully_connected(x[0], weights(2, 5), **scale, **zero_points)
    with pytest.raises(ValueError, match="padding must have 3 pairs, one a dimension, not 2"):
        engine.pad(x, ((0, 0), (0, 0)), 0)
