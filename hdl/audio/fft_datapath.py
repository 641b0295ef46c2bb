"""The FFT's arithmetic: words to operands, operands times twiddles, products to words."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.audio.fft_sequencer import Access, Phase
from hdl.audio.fft_twiddles import TURN_BITS, TWIDDLE_FRACTION, Twiddles
from hdl.audio.multipliers import MULTIPLIERS, MultiplierPort

__all__ = ["DATA_BITS", "WORD_BITS", "Butterfly", "Conditioner", "Rotator", "complex_of"]

# The names are those of `models.audio.fft_arithmetic`.
DATA_BITS = 24
WORD_BITS = 27
PRODUCT_BITS = 25
SUM_BITS = 26
KISS_BITS = 16
KISS_FRACTION = 15


def complex_of(bits: int) -> data.StructLayout:
    """A complex number with signed parts."""
    return data.StructLayout({"re": signed(bits), "im": signed(bits)})


def kiss_divide(value, halvings: int):
    """Times ``32767 // 2**halvings`` in Q15, rounded: by a difference instead of a product."""
    exact = (value << (KISS_FRACTION - halvings)) - value
    return (exact + (1 << (KISS_FRACTION - 1))) >> KISS_FRACTION


def wrap(value):
    """Reduce modulo 2**16 to int16."""
    return value[:KISS_BITS].as_signed()


class Conditioner(wiring.Component):
    """Makes a multiplier's operand of a word.  Combinational.

    Members
    -------
    word : In(signed(27))
    kiss : In(1)
        Divide by `halvings`; otherwise shift, round and saturate.
    halvings : In(2)
        0, 1 or 2.
    shift : In(range(27))
        Left shift after which the largest word of all fills 27 bits.
    headroom : In(1)
        Round to 23 bits instead of 24.
    operand : Out(signed(24))
    """

    word: In(signed(WORD_BITS))
    kiss: In(1)
    halvings: In(2)
    shift: In(range(WORD_BITS))
    headroom: In(1)
    operand: Out(signed(DATA_BITS))

    def elaborate(self, platform):
        """Build both paths."""
        m = Module()
        shifted = Signal(signed(WORD_BITS))
        m.d.comb += shifted.eq(self.word << self.shift)
        dropped = WORD_BITS - DATA_BITS
        for headroom in range(2):
            with m.If(~self.kiss & (self.headroom == headroom)):
                rounded = (shifted + (1 << (dropped + headroom - 1))) >> (dropped + headroom)
                largest = (1 << (DATA_BITS - 1 - headroom)) - 1
                m.d.comb += self.operand.eq(Mux(rounded > largest, largest, rounded))
        for halvings in range(3):
            with m.If(self.kiss & (self.halvings == halvings)):
                half = wrap(self.word)
                m.d.comb += self.operand.eq(kiss_divide(half, halvings) if halvings else half)
        return m


class Rotator(wiring.Component):
    """Multiplies operands by twiddles, rounding once.

    Members
    -------
    lookup : In(1)
        Fetch the twiddle for the operand of the next cycle, from `angle`, `kiss` and `exact`.
    angle : In(10)
    kiss : In(1)
    exact : In(1)
        The twiddle is 1 or -j even where kissfft's would not be, and nothing wraps.
    inverse : In(1)
        Multiply by the conjugate, unless `exact`.
    enable : In(1)
        Multiply `operand`.
    operand : In(complex_of(24))
    product : Out(complex_of(25))
        In the cycle after `enable`.
    multipliers : Out(MultiplierPort())
    """

    lookup: In(1)
    angle: In(TURN_BITS)
    kiss: In(1)
    exact: In(1)
    inverse: In(1)
    enable: In(1)
    operand: In(complex_of(DATA_BITS))
    product: Out(complex_of(PRODUCT_BITS))
    multipliers: Out(MultiplierPort())

    def elaborate(self, platform):
        """Build the table, the signs of the operands, and the sums of products."""
        m = Module()
        m.submodules.twiddles = twiddles = Twiddles()
        wraps, conjugate = Signal(), Signal()
        m.d.comb += [
            twiddles.enable.eq(self.lookup),
            twiddles.angle.eq(self.angle),
            twiddles.kiss.eq(self.kiss & ~self.exact),
        ]
        with m.If(self.lookup):
            m.d.sync += [
                wraps.eq(self.kiss & ~self.exact),
                conjugate.eq(self.inverse & ~self.exact),
            ]

        # (re + j im) (cos - j sin) = (re cos + im sin) + j (im cos - re sin).  The table's values
        # are negative, so operands are negated where the true factor is positive.
        re, im, ports = self.operand.re, self.operand.im, self.multipliers
        sin_negative = twiddles.sin_negative ^ conjugate
        cos, sin = twiddles.cos, twiddles.sin
        terms = (
            (re, cos, ~twiddles.cos_negative),
            (im, sin, ~sin_negative),
            (im, cos, ~twiddles.cos_negative),
            (re, sin, sin_negative),
        )
        m.d.comb += ports.enable.eq(self.enable)
        with m.If(self.enable):
            for index, (part, factor, negate) in enumerate(terms):
                m.d.comb += [
                    ports.a[index].eq(Mux(negate, -part, part)),
                    ports.b[index].eq(factor),
                ]
            assert len(terms) == MULTIPLIERS
            half = 1 << (TWIDDLE_FRACTION - 1)
            for result, first in ((self.product.re, 0), (self.product.im, 2)):
                total = ports.product[first] + ports.product[first + 1]
                rounded = (total + half) >> TWIDDLE_FRACTION
                m.d.sync += result.eq(Mux(wraps, wrap(rounded), rounded))
        return m


class Butterfly(wiring.Component):
    """Collects the products of a butterfly and gives its sums, one word a cycle.

    Members
    -------
    phase : In(Phase)
        What the products are of; does not change while there are some.
    kiss, inverse : In(1)
    arrived : In(Access(config))
        What `product` belongs to.
    product : In(complex_of(25))
    sum : In(complex_of(25))
        With the product of a pair: the sum of its words, the first and the conjugate second.
    leaving : In(Access(config))
        Which leg `word` shall be, of the latest complete butterfly.
    word : Out(complex_of(27))
    write : Out(1)
        `word` is valid.
    """

    def __init__(self, config):
        access = Access(config)
        super().__init__(
            {
                "phase": In(Phase),
                "kiss": In(1),
                "inverse": In(1),
                "arrived": In(access),
                "product": In(complex_of(PRODUCT_BITS)),
                "sum": In(complex_of(PRODUCT_BITS)),
                "leaving": In(access),
                "word": Out(complex_of(WORD_BITS)),
                "write": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build the chain of products and the two layers of sums, with registers between."""
        m = Module()
        pairs = self.phase == Phase.PAIRS
        product, arrived, leaving = self.product, self.arrived, self.leaving

        # --- legs 0 to 2 wait; with leg 3, the first layer ----------------------------------------
        chain = [Signal(complex_of(PRODUCT_BITS), name=f"leg_{leg}") for leg in (2, 1, 0)]
        with m.If(arrived.valid):
            for register, before in zip(chain, [product, *chain], strict=False):
                m.d.sync += register.eq(before)
        leg2, leg1, leg0 = chain
        a, b, c, d = (Signal(complex_of(SUM_BITS), name=name) for name in "abcd")
        with m.If(arrived.valid & ~pairs & (arrived.leg == 3)):
            for part in ("re", "im"):
                even, odd = (leg0[part], leg2[part]), (leg1[part], product[part])
                m.d.sync += [
                    a[part].eq(even[0] + even[1]),
                    b[part].eq(even[0] - even[1]),
                    c[part].eq(odd[0] + odd[1]),
                    d[part].eq(odd[0] - odd[1]),
                ]
        with m.If(arrived.valid & pairs & arrived.leg[0]):
            m.d.sync += [
                a.re.eq(self.sum.re),
                c.re.eq(product.re),
                # Word 0 holds two real bins, the sum and the difference of its parts.
                a.im.eq(Mux(arrived.first, self.sum.re, self.sum.im)),
                c.im.eq(Mux(arrived.first, product.re, product.im)),
            ]

        # --- second layer: a + c, b -+ j d, a - c, b +- j d; of pairs a + c, conj(a - c) ----------
        leg, first = leaving.leg, pairs & leaving.first
        turned = ~pairs & leg[0]
        left, right, total = (
            Signal(complex_of(bits), name=name)
            for name, bits in (("left", SUM_BITS), ("right", SUM_BITS), ("total", WORD_BITS))
        )
        swap, minus_re, minus_im = Signal(), Signal(), Signal()
        m.d.comb += [
            swap.eq(pairs & leg[0]),
            left.re.eq(Mux(turned, b.re, a.re)),
            right.re.eq(Mux(turned, d.im, c.re)),
            left.im.eq(Mux(swap, c.im, Mux(turned, b.im, a.im))),
            right.im.eq(Mux(swap, a.im, Mux(turned, d.re, c.im))),
            minus_re.eq(Mux(pairs, leg[0], leg[1] ^ (leg[0] & self.inverse))),
            minus_im.eq(Mux(pairs, leg[0] | first, leg[1] ^ (leg[0] & ~self.inverse))),
            total.re.eq(Mux(minus_re, left.re - right.re, left.re + right.re)),
            total.im.eq(Mux(minus_im, left.im - right.im, left.im + right.im)),
        ]
        halve, divide = Signal(), Signal()
        m.d.comb += [
            halve.eq((pairs & self.kiss & ~self.inverse) | (first & self.inverse)),
            divide.eq(first & self.inverse),
            self.write.eq(leaving.valid & ~(first & leg[0])),
        ]
        for part in ("re", "im"):
            # Of radix 2, the first layer was all.
            of_two = Mux(leg[1], Mux(leg[0], d[part], b[part]), Mux(leg[0], c[part], a[part]))
            full = Mux(self.phase == Phase.RADIX2, of_two, total[part])
            halved = Mux(halve, full >> 1, full)
            wrapped = wrap(halved)
            m.d.comb += self.word[part].eq(
                Mux(self.kiss, Mux(divide, kiss_divide(wrapped, 1), wrapped), halved)
            )
        return m
