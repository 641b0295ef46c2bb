"""A network under construction: every new tensor is run at once, and gets a scale that suits it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hdl.config import ACT_BANKS, ChipConfig
from mmsp.compiler.legalize import legalize
from mmsp.fuzz.calibration import calibrate, starting_scale
from mmsp.fuzz.choices import INT8, random_quantization
from mmsp.golden import run_golden
from mmsp.graph import Graph, Node, Quantization, Tensor

__all__ = ["MAX_NODES", "Sketch", "scale_of"]

MAX_NODES = 12
SAMPLES = 2
"""Sets of inputs that a network is calibrated with and judged by."""

SAMPLES_OF_STATE = 3
"""More of them for a network with variables, whose values live on."""

CYCLES_PER_NODE = 20_000
"""Bound of what a node may cost on the chip when the multipliers are always busy."""

SHARE_OF_MEMORY = 6
"""A tensor may take the activation memory divided by this."""


def scale_of(tensor: Tensor) -> float:
    """The one scale of an activation."""
    assert tensor.quantization is not None, "every activation is quantised"
    return tensor.quantization.scale[0]


class Sketch:
    """Nodes and tensors so far, and the values of every tensor for each sample.

    Parameters
    ----------
    rng : Generator
        Source of every choice.
    config : ChipConfig
        The chip that the network should fit; bounds sizes.
    name : str
        Of the network.
    """

    def __init__(self, rng: Generator, config: ChipConfig, name: str):
        self.rng, self.config, self.name = rng, config, name
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self.inputs: list[str] = []
        self.variables: dict[str, NDArray] = {}
        self.samples: list[dict[str, NDArray]] = [{} for _ in range(SAMPLES)]
        self.closed: set[str] = set()
        """Tensors that no further node may read: the compiler would refuse it."""
        self.tensor_bytes = config.activation_kib * 1024 // SHARE_OF_MEMORY
        self.made = 0

    @property
    def open(self) -> list[Tensor]:
        """Activations that a further node may read, in the order of their making."""
        return [
            tensor
            for name, tensor in self.tensors.items()
            if tensor.data is None and name in self.samples[0] and name not in self.closed
        ]

    def fits(
        self, *shapes: Sequence[int], weights: int = 0, macs: int = 0, dtype: np.dtype = INT8
    ) -> bool:
        """Whether tensors of these shapes, and a node of this size, are within bounds."""
        config = self.config
        for shape in shapes:
            _, height, width, channels = (1, 1, 1, 1, *shape)[-4:]
            words = -(-height // ACT_BANKS) * width * -(-channels // config.rows) * dtype.itemsize
            if min(shape) < 1 or ACT_BANKS * words * config.rows > self.tensor_bytes:
                return False
        return (
            weights <= config.mram_kib * 1024 // 16
            and macs <= config.macs_per_cycle * CYCLES_PER_NODE
        )

    def snapshot(self) -> tuple:
        """All that `restore` needs to forget what is added from now on."""
        return (
            dict(self.tensors), list(self.nodes), list(self.inputs), dict(self.variables),
            [dict(sample) for sample in self.samples], set(self.closed),
        )  # fmt: skip

    def restore(self, snapshot: tuple) -> None:
        """Return to an earlier state."""
        (
            self.tensors, self.nodes, self.inputs, self.variables, self.samples, self.closed,
        ) = snapshot  # fmt: skip

    def unique(self, stem: str) -> str:
        """A name that no tensor has."""
        self.made += 1
        return f"{stem}_{self.made - 1}"

    def add_input(
        self,
        shape: tuple[int, ...],
        quantization: Quantization | None = None,
        dtype: np.dtype = INT8,
    ) -> Tensor:
        """Add an input of the network, with values that are uniform or of a narrow range."""
        quantization = quantization or random_quantization(self.rng, dtype)
        tensor = Tensor(self.unique("input"), shape, dtype, quantization)
        self.tensors[tensor.name] = tensor
        self.inputs.append(tensor.name)
        for sample in self.samples:
            sample[tensor.name] = self.random_values(shape, dtype)
        return tensor

    def random_values(self, shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
        """Uniform values, or some that are close to one another."""
        rng, limits = self.rng, np.iinfo(dtype)
        if rng.integers(2):
            return rng.integers(limits.min, limits.max + 1, shape).astype(dtype)
        spread = int(np.exp2(rng.uniform(4, limits.bits)))
        centre = int(rng.integers(limits.min // 2, limits.max // 2 + 1))
        values = rng.integers(-spread, spread + 1, shape) + centre
        return np.clip(values, limits.min, limits.max).astype(dtype)

    def add_constant(
        self,
        stem: str,
        data: NDArray,
        scales: Sequence[float] | None = None,
        axis: int = 0,
        *,
        zero_point: int = 0,
        bits: int | None = None,
    ) -> Tensor:
        """Add a constant; with ``scales`` it is quantised."""
        quantization = None
        if scales is not None:
            quantization = Quantization(tuple(scales), (zero_point,) * len(scales), axis)
        tensor = Tensor(self.unique(stem), data.shape, data.dtype, quantization, data, bits)
        self.tensors[tensor.name] = tensor
        return tensor

    def add_variable(self, values: NDArray, quantization: Quantization) -> Tensor:
        """Add a tensor that lives on from run to run, and begins with ``values``."""
        tensor = Tensor(self.unique("variable"), values.shape, values.dtype, quantization)
        self.tensors[tensor.name] = tensor
        self.variables[tensor.name] = values
        return tensor

    def run(
        self, node: Node, operands: Sequence[Tensor | None], outputs: Sequence[Tensor]
    ) -> list[dict[str, NDArray]]:
        """Values of ``outputs`` for each sample; a variable that the node has lives on."""
        present = [tensor for tensor in operands if tensor is not None]
        inputs = [t.name for t in present if t.data is None and t.name not in self.variables]
        extra = {name: self.tensors[name] for name in node.attributes.get("intermediates", ())}
        graph = Graph(
            name=self.name,
            tensors=extra | {tensor.name: tensor for tensor in (*present, *outputs)},
            nodes=[node],
            inputs=list(dict.fromkeys(inputs)),
            outputs=[output.name for output in outputs],
            variables={t.name: self.variables[t.name] for t in present if t.name in self.variables},
        )
        layers, state = legalize(graph), {}
        return [
            run_golden(graph, layers, {name: sample[name] for name in graph.inputs}, state=state)
            for sample in self.samples
        ]

    def add_node(
        self,
        op: str,
        operands: Sequence[Tensor | None],
        shape: tuple[int, ...],
        attributes: dict[str, Any] | None = None,
        quantization: Quantization | None = None,
        *,
        dtype: np.dtype | None = None,
        start: float | None = None,
    ) -> Tensor:
        """Add an operator and return its one output.

        Without ``quantization`` the output's is calibrated: scaled so that the values of all
        samples take up about the range of its type, which is that of the first activation unless
        ``dtype`` says otherwise.  ``start`` is the scale to begin with.
        """
        (output,) = self.add_outputs(
            op, operands, [shape], attributes, quantization, dtype=dtype, start=start
        )
        return output

    def add_outputs(
        self,
        op: str,
        operands: Sequence[Tensor | None],
        shapes: Sequence[tuple[int, ...]],
        attributes: dict[str, Any] | None = None,
        quantization: Quantization | None = None,
        *,
        dtype: np.dtype | None = None,
        start: float | None = None,
    ) -> list[Tensor]:
        """Add an operator with any number of outputs, all of one quantisation: see `add_node`."""
        present = [tensor for tensor in operands if tensor is not None]
        if dtype is None:
            dtype = next(t.dtype for t in present if t.data is None)
        names = tuple(self.unique(op.lower()) for _ in shapes)
        node = Node(
            op=op,
            name=f"{op.lower()}_{len(self.nodes)}",
            inputs=tuple(None if tensor is None else tensor.name for tensor in operands),
            outputs=names,
            attributes=attributes or {},
        )
        outputs = [
            Tensor(name, tuple(shape), dtype, quantization)
            for name, shape in zip(names, shapes, strict=True)
        ]
        if quantization is None and outputs:
            (output,) = outputs

            def trial(node: Node, output: Tensor) -> list[NDArray]:
                return [values[output.name] for values in self.run(node, operands, [output])]

            start = starting_scale(present, output) if start is None else start
            fitted = calibrate(self.rng, node, output, trial, start)
            outputs = [Tensor(output.name, output.shape, dtype, fitted)]
        if outputs:
            for sample, values in zip(self.samples, self.run(node, operands, outputs), strict=True):
                sample.update(values)
        self.tensors |= {output.name: output for output in outputs}
        self.nodes.append(node)
        return outputs

    def finish(self) -> tuple[Graph, list[dict[str, NDArray]]]:
        """Return the network and its inputs; outputs are what no node reads, and a few others.

        What was drawn for a node that then did not fit, and inputs that nothing reads, are left
        away.
        """
        read = {name for node in self.nodes for name in node.inputs}
        written = [name for node in self.nodes for name in node.outputs]
        outputs = [n for n in written if n not in read or self.rng.random() < 1 / 16]
        outputs = outputs or written[-1:]  # where a variable takes what nothing else reads
        used = {*read, *written}
        for node in self.nodes:
            used.update(node.attributes.get("intermediates", ()))
        inputs = [name for name in self.inputs if name in used]
        tensors = {name: tensor for name, tensor in self.tensors.items() if name in used}
        variables = {name: values for name, values in self.variables.items() if name in used}
        graph = Graph(self.name, tensors, list(self.nodes), inputs, outputs, variables=variables)
        samples = [{name: sample[name] for name in inputs} for sample in self.samples]
        for _ in range(SAMPLES_OF_STATE if variables else 0):
            samples.append(
                {n: self.random_values(tensors[n].shape, tensors[n].dtype) for n in inputs}
            )
        return graph, samples
