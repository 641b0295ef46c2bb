"""Arrays of integers as the wide ports that Amaranth's array layouts become in Verilog."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["pack", "unpack"]


def pack(values: ArrayLike, bits: int) -> int:
    """Concatenate ``values``, ``bits`` each in two's complement, element 0 lowest.

    Any shape; the last axis is the innermost.
    """
    flat = np.asarray(values, dtype=np.int64).reshape(-1, 1)
    each_bit = (flat >> np.arange(bits)) & 1
    return int.from_bytes(np.packbits(each_bit.astype(bool), bitorder="little").tobytes(), "little")


def unpack(raw: int, bits: int, count: int, *, signed: bool = True) -> NDArray[np.int64]:
    """The ``count`` lowest elements of ``raw``, the inverse of `pack`."""
    raw &= (1 << (bits * count)) - 1
    octets = np.frombuffer(raw.to_bytes(-(-bits * count // 8), "little"), np.uint8)
    each_bit = np.unpackbits(octets, count=bits * count, bitorder="little").reshape(count, bits)
    weights = np.int64(1) << np.arange(bits)
    if signed:
        weights[-1] *= -1
    return each_bit.astype(np.int64) @ weights
