"""What the FFT does when: words in, passes over all words, words out."""

from amaranth.hdl import Array, Assert, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.audio.config import AudioConfig
from hdl.audio.fft_twiddles import TURN_BITS

__all__ = ["STAGES", "Access", "FftArithmetic", "FftJob", "FftSequencer", "Phase"]

STAGES = 7
"""Cycles from the read of a butterfly's leg to the write of the same leg."""

SIZE_BITS = 4


class FftArithmetic(enum.Enum, shape=1):
    """See `models.audio.fft`."""

    BLOCK_FLOATING = 0
    KISS = 1


class FftJob(data.Struct):
    """One transform.

    ``size`` is the binary logarithm of the points of the real transform.
    """

    size: SIZE_BITS
    arithmetic: FftArithmetic
    inverse: 1


class Phase(enum.Enum, shape=2):
    """What happens to all words: a pass, or that they leave."""

    RADIX2 = 0
    RADIX4 = 1
    PAIRS = 2
    RESULT = 3


class Place(data.StructLayout):
    """A word's place in the memory, and whether it is an end of what comes in or leaves."""

    def __init__(self, config: AudioConfig):
        address_bits = exact_log2(config.fft_points) - 1
        super().__init__({"valid": 1, "address": address_bits, "first": 1, "last": 1})


class Access(data.StructLayout):
    """A word's way through a pass: from where to where, and which leg of a butterfly it is.

    ``first`` marks the pair of word 0 with itself, or the first result; ``last`` the last result.
    """

    def __init__(self, config: AudioConfig):
        super().__init__({**Place(config).members, "leg": 2})


class FftSequencer(wiring.Component):
    """Counts words, passes and butterflies, and makes their addresses and angles.

    Words are stored in digit-reversed order, so that the passes leave them in natural order; the
    inverse transform merges pairs of words in reversed order, before the passes.

    A pass reads one word a cycle: the four legs of a butterfly of radix 4, two butterflies of radix
    2, or two pairs.  Before a pass, `plan` is high for one cycle, in which no word is on its way.

    Members
    -------
    job : In(FftJob)
        Sampled with the first word.
    i_valid : In(1)
    i_ready : Out(1)
        Words, see `hdl.audio.fft.Fft`.
    advance : In(1)
        The result's register is free.
    idle : Out(1)
        No word came in, or all results are on their way out.
    current : Out(FftJob)
        The job, until the last result left.
    phase : Out(Phase)
        Does not change while words are on their way.
    plan : Out(1)
    load : Out(Place(config))
        Write the word that comes in; `last`: the last bin of an inverse transform, which is the
        other half of word 0, whose first half is `first`.
    read : Out(Access(config))
        Read a word in this cycle.
    angle : Out(10)
        Of its twiddle, in 1/1024 turn.
    exact : Out(1)
        Its twiddle is 1 or -j in either arithmetic.
    stages : array of Out(Access(config))
        `read` of a pass, 1 to `STAGES` cycles ago.
    """

    def __init__(self, config: AudioConfig):
        self.config = config
        access = Access(config)
        super().__init__(
            {
                "job": In(FftJob),
                "i_valid": In(1),
                "i_ready": Out(1),
                "advance": In(1),
                "idle": Out(1),
                "current": Out(FftJob),
                "phase": Out(Phase),
                "plan": Out(1),
                "load": Out(Place(self.config)),
                "read": Out(access),
                "angle": Out(TURN_BITS),
                "exact": Out(1),
                "stages": Out(access).array(STAGES),
            }
        )

    def elaborate(self, platform):
        """Build the state machine, the address paths and the delay line."""
        m = Module()
        current = self.current
        word_bits = exact_log2(self.config.fft_points) - 1  # of the largest transform's count
        sizes = range(exact_log2(self.config.smallest_fft_points), word_bits + 2)

        words, bits = Signal(word_bits + 1), Signal(range(word_bits + 1))
        count = Signal(word_bits + 1)
        span = Signal(range(word_bits + 1))  # binary logarithm of the butterflies' stride
        m.d.comb += [bits.eq(current.size - 1), words.eq(Const(1) << bits)]

        def reversed_digits(address):
            """Digits of 4 in reverse, an odd bit lowest: see `models.audio.fft`."""
            choices = [Const(0, word_bits)] * (sizes[-1] + 1)
            for size in sizes:
                digits = [address[at : at + 2] for at in range(0, (size - 1) // 2 * 2, 2)]
                odd = [address[size - 2]] if (size - 1) % 2 else []
                choices[size] = Cat(*odd, *reversed(digits))
            return Array(choices)[current.size]

        # --- addresses and angles -----------------------------------------------------------------
        leg, place = Signal(2), Signal(word_bits)
        butterfly = count[2:]
        pair, mirrored = count[1:], Signal(word_bits)
        natural = Signal(word_bits)
        read, load = self.read, self.load
        coarser = Signal(range(TURN_BITS))  # angles of this transform than the table's
        m.d.comb += [mirrored.eq(words - pair), coarser.eq(TURN_BITS - current.size)]
        with m.Switch(self.phase):
            with m.Case(Phase.RADIX2):
                # Sums a + b need the legs 0 and 2 apart: two butterflies, crosswise.
                m.d.comb += [
                    leg.eq(count[:2]),
                    read.address.eq(Cat(count[1], count[0], butterfly)),
                    self.exact.eq(~leg[1]),
                ]
            with m.Case(Phase.RADIX4):
                m.d.comb += [leg.eq(count[:2]), self.exact.eq(leg == 0)]
                with m.Switch(span):
                    for at in range(word_bits - 1):
                        with m.Case(at):
                            m.d.comb += [
                                read.address.eq(Cat(butterfly[:at], leg, butterfly[at:])),
                                place.eq(butterfly[:at]),
                                self.angle.eq(
                                    (Mux(leg[0], place, 0) + (Mux(leg[1], place, 0) << 1))
                                    << (TURN_BITS - 2 - at)
                                ),
                            ]
            with m.Case(Phase.PAIRS):
                m.d.comb += [
                    leg.eq(count[0]),
                    natural.eq(Mux(count[0], mirrored & (words - 1), pair)),
                    read.address.eq(Mux(current.inverse, reversed_digits(natural), natural)),
                    read.first.eq(pair == 0),
                    self.exact.eq(read.first),
                    # -j is a quarter of a turn.
                    self.angle.eq((pair << coarser) + (1 << (TURN_BITS - 2))),
                ]
            with m.Case(Phase.RESULT):
                m.d.comb += [
                    read.address.eq(count & (words - 1)),
                    read.first.eq(count == 0),
                    read.last.eq(count == Mux(current.inverse, words - 1, words)),
                ]
        m.d.comb += read.leg.eq(leg)

        # --- words in, passes, words out ----------------------------------------------------------
        in_flight = Cat(stage.valid for stage in self.stages).any()
        first_radix = Mux(bits[0], Phase.RADIX2, Phase.RADIX4)
        running, draining, delivering = Signal(), Signal(), Signal()
        with m.FSM():
            with m.State("LOAD"):
                m.d.comb += [
                    self.idle.eq(count == 0),
                    self.i_ready.eq(1),
                    load.valid.eq(self.i_valid),
                    load.address.eq(reversed_digits(count & (words - 1))),
                    load.first.eq(count == 0),
                    load.last.eq((count != 0) & current.inverse & (count == words)),
                ]
                with m.If(self.i_valid):
                    m.d.sync += count.eq(count + 1)
                    with m.If(load.first):
                        m.d.sync += current.eq(self.job)
                    with m.Elif(count == Mux(current.inverse, words, words - 1)):
                        m.d.sync += self.phase.eq(Mux(current.inverse, Phase.PAIRS, first_radix))
                        m.next = "PLAN"
            with m.State("PLAN"):
                m.d.comb += self.plan.eq(1)
                m.d.sync += count.eq(0)
                m.next = "PASS"
                with m.If(self.phase == Phase.RESULT):
                    m.next = "RESULT"
            with m.State("PASS"):
                m.d.comb += [running.eq(1), read.valid.eq(1)]
                m.d.sync += count.eq(count + 1)
                # Pairs: from 0 with itself to the middle with itself.
                with m.If(count == Mux(self.phase == Phase.PAIRS, words + 1, words - 1)):
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                m.d.comb += draining.eq(1)
                with m.If(~in_flight):
                    m.next = "PLAN"
                    after = span + Mux(self.phase == Phase.RADIX2, 1, 2)
                    with m.If(self.phase == Phase.PAIRS):
                        m.d.sync += [
                            span.eq(0),
                            self.phase.eq(Mux(current.inverse, first_radix, Phase.RESULT)),
                        ]
                    with m.Else():
                        m.d.sync += [span.eq(after), self.phase.eq(Phase.RADIX4)]
                        with m.If(after == bits):
                            m.d.sync += [
                                span.eq(0),
                                self.phase.eq(Mux(current.inverse, Phase.RESULT, Phase.PAIRS)),
                            ]
            with m.State("RESULT"):
                m.d.comb += [delivering.eq(1), read.valid.eq(self.advance)]
                with m.If(self.advance):
                    m.d.sync += count.eq(count + 1)
                    with m.If(read.last):
                        m.d.sync += count.eq(0)
                        m.next = "LOAD"

        delayed = Signal(Access(self.config))
        m.d.comb += [delayed.eq(read), delayed.valid.eq(running)]
        for stage in self.stages:
            m.d.sync += stage.eq(delayed)
            delayed = stage

        overtaken = [
            stage.valid & (stage.address == read.address) & ~((self.phase == Phase.PAIRS) & leg[0])
            for stage in self.stages
        ]

        def supported(size):
            return Cat(size == each for each in sizes).any()

        limit = Mux((self.phase == Phase.PAIRS) & running, words + 1, words)
        two = (self.phase != Phase.RADIX2) | bits[0]
        own_span = Mux(self.phase == Phase.RADIX4, span[0] == bits[0], (span == 0) & two)
        m.d.sync += [
            Assert(~(load.valid & load.first) | supported(self.job.size), "another size"),
            Assert(~(running & Cat(overtaken).any()), "a read before the write of the same word"),
            Assert(running | draining | ~in_flight, "words on their way outside a pass"),
            Assert(~read.valid | (read.address < words), "a read beyond the transform"),
            # What the proof needs to see that these hold.
            Assert(self.idle | supported(current.size), "the job has another size"),
            Assert(self.idle | (count <= limit) | draining | self.plan, "a word too many"),
            Assert(self.i_ready | (own_span & (span < bits)), "a pass too many"),
            Assert(
                self.i_ready | self.plan | (delivering == (self.phase == Phase.RESULT)),
                "a pass that is none",
            ),
            Assert(~self.i_ready | (span == 0), "not back at the first pass"),
        ]
        return m
