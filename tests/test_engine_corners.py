"""Convolutions and pools at the edge of what a descriptor holds, on the RTL and past it."""

import numpy as np
import pytest
from random_operators import (
    activation_tensor,
    linear_operands,
    random_weights,
    single_operator,
    zero_point,
)
from rtl import run_rtl

from hdl.config import CONFIGS, SMALL
from hdl.engine.descriptor import Feed
from mmsp.compiler import compile_graph
from mmsp.errors import InputError
from mmsp.golden import run_golden
from mmsp.importers.operator_options import explicit_padding

UNIT = (1, 1)


def convolution(rng, size, kernel, channels, *, stride=UNIT, dilation=UNIT, scheme="SAME",
                depthwise=False, padding=None):  # fmt: skip
    """CONV_2D of ``channels = (in, out)``, or DEPTHWISE_CONV_2D, over an image of ``size``."""
    padding = padding or explicit_padding(scheme, size, kernel, stride, dilation)
    output = [
        (n + sum(p) - (k - 1) * d - 1) // s + 1
        for n, p, k, d, s in zip(size, padding, kernel, dilation, stride, strict=True)
    ]
    shape = (1, *kernel, channels[1]) if depthwise else (channels[1], *kernel, channels[0])
    weights, bias, input_scale, output_scale = linear_operands(
        rng, random_weights(rng, shape), taps=kernel[0] * kernel[1] * channels[0],
        channels=channels[1], per_channel=True, axis=3 if depthwise else 0,
    )  # fmt: skip
    attributes = {
        "stride": stride, "dilation": dilation, "padding": padding, "activation": "NONE"
    }  # fmt: skip
    return single_operator(
        "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
        [activation_tensor("x", (1, *size, channels[0]), input_scale, zero_point(rng))],
        [weights, bias],
        activation_tensor("y", (1, *output, channels[1]), output_scale, zero_point(rng)),
        attributes | ({"depth_multiplier": channels[1] // channels[0]} if depthwise else {}),
    )


def pool(rng, op, size, kernel, channels, *, stride=UNIT):
    padding = explicit_padding("SAME", size, kernel, stride, UNIT)
    output = [-(-n // s) for n, s in zip(size, stride, strict=True)]
    zero = zero_point(rng)
    return single_operator(
        op,
        [activation_tensor("x", (1, *size, channels), 0.5, zero)],
        [],
        activation_tensor("y", (1, *output, channels), 0.5, zero),
        {"stride": stride, "kernel": kernel, "padding": padding, "activation": "NONE"},
    )


CORNERS = {
    "packed, 300 rows tall": lambda rng: convolution(
        rng, (310, 5), (300, 3), (1, 5), scheme="VALID"
    ),
    "packed, wider than a word": lambda rng: convolution(rng, (3, 40), (2, 33), (1, 3)),
    "packed, one pixel": lambda rng: convolution(rng, (1, 1), (5, 5), (1, 4)),
    "packed, one column": lambda rng: convolution(rng, (9, 1), (3, 3), (1, 2), stride=(2, 1)),
    "packed, stride of a word": lambda rng: convolution(
        rng, (5, 21), (3, 3), (1, 2), stride=(1, 4)
    ),
    "dense, beyond a packed stride": lambda rng: convolution(
        rng, (5, 21), (3, 3), (1, 2), stride=(1, 5)
    ),
    "dense, 256 rows tall": lambda rng: convolution(
        rng, (258, 1), (256, 1), (3, 2), scheme="VALID"
    ),
    "dense, one pixel": lambda rng: convolution(rng, (1, 1), (7, 7), (6, 7)),
    "dense, stride 255": lambda rng: convolution(rng, (1, 600), (1, 2), (2, 3), stride=(1, 255)),
    "dense, dilation 40": lambda rng: convolution(rng, (3, 3), (3, 3), (5, 5), dilation=(40, 40)),
    "window, one pixel": lambda rng: convolution(rng, (1, 1), (5, 5), (6, 6), depthwise=True),
    "window, one column": lambda rng: convolution(rng, (30, 1), (3, 3), (5, 5), depthwise=True),
    "window, stride 9": lambda rng: convolution(
        rng, (20, 31), (4, 7), (5, 5), stride=(9, 9), depthwise=True
    ),
    "window, dilation 20": lambda rng: convolution(
        rng, (4, 9), (3, 5), (2, 2), dilation=(20, 20), depthwise=True
    ),
    "average, larger than the input": lambda rng: pool(rng, "AVERAGE_POOL_2D", (2, 3), (9, 11), 5),
    "average, stride beyond": lambda rng: pool(
        rng, "AVERAGE_POOL_2D", (9, 13), (2, 2), 5, stride=(7, 6)
    ),
    "maximum, larger than the input": lambda rng: pool(rng, "MAX_POOL_2D", (3, 2), (11, 9), 5),
    "maximum, stride beyond": lambda rng: pool(
        rng, "MAX_POOL_2D", (13, 9), (2, 3), 5, stride=(7, 8)
    ),
}


@pytest.mark.sim
@pytest.mark.parametrize("corner", CORNERS)
def test_corner(corner, seed):
    rng = np.random.default_rng(seed)
    graph = CORNERS[corner](rng)
    program = compile_graph(graph, SMALL)
    feeds = {"packed": Feed.PACKED, "dense": Feed.DENSE}
    assert {job.fields["feed"] for job in program.jobs} == {
        feeds.get(corner.split(",")[0], Feed.WINDOW)
    }
    inputs = {"x": rng.integers(-128, 128, graph.tensors["x"].shape, dtype=np.int8)}
    ((outputs, _),) = run_rtl(program, [inputs])
    expected = run_golden(graph, program.layers, inputs)
    np.testing.assert_array_equal(outputs["y"], expected["y"])


@pytest.mark.sim
@pytest.mark.parametrize(("channels_in", "channels_out"), [(4000, 24), (40, 6300)])
def test_largest_fully_connected_layers(channels_in, channels_out, rng):
    """As long and as wide as known networks have them, a 1x1 convolution of one pixel."""
    graph = convolution(rng, UNIT, UNIT, (channels_in, channels_out))
    program = compile_graph(graph, CONFIGS["FULL"])
    inputs = {"x": rng.integers(-128, 128, graph.tensors["x"].shape, dtype=np.int8)}
    ((outputs, _),) = run_rtl(program, [inputs])
    expected = run_golden(graph, program.layers, inputs)
    np.testing.assert_array_equal(outputs["y"], expected["y"])
    assert len(np.unique(expected["y"])) > 4


REFUSED = {
    "stride_w must be in 0..255, not 256": lambda rng: convolution(
        rng, (1, 600), (1, 2), (2, 3), stride=(1, 256)
    ),
    "rows_passes_last must be in 0..255, not 256": lambda rng: convolution(
        rng, (258, 1), (257, 1), (5, 2), scheme="VALID"
    ),
    "in_h must be in 0..4095, not 4096": lambda rng: convolution(
        rng, (4096, 1), (1, 1), (2, 2), stride=(2, 1)
    ),
    "in_w must be in 0..4095, not 5000": lambda rng: convolution(
        rng, (1, 5000), (1, 3), (1, 1), stride=(1, 5)
    ),
    "row_step must be in 0..255, not 300": lambda rng: convolution(
        rng, (3, 3), (3, 3), (5, 5), dilation=(300, 1)
    ),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_refused(sentence, rng):
    graph = REFUSED[sentence](rng)
    with pytest.raises(InputError, match=sentence.replace(".", r"\.")):
        compile_graph(graph, CONFIGS["FULL"])
