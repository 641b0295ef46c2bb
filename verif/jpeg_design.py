"""Registers and tables of the JPEG encoder for a golden model's settings: what firmware writes."""

from dataclasses import dataclass

from hdl.image.jpeg_codes import CODE_ROWS
from hdl.image.jpeg_words import HEADER_WORDS, WORD_BYTES
from models.image.jpeg import JpegSettings, header
from models.image.jpeg_dct import Reciprocals
from models.image.jpeg_planes import Region
from models.image.jpeg_tables import DC_SYMBOLS, HuffmanTable

__all__ = ["JpegDesign", "design_of"]

DC_RUN = 15
"""The code of a DC difference stands where an AC level of 15 bits would."""


@dataclass(frozen=True)
class JpegDesign:
    """What the encoder is loaded with.

    Parameters
    ----------
    registers : dict
        Fields of `hdl.image.jpeg_words.JpegSettings`.
    header, quantisers, codes : list of int
        Rows of the tables, from row 0.
    """

    registers: dict[str, int]
    header: list[int]
    quantisers: list[int]
    codes: list[int]


def design_of(
    settings: JpegSettings, shape: tuple[int, int], *, grey: bool, region: Region | None = None
) -> JpegDesign:
    """Registers and tables for pictures of ``shape`` (height, width).

    Raises
    ------
    ValueError
        If the region leaves the picture.
    """
    height, width = shape
    whole = Region(0, 0, width, height) if region is None else region
    part = whole.aligned(shape, 8 if grey else 16)
    head = header((part.height, part.width), 1 if grey else 3, settings)
    registers = {
        "grey": int(grey),
        "left": part.x,
        "top": part.y,
        "width": part.width,
        "height": part.height,
        "restart_interval": settings.restart_interval,
        "header_bytes": len(head),
    }
    assert len(head) <= HEADER_WORDS * WORD_BYTES  # the longest, in colour, has 629
    rows = [
        int.from_bytes(head[n : n + WORD_BYTES], "little") for n in range(0, len(head), WORD_BYTES)
    ]
    return JpegDesign(registers, rows, quantiser_rows(settings), code_rows(settings))


def quantiser_rows(settings: JpegSettings) -> list[int]:
    """Words of `hdl.image.jpeg_quantiser.Reciprocal`: luma, then chroma, each row by row."""
    rows = []
    for table in (settings.luma, settings.chroma):
        words = Reciprocals.of(table)
        fields = (words.quantiser, words.value << 8, words.shift << 21)
        rows += sum(fields).reshape(-1).tolist()  # pyright: ignore[reportAttributeAccessIssue]
    return rows


def code_rows(settings: JpegSettings) -> list[int]:
    """Words of `hdl.image.jpeg_codes.HuffmanCode`."""
    rows = [0] * CODE_ROWS
    for index, table in enumerate(settings.huffman):
        codes, lengths = table.codes
        for symbol in table.symbols:
            row = CODE_ROWS // 2 * (index // 2) + place_of(table, symbol)
            length = int(lengths[symbol])
            rows[row] = int(codes[symbol]) << 16 - length | length << 16
    return rows


def place_of(table: HuffmanTable, symbol: int) -> int:
    """Row of a symbol within luma or chroma."""
    is_dc = set(table.symbols) == DC_SYMBOLS
    return symbol << 4 | DC_RUN if is_dc else symbol
