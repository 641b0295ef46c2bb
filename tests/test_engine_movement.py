"""Operators that move elements, on the RTL against the golden models, bit for bit."""

from collections import Counter

import numpy as np
import pytest
from random_movement import MOVEMENT
from rtl import run_rtl

from hdl.config import CONFIGS
from hdl.engine.descriptor import Operation
from mmsp.compiler import compile_graph
from mmsp.errors import InputError
from mmsp.golden import run_golden

NETWORKS = {"SMALL": 16, "ECP5": 2, "FULL": 4}


@pytest.mark.sim
@pytest.mark.parametrize("config", CONFIGS)
def test_operators(config, seed):
    """Whole words and single elements, int8 and int16, every operator."""
    ways, values, too_large = Counter(), 0, 0
    for number, (op, make) in enumerate(MOVEMENT.items()):
        for index in range(NETWORKS[config]):
            rng = np.random.default_rng([seed, index, number])
            dtype = np.int16 if index % 3 == 0 else np.int8
            graph = make(rng, dtype)
            try:
                program = compile_graph(graph, CONFIGS[config])
            except InputError as error:
                if "do not fit" not in str(error):
                    raise
                too_large += 1
                continue
            limits = np.iinfo(dtype)
            inputs = {
                name: rng.integers(
                    limits.min, limits.max + 1, graph.tensors[name].shape, dtype=dtype
                )
                for name in graph.inputs
            }
            ((outputs, _),) = run_rtl(program, [inputs])
            for name, expected in run_golden(graph, program.layers, inputs).items():
                message = f"{op}, seed {[seed, index, number]}, {name}"
                np.testing.assert_array_equal(outputs[name], expected, message)
                values += len(np.unique(expected))
            for job in program.jobs:
                ways[(op, job.fields["operation"], np.dtype(dtype).name)] += 1
    assert too_large <= NETWORKS[config] * len(MOVEMENT) // 8
    assert values > 100 * NETWORKS[config], "weak stimulus"
    if config == "SMALL":
        for op in ("CONCATENATION", "SLICE", "STRIDED_SLICE"):
            for operation in (Operation.JOB, Operation.VECTOR):
                assert any(ways[(op, operation, name)] for name in ("int8", "int16")), (
                    f"seed {seed}: {op} never came as {operation}"
                )
