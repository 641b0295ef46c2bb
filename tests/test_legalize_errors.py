"""Graphs that the engine cannot run: one sentence that names the node and the reason."""

from dataclasses import replace

import numpy as np
import pytest
from judge import (
    NO_PADDING,
    activation,
    constant,
    convolution,
    fully_connected,
    network,
    small_network,
)
from published import DATA, needs_data

from mmsp.compiler.legalize import legalize
from mmsp.errors import InputError
from mmsp.graph import Quantization, Tensor
from mmsp.importers.tflite import read_tflite

FLOAT = np.dtype(np.float32)
INT16 = np.dtype(np.int16)


def image(name="x", shape=(1, 4, 4, 2), **options):
    return activation(name, shape, **options)


def weights(shape=(3, 2, 2, 2), scales=(0.1,), axis=0, dtype=np.int8):
    return constant("weights", np.ones(shape, dtype), scales, axis)


def convolution_of(**changes):
    """A convolution that is fine but for ``changes``."""
    operands = {
        "source": image(),
        "weights": weights(),
        "bias": constant("bias", np.zeros(3, np.int32), (0.05,)),
        "output": image("y", (1, 3, 3, 3)),
    }
    attributes = {name: value for name, value in changes.items() if name not in operands}
    operands |= {name: value for name, value in changes.items() if name in operands}
    return network(convolution(*operands.values(), **attributes))


def with_scale(tensor, scale, zero_point=0):
    return replace(tensor, quantization=Quantization((scale,), (zero_point,)))


def pool_of(**changes):
    attributes = {
        "stride": (1, 1),
        "kernel": (2, 2),
        "padding": NO_PADDING,
        "activation": "NONE",
    }
    output = changes.pop("output", image("y", (1, 3, 3, 2)))
    return network(("MAX_POOL_2D", (image(),), output, attributes | changes))


def pad_of(amounts, output, dtype=np.int32):
    return network(("PAD", (image(), constant("amounts", np.array(amounts, dtype))), output, {}))


def add_of(a, b, y, activation_name="NONE"):
    return network(("ADD", (a, b), y, {"activation": activation_name}))


def softmax_of(x, y):
    return network(("SOFTMAX", (x,), y, {"beta": 1.0}))


def dense_of(x, w, y, **attributes):
    op, operands, output, defaults = fully_connected(x, w, None, y)
    return network((op, operands, output, defaults | attributes))


def reshape_of(x, y):
    return network(("RESHAPE", (x,), y, {"new_shape": ()}))


FLAT = activation("x", (1, 8))
CASES = {
    "operator": (
        network(("COS", (image(),), image("y"), {})),
        "node 'cos_0' uses operator COS, which the engine cannot run: supported are ADD, ",
    ),
    "float": (
        network(("TANH", (Tensor("x", (1, 2), FLOAT),), Tensor("y", (1, 2), FLOAT), {})),
        "node 'tanh_0' (TANH) computes in floating point: tensor 'x' is float32, and only int8",
    ),
    "float weights": (
        convolution_of(weights=constant("weights", np.ones((3, 2, 2, 2), np.float32))),
        "node 'conv_2d_0' (CONV_2D) computes in floating point: tensor 'weights' is float32",
    ),
    "activation": (
        convolution_of(activation="TANH"),
        "node 'conv_2d_0' (CONV_2D): activation TANH is not supported: it must be one of NONE, R",
    ),
    "input type": (
        convolution_of(source=replace(image(), dtype=INT16)),
        "node 'conv_2d_0' (CONV_2D): output 'y' is int8, and must be int16 as input 'x' is",
    ),
    "output type": (
        convolution_of(output=replace(image("y", (1, 3, 3, 3)), dtype=INT16)),
        "output 'y' is int16, and must be int8 as input 'x' is",
    ),
    "batch": (
        convolution_of(source=image(shape=(2, 4, 4, 2))),
        "tensor 'x' has shape (2, 4, 4, 2): the first dimension is the batch, which must be 1",
    ),
    "rank": (
        convolution_of(source=image(shape=(1, 4, 2))),
        "input 'x' has shape (1, 4, 2), not 4 dimensions",
    ),
    "scalar": (reshape_of(activation("x", ()), activation("y", (1,))), "'x' is a scalar"),
    "weights at run time": (
        convolution_of(weights=image("weights", (3, 2, 2, 2))),
        "weights 'weights' must be constant",
    ),
    "weights missing": (convolution_of(weights=None), "input 1 (weights) is missing"),
    "weights type": (
        convolution_of(weights=weights(dtype=np.int16)),
        "weights 'weights' are int16, and must be int8",
    ),
    "weights rank": (
        convolution_of(weights=weights((3, 2, 2))),
        "weights 'weights' have shape (3, 2, 2), and must have 4 dimensions, none of them empty",
    ),
    "weights without scale": (
        convolution_of(weights=weights(scales=None)),
        "weights 'weights' have no scale",
    ),
    "weights zero point": (
        convolution_of(weights=with_scale(weights(), 0.1, 3)),
        "weights 'weights' have zero point 3, and it must be 0",
    ),
    "weights scales": (
        convolution_of(weights=weights(scales=(0.1, 0.2))),
        "have 2 scales along dimension 0, and must have 1, or 3 along dimension 0",
    ),
    "weights axis": (
        convolution_of(weights=weights(scales=(0.1, 0.2, 0.3), axis=1)),
        "have 3 scales along dimension 1, and must have 1, or 3 along dimension 0",
    ),
    "weights depth": (
        convolution_of(weights=weights((3, 2, 2, 3))),
        "weights 'weights' of shape (3, 2, 2, 3) do not fit 2 input channels",
    ),
    "depth multiplier": (
        convolution_of(weights=weights((1, 2, 2, 3)), depth_multiplier=2),
        "of shape (1, 2, 2, 3) do not fit 2 input channels with depth_multiplier 2",
    ),
    "bias type": (
        convolution_of(bias=constant("bias", np.zeros(3, np.int64))),
        "bias 'bias' is int64 of shape (3,), and must be int32 with 3 entries",
    ),
    "bias length": (
        convolution_of(bias=constant("bias", np.zeros(2, np.int32))),
        "bias 'bias' is int32 of shape (2,), and must be int32 with 3 entries",
    ),
    "scale missing": (
        convolution_of(source=replace(image(), quantization=None)),
        "tensor 'x' has 0 scales, and must have 1",
    ),
    "scale": (
        convolution_of(source=with_scale(image(), -0.5)),
        "tensor 'x' has scale -0.5, and it must be positive and finite",
    ),
    "weights scale": (
        convolution_of(weights=with_scale(weights(), float("nan"))),
        "tensor 'weights' has scale nan, and it must be positive and finite",
    ),
    "scale ratio": (
        convolution_of(source=with_scale(image(), 1e20)),
        "and it must be below 2**30",
    ),
    "tiny scale": (
        convolution_of(
            output=with_scale(image("y", (1, 3, 3, 3)), 1e-10),
            source=with_scale(image(), 1e-10),
            activation="RELU6",
        ),
        "scale 1e-10 is too small: 6.0 is not within 2**31 steps of 0",
    ),
    "zero point": (
        convolution_of(source=with_scale(image(), 0.5, 128)),
        "tensor 'x' has zero point 128, not one of -128..127",
    ),
    "output size": (
        convolution_of(output=image("y", (1, 4, 3, 3))),
        "the output has shape (1, 4, 3, 3), and input (1, 4, 4, 2) with kernel (2, 2) gives "
        "(1, 3, 3, 3)",
    ),
    "pool size": (
        pool_of(output=image("y", (1, 3, 3, 3))),
        "node 'max_pool_2d_0' (MAX_POOL_2D): the output has shape (1, 3, 3, 3), and input",
    ),
    "empty window": (
        pool_of(padding=((2, 0), (0, 0)), output=image("y", (1, 5, 3, 2))),
        "padding ((2, 0), (0, 0)) leaves a window of (2, 2) without a pixel",
    ),
    "attribute": (
        network(("SOFTMAX", (FLAT,), activation("y", (1, 8), 1 / 256, -128), {})),
        "node 'softmax_0' (SOFTMAX): attribute beta is missing",
    ),
    "broadcast": (
        add_of(image("a"), image("b", (1, 1, 1, 3)), image("y")),
        "node 'add_0' (ADD): shapes (1, 4, 4, 2) and (1, 1, 1, 3) do not give the output's shape",
    ),
    "constant operand": (
        network(
            (
                "SOFTMAX",
                (constant("b", np.ones((1, 8), np.int8), (0.1,)),),
                activation("y", (1, 8), 1 / 256, -128),
                {"beta": 1.0},
            ),
        ),
        "input 'b' is constant, which is not supported here",
    ),
    "sum too large": (
        add_of(image("a"), image("b"), image("y", scale=2.0**-22)),
        "and it must be above 0 and below 1",
    ),
    "pad batch": (
        pad_of([[1, 0], [0, 0], [0, 0], [0, 0]], image("y", (2, 4, 4, 2))),
        "tensor 'y' has shape (2, 4, 4, 2): the first dimension is the batch",
    ),
    "pad negative": (
        pad_of([[0, 0], [-1, 0], [0, 0], [0, 0]], image("y", (1, 3, 4, 2))),
        "paddings [(0, 0), (-1, 0), (0, 0), (0, 0)] must not be negative",
    ),
    "pad shape": (
        pad_of([[0, 0], [1, 0]], image("y", (1, 5, 4, 2))),
        "paddings are int32 of shape (2, 2), and must be int32 of shape (4, 2)",
    ),
    "pad type": (
        pad_of([[0, 0], [1, 0], [0, 0], [0, 0]], image("y", (1, 5, 4, 2)), np.int64),
        "paddings are int64 of shape (4, 2), and must be int32 of shape (4, 2)",
    ),
    "pad output": (
        pad_of([[0, 0], [1, 0], [0, 0], [0, 0]], image("y", (1, 6, 4, 2))),
        "the output has shape (1, 6, 4, 2), and padding gives (1, 5, 4, 2)",
    ),
    "pad scale": (
        pad_of([[0, 0], [1, 0], [0, 0], [0, 0]], image("y", (1, 5, 4, 2), scale=0.25)),
        "scale and zero point change from (0.5, 0) to (0.25, 0), and must stay",
    ),
    "reshape": (
        reshape_of(FLAT, activation("y", (1, 9))),
        "node 'reshape_0' (RESHAPE): shape (1, 8) cannot become (1, 9): the sizes differ",
    ),
    "softmax output": (
        softmax_of(FLAT, activation("y", (1, 8), 0.5, 0)),
        "the output has scale and zero point (0.5, 0), and must have (0.00390625, -128)",
    ),
    "softmax shape": (
        softmax_of(FLAT, activation("y", (8,), 1 / 256, -128)),
        "the output has shape (8,), and the input (1, 8)",
    ),
    "softmax length": (
        softmax_of(activation("x", (1, 5000)), activation("y", (1, 5000), 1 / 256, -128)),
        "5000 values exceed the limit of 4096",
    ),
    "softmax scale": (
        softmax_of(with_scale(FLAT, 2.0**-26), activation("y", (1, 8), 1 / 256, -128)),
        "must be above 2**-26 for softmax",
    ),
    "dense shape": (
        dense_of(image(), weights((3, 5)), activation("y", (1, 3))),
        "input (1, 4, 4, 2) and weights (3, 5) give output (1, 3), and the weights must cover",
    ),
    "dense format": (
        dense_of(FLAT, weights((3, 8)), activation("y", (1, 3)), weights_format="SHUFFLED4x16INT8"),
        "weights_format is SHUFFLED4x16INT8, and must be DEFAULT",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_refuses(case):
    graph, message = CASES[case]
    with pytest.raises(InputError) as caught:
        legalize(graph)
    assert message in str(caught.value)
    assert "node '" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_cases_are_fine_otherwise():
    """What `CASES` changes is what is wrong: unchanged, all of it is accepted."""
    layers = legalize(convolution_of()) + legalize(pool_of())
    layers += legalize(pad_of([[0, 0], [1, 0], [0, 0], [0, 0]], image("y", (1, 5, 4, 2))))
    layers += legalize(add_of(image("a"), image("b"), image("y")))
    layers += legalize(reshape_of(FLAT, activation("y", (8,))))
    layers += legalize(softmax_of(FLAT, activation("y", (1, 8), 1 / 256, -128)))
    layers += legalize(dense_of(FLAT, weights((3, 8)), activation("y", (1, 3))))
    assert {layer.op for layer in layers} == {
        "ADD",
        "CONV_2D",
        "FULLY_CONNECTED",
        "MAX_POOL_2D",
        "PAD",
        "RESHAPE",
        "SOFTMAX",
    }


def test_order_of_nodes():
    graph = small_network()
    with pytest.raises(InputError, match="node 'reshape_1' reads 'hidden' before a node writes it"):
        legalize(replace(graph, nodes=graph.nodes[::-1][2:] + graph.nodes[:1]))
    with pytest.raises(InputError, match="node 'conv_2d_0' writes 'hidden' a second time"):
        legalize(replace(graph, nodes=[graph.nodes[0], *graph.nodes]))
    with pytest.raises(InputError, match="output 'labels' of small is written by no node"):
        legalize(replace(graph, nodes=graph.nodes[:-1]))
    with pytest.raises(InputError, match=r"^small has no operators$"):
        legalize(replace(graph, nodes=[]))


@needs_data
@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "mlcommons-tiny/models/pretrainedResnet.tflite",
            "node 'conv_2d_0' (CONV_2D) computes in floating point: tensor 'input_1' is float32",
        ),
        (
            "tensorflow-tflite-micro/models/audio_preprocessor_int8.tflite",
            "node 'custom:signalwindow_0' uses operator CUSTOM:SignalWindow, which the engine",
        ),
    ],
)
def test_real_networks_that_are_refused(path, message):
    with pytest.raises(InputError) as caught:
        legalize(read_tflite((DATA / path).read_bytes(), path))
    assert message in str(caught.value)
