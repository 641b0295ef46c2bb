"""What the parts of the JPEG encoder hand on, and the registers that they share."""

from amaranth.hdl import unsigned
from amaranth.lib import data, enum, stream

from hdl.image.pixels import BYTE_BITS, MAX_HEIGHT, MAX_WIDTH

__all__ = [
    "BLOCK_SAMPLES",
    "HEADER_WORDS",
    "LEVEL_BITS",
    "LINE_PAIRS",
    "WORD_BYTES",
    "BlockTag",
    "End",
    "JpegSettings",
    "McuRow",
    "SampleAddress",
    "file_word",
    "tagged",
]

BLOCK_SAMPLES = 64
LEVEL_BITS = 11
"""Of a level: -1024..1020."""
WORD_BYTES = 4
"""Of the file, in a cycle at most."""
HEADER_WORDS = 256
"""1024 bytes; the header with standard tables, colour, has 629."""

LINE_PAIRS = 15
"""Pairs of lines that the buffer holds, one less than two rows of MCUs: the line of sums that wait
for the pixels below them takes the place of the other pair."""


class End(enum.Enum, shape=2):
    """What follows a block."""

    NONE = 0
    RESTART = 1
    LAST = 2
    """The picture is complete."""
    BROKEN = 3
    """The picture ends here, and its file is worth nothing."""


class JpegSettings(data.Struct):
    """Registers of a picture; may change while the encoder is idle.

    The region is `models.image.jpeg_planes.Region.aligned`: its left and upper edges are multiples
    of an MCU's side (grey 8, colour 16 pixels), the others too, or those of the picture.
    """

    grey: 1
    left: range(MAX_WIDTH)
    top: range(MAX_HEIGHT)
    width: range(MAX_WIDTH + 1)
    height: range(MAX_HEIGHT + 1)
    restart_interval: unsigned(16)
    header_bytes: range(HEADER_WORDS * WORD_BYTES + 1)


class McuRow(data.Struct):
    """A row of MCUs is in the buffer; or the picture in progress will never be complete."""

    last: 1
    broken: 1


class BlockTag(data.Struct):
    """What a block is.

    ``outside``: it has no pixel of the picture, and its samples mean nothing.
    """

    component: range(3)
    outside: 1
    end: End


class SampleAddress(data.Struct):
    """Place of a sample in the line buffer: column and line of its own plane.

    ``lower`` is the second line of a pair of luma.
    """

    component: range(3)
    column: range(MAX_WIDTH)
    pair: range(LINE_PAIRS)
    lower: 1


def file_word() -> data.StructLayout:
    """Lay out bytes of a file.

    Fields
    ------
    data : unsigned(32)
        The first byte is the lowest.
    count : range(5)
        Bytes, from 1; 4 unless it is the last word.
    last : 1
        The file ends here.
    bad : 1
        With ``last``: the picture broke off, and the file is to be thrown away.
    """
    return data.StructLayout(
        {
            "data": unsigned(WORD_BYTES * BYTE_BITS),
            "count": range(WORD_BYTES + 1),
            "last": 1,
            "bad": 1,
        }
    )


def tagged(shape) -> stream.Signature:
    """Stream of a block's values, 64 of them, that nothing stops; each has the block's tag."""
    return stream.Signature(data.StructLayout({"value": shape, "tag": BlockTag}), always_ready=True)
