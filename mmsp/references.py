"""Other ways to the same outputs: the golden models and TensorFlow Lite Micro, and comparisons."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mmsp.description import Port, graph_ports
from mmsp.errors import InputError
from mmsp.golden import run_golden
from mmsp.graph import Graph
from mmsp.inputs import Batch
from mmsp.loading import Model
from mmsp.tflm import MicroInterpreter, tflm_available

__all__ = ["Comparison", "compare", "golden_outputs", "require_graph", "tflm_outputs"]

TITLES = {"golden": "golden model", "tflm": "TFLM"}


@dataclass(frozen=True)
class Comparison:
    """Outputs that differ from each reference, of ``count`` compared.

    ``missing`` says why a reference was left out; ``remarks`` are about others that cannot be
    equal, such as onnxruntime.
    """

    count: int
    mismatches: dict[str, int]
    missing: list[str]
    remarks: list[str] = field(default_factory=list)

    @property
    def total(self) -> int | None:
        """The largest number of mismatches; None when nothing was compared."""
        return max(self.mismatches.values(), default=None)

    @property
    def sentence(self) -> str:
        """The verdict, for the user."""
        asides = [*self.remarks, *self.missing]
        aside = f" ({'; '.join(asides)})" if asides else ""
        if not self.mismatches:
            return f"not compared{aside}"
        if not self.total:
            return f"bit-exact: {', '.join(TITLES[name] for name in self.mismatches)}{aside}"
        said = ", ".join(
            f"{found} of {self.count} values differ from the {TITLES[name]}"
            for name, found in self.mismatches.items()
        )
        return f"not bit-exact: {said}{aside}"


def require_graph(model: Model, target: str) -> Graph:
    """The graph of a model, or an error for an image, which has none."""
    if model.graph is None:
        raise InputError(
            f"target {target} needs the .tflite file: an image holds only the program of the chip"
        )
    return model.graph


def golden_outputs(model: Model, batch: Batch, *, reset_state: bool = False) -> dict[str, NDArray]:
    """Outputs of the golden models, ``(count, *shape)`` of the declared types.

    State begins at its initial values, and lives on from one inference to the next unless
    ``reset_state`` gives it these before each.
    """
    graph = require_graph(model, "golden")
    inputs, outputs = graph_ports(graph)
    assert model.layers is not None, "a graph has layers"
    runs, state = [], {}
    for index in range(batch.count):
        if reset_state:
            state.clear()
        inside = {
            name: port.rearrange(port.to_inside(batch.values[port.name][index])).reshape(
                graph.tensors[name].shape
            )
            for name, port in zip(graph.inputs, inputs, strict=True)
        }
        runs.append(run_golden(graph, model.layers, inside, state=state))
    return {
        port.name: np.stack([outside(port, run[name]) for run in runs])
        for name, port in zip(graph.outputs, outputs, strict=True)
    }


def outside(port: Port, values: NDArray[np.int8]) -> NDArray:
    """One output as the model's file declares it."""
    return port.to_outside(port.rearrange(values).reshape(port.shape))


def tflm_outputs(model: Model, batch: Batch, *, reset_state: bool = False) -> dict[str, NDArray]:
    """Outputs of TensorFlow Lite Micro, ``(count, *shape)`` of the declared types.

    ``reset_state`` as `golden_outputs` has it.
    """
    graph = require_graph(model, "tflm")
    if model.data is None:
        raise InputError("target tflm needs the .tflite file, not a graph in memory")
    inputs, outputs = graph_ports(graph)
    interpreter = MicroInterpreter(model.data)
    runs = []
    for index in range(batch.count):
        if reset_state and index:
            interpreter.reset()
        runs.append(interpreter.run([batch.values[port.name][index] for port in inputs]))
    return {
        port.name: np.stack([run[at].reshape(port.shape) for run in runs])
        for at, port in enumerate(outputs)
    }


def compare(
    target: str,
    outputs: Mapping[str, NDArray],
    model: Model,
    batch: Batch,
    *,
    reset_state: bool = False,
) -> Comparison:
    """Compare the outputs of ``target`` with all other references that are there."""
    count = sum(values.size for values in outputs.values())
    if model.graph is None:
        return Comparison(count, {}, ["an image holds no graph for the golden model"])
    references, missing = {}, []
    if target != "golden":
        references["golden"] = golden_outputs
    if target != "tflm" and model.data is not None:
        if tflm_available():
            references["tflm"] = tflm_outputs
        else:
            missing.append("TFLM is not installed: pip install tflite-micro")
    mismatches = {}
    for name, run in references.items():
        try:
            expected = run(model, batch, reset_state=reset_state)
        except InputError as error:
            # TFLM may lack an operator that the golden models have: that is no fault of the run.
            if name == "golden":
                raise
            missing.append(str(error))
            continue
        mismatches[name] = sum(
            int(np.count_nonzero(values.reshape(expected[key].shape) != expected[key]))
            for key, values in outputs.items()
        )
    remarks = []
    if model.onnx is not None:
        from mmsp.onnx_reference import (  # noqa: PLC0415  (slow to import)
            describe_difference,
            onnxruntime_available,
        )

        if onnxruntime_available():
            remarks.append(describe_difference(model.onnx, batch.values))
        else:
            missing.append("onnxruntime is not installed: pip install onnxruntime")
    return Comparison(count, mismatches, missing, remarks)
