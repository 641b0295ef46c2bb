"""Golden model of the I2S receiver, and of the other end of the wires."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.audio.fir import SAMPLE_BITS
from models.fixedpoint import IntArray

__all__ = ["Alignment", "Channel", "I2sConfig", "Reception", "receive", "transmit"]

MIN_BITS, MAX_BITS = 16, 32


class Alignment(Enum):
    """Where a word begins, and which level of the word select is the left one."""

    STANDARD = 0
    """One bit after the word select has changed; low is left."""
    LEFT_JUSTIFIED = 1
    """With the change; high is left."""


class Channel(Enum):
    """What is heard."""

    LEFT = 0
    RIGHT = 1
    MIX = 2
    """``(left + right + 1) >> 1``."""


@dataclass(frozen=True, kw_only=True)
class I2sConfig:
    """What arrives on the wires.

    A frame is two slots of ``slot_bits``, the left one first.  A slot begins with ``word_bits`` of
    sample, the highest bit first; the rest of it may be anything.
    """

    alignment: Alignment = Alignment.STANDARD
    slot_bits: int = 32
    word_bits: int = 24
    channel: Channel = Channel.LEFT

    def __post_init__(self):
        if not MIN_BITS <= self.slot_bits <= MAX_BITS:
            raise ValueError(f"slot_bits must be in {MIN_BITS}..{MAX_BITS}, not {self.slot_bits!r}")
        if not MIN_BITS <= self.word_bits <= self.slot_bits:
            raise ValueError(
                f"word_bits must be in {MIN_BITS}..slot_bits ({self.slot_bits}), "
                f"not {self.word_bits!r}"
            )


@dataclass(frozen=True)
class Reception:
    """What a receiver made of the wires.

    ``samples`` are Q1.17, signed 18 bits: the highest of a word, without rounding, or all of a
    shorter word and zeros.  ``errors`` counts frames that were too short or too long.
    """

    samples: IntArray
    errors: int


def receive(word_select: ArrayLike, data: ArrayLike, config: I2sConfig) -> Reception:
    """Take the frames out of the two wires, each sampled once a bit.

    A frame is complete when the next one begins in time.  One whose slots do not have exactly
    ``slot_bits`` is an error and gives no sample; the next one is received again, also if it
    begins too early.  What comes before the first beginning of a frame is no error.
    """
    select = np.asarray(word_select, dtype=np.int64)
    left = select == (config.alignment is Alignment.LEFT_JUSTIFIED)
    if config.alignment is Alignment.STANDARD:  # words come a bit late: delay the word select, too
        left = np.concatenate([[True], left[:-1]])
    left = np.concatenate([[True], left])  # no frame begins in the middle of a slot
    begins = np.flatnonzero(left[1:] & ~left[:-1])
    middles = np.flatnonzero(~left[1:] & left[:-1])
    middles = middles[np.searchsorted(middles, begins[:1]).sum() :]  # one behind each beginning
    slot, complete = config.slot_bits, max(begins.size - 1, 0)
    right = middles[:complete] - begins[:-1] == slot
    right &= begins[1:] - begins[:-1] == 2 * slot
    errors = int(np.sum(~right))
    if begins.size:  # the last frame is not complete, but may be wrong already
        has_middle = middles.size == begins.size
        late = select.size > begins[-1] + (2 if has_middle else 1) * slot
        errors += bool(late or (has_middle and middles[-1] - begins[-1] != slot))
    data = np.asarray(data, dtype=np.int64)
    left_words, right_words = (
        words_at(data, starts[:complete][right], config.word_bits) for starts in (begins, middles)
    )
    match config.channel:
        case Channel.LEFT:
            samples = left_words
        case Channel.RIGHT:
            samples = right_words
        case Channel.MIX:
            samples = (left_words + right_words + 1) >> 1
    return Reception(samples, errors)


def words_at(data: IntArray, starts: IntArray, word_bits: int) -> IntArray:
    """The highest `SAMPLE_BITS` of the words that begin there, or shorter words and zeros."""
    words = -data[starts]  # the sign
    for bit in range(1, SAMPLE_BITS):
        words = 2 * words + (data[starts + bit] if bit < word_bits else 0)
    return words


def transmit(
    left: ArrayLike, right: ArrayLike, config: I2sConfig
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Word select and data of a microphone, one value a bit, for words of ``word_bits``.

    Begins in the right slot's last bit, so that a receiver sees the first frame begin, and ends
    where the last frame is complete whatever the alignment.  Unused bits are 0.
    """
    words = np.stack([np.asarray(left, np.int64), np.asarray(right, np.int64)], axis=1).ravel()
    shifts = np.arange(config.word_bits - 1, -1, -1)
    data = np.zeros((words.size, config.slot_bits), dtype=np.uint8)
    data[:, : config.word_bits] = words[:, None] >> shifts & 1
    justified = config.alignment is Alignment.LEFT_JUSTIFIED
    slots = np.tile([justified, not justified], words.size // 2).astype(np.uint8)
    select = np.repeat(slots, config.slot_bits)
    ends = [np.uint8(not justified)], [np.uint8(justified)] * 2
    lead = 1 if justified else 2
    padded = np.concatenate([np.zeros(lead, np.uint8), data.ravel(), np.zeros(3 - lead, np.uint8)])
    return np.concatenate([ends[0], select, ends[1]]), padded
