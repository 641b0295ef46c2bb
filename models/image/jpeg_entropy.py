"""Entropy coding of JPEG: levels to events, events to bits, bits to bytes.

An event is at most one Huffman code of 16 bits and 11 bits that follow it, 27 in all.  A block has
at most 64 events: each takes at least one level, so hardware that looks at one level a cycle needs
no cycle more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.fixedpoint import IntArray
from models.image.jpeg_tables import ZIGZAG, HuffmanTable

__all__ = ["Scan", "encode_scan"]

END_OF_BLOCK = 0x00
SIXTEEN_ZEROS = 0xF0
LAST = 63
RESTARTS = 8
"""Restart markers, RST0 to RST7, are used in turn."""


@dataclass(frozen=True)
class Scan:
    """Blocks in the order of the file.

    Parameters
    ----------
    levels : (blocks, 8, 8) int
        Quantised coefficients.
    component : (blocks,) int
        0, 1, 2: each predicts its DC from its own last block.
    inside : (blocks,) bool
        False: the block lies wholly outside the picture and holds nothing of it.  It is coded as
        the DC of the block before it and no AC, which takes fewest bits.
    interval : (blocks,) int
        Restart interval, from 0.
    """

    levels: IntArray
    component: IntArray
    inside: np.ndarray
    interval: IntArray


@dataclass(frozen=True)
class Events:
    """Symbols in order: ``block`` (its number), ``symbol``, and ``bits`` that follow, ``size``."""

    block: IntArray
    symbol: IntArray
    bits: IntArray
    size: IntArray
    is_dc: np.ndarray


def size_of(value: IntArray) -> IntArray:
    """Bits of a magnitude: 0 for 0, 11 for 2047."""
    return (np.abs(value)[..., None] >> np.arange(12) > 0).sum(axis=-1)


def bits_of(value: IntArray, size: IntArray) -> IntArray:
    """Bits that follow a size: the value, or, when it is negative, its one's complement."""
    return np.where(value < 0, value + (1 << size) - 1, value)


def differences(scan: Scan) -> IntArray:
    """DC less the prediction: the last of the component in the interval, or 0."""
    out = np.zeros(len(scan.levels), np.int64)
    for component in range(3):
        which = np.flatnonzero((scan.component == component) & scan.inside)
        dc, interval = scan.levels[which, 0, 0], scan.interval[which]
        fresh = np.ones(len(which), bool)
        fresh[1:] = interval[1:] != interval[:-1]
        out[which] = dc - np.where(fresh, 0, np.roll(dc, 1))
    return out


def events(scan: Scan) -> Events:
    """Run-length code: DC, then (run, size) of each level that is not 0, runs of 16, ends."""
    count = len(scan.levels)
    scanned = scan.levels.reshape(count, -1)[:, ZIGZAG] * scan.inside[:, None]
    scanned[:, 0] = 0
    block, place = np.nonzero(scanned)
    value = scanned[block, place]
    before = np.zeros_like(place)
    before[1:] = np.where(block[1:] == block[:-1], place[:-1], 0)
    run = place - before - 1
    last = np.zeros(count, np.int64)
    np.maximum.at(last, block, place)
    ended = np.flatnonzero(last < LAST)
    zeros = np.repeat(np.arange(len(run)), run // 16)

    difference = differences(scan)
    dc_size, ac_size = size_of(difference), size_of(value)
    none = np.zeros_like
    parts = [  # block, place, symbol, bits, size; of equal places the first comes first
        (np.arange(count), none(difference), dc_size, bits_of(difference, dc_size), dc_size),
        (block[zeros], place[zeros], none(zeros) + SIXTEEN_ZEROS, none(zeros), none(zeros)),
        (block, place, run % 16 << 4 | ac_size, bits_of(value, ac_size), ac_size),
        (ended, none(ended) + LAST, none(ended) + END_OF_BLOCK, none(ended), none(ended)),
    ]
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[0] * (LAST + 1) + columns[1], kind="stable")
    block, place, symbol, bits, size = (column[order] for column in columns)
    return Events(block, symbol, bits, size, place == 0)


def encode_scan(scan: Scan, tables: Sequence[HuffmanTable]) -> bytes:
    """Entropy-coded segments with restart markers between them.

    ``tables`` are luma DC, luma AC, chroma DC, chroma AC.  Each interval is filled with ones to a
    byte; 0x00 is stuffed after each 0xFF.
    """
    found = events(scan)
    table = 2 * (scan.component[found.block] > 0) + ~found.is_dc
    code, length = (np.stack([t.codes[n] for t in tables]) for n in range(2))
    word = code[table, found.symbol] << found.size | found.bits
    bits = length[table, found.symbol] + found.size
    interval = scan.interval[found.block]
    starts = np.flatnonzero(np.diff(interval)) + 1
    parts = zip(np.split(word, starts), np.split(bits, starts), strict=True)
    segments = [segment(*part) for part in parts]
    out = segments[0]
    for n, data in enumerate(segments[1:]):
        out += bytes((0xFF, 0xD0 + n % RESTARTS)) + data
    return out


def segment(word: IntArray, bits: IntArray) -> bytes:
    """The low ``bits`` of each word, one after the other, first bit first."""
    left = np.repeat(np.cumsum(bits), bits) - np.arange(bits.sum()) - 1
    stream = np.repeat(word, bits) >> left & 1
    filled = np.append(stream, np.ones(-len(stream) % 8, np.int64))
    return np.packbits(filled.astype(np.uint8)).tobytes().replace(b"\xff", b"\xff\x00")
