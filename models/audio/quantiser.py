"""From sums in the tensor's scale to int8."""

import numpy as np
from numpy.typing import NDArray

from models.audio.tables import TailTable
from models.fixedpoint import IntArray

__all__ = ["quantise"]


def quantise(sums: IntArray, table: TailTable) -> NDArray[np.int8]:
    """``clip((sums + offset) >> shift)``: the offset holds the zero point and the rounding.

    Ties go up.  The scale is a real number, so that a tie of the reference is none here: no rule
    for ties would equal it.
    """
    steps = (sums + table.offset) >> table.shift
    return np.clip(steps, table.low, table.high).astype(np.int8)
