"""Element-wise golden models against TFLM: random networks, and corners by hand."""

from collections import Counter

import numpy as np
import pytest
from random_elementwise import ELEMENTWISE, INT8, INT16, quantized, random_inputs
from random_operators import ACTIVATIONS, single_operator

from mmsp.compiler.layers import Add, Constant, Conv, Curve, Multiply, Plain, Scale, Table
from mmsp.compiler.legalize import legalize
from mmsp.golden import run_golden
from mmsp.importers.tflite_writer import write_tflite
from mmsp.tflm import run_tflm
from models import engine

SEED = 2024
NETWORKS = 240

SUMS = {"int8", "int16", "repeated a", "repeated b", "constant a", "constant b", "alike"}
SCALED = {"int8", "int16", "flushed to zero", "left shift"}
EXPECTED = {
    "ADD": SUMS | {"operand flushed to zero", "flushed to zero"},
    "LEAKY_RELU": SCALED | {"negative flushed to zero"},
    "LOGISTIC": {"int8", "int16", "direct", "saturated"},
    "MAXIMUM": SUMS | {"clamp"},
    "MINIMUM": SUMS | {"clamp"},
    "MUL": SUMS | SCALED | {"weights"},
    "PRELU": SCALED | {"slopes", "split"},
    "QUANTIZE": SCALED | {"widened", "narrowed"},
    "RELU": SCALED,
    "RELU6": {"int8", "int16"},
    "SUB": SUMS | {"operand flushed to zero", "flushed to zero"},
    "TANH": {"int8", "int16", "direct", "saturated"},
}
"""What the random networks of an operator must have met."""


def cases_of(graph, layers):
    """What is special about a network."""
    output = graph.tensors[graph.outputs[0]]
    cases = {str(output.dtype)}
    operands = [graph.tensors[name] for name in graph.nodes[0].inputs]
    types = {operand.dtype for operand in operands[:1]} | {output.dtype}
    if len(types) > 1:
        cases.add("widened" if output.dtype == INT16 else "narrowed")
    if graph.nodes[0].op in ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM"):
        for name, operand in zip("ab", operands, strict=True):
            cases |= {f"repeated {name}"} if operand.size < output.size else set()
            cases |= {f"constant {name}"} if operand.data is not None else set()
        cases |= {"alike"} if len({operand.shape for operand in operands}) == 1 else set()
    kinds = {type(layer) for layer in layers}
    if {Multiply, Plain} <= kinds:
        cases.add("split")
    for layer in layers:
        cases |= layer_cases(layer)
    return cases


def layer_cases(layer):
    """What is special about a layer."""
    cases = set()
    if isinstance(layer, Add) and 0 in layer.input_multipliers:
        cases.add("operand flushed to zero")
    if isinstance(layer, Add | Multiply | Scale | Conv):
        requantization = layer.requantization
        if 0 in requantization.multiplier:
            cases.add("flushed to zero")
        if requantization.shift.max() > 1:
            cases.add("left shift")
    if isinstance(layer, Conv):
        cases.add("weights")
    if isinstance(layer, Scale):
        cases.add("clamp")
        if layer.negative == (0, 0):
            cases.add("negative flushed to zero")
        if layer.alpha is not None:
            cases.add("slopes")
    if isinstance(layer, Curve) and layer.shift == 0:
        cases.add("direct")
    if isinstance(layer, Table) and np.isin([-128, 127], layer.table).all():
        cases.add("saturated")
    return cases


@pytest.mark.parametrize("op", sorted(ELEMENTWISE))
def test_random_networks_equal_tflm(op):
    inside, total, cases = 0, 0, Counter()
    for index in range(NETWORKS):
        rng = np.random.default_rng([SEED, index])
        graph = ELEMENTWISE[op](rng, ACTIVATIONS[index % 4])
        model = write_tflite(graph)
        layers = legalize(graph)
        inputs = random_inputs(rng, graph)
        golden = run_golden(graph, layers, inputs)[graph.outputs[0]]
        (tflm,) = run_tflm(model, [inputs[name] for name in graph.inputs])
        assert golden.shape == tflm.shape, f"seed {[SEED, index]}: {layers}"
        assert golden.dtype == tflm.dtype
        np.testing.assert_array_equal(golden, tflm, f"seed {[SEED, index]}: {layers}")
        inside += np.count_nonzero((golden > golden.min()) & (golden < golden.max()))
        total += golden.size
        cases.update(cases_of(graph, layers))
    assert inside > total / 10, f"only {inside} of {total} outputs lie inside their range"
    missing = EXPECTED[op] - cases.keys()
    assert not missing, f"no network had {missing}"


@pytest.mark.parametrize("op", ["LOGISTIC", "TANH"])
@pytest.mark.parametrize("log2", range(-28, 9))
def test_table_of_every_magnitude(op, log2):
    """All 256 inputs, scales on both sides of a power of two."""
    values = np.arange(-128, 128, dtype=np.int8).reshape(1, 256)
    for factor in (1.0, 1.4):
        output = (1 / 256, -128) if op == "LOGISTIC" else (1 / 128, 0)
        graph = single_operator(
            op,
            [quantized("x", (1, 256), INT8, factor * 2.0**log2, -7)],
            [],
            quantized("y", (1, 256), INT8, *output),
            {},
        )
        golden = run_golden(graph, legalize(graph), {"x": values})["y"]
        (tflm,) = run_tflm(write_tflite(graph), [values])
        np.testing.assert_array_equal(golden, tflm)


@pytest.mark.parametrize("dtype", [INT8, INT16])
@pytest.mark.parametrize("op", ["ADD", "SUB", "MUL"])
def test_ends_of_the_types(op, dtype):
    """The largest sums, differences and products, at the largest scales."""
    limits = np.iinfo(dtype)
    ends = np.array([limits.min, limits.min + 1, 0, limits.max - 1, limits.max], dtype)
    a, b = (x.reshape(1, 25) for x in np.meshgrid(ends, ends))
    largest = {"ADD": 2.0**-14, "SUB": 2.0**-14, "MUL": 2.0**-16}[op]
    for zero in (-128, 0, 127):
        for output_scale in (largest, 2.0, 2.0**9):
            graph = single_operator(
                op,
                [quantized(name, (1, 25), dtype, 1.0, zero) for name in "ab"],
                [],
                quantized("y", (1, 25), dtype, max(output_scale, 2.1 * 2.0**-15), 0),
                {"activation": "NONE"},
            )
            golden = run_golden(graph, legalize(graph), {"a": a, "b": b})["y"]
            (tflm,) = run_tflm(write_tflite(graph), [a, b])
            np.testing.assert_array_equal(golden, tflm)


def test_difference_of_one_scale():
    """No operator of TFLite: the LSTM's and the GRU's, on Q0.15."""
    a, b = np.array([32767, -32768, 5], np.int16), np.array([-1, 1, 7], np.int16)
    results = engine.combine(
        a, b, kind="difference", input_zero_points=(0, 2), output_zero_point=1,
        minimum=-32768, maximum=32767, dtype=np.int16,
    )  # fmt: skip
    assert results.tolist() == [32767, -32766, 1]


def test_a_constant_of_two_nodes():
    """A network may use one constant twice."""
    rng = np.random.default_rng(SEED)
    x, y, z = (quantized(name, (1, 2, 2, 3), INT8, 0.5, 0) for name in "xyz")
    data = rng.integers(-128, 128, (2, 2, 1)).astype(np.int8)
    constant = quantized("c", data.shape, INT8, 0.25, 3, data)
    graph = single_operator("ADD", [x], [constant], y, {"activation": "NONE"})
    second = single_operator("ADD", [y], [constant], z, {"activation": "NONE"})
    graph.tensors |= second.tensors
    (node,) = second.nodes
    graph.nodes.append(type(node)(node.op, "add_1", node.inputs, node.outputs, node.attributes))
    graph.outputs = ["z"]
    model, layers = write_tflite(graph), legalize(graph)
    names = [layer.output for layer in layers if isinstance(layer, Constant)]
    assert len(set(names)) == 2
    inputs = {"x": rng.integers(-128, 128, x.shape).astype(np.int8)}
    (tflm,) = run_tflm(model, [inputs["x"]])
    np.testing.assert_array_equal(run_golden(graph, layers, inputs)["z"], tflm)
