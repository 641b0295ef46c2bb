"""Golden model of the JPEG encoder: planes of 8 bits in, a complete baseline file out.

Baseline sequential ISO/IEC 10918-1, grey or 4:2:0, in a JFIF file.  The stages are in
`jpeg_planes` (regions, subsampling, edges), `jpeg_dct` (transform, quantisation) and
`jpeg_entropy`; this module joins them and writes the header.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from models.fixedpoint import IntArray
from models.image.jpeg_dct import Reciprocals, forward_dct, quantise
from models.image.jpeg_entropy import Scan, encode_scan
from models.image.jpeg_planes import Region, checked_planes, mcu_blocks
from models.image.jpeg_tables import (
    CHROMA,
    CHROMA_AC,
    CHROMA_DC,
    DC_SYMBOLS,
    LUMA,
    LUMA_AC,
    LUMA_DC,
    ZIGZAG,
    HuffmanTable,
    checked_quantisation,
    scaled_quantisation,
)

__all__ = ["JpegSettings", "encode", "quantised_scan"]

MAX_INTERVAL = 65535

SOI, EOI, APP0 = 0xD8, 0xD9, 0xE0
DQT, DHT, DRI, SOF0, SOS = 0xDB, 0xC4, 0xDD, 0xC0, 0xDA


@dataclass(frozen=True, kw_only=True)
class JpegSettings:
    """What firmware loads before a picture.

    Parameters
    ----------
    luma, chroma : (8, 8) int
        Quantisers, 1..255; rows are vertical frequencies.
    huffman : four HuffmanTable
        Luma DC, luma AC, chroma DC, chroma AC.
    restart_interval : int
        MCUs between restart markers, 0 for none.

    Raises
    ------
    ValueError
        For values out of range.
    """

    luma: IntArray = field(default_factory=LUMA.copy)
    chroma: IntArray = field(default_factory=CHROMA.copy)
    huffman: Sequence[HuffmanTable] = (LUMA_DC, LUMA_AC, CHROMA_DC, CHROMA_AC)
    restart_interval: int = 0

    def __post_init__(self):
        checked_quantisation(self.luma)
        checked_quantisation(self.chroma)
        is_dc = [set(table.symbols) == DC_SYMBOLS for table in self.huffman]
        if is_dc != [True, False, True, False]:
            raise ValueError(f"Huffman tables must be DC, AC, DC, AC, not DC where {is_dc}")
        if not 0 <= self.restart_interval <= MAX_INTERVAL:
            raise ValueError(
                f"the restart interval must be 0..{MAX_INTERVAL} MCUs, not {self.restart_interval}"
            )

    @classmethod
    def of_quality(cls, quality: int, restart_interval: int = 0) -> "JpegSettings":
        """Tables K.1 and K.2 scaled to a quality of 1 to 100, standard Huffman tables."""
        return cls(
            luma=scaled_quantisation(LUMA, quality),
            chroma=scaled_quantisation(CHROMA, quality),
            restart_interval=restart_interval,
        )


def quantised_scan(planes: Sequence[IntArray], settings: JpegSettings) -> Scan:
    """Blocks of the file, transformed and quantised."""
    blocks, component, inside, mcus = mcu_blocks(planes)
    coefficients = forward_dct(blocks)
    words = Reciprocals.of(settings.luma), Reciprocals.of(settings.chroma)
    is_luma = (component == 0)[:, None, None]
    levels = np.where(is_luma, *(quantise(coefficients, word) for word in words))
    mcu = np.arange(len(blocks)) // (len(blocks) // mcus)
    return Scan(levels, component, inside, mcu // (settings.restart_interval or mcus))


def encode(
    planes: Sequence[ArrayLike], settings: JpegSettings, region: Region | None = None
) -> bytes:
    """Encode a picture, or the MCUs that a region of it touches.

    Parameters
    ----------
    planes : one (grey) or three (Y, Cb, Cr) arrays (height, width) of 0..255
        Chroma has the size of luma; it is subsampled here.
    settings : JpegSettings
        Tables and the restart interval.
    region : Region, optional
        The file is that of the region alone, aligned outwards to MCUs (grey 8 x 8, colour 16 x 16
        pixels); its levels are those that the whole picture has there.

    Raises
    ------
    ValueError
        For planes that are not of one size and 8 bits, and regions that leave the picture.
    """
    checked = checked_planes(planes)
    if region is not None:
        aligned = region.aligned(checked[0].shape, 8 if len(checked) == 1 else 16)
        checked = [aligned.of(plane) for plane in checked]
    scan = quantised_scan(checked, settings)
    head = header(checked[0].shape, len(checked), settings)
    return head + encode_scan(scan, settings.huffman) + bytes((0xFF, EOI))


def header(shape: tuple[int, ...], components: int, settings: JpegSettings) -> bytes:
    """All segments before the entropy-coded data."""
    tables = (settings.luma, settings.chroma)[: 1 if components == 1 else 2]
    factors = 0x11 if components == 1 else 0x22
    out = bytes((0xFF, SOI))
    out += marker(APP0, b"JFIF\x00\x01\x01\x00" + bytes((0, 1, 0, 1, 0, 0)))
    for index, table in enumerate(tables):
        out += marker(DQT, bytes((index, *np.reshape(table, -1)[ZIGZAG].tolist())))
    frame = b"\x08" + shape[0].to_bytes(2, "big") + shape[1].to_bytes(2, "big")
    frame += bytes((components, 1, factors, 0))
    if components > 1:
        frame += bytes((2, 0x11, 1, 3, 0x11, 1))
    out += marker(SOF0, frame)
    for index, table in enumerate(settings.huffman[: 2 * len(tables)]):
        place = index // 2 | index % 2 << 4  # class AC is 16
        out += marker(DHT, bytes((place, *table.counts)) + table.symbols)
    if settings.restart_interval:
        out += marker(DRI, settings.restart_interval.to_bytes(2, "big"))
    scan = (1, 0x00) if components == 1 else (1, 0x00, 2, 0x11, 3, 0x11)
    return out + marker(SOS, bytes((components, *scan, 0, 63, 0)))


def marker(code: int, body: bytes) -> bytes:
    """A segment: marker, length with its own two bytes, body."""
    return bytes((0xFF, code)) + (len(body) + 2).to_bytes(2, "big") + body
