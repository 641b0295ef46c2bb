"""From a picture to a network's input and to a wake-up when something has changed."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.audio.feature_window import window_word
from hdl.image.block_sums import BLOCK_COLUMNS, BLOCK_ROWS
from hdl.image.change import ChangeDetector, ChangeResult, ChangeSettings
from hdl.image.colour import ToLuma
from hdl.image.pixels import BYTE_BITS, pixel_stream, rgb_pixel
from hdl.image.quantiser import Quantiser, TensorFormat
from hdl.image.scaler import Scaler, Scaling
from hdl.image.tensor_words import TensorPlace, TensorWords

__all__ = ["TensorPath", "TensorSettings"]


class TensorSettings(data.StructLayout):
    """Registers of the path.

    Fields
    ------
    scaling : Scaling
    format : TensorFormat
    place : TensorPlace(address_bits)
        ``place.grey``: the tensor is the luma, of one channel.
    change : ChangeSettings
    tensor_enable, change_enable : 1
        Take frames that begin behind the scaler while it is high; all others have to hold while a
        frame is in progress.
    """

    def __init__(self, address_bits: int):
        super().__init__(
            {
                "scaling": Scaling,
                "format": TensorFormat,
                "place": TensorPlace(address_bits),
                "change": ChangeSettings,
                "tensor_enable": 1,
                "change_enable": 1,
            }
        )


class TensorPath(wiring.Component):
    """Scaler, then luma, change detection, quantiser and words.

    Bit-exact with `models.image.pipeline.tensor_of` and `models.image.change`, of the same scaled
    picture.  Words that nobody takes do not hold up change detection: it needs nothing but pixels.

    Parameters
    ----------
    word_bytes, address_bits, depth : int
        Of `hdl.image.tensor_words.TensorWords`.

    Members
    -------
    settings : In(TensorSettings(address_bits))
    i : In(stream of rgb_pixel(8), always ready)
    abort : In(1)
        Forget the frame in progress; a pixel in the clock of ``abort`` as well.
    o : Out(stream.Signature(window_word(word_bytes, address_bits)))
        Words for the activation memory.
    ready : Out(1)
        A tensor's last word leaves in this clock.
    overrun : Out(1)
        A tensor is given up in this clock: too many words wait.
    unfit : Out(1)
        A frame is given up in this clock: ``scaling`` does not fit it.
    restart, hold, done, wake, result, map_row, map
        Of change detection, see `hdl.image.change.ChangeDetector`.
    idle : Out(1)
        No pixel has come for a while, and no word waits: nothing is on its way.
    """

    GREY_LATENCY = Scaler.LATENCY + ToLuma.LATENCY
    QUIET = GREY_LATENCY + max(Quantiser.LATENCY + TensorWords.LATENCY, ChangeDetector.LATENCY) + 1
    """Clocks after a pixel in which something may still happen."""

    def __init__(self, word_bytes: int, address_bits: int, depth: int = 8):
        self.words = TensorWords(word_bytes, address_bits, depth)
        super().__init__(
            {
                "settings": In(TensorSettings(address_bits)),
                "i": In(pixel_stream(rgb_pixel(BYTE_BITS))),
                "abort": In(1),
                "o": Out(stream.Signature(window_word(word_bytes, address_bits))),
                "ready": Out(1),
                "overrun": Out(1),
                "unfit": Out(1),
                "restart": In(1),
                "hold": In(1),
                "done": Out(1),
                "wake": Out(1),
                "result": Out(ChangeResult),
                "map_row": In(range(BLOCK_ROWS)),
                "map": Out(BLOCK_COLUMNS),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        """Connect the stages, and choose between colours and luma."""
        m = Module()
        settings = self.settings
        m.submodules.scaler = scaler = Scaler()
        m.submodules.to_luma = to_luma = ToLuma()
        m.submodules.quantiser = quantiser = Quantiser()
        m.submodules.words = words = self.words
        m.submodules.change = change = ChangeDetector()
        connect(m, flipped(self.i), scaler.i)
        connect(m, scaler.o, to_luma.i)
        connect(m, to_luma.o, change.i)
        connect(m, quantiser.o, words.i)
        connect(m, words.o, flipped(self.o))
        m.d.comb += [
            scaler.scaling.eq(settings.scaling),
            scaler.abort.eq(self.abort),
            to_luma.abort.eq(scaler.aborted),
            quantiser.format.eq(settings.format),
            quantiser.grey.eq(settings.place.grey),
            words.place.eq(settings.place),
            words.enable.eq(settings.tensor_enable),
            words.abort.eq(quantiser.aborted),
            change.settings.eq(settings.change),
            change.enable.eq(settings.change_enable),
            change.abort.eq(to_luma.aborted),
            self.ready.eq(words.ready),
            self.overrun.eq(words.overrun),
            self.unfit.eq(scaler.unfit),
        ]
        for name in ("restart", "hold", "map_row"):
            m.d.comb += getattr(change, name).eq(getattr(self, name))
        for name in ("done", "wake", "result", "map"):
            m.d.comb += getattr(self, name).eq(getattr(change, name))

        grey = to_luma.o.p
        with m.If(settings.place.grey):
            m.d.comb += [
                quantiser.i.valid.eq(to_luma.o.valid),
                quantiser.i.p.red.eq(grey.value),
                quantiser.i.p.last_column.eq(grey.last_column),
                quantiser.i.p.last_row.eq(grey.last_row),
                quantiser.abort.eq(to_luma.aborted),
            ]
        with m.Else():
            m.d.comb += [
                quantiser.i.valid.eq(scaler.o.valid),
                quantiser.i.payload.eq(scaler.o.payload),
                quantiser.abort.eq(scaler.aborted),
            ]

        quiet = Signal(range(self.QUIET + 1))
        event = self.i.valid | self.abort
        m.d.sync += quiet.eq(Mux(event, self.QUIET, quiet - (quiet != 0)))
        m.d.comb += self.idle.eq(~event & (quiet == 0) & words.idle)
        return m
