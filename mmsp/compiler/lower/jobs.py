"""Jobs of the engine, and their encoding as words of the program stream."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from amaranth.hdl import Shape
from numpy.typing import NDArray

from hdl.config import MRAM_WORD_BYTES, ChipConfig
from hdl.engine.descriptor import (
    DESCRIPTOR_WORDS,
    Descriptor,
    Feed,
    Header,
    LoopDescriptor,
    Operation,
    WeightFormat,
    parameter_words,
)
from hdl.engine.vector_descriptor import VectorDescriptor
from mmsp.compiler.lower.weights import encode_tile
from mmsp.errors import InputError

__all__ = ["Job", "decode_descriptor", "encode_descriptor", "encode_job", "encode_payload"]

LAST_COORDINATE = (1 << 13) - 1
"""Largest input row or column, padding included: `hdl.engine.walker.Step` has 14 signed bits."""

LARGEST_SOFTMAX = (1 << 12) - 1
"""Channels that `hdl.engine.softmax.Softmax` counts."""

LAYOUTS: dict[Operation, Any] = {
    Operation.VECTOR: VectorDescriptor,
    Operation.LOOP: LoopDescriptor,
    Operation.AGAIN: LoopDescriptor,
}
"""Layout of every descriptor that is not a `Descriptor`."""

Words = NDArray[np.uint8]
"""``(n, 16)`` bytes: MRAM words."""


@dataclass(kw_only=True)
class Job:
    """One descriptor and what follows it in the stream.

    ``channels``: one entry a group of ``(bias, multiplier, shift)``, arrays of up to ``rows``
    entries.  ``tiles``: one list a group of tiles, each ``(lanes, rows)`` int8, in pass order.
    """

    layer: int
    """Index of the layer that the job belongs to."""
    fields: dict[str, Any]
    channels: list[tuple[NDArray, NDArray, NDArray]] = field(default_factory=list)
    tiles: list[list[NDArray[np.int8]]] = field(default_factory=list)
    table: NDArray[np.int64] | None = None
    payload: Words | None = None
    """What follows a vector descriptor: a table, or what LOAD stores."""


def encode_descriptor(fields: dict[str, Any]) -> Words:
    """Pack a descriptor; what `fields` leaves away is zero.

    Raises
    ------
    InputError
        When a value does not fit its field, or the job leads further than the engine can count.
    """
    layout = LAYOUTS.get(fields["operation"], Descriptor)
    check_widths(fields, layout.as_shape())
    check_reach(fields)
    value = layout.const(fields).as_value().value
    raw = value.to_bytes(DESCRIPTOR_WORDS * MRAM_WORD_BYTES, "little")
    return np.frombuffer(raw, np.uint8).reshape(-1, MRAM_WORD_BYTES)


def check_widths(fields: Mapping[Any, Any], layout: Any, prefix: str = "") -> None:
    """Refuse a value that its field cannot hold; `Descriptor.const` would silently truncate it."""
    for name, value in fields.items():
        shape = layout[name].shape
        if isinstance(value, dict):
            check_widths(value, shape.as_shape(), f"{prefix}{name}.")
        elif isinstance(value, (list, tuple)):
            for index, element in enumerate(value):
                check_widths({index: element}, shape, f"{prefix}{name}.")
        elif not isinstance(value, Enum):
            numbers = Shape.cast(shape)
            low = -(1 << (numbers.width - 1)) if numbers.signed else 0
            high = low + (1 << numbers.width) - 1
            if not low <= value <= high:
                raise InputError(f"{prefix}{name} must be in {low}..{high}, not {value}")


def check_reach(fields: dict[str, Any]) -> None:
    """Refuse what fits field by field, but whose counters would leave their range together."""
    if fields["operation"] is Operation.SOFTMAX and fields["inner_last"] >= LARGEST_SOFTMAX:
        channels = fields["inner_last"] + 1
        raise InputError(f"softmax takes 1..{LARGEST_SOFTMAX} channels, not {channels}")
    if fields["operation"] is not Operation.JOB:
        return
    job = defaultdict(int, fields)
    height, width = job["window_rows"], job["window_cols"]
    if job["feed"] is Feed.PACKED:
        height += -(-(job["inner_last"] + 1) * job["packed_lanes"] // job["segment"])
        width += job["segment"]
    row = job["out_h_last"] * job["stride_h"] + job["rows_passes_last"] * job["row_step"]
    column = job["out_w_last"] * job["stride_w"] + job["cols_passes_last"] * job["col_step"]
    for name, last in (
        ("row", row - job["pad_h"] + height),
        ("column", column - job["pad_w"] + width),
    ):
        if last > LAST_COORDINATE:
            raise InputError(
                f"the last window would end at input {name} {last}, "
                f"and the engine counts to {LAST_COORDINATE}"
            )


def decode_descriptor(words: Words) -> Any:
    """The inverse of `encode_descriptor`: a constant whose fields read by attribute."""
    value = int.from_bytes(words.tobytes(), "little")

    def view(layout: Any) -> Any:
        return layout.as_shape().from_bits(value & ((1 << layout.as_shape().size) - 1))

    return view(LAYOUTS.get(view(Header).operation, Descriptor))


def encode_job(job: Job, payload: Words, following: int) -> Words:
    """The words of a job: its descriptor and its payload, with ``following`` words behind them.

    `InputError` if the descriptor cannot hold the job.
    """
    descriptor = encode_descriptor(job.fields | {"remaining": len(payload) + following})
    return np.concatenate([descriptor, payload])


def encode_payload(job: Job, config: ChipConfig) -> Words:
    """What follows a descriptor: a table, or for each group parameters and tiles."""
    parts = [np.zeros((0, MRAM_WORD_BYTES), np.uint8)]
    if job.payload is not None:
        parts.append(job.payload)
    if job.table is not None:
        parts.append(job.table.astype("<u4").view(np.uint8).reshape(-1, MRAM_WORD_BYTES))
    form = job.fields.get("weight_format", WeightFormat.INT8)
    for group, channels in enumerate(job.channels):
        parts.append(encode_parameters(*channels, config))
        if job.tiles:
            parts.extend(encode_tile(tile, form) for tile in job.tiles[group])
    return np.concatenate(parts)


def encode_parameters(
    bias: NDArray, multiplier: NDArray, shift: NDArray, config: ChipConfig
) -> Words:
    """Parameters of one group of up to ``rows`` channels."""
    rows = config.rows
    words = np.zeros((parameter_words(rows), MRAM_WORD_BYTES), np.uint8)
    flat = words.reshape(-1)
    for at, values in ((0, bias), (rows, multiplier)):
        raw = np.zeros(rows, "<i4")
        raw[: len(values)] = values
        flat[4 * at : 4 * (at + rows)] = raw.view(np.uint8)
    flat[8 * rows : 8 * rows + len(shift)] = np.asarray(shift, np.int8).view(np.uint8)
    return words


END_WORDS = encode_descriptor({"operation": Operation.END})
"""The descriptor that ends a program."""
