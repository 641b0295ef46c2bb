"""One representative network for each operator, and what it costs on the chip.

The table of docs/engine.md is made of these figures, and a test holds it to them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hdl.config import ChipConfig
from mmsp.graph import Graph, Node, Quantization, Tensor
from mmsp.importers.operator_options import same_padding
from mmsp.inputs import random_batch
from mmsp.simulator.simulator import Simulator

__all__ = ["CASES", "Case", "Cost", "cost_of"]

SEED = 1
NONE = {"activation": "NONE"}


@dataclass(frozen=True)
class Case:
    """An operator on a typical shape: what it is called, what is special, and the network."""

    op: str
    what: str
    graph: Callable[[], Graph]


@dataclass(frozen=True)
class Cost:
    """Cycles from start to done, cold cache; products and output elements of the definition."""

    cycles: int
    macs: int
    elements: int

    @property
    def rate(self) -> str:
        """Products a cycle where there are any, or elements a cycle."""
        if self.macs:
            return f"{self.macs / self.cycles:.1f} MAC/cycle"
        return f"{self.elements / self.cycles:.2f} elements/cycle"


def cost_of(case: Case, config: ChipConfig) -> Cost:
    """Run a case on the simulated chip."""
    graph = case.graph()
    with Simulator(graph, config) as simulator:
        result = simulator.run(random_batch(simulator.description.inputs, SEED))
    elements = sum(graph.tensors[name].size for name in graph.outputs)
    return Cost(result.cycles, result.macs, elements)


def activation(
    name: str, shape: Sequence[int], dtype: type = np.int8, *, scale: float = 0.05, zero: int = 0
) -> Tensor:
    """A tensor between operators."""
    return Tensor(name, tuple(shape), np.dtype(dtype), Quantization((scale,), (zero,)))


def constant(name: str, values: Any, scale: float | None = None) -> Tensor:
    """A constant tensor."""
    data = np.asarray(values)
    quantization = None if scale is None else Quantization((scale,), (0,))
    return Tensor(name, data.shape, data.dtype, quantization, data)


def weights(shape: Sequence[int], limit: int = 127) -> Tensor:
    """Random weights of one scale."""
    rng = np.random.default_rng(SEED)
    return constant("weights", rng.integers(-limit, limit + 1, shape).astype(np.int8), 0.01)


def one_node(
    op: str,
    inputs: Sequence[Tensor | None],
    output: Sequence[Tensor] | Tensor,
    attributes: dict[str, Any],
) -> Graph:
    """A graph of one node."""
    outputs = [output] if isinstance(output, Tensor) else list(output)
    return Graph(
        name=op.lower(),
        tensors={tensor.name: tensor for tensor in (*inputs, *outputs) if tensor is not None},
        nodes=[
            Node(
                op=op,
                name=f"{op.lower()}_0",
                inputs=tuple(None if tensor is None else tensor.name for tensor in inputs),
                outputs=tuple(tensor.name for tensor in outputs),
                attributes=attributes,
            )
        ],
        inputs=[tensor.name for tensor in inputs if tensor is not None and tensor.data is None],
        outputs=[tensor.name for tensor in outputs],
    )


def convolution(
    size: tuple[int, int, int], filters: int, kernel: tuple[int, int], *,
    stride: tuple[int, int] = (1, 1), multiplier: int = 0, dtype: type = np.int8,
    limit: int = 127,
) -> Graph:  # fmt: skip
    """CONV_2D with padding SAME; with ``multiplier`` DEPTHWISE_CONV_2D."""
    height, width, channels = size
    out = [-(-n // s) for n, s in zip((height, width), stride, strict=True)]
    filters = channels * multiplier if multiplier else filters
    shape = (1, *kernel, filters) if multiplier else (filters, *kernel, channels)
    operands = [activation("input", (1, *size), dtype), weights(shape, limit)]
    if dtype is np.int16:
        operands.append(constant("bias", np.zeros(filters, np.int64), 0.05 * 0.01))
    attributes = {
        **NONE, "stride": stride, "dilation": (1, 1),
        "padding": same_padding((height, width), kernel, stride, (1, 1)),
    }  # fmt: skip
    if multiplier:
        attributes["depth_multiplier"] = multiplier
    op = "DEPTHWISE_CONV_2D" if multiplier else "CONV_2D"
    return one_node(op, operands, activation("output", (1, *out, filters), dtype), attributes)


def fully_connected(depth: int, outputs: int, limit: int = 127) -> Graph:
    """FULLY_CONNECTED of one row."""
    operands = [activation("input", (1, depth)), weights((outputs, depth), limit)]
    attributes = {**NONE, "weights_format": "DEFAULT", "keep_dimensions": False}
    return one_node("FULLY_CONNECTED", operands, activation("output", (1, outputs)), attributes)


def transposed(size: tuple[int, int, int], filters: int) -> Graph:
    """TRANSPOSE_CONV of 4x4, stride 2, padding SAME."""
    height, width, channels = size
    shape = (1, 2 * height, 2 * width, filters)
    operands = [
        constant("shape", np.array(shape, np.int32)),
        weights((filters, 4, 4, channels)),
        activation("input", (1, *size)),
    ]
    attributes = {**NONE, "stride": (2, 2), "padding": ((1, 1), (1, 1))}
    return one_node("TRANSPOSE_CONV", operands, activation("output", shape), attributes)


IMAGE = (1, 16, 16, 64)


def binary(op: str, dtype: type = np.int8, second: tuple[int, ...] = IMAGE) -> Graph:
    """Two operands."""
    operands = [activation("a", IMAGE, dtype), activation("b", second, dtype)]
    attributes = {} if op in ("MAXIMUM", "MINIMUM") else NONE
    return one_node(op, operands, activation("output", IMAGE, dtype), attributes)


def unary(
    op: str, dtype: type = np.int8, *, scale: float = 0.05, zero: int = 0,
    output: type | None = None, **attributes: Any,
) -> Graph:  # fmt: skip
    """One operand, element by element."""
    result = activation("output", IMAGE, output or dtype, scale=scale, zero=zero)
    return one_node(op, [activation("input", IMAGE, dtype)], result, attributes)


def pool(op: str) -> Graph:
    """2x2, stride 2."""
    attributes = {**NONE, "kernel": (2, 2), "stride": (2, 2), "padding": ((0, 0), (0, 0))}
    return one_node(
        op, [activation("input", IMAGE)], activation("output", (1, 8, 8, 64)), attributes
    )


def shaped(op: str, values: Any, shape: Sequence[int], **attributes: Any) -> Graph:
    """One operand and a constant that says where its elements go."""
    operands = [activation("input", IMAGE), constant("values", np.array(values, np.int32))]
    return one_node(op, operands, activation("output", shape), attributes)


def strided_slice() -> Graph:
    """Every second pixel."""
    names = {"begin": [0, 0, 0, 0], "end": [1, 16, 16, 64], "strides": [1, 2, 2, 1]}
    constants = [constant(name, np.array(values, np.int32)) for name, values in names.items()]
    masks = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    return one_node(
        "STRIDED_SLICE", [activation("input", IMAGE), *constants],
        activation("output", (1, 8, 8, 64)), {**dict.fromkeys(masks, 0), "offset": False},
    )  # fmt: skip


def joined(channels: tuple[int, int]) -> Graph:
    """Two images, channel to channel."""
    parts = [activation(f"part_{i}", (1, 16, 16, n)) for i, n in enumerate(channels)]
    output = activation("output", (1, 16, 16, sum(channels)))
    return one_node("CONCATENATION", parts, output, {**NONE, "axis": 3})


def split() -> Graph:
    """Two halves."""
    operands = [constant("axis", np.array([3], np.int32)), activation("input", IMAGE)]
    outputs = [activation(f"output_{i}", (1, 16, 16, 32)) for i in range(2)]
    return one_node("SPLIT", operands, outputs, {"num_splits": 2})


def prelu() -> Graph:
    """A slope for each channel."""
    slopes = constant("alpha", np.arange(-32, 32, dtype=np.int8).reshape(1, 1, 64), 0.01)
    return one_node("PRELU", [activation("input", IMAGE), slopes], activation("output", IMAGE), {})


def softmax() -> Graph:
    """Twelve classes."""
    output = activation("output", (1, 12), scale=1 / 256, zero=-128)
    return one_node("SOFTMAX", [activation("input", (1, 12))], output, {"beta": 1.0})


CASES: tuple[Case, ...] = (
    Case("CONV_2D", "3x3, 64 to 64 channels, 16x16", lambda: convolution((16, 16, 64), 64, (3, 3))),
    Case("CONV_2D", "1x1, 128 to 128 channels, 12x12",
         lambda: convolution((12, 12, 128), 128, (1, 1))),
    Case("CONV_2D", "3x3 on 3 channels, 32x32", lambda: convolution((32, 32, 3), 16, (3, 3))),
    Case("CONV_2D", "int16 activations, 3x3, 64 to 64, 16x16",
         lambda: convolution((16, 16, 64), 64, (3, 3), dtype=np.int16)),
    Case("DEPTHWISE_CONV_2D", "3x3, 64 channels, 24x24",
         lambda: convolution((24, 24, 64), 0, (3, 3), multiplier=1)),
    Case("DEPTHWISE_CONV_2D", "3x3, stride 2, 32 channels, 48x48",
         lambda: convolution((48, 48, 32), 0, (3, 3), stride=(2, 2), multiplier=1)),
    Case("DEPTHWISE_CONV_2D", "9x1, 32 channels, 48x1",
         lambda: convolution((48, 1, 32), 0, (9, 1), multiplier=1)),
    Case("DEPTHWISE_CONV_2D", "3x3, multiplier 2, 32 channels, 24x24",
         lambda: convolution((24, 24, 32), 0, (3, 3), multiplier=2)),
    Case("TRANSPOSE_CONV", "4x4, stride 2, 64 to 32 channels, 8x8",
         lambda: transposed((8, 8, 64), 32)),
    Case("FULLY_CONNECTED", "640 to 128", lambda: fully_connected(640, 128)),
    Case("FULLY_CONNECTED", "640 to 128, int4 weights", lambda: fully_connected(640, 128, 7)),
    Case("ADD", "16x16x64", lambda: binary("ADD")),
    Case("ADD", "int16, 16x16x64", lambda: binary("ADD", np.int16)),
    Case("SUB", "16x16x64", lambda: binary("SUB")),
    Case("MUL", "16x16x64", lambda: binary("MUL")),
    Case("MUL", "16x16x64 by 64 channels", lambda: binary("MUL", second=(1, 1, 1, 64))),
    Case("MAXIMUM", "16x16x64", lambda: binary("MAXIMUM")),
    Case("MINIMUM", "16x16x64", lambda: binary("MINIMUM")),
    Case("AVERAGE_POOL_2D", "2x2, 16x16x64", lambda: pool("AVERAGE_POOL_2D")),
    Case("MAX_POOL_2D", "2x2, 16x16x64", lambda: pool("MAX_POOL_2D")),
    Case("MEAN", "16x16x64 to 64",
         lambda: shaped("MEAN", [1, 2], (1, 64), keep_dims=False)),
    Case("SUM", "16x16x64 to 64", lambda: shaped("SUM", [1, 2], (1, 64), keep_dims=False)),
    Case("PAD", "16x16x64 by 1", lambda: shaped("PAD", [[0, 0], [1, 1], [1, 1], [0, 0]],
                                                (1, 18, 18, 64))),
    Case("CONCATENATION", "32 and 32 channels, 16x16", lambda: joined((32, 32))),
    Case("CONCATENATION", "20 and 20 channels, 16x16", lambda: joined((20, 20))),
    Case("SPLIT", "64 channels in halves, 16x16", split),
    Case("STRIDED_SLICE", "every second pixel of 16x16x64", strided_slice),
    Case("TRANSPOSE", "16x16x64, channels first",
         lambda: shaped("TRANSPOSE", [0, 3, 1, 2], (1, 64, 16, 16))),
    Case("RESIZE_NEAREST_NEIGHBOR", "16x16x64 to 32x32",
         lambda: shaped("RESIZE_NEAREST_NEIGHBOR", [32, 32], (1, 32, 32, 64),
                        align_corners=False, half_pixel_centers=False)),
    Case("SOFTMAX", "12 values", softmax),
    Case("LOGISTIC", "16x16x64", lambda: unary("LOGISTIC", scale=1 / 256, zero=-128)),
    Case("LOGISTIC", "int16, 16x16x64",
         lambda: unary("LOGISTIC", np.int16, scale=1 / 32768)),
    Case("TANH", "16x16x64", lambda: unary("TANH", scale=1 / 128)),
    Case("RELU", "16x16x64", lambda: unary("RELU")),
    Case("RELU6", "16x16x64", lambda: unary("RELU6")),
    Case("RELU_N1_TO_1", "16x16x64", lambda: unary("RELU_N1_TO_1")),
    Case("LEAKY_RELU", "16x16x64", lambda: unary("LEAKY_RELU", alpha=0.1)),
    Case("PRELU", "16x16x64", prelu),
    Case("QUANTIZE", "int8 to int8, 16x16x64", lambda: unary("QUANTIZE", scale=0.03, zero=5)),
    Case("QUANTIZE", "int8 to int16, 16x16x64",
         lambda: unary("QUANTIZE", scale=0.001, output=np.int16)),
)  # fmt: skip
"""In the order of the table."""
