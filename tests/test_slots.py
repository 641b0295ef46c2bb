"""Two images in one MRAM: which one is started, and in which order an update is written."""

import struct
import zlib
from dataclasses import replace

import pytest
from judge import small_network
from test_image import with_crcs

from hdl.config import FULL, MRAM_WORD_BYTES, SMALL
from mmsp.compiler import compile_graph
from mmsp.errors import InputError
from mmsp.image import ENTRY, HEADER, read_image, write_image
from mmsp.slots import check_resident, choose_slot, update_order

SEQUENCE_AT = 20


@pytest.fixture(scope="module")
def data():
    return write_image(compile_graph(small_network(), SMALL), sequence=5)


@pytest.fixture(scope="module")
def resident(data):
    return read_image(data).resident


def with_sequence(data, sequence):
    forged = bytearray(data)
    struct.pack_into("<I", forged, SEQUENCE_AT, sequence)
    return read_image(with_crcs(forged)).resident


@pytest.mark.parametrize(
    ("first", "second", "chosen"), [(5, 6, 1), (6, 5, 0), (5, 5, 0), (2**32 - 1, 0, 0)]
)
def test_higher_sequence_is_started(data, first, second, chosen):
    slots = with_sequence(data, first), with_sequence(data, second)
    assert choose_slot(*slots, SMALL) == chosen
    # What lies behind the image in its slot does not matter.
    assert choose_slot(slots[0] + b"\xff" * 64, slots[1] + bytes(16), SMALL) == chosen


def test_only_valid_slot_is_started(data, resident):
    newer = with_sequence(data, 9)
    for bad in (b"", bytes(64), newer[:-16], newer[:40], b"\xff" * len(newer)):
        assert choose_slot(resident, bad, SMALL) == 0
        assert choose_slot(bad, resident, SMALL) == 1
    with pytest.raises(InputError, match=r"neither slot can be started: the slot holds no image"):
        choose_slot(b"", bytes(64), SMALL)


def test_every_damaged_word_is_refused(resident):
    assert check_resident(resident, SMALL) == 5
    for at in range(0, len(resident), MRAM_WORD_BYTES):
        for torn in (bytes(16), b"\xff" * 16, bytes(reversed(resident[at : at + 16]))):
            damaged = resident[:at] + torn + resident[at + 16 :]
            if damaged != resident:
                with pytest.raises(InputError, match=r"slot|damaged"):
                    check_resident(damaged, SMALL)


@pytest.mark.parametrize(
    ("at", "form", "value", "message"),
    [
        (8, "<H", 9, "format version 9 and 2 segments"),
        (10, "<H", 17, "format version 1 and 17 segments"),
        (16, "<I", 1 << 20, "has 16777216 resident bytes, and the slot"),
        (16, "<I", 2, "has 32 resident bytes, and the slot"),
        (40, "<I", 0, "made for another chip"),
        (48, "<I", 0, "made for another chip"),
        (HEADER.size, "8s", b"OTHER", "has no segment PROGRAM"),
        (HEADER.size + 8, "<I", 0, "has no segment PROGRAM"),
        (HEADER.size + 12, "<I", 0, "segment PROGRAM of the slot's image is out of place"),
        (HEADER.size + 16, "<I", 1 << 16, "segment PROGRAM of the slot's image is out of place"),
    ],
)
def test_refusals(data, resident, at, form, value, message):
    forged = bytearray(data)
    struct.pack_into(form, forged, at, value)
    count = struct.unpack_from("<H", data, 10)[0]
    # Right checksums of header and table; those of the segments are as they were.
    end = HEADER.size + count * ENTRY.size
    if at not in (8, 10):
        forged = with_header_crc(forged, end)
    with pytest.raises(InputError, match=message):
        check_resident(bytes(forged[: len(resident)]), SMALL)


def with_header_crc(forged, end):
    crc = zlib.crc32(forged[HEADER.size : end], zlib.crc32(forged[: HEADER.size - 4]))
    struct.pack_into("<I", forged, HEADER.size - 4, crc)
    return forged


def test_another_chip_is_refused(resident):
    for config in (FULL, replace(SMALL, mram_kib=64)):
        with pytest.raises(InputError, match="made for another chip"):
            check_resident(resident, config)


def test_update_writes_the_header_last(data, resident):
    order = update_order(data)
    assert sorted(order) == list(range(len(resident) // MRAM_WORD_BYTES))
    head = (HEADER.size + 2 * ENTRY.size) // MRAM_WORD_BYTES
    assert order[-head:] == list(range(head - 1, -1, -1))
    assert order == update_order(resident)
