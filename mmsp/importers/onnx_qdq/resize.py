"""Translates Resize by nearest neighbour."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mmsp.errors import InputError
from mmsp.importers.onnx_qdq.builder import GraphBuilder, channels_last
from mmsp.importers.onnx_qdq.file import Operation, check_size
from mmsp.importers.onnx_qdq.movement import through
from mmsp.importers.onnx_qdq.values import Shape, Stored, Value

__all__ = ["resize"]

NHWC = channels_last(4)

COORDINATES: dict[str, Callable[[NDArray, int, int, float], NDArray]] = {
    "half_pixel": lambda x, source, size, scale: (x + 0.5) / scale - 0.5,
    "pytorch_half_pixel": lambda x, source, size, scale: (
        (x + 0.5) / scale - 0.5 if size > 1 else np.zeros_like(x)
    ),
    "asymmetric": lambda x, source, size, scale: x / scale,
    "align_corners": lambda x, source, size, scale: (
        x * (source - 1) / (size - 1) if size > 1 else np.zeros_like(x)
    ),
}
ROUNDINGS: dict[str, Callable[[NDArray], NDArray]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}
SETTINGS = ((False, False), (False, True), (True, False))
"""``align_corners`` and ``half_pixel_centers`` of RESIZE_NEAREST_NEIGHBOR."""


def tflite_sources(source: int, size: int, align: bool, half: bool) -> NDArray[np.int64]:
    """Which pixel TFLite takes for each one of the output, as ``GetNearestNeighbor``."""
    one = np.float32(1)
    scale = (
        one * np.float32(source - 1) / np.float32(size - 1)
        if align and size > 1
        else one * np.float32(source) / np.float32(size)
    )
    at = (np.arange(size, dtype=np.float32) + np.float32(0.5 if half else 0)) * scale
    rounded = np.floor(at + np.float32(0.5)) if align else np.floor(at)
    return np.clip(rounded, 0, source - 1).astype(np.int64)


def resize(op: Operation, b: GraphBuilder) -> Value:
    """Resize: RESIZE_NEAREST_NEIGHBOR with the setting that takes the same pixels."""
    value = op.movable(0)
    if len(value.shape) != len(NHWC):
        raise InputError(f"input has shape {value.shape}, and must have (1, C, H, W)")
    op.expect("mode", "nearest")
    coordinates = op.expect("coordinate_transformation_mode", *COORDINATES)
    rounding = op.expect("nearest_mode", *ROUNDINGS)
    for name in ("antialias", "exclude_outside"):
        op.expect(name, 0)
    op.expect("keep_aspect_ratio_policy", "stretch")
    for name in ("cubic_coeff_a", "extrapolation_value"):
        op.take(name, None, float)  # of other modes
    shape, scales = resized_shape(op, value.shape)
    if shape[:2] != value.shape[:2]:
        raise InputError(f"shape {value.shape} becomes {shape}: batch and channels must stay")
    wanted = [
        np.clip(
            ROUNDINGS[rounding](COORDINATES[coordinates](np.arange(size) * 1.0, source, size, s)),
            0,
            source - 1,
        ).astype(np.int64)
        for source, size, s in zip(value.shape[2:], shape[2:], scales[2:], strict=True)
    ]
    pairs = list(zip(value.shape[2:], shape[2:], wanted, strict=True))
    for align, half in SETTINGS:
        if all((tflite_sources(n, size, align, half) == taken).all() for n, size, taken in pairs):
            break
    else:
        raise InputError(
            f"attributes coordinate_transformation_mode {coordinates!r} and nearest_mode "
            f"{rounding!r} take other pixels, from {value.shape} to {shape}, than "
            f"RESIZE_NEAREST_NEIGHBOR can"
        )

    def move(stored: Stored) -> Stored:
        image = b.arranged(stored, NHWC)
        result = b.like(image, shape, op.name)
        size = b.constant(f"{op.name}:size", np.array(shape[2:], np.int32))
        b.node(
            "RESIZE_NEAREST_NEIGHBOR", op.name, (image.tensor, size), (result.tensor,),
            align_corners=align, half_pixel_centers=half,
        )  # fmt: skip
        return result

    return through(value, move, shape)


def resized_shape(op: Operation, source: Shape) -> tuple[Shape, list[float]]:
    """Shape of the result, and the scale of every dimension."""
    axes = list(op.take("axes", list(range(len(source)))))
    scales, sizes = op.constant(2, "scales"), op.integers(3, "sizes")
    given = sizes if sizes is not None else ([] if scales is None else scales.reshape(-1).tolist())
    if len(given) != len(axes) or not all(each > 0 for each in given):
        raise InputError(f"scales or sizes are {given}, and must be {len(axes)} numbers above 0")
    shape, factors = list(source), [1.0] * len(source)
    for axis, each in zip(axes, given, strict=True):
        shape[axis] = int(each) if sizes is not None else int(np.floor(source[axis] * each))
        factors[axis] = float(each) if sizes is None else each / source[axis]
    return check_size(tuple(shape)), factors
