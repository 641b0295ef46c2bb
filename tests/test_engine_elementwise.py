"""Element-wise operators on the RTL against the golden models, bit for bit."""

import itertools
from collections import Counter

import numpy as np
import pytest
from random_elementwise import ELEMENTWISE, INT8, INT16, quantized, random_inputs
from random_operators import ACTIVATIONS, single_operator, zero_point
from rtl import run_rtl

from hdl.config import CONFIGS
from hdl.engine.descriptor import Drain, Operation
from hdl.engine.vector_descriptor import VectorFunction
from mmsp.compiler import compile_graph
from mmsp.golden import run_golden
from mmsp.graph import Node

NETWORKS = {"SMALL": 24, "ECP5": 4, "FULL": 6}
"""Random networks an operator; the large arrays are slower to simulate."""

DRAINS = set(Drain) - {Drain.AVERAGE}
FUNCTIONS = set(VectorFunction) - {
    VectorFunction.COPY,
    VectorFunction.SCALE,  # the array does it
    VectorFunction.DIFFERENCE,  # the GRU's
}
FLAGS = {"wide_in", "wide_out"}


def works(program):
    """What the jobs of a program ask for."""
    for job in program.jobs:
        vector = job.fields["operation"] is Operation.VECTOR
        yield job.fields["function"] if vector else job.fields["drain"]
        yield from (name for name in ("wide_in", "wide_out") if job.fields.get(name))


def assert_rtl_agrees(program, batches, note):
    """Run on both; return how many outputs lie inside of their range, and how many there are."""
    inside = total = 0
    for inputs, (outputs, _) in zip(batches, run_rtl(program, batches), strict=True):
        for name, values in run_golden(program.graph, program.layers, inputs).items():
            assert outputs[name].dtype == values.dtype
            np.testing.assert_array_equal(outputs[name], values, note)
            inside += int(np.count_nonzero((values > values.min()) & (values < values.max())))
            total += values.size
    return inside, total


@pytest.mark.sim
@pytest.mark.parametrize("config", CONFIGS)
def test_operators(config, seed):
    """Every operator; both types, broadcast, constants, extreme scales."""
    counts, met = np.zeros(2, int), Counter()
    for number, (op, generate) in enumerate(ELEMENTWISE.items()):
        for index in range(NETWORKS[config]):
            rng = np.random.default_rng([seed, index, number])
            graph = generate(rng, ACTIVATIONS[index % 4])
            program = compile_graph(graph, CONFIGS[config])
            met.update(works(program))
            batches = [random_inputs(rng, graph) for _ in range(2)]
            counts += assert_rtl_agrees(program, batches, f"{op}, seed {[seed, index, number]}")
    inside, total = counts
    assert inside > total / 10, "almost every output sat at a limit: weak stimulus"
    if config == "SMALL":
        missing = {*DRAINS, *FUNCTIONS, *FLAGS} - met.keys()
        assert not missing, f"seed {seed}: no job had {missing}"


@pytest.mark.sim
@pytest.mark.parametrize("op", ["ADD", "SUB", "MUL"])
def test_array_repeats_rows_and_columns(op, seed):
    """Rows, columns, or both, of either operand or of both; channels beyond one word."""
    rng = np.random.default_rng([seed, ord(op[0])])
    for repeated in itertools.product((False, True), repeat=4):
        height, width, channels = (int(n) for n in rng.integers(2, 9, 3))
        shapes = [
            (1, 1 if rows else height, 1 if columns else width, channels)
            for rows, columns in (repeated[:2], repeated[2:])
        ]
        operands = [
            quantized(name, shape, INT8, 0.1, zero_point(rng))
            for name, shape in zip("ab", shapes, strict=True)
        ]
        output = quantized("y", np.broadcast_shapes(*shapes), INT8, 0.15, zero_point(rng))
        graph = single_operator(op, operands, [], output, {"activation": "NONE"})
        program = compile_graph(graph, CONFIGS["SMALL"])
        assert [job.fields["operation"] for job in program.jobs] == [Operation.JOB]
        batches = [random_inputs(rng, graph)]
        assert_rtl_agrees(program, batches, f"seed {[seed, ord(op[0])]}: {shapes}")


def random_chain(rng, dtype):
    """Operators one after another on tensors of one shape, so that each may overwrite the last."""
    shape = (1, *(int(n) for n in rng.integers(1, 6, 2)), int(rng.integers(1, 40)))
    names = ["a", "b"]
    tensors = {name: quantized(name, shape, dtype, 0.02, 5) for name in names}
    nodes = []
    for index in range(6):
        name = f"t{index}"
        op = str(rng.choice(["ADD", "SUB", "MUL", "MAXIMUM", "LEAKY_RELU", "RELU6"]))
        unary = op in ("LEAKY_RELU", "RELU6")
        inputs = (names[-1],) if unary else (names[-1], str(rng.choice(names)))
        tensors[name] = quantized(name, shape, dtype, 0.02, 5)
        attributes = {"alpha": 0.3} if unary else {"activation": "NONE"}
        nodes.append(Node(op, f"node_{index}", inputs, (name,), attributes))
        names.append(name)
    graph = single_operator("ADD", [tensors["a"], tensors["b"]], [], tensors["t0"], {})
    graph.tensors, graph.nodes = tensors, nodes
    graph.outputs = [names[-1]]
    return graph


@pytest.mark.sim
@pytest.mark.parametrize("dtype", [INT8, INT16])
def test_chains_in_place(dtype, seed):
    """A value overwrites one that is read for the last time, on the array and the vector unit."""
    shared = 0
    for index in range(12):
        rng = np.random.default_rng([seed, index, dtype.itemsize])
        program = compile_graph(random_chain(rng, dtype), CONFIGS["SMALL"])
        places = [(place.base, place.row0) for place in program.plan.placements.values()]
        shared += len(places) - len(set(places))
        batches = [random_inputs(rng, program.graph) for _ in range(2)]
        assert_rtl_agrees(program, batches, f"seed {[seed, index, dtype.itemsize]}")
    assert shared > 12, f"seed {seed}: too few outputs lie where an operand lay"
