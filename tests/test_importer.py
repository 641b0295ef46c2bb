"""Reading and writing .tflite files."""

from dataclasses import replace

import numpy as np
import pytest
import tflite
from judge import (
    NO_PADDING,
    activation,
    assert_tflm_agrees,
    convolution,
    fully_connected,
    network,
    random_int8,
    small_network,
)
from judge import constant as make_constant

from mmsp.compiler.legalize import legalize
from mmsp.errors import InputError
from mmsp.golden import run_golden
from mmsp.graph import Graph, Tensor
from mmsp.importers.operator_options import same_padding
from mmsp.importers.tflite import read_tflite
from mmsp.importers.tflite_writer import TfliteWriter, write_tflite
from mmsp.tflm import run_tflm


def test_round_trip_and_tflm():
    graph = small_network()
    assert read_tflite(write_tflite(graph), "small") == graph
    output = assert_tflm_agrees(graph, np.random.default_rng(2))["labels"]
    assert output.shape == (1, 4)


def test_attributes():
    """Numbers of the file against numbers worked out by hand."""
    graph = read_tflite(write_tflite(all_operators()), "all")
    by_op = {node.op: node.attributes for node in graph.nodes}
    assert by_op["CONV_2D"] == {
        "padding": ((1, 1), (1, 2)),
        "stride": (2, 1),
        "dilation": (1, 3),
        "activation": "RELU_N1_TO_1",
    }
    assert by_op["DEPTHWISE_CONV_2D"]["depth_multiplier"] == 2
    assert by_op["DEPTHWISE_CONV_2D"]["padding"] == NO_PADDING
    assert by_op["MAX_POOL_2D"] == {
        "padding": ((0, 1), (0, 0)),
        "stride": (2, 1),
        "kernel": (2, 1),
        "activation": "RELU",
    }
    assert by_op["ADD"] == {"activation": "RELU6"}
    assert by_op["SOFTMAX"] == {"beta": 0.5}
    assert by_op["PAD"] == {}
    assert [node.name for node in graph.nodes][:2] == ["conv_2d_0", "depthwise_conv_2d_1"]
    assert_tflm_agrees(graph, np.random.default_rng(3))


def all_operators():
    rng = np.random.default_rng(4)
    # Height 5, stride 2, kernel 3: 3 steps need 2 rows more.  Width 4, kernel 2 with dilation 3:
    # 4 columns extent, 3 more, the odd one on the right.
    image, first = activation("image", (1, 5, 4, 2)), activation("first", (1, 3, 4, 3))
    second, third = activation("second", (1, 3, 3, 6)), activation("third", (1, 2, 3, 6))
    total, padded = activation("total", (1, 2, 3, 6), 0.7), activation("padded", (1, 4, 3, 7), 0.7)
    pooled, flat = activation("pooled", (1, 1, 1, 7), 0.7), activation("flat", (1, 7), 0.7)
    weights = make_constant("weights", random_int8(rng, (3, 3, 2, 2)), (0.02,))
    depthwise = make_constant("depthwise", random_int8(rng, (1, 1, 2, 6)), [0.01] * 6, axis=3)
    margins = make_constant("margins", np.array([[0, 0], [2, 0], [0, 0], [0, 1]], np.int32))
    pool = {"stride": (2, 1), "kernel": (2, 1), "padding": ((0, 1), (0, 0)), "activation": "RELU"}
    return network(
        convolution(
            image, weights, None, first, stride=(2, 1), dilation=(1, 3),
            padding=((1, 1), (1, 2)), activation="RELU_N1_TO_1",
        ),
        convolution(first, depthwise, None, second, depth_multiplier=2),
        ("MAX_POOL_2D", (second,), third, pool),
        ("ADD", (third, third), total, {"activation": "RELU6"}),
        ("PAD", (total, margins), padded, {}),
        ("AVERAGE_POOL_2D", (padded,), pooled,
         {"stride": (1, 1), "kernel": (4, 3), "padding": NO_PADDING, "activation": "NONE"}),
        ("RESHAPE", (pooled,), flat, {"new_shape": (1, 7)}),
        ("SOFTMAX", (flat,), activation("labels", (1, 7), 1 / 256, -128), {"beta": 0.5}),
        name="all",
    )  # fmt: skip


def test_same_padding_covers_the_image():
    """By the definition: as few pixels as give ceil(size / stride) steps, the odd one last."""
    checked = 0
    for size in range(1, 12):
        for kernel in range(1, 5):
            for stride in range(1, 4):
                for dilation in range(1, 4):
                    (before, after), _ = same_padding(
                        (size, 1), (kernel, 1), (stride, 1), (dilation, 1)
                    )
                    extent = (kernel - 1) * dilation + 1
                    steps = -(-size // stride)
                    needed = [
                        total
                        for total in range(50)
                        if (size + total - extent) // stride + 1 >= steps
                    ]
                    assert before + after == needed[0]
                    assert after - before in (0, 1)
                    checked += 1
    assert checked == 11 * 4 * 3 * 3


def test_names_become_unique():
    graph = small_network()
    data = write_tflite(graph)
    # Two names of equal length: the flatbuffer keeps its layout.
    assert data.count(b"image") == data.count(b"dense") == 1
    again = read_tflite(data.replace(b"dense", b"image"), "twins")
    assert len(again.tensors) == len(graph.tensors)
    assert {"image", "image:2"} <= set(again.tensors)
    assert len(legalize(again)) == 4


def test_names_are_made_up():
    graph = small_network()
    nameless = write_tflite(graph).replace(b"image", b"\xff\0\0\0\0")
    assert "\N{REPLACEMENT CHARACTER}" * 5 in read_tflite(nameless, "odd").tensors
    tensor = graph.tensors.pop("flat")
    graph.tensors[""] = replace(tensor, name="")
    nodes = [
        replace(
            node,
            inputs=tuple("" if name == "flat" else name for name in node.inputs),
            outputs=tuple("" if name == "flat" else name for name in node.outputs),
        )
        for node in graph.nodes
    ]
    again = read_tflite(write_tflite(replace(graph, nodes=nodes)), "odd")
    index = list(graph.tensors).index("")
    assert again.tensors[f"tensor_{index}"].shape == (1, 18)


def dense_network(outside, scale, zero_point, *, quantize_op, dequantize_op):
    """A dense layer between conversions from and to ``outside``."""
    rng = np.random.default_rng(5)
    inside = activation("inside", (1, 6), scale, zero_point)
    result = activation("result", (1, 3), 0.75, -3)
    if outside == np.uint8:
        before = activation("before", (1, 6), scale, zero_point + 128, np.uint8)
        after = activation("after", (1, 3), 0.75, -3 + 128, np.uint8)
    else:
        before = Tensor("before", (1, 6), np.dtype(outside))
        after = Tensor("after", (1, 3), np.dtype(outside))
    weights = make_constant("weights", random_int8(rng, (3, 6)), (0.01,))
    return network(
        (quantize_op, (before,), inside, {}),
        fully_connected(inside, weights, None, result),
        (dequantize_op, (result,), after, {}),
    )


@pytest.mark.parametrize("kind", ["float32", "uint8"])
def test_conversions_at_the_ends_are_the_host_s(kind):
    rng = np.random.default_rng(6)
    whole = dense_network(
        np.dtype(kind), 0.3, 11, quantize_op="QUANTIZE",
        dequantize_op="DEQUANTIZE" if kind == "float32" else "QUANTIZE",
    )  # fmt: skip
    data = write_tflite(whole)
    graph = read_tflite(data, "network")
    assert (graph.inputs, graph.outputs) == (["inside"], ["result"])
    assert [node.op for node in graph.nodes] == ["FULLY_CONNECTED"]
    scale = np.float32(0.3)
    assert graph.conversions == [
        f"input 'before' is {kind}: converted to int8 (scale {scale:.9g}, zero point 11) on the "
        f"host",
        f"output 'after' is {kind}: converted from int8 (scale 0.75, zero point -3) on the host",
    ]
    assert read_tflite(write_tflite(graph), "network") == graph

    layers = legalize(graph)
    to_inside, to_outside = (conversion for conversion in graph.host_conversions)
    seen = set()
    for _ in range(50):
        if kind == "float32":
            values = (rng.normal(size=(1, 6)) * 40).astype(np.float32)
            values[0, :2] = scale * np.array([2.5, -2.5], np.float32)  # ties
        else:
            values = rng.integers(0, 256, (1, 6)).astype(np.uint8)
        inside = to_inside.to_inside(values)
        seen |= set(inside.reshape(-1).tolist())
        (result,) = run_golden(graph, layers, {"inside": inside}).values()
        outside = to_outside.to_outside(result)
        (expected,) = run_tflm(data, [values])
        assert outside.dtype == expected.dtype
        np.testing.assert_array_equal(outside, expected)
    assert len(seen) > 50
    assert kind == "uint8" or {-128, 127} <= seen, "the conversion never saturated"


def test_quantise_rounds_half_away():
    graph = read_tflite(
        write_tflite(
            dense_network(np.float32, 1.0, 0, quantize_op="QUANTIZE", dequantize_op="DEQUANTIZE")
        ),
        "network",
    )
    values = np.array([[0.5, -0.5, 2.5, -2.5, 0.49999997, 1e9]], np.float32)
    quantised = graph.host_conversions[0].to_inside(values)
    assert quantised.tolist() == [[1, -1, 3, -3, 0, 127]]


def test_other_uint8_scales_stay_in_the_graph():
    graph = dense_network(np.uint8, 0.3, 11, quantize_op="QUANTIZE", dequantize_op="QUANTIZE")
    graph.tensors["before"] = activation("before", (1, 6), 0.31, 139, np.uint8)
    again = read_tflite(write_tflite(graph), "network")
    assert again.inputs == ["before"]
    assert again.outputs == ["result"]
    with pytest.raises(InputError, match=r"node 'quantize_0' .*QUANTIZE"):
        legalize(again)


def test_other_uint8_zero_points_stay_in_the_graph():
    graph = dense_network(np.uint8, 0.3, 11, quantize_op="QUANTIZE", dequantize_op="QUANTIZE")
    graph.tensors["before"] = activation("before", (1, 6), 0.3, 138, np.uint8)
    assert read_tflite(write_tflite(graph), "network").inputs == ["before"]


class OneCodeWriter(TfliteWriter):
    """Writes operator codes to one of the two members only; the older one has 8 bits."""

    member = ""

    def operator_code(self, op):
        tflite.OperatorCodeStart(self.builder)
        code = getattr(tflite.BuiltinOperator, op)
        getattr(tflite, f"OperatorCodeAdd{self.member}")(self.builder, code)
        return tflite.OperatorCodeEnd(self.builder)


@pytest.mark.parametrize("member", ["BuiltinCode", "DeprecatedBuiltinCode"])
def test_either_member_for_operator_codes(member):
    graph = small_network()
    writer = OneCodeWriter(graph)
    writer.member = member
    data = writer.write()
    assert read_tflite(data, "small") == graph
    image = np.ones((1, 5, 4, 2), np.int8)
    np.testing.assert_array_equal(run_tflm(data, [image]), run_tflm(write_tflite(graph), [image]))


def test_one_zero_point_for_many_scales():
    graph = small_network()
    quantization = replace(graph.tensors["weights"].quantization, zero_point=(0,))
    graph.tensors["weights"] = replace(graph.tensors["weights"], quantization=quantization)
    assert read_tflite(write_tflite(graph), "small") == small_network()


def test_constants_are_aligned():
    """TFLM reads constants in place, and the schema asks for 16 bytes."""
    graph = small_network()
    data = write_tflite(graph)
    for name in ("weights", "dense", "bias", "shape"):
        payload = graph.tensors[name].data.tobytes()
        assert data.count(payload) == 1 or name == "shape"
        starts = [i for i in range(0, len(data), 16) if data.startswith(payload, i)]
        assert starts, name


@pytest.mark.parametrize(
    ("shape", "pixels"),
    [
        ((1, 2, 3, 4), (2, 3, 4)),
        ((1, 3, 4), (1, 3, 4)),
        ((3, 4), (1, 3, 4)),
        ((1, 4), (1, 1, 4)),
        ((4,), (1, 1, 4)),
    ],
)
def test_pixels(shape, pixels):
    tensor = activation("x", shape)
    assert tensor.pixels == pixels
    assert tensor.size == int(np.prod(pixels))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 3, 4, 5), r"tensor 'x' has shape \(2, 3, 4, 5\): the first dimension is the batch"),
        ((2, 3, 4), r"tensor 'x' has shape \(2, 3, 4\): the first dimension is the batch"),
        ((1, 0, 4, 5), r"tensor 'x' has shape \(1, 0, 4, 5\): every dimension must be at least 1"),
        ((1, 1, 1, 1, 1), r"at most 4 dimensions are supported"),
    ],
)
def test_pixels_of_other_shapes(shape, message):
    with pytest.raises(InputError, match=message):
        _ = activation("x", shape).pixels


def test_writer_refuses_what_the_format_cannot_hold():
    graph = small_network()
    first, *rest = graph.nodes

    def changed(node) -> Graph:
        return replace(graph, nodes=[node, *rest])

    odd = {**first.attributes, "padding": ((2, 0), (0, 0))}
    with pytest.raises(InputError, match=r"padding \(\(2, 0\), \(0, 0\)\), and a .tflite file can"):
        write_tflite(changed(replace(first, attributes=odd)))
    with pytest.raises(InputError, match=r"has attributes \[\], and must have \['activation'"):
        write_tflite(changed(replace(first, attributes={})))
    with pytest.raises(InputError, match="operator ABS of small cannot be written"):
        write_tflite(changed(replace(first, op="ABS")))
    graph.tensors["image"] = replace(graph.tensors["image"], dtype=np.dtype(np.complex64))
    with pytest.raises(InputError, match="tensor 'image' has type complex64"):
        write_tflite(graph)
