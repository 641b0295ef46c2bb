"""From the FFT's bins to int8 features."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.audio.config import AudioConfig
from hdl.audio.dct import FACTOR_BITS, Dct
from hdl.audio.levels import EXPONENT_BITS, PEAK_BITS, LevelConstants, Levels
from hdl.audio.mel import MelBank, mel_row
from hdl.audio.multipliers import MultiplierPort
from hdl.audio.pcan import OCTAVES, PARABOLA
from hdl.audio.quantiser import Quantisation, Quantiser
from hdl.audio.spectrum import BIN, Spectrum
from hdl.audio.table import TablePort
from hdl.audio.tflm_tail import FRAME_SHIFT_BITS, TflmConstants, TflmTail
from hdl.audio.tflm_tail import USERS as TFLM_USERS

__all__ = ["FEATURE", "FEATURE_FRAME", "USERS", "FeatureConstants", "Features"]

FEATURE_FRAME = data.StructLayout(
    {
        "exponent": signed(EXPONENT_BITS),
        "peak": unsigned(PEAK_BITS),
        "scale": unsigned(FRAME_SHIFT_BITS),
    }
)
"""What a frame brings along: its FFT's exponent, its peak (1 where none counts), and with TFLM's
tail its automatic scale instead."""

FEATURE = data.StructLayout({"value": signed(8), "last": 1})
"""One feature, and whether it is its frame's last."""

USERS = 3 + TFLM_USERS
"""Blocks with a port to the multipliers."""


class FeatureConstants(data.StructLayout):
    """Constants of a front end.

    Fields
    ------
    root : 1
        Magnitudes, not powers.
    bands, coefficients : range
        Filters, at least 1; rows of the DCT, 0 for none.
    first_bin, last_bin : range
        The bins that come.
    level : LevelConstants
    first : signed(18)
        Factor of the DCT's row 0.
    quantisation : Quantisation
    tflm : 1
        TFLM's tail in place of levels, DCT and quantiser.
    tflm_tail : TflmConstants
    """

    def __init__(self, config: AudioConfig):
        bins = config.fft_points // 2 + 1
        super().__init__(
            {
                "root": 1,
                "bands": range(config.bands + 1),
                "coefficients": range(config.coefficients + 1),
                "first_bin": range(bins),
                "last_bin": range(bins),
                "level": LevelConstants,
                "first": signed(FACTOR_BITS),
                "quantisation": Quantisation,
                "tflm": 1,
                "tflm_tail": TflmConstants,
            }
        )


class Features(wiring.Component):
    """Spectrum, mel filters, then levels, DCT and quantiser, or TFLM's tail; a frame at a time.

    Bit-exact with what `models.audio.pipeline.features` does behind the FFT.  A frame's bins are
    taken only when all features of the frame before have been given, so that of the blocks in it
    no two multiply in the same cycle.

    Parameters
    ----------
    config : AudioConfig
        Largest FFT, most bands and coefficients.

    Members
    -------
    constants : In(FeatureConstants(config))
        May change when ``idle``, like the tables.
    weights : In(TablePort(config.fft_points // 2 + 1, mel_row(config)))
        Mel filters.
    cosines : In(TablePort(config.bands + 1, signed(18)))
        DCT.
    gains : In(TablePort(33, PARABOLA))
        TFLM's tail.
    clear : In(1)
        Forget the noise that TFLM's tail follows.
    frame : In(stream.Signature(FEATURE_FRAME))
        Begins a frame.
    i : In(stream.Signature(BIN))
        Bins ``first_bin`` to ``last_bin`` of that frame.
    o : Out(stream.Signature(FEATURE))
        Features.
    multiply : array of Out(MultiplierPort())
        Of `USERS` blocks.
    idle : Out(1)
        Between frames.
    """

    def __init__(self, config: AudioConfig):
        self.config = config
        super().__init__(
            {
                "constants": In(FeatureConstants(config)),
                "weights": In(TablePort(config.fft_points // 2 + 1, mel_row(config))),
                "cosines": In(TablePort(config.bands + 1, signed(FACTOR_BITS))),
                "gains": In(TablePort(OCTAVES, PARABOLA)),
                "clear": In(1),
                "frame": In(stream.Signature(FEATURE_FRAME)),
                "i": In(stream.Signature(BIN)),
                "o": Out(stream.Signature(FEATURE)),
                "multiply": Out(MultiplierPort()).array(USERS),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        """Connect the blocks and let one frame in at a time."""
        m = Module()
        config, constants = self.config, self.constants
        m.submodules.spectrum = spectrum = Spectrum()
        m.submodules.mel = mel = MelBank(config)
        m.submodules.levels = levels = Levels(config)
        m.submodules.dct = dct = Dct(config)
        m.submodules.quantiser = quantiser = Quantiser()
        connect(m, spectrum.o, mel.i)
        connect(m, levels.o, dct.i)
        connect(m, dct.o, quantiser.i)
        m.submodules.tflm = tflm = TflmTail(config)
        connect(m, flipped(self.weights), mel.table)
        connect(m, flipped(self.gains), tflm.gains)
        connect(m, flipped(self.cosines), dct.table)
        ports = (spectrum.multiply, mel.multiply, dct.multiply, *tflm.multiply)
        for outer, inner in zip(self.multiply, ports, strict=True):
            connect(m, inner, flipped(outer))
        m.d.comb += [
            spectrum.root.eq(constants.root),
            mel.bands.eq(constants.bands),
            mel.first.eq(constants.first_bin),
            mel.last.eq(constants.last_bin),
            levels.bands.eq(constants.bands),
            levels.constants.eq(constants.level),
            dct.bands.eq(constants.bands),
            dct.coefficients.eq(constants.coefficients),
            dct.first.eq(constants.first),
            quantiser.constants.eq(constants.quantisation),
            levels.frame.p.exponent.eq(self.frame.p.exponent),
            levels.frame.p.peak.eq(self.frame.p.peak),
            levels.i.payload.eq(mel.o.payload),
            tflm.bands.eq(constants.bands),
            tflm.constants.eq(constants.tflm_tail),
            tflm.clear.eq(self.clear),
            tflm.frame.payload.eq(self.frame.p.scale),
            tflm.i.payload.eq(mel.o.payload),
            spectrum.i.payload.eq(self.i.payload),
        ]
        with m.If(constants.tflm):
            m.d.comb += [
                tflm.i.valid.eq(mel.o.valid),
                mel.o.ready.eq(tflm.i.ready),
                self.o.p.value.eq(tflm.o.payload),
                self.o.valid.eq(tflm.o.valid),
                tflm.o.ready.eq(self.o.ready),
            ]
        with m.Else():
            m.d.comb += [
                levels.i.valid.eq(mel.o.valid),
                mel.o.ready.eq(levels.i.ready),
                self.o.p.value.eq(quantiser.o.payload),
                self.o.valid.eq(quantiser.o.valid),
                quantiser.o.ready.eq(self.o.ready),
            ]

        bins_left = Signal(range(config.fft_points // 2 + 1))
        value = Signal(range(config.bands))
        values = Mux(constants.coefficients == 0, constants.bands, constants.coefficients)
        m.d.comb += self.o.p.last.eq(value == values - 1)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += value.eq(value + 1)

        with m.FSM():
            with m.State("FRAME"):
                m.d.comb += [
                    self.idle.eq(1),
                    levels.frame.valid.eq(self.frame.valid & ~constants.tflm),
                    tflm.frame.valid.eq(self.frame.valid & constants.tflm),
                    self.frame.ready.eq(Mux(constants.tflm, tflm.frame.ready, levels.frame.ready)),
                ]
                m.d.sync += [bins_left.eq(constants.last_bin - constants.first_bin), value.eq(0)]
                with m.If(self.frame.valid & self.frame.ready):
                    m.next = "BINS"
            with m.State("BINS"):
                m.d.comb += [
                    spectrum.i.valid.eq(self.i.valid),
                    self.i.ready.eq(spectrum.i.ready),
                ]
                with m.If(self.i.valid & self.i.ready):
                    m.d.sync += bins_left.eq(bins_left - 1)
                    with m.If(bins_left == 0):
                        m.next = "FEATURES"
            with m.State("FEATURES"):
                with m.If(self.o.valid & self.o.ready & self.o.p.last):
                    m.next = "FRAME"
        return m
