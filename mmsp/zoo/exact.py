"""Floating point that gives the same bits on every machine, for training that can be repeated.

Additions, products, quotients and square roots are correctly rounded everywhere; what differs from
machine to machine is the order in which a BLAS adds up products, and the last bit of ``exp``.  So
products are summed exactly, where the order cannot matter, and ``exp`` is made of products.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["exact_matmul", "exact_sum", "exponential", "on_grid"]

Array = NDArray[np.float64]

GRID_BITS = 20
"""Significant bits of an operand, measured from the largest element of its tensor."""

LARGEST_SUM = 1 << (53 - 2 * GRID_BITS)
"""Products of two such operands that a float64 sums without rounding."""

SQUARINGS = 10


def on_grid(values: Array) -> Array:
    """Round to `GRID_BITS` bits below the largest magnitude: an error of at most its 2**-20."""
    _, exponent = np.frexp(np.abs(values).max(initial=0.0))
    step = 2.0 ** (int(exponent) - GRID_BITS)
    return np.rint(values / step) * step


def exact_matmul(a: Array, b: Array) -> Array:
    """``a @ b`` of operands on the grid; at most `LARGEST_SUM` products a sum."""
    if a.shape[-1] > LARGEST_SUM:
        raise ValueError(f"a sum must have at most {LARGEST_SUM} products, not {a.shape[-1]}")
    return on_grid(a) @ on_grid(b)


def exact_sum(values: Array) -> Array:
    """Sum over all dimensions but the last, of values on the grid."""
    return on_grid(values).reshape(-1, values.shape[-1]).sum(axis=0)


def exponential(x: Array) -> Array:
    """``exp(x)`` for ``x <= 0`` as ``(1 + x / 1024) ** 1024``.

    The relative error is about ``x**2 / 2048``; it is 0 below -1024.  Good enough for the
    probabilities that a training step compares with 0 and 1.
    """
    power = np.maximum(1.0 + x / (1 << SQUARINGS), 0.0)
    for _ in range(SQUARINGS):
        power = power * power
    return power
