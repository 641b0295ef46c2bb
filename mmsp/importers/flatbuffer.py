"""Checks a .tflite flatbuffer for offsets that lead outside the file, before anything reads it.

The generated accessors trust every offset.  This module follows them first, by the schema below,
which lists the field types of ``tensorflow/compiler/mlir/lite/schema/schema.fbs`` in slot order.
"""

import struct
from dataclasses import dataclass

from mmsp.errors import InputError

__all__ = ["verify_tflite"]

IDENTIFIER = b"TFL3"
HEADER_BYTES = 8
"""Offset of the root table, then the file identifier."""


@dataclass(frozen=True)
class Scalar:
    """A field of ``size`` bytes within the table."""

    size: int


@dataclass(frozen=True)
class Vector:
    """An offset to a length and elements of ``size`` bytes; a string is a vector of bytes."""

    size: int


@dataclass(frozen=True)
class Tables:
    """An offset to a vector of offsets to tables called ``table``."""

    table: str


@dataclass(frozen=True)
class Child:
    """An offset to a table called ``table``."""

    table: str


OPTIONS = Child("Options")
BYTE, WORD, LONG = Scalar(1), Scalar(4), Scalar(8)
TEXT, WORDS, LONGS = Vector(1), Vector(4), Vector(8)

SCHEMA: dict[str, tuple[Scalar | Vector | Tables | Child, ...]] = {
    "Model": (
        WORD,
        Tables("OperatorCode"),
        Tables("SubGraph"),
        TEXT,
        Tables("Buffer"),
        WORDS,
        Tables("Metadata"),
        Tables("SignatureDef"),
    ),
    "OperatorCode": (BYTE, TEXT, WORD, WORD),
    "SubGraph": (Tables("Tensor"), WORDS, WORDS, Tables("Operator"), TEXT, WORD),
    "Tensor": (
        WORDS, BYTE, WORD, TEXT, Child("QuantizationParameters"), BYTE, Child("SparsityParameters"),
        WORDS, BYTE, Tables("VariantSubType"),
    ),
    "QuantizationParameters": (WORDS, WORDS, WORDS, LONGS, BYTE, OPTIONS, WORD),
    "SparsityParameters": (WORDS, WORDS, Tables("Options")),
    "VariantSubType": (WORDS, BYTE, BYTE),
    "Operator": (
        WORD, WORDS, WORDS, BYTE, OPTIONS, TEXT, BYTE, TEXT, WORDS, LONG, LONG, BYTE, OPTIONS, WORD,
    ),
    "Buffer": (TEXT, LONG, LONG),
    "Metadata": (TEXT, WORD),
    "SignatureDef": (Tables("TensorMap"), Tables("TensorMap"), TEXT, TEXT, WORD),
    "TensorMap": (TEXT, WORD),
    # Tables that depend on the operator: only their own extent is checked here, and the reader
    # reads nothing but scalars, vectors of them and strings, which Python's bounds protect.
    "Options": (),
}  # fmt: skip


class FlatbufferVerifier:
    """Walks the tables of one file; every visited table is checked once."""

    def __init__(self, data: bytes):
        self.data = data
        self.visited: set[tuple[int, str]] = set()

    def unpack(self, form: str, position: int) -> int:
        """Read one little-endian integer, anywhere within the file."""
        size = struct.calcsize(form)
        self.check_extent(position, size)
        return struct.unpack_from("<" + form, self.data, position)[0]

    def check_extent(self, position: int, size: int) -> None:
        """Require ``size`` bytes at ``position``."""
        if position < 0 or position + size > len(self.data):
            raise InputError(
                f"needs {size} bytes at offset {position}, and the file has {len(self.data)} bytes"
            )

    def follow(self, position: int) -> int:
        """Position that the offset at ``position`` points to."""
        return position + self.unpack("I", position)

    def check_vector(self, position: int, size: int) -> range:
        """Require a vector of elements of ``size`` bytes; return where its elements are."""
        count = self.unpack("I", position)
        self.check_extent(position + 4, count * size)
        return range(position + 4, position + 4 + count * size, size)

    def check_table(self, position: int, table: str) -> None:
        """Require a table called ``table`` at ``position``, and all that it refers to."""
        if (position, table) in self.visited:
            return
        self.visited.add((position, table))
        vtable = position - self.unpack("i", position)
        vtable_bytes = self.unpack("H", vtable)
        self.check_extent(vtable, max(vtable_bytes, 4))
        table_bytes = self.unpack("H", vtable + 2)
        self.check_extent(position, table_bytes)
        for slot, kind in enumerate(SCHEMA[table]):
            entry = 4 + 2 * slot
            offset = self.unpack("H", vtable + entry) if entry + 2 <= vtable_bytes else 0
            if offset:
                self.check_field(position + offset, kind)

    def check_field(self, position: int, kind: Scalar | Vector | Tables | Child) -> None:
        """Require the field at ``position`` and all that it refers to."""
        match kind:
            case Scalar(size):
                self.check_extent(position, size)
            case Vector(size):
                self.check_vector(self.follow(position), size)
            case Tables(table):
                for element in self.check_vector(self.follow(position), 4):
                    self.check_table(self.follow(element), table)
            case Child(table):
                self.check_table(self.follow(position), table)


def verify_tflite(data: bytes, name: str) -> None:
    """Require ``data`` to be a .tflite flatbuffer whose every offset stays within it.

    Raises
    ------
    InputError
        Saying that ``name`` is no .tflite file, or is cut short or corrupt, and where.
    """
    if len(data) < HEADER_BYTES:
        raise InputError(f"{name} has {len(data)} bytes, too few for a .tflite file")
    identifier = data[4:HEADER_BYTES]
    if identifier != IDENTIFIER:
        raise InputError(
            f"{name} is not a .tflite file: its identifier is {identifier!r}, not {IDENTIFIER!r}"
        )
    verifier = FlatbufferVerifier(data)
    try:
        verifier.check_table(verifier.follow(0), "Model")
    except InputError as error:
        raise InputError(f"{name} is truncated or corrupt: it {error}") from None
