"""Two images in one MRAM: which of them is started.

An update writes the slot that is not in use, its segments first and its header last, with the next
sequence number.  However it is interrupted, what has been written is refused by a checksum until
the last word is there.  docs/mram-image.md has the fields.
"""

import zlib
from collections.abc import Iterator

from hdl.config import MRAM_WORD_BYTES, ChipConfig
from mmsp.errors import InputError
from mmsp.image import (
    CRC_AT,
    ENTRY,
    HEADER,
    MOST_SEGMENTS,
    PROGRAM,
    RESIDENT,
    VERSION,
    check_crc,
    configuration_hash,
    format_hash,
    is_image,
)

__all__ = ["check_resident", "choose_slot", "update_order"]


def check_resident(data: bytes, config: ChipConfig) -> int:
    """Check the resident part of an image as a boot loader does; what follows it is not looked at.

    Parameters
    ----------
    data : bytes
        What a slot of the MRAM holds, from its first word on; as much of it as there is.
    config : ChipConfig
        The chip.

    Returns
    -------
    int
        The image's sequence number.

    Raises
    ------
    InputError
        When no program may be started from it.
    """
    if not is_image(data) or len(data) < HEADER.size:
        raise InputError("the slot holds no image: its first word has no magic")
    _, version, count, _, words, sequence, _, sizes, layout, _, _, crc = HEADER.unpack_from(data)
    if version != VERSION or not 1 <= count <= MOST_SEGMENTS:
        raise InputError(
            f"the slot's image has format version {version} and {count} segments, and version "
            f"{VERSION} with 1..{MOST_SEGMENTS} is read"
        )
    table_end = HEADER.size + count * ENTRY.size
    if not table_end <= words * MRAM_WORD_BYTES <= len(data):
        raise InputError(
            f"the slot's image has {words * MRAM_WORD_BYTES} resident bytes, and the slot "
            f"{len(data)}"
        )
    found = zlib.crc32(data[HEADER.size : table_end], zlib.crc32(data[:CRC_AT]))
    check_crc("header", crc, found)
    if sizes != configuration_hash(config) or layout != format_hash():
        raise InputError("the slot's image was made for another chip")
    kinds = []
    for kind, first, size, expected in resident_segments(data, count):
        start, end = first * MRAM_WORD_BYTES, first * MRAM_WORD_BYTES + size + -size % 16
        if not table_end <= start <= end <= words * MRAM_WORD_BYTES:
            raise InputError(f"segment {kind} of the slot's image is out of place")
        check_crc(f"segment {kind}", expected, zlib.crc32(data[start:end]))
        kinds.append(kind)
    if PROGRAM not in kinds:
        raise InputError(f"the slot's image has no segment {PROGRAM}")
    return sequence


def resident_segments(data: bytes, count: int) -> Iterator[tuple[str, int, int, int]]:
    """Kind, first word, bytes and CRC of the segments that are programmed."""
    for index in range(count):
        kind, flags, *place = ENTRY.unpack_from(data, HEADER.size + index * ENTRY.size)
        if flags & RESIDENT:
            yield kind.rstrip(b"\0").decode("ascii", "replace"), *place


def choose_slot(first: bytes, second: bytes, config: ChipConfig) -> int:
    """Say which of two slots is started: of the valid ones, that with the higher sequence number.

    Parameters
    ----------
    first, second : bytes
        As those of `check_resident`; empty where a word of the slot cannot be read.
    config : ChipConfig
        The chip.

    Returns
    -------
    int
        0 or 1; of two with the same number 0.

    Raises
    ------
    InputError
        When neither is valid.
    """
    sequences, faults = {}, []
    for slot, data in enumerate((first, second)):
        try:
            sequences[slot] = check_resident(data, config)
        except InputError as error:
            faults.append(str(error))
    if not sequences:
        raise InputError(f"neither slot can be started: {faults[0]}; {faults[1]}")
    return max(sequences, key=lambda slot: (sequences[slot], -slot))


def update_order(data: bytes) -> list[int]:
    """Words of an image's resident part in the order in which an update writes them.

    The segments first, then the header with its table: the magic is the last word of all.
    """
    _, _, count, _, words, *_ = HEADER.unpack_from(data)
    head = (HEADER.size + count * ENTRY.size) // MRAM_WORD_BYTES
    return [*range(head, words), *range(head - 1, -1, -1)]
