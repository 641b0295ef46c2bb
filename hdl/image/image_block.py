"""The image front end: from a camera's pins to pictures, a network's input, and a wake-up."""

from amaranth.hdl import Assert, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.audio.table import TablePort
from hdl.image.colour import COLOUR_MATRIX
from hdl.image.colour_path import ColourPath
from hdl.image.dvp import DvpReceiver
from hdl.image.gamma import KNOT_BITS, KNOTS
from hdl.image.pixels import BYTE_BITS, MAX_WIDTH, pixel_stream, rgb_pixel, ycbcr_pixel
from hdl.image.raw_pipeline import RAW_SETTINGS, RawPipeline
from hdl.image.statistics import FRAME_STATISTICS
from hdl.image.tensor_path import TensorPath

__all__ = ["ImageBlock"]

PINS = ("vsync", "href", "data")
RECEIVER_REGISTERS = ("enable", "config", "size", "clear")
TENSOR_PATH = {
    "tensor": "settings", "restart": "restart", "hold": "hold", "ready": "ready",
    "overrun": "overrun", "unfit": "unfit", "change_done": "done", "change_wake": "wake",
    "change": "result", "map_row": "map_row", "map": "map",
}  # fmt: skip
"""Ports of the block that are the tensor path's, by its names for them."""
RECEIVER_STATUS = ("good", "dropped", "faults")
FRAMES_IN_FLIGHT = 3
"""Of 4 x 4 pixels, without blanking; of larger ones two."""


class ImageBlock(wiring.Component):
    """Receiver, pipeline to RGB and YCbCr, and everything that takes these.

    Bit-exact with `models.image.dvp.receive` and `models.image.pipeline` behind it.
    Clock: the camera's, in domain ``sync``; one pixel a clock, whatever the blanking.

    Parameters
    ----------
    word_bytes, address_bits : int
        Of the activation memory.
    max_width : int
        Pixels of the longest line, at least 4.

    Members
    -------
    enable, config, size, clear, good, dropped, faults
        Of the receiver, see `hdl.image.dvp.DvpReceiver`.
    vsync, href : In(1)
    data : In(12)
        The camera's pins.
    raw : In(RAW_SETTINGS)
    matrix : In(COLOUR_MATRIX)
    gamma : In(TablePort(257, unsigned(12)))
        Registers and table; may change, as ``config`` and ``size``, while ``enable`` is low and
        ``idle``.
    rgb : Out(stream of rgb_pixel(8), always ready)
    ycbcr : Out(stream of ycbcr_pixel(), always ready)
        Whole frames, and what came of frames that were dropped, which never have a last pixel.
    rgb_aborted, ycbcr_aborted : Out(1)
        What came of the frame in progress is to be forgotten.
    statistics : Out(FRAME_STATISTICS)
        Of the last complete frame, new with ``statistics_done``.
    statistics_done : Out(1)
    tensor : In(TensorSettings(address_bits))
        Registers behind ``rgb``, as ``raw`` and the others; the enables at any time.
    o : Out(stream.Signature(window_word(word_bytes, address_bits)))
    ready, overrun, unfit : Out(1)
        Words of a tensor for the activation memory, see `hdl.image.tensor_path.TensorPath`.
    restart, hold : In(1)
    change_done, change_wake : Out(1)
    change : Out(ChangeResult)
    map_row : In(range(30))
    map : Out(40)
        Of change detection, see `hdl.image.change.ChangeDetector`.
    idle : Out(1)
        No frame is received, none is on its way, and no word waits.
    """

    QUIET = RawPipeline.LATENCY + ColourPath.YCBCR_LATENCY
    """Clocks after a pixel, or an abort, in which the stages hand it on."""

    def __init__(self, word_bytes: int, address_bits: int, max_width: int = MAX_WIDTH):
        self.tensor_path = TensorPath(word_bytes, address_bits)
        self.receiver = DvpReceiver()
        self.raw_pipeline = RawPipeline(max_width)
        receiver = self.receiver.signature.members
        tensor_path = self.tensor_path.signature.members
        super().__init__(
            {
                **{name: receiver[name] for name in (*RECEIVER_REGISTERS, *PINS, *RECEIVER_STATUS)},
                "raw": In(RAW_SETTINGS),
                "matrix": In(COLOUR_MATRIX),
                "gamma": In(TablePort(KNOTS, unsigned(KNOT_BITS))),
                "rgb": Out(pixel_stream(rgb_pixel(BYTE_BITS))),
                "rgb_aborted": Out(1),
                "ycbcr": Out(pixel_stream(ycbcr_pixel())),
                "ycbcr_aborted": Out(1),
                "statistics": Out(FRAME_STATISTICS),
                "statistics_done": Out(1),
                "o": tensor_path["o"],
                **{name: tensor_path[there] for name, there in TENSOR_PATH.items()},
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        """Connect the parts, and count the frames that are on their way."""
        m = Module()
        m.submodules.receiver = receiver = self.receiver
        m.submodules.raw_pipeline = pipeline = self.raw_pipeline
        m.submodules.colour_path = colours = ColourPath()
        for name in (*RECEIVER_REGISTERS, *PINS):
            m.d.comb += getattr(receiver, name).eq(getattr(self, name))
        for name in RECEIVER_STATUS:
            m.d.comb += getattr(self, name).eq(getattr(receiver, name))
        connect(m, receiver.o, pipeline.i)
        connect(m, pipeline.o, colours.i)
        connect(m, flipped(self.gamma), colours.gamma)
        self.connect_tensor_path(m, colours)
        connect(m, colours.ycbcr, flipped(self.ycbcr))
        m.d.comb += [
            pipeline.settings.eq(self.raw),
            pipeline.abort.eq(receiver.abort),
            colours.abort.eq(pipeline.aborted),
            colours.matrix.eq(self.matrix),
            self.ycbcr_aborted.eq(colours.ycbcr_aborted),
            self.statistics.eq(pipeline.statistics),
            self.statistics_done.eq(pipeline.statistics_done),
        ]

        # Complete frames whose last pixel is between the receiver and the end of the pipeline.
        in_flight, enters, leaves = Signal(range(FRAMES_IN_FLIGHT + 1)), Signal(), Signal()
        m.d.comb += [enters.eq(ends(receiver.o)), leaves.eq(ends(colours.ycbcr))]
        m.d.sync += [
            in_flight.eq(in_flight + enters - leaves),
            Assert(~enters | leaves | (in_flight != FRAMES_IN_FLIGHT), "too many frames"),
            Assert(~leaves | (in_flight != 0), "a frame from nowhere"),
        ]
        # What has left the receiver of a frame that was dropped is between the stages for longer.
        quiet, event = Signal(range(self.QUIET + 1)), receiver.o.valid | receiver.abort
        m.d.sync += quiet.eq(Mux(event, self.QUIET, quiet - (quiet != 0)))
        still = ~receiver.busy & ~event & (quiet == 0) & (in_flight == 0)
        m.d.comb += self.idle.eq(still & self.tensor_path.idle)
        was_idle = Signal()
        m.d.sync += [
            was_idle.eq(self.idle),
            Assert(~was_idle | self.idle | receiver.busy, "idle, with pixels on their way"),
        ]
        return m

    def connect_tensor_path(self, m: Module, colours: ColourPath) -> None:
        """RGB to the outside, and to what makes tensors and looks for changes."""
        m.submodules.tensor_path = path = self.tensor_path
        for pixels in (self.rgb, path.i):
            m.d.comb += [
                pixels.valid.eq(colours.rgb.valid),
                pixels.payload.eq(colours.rgb.payload),
            ]
        m.d.comb += [self.rgb_aborted.eq(colours.rgb_aborted), path.abort.eq(colours.rgb_aborted)]
        connect(m, path.o, flipped(self.o))
        for name, there in TENSOR_PATH.items():
            here, far = getattr(self, name), getattr(path, there)
            inward = self.signature.members[name].flow is In
            m.d.comb += far.eq(here) if inward else here.eq(far)


def ends(pixels):
    """Whether a stream gives a frame's last pixel."""
    return pixels.valid & pixels.p.last_column & pixels.p.last_row
