"""Element-wise operators on the RTL against the golden models, bit for bit."""

from collections import Counter

import numpy as np
import pytest
from random_elementwise import ELEMENTWISE, INT8, INT16, quantized, random_inputs
from random_operators import ACTIVATIONS, single_operator
from rtl import run_rtl

from hdl.config import CONFIGS
from hdl.engine.descriptor import Drain, Operation
from hdl.engine.vector_descriptor import VectorFunction
from mmsp.compiler import compile_graph
from mmsp.golden import run_golden
from mmsp.graph import Node

NETWORKS = {"SMALL": 16, "ECP5": 4, "FULL": 6}
"""Random networks an operator; the large arrays are slower to simulate."""

DRAINS = set(Drain) - {Drain.AVERAGE}
FUNCTIONS = set(VectorFunction) - {
    VectorFunction.COPY,
    VectorFunction.SCALE,  # the array does it
    VectorFunction.DIFFERENCE,  # the GRU's
}


def works(program):
    """What the jobs of a program ask for."""
    for job in program.jobs:
        vector = job.fields["operation"] is Operation.VECTOR
        yield job.fields["function"] if vector else job.fields["drain"]
        for name in ("wide_in", "wide_out", "one_row"):
            if job.fields.get(name) or job.fields.get("b", {}).get(name):
                yield name


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
        missing = {*DRAINS, *FUNCTIONS, "wide_in", "wide_out", "one_row"} - met.keys()
        assert not missing, f"seed {seed}: no job had {missing}"


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
