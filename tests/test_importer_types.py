"""Types of tensors: weights of 4 bits, int16 and int64, and conversions between int16 and float."""

from dataclasses import replace

import numpy as np
import pytest
from judge import (
    activation,
    constant,
    convolution,
    fully_connected,
    network,
    random_int8,
    random_like,
)

from mmsp.errors import InputError
from mmsp.graph import Tensor
from mmsp.importers.tflite import read_tflite
from mmsp.importers.tflite_tensors import pack_data
from mmsp.importers.tflite_writer import write_tflite
from mmsp.tflm import run_tflm

SEED = 2718
INT16 = np.dtype(np.int16)


def test_nibbles_by_hand():
    """The first value is in the low nibble; an odd count leaves the last high nibble 0."""
    tensor = constant("w", np.array([[1, -2, 7], [-8, -1, 0], [3, 4, -5]], np.int8), (1.0,))
    assert pack_data(replace(tensor, bits=4)) == bytes([0xE1, 0x87, 0x0F, 0x43, 0x0B])


@pytest.mark.parametrize("op", ["FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D"])
def test_int4_is_what_tflm_takes_it_for(op):
    """TFLM computes the same with weights of 4 bits as with the same weights of 8."""
    rng = np.random.default_rng([SEED, *op.encode()])
    counts = set()
    for _ in range(20):
        channels, size = (int(n) for n in rng.integers(1, 6, 2))
        image = activation("image", (1, 3, size, channels), 0.5, 3)
        if op == "FULLY_CONNECTED":
            shape, axis = (4, 3 * size * channels), 0
            image = activation("image", (1, shape[1]), 0.5, 3)
            output = activation("output", (1, 4))
        elif op == "CONV_2D":
            shape, axis = (4, 3, size, channels), 0
            output = activation("output", (1, 1, 1, 4))
        else:
            shape, axis = (1, 3, size, channels), 3
            output = activation("output", (1, 1, 1, channels))
        scales = [0.02] if op == "FULLY_CONNECTED" else [0.02] * shape[axis]
        weights = constant("weights", rng.integers(-8, 8, shape).astype(np.int8), scales, axis)
        counts.add(weights.size % 2)
        results = []
        for operand in (weights, replace(weights, bits=4)):
            extra = {"depth_multiplier": 1} if op == "DEPTHWISE_CONV_2D" else {}
            node = (
                fully_connected(image, operand, None, output)
                if op == "FULLY_CONNECTED"
                else convolution(image, operand, None, output, **extra)
            )
            graph = network(node)
            data = write_tflite(graph)
            assert read_tflite(data, "network") == graph, f"seed {SEED}"
            values = np.random.default_rng(SEED).integers(-128, 128, image.shape).astype(np.int8)
            results.append((len(data), *run_tflm(data, [values])))
        (large, expected), (small, result) = results
        assert small < large or weights.size < 32  # buffers are aligned to 16 bytes
        np.testing.assert_array_equal(result, expected, f"seed {SEED}")
        assert op != "FULLY_CONNECTED" or len(np.unique(result)) > 1
    assert counts == ({0, 1} if op == "DEPTHWISE_CONV_2D" else {0})


def test_what_int4_cannot_hold():
    image, output = activation("image", (1, 2)), activation("output", (1, 2))
    weights = replace(constant("w", np.array([[1, 2], [8, -8]], np.int8), (0.1,)), bits=4)
    graph = network(fully_connected(image, weights, None, output))
    with pytest.raises(InputError, match="tensor 'w' holds 8, and 4 bits hold -8 to 7"):
        write_tflite(graph)
    graph.tensors["w"] = replace(weights, bits=3)
    with pytest.raises(
        InputError, match=r"tensor 'w' has 3 bits, and a \.tflite file packs 4 bits only"
    ):
        write_tflite(graph)
    data = np.array([[1, 2], [7, -8]], np.int8)
    graph.tensors["x"] = replace(activation("x", (1, 2)), bits=4)
    with pytest.raises(InputError, match="tensor 'x' has 4 bits, which only constants may have"):
        write_tflite(replace(graph, tensors={**graph.tensors, "w": replace(weights, data=data)}))
    del graph.tensors["x"]
    graph.tensors["w"] = replace(weights, data=data, shape=(2, 3))
    message = r"'w' of x holds 2 bytes, and its shape \(2, 3\) of int4 needs 3"
    with pytest.raises(InputError, match=message):
        read_tflite(write_tflite(graph), "x")


def test_int4_is_for_constants():
    """Only the type's byte differs, so the file of a constant serves to make one of an input."""
    graph = network(("RELU", (activation("x", (1, 4)),), activation("y", (1, 4)), {}))
    data = bytearray(write_tflite(graph))
    graph.tensors["x"] = replace(graph.tensors["x"], dtype=INT16)
    other = write_tflite(graph)
    (position,) = [i for i, (a, b) in enumerate(zip(data, other, strict=True)) if a != b]
    data[position] = 17
    message = "^tensor 'x' of f has type INT4, which only constants may have$"
    with pytest.raises(InputError, match=message):
        read_tflite(bytes(data), "f")


def test_wide_constants():
    """int64 biases and scalars keep every bit and their rank."""
    bias = constant("bias", np.array([-(2**40) - 1, 2**40 + 3, 5], np.int64), (0.005,))
    weights = constant("weights", np.ones((3, 2), np.int8), (0.01,))
    hidden = activation("hidden", (1, 3), 1.0, dtype=INT16)
    scalar = constant("axis", np.array(0, np.int32))
    graph = network(
        fully_connected(activation("x", (1, 2), dtype=INT16), weights, bias, hidden),
        ("EXPAND_DIMS", (hidden, scalar), activation("y", (1, 1, 3), 1.0, dtype=INT16), {}),
    )
    again = read_tflite(write_tflite(graph), "network")
    assert again == graph
    assert again.tensors["axis"].shape == ()
    assert again.tensors["bias"].data.tolist() == bias.data.tolist()


def test_int16_at_the_ends():
    """The host's conversion between float32 and int16 is TFLM's."""
    rng = np.random.default_rng(SEED)
    before, after = (Tensor(name, (1, 64), np.dtype(np.float32)) for name in ("before", "after"))
    saturated = 0
    for _ in range(60):
        scale = float(np.float32(np.exp2(rng.uniform(-16, 2))))
        inside = activation("inside", (1, 64), scale, dtype=INT16)
        result = activation("result", (1, 64), scale, dtype=INT16)
        reshape = ("RESHAPE", (inside,), result, {"new_shape": (1, 64)})
        graph = network(
            ("QUANTIZE", (before,), inside, {}), reshape, ("DEQUANTIZE", (result,), after, {})
        )
        data = write_tflite(graph)
        again = read_tflite(data, "network")
        assert (again.inputs, again.outputs) == (["inside"], ["result"])
        assert again.conversions == [
            f"input 'before' is float32: converted to int16 (scale {scale:.9g}, zero point 0) on "
            f"the host",
            f"output 'after' is float32: converted from int16 (scale {scale:.9g}, zero point 0) on "
            f"the host",
        ]
        assert read_tflite(write_tflite(again), "network") == again
        values = np.exp2(rng.uniform(-2, 17, (1, 64))) * rng.choice([-1, 1], (1, 64)) * scale
        values[0, :2] = np.array([2.5, -2.5]) * scale  # ties, unless the product rounds
        values = values.astype(np.float32)
        to_inside, to_outside = again.host_conversions
        integers = to_inside.to_inside(values)
        assert integers.dtype == np.int16
        saturated += int(np.isin(integers, (-32768, 32767)).sum())
        (expected,) = run_tflm(data, [values])
        np.testing.assert_array_equal(to_outside.to_outside(integers), expected, f"seed {SEED}")
    assert 50 < saturated < 60 * 64 / 2


def test_uint8_is_no_match_for_int16():
    """A change of width is more than the host's exclusive or: it stays in the graph."""
    before = activation("before", (1, 4), 0.5, 128, np.uint8)
    inside = activation("inside", (1, 4), 0.5, 0, INT16)
    graph = network(
        ("QUANTIZE", (before,), inside, {}),
        ("RESHAPE", (inside,), activation("y", (4,), 0.5, 0, INT16), {"new_shape": (4,)}),
    )
    again = read_tflite(write_tflite(graph), "network")
    assert again == graph
    assert again.host_conversions == []


def test_random_values_survive():
    """Constants of every integer type, of any shape, read back as written."""
    rng = np.random.default_rng(SEED)
    for dtype in ("int8", "int16", "int32", "int64", "uint8", "uint32"):
        for rank in range(4):
            shape = tuple(int(n) for n in rng.integers(1, 5, rank))
            value = random_like(rng, activation("v", shape, dtype=dtype))
            tensor = constant("v", value, (0.5,))
            source, output = (activation(name, shape, dtype=dtype) for name in "xy")
            graph = network(("ADD", (source, tensor), output, {"activation": "NONE"}))
            assert read_tflite(write_tflite(graph), "network") == graph, f"seed {SEED}"
            small = replace(constant("v", random_int8(rng, shape) >> 4, (0.5,)), bits=4)
            graph.tensors["v"] = small
            assert read_tflite(write_tflite(graph), "network") == graph, f"seed {SEED}"
