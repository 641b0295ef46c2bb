"""Forward DCT of the JPEG encoder: two passes of four multipliers, and what lies between."""

from amaranth.hdl import Array, Assert, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.image.jpeg_words import BLOCK_SAMPLES, BlockTag, tagged
from hdl.image.pixels import BYTE_BITS

__all__ = ["COEFFICIENT_BITS", "DctPass", "ForwardDct", "Transposer"]

ROW_BITS = 16
COEFFICIENT_BITS = 14
FACTOR_FRACTION = 17
ROW_FRACTION = 6
COEFFICIENT_FRACTION = 3

COSINES = (64277, 60547, 54491, 46341, 36410, 25080, 12785)
"""``round(2**17 * cos(n * pi / 16) / 2)`` for n = 1 to 7."""


def factor(frequency: int, sample: int) -> int:
    """Weight of a fold in a coefficient, Q0.17; frequency 0 has that of pi / 4."""
    angle = (frequency * (2 * sample + 1) or 4) % 32
    angle = min(angle, 32 - angle)
    return -COSINES[15 - angle] if angle > 8 else COSINES[angle - 1]


class DctPass(wiring.Component):
    """Transform eight values after the other, and divide by ``2**shift``, ties up.

    Bit-exact with `models.image.jpeg_dct.one_pass`.  Takes a value a cycle, and gives one: those of
    eight inputs `LATENCY` cycles and more after the last of them.

    Parameters
    ----------
    in_bits, out_bits : int
        Of the values.
    shift : int

    Members
    -------
    i : In(tagged(signed(in_bits)))
    o : Out(tagged(signed(out_bits)))
    """

    LATENCY = 5
    """From the eighth value to the first coefficient."""

    def __init__(self, in_bits: int, out_bits: int, shift: int):
        self.in_bits, self.out_bits, self.shift = in_bits, out_bits, shift
        super().__init__({"i": In(tagged(signed(in_bits))), "o": Out(tagged(signed(out_bits)))})

    def elaborate(self, platform):
        """Build the folds and the four products."""
        m = Module()
        # Eight values in a row; with the last of them come the folds.
        count, values = Signal(range(8)), [Signal(signed(self.in_bits)) for _ in range(7)]
        sums, differences = ([Signal(signed(self.in_bits + 1)) for _ in range(4)] for _ in range(2))
        frequency, busy, tag = Signal(range(8)), Signal(), Signal(BlockTag)
        m.d.sync += frequency.eq(frequency + 1)
        with m.If(frequency == 7):
            m.d.sync += busy.eq(0)
        with m.If(self.i.valid):
            m.d.sync += count.eq(count + 1)
            for n in range(7):
                with m.If(count == n):
                    m.d.sync += values[n].eq(self.i.p.value)
            with m.If(count == 7):
                m.d.sync += [busy.eq(1), frequency.eq(0), tag.eq(self.i.p.tag)]
                m.d.sync += Assert(~busy | (frequency == 7), "values come too fast")
                row = [*values, self.i.p.value]
                for n in range(4):
                    m.d.sync += [
                        sums[n].eq(row[n] + row[7 - n]),
                        differences[n].eq(row[n] - row[7 - n]),
                    ]

        products, weights, folds = [], [], []
        for n in range(4):
            weight = Signal(signed(FACTOR_FRACTION), name=f"weight_{n}")
            fold = Signal(signed(self.in_bits + 1), name=f"fold_{n}")
            product = Signal(signed(FACTOR_FRACTION + self.in_bits + 1), name=f"product_{n}")
            column = Array(Const(factor(k, n), signed(FACTOR_FRACTION)) for k in range(8))
            m.d.sync += [
                weight.eq(column[frequency]),
                fold.eq(Mux(frequency[0], differences[n], sums[n])),
                product.eq(weight * fold),
            ]
            weights.append(weight)
            folds.append(fold)
            products.append(product)
        half = 1 << self.shift - 1
        total = Signal(signed(len(products[0]) + 3))
        m.d.sync += [
            total.eq((products[0] + products[1]) + (products[2] + products[3])),
            self.o.p.value.eq((total + half) >> self.shift),
        ]
        valid, last = busy, tag
        for stage in range(4):
            later, later_tag = Signal(name=f"valid_{stage}"), Signal(BlockTag, name=f"tag_{stage}")
            m.d.sync += [later.eq(valid), later_tag.eq(last)]
            valid, last = later, later_tag
        m.d.comb += [self.o.valid.eq(valid), self.o.p.tag.eq(last)]
        return m


class Transposer(wiring.Component):
    """Turn blocks row by row into blocks column by column; two of 64 words of 16 bits.

    Takes a value a cycle, and gives one from when it has all 64.

    Members
    -------
    i, o : tagged(signed(16))
    """

    i: In(tagged(signed(ROW_BITS)))
    o: Out(tagged(signed(ROW_BITS)))

    def elaborate(self, platform):
        """Build the memory and both counters."""
        m = Module()
        m.submodules.blocks = blocks = Memory(
            shape=signed(ROW_BITS), depth=2 * BLOCK_SAMPLES, init=[]
        )
        write, read = blocks.write_port(), blocks.read_port()
        place = Signal(range(2 * BLOCK_SAMPLES))
        taken = Signal(range(2 * BLOCK_SAMPLES))
        full, tags = Signal(2), [Signal(BlockTag, name=f"tag_{n}") for n in range(2)]
        reading = full.bit_select(taken[-1], 1)
        m.d.comb += [
            write.en.eq(self.i.valid),
            write.addr.eq(place),
            write.data.eq(self.i.p.value),
            read.addr.eq(Cat(taken[3:6], taken[:3], taken[-1])),
            self.o.p.value.eq(read.data),
        ]
        m.d.sync += self.o.valid.eq(reading)
        with m.If(reading):
            m.d.sync += taken.eq(taken + 1)
            with m.If(taken[:6].all()):
                m.d.sync += full.bit_select(taken[-1], 1).eq(0)
        m.d.sync += self.o.p.tag.eq(Mux(taken[-1], tags[1], tags[0]))
        with m.If(self.i.valid):
            m.d.sync += place.eq(place + 1)
            m.d.sync += Assert(~full.bit_select(place[-1], 1), "a block is not yet read")
            with m.If(place[:6].all()):
                m.d.sync += full.bit_select(place[-1], 1).eq(1)
                for n in range(2):
                    with m.If(place[-1] == n):
                        m.d.sync += tags[n].eq(self.i.p.tag)
        return m


class ForwardDct(wiring.Component):
    """Samples row by row to coefficients column by column, 3 bits of fraction.

    Bit-exact with `models.image.jpeg_dct.forward_dct`.  Eight multipliers: of 9 x 17 and of
    17 x 17 bits.

    Members
    -------
    i : In(tagged(signed(8)))
        Samples less 128, row by row.
    o : Out(tagged(signed(14)))
        Coefficients, column by column.
    """

    i: In(tagged(signed(BYTE_BITS)))
    o: Out(tagged(signed(COEFFICIENT_BITS)))

    def elaborate(self, platform):
        """Connect the passes."""
        m = Module()
        m.submodules.rows = rows = DctPass(BYTE_BITS, ROW_BITS, FACTOR_FRACTION - ROW_FRACTION)
        m.submodules.transposer = transposer = Transposer()
        m.submodules.columns = columns = DctPass(
            ROW_BITS, COEFFICIENT_BITS, FACTOR_FRACTION + ROW_FRACTION - COEFFICIENT_FRACTION
        )
        connect(m, flipped(self.i), rows.i)
        connect(m, rows.o, transposer.i)
        connect(m, transposer.o, columns.i)
        connect(m, columns.o, flipped(self.o))
        return m
