"""Runs a network three ways; TFLM is right, golden models and chip must agree with it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdl.config import ChipConfig
from mmsp.compiler import Program, compile_graph
from mmsp.compiler.layers import Layer
from mmsp.compiler.legalize import legalize
from mmsp.errors import InputError
from mmsp.golden import run_golden
from mmsp.graph import Graph
from mmsp.importers.tflite import read_tflite
from mmsp.importers.tflite_writer import write_tflite
from mmsp.simulator.model import ChipModel, SimulationError
from mmsp.tflm import MicroInterpreter

__all__ = ["TARGETS", "Judge", "Verdict"]

TARGETS = ("golden", "program", "rtl")
"""What is accused: the golden models; and whether the network compiles; and the chip."""

MAX_CYCLES = 2_000_000
"""A generated network that takes longer counts as hung."""

Values = Mapping[str, NDArray]


@dataclass(frozen=True)
class Verdict:
    """What became of one network.

    ``kind``: "agree"; "refused" by the compiler, which is allowed; or a failure: "golden" or "rtl"
    gave other outputs than TFLM, "stopped" is a chip that hung or whose assertion failed, and
    "crash" is an exception that no user should see.
    """

    kind: str
    reason: str = ""
    program: Program | None = None
    unsaturated: float = 0.0
    """Share of the outputs that are not at an end of their type."""

    @property
    def failed(self) -> bool:
        """Whether somebody is guilty."""
        return self.kind not in ("agree", "refused")


class Judge:
    """Compares golden models and one chip with TFLM.

    Parameters
    ----------
    config : ChipConfig
        The chip.
    golden : callable, optional
        Takes the place of `mmsp.golden.run_golden`.
    words : callable, optional
        Changes the program of a network before the chip gets it: to plant faults.
    target : str
        One of `TARGETS`.  Without a chip nothing is built, and a network takes milliseconds.
    """

    def __init__(
        self,
        config: ChipConfig,
        *,
        golden: Callable[..., dict[str, NDArray]] = run_golden,
        words: Callable[[Program], NDArray[np.uint8]] = lambda program: program.words,
        target: str = "rtl",
    ):
        self.config, self.golden, self.words = config, golden, words
        self.target = target
        self.chip: ChipModel | None = None

    def __enter__(self) -> "Judge":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the simulation."""
        if self.chip is not None:
            self.chip.close()
            self.chip = None

    def judge(self, graph: Graph, samples: Sequence[Values]) -> Verdict:
        """Run ``graph`` on every sample, one after another, up to the first disagreement."""
        program = None
        try:
            data = write_tflite(graph)
            graph = read_tflite(data, graph.name)
            layers = legalize(graph)
        except Exception as error:
            return Verdict("crash", f"before compilation: {type(error).__name__}: {error}")
        try:
            if self.target != "golden":
                program = compile_graph(graph, self.config)
        except InputError as error:
            return Verdict("refused", sentence_pattern(str(error)))
        except Exception as error:
            return Verdict("crash", f"compiler: {type(error).__name__}: {error}")
        try:
            return self.compare(data, graph, layers, program, samples)
        except SimulationError as error:
            self.close()  # what has stopped cannot go on
            return Verdict("stopped", str(error), program)
        except Exception as error:
            self.close()
            return Verdict("crash", f"{type(error).__name__}: {error}", program)

    def compare(
        self,
        data: bytes,
        graph: Graph,
        layers: list[Layer],
        program: Program | None,
        samples: Sequence[Values],
    ) -> Verdict:
        """Compare the outputs of a network that compiles; its state lives on between samples."""
        interpreter, state = MicroInterpreter(data), {}
        if program is not None and self.target == "rtl":
            self.start_chip(program)
        inside = total = 0
        for index, inputs in enumerate(samples):
            judged = interpreter.run([inputs[name] for name in graph.inputs])
            expected = dict(zip(graph.outputs, judged, strict=True))
            accused = {"golden": self.golden(graph, layers, inputs, state=state)}
            if program is not None and self.chip is not None:
                accused["rtl"] = run_chip(self.chip, program, inputs)
            for kind, outputs in accused.items():
                for name, values in expected.items():
                    difference = first_difference(outputs[name], values)
                    if difference:
                        reason = f"sample {index}, output {name!r}: {difference}"
                        return Verdict(kind, reason, program)
            for values in expected.values():
                limits = np.iinfo(values.dtype)
                inside += int(np.count_nonzero((values > limits.min) & (values < limits.max)))
                total += values.size
        return Verdict("agree", "", program, inside / max(total, 1))

    def start_chip(self, program: Program) -> None:
        """Give the chip a program, and its variables what they hold before the first run."""
        if self.chip is None:
            self.chip = ChipModel(self.config)
        words = self.words(program)
        self.chip.program(words.tobytes())
        if program.reset is not None:
            self.chip.program(program.reset.tobytes(), len(words))
            self.chip.run(len(words), max_cycles=MAX_CYCLES)


def first_difference(values: NDArray, expected: NDArray) -> str:
    """What differs, in words; empty when nothing does."""
    if values.dtype != expected.dtype or values.shape != expected.shape:
        return (
            f"{values.dtype} of shape {values.shape} instead of {expected.dtype} "
            f"of shape {expected.shape}"
        )
    wrong = np.flatnonzero(values != expected)
    if not wrong.size:
        return ""
    at = int(wrong[0])
    return (
        f"{wrong.size} of {expected.size} values differ, the first at {at}: "
        f"{values.flat[at]} instead of {expected.flat[at]}"
    )


def run_chip(chip: ChipModel, program: Program, inputs: Values) -> dict[str, NDArray]:
    """Outputs of the programmed chip by name."""
    for name, values in inputs.items():
        place = program.plan.placements[program.storage[name]]
        chip.write_activations(*place.addresses(), place.pack(values))
    chip.run(max_cycles=MAX_CYCLES)
    outputs = {}
    for name in program.graph.outputs:
        place = program.plan.placements[program.storage[name]]
        words = chip.read_activations(*place.addresses())
        outputs[name] = place.unpack(words).reshape(program.graph.tensors[name].shape)
    return outputs


def sentence_pattern(sentence: str) -> str:
    """A refusal without its names and numbers, so that equal ones can be counted."""
    return re.sub(r"\d+", "N", re.sub(r"'[^']*'", "'...'", sentence))
