"""The compiler: what it folds, where it puts tensors, what it refuses, and networks on the RTL."""

import itertools

import numpy as np
import pytest
from judge import (
    NO_PADDING,
    activation,
    constant,
    convolution,
    fully_connected,
    network,
    random_int8,
)
from rtl import run_rtl

from hdl.config import CONFIGS, ECP5, FULL, SMALL, ChipConfig
from hdl.engine.descriptor import Drain, Feed
from hdl.engine.vector_descriptor import VectorFunction
from mmsp.compiler import compile_graph
from mmsp.compiler.legalize import legalize
from mmsp.compiler.lower.feeds import packed_shape
from mmsp.compiler.placement import Placement
from mmsp.compiler.simplify import simplify
from mmsp.errors import InputError
from mmsp.golden import run_golden
from mmsp.importers.tflite_writer import write_tflite
from mmsp.tflm import run_tflm


def conv_weights(rng, name, shape):
    """Weights of a convolution, one scale a channel, and a bias."""
    scales = tuple(rng.uniform(0.002, 0.02, shape[0]))
    bias = constant(f"{name}_bias", rng.integers(-500, 500, shape[0], dtype=np.int32), scales)
    return constant(f"{name}_weights", random_int8(rng, shape), scales), bias


def reshape(source, target):
    """A RESHAPE node for `network`."""
    shape = constant(f"{target.name}_shape", np.array(target.shape, np.int32))
    return "RESHAPE", (source, shape), target, {"new_shape": target.shape}


def residual_network(rng, channels=8):
    """Convolution, depthwise, sum with what came before, pooling, reshape, dense, softmax."""
    image = activation("image", (1, 9, 7, 1), 0.5, -3)
    stem = activation("stem", (1, 9, 7, channels), 1.0, 5)
    branch = activation("branch", (1, 9, 7, channels), 1.5, -20)
    total = activation("total", (1, 9, 7, channels), 1.75, 11)
    pooled = activation("pooled", (1, 4, 3, channels), 1.75, 11)
    flat = activation("flat", (1, 12 * channels), 1.75, 11)
    scores = activation("scores", (1, 10), 2.0, 0)
    probabilities = activation("probabilities", (1, 10), 1 / 256, -128)
    same = ((1, 1), (1, 1))
    weights, bias = conv_weights(rng, "stem", (channels, 3, 3, 1))
    taps = constant(
        "branch_weights", random_int8(rng, (1, 3, 3, channels)), (0.01,) * channels, axis=3
    )
    dense = constant("dense", random_int8(rng, (10, 12 * channels)), (0.005,))
    pool = {"kernel": (2, 2), "stride": (2, 2), "padding": NO_PADDING, "activation": "NONE"}
    return network(
        convolution(image, weights, bias, stem, padding=same, activation="RELU"),
        convolution(stem, taps, None, branch, padding=same, depth_multiplier=1),
        ("ADD", (stem, branch), total, {"activation": "NONE"}),
        ("MAX_POOL_2D", (total,), pooled, pool),
        reshape(pooled, flat),
        fully_connected(flat, dense, None, scores),
        ("SOFTMAX", (scores,), probabilities, {"beta": 1.0}),
        name="residual",
    )


def assert_runs(graph, config, rng, *, judge=True):
    """RTL == golden == TFLM on three inputs; returns the program."""
    program = compile_graph(graph, config)
    batches = [
        {n: rng.integers(-128, 128, graph.tensors[n].shape, dtype=np.int8) for n in graph.inputs}
        for _ in range(3)
    ]
    for inputs, (outputs, _) in zip(batches, run_rtl(program, batches), strict=True):
        golden = run_golden(graph, program.layers, inputs)
        reference = run_tflm(write_tflite(graph), list(inputs.values())) if judge else None
        for index, name in enumerate(graph.outputs):
            np.testing.assert_array_equal(outputs[name], golden[name])
            if reference is not None:
                np.testing.assert_array_equal(outputs[name], reference[index])
    return program


@pytest.mark.sim
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_residual_network(config, rng):
    program = assert_runs(residual_network(rng), config, rng)
    ops = {program.layers[job.layer].op for job in program.jobs}
    assert "RESHAPE" not in ops, "the reshape before the dense layer moves nothing"
    assert program.storage["flat"] == "pooled"
    assert {job.fields.get("drain") for job in program.jobs} >= {Drain.ADD, Drain.SCALE}
    assert program.plan.placements["total"] == program.plan.placements["stem"], "sum in place"
    assert program.jobs[0].fields["feed"] == Feed.PACKED


@pytest.mark.sim
@pytest.mark.parametrize(("channels", "refetch"), [(8, 0), (16, 1)])
def test_weights_larger_than_the_cache_are_fetched_again(channels, refetch, rng):
    """SMALL's cache holds 64 words: tiles of 50 words are kept, tiles of 100 fetched twice."""
    graph = single_conv(rng, (1, 9, 9, channels), 8, kernel=5)
    program = assert_runs(graph, SMALL, rng)
    assert program.jobs[0].fields["stripes_last"] == 1
    assert program.jobs[0].fields["refetch"] == refetch


def padded_network(rng, *, twice):
    """PAD in front of a convolution, and, if `twice`, of a pooling as well."""
    image, padded = (
        activation("image", (1, 5, 6, 4), 0.5, 7),
        activation("padded", (1, 8, 9, 4), 0.5, 7),
    )
    result = activation("result", (1, 3, 4, 3), 2.0, 1)
    weights, bias = conv_weights(rng, "conv", (3, 3, 3, 4))
    amounts = constant("amounts", np.array([[0, 0], [2, 1], [1, 2], [0, 0]], np.int32))
    nodes = [
        ("PAD", (image, amounts), padded, {}),
        convolution(padded, weights, bias, result, stride=(2, 2)),
    ]
    if twice:
        pool = {"kernel": (2, 3), "stride": (1, 2), "padding": NO_PADDING, "activation": "NONE"}
        nodes.append(("AVERAGE_POOL_2D", (padded,), activation("mean", (1, 7, 4, 4), 0.5, 7), pool))
    return network(*nodes)


@pytest.mark.sim
@pytest.mark.parametrize("twice", [False, True])
def test_padding_is_folded_where_it_can_be(twice, rng):
    program = assert_runs(padded_network(rng, twice=twice), SMALL, rng)
    assert ("PAD" in {program.layers[job.layer].op for job in program.jobs}) == twice


@pytest.mark.sim
@pytest.mark.parametrize("shape", [(1, 1, 15, 6), (1, 15, 1, 6), (1, 3, 5, 6)])
def test_reshape_of_whole_pixels(shape, rng):
    """Pixels move where rows are cut differently; nothing moves where they are not."""
    image, inner = activation("image", (1, 5, 3, 4)), activation("inner", (1, 5, 3, 6))
    moved, result = activation("moved", shape), activation("result", (*shape[:3], 2), 4.0)
    first, second = (
        conv_weights(rng, "first", (6, 1, 1, 4)),
        conv_weights(rng, "second", (2, 1, 1, 6)),
    )
    graph = network(
        convolution(image, *first, inner),
        reshape(inner, moved),
        convolution(moved, *second, result),
    )
    assert_runs(graph, SMALL, rng)


def test_reshape_that_splits_pixels_moves_elements(rng):
    image, inner = activation("image", (1, 2, 2, 4)), activation("inner", (1, 2, 2, 6))
    moved, result = activation("moved", (1, 2, 4, 3)), activation("result", (1, 2, 4, 2))
    graph = network(
        convolution(image, *conv_weights(rng, "first", (6, 1, 1, 4)), inner),
        reshape(inner, moved),
        convolution(moved, *conv_weights(rng, "second", (2, 1, 1, 3)), result),
    )
    (move,) = [job for job in compile_graph(graph, SMALL).jobs if job.layer == 1]
    assert move.fields["function"] is VectorFunction.COPY
    assert_runs(graph, SMALL, rng)


def single_conv(rng, image_shape, out_channels, kernel=1):
    """A graph of one convolution without padding."""
    _, height, width, channels = image_shape
    image = activation("image", image_shape)
    shape = (1, height - kernel + 1, width - kernel + 1, out_channels)
    weights = conv_weights(rng, "conv", (out_channels, kernel, kernel, channels))
    return network(convolution(image, *weights, activation("result", shape)), name="single")


def test_activations_that_do_not_fit(rng):
    graph = single_conv(rng, (1, 40, 40, 16), 8)
    message = (
        r"activations do not fit configuration SMALL: tensor '\w+' would end at \d+ bytes, and "
        r"32768 bytes are there; configuration (FULL|ECP5) would fit it"
    )
    with pytest.raises(InputError, match=message):
        compile_graph(graph, SMALL)
    compile_graph(graph, FULL)
    with pytest.raises(
        InputError, match=r"no configuration has that much, the largest has 128 KiB"
    ):
        compile_graph(single_conv(rng, (1, 128, 128, 8), 8), FULL)


def test_weights_that_do_not_fit(rng):
    graph = single_conv(rng, (1, 5, 5, 256), 1024, kernel=3)
    message = r"single needs \d+ bytes of MRAM for program and weights, .* FULL has 2097152"
    with pytest.raises(InputError, match=message):
        compile_graph(graph, FULL)


def test_field_that_does_not_fit(rng):
    image, result = activation("image", (1, 1, 400, 4)), activation("result", (1, 1, 2, 4))
    graph = network(
        convolution(image, *conv_weights(rng, "conv", (4, 1, 1, 4)), result, stride=(1, 300))
    )
    message = (
        r"^node 'conv_2d_0' \(CONV_2D\) does not fit the engine: "
        r"stride_w must be in 0\.\.255, not 300$"
    )
    with pytest.raises(InputError, match=message):
        compile_graph(graph, FULL)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("row0", range(4))
def test_placement_is_invertible(packed, row0, rng):
    for _ in range(20):
        height, width, channels = (int(n) for n in rng.integers(1, 12, 3))
        place = Placement(
            pixels=(height, width, channels), word_bytes=4, packed=packed, base=100, row0=row0
        )
        values = rng.integers(-128, 128, place.pixels, dtype=np.int8)
        words, (bank, address) = place.pack(values), place.addresses()
        assert len(set(zip(bank.tolist(), address.tolist(), strict=True))) == len(words)
        assert address.min() >= 100
        assert address.max() < 100 + place.words
        np.testing.assert_array_equal(place.unpack(words), values)


def test_live_tensors_do_not_overlap(rng):
    plan = compile_graph(residual_network(rng), SMALL).plan
    pairs = 0
    for first, second in itertools.combinations(plan.placements, 2):
        a, b = plan.placements[first], plan.placements[second]
        if a == b or not plan.lifetimes[first].overlaps(plan.lifetimes[second]):
            continue
        assert a.base + a.words <= b.base or b.base + b.words <= a.base, (first, second)
        pairs += 1
    assert pairs >= 3


def test_depthwise_by_multiplier_is_dense(rng):
    image, result = activation("image", (1, 4, 4, 2)), activation("result", (1, 4, 4, 6))
    weights = constant("weights", random_int8(rng, (1, 1, 1, 6)), (0.01,) * 6, axis=3)
    graph = network(convolution(image, weights, None, result, depth_multiplier=3))
    assert compile_graph(graph, SMALL).jobs[0].fields["feed"] == Feed.DENSE


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_packed_passes_touch_four_rows_at_most(config: ChipConfig):
    """Whatever the kernel: a pass that starts within a segment reads no fifth row."""
    kernels = itertools.product(range(1, 12), range(1, 12), range(1, config.rows // 4 + 1))
    for height, width, channels in kernels:
        shape = packed_shape((height, width), channels, config)
        starts = [at * shape.lanes for at in range(shape.passes)]
        used = [shape.lanes] * (shape.passes - 1) + [shape.lanes_last]
        assert starts[-1] + used[-1] == height * shape.segment
        for start, lanes in zip(starts, used, strict=True):
            assert 1 <= lanes <= config.lanes
            rows = (start + lanes - 1) // shape.segment - start // shape.segment + 1
            assert rows <= 4, (height, width, channels)


def test_simplification_keeps_layer_numbers(rng):
    graph = residual_network(rng)
    layers = legalize(graph)
    simplified = simplify(graph, layers)
    assert [index for index, _ in simplified.layers] == [0, 1, 2, 3, 5, 6]
    assert ECP5.lanes_per_word == 1
