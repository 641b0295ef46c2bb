"""Real FFT, forward and inverse, in block floating point or in kissfft's int16."""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.audio.config import AudioConfig
from hdl.audio.fft_datapath import (
    DATA_BITS,
    WORD_BITS,
    Butterfly,
    Conditioner,
    Rotator,
    complex_of,
)
from hdl.audio.fft_sequencer import STAGES, FftArithmetic, FftJob, FftSequencer, Phase
from hdl.audio.multipliers import MultiplierPort

__all__ = ["EXPONENT_BITS", "Fft", "FftArithmetic", "FftJob"]

EXPONENT_BITS = 7
PRODUCT_STAGE = 2
PAIR_STAGE, RADIX_STAGE = 4, STAGES - 1
"""Where in `FftSequencer.stages` a product arrives, and where a word leaves."""


class Fft(wiring.Component):
    """Transforms one block after another; bit-exact with `models.audio.fft.Fft`.

    Words come in, `cycles` pass, words leave.  Forward, a word that comes in is two samples, the
    even one in ``re``, and the words that leave are bins 0 to N / 2.  Inverse, the bins come in,
    and words of two samples leave; imaginary parts of the first and the last bin do not count.
    kissfft's words are int16, sign-extended.

    One memory of N / 2 words with a read and a write port; one complex product a cycle.

    Parameters
    ----------
    config : AudioConfig
        `fft_points` and `smallest_fft_points`.

    Members
    -------
    job : In(FftJob)
        Sampled with the first word.
    i : In(stream.Signature(complex_of(24)))
    o : Out(stream.Signature(struct of re, im: signed(24), last: 1))
    exponent : Out(signed(7))
        Of the words on `o`, valid with them: a word means ``(re + j im) * 2**exponent``.
        0 for kissfft's.
    busy : Out(1)
        From the cycle after the first word to the last word's leaving.
    multipliers : Out(MultiplierPort())
        Used within the `cycles`.
    """

    def __init__(self, config: AudioConfig):
        self.config = config
        result = data.StructLayout({"re": signed(DATA_BITS), "im": signed(DATA_BITS), "last": 1})
        super().__init__(
            {
                "job": In(FftJob),
                "i": In(stream.Signature(complex_of(DATA_BITS))),
                "o": Out(stream.Signature(result)),
                "exponent": Out(signed(EXPONENT_BITS)),
                "busy": Out(1),
                "multipliers": Out(MultiplierPort()),
            }
        )

    @staticmethod
    def cycles(points: int) -> int:
        """Cycles from the last word in to the first word out."""
        words = points // 2
        passes = -(-(words.bit_length() - 1) // 2)
        around = 1 + STAGES + 1  # a pass is planned, and ends behind its last write
        return passes * (words + around) + (words + 2 + around) + 2

    def elaborate(self, platform):
        """Build the memory, the pipeline from its read to its write port, and the exponent."""
        m = Module()
        m.submodules.sequencer = sequencer = FftSequencer(self.config)
        m.submodules.rotator = rotator = Rotator()
        m.submodules.butterfly = butterfly = Butterfly(self.config)
        m.submodules.memory = memory = Memory(
            shape=data.ArrayLayout(signed(WORD_BITS), 2), depth=self.config.fft_points // 2, init=[]
        )
        write_port, read_port = memory.write_port(granularity=1), memory.read_port()
        wiring.connect(m, rotator.multipliers, wiring.flipped(self.multipliers))

        job, phase, load = sequencer.current, sequencer.phase, sequencer.load
        kiss, pairs = Signal(), Signal()
        m.d.comb += [
            kiss.eq(job.arithmetic == FftArithmetic.KISS),
            pairs.eq(phase == Phase.PAIRS),
        ]

        # --- words in, and the write port ---------------------------------------------------------
        o_valid = Signal()
        m.d.comb += [
            sequencer.job.eq(self.job),
            sequencer.i_valid.eq(self.i.valid & ~o_valid),
            self.i.ready.eq(sequencer.i_ready & ~o_valid),
            self.busy.eq(~sequencer.idle | o_valid),
        ]
        leaving = sequencer.stages[RADIX_STAGE]
        with m.If(pairs):
            m.d.comb += butterfly.leaving.eq(sequencer.stages[PAIR_STAGE])
        with m.Else():
            m.d.comb += butterfly.leaving.eq(leaving)
        inverse = Mux(load.first, self.job.inverse, job.inverse)
        with m.If(load.valid):
            m.d.comb += [
                write_port.addr.eq(load.address),
                write_port.data[0].eq(Mux(load.last, 0, self.i.p.re)),
                # The first and the last bin share word 0.
                write_port.data[1].eq(
                    Mux(load.last, self.i.p.re, Mux(load.first & inverse, 0, self.i.p.im))
                ),
                write_port.en.eq(Mux(load.last, 0b10, 0b11)),
            ]
        with m.Elif(butterfly.write):
            m.d.comb += [
                write_port.addr.eq(butterfly.leaving.address),
                write_port.data[0].eq(butterfly.word.re),
                write_port.data[1].eq(butterfly.word.im),
                write_port.en.eq(0b11),
            ]

        # --- the width of the largest word, and the exponent --------------------------------------
        changes, shift = Signal(WORD_BITS), Signal(range(WORD_BITS))
        width = Signal(range(WORD_BITS + 1))
        m.d.comb += width.eq(DATA_BITS)  # silence
        for bit in range(WORD_BITS):
            with m.If(changes[bit]):
                m.d.comb += width.eq(bit + 1)
        with m.If(write_port.en.any()):
            seen = changes
            for part in write_port.data:
                seen |= (part ^ (part << 1))[:WORD_BITS]
            m.d.sync += changes.eq(seen)
        growth = Signal(signed(EXPONENT_BITS))
        # Pairs have one bit less; their sums are twice the bins.  The inverse is over all points.
        m.d.comb += growth.eq(width - DATA_BITS)
        with m.If(job.inverse & pairs):
            m.d.comb += growth.eq(width - DATA_BITS + 1)
        with m.Elif(job.inverse & (phase == Phase.RESULT)):
            m.d.comb += growth.eq(width - DATA_BITS - job.size)
        with m.If(sequencer.plan):
            m.d.sync += [changes.eq(0), shift.eq(WORD_BITS - width)]
            with m.If(~kiss):
                m.d.sync += self.exponent.eq(self.exponent + growth)
        with m.If(load.valid & load.first):
            m.d.sync += self.exponent.eq(0)

        # --- read port and operands ---------------------------------------------------------------
        arriving = sequencer.stages[0]
        conditioned = Signal(complex_of(DATA_BITS))
        m.d.comb += [
            read_port.addr.eq(sequencer.read.address),
            read_port.en.eq(sequencer.read.valid),
        ]
        operand, second, negate = rotator.operand, Signal(), Signal()
        m.d.comb += [
            second.eq(pairs & arriving.leg[0]),
            # kissfft conjugates the second word of a pair before its division, not after it.
            negate.eq(kiss & second & ~arriving.first),
        ]
        for part, word in zip(("re", "im"), read_port.data, strict=True):
            m.submodules[f"conditioner_{part}"] = conditioner = Conditioner()
            m.d.comb += [
                conditioner.word.eq(Mux(negate, -word, word) if part == "im" else word),
                conditioner.kiss.eq(kiss),
                conditioner.shift.eq(shift),
                conditioner.headroom.eq(pairs),
                conditioned[part].eq(conditioner.operand),
            ]
            with m.Switch(phase):
                with m.Case(Phase.RADIX4):
                    m.d.comb += conditioner.halvings.eq(2)
                with m.Case(Phase.RADIX2):
                    m.d.comb += conditioner.halvings.eq(1)
                with m.Case(Phase.PAIRS):
                    # The inverse of word 0 divides behind the sums.
                    m.d.comb += conditioner.halvings.eq(~(arriving.first & job.inverse))
        low, conjugate = Signal(complex_of(DATA_BITS)), Signal(signed(DATA_BITS + 1))
        m.d.comb += [
            operand.eq(low),
            conjugate.eq(Mux(negate, conditioned.im, -conditioned.im)),
        ]
        with m.If(arriving.valid):
            m.d.sync += low.eq(conditioned)
        with m.If(arriving.valid & second):
            m.d.sync += [
                low.re.eq(operand.re - conditioned.re),
                low.im.eq(operand.im - conjugate),
                butterfly.sum.re.eq(operand.re + conditioned.re),
                butterfly.sum.im.eq(operand.im + conjugate),
            ]

        # --- twiddles, products, sums -------------------------------------------------------------
        angle, exact = Signal.like(sequencer.angle), Signal()
        m.d.sync += [angle.eq(sequencer.angle), exact.eq(sequencer.exact)]
        multiplied = sequencer.stages[1]
        m.d.comb += [
            rotator.lookup.eq(arriving.valid & ~(pairs & ~arriving.leg[0])),
            rotator.angle.eq(angle),
            rotator.kiss.eq(kiss),
            rotator.exact.eq(exact),
            rotator.inverse.eq(job.inverse),
            rotator.enable.eq(multiplied.valid & ~(pairs & ~multiplied.leg[0])),
            butterfly.phase.eq(phase),
            butterfly.kiss.eq(kiss),
            butterfly.inverse.eq(job.inverse),
            butterfly.arrived.eq(sequencer.stages[PRODUCT_STAGE]),
            butterfly.product.eq(rotator.product),
        ]

        # --- words out ----------------------------------------------------------------------------
        first, last = Signal(), Signal()
        m.d.comb += [
            sequencer.advance.eq(~o_valid | self.o.ready),
            self.o.valid.eq(o_valid),
            self.o.p.re.eq(Mux(last & ~job.inverse, conditioned.im, conditioned.re)),
            self.o.p.im.eq(Mux((first | last) & ~job.inverse, 0, conditioned.im)),
            self.o.p.last.eq(last),
        ]
        with m.If(sequencer.advance):
            m.d.sync += [
                o_valid.eq(sequencer.read.valid & (phase == Phase.RESULT)),
                first.eq(sequencer.read.first),
                last.eq(sequencer.read.last),
            ]
        m.d.sync += [
            Assert(~(load.valid & butterfly.write), "two writes in a cycle"),
            Assert(~(o_valid & Cat(s.valid for s in sequencer.stages).any()), "a word too early"),
        ]
        return m
