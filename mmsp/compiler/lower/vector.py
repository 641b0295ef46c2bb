"""Jobs of the vector unit: where operands lie and how their elements are walked."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdl.config import MRAM_WORD_BYTES
from hdl.engine.descriptor import Operation
from hdl.engine.vector_descriptor import Axis, VectorFunction
from mmsp.compiler.lower.jobs import Job, Words
from mmsp.compiler.placement import Placement

__all__ = ["broadcast_moves", "natural_levels", "payload_words", "vector_job", "vector_place"]

Fields = dict[str, Any]
Pixels = tuple[int, int, int]

INNERMOST_FIRST = (Axis.CHANNEL, Axis.COLUMN, Axis.ROW)


def vector_place(
    place: Placement, zero_point: int = 0, *, y: int = 0, x: int = 0, channel: int = 0
) -> Fields:
    """Fields of a `hdl.engine.vector_descriptor.Place` that starts at element ``(y, x, channel)``.

    Raises
    ------
    ValueError
        When the tensor is packed, which only packed convolutions read.
    """
    if place.packed:
        raise ValueError("the vector unit reads blocked tensors only")
    return {
        "base": place.base + x * place.pixel_words,
        "row0": place.row0 + y,
        "row_words": place.row_words,
        "pixel_words": place.pixel_words,
        "wide": int(place.wide),
        "channel": channel,
        "zero_point": zero_point,
    }


def natural_levels(output: Pixels, source: Pixels | None = None) -> list[Fields]:
    """Levels, innermost first, of an operand that is walked in the order of the output.

    ``output`` is the output's ``(H, W, C)``.  ``source`` is that of the operand: where it has 1 and
    the output more, the operand is repeated.
    """
    sizes = output if source is None else source
    return [
        {"last": output[axis.value] - 1, "axis": axis, "step": int(sizes[axis.value] > 1)}
        for axis in INNERMOST_FIRST
    ]


def payload_words(values: NDArray[np.int8] | NDArray[np.int16]) -> Words:
    """A table, or values for LOAD, as words of the program: little-endian, padded with zeros."""
    raw = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).view(np.uint8).reshape(-1)
    words = np.zeros(-(-raw.size // MRAM_WORD_BYTES) * MRAM_WORD_BYTES, np.uint8)
    words[: raw.size] = raw
    return words.reshape(-1, MRAM_WORD_BYTES)


def vector_job(
    index: int,
    function: VectorFunction,
    target: Placement,
    *,
    out: Fields | None = None,
    size: Pixels | None = None,
    payload: NDArray[np.int8] | NDArray[np.int16] | None = None,
    limits: tuple[int, int] | None = None,
    **fields: Any,
) -> Job:
    """One job of the vector unit.

    Parameters
    ----------
    index : int
        Of the layer.
    function : VectorFunction
        What becomes of an element.
    target : Placement
        Of the output.
    out : dict, optional
        The output's place, when it is not all of ``target`` with zero point 0.
    size : (int, int, int), optional
        Elements to write, when they are not all of ``target``.
    payload : int8 or int16, optional
        What follows the descriptor.
    limits : (int, int), optional
        Smallest and largest output, when they are not those of its type.
    **fields
        Everything else of `VectorDescriptor`.
    """
    height, width, channels = target.pixels if size is None else size
    low, high = limits or ((-(1 << 15), (1 << 15) - 1) if target.wide else (-128, 127))
    words = None if payload is None else payload_words(payload)
    return Job(
        layer=index,
        fields={
            "operation": Operation.VECTOR,
            "function": function,
            "payload_words": 0 if words is None else len(words),
            "out": vector_place(target) if out is None else out,
            "out_h_last": height - 1,
            "out_w_last": width - 1,
            "out_c_last": channels - 1,
            "out_min": low,
            "out_max": high,
            **fields,
        },
        payload=words,
    )


def broadcast_moves(output: Pixels, source: Pixels) -> list[int]:
    """``b_moves``: along which axes the second operand has more than one element."""
    return [int(size > 1 and size == full) for size, full in zip(source, output, strict=True)]
