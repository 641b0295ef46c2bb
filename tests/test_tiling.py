"""Layers in strips: less memory, the same numbers."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from judge import activation, constant, convolution, network
from rtl import run_rtl

from hdl.config import FULL, SMALL
from mmsp.compiler.layers import Tiled
from mmsp.compiler.legalize import legalize
from mmsp.compiler.memory_plan import best_plan
from mmsp.compiler.program import compile_graph
from mmsp.compiler.simplify import simplify
from mmsp.compiler.tiling import STRIP_COUNTS, tile, tile_chain
from mmsp.errors import InputError
from mmsp.golden import run_golden
from mmsp.importers.operator_options import same_padding


def random_chain(rng, size, channels, count):
    """Convolutions, depthwise convolutions and poolings, one after another, SAME or VALID."""
    source = activation("image", (1, *size, channels), 0.5, 3)
    nodes = []
    for index in range(count):
        _, height, width, depth = source.shape
        kind = rng.choice(["conv", "depthwise", "max", "average"])
        kernel, stride = (
            [int(k) for k in rng.integers(1, 5, 2)],
            [int(s) for s in rng.integers(1, 3, 2)],
        )
        padding = same_padding((height, width), kernel, stride, (1, 1))
        if rng.integers(2) and height >= kernel[0] + 4 and width >= kernel[1] + 4:
            padding = ((0, 0), (0, 0))
        out = [
            (n + sum(p) - k) // s + 1
            for n, p, k, s in zip((height, width), padding, kernel, stride, strict=True)
        ]
        out_channels = int(rng.integers(1, 13)) if kind == "conv" else depth
        target = activation(f"t{index}", (1, *out, out_channels), 0.5, -4)
        if kind in ("max", "average"):
            target = activation(f"t{index}", target.shape, 0.5, source.quantization.zero_point[0])
            attributes = {
                "activation": "NONE", "kernel": tuple(kernel), "stride": tuple(stride),
                "padding": padding,
            }  # fmt: skip
            nodes.append((f"{kind.upper()}_POOL_2D", (source,), target, attributes))
        else:
            shape = (out_channels, *kernel, depth) if kind == "conv" else (1, *kernel, depth)
            weights = constant(
                f"w{index}", rng.integers(-90, 90, shape).astype(np.int8), (0.02,),
                axis=0 if kind == "conv" else 3,
            )  # fmt: skip
            extra = {} if kind == "conv" else {"depth_multiplier": 1}
            nodes.append(
                convolution(
                    source, weights, None, target, stride=tuple(stride), padding=padding, **extra
                )
            )
        source = target
    return network(*nodes, name="chain")


def test_turns_cover_the_output_and_need_no_more_than_they_have(rng):
    tiled_chains = 0
    for _ in range(60):
        graph = random_chain(rng, rng.integers(6, 40, 2), 3, 4)
        simplified = simplify(graph, legalize(graph))
        for count in STRIP_COUNTS:
            cut = tile_chain(simplified, 0, 4, count)
            if cut is None:
                continue
            tiled_chains += 1
            (_, tiled), *_ = cut[0].layers
            assert isinstance(tiled, Tiled)
            heights = [graph.tensors[layer.output].shape[1] for layer in tiled.chain]
            last = [turn[-1] for turn in tiled.strips]
            assert [s.first for s in last] + [heights[-1]] == [0] + [s.end for s in last]
            for turn, i in itertools.product(tiled.strips, range(4)):
                assert 0 <= turn[i].first < turn[i].end <= heights[i]
                if i < 3:
                    assert turn[i].rows <= tiled.strip_rows[tiled.chain[i].output]
    assert tiled_chains > 100


def test_memory_falls_until_it_fits_and_no_further(rng):
    graph = random_chain(np.random.default_rng(5), (48, 48), 3, 5)
    simplified = simplify(graph, legalize(graph))

    def planner(layers):
        return best_plan(graph, layers, FULL)

    whole = planner(simplified).words
    assert tile(graph, simplified, planner, whole) is simplified, "it fits as it is"
    reached = planner(tile(graph, simplified, planner, whole * 4 // 5)).words
    assert reached <= whole * 4 // 5
    with pytest.raises(InputError, match="activations do not fit configuration FULL"):
        compile_graph(graph, replace(FULL, activation_kib=1))


@pytest.mark.sim
def test_strips_compute_the_same(rng):
    """Networks that do not fit SMALL's memory in one piece run in strips, bit for bit."""
    strips, kinds = [], set()
    while len(strips) < 6:
        graph = random_chain(rng, rng.integers(30, 60, 2), int(rng.integers(1, 9)), 4)
        if best_plan(graph, simplify(graph, legalize(graph)), SMALL).words <= SMALL.bank_words:
            continue
        try:
            program = compile_graph(graph, SMALL)
        except InputError:
            continue  # too large in strips as well
        inputs = {"image": rng.integers(-128, 128, graph.tensors["image"].shape, dtype=np.int8)}
        ((outputs, _),) = run_rtl(program, [inputs])
        for name, expected in run_golden(graph, program.layers, inputs).items():
            np.testing.assert_array_equal(outputs[name], expected)
        strips.append(len(program.jobs) - len(program.layers))
        kinds |= {layer.op for layer in program.layers}
    assert min(strips) > 0, "every network was cut"
    assert len(kinds) >= 3
