"""Built-in self-test of the MRAM: March C- on one bank."""

from amaranth.hdl import Array, Assert, Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ChipConfig
from hdl.mram.signals import MRAM_CODE_BITS, WordOperation, WordPort, WordStatus

__all__ = ["BACKGROUNDS", "MARCH", "SelfTest", "background"]

MARCH = (
    ("up", "w0"),
    ("up", "r0", "w1"),
    ("up", "r1", "w0"),
    ("down", "r0", "w1"),
    ("down", "r1", "w0"),
    ("up", "r0"),
)
"""March C- (van de Goor 1991): for each element the order of addresses, then what is done to each
word before the next: ``w`` writes and ``r`` expects the background (0) or its inverse (1)."""

BACKGROUNDS = 1 + (MRAM_CODE_BITS - 1).bit_length()
"""Backgrounds: the solid one, and stripes of 1, 2, 4 ... 128 bits.  Any two bits of a word differ
in one of the stripes."""


def background(index: int) -> int:
    """Stored bits that stand for 0: index 0 is all zeros, ``k`` stripes of ``2**(k-1)`` bits."""
    if index == 0:
        return 0
    return sum(1 << bit for bit in range(MRAM_CODE_BITS) if bit >> (index - 1) & 1)


class SelfTest(wiring.Component):
    """Writes and reads every word of one bank, up and down, and reports the first failure.

    It works on the stored bits, behind the error correction, and **destroys the contents of the
    bank**.  10 operations a word; it stops at the first failure.

    What March C- finds, with any background: cells stuck at a value, cells that cannot change,
    addresses that reach no word, the wrong word or several, and words that disturb *other* words.
    A bit that disturbs another one of its own word is only found with a background in which the two
    differ, so a full test runs all `BACKGROUNDS`.

    Parameters
    ----------
    config : ChipConfig
        ``mram_words`` and ``mram_banks``.

    Members
    -------
    start : In(1)
        Pulse: begin.  Ignored while ``busy``.
    bank : In(range(config.mram_banks))
        What to test.  Sampled with ``start``.
    background : In(range(BACKGROUNDS))
        Stripes of ``2**(background - 1)`` bits; 0: solid; more than there are: solid.  Sampled with
        ``start``.
    busy : Out(1)
        From the cycle after ``start`` until ``done``.
    done : Out(1)
        Pulse, in the first cycle in which ``busy`` is 0 again.
    passed : Out(1)
        No failure; from ``done`` to the next ``start``, like the following.
    status : Out(WordStatus)
        OK, or how the operation ended that could not be done: PROTECTED, NO_WAKE.
    failing_address : Out(config.mram_address_bits)
        Of the first word that failed, in the order of the test.
    failing_bits : Out(144)
        Its wrong bits, as read: all 0 if an operation could not be done.
    failing_element : Out(range(6))
        The element of `MARCH` that found it.
    operations : Out(range(10 * words of a bank + 1))
        Reads and writes that have ended.
    word : Out(WordPort(config))
        To the arbiter.  ``hold`` is 1 all the time: nobody else comes in between.
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        self.most_operations = sum(len(ops) for _, *ops in MARCH) * config.mram_bank_words
        super().__init__(
            {
                "start": In(1),
                "bank": In(range(config.mram_banks)),
                "background": In(range(BACKGROUNDS)),
                "busy": Out(1),
                "done": Out(1),
                "passed": Out(1),
                "status": Out(WordStatus),
                "failing_address": Out(config.mram_address_bits),
                "failing_bits": Out(MRAM_CODE_BITS),
                "failing_element": Out(range(len(MARCH))),
                "operations": Out(range(self.most_operations + 1)),
                "word": Out(WordPort(config)),
            }
        )

        self.element = Signal(range(len(MARCH)))
        self.second = Signal()
        """The second operation of the element is in work; no element has more."""
        self.offset = Signal(config.mram_bank_address_bits)
        """The word within the bank."""

    def elaborate(self, platform):
        """Build the walk over elements, words and operations."""
        m = Module()
        config, word = self.config, self.word
        request = word.request

        element, second, offset = self.element, self.second, self.offset
        bank = Signal.like(self.bank)
        pattern = Signal(MRAM_CODE_BITS)
        waiting = Signal()
        """The request has been taken and has not ended."""

        # What the table says about the operation in work, and the one that follows the word.
        down = table(element, [order == "down" for order, *_ in MARCH])
        next_down = table(element, [order == "down" for order, *_ in (*MARCH[1:], MARCH[0])])
        double = table(element, [len(ops) > 1 for _, *ops in MARCH])
        writes = table(Cat(second, element), [op[0] == "w" for op in operations()])
        inverse = table(Cat(second, element), [op[1] == "1" for op in operations()])

        m.d.comb += [
            word.hold.eq(self.busy),
            request.valid.eq(self.busy & ~waiting),
            request.p.operation.eq(Mux(writes, WordOperation.WRITE_CODE, WordOperation.READ_CODE)),
            request.p.address.eq(Cat(offset, bank)),
            request.p.data.eq(Mux(inverse, ~pattern, pattern)),
        ]

        wrong = Signal(MRAM_CODE_BITS)
        refused, failed = Signal(), Signal()
        last_word, last_element = Signal(), Signal()
        m.d.comb += [
            refused.eq(word.status != WordStatus.OK),
            wrong.eq(Mux(writes | refused, 0, word.data ^ request.p.data)),
            failed.eq(refused | wrong.any()),
            last_word.eq(Mux(down, ~offset.any(), offset == config.mram_bank_words - 1)),
            last_element.eq(element == len(MARCH) - 1),
        ]
        m.d.sync += self.done.eq(0)
        with m.If(~self.busy):
            with m.If(self.start):
                m.d.sync += [
                    self.busy.eq(1),
                    self.passed.eq(0),
                    self.status.eq(WordStatus.OK),
                    self.failing_bits.eq(0),
                    self.operations.eq(0),
                    bank.eq(self.bank),
                    pattern.eq(
                        Array(background(index) for index in range(BACKGROUNDS))[self.background]
                    ),
                    element.eq(0),
                    second.eq(0),
                    offset.eq(0),
                ]
                with m.If(self.background >= BACKGROUNDS):
                    m.d.sync += pattern.eq(background(0))
        with m.Elif(~waiting):
            m.d.sync += waiting.eq(request.ready)
        with m.Elif(word.done):
            m.d.sync += [waiting.eq(0), self.operations.eq(self.operations + 1)]
            with m.If(failed):
                m.d.sync += [
                    self.busy.eq(0),
                    self.done.eq(1),
                    self.status.eq(word.status),
                    self.failing_address.eq(request.p.address),
                    self.failing_bits.eq(wrong),
                    self.failing_element.eq(element),
                ]
            with m.Elif(double & ~second):
                m.d.sync += second.eq(1)
            with m.Elif(~last_word):
                m.d.sync += [second.eq(0), offset.eq(Mux(down, offset - 1, offset + 1))]
            with m.Elif(~last_element):
                m.d.sync += [
                    second.eq(0),
                    element.eq(element + 1),
                    offset.eq(Mux(next_down, config.mram_bank_words - 1, 0)),
                ]
            with m.Else():
                m.d.sync += [self.busy.eq(0), self.done.eq(1), self.passed.eq(1)]

        m.d.sync += [
            Assert(~waiting | self.busy, "the self-test ended with a request in work"),
            Assert(~self.done | ~self.busy, "the self-test is done and goes on"),
            Assert(element < len(MARCH), "no such element"),
            Assert(~second | double, "no such operation"),
        ]
        return m


def operations() -> list[str]:
    """Two operations an element, for a table that is indexed by both; short ones are padded."""
    return [op for _, *ops in MARCH for op in (ops * 2)[:2]]


def table(index, entries: list[bool]):
    """The entry of a constant table of bits."""
    bits = Const(sum(entry << place for place, entry in enumerate(entries)), 1 << len(index))
    return bits.bit_select(index, 1)
