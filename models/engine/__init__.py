"""Golden model of the neural engine: TensorFlow Lite Micro's int8 reference kernels, bit for bit.

Activations are ``int8`` arrays without the batch dimension, ``(H, W, C)``; every function is pure.
Scales are integers throughout: a Q0.31 multiplier and a power-of-two shift, see
`models.fixedpoint.multiply_by_quantized_multiplier`.
"""

from models.engine.activations import logistic_table, tanh_table
from models.engine.convolution import (
    conv2d,
    depthwise_conv2d,
    fully_connected,
    transpose_conv2d,
)
from models.engine.elementwise import add, combine, look_up, multiply, pad, rescale
from models.engine.movement import concatenate, mean, resize_nearest, strided_slice
from models.engine.pooling import average_pool2d, max_pool2d, reciprocal
from models.engine.requantization import requantize
from models.engine.softmax import softmax, softmax_exponentials, softmax_reciprocal

__all__ = [
    "add",
    "average_pool2d",
    "combine",
    "concatenate",
    "conv2d",
    "depthwise_conv2d",
    "fully_connected",
    "logistic_table",
    "look_up",
    "max_pool2d",
    "mean",
    "multiply",
    "pad",
    "reciprocal",
    "requantize",
    "rescale",
    "resize_nearest",
    "softmax",
    "softmax_exponentials",
    "softmax_reciprocal",
    "strided_slice",
    "tanh_table",
    "transpose_conv2d",
]
