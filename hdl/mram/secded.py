"""SECDED (72, 64), two code words a memory word.  The code itself: `models.mram.secded`."""

from amaranth.hdl import Cat, Module, Signal, Value, ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.mram.signals import MRAM_CODE_BITS, MRAM_WORD_BITS

__all__ = ["BLANK", "CHECK_INVERSION", "COLUMNS", "Decoder", "encode"]

CHECK_BITS = 8
DATA_BITS = 64
BLOCK_BITS = DATA_BITS + CHECK_BITS
"""One code word."""

COLUMNS = (
    *(column for column in range(256) if column.bit_count() == 3),
    *(0x1F1F >> turn & 0xFF for turn in range(8)),
    *(1 << bit for bit in range(CHECK_BITS)),
)
"""What a wrong bit does to the syndrome: the 64 data bits, then the 8 check bits."""

CHECK_INVERSION = 0x55
"""Check bits that are stored inverted, so that only zeros and only ones are errors."""

BLANK = sum(CHECK_INVERSION << block + DATA_BITS for block in range(0, MRAM_CODE_BITS, BLOCK_BITS))
"""The stored bits of a word of zeros."""


def encode(word: ValueLike) -> Value:
    """144 bits to store for 128 data bits."""
    word = Value.cast(word)
    if len(word) != MRAM_WORD_BITS:
        raise ValueError(f"a word has {MRAM_WORD_BITS} bits, not {len(word)}")
    blocks = (word[first : first + DATA_BITS] for first in range(0, MRAM_WORD_BITS, DATA_BITS))
    return Cat(*(Cat(block, syndrome(block) ^ CHECK_INVERSION) for block in blocks))


def syndrome(bits: Value) -> Value:
    """Exclusive or of the columns of all ones, for a code word or its data bits alone."""
    return Cat(
        *(
            Cat(
                *(bit for bit, column in zip(bits, COLUMNS, strict=False) if column >> row & 1)
            ).xor()
            for row in range(CHECK_BITS)
        )
    )


class Decoder(wiring.Component):
    """Correct one wrong bit in each half of a word, and report more; combinational.

    Bit-exact with `models.mram.secded.decode`.

    Members
    -------
    code : In(144)
        The stored bits.
    data : Out(128)
        The word; as stored in a half with more than one wrong bit.
    corrected : Out(2)
        Wrong bits that were corrected, 0 to 2; 0 with ``error``.
    error : Out(1)
        A half has more than one wrong bit; ``data`` must not be used.
    """

    code: In(MRAM_CODE_BITS)
    data: Out(MRAM_WORD_BITS)
    corrected: Out(2)
    error: Out(1)

    def elaborate(self, platform):
        """Build two decoders of 72 bits."""
        m = Module()
        data, singles, errors = [], [], []
        for half, first in enumerate(range(0, MRAM_CODE_BITS, BLOCK_BITS)):
            block = self.code[first : first + BLOCK_BITS]
            found = Signal(CHECK_BITS, name=f"syndrome_{half}")
            wrong = Signal(BLOCK_BITS, name=f"wrong_{half}")
            m.d.comb += [
                found.eq(syndrome(block) ^ CHECK_INVERSION),
                wrong.eq(Cat(*(found == column for column in COLUMNS))),
            ]
            data.append(block[:DATA_BITS] ^ wrong[:DATA_BITS])
            singles.append(wrong.any())
            errors.append(found.any() & ~wrong.any())
        m.d.comb += [self.data.eq(Cat(*data)), self.error.eq(Cat(*errors).any())]
        with m.If(~self.error):
            m.d.comb += self.corrected.eq(sum(singles))
        return m
