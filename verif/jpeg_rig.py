"""JPEG encoder between a camera that plays a picture and a memory that keeps the files.

It runs at Verilator's speed: a bench fills the memory, starts it, and reads the files.
"""

# Amaranth's `m.If` is typed as a generator, and shapes of struct fields are not types.
# pyright: reportGeneralTypeIssues=false, reportInvalidTypeForm=false, reportOperatorIssue=false

from amaranth.hdl import Array, Assert, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.audio.table import TablePort
from hdl.image.jpeg import JpegEncoder
from hdl.image.jpeg_words import WORD_BYTES, JpegSettings
from hdl.image.pixels import MAX_HEIGHT, MAX_WIDTH

__all__ = ["PIXELS_A_ROW", "PIXEL_BITS", "JpegRig", "Play"]

PIXEL_BITS = 24
PIXELS_A_ROW = 16
PICTURE_ROWS = 1 << 14
FILE_WORDS = 1 << 17
CHANCE_BITS = 8
NOISE_BITS = 31
"""Of a shift register with a period of ``2**31 - 1``."""
TABLES = ("header", "quantisers", "codes")


class Play(data.Struct):
    """What the camera does from ``go`` on.

    It plays the picture ``frames`` times, each pixel after a gap with a chance of ``gap`` / 256.
    Playing stops with an abort before pixel ``abort_at`` of the first ``aborts`` frames.
    """

    width: range(MAX_WIDTH + 1)
    height: range(MAX_HEIGHT + 1)
    frames: range(256)
    gap: unsigned(CHANCE_BITS)
    aborts: range(256)
    abort_at: range(MAX_WIDTH * MAX_HEIGHT)


class JpegRig(wiring.Component):
    """Encoder, camera in domain ``pixel``, file memory in domain ``sync``.

    Members
    -------
    enable, settings, header, quantisers, codes
        Of the encoder.
    play : In(Play)
    go : In(1)
        Domain ``pixel``; its rise starts the camera.
    played : Out(1)
        Domain ``pixel``: all frames are out.
    picture : In(TablePort)
        Domain ``pixel``: 16 pixels a row, each Y, Cb, Cr from the lowest byte on.
    stall : In(8)
        Chance of 1 / 256 that the memory refuses a word in a cycle.
    hold : In(1)
        It refuses all words.
    file_row : In(range(FILE_WORDS))
    file_word : Out(37)
        A word of the files, as `hdl.image.jpeg_words.file_word`, a cycle later.
    words : Out(range(FILE_WORDS))
        How many there are.
    good, bad : Out(8)
        Files that have ended.
    drops : Out(8)
        Domain ``pixel``: pulses of ``dropped``.
    cycle, last_cycle : Out(32)
        Now, and when the last file ended.
    idle : Out(1)
        Of the encoder.
    seed : In(31)
        Of gaps and stalls; not 0.
    """

    def __init__(self):
        self.encoder = JpegEncoder()
        members = self.encoder.signature.members
        super().__init__(
            {
                "play": In(Play),
                "go": In(1),
                "played": Out(1),
                "picture": In(TablePort(PICTURE_ROWS, unsigned(PIXELS_A_ROW * PIXEL_BITS))),
                "enable": In(1),
                "settings": In(JpegSettings),
                "header": members["header"],
                "quantisers": members["quantisers"],
                "codes": members["codes"],
                "stall": In(CHANCE_BITS),
                "hold": In(1),
                "file_row": In(range(FILE_WORDS)),
                "file_word": Out(37),
                "words": Out(range(FILE_WORDS)),
                "good": Out(8),
                "bad": Out(8),
                "drops": Out(8),
                "cycle": Out(32),
                "last_cycle": Out(32),
                "idle": Out(1),
                "seed": In(NOISE_BITS),
            }
        )

    def elaborate(self, platform):
        """Build both sides."""
        m = Module()
        m.submodules.encoder = encoder = self.encoder
        for name in TABLES:
            connect(m, flipped(getattr(self, name)), getattr(encoder, name))
        m.d.comb += [
            encoder.settings.eq(self.settings),
            encoder.enable.eq(self.enable),
            self.idle.eq(encoder.idle),
        ]
        self.build_camera(m, encoder)
        self.build_memory(m, encoder)
        return m

    def build_camera(self, m: Module, encoder: JpegEncoder) -> None:
        """Play the picture: memory, place, gaps, aborts."""
        play = self.play
        m.submodules.picture_memory = memory = Memory(
            shape=unsigned(PIXELS_A_ROW * PIXEL_BITS), depth=PICTURE_ROWS, init=[]
        )
        write, read = memory.write_port(domain="pixel"), memory.read_port(domain="pixel")
        noise = shift_register(m, "pixel", self.seed, self.go)
        column, row = Signal(range(MAX_WIDTH)), Signal(range(MAX_HEIGHT))
        place, next_place = (Signal(range(PICTURE_ROWS * PIXELS_A_ROW)) for _ in range(2))
        frame, playing, went = Signal(8), Signal(), Signal()
        give, abort = Signal(), Signal()
        pixels = Array(read.data.word_select(n, PIXEL_BITS) for n in range(PIXELS_A_ROW))
        m.d.comb += [
            write.en.eq(self.picture.enable),
            write.addr.eq(self.picture.address),
            write.data.eq(self.picture.data),
            read.addr.eq(next_place[4:]),
            next_place.eq(place),
            abort.eq(playing & (frame < play.aborts) & (place == play.abort_at)),
            give.eq(playing & ~abort & (noise[:CHANCE_BITS] >= play.gap)),
            encoder.abort.eq(abort),
            encoder.i.valid.eq(give),
            Cat(encoder.i.p.y, encoder.i.p.cb, encoder.i.p.cr).eq(pixels[place[:4]]),
            encoder.i.p.last_column.eq(column == play.width - 1),
            encoder.i.p.last_row.eq(row == play.height - 1),
            self.played.eq(went & ~playing),
        ]
        last = encoder.i.p.last_column & encoder.i.p.last_row
        m.d.pixel += [place.eq(next_place), went.eq(self.go)]
        with m.If(self.go & ~went):
            m.d.pixel += [playing.eq(play.frames != 0), frame.eq(0)]
        with m.If(give):
            m.d.comb += next_place.eq(place + 1)
            m.d.pixel += column.eq(column + 1)
            with m.If(encoder.i.p.last_column):
                m.d.pixel += [column.eq(0), row.eq(row + 1)]
        with m.If(abort | (give & last)):
            m.d.comb += next_place.eq(0)
            m.d.pixel += [column.eq(0), row.eq(0), frame.eq(frame + 1)]
            with m.If(frame + 1 == play.frames):
                m.d.pixel += playing.eq(0)
        with m.If(encoder.dropped):
            m.d.pixel += self.drops.eq(self.drops + 1)

    def build_memory(self, m: Module, encoder: JpegEncoder) -> None:
        """Keep the files, and check the stream's rules."""
        width = len(encoder.o.payload.as_value())
        m.submodules.file_memory = memory = Memory(shape=unsigned(width), depth=FILE_WORDS, init=[])
        write, read = memory.write_port(), memory.read_port()
        noise = shift_register(m, "sync", self.seed, ~self.idle)
        o, given = encoder.o, Signal()
        m.d.comb += [
            o.ready.eq((noise[:CHANCE_BITS] >= self.stall) & ~self.hold),
            given.eq(o.valid & o.ready),
            write.en.eq(given),
            write.addr.eq(self.words),
            write.data.eq(o.payload),
            read.addr.eq(self.file_row),
            self.file_word.eq(read.data),
        ]
        m.d.sync += self.cycle.eq(self.cycle + 1)
        with m.If(given):
            m.d.sync += self.words.eq(self.words + 1)
        with m.If(encoder.done):
            m.d.sync += self.good.eq(self.good + 1)
        with m.If(encoder.failed):
            m.d.sync += self.bad.eq(self.bad + 1)
        with m.If(encoder.done | encoder.failed):
            m.d.sync += self.last_cycle.eq(self.cycle)

        waited, payload = Signal(), Signal(width)
        m.d.sync += [waited.eq(o.valid & ~o.ready), payload.eq(o.payload)]
        m.d.sync += [
            Assert(~waited | o.valid, "valid dropped before the transfer"),
            Assert(~waited | (o.payload.as_value() == payload), "the payload changed"),
            Assert(~o.valid | (o.p.count == WORD_BYTES) | o.p.last, "a short word inside a file"),
            Assert(~o.valid | (o.p.count != 0), "a word without bytes"),
        ]


def shift_register(m: Module, domain: str, seed, running) -> Signal:
    """Noise, eight new bits a cycle, that starts from ``seed`` while not ``running``."""
    noise = Signal(NOISE_BITS, name=f"noise_{domain}")
    bits = [noise[n] for n in range(NOISE_BITS)]
    for _ in range(CHANCE_BITS):
        bits = [bits[-1] ^ bits[-4], *bits[:-1]]
    m.d[domain] += noise.eq(Mux(running, Cat(bits), seed))
    return noise
