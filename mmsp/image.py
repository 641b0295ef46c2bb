"""The MRAM image: one file that holds what is programmed, and what the host needs to use it.

::

    header          64 bytes
    segment table   32 bytes a segment
    PROGRAM         descriptors, parameters and weights, in fetch order      resident
    RESET           a program that gives the variables their initial values  resident, if any
    NETWORK         names, quantisation, placements, layers (JSON)           host only

Everything starts at a multiple of an MRAM word (16 bytes).  The resident part comes first and is
programmed as it is, the header included: a boot loader finds the program through it, and knows by
its CRC whether an update was finished.  Nothing in an image depends on the word that it starts at,
so that a second one can lie behind the first (slots A and B); the valid header with the higher
``sequence`` is the one to start.  docs/mram-image.md has the fields.
"""

import hashlib
import json
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from hdl.config import CONFIGS, MRAM_WORD_BYTES, ChipConfig
from hdl.engine.descriptor import Descriptor
from mmsp.compiler.program import Program
from mmsp.description import Description, describe
from mmsp.errors import InputError
from mmsp.variants import base_name, make_variant

__all__ = [
    "MAGIC",
    "VERSION",
    "Image",
    "Segment",
    "configuration_hash",
    "format_hash",
    "is_image",
    "read_image",
    "write_image",
]

MAGIC = b"MMSPMRAM"
VERSION = 1

HEADER = struct.Struct("<8s H H I I I 16s 8s 8s H H I")
"""magic, version, segments, file bytes, resident words, sequence, configuration's name (of a
variant, its base's) and hash, hash of the program format, KiB of activation memory and of MRAM,
CRC-32 of all before it and of the table."""
ENTRY = struct.Struct("<8s I I I I 8x")
"""Kind, flags, first word, bytes, CRC-32 of the segment with its padding."""
CRC_AT = HEADER.size - 4

RESIDENT = 1
"""Flag of a segment that is programmed; the others stay in the file."""
PROGRAM, RESET, NETWORK = "PROGRAM", "RESET", "NETWORK"
MOST_SEGMENTS = 16
NO_SIZES = ("name", "mram_latency", "mram_wakeup", "mram_write_cycles", "audio")
"""Fields of a configuration that a program does not depend on: timing, other blocks, its name."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A segment of an image: ``first_word`` counts from the start of the image."""

    kind: str
    resident: bool
    first_word: int
    data: bytes
    crc: int

    @property
    def words(self) -> int:
        """MRAM words, padding included."""
        return -(-len(self.data) // MRAM_WORD_BYTES)


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image that has been checked."""

    config: ChipConfig
    sequence: int
    segments: list[Segment]
    resident: bytes
    description: Description

    @property
    def program(self) -> Segment:
        """The engine's program."""
        return next(segment for segment in self.segments if segment.kind == PROGRAM)

    @property
    def reset(self) -> Segment | None:
        """The program that gives the variables their initial values."""
        return next((segment for segment in self.segments if segment.kind == RESET), None)

    @property
    def program_words(self) -> NDArray[np.uint8]:
        """Words of the program, ``(n, 16)``."""
        return np.frombuffer(self.program.data, np.uint8).reshape(-1, MRAM_WORD_BYTES)

    @property
    def resident_words(self) -> int:
        """MRAM words that the image takes."""
        return len(self.resident) // MRAM_WORD_BYTES


def configuration_hash(config: ChipConfig) -> bytes:
    """8 bytes that differ when a size differs that a program depends on."""
    sizes = [
        f"{field.name}={getattr(config, field.name)}"
        for field in fields(config)
        if field.name not in NO_SIZES
    ]
    return short_hash(sizes)


def format_hash() -> bytes:
    """8 bytes that differ when the descriptors of a program are laid out in another way."""
    layout = Descriptor.as_shape()
    return short_hash(f"{name}@{field.offset}:{field.shape!r}" for name, field in layout)


def short_hash(parts: Iterable[str]) -> bytes:
    """Hash of texts in their order."""
    return hashlib.sha256(";".join(parts).encode()).digest()[:8]


def is_image(data: bytes) -> bool:
    """Whether a file claims to be an image."""
    return data[: len(MAGIC)] == MAGIC


def write_image(program: Program, *, sequence: int = 1) -> bytes:
    """Make the image of a program; the same program gives the same bytes.

    Raises
    ------
    InputError
        When header and program together exceed the MRAM.
    """
    description = json.dumps(
        describe(program).to_json(), separators=(",", ":"), sort_keys=True, allow_nan=False
    )
    contents = [
        (PROGRAM, RESIDENT, program.words.tobytes()),
        *([] if program.reset is None else [(RESET, RESIDENT, program.reset.tobytes())]),
        (NETWORK, 0, description.encode()),
    ]
    config = program.config
    first = HEADER.size // MRAM_WORD_BYTES + len(contents) * ENTRY.size // MRAM_WORD_BYTES
    table, body, resident_words = b"", b"", 0
    for kind, flags, data in contents:
        padded = data + bytes(-len(data) % MRAM_WORD_BYTES)
        table += ENTRY.pack(kind.encode(), flags, first, len(data), zlib.crc32(padded))
        body += padded
        first += len(padded) // MRAM_WORD_BYTES
        if flags & RESIDENT:
            resident_words = first
    check_size(program.graph.name, resident_words, config)
    header = HEADER.pack(
        MAGIC, VERSION, len(contents), first * MRAM_WORD_BYTES, resident_words, sequence,
        base_name(config).encode(), configuration_hash(config), format_hash(),
        config.activation_kib, config.mram_kib, 0,
    )  # fmt: skip
    crc = zlib.crc32(table, zlib.crc32(header[:CRC_AT]))
    return header[:CRC_AT] + struct.pack("<I", crc) + table + body


def read_image(data: bytes, config: ChipConfig | None = None) -> Image:
    """Check an image and take it apart.

    Parameters
    ----------
    data : bytes
        The whole file.
    config : ChipConfig, optional
        The chip that it shall run on; by default the one of `hdl.config.CONFIGS` it is made for, or
        the variant of one.

    Raises
    ------
    InputError
        When the file is no image, is truncated or damaged, or was made for another chip.
    """
    if not is_image(data):
        raise InputError(
            f"not an MRAM image: the file begins with {data[:8]!r}, and the magic is {MAGIC!r}"
        )
    if len(data) < HEADER.size:
        raise InputError(
            f"the image is truncated: the header takes {HEADER.size} bytes, and {len(data)} are "
            "there"
        )
    _, version, count, size, resident_words, sequence, name, sizes, layout, *kib, crc = (
        HEADER.unpack_from(data)
    )
    if version != VERSION:
        raise InputError(f"the image has format version {version}, and {VERSION} is read")
    if not 1 <= count <= MOST_SEGMENTS:
        raise InputError(f"the image's header has {count} segments, not 1..{MOST_SEGMENTS}")
    if len(data) != size:
        fault = "truncated" if len(data) < size else "followed by something else"
        raise InputError(
            f"the image is {fault}: its header says {size} bytes, and the file has {len(data)}"
        )
    table_end = HEADER.size + count * ENTRY.size
    found = zlib.crc32(data[HEADER.size : table_end], zlib.crc32(data[:CRC_AT]))
    check_crc("header", crc, found)
    target = choose_config(name.rstrip(b"\0").decode("ascii", "replace"), sizes, kib, config)
    if layout != format_hash():
        raise InputError(
            f"the image has program format {layout.hex()[:8]}, and this version's chip reads "
            f"{format_hash().hex()[:8]}: compile the model again"
        )

    segments = list(read_segments(data, count))
    ends = [segment.first_word + segment.words for segment in segments if segment.resident]
    if resident_words != max(ends, default=0):
        raise InputError(
            f"the image's header says {resident_words} resident words, and its segments end at "
            f"{max(ends, default=0)}"
        )
    kinds = [segment.kind for segment in segments]
    for kind in (PROGRAM, NETWORK):
        if kinds.count(kind) != 1:
            raise InputError(f"the image has {kinds.count(kind)} segments {kind}, and needs one")
    program, network = (segments[kinds.index(kind)] for kind in (PROGRAM, NETWORK))
    for segment in segments:
        code = segment.kind in (PROGRAM, RESET)
        whole = segment.data and not len(segment.data) % MRAM_WORD_BYTES
        if code and not (segment.resident and whole):
            raise InputError(
                f"the image's segment {segment.kind} has {len(segment.data)} bytes, and must be "
                f"resident and whole words of {MRAM_WORD_BYTES}"
            )
    if kinds.count(RESET) > 1:
        raise InputError(f"the image has {kinds.count(RESET)} segments {RESET}, and at most 1 fits")
    check_size("the image", resident_words, target)
    return Image(
        config=target,
        sequence=sequence,
        segments=segments,
        resident=data[: resident_words * MRAM_WORD_BYTES],
        description=Description.from_json(parse(network.data), target, program.words),
    )


def read_segments(data: bytes, count: int) -> Iterator[Segment]:
    """Cut the segments out of the file: one after another, without gaps, resident ones first."""
    expected = (HEADER.size + count * ENTRY.size) // MRAM_WORD_BYTES
    only_host = False
    for index in range(count):
        kind, flags, first, size, crc = ENTRY.unpack_from(data, HEADER.size + index * ENTRY.size)
        name = kind.rstrip(b"\0").decode("ascii", "replace")
        start = first * MRAM_WORD_BYTES
        end = start + size + -size % MRAM_WORD_BYTES
        if first != expected or end > len(data):
            raise InputError(
                f"segment {name} of the image takes bytes {start}..{end}, and must begin at "
                f"{expected * MRAM_WORD_BYTES} and end by {len(data)}"
            )
        resident = bool(flags & RESIDENT)
        if resident and only_host:
            raise InputError(f"segment {name} of the image is resident behind one that is not")
        only_host = not resident
        check_crc(f"segment {name}", crc, zlib.crc32(data[start:end]))
        yield Segment(
            kind=name, resident=resident, first_word=first, data=data[start : start + size], crc=crc
        )
        expected = end // MRAM_WORD_BYTES
    if expected * MRAM_WORD_BYTES != len(data):
        raise InputError(
            f"the image's segments end at byte {expected * MRAM_WORD_BYTES}, and the file has "
            f"{len(data)}"
        )


def choose_config(
    name: str, sizes_hash: bytes, kib: Sequence[int], config: ChipConfig | None
) -> ChipConfig:
    """The configuration that an image is for, or an error when it is another one.

    ``kib`` are its activation memory and MRAM; images of before had zeros there.
    """
    made_for = name
    known = list(CONFIGS.values())
    if name in CONFIGS and all(kib):
        try:
            known.append(make_variant(CONFIGS[name], *kib))
            made_for = known[-1].name
        except InputError:  # a size that no version of this program wrote
            made_for = f"{name}+act{kib[0]}+mram{kib[1]}"
    if config is not None:
        if configuration_hash(config) != sizes_hash:
            raise InputError(
                f"the image was made for configuration {made_for} (hash {sizes_hash.hex()[:8]}), "
                f"and this is {config.name} (hash {configuration_hash(config).hex()[:8]})"
            )
        return config
    for candidate in known:
        if configuration_hash(candidate) == sizes_hash:
            return candidate
    raise InputError(
        f"the image was made for configuration {made_for} with other sizes (hash "
        f"{sizes_hash.hex()[:8]}) than {', '.join(CONFIGS)} have here: compile the model again"
    )


def check_crc(what: str, expected: int, found: int) -> None:
    """Compare two checksums."""
    if expected != found:
        raise InputError(
            f"the image is damaged: the CRC-32 of its {what} is {found:08x}, not {expected:08x}"
        )


def check_size(what: str, words: int, config: ChipConfig) -> None:
    """Require that the resident part fits the MRAM."""
    if words > config.mram_words:
        raise InputError(
            f"{what} is too large: it takes {words * MRAM_WORD_BYTES} bytes of MRAM with its "
            f"header, and configuration {config.name} has {config.mram_kib * 1024}"
        )


def parse(data: bytes) -> object:
    """Read JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"segment {NETWORK} of the image is no JSON: {error}") from None
