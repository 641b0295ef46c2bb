"""The order of elements outside and inside the chip, and the last step that the host may do."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["Steps", "moves_nothing", "rearrange", "softmax"]

Steps = tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
"""``(shape, permutation)``, one after another: reshape to the one, transpose by the other."""


def rearrange(values: NDArray, steps: Steps) -> NDArray:
    """Apply ``steps`` to an array of as many elements as the first shape has."""
    for shape, permutation in steps:
        values = values.reshape(shape).transpose(permutation)
    return values


def moves_nothing(steps: Steps) -> bool:
    """Whether the elements stay in row-major order, all steps together."""
    if not steps:
        return True
    size = int(np.prod(steps[0][0], dtype=np.int64))
    moved = rearrange(np.arange(size), steps).reshape(-1)
    return bool((moved == np.arange(size)).all())


def softmax(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Softmax in float64, rounded to float32."""
    shifted = values.astype(np.float64) - values.max(axis=axis, keepdims=True)
    exponentials = np.exp(shifted)
    return (exponentials / exponentials.sum(axis=axis, keepdims=True)).astype(np.float32)
