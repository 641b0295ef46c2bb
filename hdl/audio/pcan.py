"""Per-channel amplitude normalisation (PCAN) of TensorFlow Lite Micro's front end."""

from amaranth.hdl import Assert, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.audio.multipliers import MultiplierPort
from hdl.audio.noise_reduction import REDUCED, WORD_BITS, halves
from hdl.audio.normaliser import Normaliser
from hdl.audio.table import TablePort

__all__ = ["OCTAVES", "PARABOLA", "Pcan"]

OCTAVES = 33
FRACTION_BITS = 10
PARABOLA_BITS = 15
LINEAR_BITS = 5
GAIN_BITS = 15
SNR_BITS, SNR_SHIFT, OUTPUT_BITS = 12, 6, 6
KNEE_BITS = SNR_BITS + 1
"""Below ``2**13`` the ratio is squared."""

PARABOLA = data.StructLayout(
    {"constant": unsigned(GAIN_BITS), "linear": signed(16), "quadratic": signed(16)}
)
"""Row of `models.audio.pcan.Pcan.gain_table`."""


class Pcan(wiring.Component):
    """Multiplies each band by a gain that its noise gives, and squeezes small results.

    Bit-exact with `models.audio.pcan.Pcan.normalise`.  Four turns of the multipliers a band, two
    products in one of them.

    Members
    -------
    gains : In(TablePort(33, PARABOLA))
        Parabolas of the gain by bit length of the noise estimate.
    i : In(stream.Signature(REDUCED))
        Signal and noise estimate of a band.
    o : Out(stream.Signature(unsigned(32)))
        `LATENCY` cycles later, 6 fraction bits.  The next band is taken after its transfer.
    multiply : Out(MultiplierPort())
    idle : Out(1)
        Nothing is in.
    """

    LATENCY = Normaliser.LATENCY + 5

    gains: In(TablePort(OCTAVES, PARABOLA))
    i: In(stream.Signature(REDUCED))
    o: Out(stream.Signature(unsigned(WORD_BITS)))
    multiply: Out(MultiplierPort())
    idle: Out(1)

    def elaborate(self, platform):
        """Build the table and the sequence: octave, parabola, gain, knee."""
        m = Module()
        m.submodules.normaliser = normaliser = Normaliser()
        m.submodules.table = table = Memory(shape=PARABOLA, depth=OCTAVES, init=[])
        read, write = table.read_port(), table.write_port()
        m.d.comb += [
            write.en.eq(self.gains.enable),
            write.addr.eq(self.gains.address),
            write.data.eq(self.gains.data),
            read.en.eq(normaliser.o.valid),
            read.addr.eq(normaliser.o.p.length),
            normaliser.i.payload.eq(self.i.p.estimate),
        ]
        port = self.multiply
        first = port.product[0]
        signal, ratio, result = (Signal(WORD_BITS, name=n) for n in ("signal", "ratio", "result"))
        position = Signal(FRACTION_BITS)
        slope = Signal(signed(23))
        gain = Signal(GAIN_BITS)
        wide = Signal(WORD_BITS + GAIN_BITS)
        m.d.comb += [
            wide.eq(first + (port.product[1] << (WORD_BITS // 2))),
            self.o.payload.eq(result),
        ]

        with m.FSM() as fsm:
            with m.State("TAKE"):
                m.d.comb += [
                    normaliser.i.valid.eq(self.i.valid),
                    self.i.ready.eq(normaliser.i.ready),
                ]
                m.d.sync += signal.eq(self.i.p.signal)
                with m.If(self.i.valid & self.i.ready):
                    m.next = "LOOK_UP"
            with m.State("LOOK_UP"):
                m.d.comb += normaliser.o.ready.eq(1)
                # Behind the leading one.
                top = WORD_BITS - 1
                m.d.sync += position.eq(normaliser.o.p.aligned[top - FRACTION_BITS : top])
                with m.If(normaliser.o.valid):
                    m.next = "SLOPE"
            with m.State("SLOPE"):
                m.d.comb += [
                    port.enable.eq(1),
                    port.a[0].eq(read.data.quadratic),
                    port.b[0].eq(position),
                ]
                m.d.sync += slope.eq((first >> LINEAR_BITS) + (read.data.linear << LINEAR_BITS))
                m.next = "GAIN"
            with m.State("GAIN"):
                m.d.comb += [port.enable.eq(1), port.a[0].eq(slope), port.b[0].eq(position)]
                rounded = (first + (1 << (PARABOLA_BITS - 1))) >> PARABOLA_BITS
                m.d.sync += gain.eq(rounded + read.data.constant)
                m.next = "RATIO"
            with m.State("RATIO"):
                m.d.comb += port.enable.eq(1)
                for index, half in enumerate(halves(signal)):
                    m.d.comb += [port.a[index].eq(half), port.b[index].eq(gain)]
                m.d.sync += ratio.eq(wide >> SNR_SHIFT)
                m.next = "KNEE"
            with m.State("KNEE"):
                small = ratio[:KNEE_BITS]
                m.d.comb += [port.enable.eq(1), port.a[0].eq(small), port.b[0].eq(small)]
                squared = first >> (2 + 2 * SNR_BITS - OUTPUT_BITS)
                shifted = (ratio >> (SNR_BITS - OUTPUT_BITS)) - (1 << OUTPUT_BITS)
                m.d.sync += result.eq(Mux(ratio[KNEE_BITS:] == 0, squared, shifted))
                m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "TAKE"
        m.d.comb += self.idle.eq(fsm.ongoing("TAKE"))
        busy = ~normaliser.idle
        m.d.sync += Assert(fsm.ongoing("LOOK_UP") == busy, "the normaliser works unasked")
        return m
