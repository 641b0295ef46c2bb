"""Zig-zag and run-length coding of the JPEG encoder: levels to symbols."""

from amaranth.hdl import Array, Assert, Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.image.jpeg_words import BLOCK_SAMPLES, LEVEL_BITS, BlockTag, End, tagged

__all__ = ["RunCoder", "Symbol"]

DIFFERENCE_BITS = LEVEL_BITS + 1
MAX_RUN = 15


class Symbol(data.Struct):
    """What becomes one Huffman code and ``size`` bits that follow it; or the end of an interval.

    ``run`` and ``size`` are the symbol of an AC level, ``size`` alone that of a DC difference.
    ``bits`` are at the upper end.  With ``end`` there is no code.
    """

    chroma: 1
    dc: 1
    run: range(MAX_RUN + 1)
    size: range(DIFFERENCE_BITS)
    bits: unsigned(LEVEL_BITS)
    end: End


def scan_place(place: int) -> int:
    """Place in scan order of ``8 * row + column``: diagonals, alternately up and down."""
    order = sorted(
        range(BLOCK_SAMPLES),
        key=lambda n: (
            n // 8 + n % 8,
            n // 8 if (n // 8 + n % 8) % 2 else n % 8,
        ),
    )
    return order.index(place)


class RunCoder(wiring.Component):
    """Predict DC, count zeros, and find sizes; four blocks of levels wait here.

    Bit-exact with `models.image.jpeg_entropy.events`.  A level a cycle; a block is left as soon as
    its last level that is not 0 has been read, so that it takes at most 64 cycles, and one more
    before a restart marker.

    Members
    -------
    i : In(tagged(signed(11)))
        Levels, column by column.
    go : In(1)
        There is room for `LATENCY` + 1 symbols.
    released : Out(1)
        The levels of a block are no longer needed.
    o : Out(stream.Signature(Symbol))
        Symbols, which nothing stops.
    """

    BLOCKS = 4
    LATENCY = 3

    i: In(tagged(signed(LEVEL_BITS)))
    go: In(1)
    released: Out(1)
    o: Out(stream.Signature(Symbol, always_ready=True))

    def elaborate(self, platform):
        """Build the memory and the pipeline behind it."""
        m = Module()
        m.submodules.levels = levels = Memory(
            shape=signed(LEVEL_BITS), depth=self.BLOCKS * BLOCK_SAMPLES, init=[]
        )
        write, read = levels.write_port(), levels.read_port()

        # Levels come column by column, and go where the scan has them.
        place, to = Signal(range(BLOCK_SAMPLES)), Signal(range(self.BLOCKS))
        order = Array(Const(scan_place(n), 6) for n in range(BLOCK_SAMPLES))
        scan = Signal(range(BLOCK_SAMPLES))
        furthest, last = Signal(range(BLOCK_SAMPLES)), Signal(range(BLOCK_SAMPLES))
        lasts = Array(Signal(range(BLOCK_SAMPLES), name=f"last_{n}") for n in range(self.BLOCKS))
        tags = [Signal(BlockTag, name=f"tag_{n}") for n in range(self.BLOCKS)]
        waiting = Signal(range(self.BLOCKS + 1))
        stored = Signal()
        m.d.comb += [
            scan.eq(order[Cat(place[3:], place[:3])]),
            write.en.eq(self.i.valid),
            write.addr.eq(Cat(scan, to)),
            write.data.eq(self.i.p.value),
            stored.eq(self.i.valid & place.all()),
            last.eq(Mux((self.i.p.value != 0) & (scan > furthest), scan, furthest)),
        ]
        with m.If(self.i.valid):
            m.d.sync += [place.eq(place + 1), furthest.eq(Mux(stored, 0, last))]
            m.d.sync += Assert(waiting != self.BLOCKS, "no room for a block")
        with m.If(stored):
            m.d.sync += [to.eq(to + 1), lasts[to].eq(Mux(self.i.p.tag.outside, 0, last))]
            for n in range(self.BLOCKS):
                with m.If(to == n):
                    m.d.sync += tags[n].eq(self.i.p.tag)
        m.d.sync += waiting.eq(waiting + stored - self.released)

        # Steps of a block: its levels up to the last, the end of the block, that of the interval.
        index, at = Signal(range(BLOCK_SAMPLES)), Signal(range(self.BLOCKS))
        ended, coded = Signal(), Signal()
        tag = Signal(BlockTag)
        step, is_level, is_end = Signal(), Signal(), Signal()
        for n in range(self.BLOCKS):
            with m.If(at == n):
                m.d.comb += tag.eq(tags[n])
        has_end = tag.end != End.NONE
        at_last = index == lasts[at]
        m.d.comb += [
            step.eq(self.go & (waiting != 0)),
            is_level.eq(~ended & ~coded),
            is_end.eq(coded),
            read.addr.eq(Cat(index, at)),
            self.released.eq(
                step
                & Mux(
                    is_level,
                    at_last & index.all() & ~has_end,
                    coded | ~has_end,
                )
            ),
        ]
        with m.If(step):
            with m.If(is_level):
                m.d.sync += index.eq(index + 1)
                with m.If(at_last):
                    m.d.sync += [ended.eq(~index.all()), coded.eq(index.all() & has_end)]
            with m.Elif(ended):
                m.d.sync += [ended.eq(0), coded.eq(has_end)]
            with m.Else():
                m.d.sync += coded.eq(0)
            with m.If(self.released):
                m.d.sync += [at.eq(at + 1), index.eq(0)]

        # First register: the level is there.
        valid, level_here, dc, end_here = (Signal() for _ in range(4))
        now = Signal(BlockTag)
        m.d.sync += [
            valid.eq(step),
            level_here.eq(is_level),
            dc.eq(is_level & (index == 0)),
            end_here.eq(is_end),
            now.eq(tag),
        ]
        predictions = [Signal(signed(LEVEL_BITS), name=f"prediction_{n}") for n in range(3)]
        prediction, difference = Signal(signed(LEVEL_BITS)), Signal(signed(DIFFERENCE_BITS))
        for n in range(3):
            with m.If(now.component == n):
                m.d.comb += prediction.eq(predictions[n])
        m.d.comb += difference.eq(Mux(now.outside, 0, read.data - prediction))

        # Second: value and run.
        run, zero = Signal(range(MAX_RUN + 1)), Signal()
        value, second = Signal(signed(DIFFERENCE_BITS)), Signal(Symbol)
        second_valid = Signal()
        m.d.comb += zero.eq(level_here & ~dc & (read.data == 0))
        m.d.sync += [
            second_valid.eq(valid & (~zero | (run == MAX_RUN))),
            value.eq(Mux(level_here, Mux(dc, difference, read.data), 0)),
            second.chroma.eq(now.component != 0),
            second.dc.eq(dc),
            second.run.eq(Mux(level_here & ~dc, run, 0)),
            second.end.eq(Mux(end_here, now.end, End.NONE)),
        ]
        with m.If(valid):
            m.d.sync += run.eq(Mux(zero, run + 1, 0))
            for n in range(3):
                with m.If(dc & ~now.outside & (now.component == n)):
                    m.d.sync += predictions[n].eq(read.data)
                with m.If(end_here):
                    m.d.sync += predictions[n].eq(0)

        # Third: size and bits; of a negative value the one's complement.
        magnitude, size = Signal(DIFFERENCE_BITS), Signal(range(DIFFERENCE_BITS))
        m.d.comb += magnitude.eq(Mux(value < 0, -value, value))
        for n in range(DIFFERENCE_BITS - 1):
            with m.If(magnitude[n]):
                m.d.comb += size.eq(n + 1)
        bits = (value - (value < 0))[:LEVEL_BITS]
        m.d.sync += [
            self.o.valid.eq(second_valid),
            self.o.payload.eq(second),
            self.o.p.size.eq(size),
            self.o.p.bits.eq(bits << (LEVEL_BITS - size)[:4]),
        ]
        return m
