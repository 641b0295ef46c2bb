"""Weights of four and two bits: as files have them, as an option, and on the RTL."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from judge import activation, assert_tflm_agrees, constant, convolution, network
from random_operators import OPERATORS, random_first_layer
from rtl import run_rtl

from hdl.config import CONFIGS, FULL
from hdl.engine.descriptor import WeightFormat
from mmsp.cli.main import main
from mmsp.compiler import compile_graph
from mmsp.compiler.lower.weights import encode_tile, int16_digits, weight_format
from mmsp.compiler.narrowing import narrow_weights
from mmsp.errors import InputError
from mmsp.golden import run_golden
from mmsp.importers.tflite import read_tflite
from mmsp.loading import load_model
from mmsp.zoo import digits_model, held_out_digits, quantize_digits

SEED = 20261123
LINEAR = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
GENERATORS = {op: OPERATORS[op] for op in LINEAR} | {"FIRST_LAYER": random_first_layer}
NETWORKS = {"SMALL": 16, "FULL": 6}


def with_narrow_weights(graph, rng, width, **changes):
    """The same network with random weights of so many bits."""
    weights, limit = graph.tensors["weights"], 1 << (width - 1)
    data = rng.integers(-limit, limit, weights.shape).astype(np.int8)
    data.flat[:2] = -limit, limit - 1
    graph.tensors["weights"] = replace(weights, data=data, **changes)
    return graph


@pytest.mark.parametrize("op", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
def test_int4_files_equal_tflm(op):
    for index in range(12):
        rng = np.random.default_rng([SEED, index])
        per_channel = bool(index & 1) and op != "FULLY_CONNECTED"  # TFLM: int8 only
        graph = OPERATORS[op](rng, "NONE", per_channel)
        while graph.tensors["weights"].size < 3:
            graph = OPERATORS[op](rng, "NONE", per_channel)
        graph = with_narrow_weights(graph, rng, 4, bits=4)
        print("seed", [SEED, index])
        assert_tflm_agrees(graph, rng, runs=2)
        if graph.tensors["weights"].size > 60:
            program = compile_graph(graph, FULL)
            assert program.jobs[-1].fields["weight_format"] is WeightFormat.INT4


@pytest.mark.sim
@pytest.mark.parametrize("op", sorted(GENERATORS))
@pytest.mark.parametrize("config", NETWORKS)
def test_rtl_equals_golden(config, op, seed):
    feeds = Counter()
    for index in range(NETWORKS[config]):
        rng = np.random.default_rng([seed, index, sorted(GENERATORS).index(op)])
        graph = GENERATORS[op](rng, "NONE", bool(index & 2))
        if graph.tensors["weights"].size < 3:
            continue
        program = compile_graph(
            with_narrow_weights(graph, rng, 4 if index & 1 else 2), CONFIGS[config]
        )
        formats = {job.fields["weight_format"] for job in program.jobs}
        assert formats <= {WeightFormat.INT4, WeightFormat.INT2}
        feeds.update(job.fields["feed"].name for job in program.jobs)
        shape = graph.tensors["x"].shape
        batches = [{"x": rng.integers(-128, 128, shape).astype(np.int8)} for _ in range(2)]
        for inputs, (outputs, _) in zip(batches, run_rtl(program, batches), strict=True):
            for name, values in run_golden(graph, program.layers, inputs).items():
                np.testing.assert_array_equal(outputs[name], values, f"seed {seed}, {index}")
    if op == "DEPTHWISE_CONV_2D" and config == "SMALL":
        assert {"WINDOW", "DENSE"} <= set(feeds)


@pytest.mark.parametrize(("bits", "form"), [(4, WeightFormat.INT4), (2, WeightFormat.INT2)])
def test_packing_puts_the_first_weight_lowest(bits, form):
    limit = 1 << (bits - 1)
    tile = np.arange(-limit, limit, dtype=np.int8).reshape(-1, 4)
    assert weight_format(tile) is form
    word = int.from_bytes(encode_tile(tile, form).tobytes(), "little")
    mask = (1 << bits) - 1
    assert [word >> (bits * i) & mask for i in range(tile.size)] == [w & mask for w in tile.flat]
    assert weight_format(np.array([limit])) is not form


def test_digits_make_every_int16():
    values = np.arange(-(1 << 15), 1 << 15).astype(np.int16).reshape(-1, 4)
    low, *high = int16_digits(values)
    assert all(digit.dtype == np.int8 for digit in (low, *high))
    assert np.array_equal(low + 256 * sum(digit.astype(int) for digit in high), values)


def small_convolution(weights, scales, bias):
    return network(
        convolution(
            activation("x", (1, 1, 1, weights.shape[3]), 0.5),
            constant("weights", weights, scales),
            constant("bias", bias, [0.5 * scale for scale in scales]),
            activation("y", (1, 1, 1, len(weights)), 4.0),
        )
    )


@pytest.mark.parametrize("bits", [4, 2])
def test_every_channel_gets_a_scale_of_its_own(bits):
    rng = np.random.default_rng(SEED)
    spread = np.array([3, 127, 40, 0, 1]).reshape(-1, 1, 1, 1)
    weights = (spread * rng.uniform(-1, 1, (5, 1, 1, 30))).round().astype(np.int8)
    weights[1, 0, 0, 0] = -128
    bias = rng.integers(-9999, 9999, 5).astype(np.int32)
    graph = small_convolution(weights, (0.25,), bias)
    narrow = narrow_weights(graph, bits)
    node = narrow.nodes[0]
    new, new_bias = (narrow.tensors[name] for name in node.inputs[1:])
    limit = (1 << (bits - 1)) - 1
    scales = np.array(new.quantization.scale)
    assert new.bits == bits
    assert np.abs(new.data).max() == limit
    real = weights * 0.25
    assert np.array_equal(np.abs(new.data).max(axis=(1, 2, 3)) == limit, spread.ravel() > 0)
    error = np.abs(new.data * scales.reshape(-1, 1, 1, 1) - real).max(axis=(1, 2, 3))
    assert np.all(error <= scales / 2 * 1.000001)
    assert np.all(np.abs(new_bias.data * 0.5 * scales - bias * 0.125) <= 0.25 * scales * 1.000001)
    assert graph.tensors["weights"].data is not new.data
    assert narrow.notes == [
        f"weights of 1 of 1 nodes requantised to {bits} bits, one scale an output channel"
    ]


def test_narrow_weights_stay():
    graph = small_convolution(np.full((2, 1, 1, 3), -8, np.int8), (0.25,), np.zeros(2, np.int32))
    assert narrow_weights(graph, 4).nodes == graph.nodes
    assert narrow_weights(graph, 2).nodes != graph.nodes


def test_digits_survive_four_bits():
    """The digit network loses at most four points of its accuracy of 97.5 %."""
    graph = narrow_weights(read_tflite(digits_model(), "digits"), 4)
    layers = load_model(graph).layers
    images, labels = held_out_digits()
    (name,), (output,) = graph.inputs, graph.outputs
    shape = graph.tensors[name].shape
    found = [
        int(np.argmax(run_golden(graph, layers, {name: x.reshape(shape)})[output]))
        for x in quantize_digits(images[:120])
    ]
    assert np.mean(np.array(found) == labels[:120]) > 0.935


def test_words_of_the_program_become_fewer():
    sizes = {
        bits: len(
            compile_graph(read_tflite(digits_model(), "digits"), FULL, weight_bits=bits).words
        )
        for bits in (None, 4, 2)
    }
    assert sizes[4] < 0.8 * sizes[None]  # parameters and descriptors stay
    assert sizes[2] < sizes[4]


def test_refuses(tmp_path, capsys):
    graph = read_tflite(digits_model(), "digits")
    with pytest.raises(InputError, match="weights can be requantised to 4 or 2 bits, not 3"):
        narrow_weights(graph, 3)
    model, image = tmp_path / "digits.tflite", tmp_path / "digits.mram"
    model.write_bytes(digits_model())
    arguments = ["compile", str(model), "-o", str(image), "--config", "SMALL"]
    assert main([*arguments, "--weight-bits", "4"]) == 0
    assert "requantised to 4 bits" in capsys.readouterr().out
    assert main(["run", str(image), "--weight-bits", "4"]) == 2
    assert "is an image, whose weights are what they are" in capsys.readouterr().err
