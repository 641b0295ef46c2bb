"""The audio domain as the chip sees it: its block, and every wire to the core's clock."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.fifo import AsyncFIFO
from amaranth.lib.wiring import In, Out

from hdl.audio.audio_block import PINS_IN, PINS_OUT, TABLES, AudioBlock
from hdl.audio.config import AudioConfig
from hdl.audio.feature_window import window_word
from hdl.power.crossing import EventCrossing

__all__ = ["FLAGS", "AudioMode", "AudioStatus", "AudioSubsystem", "Table", "table_write"]

FLAGS = ("frame_errors", "overruns", "missed", "clipped")
"""Counters of `AudioBlock`, and the sticky flags that say which are not 0."""

PASSED_ON = ("microphone", "vad", "constants", "place")
WORDS, WRITES = 4, 4
"""Depths of the FIFOs: what a round trip of the pointers takes at full rate."""


class AudioMode(enum.Enum, shape=unsigned(2)):
    """What runs.  Each bit crosses on its own, so every code and every torn value has a meaning."""

    OFF = 0
    WATCH = 1
    """Microphone and detector."""
    OFF_TOO = 2
    FEATURES = 3
    """Front end and window, too."""


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
    """No frame, no window and no row for a table is on its way, words in the FIFO apart."""
    listening: unsigned(1)
    """``mode`` has arrived: WATCH or FEATURES, seen by the microphone."""


class Table(enum.Enum, shape=unsigned(2)):
    """Tables of the front end, see `hdl.audio.frontend.FrontEnd`."""

    WINDOW = 0
    WEIGHTS = 1
    COSINES = 2
    GAINS = 3


def table_write(ports: dict) -> data.StructLayout:
    """One row for one of the tables whose write ports have these members."""
    addresses = [len(ports[name].address) for name in TABLES]
    rows = [len(Cat(ports[name].data)) for name in TABLES]
    return data.StructLayout({"table": Table, "address": max(addresses), "data": max(rows)})


class AudioSubsystem(wiring.Component):
    """`AudioBlock` between the microphone's clock and the core's.

    Domain ``sync`` is the microphone's bit clock, 1.024 MHz; ``core`` any other, which may stop.
    All of it belongs to the audio power domain: its reset, that of ``sync``, empties the FIFOs on
    both sides.  That of ``core`` alone empties the FIFO of tables.

    Parameters
    ----------
    config : AudioConfig
        What front ends may ask for.
    capacity, word_bytes, address_bits : int
        Features of the largest window; of the activation memory.

    Members
    -------
    mode : In(AudioMode)
        From flip-flops of any clock.
    microphone, vad, constants, place : In
        As in `AudioBlock`.  Registers of any clock that hold while ``mode`` is not OFF, and after
        that until ``idle``.
    tables : In(stream of table_write), core
        Rows of tables.  They wait while ``mode`` is FEATURES or a frame is in progress.
    pdm, i2s_data, i2s_word_select : In(1), sync
    i2s_word_select_out, i2s_word_select_drive : Out(1), sync
        Pins, see `hdl.audio.microphone.Microphone`.
    o : Out(stream of window_word(word_bytes, address_bits)), core
        Words for the activation memory.
    ready : Out(1), core
        A window's last word leaves in this cycle.
    wake : Out(1), sync
        From a flip-flop, for the PMU: high for 16 ms when speech begins.
    status : Out(AudioStatus), core
        Levels, 2 cycles late.
    clear : In(1), core
        Flags to 0; a pulse of any length.
    frame_errors, overruns, missed, clipped : Out(16), sync
        The counters behind the flags.
    """

    def __init__(self, config: AudioConfig, capacity: int, word_bytes: int, address_bits: int):
        self.block = AudioBlock(config, capacity, word_bytes, address_bits)
        self.word = window_word(word_bytes, address_bits)
        self.write = table_write({name: getattr(self.block, name) for name in TABLES})
        members = self.block.signature.members
        super().__init__(
            {
                "mode": In(AudioMode),
                **{name: members[name] for name in PASSED_ON},
                "tables": In(stream.Signature(self.write)),
                **{name: members[name] for name in (*PINS_IN, *PINS_OUT)},
                "o": Out(stream.Signature(self.word)),
                "ready": Out(1),
                "wake": Out(1),
                "status": Out(AudioStatus),
                "clear": In(1),
                **{name: members[name] for name in FLAGS},
            }
        )

    def elaborate(self, platform):
        """Connect the block; bring each group of wires across."""
        m = Module()
        m.submodules.block = block = self.block
        for name in (*PASSED_ON, *PINS_IN):
            m.d.comb += getattr(block, name).eq(getattr(self, name))
        for name in (*PINS_OUT, *FLAGS, "wake"):
            m.d.comb += getattr(self, name).eq(getattr(block, name))

        m.submodules.listen = FFSynchronizer(self.mode.as_value()[0], block.listen)
        m.submodules.enable = FFSynchronizer(self.mode.as_value()[1], block.enable)
        m.submodules.clear = clear = EventCrossing("core", "sync")
        m.d.comb += [clear.i.eq(self.clear), block.clear.eq(clear.o)]

        # Straight from flip-flops, as `block.idle` and a counter's bits may glitch.
        here, there = Signal(AudioStatus), Signal(AudioStatus)
        m.d.sync += [getattr(here, name).eq(getattr(block, name).any()) for name in FLAGS]
        m.d.sync += [getattr(here, name).eq(getattr(block, name)) for name in ("locked", "idle")]
        m.d.sync += [here.speech.eq(block.speech), here.listening.eq(block.listen)]
        m.submodules.status = FFSynchronizer(here.as_value(), there.as_value(), o_domain="core")
        m.d.comb += self.status.eq(there)
        self.connect_words(m)
        self.connect_tables(m, there)
        return m

    def connect_words(self, m: Module) -> None:
        """Words to the core.  While it stands still, samples wait in the front end's ring."""
        width = len(self.o.p.as_value())
        m.submodules.words = words = AsyncFIFO(
            width=width, depth=WORDS, w_domain="sync", r_domain="core"
        )
        block = self.block
        m.d.comb += [
            words.w_data.eq(block.o.payload),
            words.w_en.eq(block.o.valid),
            block.o.ready.eq(words.w_rdy),
            self.o.payload.eq(words.r_data),
            self.o.valid.eq(words.r_rdy),
            words.r_en.eq(self.o.ready),
            self.ready.eq(self.o.valid & self.o.ready & self.o.p.last),
        ]

    def connect_tables(self, m: Module, status: AudioStatus) -> None:
        """Rows of tables to the block, while nothing uses them."""
        block, row = self.block, Signal(self.write)
        m.submodules.writes = writes = AsyncFIFO(
            width=len(row.as_value()), depth=WRITES, w_domain="core", r_domain="sync"
        )
        m.d.comb += [
            writes.w_data.eq(self.tables.payload),
            writes.w_en.eq(self.tables.valid),
            self.tables.ready.eq(writes.w_rdy),
            row.eq(writes.r_data),
            writes.r_en.eq(block.idle & ~block.enable),
            self.status.idle.eq(status.idle & (writes.w_level == 0)),
        ]
        for name in TABLES:
            port = getattr(block, name)
            m.d.comb += [
                port.enable.eq(writes.r_rdy & writes.r_en & (row.table == Table[name.upper()])),
                port.address.eq(row.address),
                port.data.eq(row.data),
            ]
