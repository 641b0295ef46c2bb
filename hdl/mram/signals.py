"""The interfaces between weight cache, MRAM controller and MRAM banks."""

from amaranth.hdl import unsigned
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import MRAM_WORD_BYTES, ChipConfig

__all__ = [
    "MRAM_CODE_BITS",
    "MRAM_WORD_BITS",
    "BankAccess",
    "BankMacro",
    "FactoryWrite",
    "ReadError",
    "ReadStream",
    "WordOperation",
    "WordPort",
    "WordStatus",
]

MRAM_WORD_BITS = 8 * MRAM_WORD_BYTES
"""Data bits of a word."""
MRAM_CODE_BITS = MRAM_WORD_BITS // 64 * 72
"""Stored bits of a word: a (72, 64) code word for each 64 data bits, the first one lowest.  Data is
in bits 0..63 of a code word, check bits in 64..71."""


class ReadError(enum.Enum, shape=unsigned(2)):
    """Why a word of the program cannot be had."""

    NONE = 0
    UNCORRECTABLE = 1
    """It has more errors than can be corrected."""
    NO_WAKE = 2
    """Its bank did not wake up."""


class ReadStream(wiring.Signature):
    """The weight cache's way to the controller, seen from the cache.

    Members
    -------
    wake : Out(1)
        Keep the bank of ``address`` awake.  Must stay high until all reads in flight have returned.
    wake_next : Out(1)
        Keep the bank behind it awake, too: the stream is about to go on there.
    ready : In(1)
        The bank of ``address`` is awake, and this cycle's read is taken.
    enable : Out(1)
        Read this cycle; only while ``ready``.
    address : Out(config.mram_address_bits)
        Word address of the next read, also while ``enable`` is 0.
    data : In(128)
        The word, while ``valid``; corrected if a bit of it was wrong.
    valid : In(1)
        ``config.mram_latency`` cycles after ``enable``.
    error : In(1)
        With ``valid``: the word has more errors than can be corrected, and must not be used.
    failed : In(1)
        The bank of ``address`` cannot be woken; ``ready`` will not come.
    """

    def __init__(self, config: ChipConfig):
        super().__init__(
            {
                "wake": Out(1),
                "wake_next": Out(1),
                "ready": In(1),
                "enable": Out(1),
                "address": Out(config.mram_address_bits),
                "data": In(MRAM_WORD_BITS),
                "valid": In(1),
                "error": In(1),
                "failed": In(1),
            }
        )


class BankAccess(wiring.Signature):
    """One bank behind its sequencer and isolation, seen from the controller.

    Members
    -------
    wake : Out(1)
        Wanted awake.
    ready : In(1)
        Awake; falls only after ``wake`` has.
    failed : In(1)
        It has not woken up in time, and is off; until ``wake`` falls.
    enable : Out(1)
        Access this cycle; only while ``ready`` and not ``busy``.
    write : Out(1)
        Write and do not read.
    address : Out(config.mram_bank_address_bits)
        Word of the bank.
    data : Out(144)
        Code word to write.
    q : In(144)
        Code word read, ``config.mram_latency - 1`` cycles after ``enable``; undefined otherwise.
    busy : In(1)
        A write is in progress: ``config.mram_write_cycles`` cycles from the one after ``enable``.
    """

    def __init__(self, config: ChipConfig):
        super().__init__(
            {
                "wake": Out(1),
                "ready": In(1),
                "failed": In(1),
                "enable": Out(1),
                "write": Out(1),
                "address": Out(config.mram_bank_address_bits),
                "data": Out(MRAM_CODE_BITS),
                "q": In(MRAM_CODE_BITS),
                "busy": In(1),
            }
        )


class BankMacro(wiring.Signature):
    """What a memory compiler delivers: one bank, seen from outside.

    Members
    -------
    supply : Out(1)
        Its header switches are closed.  Contents survive without.
    awake : In(1)
        ``config.mram_wakeup`` cycles after ``supply``: takes accesses.
    enable, write, address, data, q, busy
        As in `BankAccess`.
    """

    def __init__(self, config: ChipConfig):
        super().__init__(
            {
                "supply": Out(1),
                "awake": In(1),
                "enable": Out(1),
                "write": Out(1),
                "address": Out(config.mram_bank_address_bits),
                "data": Out(MRAM_CODE_BITS),
                "q": In(MRAM_CODE_BITS),
                "busy": In(1),
            }
        )


class FactoryWrite(wiring.Signature):
    """Programming in the factory and for a simulation, not a port of the chip's logic.

    One code word a cycle goes into the cells of any bank, powered or not.

    Members
    -------
    enable : Out(1)
        Write this cycle.
    address : Out(config.mram_address_bits)
        Word address.
    data : Out(144)
        The code word as it is stored, `models.mram.secded.encode`.
    """

    def __init__(self, config: ChipConfig):
        super().__init__(
            {
                "enable": Out(1),
                "address": Out(config.mram_address_bits),
                "data": Out(MRAM_CODE_BITS),
            }
        )


class WordOperation(enum.Enum, shape=unsigned(2)):
    """What is done to one word, from waking its bank to the end."""

    READ = 0
    """Read, and correct."""
    WRITE = 1
    """Encode, write, read back, compare all stored bits; again if they differ, a few times."""
    READ_CODE = 2
    """Read the stored bits as they are."""
    WRITE_CODE = 3
    """Write stored bits as they are, without reading back."""


class WordStatus(enum.Enum, shape=unsigned(3)):
    """How an operation on a word ended."""

    OK = 0
    CORRECTED = 1
    """READ: one bit of a code word was wrong; the data is right."""
    UNCORRECTABLE = 2
    """READ: the data must not be used."""
    PROTECTED = 3
    """WRITE, WRITE_CODE: the bank is write-protected; nothing was written."""
    VERIFY_FAILED = 4
    """WRITE: after all retries a bit still reads wrong."""
    NO_WAKE = 5
    """The bank did not wake up."""


class WordPort(wiring.Signature):
    """Operations on single words, one at a time, seen from who asks: host, scrubber, self-test.

    Members
    -------
    request : Out(stream)
        ``operation``, ``address`` (of the whole MRAM) and ``data``: 144 bits for WRITE_CODE, of
        which WRITE takes the lowest 128.
    hold : Out(1)
        More requests to the same bank follow: keep it awake.
    done : In(1)
        Pulse: the request that was taken last has ended.  Every request ends.
    status : In(WordStatus)
        While ``done``.
    data : In(144)
        While ``done``: what was read; READ fills the lowest 128 bits.
    """

    def __init__(self, config: ChipConfig):
        payload = data.StructLayout(
            {
                "operation": WordOperation,
                "address": unsigned(config.mram_address_bits),
                "data": unsigned(MRAM_CODE_BITS),
            }
        )
        super().__init__(
            {
                "request": Out(stream.Signature(payload)),
                "hold": Out(1),
                "done": In(1),
                "status": In(WordStatus),
                "data": In(MRAM_CODE_BITS),
            }
        )
