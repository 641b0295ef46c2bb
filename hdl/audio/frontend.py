"""The audio front end: int16 samples in, int8 features out."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.audio.config import AudioConfig
from hdl.audio.dct import FACTOR_BITS
from hdl.audio.features import FEATURE, USERS, FeatureConstants, Features
from hdl.audio.fft import Fft, FftArithmetic
from hdl.audio.framer import WINDOW_BITS, FrameConstants, Framer
from hdl.audio.mel import mel_row
from hdl.audio.multipliers import MultiplierBank
from hdl.audio.pcan import OCTAVES, PARABOLA
from hdl.audio.table import TablePort

__all__ = ["FrontEnd", "FrontEndConstants", "table_ports"]


class FrontEndConstants(data.StructLayout):
    """All constants of a front end.

    Fields
    ------
    size : 4
        Binary logarithm of the FFT's points.
    frames : FrameConstants
    features : FeatureConstants
        Its ``tflm`` chooses the FFT's arithmetic, too.
    """

    def __init__(self, config: AudioConfig):
        super().__init__(
            {
                "size": 4,
                "frames": FrameConstants(config),
                "features": FeatureConstants(config),
            }
        )


def table_ports(config: AudioConfig) -> dict[str, TablePort]:
    """Write ports of a front end's tables."""
    return {
        "window": TablePort(config.fft_points, unsigned(WINDOW_BITS)),
        "weights": TablePort(config.fft_points // 2 + 1, mel_row(config)),
        "cosines": TablePort(config.bands + 1, signed(FACTOR_BITS)),
        "gains": TablePort(OCTAVES, PARABOLA),
    }


class FrontEnd(wiring.Component):
    """Framer, FFT and features around four multipliers, for any front end of a `FrontEnd` model.

    Bit-exact with `models.audio.pipeline.FeatureStream`.  The blocks take turns: a frame is
    windowed, transformed and turned into features before the next one begins, while samples go on
    arriving.

    Parameters
    ----------
    config : AudioConfig
        Largest FFT, most bands and coefficients.

    Members
    -------
    constants : In(FrontEndConstants(config))
        May change, like the tables, while ``restart`` and ``idle``.
    restart : In(1)
        A new recording begins: forget samples, peak and noise.  To be held until ``idle``, as a
        frame in progress is completed; before the first recording as well.
    window : In(TablePort(config.fft_points, unsigned(17)))
    weights : In(TablePort(config.fft_points // 2 + 1, mel_row(config)))
    cosines : In(TablePort(config.bands + 1, signed(18)))
    gains : In(TablePort(33, PARABOLA))
        Tables of window, mel filters, DCT and TFLM's PCAN.
    i : In(stream.Signature(signed(16)))
        Samples.  Refused only while the ring is full, which continuous audio at one sample in 64
        cycles does not see.
    o : Out(stream.Signature(FEATURE))
        Features.
    ready : Out(1)
        A frame's last feature leaves in this cycle.
    overrun : Out(1)
        A sample has to wait because the ring is full; one that cannot will be lost.
    idle : Out(1)
        No frame is in progress.
    """

    def __init__(self, config: AudioConfig):
        self.config = config
        super().__init__(
            {
                "constants": In(FrontEndConstants(config)),
                "restart": In(1),
                **{name: In(port) for name, port in table_ports(config).items()},
                "i": In(stream.Signature(signed(16))),
                "o": Out(stream.Signature(FEATURE)),
                "ready": Out(1),
                "overrun": Out(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        """Connect the blocks; pass on the bins that the mel filters use."""
        m = Module()
        config, constants = self.config, self.constants
        m.submodules.framer = framer = Framer(config)
        m.submodules.fft = fft = Fft(config)
        m.submodules.features = features = Features(config)
        m.submodules.multipliers = multipliers = MultiplierBank(2 + USERS)
        users = (framer.multiply, fft.multipliers, *features.multiply)
        for user, port in zip(users, multipliers.users, strict=True):
            connect(m, user, port)
        connect(m, flipped(self.i), framer.i)
        connect(m, framer.o, fft.i)
        connect(m, features.o, flipped(self.o))
        connect(m, flipped(self.window), framer.window)
        for name in ("weights", "cosines", "gains"):
            connect(m, flipped(getattr(self, name)), getattr(features, name))

        tflm = constants.features.tflm
        m.d.comb += [
            self.ready.eq(self.o.valid & self.o.ready & self.o.p.last),
            self.overrun.eq(self.i.valid & ~self.i.ready & ~self.restart),
            framer.constants.eq(constants.frames),
            framer.restart.eq(self.restart),
            features.constants.eq(constants.features),
            features.clear.eq(self.restart),
            fft.job.size.eq(constants.size),
            fft.job.arithmetic.eq(Mux(tflm, FftArithmetic.KISS, FftArithmetic.BLOCK_FLOATING)),
            fft.job.inverse.eq(0),
            features.frame.p.exponent.eq(fft.exponent),
            features.frame.p.peak.eq(framer.peak),
            features.frame.p.scale.eq(framer.scale),
            features.i.p.re.eq(fft.o.p.re),
            features.i.p.im.eq(fft.o.p.im),
        ]

        # The framer's peak and scale hold until the next frame begins, which is after this one.
        index = Signal(range(config.fft_points // 2 + 1))
        used = (index >= constants.features.first_bin) & (index <= constants.features.last_bin)
        m.d.comb += framer.enable.eq(self.idle)
        with m.FSM() as fsm:
            with m.State("FRAME"):
                m.d.sync += index.eq(0)
                m.d.comb += features.frame.valid.eq(fft.o.valid)
                with m.If(features.frame.valid & features.frame.ready):
                    m.next = "BINS"
            with m.State("BINS"):
                m.d.comb += [
                    features.i.valid.eq(fft.o.valid & used),
                    fft.o.ready.eq(features.i.ready | ~used),
                ]
                with m.If(fft.o.valid & fft.o.ready):
                    m.d.sync += index.eq(index + 1)
                    with m.If(fft.o.p.last):
                        m.next = "FRAME"
        m.d.comb += self.idle.eq(fsm.ongoing("FRAME") & features.idle & ~fft.busy & ~framer.busy)
        return m
