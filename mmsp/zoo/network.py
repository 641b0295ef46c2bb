"""The digit network in floating point: forward, and backward by hand.

Images are ``(N, H, W, C)``.  Every intermediate tensor has a name, under which `forward` returns
it: training needs them for the gradients, quantisation for their ranges.

    image 8x8x1 - stem 3x3 - depthwise_1 3x3 - pointwise_1 1x1 - residual (+ stem) - pooled 2x2
    - depthwise_2 3x3 - pointwise_2 1x1 - averaged 2x2 - features 128 - scores 10
"""

import numpy as np
from numpy.typing import NDArray

from mmsp.zoo.exact import exact_matmul, exact_sum, exponential, on_grid

__all__ = ["SHAPES", "backward", "forward", "initial_parameters", "probabilities"]

Array = NDArray[np.float64]
Tensors = dict[str, Array]

SHAPES: dict[str, tuple[int, ...]] = {
    "stem": (3, 3, 1, 16),
    "depthwise_1": (3, 3, 16),
    "pointwise_1": (1, 1, 16, 16),
    "depthwise_2": (3, 3, 16),
    "pointwise_2": (1, 1, 16, 32),
    "scores": (1, 1, 128, 10),
}
"""Shapes of the weights by the tensor that they make: ``(kh, kw, Cin, Cout)``, or ``(kh, kw, C)``
where every channel is convolved for itself.  Each has a bias for every output channel."""

DEPTHWISE_RANK = 3


def initial_parameters(rng: np.random.Generator) -> Tensors:
    """Weights (He, uniform) and zero biases, under ``<name>`` and ``<name>_bias``."""
    parameters = {}
    for name, shape in SHAPES.items():
        taps = int(np.prod(shape[:-1] if len(shape) > DEPTHWISE_RANK else shape[:2]))
        # Scaled here: in one step with the drawing, some machines would round only once.
        parameters[name] = (2.0 * rng.random(shape) - 1.0) * float(np.sqrt(6.0 / taps))
        parameters[f"{name}_bias"] = np.zeros(shape[-1])
    return parameters


def patches(x: Array, height: int, width: int) -> Array:
    """Windows of a stride of 1 with padding SAME: ``(N, H, W, kh, kw, C)``."""
    padded = np.pad(x, ((0, 0), (height // 2,) * 2, (width // 2,) * 2, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
    return windows.transpose(0, 1, 2, 4, 5, 3)


def convolve(x: Array, weights: Array, bias: Array) -> Array:
    """Convolution of all channels together, padding SAME."""
    height, width, depth, channels = weights.shape
    columns = patches(x, height, width).reshape(-1, height * width * depth)
    return exact_matmul(columns, weights.reshape(-1, channels)).reshape(*x.shape[:3], -1) + bias


def convolve_backward(x: Array, weights: Array, gradient: Array) -> tuple[Array, Array, Array]:
    """Gradients of input, weights and bias."""
    height, width, depth, channels = weights.shape
    columns = patches(x, height, width).reshape(-1, height * width * depth)
    of_weights = exact_matmul(columns.T, gradient.reshape(-1, channels)).reshape(weights.shape)
    flipped = weights[::-1, ::-1].transpose(0, 1, 3, 2)
    return convolve(gradient, flipped, np.zeros(depth)), of_weights, exact_sum(gradient)


def convolve_depthwise(x: Array, weights: Array, bias: Array) -> Array:
    """Convolution of every channel for itself, padding SAME."""
    height, width, _ = weights.shape
    windows = patches(x, height, width)
    result = np.broadcast_to(bias, x.shape)
    for row, column in np.ndindex(height, width):
        result = result + windows[..., row, column, :] * weights[row, column]
    return result


def convolve_depthwise_backward(
    x: Array, weights: Array, gradient: Array
) -> tuple[Array, Array, Array]:
    """Gradients of input, weights and bias."""
    height, width, channels = weights.shape
    windows, on_output = patches(on_grid(x), height, width), on_grid(gradient)
    of_weights = np.empty_like(weights)
    for row, column in np.ndindex(height, width):
        products = windows[..., row, column, :] * on_output
        of_weights[row, column] = products.reshape(-1, channels).sum(axis=0)
    of_x = convolve_depthwise(gradient, weights[::-1, ::-1], np.zeros(channels))
    return of_x, of_weights, exact_sum(gradient)


def quarters(x: Array) -> Array:
    """The four pixels of every 2x2 window: ``(4, N, H/2, W/2, C)``."""
    return np.stack([x[:, row::2, column::2] for row, column in np.ndindex(2, 2)])


def from_quarters(parts: Array) -> Array:
    """The inverse of `quarters`."""
    _, count, height, width, channels = parts.shape
    x = np.empty((count, 2 * height, 2 * width, channels))
    for part, (row, column) in zip(parts, np.ndindex(2, 2), strict=True):
        x[:, row::2, column::2] = part
    return x


def relu(x: Array) -> Array:
    """What is positive."""
    return np.maximum(x, 0.0)


def forward(parameters: Tensors, images: Array) -> Tensors:
    """Return every tensor of the network, up to the scores before the softmax.

    Parameters
    ----------
    parameters : dict
        As `initial_parameters` makes them.
    images : ndarray, shape (N, 8, 8, 1)
        0 is paper, 1 is ink.
    """

    def linear(x: Array, name: str) -> Array:
        weights, bias = parameters[name], parameters[f"{name}_bias"]
        kernel = convolve_depthwise if weights.ndim == DEPTHWISE_RANK else convolve
        return kernel(x, weights, bias)

    t = {"image": images}
    t["stem"] = relu(linear(images, "stem"))
    t["depthwise_1"] = relu(linear(t["stem"], "depthwise_1"))
    t["pointwise_1"] = linear(t["depthwise_1"], "pointwise_1")
    t["residual"] = relu(t["stem"] + t["pointwise_1"])
    t["pooled"] = quarters(t["residual"]).max(axis=0)
    t["depthwise_2"] = relu(linear(t["pooled"], "depthwise_2"))
    t["pointwise_2"] = relu(linear(t["depthwise_2"], "pointwise_2"))
    first, second, third, fourth = quarters(t["pointwise_2"])
    t["averaged"] = (first + second + third + fourth) * 0.25
    t["features"] = t["averaged"].reshape(len(images), 1, 1, -1)
    t["scores"] = linear(t["features"], "scores")
    return t


def probabilities(scores: Array) -> Array:
    """Softmax over the last dimension."""
    powers = on_grid(exponential(scores - scores.max(axis=-1, keepdims=True)))
    return powers / powers.sum(axis=-1, keepdims=True)


def backward(parameters: Tensors, t: Tensors, of_scores: Array) -> Tensors:
    """Gradients of all parameters.

    Parameters
    ----------
    parameters, t : dict
        What `forward` took and returned.
    of_scores : ndarray, shape (N, 1, 1, 10)
        Gradient of the loss with respect to the scores.
    """
    gradients: Tensors = {}

    def linear(x: str, name: str, gradient: Array) -> Array:
        depthwise = parameters[name].ndim == DEPTHWISE_RANK
        kernel = convolve_depthwise_backward if depthwise else convolve_backward
        of_x, gradients[name], gradients[f"{name}_bias"] = kernel(t[x], parameters[name], gradient)
        return of_x

    gradient = linear("features", "scores", of_scores).reshape(t["averaged"].shape)
    gradient = from_quarters(np.stack([gradient * 0.25] * 4)) * (t["pointwise_2"] > 0)
    gradient = linear("depthwise_2", "pointwise_2", gradient) * (t["depthwise_2"] > 0)
    gradient = linear("pooled", "depthwise_2", gradient)
    # Of equal maxima, the first takes the gradient.
    winner = quarters(t["residual"]).argmax(axis=0)
    gradient = from_quarters(np.stack([gradient * (winner == part) for part in range(4)]))
    of_residual = gradient * (t["residual"] > 0)
    gradient = linear("depthwise_1", "pointwise_1", of_residual) * (t["depthwise_1"] > 0)
    gradient = linear("stem", "depthwise_1", gradient)
    linear("image", "stem", (gradient + of_residual) * (t["stem"] > 0))
    return gradients
