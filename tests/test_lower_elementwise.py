"""Code generation for element-wise layers: which unit works, and what the vector unit computes."""

from collections import Counter

import numpy as np
import pytest
from random_elementwise import ELEMENTWISE, INT8, INT16, quantized, random_inputs
from random_operators import ACTIVATIONS, single_operator

from hdl.config import ACT_BANKS, CONFIGS
from hdl.engine.descriptor import Drain, Operation
from hdl.engine.vector_descriptor import VectorFunction
from mmsp.compiler import compile_graph
from mmsp.golden import run_golden
from models.engine.vector import Level, Place, VectorJob, run_vector

NETWORKS = 40


def vector_job(fields):
    """A job's fields as the golden model of the vector unit takes them."""
    names = (
        "out_min", "out_max", "multiplier", "shift", "a_multiplier", "a_shift", "b_multiplier",
        "b_shift", "left_shift",
    )  # fmt: skip
    return VectorJob(
        function=fields["function"].name.lower(),
        a=Place(**fields.get("a", {})),
        a_levels=tuple(
            Level(last=level["last"], axis=level["axis"].value, step=level["step"])
            for level in fields.get("a_levels", [])
        ),
        b=Place(**fields.get("b", {})),
        b_moves=tuple(fields.get("b_moves", ())),
        out=Place(**fields["out"]),
        size=tuple(fields[f"out_{axis}_last"] + 1 for axis in "hwc"),
        **{name: fields.get(name, 0) for name in names},
    )


def run_vector_program(program, inputs, rng):
    """Run a program of vector jobs only, from a memory full of anything."""
    config = program.config
    banks = rng.integers(0, 256, (ACT_BANKS, config.bank_words, config.rows), np.uint8)

    def place_of(name):
        return program.plan.placements[program.storage[name]]

    for name, values in inputs.items():
        banks[place_of(name).addresses()] = place_of(name).pack(values)
    for job in program.jobs:
        payload = b"" if job.payload is None else job.payload.tobytes()
        banks = run_vector(vector_job(job.fields), banks, payload)
    (name,) = program.graph.outputs
    words = banks[place_of(name).addresses()]
    return place_of(name).unpack(words).reshape(program.graph.tensors[name].shape)


@pytest.mark.parametrize("config", ["SMALL", "FULL"])
def test_vector_programs_compute_what_the_layers_say(config):
    functions = Counter()
    for op, generate in ELEMENTWISE.items():
        for index in range(NETWORKS):
            rng = np.random.default_rng([3, index])
            graph = generate(rng, ACTIVATIONS[index % 4])
            program = compile_graph(graph, CONFIGS[config])
            if any(job.fields["operation"] is not Operation.VECTOR for job in program.jobs):
                continue
            functions.update(job.fields["function"] for job in program.jobs)
            inputs = random_inputs(rng, graph)
            expected = run_golden(graph, program.layers, inputs)[graph.outputs[0]]
            actual = run_vector_program(program, inputs, rng)
            np.testing.assert_array_equal(actual, expected, f"{op}, seed {[3, index]}")
    missing = set(VectorFunction) - functions.keys()
    # Copies are other layers'; SCALE is the array's; SUM and DIFFERENCE come with others.
    assert missing <= {
        VectorFunction.COPY, VectorFunction.SCALE, VectorFunction.SUM, VectorFunction.DIFFERENCE,
    }  # fmt: skip


def jobs_of(graph, config="SMALL"):
    return [job.fields for job in compile_graph(graph, CONFIGS[config]).jobs]


def binary(op, shapes, dtype=INT8, constant=None):
    """ADD, SUB or MUL of two shapes."""
    rng = np.random.default_rng(5)
    operands = []
    for name, shape in zip("ab", shapes, strict=True):
        data = rng.integers(-99, 99, shape).astype(dtype) if name == constant else None
        operands.append(quantized(name, shape, dtype, 0.5, 0, data))
    shape = np.broadcast_shapes(*shapes)
    output = quantized("y", shape, dtype, 1.0, 0)
    graph = single_operator(op, operands, [], output, {"activation": "NONE"})
    graph.inputs = [tensor.name for tensor in operands if tensor.data is None]
    return graph


@pytest.mark.parametrize(
    ("op", "drain"),
    [("ADD", Drain.ADD), ("SUB", Drain.SUBTRACT), ("MUL", Drain.MULTIPLY)],
)
@pytest.mark.parametrize(
    ("shapes", "one_row", "still"),
    [
        ([(1, 3, 4, 9), (1, 3, 4, 9)], (0, 0), (False, False)),
        ([(1, 3, 4, 9), (1, 1, 4, 9)], (0, 1), (False, False)),
        ([(1, 3, 4, 9), (1, 3, 1, 9)], (0, 0), (False, True)),
        ([(1, 1, 1, 9), (1, 3, 4, 9)], (1, 0), (True, False)),
        ([(1, 3, 1, 9), (1, 1, 4, 9)], (0, 1), (True, False)),
    ],
)
def test_array_combines_int8_operands(op, drain, shapes, one_row, still):
    (fields,) = jobs_of(binary(op, shapes))
    assert fields["drain"] is drain
    assert (fields["a"]["one_row"], fields["b"]["one_row"]) == one_row
    assert (fields["a"]["pixel_words"] == 0, fields["b"]["pixel_words"] == 0) == still


@pytest.mark.parametrize("op", ["ADD", "SUB", "MUL"])
def test_vector_unit_takes_the_rest(op):
    for graph in (
        binary(op, [(1, 3, 4, 9), (1, 3, 4, 1)]),
        binary(op, [(1, 3, 4, 9), (1, 3, 4, 9)], INT16),
    ):
        (fields,) = jobs_of(graph)
        assert fields["operation"] is Operation.VECTOR


def test_a_constant_is_stored_and_a_scalar_is_repeated():
    store, add = jobs_of(binary("ADD", [(1, 3, 4, 9), ()], constant="b"))
    assert store["function"] is VectorFunction.LOAD
    assert store["out_c_last"] == 8
    assert add["drain"] is Drain.ADD
    (product,) = jobs_of(binary("MUL", [(1, 3, 4, 9), ()], constant="b"))
    assert product["drain"] is Drain.SCALE


@pytest.mark.parametrize("op", ["ADD", "MUL"])
def test_outputs_overwrite_a_dead_operand_of_their_shape(op):
    """y = a op b, z = y op c: z may lie where y or c lies, but not where an input lies."""
    shape = (1, 2, 2, 5)
    graph = binary(op, [shape, shape])
    (node,) = graph.nodes
    for name in ("z", "w"):
        graph.tensors[name] = quantized(name, shape, INT8, 1.0, 0)
    for index, (inputs, output) in enumerate(((("y", "a"), "z"), (("z", "z"), "w"))):
        graph.nodes.append(type(node)(op, f"{op}_{index + 1}", inputs, (output,), node.attributes))
    graph.outputs = ["w"]
    plan = compile_graph(graph, CONFIGS["SMALL"]).plan
    assert plan.placements["z"] == plan.placements["y"]
    assert plan.placements["w"] != plan.placements["z"]  # an output of the network
