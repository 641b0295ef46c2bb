"""Variables of streaming models: what TFLM makes of them, and files that misuse them."""

from dataclasses import replace

import numpy as np
import pytest
from judge import activation, constant, network
from operator_examples import EXAMPLES

from mmsp.errors import InputError
from mmsp.graph import Node
from mmsp.importers.tflite import read_tflite
from mmsp.importers.tflite_variables import lower_variables
from mmsp.importers.tflite_writer import TfliteWriter, write_tflite
from mmsp.tflm import MicroInterpreter

FIRST = np.array([[1, -2, 3, 4]], np.int8)
INPUT = np.array([[9, 8, -7, 6]], np.int8)


def exchange(**changes):
    """Writes the input to a variable and gives what was there."""
    new, old, state = (activation(name, (1, 4), 0.5, 3) for name in ("new", "old", "state"))
    graph = network(
        ("READ_VARIABLE", (state,), old, {}),
        ("ASSIGN_VARIABLE", (state, new), (), {}),
        name="exchange",
        variables={"state": FIRST},
    )
    return replace(graph, **changes)


class SubgraphWriter(TfliteWriter):
    """Writes subgraphs that ``change`` has altered."""

    def __init__(self, graph, change):
        subgraphs = lower_variables(graph)
        change(*subgraphs)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("mmsp.importers.tflite_writer.lower_variables", lambda _: subgraphs)
            super().__init__(graph)


def altered(change, graph=None):
    """The file of ``exchange()`` after ``change(main, initialise)``."""
    return SubgraphWriter(graph or exchange(), change).write()


def test_initial_values_and_reset():
    graph = exchange()
    data = write_tflite(graph)
    again = read_tflite(data, "exchange")
    assert again == graph
    assert [node.op for node in again.nodes] == ["READ_VARIABLE", "ASSIGN_VARIABLE"]
    assert again.inputs == ["new"]
    assert again.tensors["state"].data is None
    np.testing.assert_array_equal(again.variables["state"], FIRST)
    interpreter = MicroInterpreter(data)
    for _ in range(2):
        for expected in (FIRST, INPUT, INPUT):
            np.testing.assert_array_equal(interpreter.run([INPUT]), [expected])
        interpreter.reset()


def test_equality_sees_variables():
    assert exchange() == exchange()
    assert exchange() != exchange(variables={"state": FIRST + 1})
    assert exchange() != exchange(variables={"state": FIRST.astype(np.int16)})
    assert exchange() != exchange(variables={})


def test_without_initialisation():
    """TFLM starts a variable at the zero point of what is assigned to it first."""

    def change(main, initialise):
        main.nodes = [node for node in main.nodes if node.op != "CALL_ONCE"]
        initialise.tensors.clear()
        initialise.nodes.clear()
        subgraphs.append(main)

    subgraphs = []
    graph = exchange()
    graph.tensors["old"] = activation("old", (1, 4), 0.5, 7)
    writer = SubgraphWriter(graph, change)
    writer.subgraphs = subgraphs
    data = writer.write()
    again = read_tflite(data, "exchange")
    (output,) = MicroInterpreter(data).run([INPUT])
    np.testing.assert_array_equal(output, again.variables["state"])
    assert again.variables["state"].tolist() == [[3] * 4]
    assert again.tensors["state"].quantization.zero_point == (3,)


def test_names():
    """A variable has the shared name, made unique; two handles of one variable are one."""

    def change(main, initialise):
        for subgraph in (main, initialise):
            for index, node in enumerate(subgraph.nodes):
                if node.op == "VAR_HANDLE":
                    attributes = {"container": "", "shared_name": "new"}
                    subgraph.nodes[index] = replace(node, attributes=attributes)
        handle = replace(main.tensors["state"], name="second")
        main.tensors["second"] = handle
        main.nodes.insert(1, replace(main.nodes[1], outputs=("second",)))
        main.nodes[-1] = replace(main.nodes[-1], inputs=("second", "new"))

    data = altered(change)
    graph = read_tflite(data, "exchange")
    assert set(graph.variables) == {"new:2"}
    assert [node.inputs for node in graph.nodes] == [("new:2",), ("new:2", "new")]
    assert read_tflite(write_tflite(graph), "exchange") == graph
    interpreter = MicroInterpreter(data)
    for expected in (FIRST, INPUT):
        np.testing.assert_array_equal(interpreter.run([INPUT]), [expected])


@pytest.mark.parametrize("op", ["UNIDIRECTIONAL_SEQUENCE_LSTM", "SVDF"])
def test_states_of_operators(op):
    """They stay operands, start at their zero points, and the file can say nothing else."""
    graph = EXAMPLES[op](np.random.default_rng(11))
    again = read_tflite(write_tflite(graph), graph.name)
    assert again == graph
    states = set(graph.variables)
    assert states <= set(again.nodes[0].inputs)
    assert not states & set(again.inputs)
    zero_points = {name: graph.tensors[name].quantization.zero_point[0] for name in states}
    assert {n: set(v.reshape(-1).tolist()) for n, v in again.variables.items()} == {
        name: {zero} for name, zero in zero_points.items()
    }
    name = min(states)
    other = {**graph.variables, name: graph.variables[name] + np.int8(1)}
    with pytest.raises(InputError, match=f"variable '{name}' of .* can only start at its zero"):
        write_tflite(replace(graph, variables=other))


def test_state_with_data():
    graph = EXAMPLES["SVDF"](np.random.default_rng(11))
    tensor = graph.tensors["state"]
    graph.tensors["state"] = replace(tensor, data=np.ones(tensor.shape, tensor.dtype))
    with pytest.raises(InputError, match="'state' of x is a variable and has constant data"):
        read_tflite(write_tflite(graph), "x")


def call_later(main, initialise):
    main.nodes.append(main.nodes.pop(0))


def call_nothing(main, initialise):
    attributes = {"init_subgraph_index": 2}
    main.nodes[0] = replace(main.nodes[0], attributes=attributes)


def call_itself(main, initialise):
    initialise.nodes.append(main.nodes[0])


def never_call(main, initialise):
    main.nodes.pop(0)


def compute(initialise_node):
    def change(main, initialise):
        initialise.tensors["y"] = activation("y", (1, 4), 0.5, 3)
        initialise.nodes.insert(1, initialise_node)
        initialise.nodes[-1] = replace(initialise.nodes[-1], inputs=("state", "y"))

    return change


def assign_no_constant(main, initialise):
    constant_name = "state/initial"
    initialise.tensors[constant_name] = replace(initialise.tensors[constant_name], data=None)


def never_assign(main, initialise):
    initialise.nodes.pop()
    main.nodes.pop()


def other_shape(main, initialise):
    main.tensors["old"] = activation("old", (4, 1), 0.5, 3)


def other_type(main, initialise):
    main.tensors["new"] = activation("new", (1, 4), 0.5, 0, np.int16)


def no_handle(main, initialise):
    main.nodes[-1] = replace(main.nodes[-1], inputs=("old", "new"))


def handle_elsewhere(main, initialise):
    main.tensors["sum"] = activation("sum", (1, 4))
    node = Node("ADD", "add", ("state", "new"), ("sum",), {"activation": "NONE"})
    main.nodes.append(node)


def handle_as_value(main, initialise):
    main.nodes[-1] = replace(main.nodes[-1], inputs=("state", "state"))


def handle_written(main, initialise):
    main.nodes.append(Node("RELU", "relu", ("new",), ("state",)))


def handle_as_output(main, initialise):
    main.outputs.append("state")


def two_outputs(main, initialise):
    main.nodes[-2] = replace(main.nodes[-2], outputs=("old", "new"))


def handle_without_operator(main, initialise):
    main.nodes.pop(1)


RELU = Node("RELU", "relu", ("state/initial",), ("y",))

MISUSES = [
    (call_later, r"'call_once_2' \(CALL_ONCE\) of x comes after 'read_variable_0'"),
    (call_nothing, r"'call_once_0' \(CALL_ONCE\) of x runs subgraph 2, and there are 1 to 1"),
    (call_itself, r"\(CALL_ONCE\) of x \(subgraph initialise\): an initialisation may contain"),
    (never_call, r"x has 2 subgraphs, and only .* supported: 1 \(initialise\) is neither"),
    (compute(RELU), r"\(RELU\) of x \(subgraph initialise\): an initialisation may contain"),
    (assign_no_constant, r"assigns 'state/initial', which is not a constant"),
    (never_assign, r"variable 'state' of x is read and never assigned"),
    (other_shape, r"has shape \(1, 4\) of int8, and tensor 'old' shape \(4, 1\) of int8"),
    (other_type, r"has shape \(1, 4\) of int8, and tensor 'new' shape \(1, 4\) of int16"),
    (no_handle, r"\(ASSIGN_VARIABLE\) of x takes 'old', which is not the output of a VAR_HANDLE"),
    (handle_elsewhere, r"\(ADD\) of x takes 'state', a variable's handle, which only READ_VAR"),
    (handle_as_value, r"\(ASSIGN_VARIABLE\) of x takes 'state', a variable's handle, which only"),
    (handle_written, r"'relu_2' \(RELU\) of x writes 'state', a variable's handle"),
    (handle_as_output, r"'state' of x is a variable's handle, which cannot be an input or output"),
    (two_outputs, r"\(READ_VARIABLE\) of x has 1 inputs and 2 outputs, and must have 1 and 1"),
    (handle_without_operator, r"tensor 'state' of x has type RESOURCE, not bool"),
]


@pytest.mark.parametrize(("change", "message"), MISUSES)
def test_misuse(change, message):
    data = altered(change)
    with pytest.raises(InputError, match=message) as caught:
        read_tflite(data, "x")
    assert "\n" not in str(caught.value)


def test_several_variables():
    """Each has its own initial value, whatever its type and shape."""
    nodes, variables = [], {}
    for index, dtype in enumerate((np.int8, np.int16, np.int8)):
        shape = (1, index + 2)
        state, old, new = (
            activation(f"{name}{index}", shape, 0.5, 0, dtype) for name in ("state", "old", "new")
        )
        nodes += [("READ_VARIABLE", (state,), old, {}), ("ASSIGN_VARIABLE", (state, new), (), {})]
        variables[state.name] = np.full(shape, index - 7, dtype)
    nodes.append(("ASSIGN_VARIABLE", (state, constant("fixed", np.zeros(shape, dtype))), (), {}))
    graph = network(*nodes, variables=variables)
    data = write_tflite(graph)
    assert read_tflite(data, "network") == graph
    interpreter = MicroInterpreter(data)
    inputs = [np.full(graph.tensors[name].shape, 5, graph.tensors[name].dtype)
              for name in graph.inputs]  # fmt: skip
    for output, first in zip(interpreter.run(inputs), variables.values(), strict=True):
        np.testing.assert_array_equal(output, first)
    third = interpreter.run(inputs)
    assert [set(output.reshape(-1).tolist()) for output in third] == [{5}, {5}, {0}]
