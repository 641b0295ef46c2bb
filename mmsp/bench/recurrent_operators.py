"""Representative networks of the operators that have a state."""

import numpy as np

from mmsp.bench.operators import Case, activation, constant, one_node, weights
from mmsp.graph import Graph, Quantization, Tensor

__all__ = ["STATEFUL_CASES"]

Q0_15 = 1 / 32768
CELL = 1 / 4096
"""Scale of an int16 cell: Q3.12."""


def matrix(name: str, rows: int, depth: int) -> Tensor:
    """Random int8 weights of one scale."""
    values = weights((rows, depth))
    assert values.data is not None
    return constant(name, values.data, 0.01)


def lstm(steps: int, features: int, units: int) -> Graph:
    """UNIDIRECTIONAL_SEQUENCE_LSTM over one sequence."""
    hidden = Tensor("hidden", (1, units), np.dtype(np.int8), Quantization((1 / 128,), (0,)))
    cell = Tensor("cell", (1, units), np.dtype(np.int16), Quantization((CELL,), (0,)))
    scale = Tensor("hidden_scale", (0,), np.dtype(np.int8), Quantization((1 / 128,), (0,)))
    series = activation("input", (1, steps, features))
    inputs = [matrix(f"w_{gate}", units, features) for gate in "ifgo"]
    recurrent = [matrix(f"r_{gate}", units, units) for gate in "ifgo"]
    biases = [constant(f"b_{gate}", np.zeros(units, np.int32), 0.05 * 0.01) for gate in "ifgo"]
    operands = [series, *inputs, *recurrent, None, None, None, *biases, None, None, hidden, cell,
                None, None, None, None]  # fmt: skip
    attributes = {
        "activation": "TANH", "cell_clip": 0.0, "proj_clip": 0.0, "time_major": False,
        "asymmetric_quantize_inputs": False, "diagonal_recurrent_tensors": False,
        "intermediates": (scale.name,) * 5,
    }  # fmt: skip
    output = activation("output", (1, steps, units), scale=1 / 128)
    graph = one_node("UNIDIRECTIONAL_SEQUENCE_LSTM", operands, output, attributes)
    graph.tensors[scale.name] = scale
    return with_state(graph, hidden, cell)


def svdf(features: int, units: int, memory: int) -> Graph:
    """SVDF of rank 1 with an int16 state."""
    state = Tensor("state", (1, memory * units), np.dtype(np.int16), Quantization((0.001,), (0,)))
    times = np.random.default_rng(1).integers(-9000, 9000, (units, memory)).astype(np.int16)
    operands = [
        activation("input", (1, features)),
        matrix("feature", units, features),
        constant("time", times, 0.0001),
        constant("bias", np.zeros(units, np.int32), 0.001 * 0.0001),
        state,
    ]
    attributes = {"rank": 1, "activation": "RELU", "asymmetric_quantize_inputs": False}
    return with_state(
        one_node("SVDF", operands, activation("output", (1, units)), attributes), state
    )


def gru(steps: int, features: int, units: int) -> Graph:
    """GRU with linear_before_reset, as ONNX has it."""
    state = Tensor("state", (1, units), np.dtype(np.int16), Quantization((Q0_15,), (0,)))
    operands = [
        activation("input", (1, steps, features)),
        matrix("w", 3 * units, features),
        matrix("r", 3 * units, units),
        None,
        state,
    ]
    outputs = [
        activation("output", (1, steps, units), np.int16, scale=Q0_15),
        activation("last", (1, units), np.int16, scale=Q0_15),
    ]
    attributes = {"hidden_size": units, "linear_before_reset": 1}
    return with_state(one_node("GRU", operands, outputs, attributes), state)


def variable(op: str) -> Graph:
    """A variable that is read, or assigned, as a whole."""
    shape = (1, 16, 16, 64)
    state = activation("state", shape)
    if op == "READ_VARIABLE":
        graph = one_node(op, [state], activation("output", shape), {})
    else:
        graph = one_node(op, [state, activation("input", shape)], [], {})
    return with_state(graph, state)


def with_state(graph: Graph, *states: Tensor) -> Graph:
    """Make operands variables that begin with zeros."""
    for state in states:
        graph.variables[state.name] = np.zeros(state.shape, state.dtype)
        graph.inputs.remove(state.name)
    return graph


STATEFUL_CASES: tuple[Case, ...] = (
    Case("READ_VARIABLE", "16x16x64, as an output", lambda: variable("READ_VARIABLE")),
    Case("ASSIGN_VARIABLE", "16x16x64, an input", lambda: variable("ASSIGN_VARIABLE")),
    Case("UNIDIRECTIONAL_SEQUENCE_LSTM", "28 steps, 28 inputs, 20 units", lambda: lstm(28, 28, 20)),
    Case("UNIDIRECTIONAL_SEQUENCE_LSTM", "16 steps, 64 inputs, 64 units", lambda: lstm(16, 64, 64)),
    Case("GRU", "16 steps, 64 inputs, 64 units", lambda: gru(16, 64, 64)),
    Case("SVDF", "40 features, 64 units, 10 steps, int16", lambda: svdf(40, 64, 10)),
)  # fmt: skip
"""In the order of the table."""
