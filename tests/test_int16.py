"""int16 activations with int8 weights: the golden models against TFLM, the limits of the engine."""

from collections import Counter

import numpy as np
import pytest
from judge import NO_PADDING, activation, constant, fully_connected, network
from wide_operators import BIASES, INT16, WIDE, random_int16, random_wide

from hdl.config import FULL
from mmsp.compiler import compile_graph
from mmsp.compiler.layers import Conv, TransposeConv
from mmsp.compiler.legalize import legalize
from mmsp.errors import InputError
from mmsp.golden import run_golden
from mmsp.importers.tflite_writer import write_tflite
from mmsp.tflm import run_tflm
from mmsp.variants import make_variant

SEED = 20261123
NETWORKS = 48


@pytest.mark.parametrize("op", WIDE)
def test_random_networks_equal_tflm(op):
    cases, inside, total = Counter(), 0, 0
    for index in range(NETWORKS):
        seed = [SEED, index]
        rng = np.random.default_rng(seed)
        graph, bias = random_wide(rng, op, index)
        *_, layer = layers = legalize(graph)
        (name,) = graph.inputs
        x = random_int16(rng, graph.tensors[name].shape)
        golden = run_golden(graph, layers, {name: x})[graph.outputs[0]]
        (tflm,) = run_tflm(write_tflite(graph), [x])
        assert golden.dtype == tflm.dtype == np.int16
        mismatches = np.count_nonzero(golden != tflm)
        assert mismatches == 0, f"{mismatches} mismatches, seed {seed}: {layer}"
        inside += np.count_nonzero((golden > golden.min()) & (golden < golden.max()))
        total += golden.size
        if isinstance(layer, Conv | TransposeConv):
            cases[f"bias {bias}"] += 1
            cases[layer.requantization.rounding] += 1
            cases["left"] += bool(np.any(layer.requantization.shift > 0))
            cases["right"] += bool(np.any(layer.requantization.shift < -8))
    assert inside > total / 10, f"only {inside} of {total} outputs lie inside their range"
    if op in BIASES:
        wanted = {f"bias {np.dtype(kind).name if kind else False}" for kind in BIASES[op]}
        wanted |= {"single", "left", "right"} | ({"double"} if op == "CONV_2D" else set())
        assert min(cases[case] for case in wanted) > 1, cases


def dense(taps, *, bias=0, bias_dtype=np.int64, zero_point=0, scale=1.0, output=INT16):
    """A FULLY_CONNECTED of one output on int16."""
    weights = constant("weights", np.ones((1, taps), np.int8), (0.5,))
    bias = constant("bias", np.array([bias], bias_dtype), (0.5 * scale,))
    x = activation("x", (1, taps), scale, zero_point, INT16)
    return network(fully_connected(x, weights, bias, activation("y", (1, 1), 1.0, 0, output)))


REFUSALS = {
    "bias": (
        dense(4, bias=1 << 31),
        "bias 'bias' holds 2147483648, and the engine adds -2147483648..2147483647",
    ),
    "type of the bias": (
        dense(4, bias_dtype=np.int32),
        "bias 'bias' is int32 of shape (1,), and must be int64 with 1 entries",
    ),
    "taps": (
        dense(130_561),
        "130561 products of int16 add up to one output, and 40 bits hold at most 130560",
    ),
    "zero point": (
        dense(4, zero_point=3),
        "tensor 'x' is int16 with zero point 3, and it must be 0",
    ),
    "scale": (
        dense(4, scale=256.0),
        "a scale ratio is 2**7 or more, and 64-bit sums are scaled by less than 2**7",
    ),
    "output": (
        dense(4, output=np.int8),
        "output 'y' is int8, and must be int16 as input 'x' is",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refuses(case):
    graph, message = REFUSALS[case]
    with pytest.raises(InputError) as caught:
        legalize(graph)
    assert str(caught.value) == f"node 'fully_connected_0' (FULLY_CONNECTED): {message}"


def test_what_is_just_within_the_limits_is_not_refused():
    for graph in (dense(4, bias=(1 << 31) - 1), dense(130_560), dense(4, scale=255.0)):
        assert len(legalize(graph)) == 1


def test_means_of_too_many_pixels_are_refused():
    attributes = {"kernel": (129, 128), "stride": (1, 1), "padding": NO_PADDING}
    x = activation("x", (1, 129, 128, 1), 1.0, 0, INT16)
    y = activation("y", (1, 1, 1, 1), 1.0, 0, INT16)
    graph = network(("AVERAGE_POOL_2D", (x,), y, attributes | {"activation": "NONE"}))
    with pytest.raises(InputError, match=r"count must be in 1\.\.16384, not 16512"):
        compile_graph(graph, make_variant(FULL, 1024, None))
