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
    """An interpreter that keeps its state (variables, LSTM, SVDF) from one run to the next.

    Raises
    ------
    InputError
        When TensorFlow Lite Micro is not installed or refuses the model.
    """

    def __init__(self, model: bytes, *, arena_bytes: int | None = None):
        if not tflm_available():
            raise InputError("TensorFlow Lite Micro is missing: pip install tflite-micro")
        verify_tflite(model, "the model")
        root: Any = tflite.Model.GetRootAs(model, 0)
        if root.SubgraphsLength() < 1:
            raise InputError("the model has no subgraphs")
        subgraph = root.Subgraphs(0)
        self.inputs: int = subgraph.InputsLength()
        self.outputs: int = subgraph.OutputsLength()
        self.initialises: bool = root.SubgraphsLength() > 1
        self.model = model
        self.arena_bytes = arena_bytes or (
            SMALLEST_ARENA_BYTES + ARENA_BYTES_PER_MODEL_BYTE * len(model)
        )
        self.interpreter = self.start()

    def start(self) -> Any:
        """Return an interpreter of TFLM in its first state."""
        from tflite_micro import runtime  # noqa: PLC0415  # optional, and slow to import

        try:
            return runtime.Interpreter.from_bytes(self.model, arena_size=self.arena_bytes)
        except RuntimeError as error:
            raise InputError(f"TensorFlow Lite Micro refuses the model: {error}") from None

    def run(self, inputs: Sequence[ArrayLike]) -> list[NDArray]:
        """Return the outputs for one set of inputs, both in the order of the file.

        Raises
        ------
        InputError
            When there are other inputs, or of other types or shapes, or TFLM cannot run the model.
        """
        if len(inputs) != self.inputs:
            raise InputError(f"the model takes {self.inputs} inputs, not {len(inputs)}")
        for index, values in enumerate(inputs):
            # `ascontiguousarray` would give a scalar a dimension.
            array = np.require(values, requirements="C")
            try:
                self.interpreter.set_input(array, index)
            except (RuntimeError, ValueError) as error:
                raise InputError(f"TensorFlow Lite Micro refuses input {index}: {error}") from None
        try:
            self.interpreter.invoke()
        except RuntimeError as error:
            raise InputError(f"TensorFlow Lite Micro cannot run the model: {error}") from None
        # Copies: the interpreter may reuse its memory in the next run.
        return [np.array(self.interpreter.get_output(index)) for index in range(self.outputs)]

    def reset(self) -> None:
        """Give the state its initial values."""
        if self.initialises:
            # TFLM's own reset clears variables without running CALL_ONCE again.
            self.interpreter = self.start()
        else:
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
