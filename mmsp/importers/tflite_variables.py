"""Variables of .tflite files, between the operators of the file and `mmsp.graph.Graph`.

The file makes a handle of a variable with VAR_HANDLE, which READ_VARIABLE and ASSIGN_VARIABLE take;
CALL_ONCE runs a subgraph that assigns the initial values.  In a graph the variable is a tensor of
its own, with its initial value in ``Graph.variables``, and neither VAR_HANDLE nor CALL_ONCE is
left.  `resolve_variables` goes the one way, `lower_variables` the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mmsp.errors import InputError
from mmsp.graph import Graph, Node, Tensor
from mmsp.importers.tflite_tensors import RESOURCE, reset_value, unique_name

__all__ = ["VARIABLE_OPERATORS", "Subgraph", "lower_variables", "resolve_variables"]

VARIABLE_OPERATORS = {"READ_VARIABLE": (1, 1), "ASSIGN_VARIABLE": (2, 0)}
"""Operators whose first input is a variable, with the number of their inputs and outputs."""

Key = tuple[str, str]
"""What identifies a variable: container and shared name."""


@dataclass
class Subgraph:
    """A subgraph as the file has it: variables are handles, tensors of type `RESOURCE`.

    ``states`` names tensors that keep their values without a handle (``is_variable``).
    """

    name: str
    tensors: dict[str, Tensor]
    nodes: list[Node]
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)

    def handles(self) -> dict[str, Key]:
        """Variable that each handle stands for."""
        return {
            output: (node.attributes["container"], node.attributes["shared_name"])
            for node in self.nodes
            if node.op == "VAR_HANDLE"
            for output in node.outputs
        }


def resolve_variables(file: str, subgraphs: Sequence[Subgraph]) -> Graph:
    """Return the first of ``subgraphs`` as a graph; the others initialise its variables.

    Raises
    ------
    InputError
        When a handle is used by another operator, a variable is never assigned or in two types, or
        a subgraph is not run by CALL_ONCE or does more than to assign constants.
    """
    main = subgraphs[0]
    initials = initial_values(file, subgraphs)
    handles = main.handles()
    check_handles(file, main, handles)
    used: dict[Key, list[Tensor]] = {}
    assigned: dict[Key, Tensor] = {}
    for node in main.nodes:
        if node.op in VARIABLE_OPERATORS:
            key = handles[node.inputs[0] or ""]
            value = node.outputs[0] if node.outputs else node.inputs[1]
            tensor = main.tensors[value or ""]
            used.setdefault(key, []).append(tensor)
            if node.op == "ASSIGN_VARIABLE":
                assigned.setdefault(key, tensor)
    # TFLM takes type and zero point of a variable from what is assigned to it first.
    holders = assigned | initials

    tensors = {name: t for name, t in main.tensors.items() if name not in handles}
    taken = set(tensors)
    variables = {name: reset_value(tensors[name]) for name in main.states}
    names: dict[Key, str] = {}
    for key, users in used.items():
        if key not in holders:
            raise InputError(f"variable {key[1]!r} of {file} is read and never assigned")
        holder = holders[key]
        for user in users:
            if (user.shape, user.dtype) != (holder.shape, holder.dtype):
                raise InputError(
                    f"variable {key[1]!r} of {file} has shape {holder.shape} of {holder.dtype}, "
                    f"and tensor {user.name!r} shape {user.shape} of {user.dtype}"
                )
        name = names[key] = unique_name(key[1] or "variable", taken)
        tensors[name] = Tensor(name, holder.shape, holder.dtype, holder.quantization)
        initial = holder.data if key in initials else reset_value(tensors[name])
        variables[name] = np.asarray(initial)

    def renamed(name: str | None) -> str | None:
        return names[handles[name]] if name in handles else name

    return Graph(
        name=file,
        tensors=tensors,
        nodes=[
            replace(node, inputs=tuple(map(renamed, node.inputs)))
            for node in main.nodes
            if node.op not in ("VAR_HANDLE", "CALL_ONCE")
        ],
        inputs=main.inputs,
        outputs=main.outputs,
        variables=variables,
    )


def check_handles(file: str, subgraph: Subgraph, handles: Mapping[str, Key]) -> None:
    """Require that handles go to READ_VARIABLE and ASSIGN_VARIABLE, and nowhere else."""
    for node in subgraph.nodes:
        what = f"node {node.name!r} ({node.op}) of {file}"
        operands = node.inputs
        if node.op in VARIABLE_OPERATORS:
            counts = len(node.inputs), len(node.outputs)
            if counts != VARIABLE_OPERATORS[node.op] or None in node.inputs:
                inputs, outputs = VARIABLE_OPERATORS[node.op]
                raise InputError(
                    f"{what} has {counts[0]} inputs and {counts[1]} outputs, "
                    f"and must have {inputs} and {outputs}"
                )
            if node.inputs[0] not in handles:
                raise InputError(
                    f"{what} takes {node.inputs[0]!r}, which is not the output of a VAR_HANDLE"
                )
            operands = node.inputs[1:]
        for name in operands:
            if name in handles:
                raise InputError(
                    f"{what} takes {name!r}, a variable's handle, "
                    f"which only {' and '.join(VARIABLE_OPERATORS)} may"
                )
        for name in node.outputs:
            if name in handles and node.op != "VAR_HANDLE":
                raise InputError(f"{what} writes {name!r}, a variable's handle")
    for name in (*subgraph.inputs, *subgraph.outputs):
        if name in handles:
            raise InputError(
                f"{name!r} of {file} is a variable's handle, which cannot be an input or output"
            )


def initial_values(file: str, subgraphs: Sequence[Subgraph]) -> dict[Key, Tensor]:
    """Constants that the subgraphs run by CALL_ONCE assign."""
    initials: dict[Key, Tensor] = {}
    called = {0}
    used = None
    for node in subgraphs[0].nodes:
        if node.op in VARIABLE_OPERATORS:
            used = used or node.name
        if node.op != "CALL_ONCE":
            continue
        index = node.attributes["init_subgraph_index"]
        if index not in range(1, len(subgraphs)):
            raise InputError(
                f"node {node.name!r} (CALL_ONCE) of {file} runs subgraph {index}, "
                f"and there are 1 to {len(subgraphs) - 1}"
            )
        if used is not None:
            raise InputError(
                f"node {node.name!r} (CALL_ONCE) of {file} comes after {used!r}, "
                f"and variables must be initialised before they are used"
            )
        initials |= assigned_constants(file, subgraphs[index])
        called.add(index)
    for index, subgraph in enumerate(subgraphs):
        if index not in called:
            raise InputError(
                f"{file} has {len(subgraphs)} subgraphs, and only the first and what CALL_ONCE "
                f"runs are supported: {index} ({subgraph.name}) is neither"
            )
    return initials


def assigned_constants(file: str, subgraph: Subgraph) -> dict[Key, Tensor]:
    """Constants that an initialising subgraph assigns, by variable."""
    where = f"{file} (subgraph {subgraph.name})"
    handles = subgraph.handles()
    check_handles(where, subgraph, handles)
    initials = {}
    for node in subgraph.nodes:
        if node.op == "VAR_HANDLE":
            continue
        if node.op != "ASSIGN_VARIABLE":
            raise InputError(
                f"node {node.name!r} ({node.op}) of {where}: an initialisation "
                f"may contain VAR_HANDLE and ASSIGN_VARIABLE only"
            )
        value = subgraph.tensors[node.inputs[1] or ""]
        if value.data is None:
            raise InputError(
                f"node {node.name!r} (ASSIGN_VARIABLE) of {where} assigns {value.name!r}, "
                f"which is not a constant"
            )
        initials[handles[node.inputs[0] or ""]] = value
    return initials


def lower_variables(graph: Graph) -> list[Subgraph]:
    """Return the subgraphs of the file for ``graph``: `resolve_variables` undoes it.

    Raises
    ------
    InputError
        When an operator's own state does not start as TFLM resets it: the file cannot say so.
    """
    shared = {n.inputs[0]: None for n in graph.nodes if n.op in VARIABLE_OPERATORS}
    resources = [name for name in graph.variables if name in shared]
    states = [name for name in graph.variables if name not in shared]
    for name in states:
        expected = reset_value(graph.tensors[name])
        if not np.array_equal(graph.variables[name], expected):
            raise InputError(
                f"variable {name!r} of {graph.name} is an operator's state, "
                f"which can only start at its zero point"
            )
    tensors = {name: t for name, t in graph.tensors.items() if name not in resources}
    nodes = graph.nodes
    subgraphs = []
    if resources:
        handles = {name: Tensor(name, (), RESOURCE) for name in resources}
        make = [
            Node("VAR_HANDLE", f"var_handle_{name}", (), (name,),
                 {"container": "", "shared_name": name})
            for name in resources
        ]  # fmt: skip
        call = Node("CALL_ONCE", "call_once", (), (), {"init_subgraph_index": 1})
        nodes = [call, *make, *nodes]
        # Last, so that a handle never takes the name of another tensor when the file is read.
        tensors |= handles
        constants = {
            name: replace(
                graph.tensors[name], name=f"{name}/initial", data=np.asarray(graph.variables[name])
            )
            for name in resources
        }
        assign = [
            Node("ASSIGN_VARIABLE", f"assign_variable_{name}", (name, constants[name].name), ())
            for name in resources
        ]
        held = handles | {constant.name: constant for constant in constants.values()}
        subgraphs = [Subgraph("initialise", held, make + assign)]
    inputs, outputs = list(graph.inputs), list(graph.outputs)
    return [Subgraph("main", tensors, nodes, inputs, outputs, states), *subgraphs]
