"""Single operators on the RTL against the golden models, bit for bit, in every configuration."""

import numpy as np
import pytest
from random_operators import OPERATORS, random_first_layer
from rtl import run_rtl

from hdl.config import CONFIGS
from hdl.engine.descriptor import Feed
from mmsp.compiler import compile_graph
from mmsp.golden import run_golden

GENERATORS = OPERATORS | {"FIRST_LAYER": random_first_layer}

NETWORKS = {"SMALL": 40, "ECP5": 12, "FULL": 16}
"""Random networks an operator; the large arrays are slower to simulate."""

ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")


@pytest.mark.sim
@pytest.mark.parametrize("operator", GENERATORS)
@pytest.mark.parametrize("config", CONFIGS)
def test_operator(config, operator, seed):
    """Random shapes, strides, paddings, dilations, zero points and scales."""
    unsaturated = total = 0
    feeds = set()
    for index in range(NETWORKS[config]):
        rng = np.random.default_rng([seed, index, sorted(GENERATORS).index(operator)])
        graph = GENERATORS[operator](rng, ACTIVATIONS[index % 4], bool(index % 2))
        program = compile_graph(graph, CONFIGS[config])
        feeds |= {job.fields.get("feed") for job in program.jobs}
        batches = [
            {
                name: rng.integers(-128, 128, graph.tensors[name].shape, dtype=np.int8)
                for name in graph.inputs
            }
            for _ in range(2)
        ]
        for inputs, (outputs, _) in zip(batches, run_rtl(program, batches), strict=True):
            expected = run_golden(graph, program.layers, inputs)
            for name, values in expected.items():
                np.testing.assert_array_equal(outputs[name], values, f"seed {seed}, {index}")
                low, high = values.min(), values.max()
                unsaturated += int(np.count_nonzero((values > low) & (values < high)))
                total += values.size
    floor = 50 if operator == "SOFTMAX" else 10  # most probabilities of a softmax are zero
    assert unsaturated > total / floor, "almost every output sat at a limit: weak stimulus"
    if operator == "CONV_2D":
        assert Feed.DENSE in feeds
    if operator == "FIRST_LAYER":
        assert Feed.PACKED in feeds
    if operator == "DEPTHWISE_CONV_2D":
        assert {Feed.WINDOW, Feed.DENSE} <= feeds
