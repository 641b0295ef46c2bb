"""From sums of mel weights to levels: floor, logarithm, exponents, peak."""

from amaranth.hdl import Assert, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.audio.config import AudioConfig
from hdl.audio.logarithm import LOG_FRACTION, SUM_BITS, Log2
from hdl.audio.mel import MEL_SUM_BITS

__all__ = ["FRAME", "LEVEL_BITS", "LevelConstants", "Levels"]

LEVEL_BITS = 25
PEAK_BITS = 15
MANTISSA_BITS = 18
SHIFT_BITS = 10
EXPONENT_BITS = 8

FRAME = data.StructLayout({"exponent": signed(EXPONENT_BITS), "peak": unsigned(PEAK_BITS)})
"""What a frame brings along: exponent of its bins; largest sample, 1 where it does not count."""

FLOOR_BITS = SUM_BITS - 1
FLOOR_MANTISSA_BITS = MANTISSA_BITS + 2 * PEAK_BITS


class LevelConstants(data.Struct):
    """Constants of a front end, see `models.audio.tables.SpectrumTable`."""

    squared: 1
    """Sums are of powers: exponent and peak count twice."""

    unit: signed(LEVEL_BITS)
    floor_mantissa: unsigned(MANTISSA_BITS)
    floor_shift: signed(SHIFT_BITS)
    floor_level: signed(LEVEL_BITS)


class Levels(wiring.Component):
    """Levels of a frame's sums, relative to full scale or the peak.

    Bit-exact with `models.audio.levels.levels`.  At the begin of a frame the floor is multiplied by
    the peak and shifted to the exponent, one bit a cycle, and the peak's own level is found, which
    takes `SETUP_LATENCY` cycles at most; then each level takes `Log2.LATENCY` + 2.

    Parameters
    ----------
    config : AudioConfig
        Most bands.

    Members
    -------
    bands : In(range(config.bands + 1))
        Sums of a frame, at least 1.
    constants : In(LevelConstants)
        Both may change between frames.
    frame : In(stream.Signature(FRAME))
        Once a frame, before its sums are taken.
    i : In(stream.Signature(unsigned(75)))
        Sums.
    o : Out(stream.Signature(signed(25)))
        Levels, Q8.16, saturated above; none is below ``floor_level``.
    """

    SETUP_LATENCY = 2 + 2 * PEAK_BITS + FLOOR_BITS + Log2.LATENCY + 2

    def __init__(self, config: AudioConfig):
        self.config = config
        super().__init__(
            {
                "bands": In(range(config.bands + 1)),
                "constants": In(LevelConstants),
                "frame": In(stream.Signature(FRAME)),
                "i": In(stream.Signature(unsigned(MEL_SUM_BITS))),
                "o": Out(stream.Signature(signed(LEVEL_BITS))),
            }
        )

    def elaborate(self, platform):
        """Build the floor's serial product and shift, and the way through the logarithm."""
        m = Module()
        m.submodules.log2 = log2 = Log2()
        constants = self.constants

        exponent, peak = Signal(signed(EXPONENT_BITS + 1)), Signal(PEAK_BITS)
        floor = Signal(FLOOR_BITS)
        factor, product = Signal(FLOOR_MANTISSA_BITS), Signal(FLOOR_MANTISSA_BITS)
        rest = Signal(PEAK_BITS)
        again = Signal()
        shift = Signal(signed(SHIFT_BITS + 1))
        offset = Signal(signed(LEVEL_BITS + 1))
        band = Signal(range(self.config.bands + 1))
        nothing = Signal()

        total = Signal(SUM_BITS)
        m.d.comb += total.eq(self.i.payload + floor)
        level = Signal(signed(LEVEL_BITS + 2))
        m.d.comb += level.eq(log2.o.payload + offset)
        low, high = constants.floor_level, (1 << (LEVEL_BITS - 1)) - 1
        below = nothing | (level < low)
        m.d.comb += self.o.payload.eq(Mux(below, low, Mux(level > high, high, level)))

        with m.FSM() as fsm:
            with m.State("FRAME"):
                m.d.comb += self.frame.ready.eq(1)
                m.d.sync += [
                    exponent.eq(self.frame.p.exponent << constants.squared),
                    peak.eq(self.frame.p.peak),
                    rest.eq(self.frame.p.peak),
                    factor.eq(constants.floor_mantissa),
                    product.eq(0),
                    again.eq(constants.squared),
                    band.eq(0),
                ]
                with m.If(self.frame.valid):
                    m.next = "FLOOR_TIMES_PEAK"
            with m.State("FLOOR_TIMES_PEAK"):
                m.d.sync += [factor.eq(factor << 1), rest.eq(rest >> 1)]
                with m.If(rest[0]):
                    m.d.sync += product.eq(product + factor)
                with m.If(rest == 0):
                    m.d.sync += [rest.eq(peak), factor.eq(product), product.eq(0), again.eq(0)]
                    with m.If(~again):
                        m.d.sync += [floor.eq(product), shift.eq(constants.floor_shift - exponent)]
                        m.next = "FLOOR_SHIFT"
            with m.State("FLOOR_SHIFT"):
                # Right: half up, so the last shift comes behind an increment.
                with m.If((shift == 0) | (floor == 0)):
                    m.next = "PEAK"
                with m.Elif(shift > 0):
                    m.d.sync += [floor.eq(floor << 1), shift.eq(shift - 1)]
                    with m.If(floor[-1]):
                        m.d.sync += [floor.eq((1 << FLOOR_BITS) - 1), shift.eq(0)]
                with m.Else():
                    m.d.sync += [floor.eq((floor + (shift == -1)) >> 1), shift.eq(shift + 1)]
            with m.State("PEAK"):
                m.d.comb += [log2.i.valid.eq(1), log2.i.payload.eq(peak), log2.o.ready.eq(1)]
                with m.If(log2.i.ready):
                    m.next = "PEAK_LEVEL"
            with m.State("PEAK_LEVEL"):
                m.d.comb += log2.o.ready.eq(1)
                peak_level = log2.o.payload << constants.squared
                m.d.sync += offset.eq(constants.unit + (exponent << LOG_FRACTION) - peak_level)
                with m.If(log2.o.valid):
                    m.next = "TAKE"
            with m.State("TAKE"):
                m.d.comb += [
                    log2.i.valid.eq(self.i.valid),
                    log2.i.payload.eq(total),
                    self.i.ready.eq(log2.i.ready),
                ]
                m.d.sync += nothing.eq(total == 0)
                with m.If(self.i.valid & log2.i.ready):
                    m.d.sync += band.eq(band + 1)
                    m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += [self.o.valid.eq(log2.o.valid), log2.o.ready.eq(self.o.ready)]
                with m.If(self.o.valid & self.o.ready):
                    m.next = "TAKE"
                    with m.If(band == self.bands):
                        m.next = "FRAME"
        expecting = fsm.ongoing("PEAK_LEVEL") | fsm.ongoing("GIVE")
        m.d.sync += Assert(log2.i.ready == ~expecting, "a logarithm that nobody waits for")
        return m
