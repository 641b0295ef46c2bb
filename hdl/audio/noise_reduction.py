"""Noise reduction of TensorFlow Lite Micro's front end."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.audio.config import AudioConfig
from hdl.audio.multipliers import MultiplierPort

__all__ = ["REDUCED", "WORD_BITS", "NoiseConstants", "NoiseReduction", "halves"]

WORD_BITS = 32
COEFFICIENT_BITS = 14
ESTIMATE_BITS = 10
ONE = 1 << COEFFICIENT_BITS

REDUCED = data.StructLayout({"signal": unsigned(WORD_BITS), "estimate": unsigned(WORD_BITS)})
"""A band less its noise, and the noise."""


class NoiseConstants(data.Struct):
    """Fields of `models.audio.noise_reduction.NoiseReduction`."""

    smoothing_even: unsigned(COEFFICIENT_BITS + 1)
    smoothing_odd: unsigned(COEFFICIENT_BITS + 1)
    minimum_signal: unsigned(COEFFICIENT_BITS + 1)


def halves(value):
    """Low and high half of a word, as operands that are not negative."""
    half = len(value) // 2
    return value[:half], value[half:]


class NoiseReduction(wiring.Component):
    """Follows the noise of each band, and subtracts it.

    Bit-exact with `models.audio.noise_reduction.NoiseReduction.reduce`.  Two turns of the
    multipliers a band: all four for the estimate, two for the least that is left.

    Parameters
    ----------
    config : AudioConfig
        Most bands.

    Members
    -------
    constants : In(NoiseConstants)
        May change between frames.
    fresh : In(1)
        Take old estimates for 0: the first frame after a reset.  Stable while a band is in.
    i : In(stream.Signature(struct of signal: 32, band: range(config.bands)))
        Amplitude of a band.
    o : Out(stream.Signature(REDUCED))
        `LATENCY` cycles later.  The next band is taken in the cycle after its transfer.
    multiply : Out(MultiplierPort())
    idle : Out(1)
        Nothing is in.
    """

    LATENCY = 3

    def __init__(self, config: AudioConfig):
        self.config = config
        band = data.StructLayout({"signal": unsigned(WORD_BITS), "band": range(config.bands)})
        super().__init__(
            {
                "constants": In(NoiseConstants),
                "fresh": In(1),
                "i": In(stream.Signature(band)),
                "o": Out(stream.Signature(REDUCED)),
                "multiply": Out(MultiplierPort()),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build the estimates' memory and the two steps."""
        m = Module()
        m.submodules.estimates = memory = Memory(
            shape=unsigned(WORD_BITS), depth=self.config.bands, init=[]
        )
        read, write = memory.read_port(), memory.write_port()
        constants, port = self.constants, self.multiply

        signal, band = Signal(WORD_BITS), Signal(range(self.config.bands))
        scaled, estimate, reduced = (
            Signal(WORD_BITS, name=n) for n in ("scaled", "estimate", "reduced")
        )
        smoothing = Mux(band[0], constants.smoothing_odd, constants.smoothing_even)
        old = Mux(self.fresh, 0, read.data)
        weighted = Signal(WORD_BITS + COEFFICIENT_BITS + 1)
        floor = Signal(WORD_BITS + COEFFICIENT_BITS)
        left = Mux(scaled > estimate, scaled - estimate, 0)[:WORD_BITS] >> ESTIMATE_BITS
        half = WORD_BITS // 2
        low, high = port.product[0] + port.product[2], port.product[1] + port.product[3]
        m.d.comb += [
            read.addr.eq(self.i.p.band),
            write.addr.eq(band),
            write.data.eq(estimate),
            weighted.eq(low + (high << half)),
            floor.eq(port.product[0] + (port.product[1] << half)),
            self.o.p.signal.eq(reduced),
            self.o.p.estimate.eq(estimate),
        ]

        with m.FSM() as fsm:
            with m.State("TAKE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [
                    signal.eq(self.i.p.signal),
                    scaled.eq(self.i.p.signal << ESTIMATE_BITS),
                    band.eq(self.i.p.band),
                ]
                with m.If(self.i.valid):
                    m.next = "ESTIMATE"
            with m.State("ESTIMATE"):
                m.d.comb += port.enable.eq(1)
                factors = (smoothing, smoothing, ONE - smoothing, ONE - smoothing)
                operands = (*halves(scaled), *halves(old[:WORD_BITS]))
                for index, (operand, factor) in enumerate(zip(operands, factors, strict=True)):
                    m.d.comb += [port.a[index].eq(operand), port.b[index].eq(factor)]
                m.d.sync += estimate.eq(weighted >> COEFFICIENT_BITS)
                m.next = "SUBTRACT"
            with m.State("SUBTRACT"):
                m.d.comb += [port.enable.eq(1), write.en.eq(1)]
                for index, operand in enumerate(halves(signal)):
                    m.d.comb += [
                        port.a[index].eq(operand),
                        port.b[index].eq(constants.minimum_signal),
                    ]
                least = floor >> COEFFICIENT_BITS
                m.d.sync += reduced.eq(Mux(left > least, left, least))
                m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "TAKE"
        m.d.comb += self.idle.eq(fsm.ongoing("TAKE"))
        return m
