"""Behind the mel filters of TensorFlow Lite Micro's front end: sums to int8 features."""

from amaranth.hdl import Assert, Module, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.audio.config import AudioConfig
from hdl.audio.multipliers import MultiplierPort
from hdl.audio.noise_reduction import NoiseConstants, NoiseReduction
from hdl.audio.pcan import OCTAVES, PARABOLA, Pcan
from hdl.audio.square_root import SquareRoot
from hdl.audio.table import TablePort
from hdl.audio.tflm_log import TflmLog

__all__ = ["FRAME_SHIFT_BITS", "SUM_BITS", "USERS", "TflmConstants", "TflmTail"]

SUM_BITS = 54
"""At most 2**52: weights of two bands that a bin is in add up to 2**12, energies to 513 * 2**31."""

FRAME_SHIFT_BITS = 4
USERS = 3
"""Blocks with a port to the multipliers."""


class TflmConstants(data.Struct):
    """Constants of the stages beside the table of gains."""

    noise: NoiseConstants


class TflmTail(wiring.Component):
    """Square root, noise reduction, PCAN and logarithm of a frame's bands, one after the other.

    Bit-exact with `models.audio.tflm_frontend.TflmFrontEnd`, from `FilterBank.accumulate` on.
    First all sums of a frame are taken, and their roots wait in a memory, because the mel filters
    multiply until the last of them; then each band goes through the other stages alone, so that of
    the three no two multiply in the same cycle.

    Parameters
    ----------
    config : AudioConfig
        Most bands.

    Members
    -------
    bands : In(range(config.bands + 1))
        Bands of a frame, at least 1.
    constants : In(TflmConstants)
        Both may change between frames.
    gains : In(TablePort(33, PARABOLA))
        `models.audio.pcan.Pcan.gain_table`; written between frames.
    clear : In(1)
        Forget the noise, between frames; it is forgotten after a reset.
    frame : In(stream.Signature(unsigned(4)))
        Automatic scale of a frame, its left shift in front of the FFT; begins the frame.
    i : In(stream.Signature(unsigned(54)))
        Sums of the frame's bands.
    o : Out(stream.Signature(signed(8)))
        Features.
    multiply : array of Out(MultiplierPort())
        Of `USERS` stages.  Idle while sums are taken.
    idle : Out(1)
        Between frames.
    """

    def __init__(self, config: AudioConfig):
        self.config = config
        super().__init__(
            {
                "bands": In(range(config.bands + 1)),
                "constants": In(TflmConstants),
                "gains": In(TablePort(OCTAVES, PARABOLA)),
                "clear": In(1),
                "frame": In(stream.Signature(unsigned(FRAME_SHIFT_BITS))),
                "i": In(stream.Signature(unsigned(SUM_BITS))),
                "o": Out(stream.Signature(signed(8))),
                "multiply": Out(MultiplierPort()).array(USERS),
                "idle": Out(1),
            }
        )

    @staticmethod
    def cycles(bands: int) -> int:
        """Cycles from a frame's begin to the transfer of its last feature, without stalls."""
        root = SquareRoot(SUM_BITS).latency + 1
        stages = 1 + NoiseReduction.LATENCY + Pcan.LATENCY + TflmLog.LATENCY + 1
        return 1 + bands * (root + stages)

    def elaborate(self, platform):
        """Connect the stages, and count bands twice."""
        m = Module()
        m.submodules.square_root = square_root = SquareRoot(SUM_BITS)
        m.submodules.noise_reduction = noise_reduction = NoiseReduction(self.config)
        m.submodules.pcan = pcan = Pcan()
        m.submodules.log = log = TflmLog()
        m.submodules.amplitudes = amplitudes = Memory(
            shape=unsigned(square_root.root_bits + 1), depth=self.config.bands, init=[]
        )
        read, write = amplitudes.read_port(), amplitudes.write_port()
        connect(m, noise_reduction.o, pcan.i)
        connect(m, pcan.o, log.i)
        connect(m, flipped(self.gains), pcan.gains)
        for outer, inner in zip(self.multiply, (noise_reduction, pcan, log), strict=True):
            connect(m, inner.multiply, flipped(outer))

        shift = Signal(FRAME_SHIFT_BITS)
        band = Signal(range(self.config.bands))
        last = Signal()
        fresh = Signal(init=1)
        m.d.comb += [
            last.eq(band == self.bands - 1),
            noise_reduction.constants.eq(self.constants.noise),
            noise_reduction.fresh.eq(fresh),
            noise_reduction.i.p.band.eq(band),
            noise_reduction.i.p.signal.eq(read.data),
            square_root.i.payload.eq(self.i.payload),
            read.addr.eq(band),
            write.addr.eq(band),
            write.data.eq(square_root.o.payload >> shift),
            self.o.payload.eq(log.o.payload),
        ]
        done = self.o.valid & self.o.ready

        with m.FSM() as fsm:
            with m.State("FRAME"):
                m.d.comb += [self.idle.eq(1), self.frame.ready.eq(1)]
                m.d.sync += [band.eq(0), shift.eq(self.frame.payload)]
                with m.If(self.frame.valid):
                    m.next = "ROOTS"
            with m.State("ROOTS"):
                m.d.comb += [
                    square_root.i.valid.eq(self.i.valid),
                    self.i.ready.eq(square_root.i.ready),
                    square_root.o.ready.eq(1),
                    write.en.eq(square_root.o.valid),
                ]
                with m.If(square_root.o.valid):
                    m.d.sync += band.eq(band + 1)
                    with m.If(last):
                        m.d.sync += band.eq(0)
                        m.next = "READ"
            with m.State("READ"):
                m.next = "START"
            with m.State("START"):
                m.d.comb += noise_reduction.i.valid.eq(1)
                m.d.sync += Assert(noise_reduction.i.ready, "a band begins while another is in")
                m.next = "BAND"
            with m.State("BAND"):
                m.d.comb += [self.o.valid.eq(log.o.valid), log.o.ready.eq(self.o.ready)]
                with m.If(done):
                    m.d.sync += band.eq(band + 1)
                    m.next = "READ"
                    with m.If(last):
                        m.d.sync += fresh.eq(0)
                        m.next = "FRAME"
        busy = sum((~stage.idle for stage in (noise_reduction, pcan, log)), 0)
        m.d.sync += [
            Assert(busy == fsm.ongoing("BAND"), "a band is in one stage, and alone"),
            Assert(fsm.ongoing("ROOTS") | square_root.idle, "a root out of turn"),
        ]
        with m.If(self.clear):
            m.d.sync += fresh.eq(1)
        return m
