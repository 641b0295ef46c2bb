"""All that lies in the audio power domain, on the microphone's clock alone."""

from amaranth.hdl import Module, Mux, Shape, Signal, unsigned
from amaranth.lib import data, enum, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.audio.audio_block import PINS_IN, PINS_OUT, TABLES, AudioBlock
from hdl.audio.config import AudioConfig
from hdl.audio.feature_window import WindowConstants, window_word
from hdl.audio.frontend import FrontEndConstants, table_ports
from hdl.audio.microphone import MicrophoneConfig
from hdl.audio.vad import VadParameters
from hdl.power.handshake import Handshake, HandshakeSink, HandshakeSource

__all__ = [
    "FLAGS",
    "AudioCommand",
    "AudioDomain",
    "AudioMode",
    "AudioStatus",
    "Table",
    "registers",
    "table_write",
]

FLAGS = ("frame_errors", "overruns", "missed", "clipped")
"""Counters of `AudioBlock`, and the sticky flags that say which are not 0."""

WAKE_PAUSE = 64
"""Cycles: two periods of the always-on clock, which has to see the wire low."""


class AudioMode(enum.Enum, shape=unsigned(2)):
    """What runs.  Each bit crosses on its own, so every code and every torn value has a meaning."""

    OFF = 0
    WATCH = 1
    """Microphone and detector.  Speech wakes."""
    OFF_TOO = 2
    FEATURES = 3
    """Front end and window, too.  A window that has words to give wakes, and speech does not."""


class AudioCommand(data.Struct):
    """What the core can order."""

    clear: 1
    """Counters, and with them the sticky flags, to 0."""
    resume: 1
    """``wake`` falls for two periods of the always-on clock, and rises again if there is reason."""


class AudioStatus(data.Struct):
    """What the core sees.  The first four stay until ``clear``."""

    frame_errors: unsigned(1)
    """An I2S frame was too short or too long; it gave no sample."""
    overruns: unsigned(1)
    """A sample was lost for all."""
    missed: unsigned(1)
    """A sample was lost for the front end: words have waited for too long."""
    clipped: unsigned(1)
    """A sample was saturated."""
    locked: unsigned(1)
    """I2S: the last frame was right."""
    speech: unsigned(1)
    idle: unsigned(1)
    """No frame, no window and no row for a table is in progress."""
    listening: unsigned(1)
    """``mode`` has arrived: WATCH or FEATURES, seen by the microphone."""


class Table(enum.Enum, shape=unsigned(2)):
    """Tables of the front end, see `hdl.audio.frontend.FrontEnd`."""

    WINDOW = 0
    WEIGHTS = 1
    COSINES = 2
    GAINS = 3


def table_write(config: AudioConfig) -> data.StructLayout:
    """One row for one of the tables of a front end."""
    ports = [port.members for port in table_ports(config).values()]
    address, row = (
        max(Shape.cast(port[name].shape).width for port in ports) for name in ("address", "data")
    )
    return data.StructLayout({"table": Table, "address": address, "data": row})


def registers(config: AudioConfig, address_bits: int) -> dict[str, data.StructLayout]:
    """Layouts of the front end's registers; see `AudioBlock`."""
    return {
        "microphone": MicrophoneConfig,
        "vad": VadParameters,
        "constants": FrontEndConstants(config),
        "place": WindowConstants(config.window, address_bits),
    }


class AudioDomain(wiring.Component):
    """`AudioBlock` behind synchronisers: every input is of another clock, the pins apart.

    Domain ``sync`` is the microphone's bit clock, 1.024 MHz.  The other end of its handshakes is
    `hdl.audio.link.AudioLink`.

    Parameters
    ----------
    config : AudioConfig
        What front ends may ask for, and the largest window.
    word_bytes, address_bits : int
        Of the activation memory.

    Members
    -------
    mode : In(AudioMode)
        From flip-flops of any clock.
    microphone, vad, constants, place : In
        As in `AudioBlock`.  Registers of any clock that hold while ``mode`` is not OFF, and after
        that until ``status.idle``.
    tables : In(Handshake(table_write))
        Rows of tables.  They wait while ``mode`` is FEATURES or a frame is in progress.
    commands : In(Handshake(AudioCommand))
    pdm, i2s_data, i2s_word_select : In(1)
    i2s_word_select_out, i2s_word_select_drive : Out(1)
        Pins, see `hdl.audio.microphone.Microphone`.
    words : Out(Handshake(window_word(word_bytes, address_bits)))
        Words for the activation memory.
    wake : Out(1)
        From a flip-flop, for the PMU: WATCH: high for 16 ms when speech begins; FEATURES: from a
        window's first word on until its last has been taken.
    status : Out(AudioStatus)
        From flip-flops.
    frame_errors, overruns, missed, clipped : Out(16)
        The counters behind the flags.
    """

    def __init__(self, config: AudioConfig, word_bytes: int, address_bits: int):
        self.block = AudioBlock(config, config.window, word_bytes, address_bits)
        self.word = window_word(word_bytes, address_bits)
        self.write = table_write(config)
        self.registers = registers(config, address_bits)
        members = self.block.signature.members
        super().__init__(
            {
                "mode": In(AudioMode),
                **{name: In(layout) for name, layout in self.registers.items()},
                "tables": In(Handshake(self.write)),
                "commands": In(Handshake(AudioCommand)),
                **{name: members[name] for name in (*PINS_IN, *PINS_OUT)},
                "words": Out(Handshake(self.word)),
                "wake": Out(1),
                "status": Out(AudioStatus),
                **{name: members[name] for name in FLAGS},
            }
        )

    def elaborate(self, platform):
        """Connect the block; bring each group of wires in."""
        m = Module()
        m.submodules.block = block = self.block
        for name in (*self.registers, *PINS_IN):
            m.d.comb += getattr(block, name).eq(getattr(self, name))
        for name in (*PINS_OUT, *FLAGS):
            m.d.comb += getattr(self, name).eq(getattr(block, name))
        # What no detector understands is taken for the least that it does.
        for name in ("onset", "hangover"):
            given = getattr(self.vad, name)
            m.d.comb += getattr(block.vad, name).eq(Mux(given == 0, 1, given))
        m.submodules.listen = FFSynchronizer(self.mode.as_value()[0], block.listen)
        m.submodules.enable = FFSynchronizer(self.mode.as_value()[1], block.enable)

        # Straight from flip-flops, as `block.idle` and a counter's bits may glitch.
        status = self.status
        m.d.sync += [getattr(status, name).eq(getattr(block, name).any()) for name in FLAGS]
        m.d.sync += [getattr(status, name).eq(getattr(block, name)) for name in ("locked", "idle")]
        m.d.sync += [status.speech.eq(block.speech), status.listening.eq(block.listen)]

        m.submodules.words = words = HandshakeSource(self.word)
        connect(m, block.o, words.i)
        connect(m, words.o, flipped(self.words))
        window, ending = Signal(), Signal()  # words wait, and the last one has left the block
        m.d.sync += [
            window.eq(window | block.o.valid),
            ending.eq(ending | block.ready),
        ]
        with m.If(ending & ~self.words.request):
            m.d.sync += [window.eq(0), ending.eq(0)]
        self.connect_commands(m, window)
        self.connect_tables(m)
        return m

    def connect_commands(self, m: Module, window: Signal) -> None:
        """Orders from the core, and the wake-up, which a window that waits is a reason for."""
        block = self.block
        m.submodules.commands = commands = HandshakeSink(AudioCommand)
        connect(m, flipped(self.commands), commands.i)
        pause = Signal(range(WAKE_PAUSE + 1))
        resume = commands.o.valid & commands.o.p.resume
        m.d.comb += [
            commands.o.ready.eq(1),
            block.clear.eq(commands.o.valid & commands.o.p.clear),
        ]
        m.d.sync += [
            pause.eq(Mux(resume, WAKE_PAUSE, Mux(pause == 0, 0, pause - 1))),
            self.wake.eq(Mux(block.enable, window & (pause == 0), block.wake)),
        ]

    def connect_tables(self, m: Module) -> None:
        """Rows of tables to the block, while nothing uses them."""
        block, row = self.block, Signal(self.write)
        m.submodules.tables = tables = HandshakeSink(self.write)
        connect(m, flipped(self.tables), tables.i)
        m.d.comb += [row.eq(tables.o.payload), tables.o.ready.eq(block.idle & ~block.enable)]
        for name in TABLES:
            port = getattr(block, name)
            m.d.comb += [
                port.enable.eq(
                    tables.o.valid & tables.o.ready & (row.table == Table[name.upper()])
                ),
                port.address.eq(row.address),
                port.data.eq(row.data),
            ]
