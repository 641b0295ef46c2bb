"""CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV and FULLY_CONNECTED.

All of them compute ``sum(weight * (activation - input_zero_point))`` per output and requantise it.

A product of int8 is at most 255 * 128 < 2**15 in magnitude, one of int16 2**30.
`_multiply_matrices` runs on float64 because NumPy hands that to BLAS; every partial sum of fewer
than 2**38 (or 2**23) products stays below 2**53, where float64 holds every integer, so the result
is exact in any order of summation.  Sums here are exact; `requantize` wraps them where the
accumulator has 32 bits, which equals wrapping after each product.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from models.engine.requantization import Activation, requantize
from models.fixedpoint import IntArray

__all__ = ["conv2d", "depthwise_conv2d", "fully_connected", "transpose_conv2d"]

Pair = tuple[int, int]


def _multiply_matrices(pixels: NDArray[np.int32], weights: NDArray) -> IntArray:
    """Multiply ``(..., K)`` by ``(Cout, K)`` into sums ``(..., Cout)``."""
    product = pixels.astype(np.float64) @ weights.astype(np.float64).T
    return product.astype(np.int64)


def _centre(x: NDArray, zero_point: int, padding: tuple[Pair, Pair]) -> NDArray[np.int32]:
    """Subtract the zero point and surround with zeros, which add nothing."""
    centred = np.asarray(x).astype(np.int32) - np.int32(zero_point)
    return np.pad(centred, (*padding, (0, 0)))


def _windows(
    pixels: NDArray[np.int32], kernel: Pair, stride: Pair, dilation: Pair
) -> NDArray[np.int32]:
    """View ``(H, W, C)`` as ``(OH, OW, C, kh, kw)``, the taps under each output pixel."""
    extent = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    if extent[0] > pixels.shape[0] or extent[1] > pixels.shape[1]:
        raise ValueError(
            f"kernel spans {extent[0]}x{extent[1]} pixels, "
            f"the padded input has only {pixels.shape[0]}x{pixels.shape[1]}"
        )
    windows = sliding_window_view(pixels, extent, axis=(0, 1))
    return windows[:: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]


def conv2d(
    x: NDArray,
    weights: NDArray,
    *,
    bias: ArrayLike,
    multiplier: ArrayLike,
    shift: ArrayLike,
    stride: Pair,
    dilation: Pair,
    padding: tuple[Pair, Pair],
    input_zero_point: int,
    output_zero_point: int,
    minimum: int,
    maximum: int,
    dtype: Activation = np.int8,
    single_rounding: bool = False,
) -> NDArray:
    """Two-dimensional convolution.

    Parameters
    ----------
    x, weights : int8 or int16
        ``(H, W, Cin)`` and ``(Cout, kh, kw, Cin)``.
    bias, multiplier, shift : array_like
        See `requantize`; one or ``Cout`` entries.
    stride, dilation : (int, int)
        Rows and columns.
    padding : ((top, bottom), (left, right))
        Pixels of ``input_zero_point``.
    input_zero_point, output_zero_point : int
        -128 to 127.
    minimum, maximum : int
        Range of the fused activation, within that of ``dtype``.
    dtype, single_rounding
        Type of the output and kind of rescaling, see `requantize`.

    Returns
    -------
    int8 or int16
        ``(OH, OW, Cout)``.
    """
    channels = x.shape[2]
    if weights.shape[3] != channels:
        raise ValueError(f"weights take {weights.shape[3]} channels, the input has {channels}")
    pixels = _centre(x, input_zero_point, padding)
    windows = _windows(pixels, weights.shape[1:3], stride, dilation)
    taps = windows.transpose(0, 1, 3, 4, 2)
    accumulators = _multiply_matrices(
        taps.reshape(*taps.shape[:2], -1), weights.reshape(weights.shape[0], -1)
    )
    return requantize(
        accumulators,
        bias=bias,
        multiplier=multiplier,
        shift=shift,
        zero_point=output_zero_point,
        minimum=minimum,
        maximum=maximum,
        dtype=dtype,
        single_rounding=single_rounding,
    )


def transpose_conv2d(
    x: NDArray,
    weights: NDArray,
    *,
    size: Pair,
    bias: ArrayLike,
    multiplier: ArrayLike,
    shift: ArrayLike,
    stride: Pair,
    before: Pair,
    input_zero_point: int,
    output_zero_point: int,
    minimum: int,
    maximum: int,
    dtype: Activation = np.int8,
    single_rounding: bool = False,
) -> NDArray:
    """Transposed convolution: each input pixel adds its product with the kernel to the output.

    ``out[y * stride + ky - before] += x[y] @ weights[:, ky]``, rows and columns alike; what falls
    outside of ``size``, the output's height and width, is dropped.  Everything else is as in
    `conv2d`.
    """
    height, width, channels = x.shape
    count, kernel_h, kernel_w, depth = weights.shape
    if depth != channels:
        raise ValueError(f"weights take {depth} channels, the input has {channels}")
    pixels = _centre(x, input_zero_point, ((0, 0), (0, 0)))
    extent = [
        max((n - 1) * s + k, b + o)
        for n, s, k, b, o in zip(
            (height, width), stride, (kernel_h, kernel_w), before, size, strict=True
        )
    ]
    frame = np.zeros((*extent, count), np.int64)
    for ky in range(kernel_h):
        for kx in range(kernel_w):
            rows = slice(ky, ky + (height - 1) * stride[0] + 1, stride[0])
            columns = slice(kx, kx + (width - 1) * stride[1] + 1, stride[1])
            frame[rows, columns] += _multiply_matrices(pixels, weights[:, ky, kx])
    (top, left), (out_h, out_w) = before, size
    return requantize(
        frame[top : top + out_h, left : left + out_w],
        bias=bias,
        multiplier=multiplier,
        shift=shift,
        zero_point=output_zero_point,
        minimum=minimum,
        maximum=maximum,
        dtype=dtype,
        single_rounding=single_rounding,
    )


def depthwise_conv2d(
    x: NDArray,
    weights: NDArray,
    *,
    bias: ArrayLike,
    multiplier: ArrayLike,
    shift: ArrayLike,
    stride: Pair,
    dilation: Pair,
    padding: tuple[Pair, Pair],
    input_zero_point: int,
    output_zero_point: int,
    minimum: int,
    maximum: int,
    dtype: Activation = np.int8,
    single_rounding: bool = False,
) -> NDArray:
    """Depthwise convolution: each output channel reads one input channel.

    ``weights`` is ``(C * depth_multiplier, kh, kw, 1)``, and output channel ``o`` reads input
    channel ``o // depth_multiplier``.  Everything else is as in `conv2d`.
    """
    channels = x.shape[2]
    if weights.shape[3] != 1 or weights.shape[0] % channels:
        raise ValueError(
            f"weights of shape {weights.shape} do not fit {channels} input channels: "
            f"expected (a multiple of {channels}, kh, kw, 1)"
        )
    pixels = _centre(x, input_zero_point, padding)
    kernel = weights.shape[1:3]
    windows = _windows(pixels, kernel, stride, dilation)
    depth_multiplier = weights.shape[0] // channels
    accumulators = np.zeros((*windows.shape[:2], weights.shape[0]), dtype=np.int64)
    for row, column in np.ndindex(*kernel):
        tap = windows[..., row, column]
        weight = weights[:, row, column, 0].astype(np.int64)
        accumulators += np.repeat(tap, depth_multiplier, axis=2) * weight
    return requantize(
        accumulators,
        bias=bias,
        multiplier=multiplier,
        shift=shift,
        zero_point=output_zero_point,
        minimum=minimum,
        maximum=maximum,
        dtype=dtype,
        single_rounding=single_rounding,
    )


def fully_connected(
    x: NDArray,
    weights: NDArray,
    *,
    bias: ArrayLike,
    multiplier: ArrayLike,
    shift: ArrayLike,
    input_zero_point: int,
    output_zero_point: int,
    minimum: int,
    maximum: int,
    dtype: Activation = np.int8,
    single_rounding: bool = False,
) -> NDArray:
    """Matrix product of ``x (N, Cin)`` and ``weights (Cout, Cin)``: ``(N, Cout)``."""
    if x.shape[-1] != weights.shape[1]:
        raise ValueError(f"weights take {weights.shape[1]} features, the input has {x.shape[-1]}")
    centred = x.astype(np.int32) - np.int32(input_zero_point)
    return requantize(
        _multiply_matrices(centred, weights),
        bias=bias,
        multiplier=multiplier,
        shift=shift,
        zero_point=output_zero_point,
        minimum=minimum,
        maximum=maximum,
        dtype=dtype,
        single_rounding=single_rounding,
    )
