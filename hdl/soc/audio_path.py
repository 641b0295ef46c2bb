"""Audio in the chip: its power domain, its registers, and its way into the activation memory."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.audio.audio_block import PINS_IN, PINS_OUT
from hdl.audio.domain import AudioDomain, AudioMode, AudioStatus, registers, table_write
from hdl.audio.link import AudioLink
from hdl.config import ChipConfig
from hdl.soc.islands import Islands

__all__ = ["AudioPins", "AudioPort", "connect_audio"]


class AudioPins(wiring.Signature):
    """The microphone's wires on its own clock, seen from the microphone.

    Members
    -------
    pdm, i2s_data, i2s_word_select : Out(1)
    i2s_word_select_out, i2s_word_select_drive : In(1)
        See `hdl.audio.microphone.Microphone`.
    """

    def __init__(self):
        super().__init__({name: Out(1) for name in PINS_IN} | {name: In(1) for name in PINS_OUT})


class AudioPort(wiring.Signature):
    """What the core orders, and what it is told, seen from who orders.

    Members
    -------
    mode, microphone, vad, constants, place : Out
        Registers of `hdl.audio.domain.AudioDomain`.
    tables : Out(stream of table_write)
        Rows of tables.
    clear, resume : Out(1)
        Pulses: `hdl.audio.domain.AudioCommand`.
    status : In(AudioStatus)
    """

    def __init__(self, config: ChipConfig):
        layouts = registers(config.audio, config.bank_address_bits)
        super().__init__(
            {
                "mode": Out(AudioMode),
                **{name: Out(layout) for name, layout in layouts.items()},
                "tables": Out(stream.Signature(table_write(config.audio))),
                "clear": Out(1),
                "resume": Out(1),
                "status": In(AudioStatus),
            }
        )


def connect_audio(m: Module, islands: Islands, config: ChipConfig, port, pins) -> tuple:
    """Make the domain and the core's end of it; return words for the memory, and the wake-up.

    Parameters
    ----------
    m : Module
        The chip's.
    islands : Islands
        Who puts the domain behind its switches.
    config : ChipConfig
        Of the chip.
    port, pins : interfaces of AudioPort(config), AudioPins()
        The chip's own, as they are inside.
    """
    block = AudioDomain(config.audio, config.rows, config.bank_address_bits)
    link = AudioLink(block)
    domain = islands.coarse("audio", block)
    m.submodules.audio_link = link
    connect(m, domain.words, link.words)
    connect(m, link.tables, domain.tables)
    connect(m, link.commands, domain.commands)
    connect(m, flipped(port.tables), link.i)
    m.d.comb += [
        domain.mode.eq(port.mode),
        link.domain_status.eq(domain.status),
        link.clear.eq(port.clear),
        link.resume.eq(port.resume),
        port.status.eq(link.status),
    ]
    m.d.comb += [getattr(domain, name).eq(getattr(port, name)) for name in block.registers]
    m.d.comb += [getattr(domain, name).eq(getattr(pins, name)) for name in PINS_IN]
    m.d.comb += [getattr(pins, name).eq(getattr(domain, name)) for name in PINS_OUT]
    return link.o, domain.wake
