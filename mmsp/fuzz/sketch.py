"""A network under construction: every new tensor is run at once, and gets a scale that suits it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hdl.config import ACT_BANKS, ChipConfig
from mmsp.compiler.legalize import legalize
from mmsp.golden import run_golden
from mmsp.graph import Graph, Node, Quantization, Tensor

__all__ = ["MAX_NODES", "Sketch", "random_quantization", "random_zero_point"]

INT8 = np.dtype(np.int8)
MAX_NODES = 12
SAMPLES = 2
"""Sets of inputs that a network is calibrated with and judged by."""

TRIALS = 8
"""Scales tried until the outputs of a node fill the int8 range."""
FEW_SATURATED = 0.01

CYCLES_PER_NODE = 20_000
"""Bound of what a node may cost on the chip when the multipliers are always busy."""


def random_zero_point(rng: Generator) -> int:
    """One of the corners that quantisers produce, or any."""
    return int(rng.choice([-128, 127, 0])) if rng.integers(3) == 0 else int(rng.integers(-128, 128))


def random_quantization(rng: Generator) -> Quantization:
    """Scale (log-uniform) and zero point of an activation."""
    return Quantization((float(np.float32(2.0 ** rng.uniform(-10, 2))),), (random_zero_point(rng),))


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
        self.samples: list[dict[str, NDArray]] = [{} for _ in range(SAMPLES)]
        self.closed: set[str] = set()
        """Tensors that no further node may read: the compiler would refuse it."""

    @property
    def open(self) -> list[Tensor]:
        """Activations that a further node may read, in the order of their making."""
        return [
            tensor
            for name, tensor in self.tensors.items()
            if tensor.data is None and name not in self.closed
        ]

    def fits(self, *shapes: Sequence[int], weights: int = 0, macs: int = 0) -> bool:
        """Whether tensors of these shapes, and a node of this size, are within bounds."""
        config = self.config
        memory = config.activation_kib * 1024 // 6
        for shape in shapes:
            _, height, width, channels = (1, 1, 1, 1, *shape)[-4:]
            words = -(-height // ACT_BANKS) * width * -(-channels // config.rows)
            if min(shape) < 1 or ACT_BANKS * words * config.rows > memory:
                return False
        return (
            weights <= config.mram_kib * 1024 // 16
            and macs <= config.macs_per_cycle * CYCLES_PER_NODE
        )

    def unique(self, stem: str) -> str:
        """A name that no tensor has."""
        return f"{stem}_{len(self.tensors)}"

    def add_input(self, shape: tuple[int, ...], quantization: Quantization | None = None) -> Tensor:
        """Add an input of the network, with values that are uniform or of a narrow range."""
        rng = self.rng
        quantization = quantization or random_quantization(rng)
        tensor = Tensor(self.unique("input"), shape, INT8, quantization)
        self.tensors[tensor.name] = tensor
        self.inputs.append(tensor.name)
        for sample in self.samples:
            spread = int(np.exp2(rng.uniform(4, 8)))
            values = rng.integers(-spread, spread + 1, shape) + int(rng.integers(-64, 65))
            uniform = rng.integers(-128, 128, shape)
            values = uniform if rng.integers(2) else np.clip(values, -128, 127)
            sample[tensor.name] = values.astype(np.int8)
        return tensor

    def add_constant(
        self, stem: str, data: NDArray, scales: Sequence[float] | None = None, axis: int = 0
    ) -> Tensor:
        """Add a constant; with ``scales`` it is quantised with zero points of 0."""
        quantization = None
        if scales is not None:
            quantization = Quantization(tuple(scales), (0,) * len(scales), axis)
        tensor = Tensor(self.unique(stem), data.shape, data.dtype, quantization, data)
        self.tensors[tensor.name] = tensor
        return tensor

    def run(self, node: Node, operands: Sequence[Tensor], output: Tensor) -> list[NDArray]:
        """Values of ``output`` for each sample."""
        activations = [tensor.name for tensor in operands if tensor.data is None]
        graph = Graph(
            name=self.name,
            tensors={tensor.name: tensor for tensor in (*operands, output)},
            nodes=[node],
            inputs=list(dict.fromkeys(activations)),
            outputs=[output.name],
        )
        layers = legalize(graph)
        return [
            run_golden(graph, layers, {name: sample[name] for name in graph.inputs})[output.name]
            for sample in self.samples
        ]

    def add_node(
        self,
        op: str,
        operands: Sequence[Tensor],
        shape: tuple[int, ...],
        attributes: dict[str, Any],
        quantization: Quantization | None = None,
    ) -> Tensor:
        """Add an operator and return its output.

        Without ``quantization`` the output's is calibrated: scaled so that the values of all
        samples take up about the range of int8.
        """
        name = self.unique(op.lower())
        node = Node(
            op=op,
            name=f"{op.lower()}_{len(self.nodes)}",
            inputs=tuple(tensor.name for tensor in operands),
            outputs=(name,),
            attributes=attributes,
        )
        quantization = quantization or self.calibrate(node, operands, shape)
        output = Tensor(name, shape, INT8, quantization)
        values = self.run(node, operands, output)
        self.tensors[name] = output
        self.nodes.append(node)
        for sample, array in zip(self.samples, values, strict=True):
            sample[name] = array
        return output

    def calibrate(
        self, node: Node, operands: Sequence[Tensor], shape: tuple[int, ...]
    ) -> Quantization:
        """Scale and zero point with which the output of a node fills int8, more or less."""
        rng = self.rng
        trial = Node(
            node.op, node.name, node.inputs, node.outputs, node.attributes | {"activation": "NONE"}
        )
        scale, low, high = starting_scale(operands), -1, 1
        for _ in range(TRIALS):
            quantization = Quantization((float(np.float32(scale)),), (0,))
            output = Tensor(node.outputs[0], shape, INT8, quantization)
            values = np.stack(self.run(trial, operands, output))
            low, high = min(int(values.min()), 0), max(int(values.max()), 0)
            if np.mean((values == values.min()) | (values == values.max())) > FEW_SATURATED and (
                low == -128 or high == 127  # noqa: PLR2004  (the ends of int8)
            ):
                scale *= 8
            elif 0 < max(high, -low) < 32:  # noqa: PLR2004  (a quarter of the range)
                scale /= 128 / (max(high, -low) + 1)
            else:
                break
        # The final range is that of the values, or half or twice as wide.
        step = scale * max(high - low, 1) / 255 * 2.0 ** rng.uniform(-1, 1)
        step = float(np.float32(np.clip(step, 2.0**-20, 2.0**20)))
        zero = -128 - round(low * scale / step) + int(rng.integers(-20, 21))
        if rng.integers(8) == 0:
            zero = random_zero_point(rng)
        return Quantization((step,), (int(np.clip(zero, -128, 127)),))

    def finish(self) -> Graph:
        """Return the graph; outputs are what no node reads, and a few others."""
        read = {name for node in self.nodes for name in node.inputs}
        written = [node.outputs[0] for node in self.nodes]
        outputs = [n for n in written if n not in read or self.rng.random() < 1 / 16]
        return Graph(self.name, dict(self.tensors), list(self.nodes), list(self.inputs), outputs)


def starting_scale(operands: Sequence[Tensor]) -> float:
    """Scale to begin calibration with: about right for values that are not correlated."""
    source = operands[0].quantization
    assert source is not None, "every activation is quantised"
    if len(operands) > 1 and operands[1].data is not None:
        weights = operands[1]
        assert weights.data is not None, "the second operand is a constant"
        assert weights.quantization is not None, "of weights, which have a scale"
        taps = weights.size / max(
            weights.shape[0], weights.shape[-1] if weights.shape[0] == 1 else 1
        )
        spread = (float(np.abs(weights.data.astype(np.int32)).mean()) + 1) * math.sqrt(taps)
        return source.scale[0] * max(weights.quantization.scale) * spread
    return 2 * max(t.quantization.scale[0] for t in operands if t.quantization is not None)
