"""The audio domain: from a microphone's pins to a network's input, and to a wake-up."""

from amaranth.hdl import Module, Mux, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.audio.config import AudioConfig
from hdl.audio.feature_window import FeatureWindow, WindowConstants, window_word
from hdl.audio.frontend import FrontEnd
from hdl.audio.microphone import COUNTER_BITS, Microphone, MicrophoneConfig
from hdl.audio.vad import VadParameters, VoiceActivityDetector

__all__ = ["AudioBlock"]

TABLES = ("window", "weights", "cosines", "gains")
PINS_IN = ("pdm", "i2s_data", "i2s_word_select")
PINS_OUT = ("i2s_word_select_out", "i2s_word_select_drive")
COUNTERS = ("frame_errors", "overruns", "clipped")


class AudioBlock(wiring.Component):
    """Microphone, voice-activity detector, front end and window of features.

    Bit-exact with what its models do one after the other: `models.audio.microphone`,
    `models.audio.vad`, `models.audio.pipeline.FeatureStream`, `models.audio.feature_window`.
    Clock: the microphone's bit clock, 1.024 MHz, in domain ``sync``.

    Parameters
    ----------
    config : AudioConfig
        What front ends may ask for.
    capacity : int
        Features of the largest window.
    word_bytes, address_bits : int
        Of the activation memory.

    Members
    -------
    listen : In(1)
        Microphone and detector run; while low, both are in reset.
    enable : In(1)
        With ``listen``: features, too.  Its rise begins a new recording, once ``idle``.
    microphone : In(MicrophoneConfig)
        May change while ``listen`` is low, the gain at any time.
    vad : In(VadParameters)
        Registers of the detector.
    constants : In(FrontEndConstants(config))
    place : In(WindowConstants(capacity, address_bits))
        Of front end and window; may change, like the tables, while ``enable`` is low and ``idle``.
    window, weights, cosines, gains : In(TablePort)
        Tables of the front end.
    pdm, i2s_data, i2s_word_select : In(1)
    i2s_word_select_out, i2s_word_select_drive : Out(1)
        Pins, see `Microphone`.
    o : Out(stream.Signature(window_word(word_bytes, address_bits)))
        Words for the activation memory.  The words of a window on its way are given to the end.
    ready : Out(1)
        A window's last word leaves in this cycle.
    speech, wake : Out(1)
        Of the detector.
    locked : Out(1)
    frame_errors, overruns, clipped : Out(16)
        Of the microphone.
    missed : Out(16)
        Samples that the front end had no room for, because ``o`` had to wait for too long.  The
        detector has them.
    clear : In(1)
        Counters to 0.
    idle : Out(1)
        No frame and no window is in progress.
    """

    def __init__(self, config: AudioConfig, capacity: int, word_bytes: int, address_bits: int):
        self.front_end = FrontEnd(config)
        self.feature_window = FeatureWindow(capacity, word_bytes, address_bits)
        front_end = self.front_end.signature.members
        super().__init__(
            {
                "listen": In(1),
                "enable": In(1),
                "microphone": In(MicrophoneConfig),
                "vad": In(VadParameters),
                "constants": front_end["constants"],
                "place": In(WindowConstants(capacity, address_bits)),
                **{name: front_end[name] for name in TABLES},
                **{name: In(1) for name in PINS_IN},
                **{name: Out(1) for name in PINS_OUT},
                "o": Out(stream.Signature(window_word(word_bytes, address_bits))),
                "ready": Out(1),
                "speech": Out(1),
                "wake": Out(1),
                "locked": Out(1),
                **{name: Out(COUNTER_BITS) for name in COUNTERS},
                "missed": Out(COUNTER_BITS),
                "clear": In(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        """Connect the blocks; begin and end recordings."""
        m = Module()
        m.submodules.receiver = microphone = Microphone()
        detector = VoiceActivityDetector()
        m.submodules.detector = ResetInserter(~self.listen)(detector)
        m.submodules.front_end = front_end = self.front_end
        m.submodules.feature_window = feature_window = self.feature_window
        for name in TABLES:
            connect(m, flipped(getattr(self, name)), getattr(front_end, name))
        for name in PINS_IN:
            m.d.comb += getattr(microphone, name).eq(getattr(self, name))
        for name in (*PINS_OUT, "locked", *COUNTERS):
            m.d.comb += getattr(self, name).eq(getattr(microphone, name))
        connect(m, feature_window.o, flipped(self.o))

        # What is in progress when a recording ends is completed and dropped before the next one.
        running, enable = Signal(), Signal()
        m.d.comb += [
            enable.eq(self.enable & self.listen),
            self.idle.eq(front_end.idle & feature_window.idle),
            front_end.restart.eq(~running),
            feature_window.restart.eq(~running & feature_window.idle),
        ]
        with m.If(~enable):
            m.d.sync += running.eq(0)
        with m.Elif(self.idle):
            m.d.sync += running.eq(1)

        # The detector sets the pace and takes every sample.  The front end's copy waits beside it,
        # at most until the next one comes: what the front end misses, the detector still hears.
        sample, features, copy = microphone.o, front_end.o, front_end.i
        taken, missed = Signal(), Signal()
        m.d.comb += [
            taken.eq(sample.valid & detector.samples.ready & running),
            missed.eq(taken & copy.valid & ~copy.ready),
        ]
        with m.If(copy.ready):
            m.d.sync += copy.valid.eq(0)
        with m.If(taken & ~missed):
            m.d.sync += [copy.valid.eq(1), copy.payload.eq(sample.payload)]
        with m.If(~running):
            m.d.sync += copy.valid.eq(0)
        m.d.sync += self.missed.eq(Mux(self.clear, 0, self.missed + (missed & ~self.missed.all())))
        m.d.comb += [
            # One from before `listen` fell goes nowhere.
            sample.ready.eq(detector.samples.ready | ~self.listen),
            detector.samples.payload.eq(sample.payload),
            detector.samples.valid.eq(sample.valid & self.listen),
            feature_window.i.payload.eq(features.payload),
            feature_window.i.valid.eq(features.valid & running),
            features.ready.eq(feature_window.i.ready | ~running),
            microphone.enable.eq(self.listen),
            microphone.config.eq(self.microphone),
            microphone.clear.eq(self.clear),
            detector.parameters.eq(self.vad),
            self.speech.eq(detector.speech),
            self.wake.eq(detector.wake),
            front_end.constants.eq(self.constants),
            feature_window.constants.eq(self.place),
            self.ready.eq(feature_window.ready),
        ]
        return m
