"""Logarithm and int8 features of TensorFlow Lite Micro's front end."""

import itertools
import math

from amaranth.hdl import Assert, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.audio.multipliers import MultiplierPort
from hdl.audio.normaliser import Normaliser

__all__ = ["TflmLog"]

INPUT_BITS = 32
INPUT_SHIFT = 3
FRACTION_BITS = 16
SEGMENT_BITS = 7
POSITION_BITS = FRACTION_BITS - SEGMENT_BITS
LN2 = 45426
OUTPUT_BITS = 6
LOGARITHM_BITS = 11
"""``64 * ln(2**32)`` is 1420."""

FEATURE_FACTOR, FEATURE_OFFSET, FEATURE_SHIFT = 25191, 32688, 16
"""``(v * 256 + 333) // 666 == (v * 25191 + 32688) >> 16`` for 0 <= v <= 1420."""

FEATURE_RANGE, FEATURE_ZERO = 255, -128

CORRECTION = data.StructLayout({"start": unsigned(13), "step": signed(9)})
"""Of a segment: ``log2(1 + f) - f`` at its begin, UQ0.16, and what it changes by to its end."""


def corrections() -> list[dict[str, int]]:
    """Segments of the table, those of `models.audio.tflm_log.correction_table`."""
    segments, one = 1 << SEGMENT_BITS, 1 << FRACTION_BITS
    points = [i / segments for i in range(segments + 1)]
    values = [math.floor((math.log2(1 + f) - f) * one + 0.5) for f in points]
    return [{"start": start, "step": end - start} for start, end in itertools.pairwise(values)]


class TflmLog(wiring.Component):
    """``64 * ln(8 * i)``, mapped to int8.

    Bit-exact with `models.audio.tflm_log`, `logarithm` and `quantize_feature`.  Three turns of the
    multipliers a value, one product each.

    Members
    -------
    i : In(stream.Signature(unsigned(32)))
        Value of a band.
    o : Out(stream.Signature(signed(8)))
        Feature, `LATENCY` cycles later.  The next value is taken after its transfer.
    multiply : Out(MultiplierPort())
    idle : Out(1)
        Nothing is in.
    """

    LATENCY = Normaliser.LATENCY + 4

    i: In(stream.Signature(unsigned(INPUT_BITS)))
    o: Out(stream.Signature(signed(8)))
    multiply: Out(MultiplierPort())
    idle: Out(1)

    def elaborate(self, platform):
        """Build the table and the sequence: exponent, correction, natural logarithm, feature."""
        m = Module()
        m.submodules.normaliser = normaliser = Normaliser()
        m.submodules.table = table = Memory(
            shape=CORRECTION, depth=1 << SEGMENT_BITS, init=corrections()
        )
        read = table.read_port()
        normalised = normaliser.o.p
        behind_one = normalised.aligned[INPUT_BITS - 1 - FRACTION_BITS : INPUT_BITS - 1]
        m.d.comb += [
            normaliser.i.payload.eq(self.i.payload << INPUT_SHIFT),
            read.en.eq(normaliser.o.valid),
            read.addr.eq(behind_one[POSITION_BITS:]),
        ]
        port = self.multiply
        first = port.product[0]
        fraction, exponent = Signal(FRACTION_BITS), Signal(5)
        tiny = Signal()
        log2 = Signal(5 + FRACTION_BITS)
        logarithm = Signal(LOGARITHM_BITS)
        feature = Signal(signed(8))
        m.d.comb += self.o.payload.eq(feature)

        with m.FSM() as fsm:
            with m.State("TAKE"):
                m.d.comb += [
                    normaliser.i.valid.eq(self.i.valid),
                    self.i.ready.eq(normaliser.i.ready),
                ]
                with m.If(self.i.valid & self.i.ready):
                    m.next = "LOOK_UP"
            with m.State("LOOK_UP"):
                m.d.comb += normaliser.o.ready.eq(1)
                m.d.sync += [
                    fraction.eq(behind_one),
                    exponent.eq(normalised.length - 1),
                    tiny.eq(normalised.length < 2),
                ]
                with m.If(normaliser.o.valid):
                    m.next = "CORRECT"
            with m.State("CORRECT"):
                m.d.comb += [
                    port.enable.eq(1),
                    port.a[0].eq(read.data.step),
                    port.b[0].eq(fraction[:POSITION_BITS]),
                ]
                # Not POSITION_BITS: see the model.
                correction = read.data.start + (first >> FRACTION_BITS)
                m.d.sync += log2.eq((exponent << FRACTION_BITS) + fraction + correction)
                m.next = "NATURAL"
            with m.State("NATURAL"):
                m.d.comb += [port.enable.eq(1), port.a[0].eq(log2), port.b[0].eq(LN2)]
                half = 1 << (FRACTION_BITS - 1)
                natural = (first + half) >> FRACTION_BITS
                scaled = ((natural << OUTPUT_BITS) + half) >> FRACTION_BITS
                m.d.sync += logarithm.eq(Mux(tiny, 0, scaled))
                m.next = "FEATURE"
            with m.State("FEATURE"):
                m.d.comb += [
                    port.enable.eq(1),
                    port.a[0].eq(logarithm),
                    port.b[0].eq(FEATURE_FACTOR),
                ]
                steps = (first + FEATURE_OFFSET) >> FEATURE_SHIFT
                bounded = Mux(steps > FEATURE_RANGE, FEATURE_RANGE, steps)
                m.d.sync += feature.eq(bounded + FEATURE_ZERO)
                m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "TAKE"
        m.d.comb += self.idle.eq(fsm.ongoing("TAKE"))
        busy = ~normaliser.idle
        m.d.sync += Assert(fsm.ongoing("LOOK_UP") == busy, "the normaliser works unasked")
        return m
