"""Post-training quantisation of the digit network to int8, by the rules of TFLite.

Activations have one scale and zero point a tensor, from the smallest and largest value on the
calibration images; weights are symmetric with one scale an output channel; biases are int32 at the
product of both scales.
"""

import math

import numpy as np
from numpy.typing import NDArray

from mmsp.graph import Graph, Node, Quantization, Tensor
from mmsp.zoo.network import DEPTHWISE_RANK, forward

__all__ = ["quantize_network"]

Array = NDArray[np.float64]

INT8 = np.dtype(np.int8)
INT8_MINIMUM, INT8_MAXIMUM, INT8_STEPS = -128, 127, 255
LARGEST_WEIGHT = 127
"""-128 is left out, so that the range of a weight is symmetric."""

IMAGE = Quantization((float(np.float32(1 / 255)),), (-128,))
"""Of the input, whose reals are 0 to 1: a grey value of 0..255 minus 128."""

PROBABILITY = Quantization((1 / 256,), (-128,))
"""What the int8 SOFTMAX of TFLite always gives."""

NO_PADDING = ((0, 0), (0, 0))
SAME_PADDING = ((1, 1), (1, 1))
UNIT, HALF = (1, 1), (2, 2)


def round_half_away(values: Array) -> Array:
    """Round to integers, halves away from zero, as TFLite does."""
    return np.copysign(np.floor(np.abs(values) + 0.5), values)


def activation_quantization(values: Array) -> Quantization:
    """Scale and zero point that cover ``values`` and represent 0 exactly."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    scale = float(np.float32((high - low) / INT8_STEPS))
    zero_point = round_half_away(np.array([INT8_MINIMUM - low / scale]))
    return Quantization((scale,), (int(zero_point[0]),))


class Quantizer:
    """Builds the graph, node after node."""

    def __init__(self, parameters: dict[str, Array], calibration: Array):
        self.parameters = parameters
        self.floats = forward(parameters, calibration)
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []

    def activation(self, name: str, quantization: Quantization, shape: tuple[int, ...] = ()) -> str:
        """Add the tensor ``name``; by default it has the shape of the float one."""
        shape = shape or (1, *self.floats[name].shape[1:])
        self.tensors[name] = Tensor(name, shape, INT8, quantization)
        return name

    def calibrated(self, name: str, shape: tuple[int, ...] = ()) -> str:
        """Add the tensor ``name`` with a scale from its range."""
        return self.activation(name, activation_quantization(self.floats[name]), shape)

    def like(self, name: str, source: str, shape: tuple[int, ...] = ()) -> str:
        """Add the tensor ``name`` with the scale of ``source``: nothing is rescaled on the way."""
        quantization = self.tensors[source].quantization
        assert quantization is not None  # every activation has one
        return self.activation(name, quantization, shape)

    def node(self, op: str, inputs: tuple[str, ...], output: str, **attributes: object) -> None:
        """Add a node."""
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(Node(op, name, inputs, (output,), attributes))

    def constants(self, source: str, name: str, layout: tuple[int, ...]) -> tuple[str, str]:
        """Add weights and bias of ``name``; ``layout`` permutes ``(kh, kw, Cin, Cout)``.

        The last dimension of the float weights is the output channel.
        """
        weights = self.parameters[name]
        depthwise = weights.ndim == DEPTHWISE_RANK
        largest = np.abs(weights).reshape(-1, weights.shape[-1]).max(axis=0)
        scales = (largest / LARGEST_WEIGHT).astype(np.float32).astype(np.float64)
        quantized = round_half_away(weights / scales)
        quantized = np.clip(quantized, -LARGEST_WEIGHT, LARGEST_WEIGHT).astype(np.int8)
        if depthwise:
            quantized = quantized[:, :, None]
        quantized = np.ascontiguousarray(quantized.transpose(layout))

        input_quantization = self.tensors[source].quantization
        assert input_quantization is not None  # every activation has one
        # As TFLite stores it: the product of two float32, rounded to float32.
        products = np.float32(input_quantization.scale[0]) * scales.astype(np.float32)
        bias_scales = products.astype(np.float64)
        bias = round_half_away(self.parameters[f"{name}_bias"] / bias_scales).astype(np.int32)
        axis = layout.index(len(layout) - 1)
        for suffix, data, channel_scales, channel_axis in (
            ("weights", quantized, scales, axis),
            ("bias", bias, bias_scales, 0),
        ):
            quantization = Quantization(
                tuple(channel_scales.tolist()), (0,) * len(channel_scales), channel_axis
            )
            key = f"{name}/{suffix}"
            self.tensors[key] = Tensor(key, data.shape, data.dtype, quantization, data)
        return f"{name}/weights", f"{name}/bias"

    def convolution(self, source: str, name: str, activation: str = "RELU") -> str:
        """Add a convolution of stride 1 with padding SAME."""
        height, _, *channels = self.parameters[name].shape
        attributes = {
            "activation": activation,
            "stride": UNIT,
            "dilation": UNIT,
            "padding": SAME_PADDING if height > 1 else NO_PADDING,
        }
        depthwise = len(channels) == 1
        layout = (2, 0, 1, 3) if depthwise else (3, 0, 1, 2)
        operands = (source, *self.constants(source, name, layout))
        output = self.calibrated(name)
        if depthwise:
            self.node("DEPTHWISE_CONV_2D", operands, output, **attributes, depth_multiplier=1)
        else:
            self.node("CONV_2D", operands, output, **attributes)
        return output

    def pool(self, op: str, source: str, name: str) -> str:
        """Add a 2x2 pooling of stride 2."""
        output = self.like(name, source)
        self.node(
            op, (source,), output,
            activation="NONE", stride=HALF, kernel=HALF, padding=NO_PADDING,
        )  # fmt: skip
        return output

    def scores(self, source: str, name: str) -> str:
        """Add the fully connected layer, whose weights are ``(Cout, Cin)``."""
        operands = (source, *self.constants(source, name, (3, 0, 1, 2)))
        weights = self.tensors[operands[1]]
        assert weights.data is not None  # just made
        matrix = weights.data.reshape(len(weights.data), -1)
        self.tensors[weights.name] = Tensor(
            weights.name, matrix.shape, INT8, weights.quantization, matrix
        )
        output = self.calibrated(name, (1, len(matrix)))
        self.node(
            "FULLY_CONNECTED", operands, output,
            activation="NONE", weights_format="DEFAULT", keep_dimensions=False,
        )  # fmt: skip
        return output

    def reshape(self, source: str, name: str) -> str:
        """Add a reshape to one row."""
        shape = (1, math.prod(self.tensors[source].shape))
        constant = np.array(shape, np.int32)
        key = f"{name}/shape"
        self.tensors[key] = Tensor(key, constant.shape, constant.dtype, None, constant)
        output = self.like(name, source, shape)
        self.node("RESHAPE", (source, key), output, new_shape=shape)
        return output


def quantize_network(parameters: dict[str, Array], calibration: Array) -> Graph:
    """Return the int8 graph of the network with ``parameters``.

    Parameters
    ----------
    parameters : dict
        As `mmsp.zoo.network.initial_parameters` makes them, trained.
    calibration : ndarray, shape (N, 8, 8, 1)
        Training images, 0 to 1: the ranges of all tensors come from these.
    """
    q = Quantizer(parameters, calibration)
    image = q.activation("image", IMAGE)
    stem = q.convolution(image, "stem")
    inner = q.convolution(stem, "depthwise_1")
    inner = q.convolution(inner, "pointwise_1", activation="NONE")
    residual = q.calibrated("residual")
    q.node("ADD", (stem, inner), residual, activation="RELU")
    pooled = q.pool("MAX_POOL_2D", residual, "pooled")
    outer = q.convolution(pooled, "depthwise_2")
    outer = q.convolution(outer, "pointwise_2")
    averaged = q.pool("AVERAGE_POOL_2D", outer, "averaged")
    scores = q.scores(q.reshape(averaged, "features"), "scores")
    labels = q.activation("probabilities", PROBABILITY, q.tensors[scores].shape)
    q.node("SOFTMAX", (scores,), labels, beta=1.0)
    return Graph("digits", q.tensors, q.nodes, [image], [labels])
