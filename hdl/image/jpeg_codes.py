"""Huffman codes of the JPEG encoder, one after the other in words of 32 bits."""

from amaranth.hdl import Assert, Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.audio.table import TablePort
from hdl.image.jpeg_runs import RunCoder, Symbol
from hdl.image.jpeg_words import LEVEL_BITS, End

__all__ = ["CODE_ROWS", "QUEUE_WORDS", "CodePacker", "HuffmanCode", "PackedWord"]

CODE_BITS = 16
SYMBOL_BITS = CODE_BITS + LEVEL_BITS
CODE_ROWS = 512
WORD_BITS = 32
QUEUE_WORDS = 32


class HuffmanCode(data.Struct):
    """A code, at the upper end of 16 bits, and its length."""

    code: unsigned(CODE_BITS)
    length: range(CODE_BITS + 1)


class PackedWord(data.Struct):
    """Bytes without stuffing, the first the highest: 4, or 0 to 4 before an ``end``."""

    data: unsigned(WORD_BITS)
    count: range(5)
    end: End


class CodePacker(wiring.Component):
    """Look symbols up and pack their bits; fill the last byte of an interval with ones.

    Bit-exact with `models.image.jpeg_entropy.segment` before stuffing.  A symbol a cycle.

    Row ``256 * chroma + 16 * run + size`` of the table has the code of an AC symbol, row
    ``256 * chroma + 16 * size + 15`` that of a DC difference: no AC level has 15 bits.

    Members
    -------
    table : In(TablePort(512, HuffmanCode))
        Written while no picture is in progress.
    i : In(stream.Signature(Symbol))
        Symbols, which nothing stops.
    go : Out(1)
        There is room for all that is on its way.
    o : Out(stream.Signature(PackedWord))
    """

    LATENCY = 3
    """From a symbol to the word that it fills."""
    MARGIN = RunCoder.LATENCY + LATENCY + 2
    """Words that may come after ``go`` has fallen."""

    table: In(TablePort(CODE_ROWS, HuffmanCode))
    i: In(stream.Signature(Symbol, always_ready=True))
    go: Out(1)
    o: Out(stream.Signature(PackedWord))

    def elaborate(self, platform):
        """Build the table, the packer and the queue behind it."""
        m = Module()
        m.submodules.codes = codes = Memory(shape=HuffmanCode, depth=CODE_ROWS, init=[])
        write, read = codes.write_port(), codes.read_port()
        symbol = self.i.p
        m.d.comb += [
            write.en.eq(self.table.enable),
            write.addr.eq(self.table.address),
            write.data.eq(self.table.data),
            read.addr.eq(
                Cat(
                    Mux(symbol.dc, 15, symbol.size),
                    Mux(symbol.dc, symbol.size, symbol.run),
                    symbol.chroma,
                )
            ),
        ]

        # First register: the code is there.
        valid, bits, size, end = Signal(), Signal(LEVEL_BITS), Signal.like(symbol.size), Signal(End)
        m.d.sync += [
            valid.eq(self.i.valid),
            bits.eq(symbol.bits),
            size.eq(symbol.size),
            end.eq(symbol.end),
        ]

        # Second: code and bits in one word, at its upper end.
        joined, length, second_valid = Signal(SYMBOL_BITS), Signal(range(SYMBOL_BITS + 1)), Signal()
        second_end = Signal(End)
        ends = end != End.NONE
        code_bits = Cat(Const(0, LEVEL_BITS), read.data.code)
        m.d.sync += [
            second_valid.eq(valid),
            second_end.eq(end),
            joined.eq(code_bits | (Cat(Const(0, CODE_BITS), bits) >> read.data.length)),
            length.eq(Mux(ends, 0, read.data.length + size)),
            Assert(~valid | ends | (read.data.length != 0), "a symbol without a code"),
        ]

        # Third: behind what is there; a word is full, or the interval ends.
        held, fill = Signal(WORD_BITS), Signal(range(WORD_BITS))
        window = Signal(WORD_BITS + SYMBOL_BITS)
        total = Signal(range(WORD_BITS + SYMBOL_BITS))
        word, word_valid = Signal(PackedWord), Signal()
        ones = Const((1 << WORD_BITS) - 1, WORD_BITS) >> fill
        m.d.comb += [
            window.eq(
                Cat(Const(0, SYMBOL_BITS), held) | (Cat(Const(0, WORD_BITS), joined) >> fill)
            ),
            total.eq(fill + length),
        ]
        m.d.sync += word_valid.eq(0)
        with m.If(second_valid):
            with m.If(second_end != End.NONE):
                m.d.sync += [
                    held.eq(0),
                    fill.eq(0),
                    word_valid.eq(1),
                    word.data.eq(held | ones),
                    word.count.eq((fill + 7) >> 3),
                    word.end.eq(second_end),
                ]
            with m.Else():
                m.d.sync += [
                    fill.eq(total[:5]),
                    held.eq(Mux(total[5], window[:SYMBOL_BITS] << 5, window[SYMBOL_BITS:])),
                    word_valid.eq(total[5]),
                    word.data.eq(window[SYMBOL_BITS:]),
                    word.count.eq(4),
                    word.end.eq(End.NONE),
                ]

        m.submodules.queue = queue = SyncFIFOBuffered(width=len(word.as_value()), depth=QUEUE_WORDS)
        m.d.comb += [
            queue.w_en.eq(word_valid),
            queue.w_data.eq(word.as_value()),
            self.o.valid.eq(queue.r_rdy),
            self.o.payload.eq(queue.r_data),
            queue.r_en.eq(self.o.ready),
            self.go.eq(queue.level <= QUEUE_WORDS - self.MARGIN),
        ]
        m.d.sync += Assert(~word_valid | queue.w_rdy, "a word is lost")
        return m
