"""Bytes of a JPEG file: header, stuffing, markers."""

from amaranth.hdl import Array, Assert, Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.audio.table import TablePort
from hdl.image.jpeg_codes import QUEUE_WORDS, PackedWord
from hdl.image.jpeg_words import HEADER_WORDS, WORD_BYTES, End, JpegSettings, file_word
from hdl.image.pixels import BYTE_BITS

__all__ = ["FileWriter", "WordJoiner"]

MARKER = 0xFF
EOI, RST0 = 0xD9, 0xD0


class FileWriter(wiring.Component):
    """Write the header, then two bytes of the scan a cycle, and markers where intervals end.

    A zero follows each byte of ones.  The header is that of the table: what
    `models.image.jpeg.header` gives for the same settings.

    Members
    -------
    settings : In(JpegSettings)
    table : In(TablePort(256, unsigned(32)))
        Header, four bytes a row, the first the lowest; written while no picture is in progress.
    begin : In(1)
        Pulse: a file begins.  Its header need not wait for the first word of its scan.
    i : In(stream.Signature(PackedWord))
    o : Out(stream.Signature(file_word()))
        Words of 0 to 4 bytes; what lies beyond them means nothing.
    idle : Out(1)
        All files that have begun are written.
    """

    settings: In(JpegSettings)
    table: In(TablePort(HEADER_WORDS, unsigned(WORD_BYTES * BYTE_BITS)))
    begin: In(1)
    i: In(stream.Signature(PackedWord))
    o: Out(stream.Signature(file_word()))
    idle: Out(1)

    def elaborate(self, platform):
        """Build the table and the sequence."""
        m = Module()
        m.submodules.header = header = Memory(
            shape=unsigned(WORD_BYTES * BYTE_BITS), depth=HEADER_WORDS, init=[]
        )
        write, read = header.write_port(), header.read_port()
        row, following_row = Signal(range(HEADER_WORDS)), Signal(range(HEADER_WORDS))
        left = Signal.like(self.settings.header_bytes)
        m.d.comb += [
            write.en.eq(self.table.enable),
            write.addr.eq(self.table.address),
            write.data.eq(self.table.data),
            following_row.eq(row),
            left.eq(self.settings.header_bytes - (row << 2)),
            read.addr.eq(following_row),
        ]
        m.d.sync += row.eq(following_row)

        # Two bytes of a word in one cycle, the other two in the next.
        word, o, second = self.i.p, self.o.p, Signal()
        upper, lower = Signal(BYTE_BITS), Signal(BYTE_BITS)
        one, two = Signal(), Signal()
        half = Mux(second, word.data[:16], word.data[16:])
        stuffed = [Mux(byte == MARKER, 2, 1) for byte in (upper, lower)]
        m.d.comb += [
            upper.eq(half[BYTE_BITS:]),
            lower.eq(half[:BYTE_BITS]),
            one.eq(word.count > Mux(second, 2, 0)),
            two.eq(word.count > Mux(second, 3, 1)),
        ]
        restarts = Signal(3)

        # Each word that waits may be a file, and each block on its way to the queue.
        files, ends = Signal(range(2 * QUEUE_WORDS)), Signal()
        m.d.sync += files.eq(files + self.begin - ends)
        m.d.sync += [
            Assert((files != 0) | ~self.i.valid, "words of no file"),
            Assert(~files.all() | ~self.begin, "more files than can wait"),
        ]
        m.d.comb += self.idle.eq((files == 0) & ~self.begin)

        with m.FSM():
            with m.State("HEADER"):
                m.d.comb += [
                    self.o.valid.eq(files != 0),
                    o.data.eq(read.data),
                    o.count.eq(Mux(left > WORD_BYTES, WORD_BYTES, left)),
                ]
                with m.If(self.o.valid & self.o.ready):
                    m.d.comb += following_row.eq(row + 1)
                    with m.If(left <= WORD_BYTES):
                        m.d.comb += following_row.eq(0)
                        m.d.sync += restarts.eq(0)
                        m.next = "SCAN"
            with m.State("SCAN"):
                m.d.comb += [
                    self.o.valid.eq(self.i.valid),
                    o.data.eq(
                        Mux(
                            upper == MARKER,
                            Cat(upper, Const(0, BYTE_BITS), lower),
                            Cat(upper, lower),
                        )
                    ),
                    o.count.eq(Mux(one, stuffed[0], 0) + Mux(two, stuffed[1], 0)),
                ]
                with m.If(self.i.valid & self.o.ready):
                    m.d.sync += second.eq(~second)
                    with m.If(second | (word.count <= 2)):
                        m.d.sync += second.eq(0)
                        with m.If(word.end == End.NONE):
                            m.d.comb += self.i.ready.eq(1)
                        with m.Else():
                            m.next = "MARKER"
            with m.State("MARKER"):
                restart = word.end == End.RESTART
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.i.ready.eq(self.o.ready),
                    o.data.eq(Cat(Const(MARKER, 8), Mux(restart, RST0 | restarts, EOI))),
                    o.count.eq(2),
                    o.last.eq(~restart),
                    o.bad.eq(word.end == End.BROKEN),
                ]
                with m.If(self.o.ready):
                    m.d.sync += restarts.eq(restarts + 1)
                    m.next = "SCAN"
                    with m.If(~restart):
                        m.d.comb += ends.eq(1)
                        m.next = "HEADER"
        return m


class WordJoiner(wiring.Component):
    """Make words of 4 bytes of words of 0 to 4; only a file's last may have fewer.

    Members
    -------
    i, o : stream.Signature(file_word())
    idle : Out(1)
        It holds no byte.
    """

    i: In(stream.Signature(file_word()))
    o: Out(stream.Signature(file_word()))
    idle: Out(1)

    def elaborate(self, platform):
        """Build the register of up to seven bytes."""
        m = Module()
        bits = WORD_BYTES * BYTE_BITS
        held, count = Signal(2 * bits - BYTE_BITS), Signal(range(2 * WORD_BYTES))
        last, bad = Signal(), Signal()
        full, given, ends = Signal(), Signal(), Signal()
        left, shifted = Signal.like(count), Signal.like(held)
        m.d.comb += [
            full.eq(count >= WORD_BYTES),
            self.idle.eq(count == 0),
            given.eq(self.o.valid & self.o.ready),
            self.o.valid.eq(full | last),
            self.o.p.data.eq(held[:bits]),
            self.o.p.count.eq(Mux(full, WORD_BYTES, count)),
            ends.eq(last & (count <= WORD_BYTES)),
            self.o.p.last.eq(ends),
            self.o.p.bad.eq(ends & bad),
            self.i.ready.eq(~last & (~full | self.o.ready)),
            left.eq(Mux(given, Mux(full, count - WORD_BYTES, 0), count)),
            shifted.eq(Mux(given, held >> bits, held)),
        ]
        m.d.sync += [held.eq(shifted), count.eq(left)]
        with m.If(given & ends):
            m.d.sync += last.eq(0)
        with m.If(self.i.valid & self.i.ready):
            masks = Array((1 << BYTE_BITS * n) - 1 for n in range(WORD_BYTES + 1))
            kept = self.i.p.data & masks[self.i.p.count]
            places = Array(kept << BYTE_BITS * n for n in range(WORD_BYTES))
            m.d.sync += [
                held.eq(shifted | places[left[:2]]),
                count.eq(left + self.i.p.count),
                last.eq(self.i.p.last),
                bad.eq(self.i.p.bad),
            ]
        if platform == "formal":
            self.promise(m, held, count)
        return m

    def promise(self, m, held, count) -> None:
        """Assert what the proof is to show: no byte is lost or altered, and no word changes."""
        i, o, balance = self.i, self.o, Signal.like(count)
        taken = Mux(i.valid & i.ready, i.p.count, 0)
        given = Mux(o.valid & o.ready, o.p.count, 0)
        waited, payload, sane = Signal(), Signal.like(o.payload.as_value()), Signal(init=1)
        m.d.sync += [
            balance.eq(balance + taken - given),
            waited.eq(o.valid & ~o.ready),
            payload.eq(o.payload),
            sane.eq(sane & (i.p.count <= WORD_BYTES)),
            Assert(~sane | (count == balance), "bytes are lost"),
            Assert(~sane | (held >> (count << 3) == 0), "bytes beyond the last"),
            Assert(~waited | (o.valid & (o.payload.as_value() == payload)), "a word changes"),
            Assert(~o.valid | (o.p.count == WORD_BYTES) | o.p.last, "a short word"),
            Assert(~o.valid | ~o.p.last | (o.p.count == count), "bytes behind the last"),
        ]
