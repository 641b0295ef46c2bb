"""Weights of fewer bits on the RTL: the same results from fewer words, and in fewer cycles."""

import numpy as np
import pytest
from judge import activation, constant, convolution, fully_connected, network
from rtl import run_rtl

from hdl.config import FULL, SMALL
from hdl.engine.descriptor import WeightFormat
from mmsp.compiler import compile_graph
from mmsp.compiler.lower import weights as weights_module
from mmsp.golden import run_golden

FORMATS = {2: WeightFormat.INT2, 4: WeightFormat.INT4, 8: WeightFormat.INT8}
OVERHEAD_CYCLES = 90
"""Of a program of one job: waking the MRAM, its descriptors, and the way through the pipeline."""


@pytest.fixture
def fewest(monkeypatch):
    """Let the compiler use every format."""
    monkeypatch.setattr(weights_module, "FEWEST_BITS_FIRST", tuple(FORMATS.values()))


def random_weights(rng, shape, bits):
    """All values of ``bits`` bits, the extreme ones for certain."""
    half = 1 << (bits - 1)
    values = rng.integers(-half, half, shape).astype(np.int8)
    values.flat[:2] = -half, half - 1
    return values


def compare(graph, config, rng):
    """Run a graph on the chip; returns its only job, its program and its run."""
    program = compile_graph(graph, config)
    inputs = {"x": rng.integers(-128, 128, graph.tensors["x"].shape).astype(np.int8)}
    ((outputs, run),) = run_rtl(program, [inputs])
    expected = run_golden(graph, program.layers, inputs)
    np.testing.assert_array_equal(outputs["y"], expected["y"])
    assert len(np.unique(outputs["y"])) > 4
    (job,) = program.jobs
    return job, program, run


NETWORKS = {
    "dense": ((4, 5, 7), (6, 3, 2, 7), {}),
    "window": ((5, 6, 6), (1, 3, 3, 6), {"depth_multiplier": 1}),
    "packed": ((7, 9, 1), (5, 3, 3, 1), {}),
}
"""Size of the image, shape of the weights, attributes."""


@pytest.mark.sim
@pytest.mark.usefixtures("fewest")
@pytest.mark.parametrize("bits", FORMATS)
@pytest.mark.parametrize("feed", NETWORKS)
def test_convolution(feed, bits, rng):
    size, shape, attributes = NETWORKS[feed]
    axis = 3 if attributes else 0
    count = shape[axis]
    scales = [0.4 / (1 << (bits - 1))] * count
    weights = constant("w", random_weights(rng, shape, bits), scales, axis)
    bias = constant("b", rng.integers(-99, 99, count).astype(np.int32), [s / 10 for s in scales])
    height, width = size[0] - shape[1] + 1, size[1] - shape[2] + 1
    output = activation("y", (1, height, width, count), 0.2, -3)
    graph = network(convolution(activation("x", (1, *size), 0.1, 5), weights, bias, output,
                                **attributes))  # fmt: skip
    job, _, _ = compare(graph, SMALL, rng)
    assert job.fields["feed"].name.lower() == feed
    assert job.fields["weight_format"] is FORMATS[bits]


@pytest.mark.sim
@pytest.mark.usefixtures("fewest")
def test_rate_of_a_dense_layer(rng):
    """A dense layer waits for weights, a word a cycle: half the bits, twice the rate."""
    rates = {}
    for bits, form in FORMATS.items():
        inputs, outputs = 512, 256
        weights = constant("w", random_weights(rng, (outputs, inputs), bits), [2.0**-bits])
        graph = network(
            fully_connected(activation("x", (1, inputs), 0.1), weights, None,
                            activation("y", (1, outputs), 0.1))
        )  # fmt: skip
        job, program, run = compare(graph, FULL, rng)
        assert job.fields["weight_format"] is form
        assert len(program.words) <= run.cycles <= len(program.words) + OVERHEAD_CYCLES
        rates[bits] = inputs * outputs / run.cycles
    print({bits: f"{rate:.1f} MAC/cycle" for bits, rate in rates.items()})
    assert rates[4] > 1.9 * rates[8]
    assert rates[2] > 3.4 * rates[8]
