"""Runs a .tflite file on TensorFlow Lite Micro, the judge of every number."""

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np
import tflite
from numpy.typing import ArrayLike, NDArray

from mmsp.errors import InputError
from mmsp.importers.flatbuffer import verify_tflite

__all__ = ["MicroInterpreter", "run_tflm", "tflm_available"]

ARENA_BYTES_PER_MODEL_BYTE = 10
SMALLEST_ARENA_BYTES = 4 << 20
"""The activations of a small model can be much larger than its file."""


def tflm_available() -> bool:
    """Whether the package `tflite-micro` is installed."""
    return importlib.util.find_spec("tflite_micro") is not None


class MicroInterpreter:
    """An interpreter that keeps its state (variables, LSTM, SVDF) from one run to the next."""

    def __init__(self, model: bytes, *, arena_bytes: int | None = None):
        if not tflm_available():
            raise InputError("TensorFlow Lite Micro is missing: pip install tflite-micro")
        from tflite_micro import runtime  # noqa: PLC0415  # optional, and slow to import

        verify_tflite(model, "the model")
        subgraph: Any = tflite.Model.GetRootAs(model, 0).Subgraphs(0)
        self.inputs: int = subgraph.InputsLength()
        self.outputs: int = subgraph.OutputsLength()
        if arena_bytes is None:
            arena_bytes = SMALLEST_ARENA_BYTES + ARENA_BYTES_PER_MODEL_BYTE * len(model)
        try:
            self.interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)
        except RuntimeError as error:
            raise InputError(f"TensorFlow Lite Micro refuses the model: {error}") from None

    def run(self, inputs: Sequence[ArrayLike]) -> list[NDArray]:
        """Return the outputs for one set of inputs, both in the order of the file."""
        if len(inputs) != self.inputs:
            raise InputError(f"the model takes {self.inputs} inputs, not {len(inputs)}")
        for index, values in enumerate(inputs):
            self.interpreter.set_input(np.ascontiguousarray(values), index)
        self.interpreter.invoke()
        # Copies: the interpreter may reuse its memory in the next run.
        return [np.array(self.interpreter.get_output(index)) for index in range(self.outputs)]

    def reset(self) -> None:
        """Clear the state."""
        self.interpreter.reset()


def run_tflm(model: bytes, inputs: Sequence[ArrayLike]) -> list[NDArray]:
    """Run ``model`` once from a cleared state.

    Parameters
    ----------
    model : bytes
        A .tflite file.
    inputs : sequence of array_like
        The model's inputs in its own order, each of its exact shape and type.

    Raises
    ------
    InputError
        When TensorFlow Lite Micro is not installed or cannot run the model.
    """
    return MicroInterpreter(model).run(inputs)
