"""From the microphone's pins to 16-bit samples at 16 kHz."""

from amaranth.hdl import Assert, Module, Mux, ResetInserter, Signal, signed, unsigned
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from hdl.audio.dc import SHIFT_BITS, DcRemover
from hdl.audio.gain import GAIN_BITS, PCM_BITS, Amplifier
from hdl.audio.i2s import I2sConfig, I2sReceiver
from hdl.audio.pdm import PdmReceiver

__all__ = ["COUNTER_BITS", "Microphone", "MicrophoneConfig", "Source"]

COUNTER_BITS = 16
"""Width of the counters; they stay at their highest value."""


class Source(enum.Enum, shape=unsigned(1)):
    """Which pins the samples come from."""

    I2S = 0
    PDM = 1


class MicrophoneConfig(data.Struct):
    """What the host chooses; see `models.audio.microphone.MicrophoneConfig`."""

    source: Source
    i2s: I2sConfig
    dc_shift: unsigned(SHIFT_BITS)
    """0: leave DC alone."""
    gain: unsigned(GAIN_BITS)
    """UQ7.10."""


class Microphone(wiring.Component):
    """I2S or PDM in, DC removed, amplified, saturated; one sample every 64 cycles.

    Bit-exact with `models.audio.microphone.capture_i2s` and ``capture_pdm``, whose input begins in
    the first cycle of ``enable``.  Clock: the microphone's bit clock, 1.024 MHz.

    Members
    -------
    enable : In(1)
        While low all filters are in reset; a sample on offer stays on offer.
    config : In(MicrophoneConfig)
        May change while ``enable`` is low; the gain at any time.
    pdm : In(1)
        Pin of a PDM microphone.
    i2s_data : In(1)
        Pin SD.
    i2s_word_select : In(1)
        Pin WS, if the other side makes it.
    i2s_word_select_out : Out(1)
        Pin WS, if we do.
    i2s_word_select_drive : Out(1)
        Drive that pin.
    o : Out(stream of signed(16))
        Samples.  There is time until the next one; if nobody takes it until then, the next one is
        lost.
    locked : Out(1)
        I2S: the last frame was right.
    frame_errors : Out(16)
        I2S frames that were too short or too long.
    overruns : Out(16)
        Samples that were lost because nobody took the one before.
    clipped : Out(16)
        Samples that were saturated.
    clear : In(1)
        Counters to 0; what is counted in the same cycle is lost.
    """

    PDM_LATENCY = PdmReceiver.LATENCY + DcRemover.LATENCY + Amplifier.LATENCY + 1
    """Cycles from a sample's last bit to ``o``."""
    I2S_LATENCY = I2sReceiver.LATENCY + DcRemover.LATENCY + Amplifier.LATENCY + 1
    """Cycles from the first bit of the next frame to ``o``."""

    enable: In(1)
    config: In(MicrophoneConfig)
    pdm: In(1)
    i2s_data: In(1)
    i2s_word_select: In(1)
    i2s_word_select_out: Out(1)
    i2s_word_select_drive: Out(1)
    o: Out(stream.Signature(signed(PCM_BITS)))
    locked: Out(1)
    frame_errors: Out(COUNTER_BITS)
    overruns: Out(COUNTER_BITS)
    clipped: Out(COUNTER_BITS)
    clear: In(1)

    def elaborate(self, platform):
        """Connect the inputs, the chain behind them and the counters."""
        m = Module()
        config = self.config
        from_pdm, use_i2s, use_pdm = Signal(), Signal(), Signal()
        m.d.comb += [
            from_pdm.eq(config.source == Source.PDM),
            use_i2s.eq(self.enable & ~from_pdm),
            use_pdm.eq(self.enable & from_pdm),
        ]
        i2s, pdm, dc, amplifier = I2sReceiver(), PdmReceiver(), DcRemover(), Amplifier()
        m.submodules.i2s = ResetInserter(~use_i2s)(i2s)
        m.submodules.pdm = ResetInserter(~use_pdm)(pdm)
        m.submodules.dc = ResetInserter(~self.enable)(dc)
        m.submodules.amplifier = ResetInserter(~self.enable)(amplifier)
        m.d.comb += [
            i2s.config.eq(config.i2s),
            i2s.data.eq(self.i2s_data),
            i2s.word_select.eq(self.i2s_word_select),
            self.i2s_word_select_out.eq(i2s.word_select_out),
            self.i2s_word_select_drive.eq(use_i2s & config.i2s.master),
            self.locked.eq(i2s.locked),
            pdm.bit.eq(self.pdm),
            dc.shift.eq(config.dc_shift),
            dc.i.valid.eq(Mux(from_pdm, pdm.o.valid, i2s.o.valid)),
            dc.i.payload.eq(Mux(from_pdm, pdm.o.payload, i2s.o.payload)),
            amplifier.gain.eq(config.gain),
        ]
        connect(m, dc.o, amplifier.i)

        # The sample on offer is outside of the reset, so that a stream's rules hold.
        sample, lost = amplifier.o, Signal()
        m.d.comb += lost.eq(sample.valid & self.o.valid & ~self.o.ready)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(sample.valid & ~lost):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(sample.payload)]

        counters = (
            (self.frame_errors, use_i2s & i2s.error),
            (self.overruns, lost),
            (self.clipped, amplifier.clipped),
        )
        for counter, event in counters:
            m.d.sync += counter.eq(Mux(self.clear, 0, counter + (event & ~counter.all())))

        waiting, payload = Signal(), Signal(signed(PCM_BITS))
        m.d.sync += [
            waiting.eq(self.o.valid & ~self.o.ready),
            payload.eq(self.o.payload),
            Assert(~waiting | self.o.valid, "a sample on offer has gone"),
            Assert(~waiting | (payload == self.o.payload), "a sample on offer has changed"),
        ]
        return m
