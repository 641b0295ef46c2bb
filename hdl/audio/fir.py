"""The second filter behind a PDM microphone: droop compensation, and decimation to 16 kHz."""

from collections.abc import Sequence

from amaranth.hdl import Assert, Module, Mux, Signal, signed
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hdl.arith import saturate
from hdl.audio.cic import CIC_BITS, RATIO

__all__ = ["COEFFICIENTS", "DECIMATION", "PASS_OVERHEAD", "SAMPLE_BITS", "FirDecimator"]

COEFFICIENTS = (
    48, 108, 179, 221, 193, 73, -116, -303, -396, -330, -109, 172,
    365, 343, 76, -321, -637, -664, -327, 244, 755, 888, 496, -284,
    -1053, -1347, -902, 151, 1292, 1853, 1390, -10, -1684, -2677, -2251, -369,
    2149, 3925, 3701, 1091, -2993, -6527, -7162, -3304, 4995, 15805, 25909, 31999,
)  # fmt: skip
"""First half of the filter, Q.17; the second one is its mirror image."""
COEFFICIENT_BITS = 16
SHIFT = 16
"""Q1.16 times Q.17 to Q1.17."""
DECIMATION = 4
SAMPLE_BITS = 18
"""Width of a result, Q1.17."""
PASS_OVERHEAD = 3
"""Cycles of a pass beyond one for each coefficient."""


class FirDecimator(wiring.Component):
    """A symmetric filter of even length, with one multiplier of 18 by 16 bits.

    Bit-exact with `models.audio.fir.decimate`.  A pass takes one cycle for two taps, whose samples
    are added before the multiplication: one of them has an even and the other an odd number, so
    each comes from a memory of its own.  Samples go on arriving meanwhile.

    Parameters
    ----------
    coefficients : sequence of int
        First half, signed 16 bits.

    Members
    -------
    i : In(stream of signed(17), always ready)
        Q1.16; not more often than every ``spacing`` cycles.
    o : Out(stream of signed(18), always ready)
        Q1.17, rounded half up and saturated, one for `DECIMATION` inputs once all taps have one;
        ``latency`` cycles after the cycle of the last input.
    """

    def __init__(self, coefficients: Sequence[int] = COEFFICIENTS, *, spacing: int = RATIO):
        limit = 1 << (COEFFICIENT_BITS - 1)
        for coefficient in coefficients:
            if not -limit <= coefficient < limit:
                raise ValueError(
                    f"coefficients must be in {-limit}..{limit - 1}, and {coefficient} is not"
                )
        self.taps = 2 * len(coefficients)
        if not coefficients or self.taps % DECIMATION:
            raise ValueError(
                f"coefficients must be a multiple of {DECIMATION // 2}, not {len(coefficients)}"
            )
        if len(coefficients) > spacing * DECIMATION:
            raise ValueError(
                f"coefficients must be at most {spacing * DECIMATION}, the cycles of a sample, "
                f"not {len(coefficients)}"
            )
        self.coefficients = tuple(coefficients)
        self.spacing = spacing
        self.latency = len(coefficients) + PASS_OVERHEAD
        super().__init__(
            {
                "i": In(stream.Signature(signed(CIC_BITS), always_ready=True)),
                "o": Out(stream.Signature(signed(SAMPLE_BITS), always_ready=True)),
            }
        )

    @property
    def ring_words(self) -> int:
        """Samples kept: those of a pass, and what arrives while it lasts."""
        arriving = -(-len(self.coefficients) // self.spacing) + 1
        return 1 << ceil_log2(self.taps + arriving)

    @property
    def memory_bits(self) -> int:
        """Both memories of samples."""
        return self.ring_words * CIC_BITS

    def elaborate(self, platform):
        """Build the memories, the walk over pairs of taps, and the multiply-accumulate stages."""
        m = Module()
        half = len(self.coefficients)
        address_bits = ceil_log2(self.ring_words)

        # Samples: the newest at `head` - 1, even ones in one memory and odd ones in the other.
        head = Signal(address_bits)
        depth = self.ring_words // 2
        reads = []
        for parity in range(2):
            bank = memory.Memory(shape=signed(CIC_BITS), depth=depth, init=[])
            m.submodules[f"bank_{parity}"] = bank
            write, read = bank.write_port(), bank.read_port()
            reads.append(read)
            m.d.comb += [
                write.addr.eq(head[1:]),
                write.data.eq(self.i.payload),
                write.en.eq(self.i.valid & (head[0] == parity)),
            ]
        m.submodules.table = table = memory.Memory(
            shape=signed(COEFFICIENT_BITS), depth=half, init=self.coefficients
        )
        coefficient = table.read_port()

        # A pass begins with the last of DECIMATION samples, when there are enough of them.
        missing = Signal(range(self.taps), init=self.taps - 1)
        phase = Signal(range(DECIMATION))
        begin = Signal()
        m.d.comb += begin.eq(self.i.valid & (phase == DECIMATION - 1) & (missing == 0))
        with m.If(self.i.valid):
            m.d.sync += [head.eq(head + 1), phase.eq(phase + 1)]
            with m.If(missing != 0):
                m.d.sync += missing.eq(missing - 1)

        # Reads: the newest and the oldest sample, towards each other.
        running, newest, oldest = Signal(), Signal(address_bits), Signal(address_bits)
        pair = Signal(range(half))
        last = Signal()
        m.d.comb += [
            last.eq(running & (pair == half - 1)),
            coefficient.addr.eq(pair),
            coefficient.en.eq(running),
            *(read.en.eq(running) for read in reads),
            reads[0].addr.eq(Mux(newest[0], oldest[1:], newest[1:])),
            reads[1].addr.eq(Mux(newest[0], newest[1:], oldest[1:])),
        ]
        with m.If(running):
            m.d.sync += [newest.eq(newest - 1), oldest.eq(oldest + 1), pair.eq(pair + 1)]
            with m.If(last):
                m.d.sync += [running.eq(0), pair.eq(0)]
        with m.If(begin):
            m.d.sync += [running.eq(1), newest.eq(head), oldest.eq(head - (self.taps - 1))]

        # Stage 1: add the two samples.  Stage 2: multiply and add.
        first_1, valid_1, last_1 = Signal(), Signal(), Signal()
        first_2, valid_2, last_2 = Signal(), Signal(), Signal()
        both, factor = Signal(signed(CIC_BITS + 1)), Signal(signed(COEFFICIENT_BITS))
        m.d.sync += [
            valid_1.eq(running),
            first_1.eq(running & (pair == 0)),
            last_1.eq(last),
            valid_2.eq(valid_1),
            first_2.eq(first_1),
            last_2.eq(last_1),
        ]
        with m.If(valid_1):
            m.d.sync += [both.eq(reads[0].data + reads[1].data), factor.eq(coefficient.data)]
        rounding = 1 << (SHIFT - 1)
        largest = sum(map(abs, self.coefficients)) << CIC_BITS  # both is at most 2**CIC_BITS
        total = Signal(range(-largest, largest + rounding + 1))
        with m.If(valid_2):
            m.d.sync += total.eq(Mux(first_2, rounding, total) + both * factor)
        m.d.sync += self.o.valid.eq(last_2)
        m.d.comb += self.o.payload.eq(saturate(total >> SHIFT, signed(SAMPLE_BITS)))

        m.d.sync += [
            Assert(~begin | ~running, "a pass began while the last one ran"),
            Assert(~running | (newest[0] != oldest[0]), "two samples from one memory"),
            Assert(
                ~running | ((newest - oldest)[:address_bits] == self.taps - 1 - 2 * pair), "lost"
            ),
        ]
        return m
