"""Jobs of the engine, and their encoding as words of the program stream."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdl.config import MRAM_WORD_BYTES, ChipConfig
from hdl.engine.descriptor import DESCRIPTOR_WORDS, Descriptor, Operation, parameter_words

__all__ = ["Job", "decode_descriptor", "encode_descriptor", "encode_job"]

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


def encode_descriptor(fields: dict[str, Any]) -> Words:
    """Pack a descriptor; what `fields` leaves away is zero."""
    value = Descriptor.const(fields).as_value().value
    raw = value.to_bytes(DESCRIPTOR_WORDS * MRAM_WORD_BYTES, "little")
    return np.frombuffer(raw, np.uint8).reshape(-1, MRAM_WORD_BYTES)


def decode_descriptor(words: Words) -> Any:
    """The inverse of `encode_descriptor`: a constant whose fields read by attribute."""
    value = int.from_bytes(words.tobytes(), "little")
    return Descriptor.as_shape().from_bits(value & ((1 << Descriptor.as_shape().size) - 1))


def encode_job(job: Job, config: ChipConfig) -> Words:
    """The words of a job: descriptor, then for each group parameters and tiles."""
    parts = [encode_descriptor(job.fields)]
    if job.table is not None:
        parts.append(job.table.astype("<u4").view(np.uint8).reshape(-1, MRAM_WORD_BYTES))
    for group, channels in enumerate(job.channels):
        parts.append(encode_parameters(*channels, config))
        if job.tiles:
            parts.extend(encode_tile(tile) for tile in job.tiles[group])
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


def encode_tile(tile: NDArray[np.int8]) -> Words:
    """A tile of ``(lanes, rows)`` weights, lane after lane, padded to whole words."""
    raw = np.ascontiguousarray(tile).view(np.uint8).reshape(-1)
    words = np.zeros(-(-raw.size // MRAM_WORD_BYTES) * MRAM_WORD_BYTES, np.uint8)
    words[: raw.size] = raw
    return words.reshape(-1, MRAM_WORD_BYTES)


END_WORDS = encode_descriptor({"operation": Operation.END})
"""The descriptor that ends a program."""
