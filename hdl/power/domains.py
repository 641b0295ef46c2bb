"""The power domains and modes of the chip: one description for hardware, UPF and docs."""

from dataclasses import dataclass
from enum import Enum

from amaranth.hdl import unsigned
from amaranth.lib import enum

from hdl.config import ChipConfig

__all__ = [
    "MODES",
    "Gating",
    "Level",
    "Mode",
    "PowerDomain",
    "PowerState",
    "Retention",
    "WakeSource",
    "coarse_domains",
    "fast_domains",
    "power_domains",
]


class PowerState(enum.Enum, shape=unsigned(2)):
    """What a domain is asked for, and what it is."""

    OFF = 0
    RETAIN = 1
    """Contents are kept and nothing works; only domains with `Retention`."""
    ON = 2


class Level(Enum):
    """Who switches a domain."""

    ALWAYS_ON = "always on"
    COARSE = "coarse"
    """A sequencer on the always-on clock, inside the PMU."""
    FAST = "fast"
    """A sequencer on the core clock, under the PMU's permission."""


class Retention(Enum):
    """What survives while a domain is off or retained."""

    NONE = "none"
    REGISTERS = "registers"
    """Some registers have a shadow on the always-on supply: saved before the switch opens, restored
    after it has closed."""
    ARRAY = "array"
    """The memory array has a supply of its own for the state RETAIN."""
    NON_VOLATILE = "non-volatile"
    """The contents need no supply."""


class Mode(enum.Enum, shape=unsigned(3)):
    """Power modes of the chip, states of the PMU."""

    SLEEP = 0
    AUDIO_WATCH = 1
    IMAGE_WATCH = 2
    INFER = 3
    TRAIN = 4
    ACTIVE = 5
    AUDIO_INFER = 6
    IMAGE_INFER = 7


class WakeSource(Enum):
    """Bits of the PMU's wake input; the timer is its own."""

    AUDIO = 0
    IMAGE = 1
    GPIO = 2
    TIMER = 3


class Gating(enum.Enum, shape=unsigned(2)):
    """When MRAM banks and activation segments are on; chosen for each run.

    The weight cache, the engine and the MRAM controller are on while a program runs with each of
    them.
    """

    ALWAYS_ON = 0
    """All banks and segments, in use or not."""
    PER_NETWORK = 1
    """Banks that hold the program and segments that the network uses, from start to done."""
    PER_LAYER = 2
    """MRAM: falls asleep only when a job ends.  Segments: on while they hold live data."""
    PER_BURST = 3
    """MRAM: awake around bursts that fill the weight cache.  Segments: on while a job uses them,
    retained while they hold live data."""


@dataclass(frozen=True, kw_only=True)
class PowerDomain:
    """One power domain.

    Parameters
    ----------
    name : str
        As docs and UPF have it.
    level : Level
        Who switches it.
    clock : str
        Clock domain of its logic: ``sync`` is the core clock; ``codec`` is the same, gated at its
        source while the domain is off.
    retention : Retention
        What survives.
    steps : int
        Header switches that close one after another, so that the rush of current stays small.
    contents : str
        What lies in it.
    present : bool
        Whether this configuration has the block; the sequencer of one that is to come is there.
    """

    name: str
    level: Level
    clock: str = "sync"
    retention: Retention = Retention.NONE
    steps: int = 2
    contents: str
    present: bool = True


def power_domains(config: ChipConfig) -> tuple[PowerDomain, ...]:
    """All domains; the order is that of the bits wherever a signal has a bit a domain."""
    return (
        PowerDomain(
            name="aon", level=Level.ALWAYS_ON, clock="aon", steps=0,
            contents="PMU, RTC, wake logic, sequencers",
        ),
        PowerDomain(
            name="cpu", level=Level.COARSE, retention=Retention.ARRAY, steps=4, present=False,
            contents="RISC-V and its RAM",
        ),
        PowerDomain(
            name="engine", level=Level.COARSE, steps=4,
            contents="array, sequencer, post-processing",
        ),
        PowerDomain(name="wcache", level=Level.COARSE, contents="weight cache"),
        PowerDomain(
            name="mctl", level=Level.COARSE, retention=Retention.REGISTERS,
            contents="MRAM controller, ECC, write-verify, scrubbing, self-test",
        ),
        PowerDomain(
            name="audio", level=Level.COARSE, clock="audio",
            contents="audio front end and voice-activity detector",
        ),
        PowerDomain(
            name="image", level=Level.COARSE, clock="pixel",
            contents="image front end and change detection",
        ),
        PowerDomain(
            name="jpeg", level=Level.COARSE, clock="codec", contents="JPEG encoder",
        ),
        *(
            PowerDomain(
                name=f"act{k}", level=Level.FAST, retention=Retention.ARRAY,
                contents="activation SRAM, a stretch of all banks",
            )
            for k in range(config.activation_segments)
        ),
        *(
            PowerDomain(
                name=f"mram{b}", level=Level.FAST, retention=Retention.NON_VOLATILE,
                contents="MRAM bank",
            )
            for b in range(config.mram_banks)
        ),
    )  # fmt: skip


def coarse_domains(config: ChipConfig) -> tuple[PowerDomain, ...]:
    """The domains that the PMU sequences, in the order of their bits."""
    return tuple(domain for domain in power_domains(config) if domain.level is Level.COARSE)


def fast_domains(config: ChipConfig) -> tuple[PowerDomain, ...]:
    """The domains with a sequencer on the core clock: activation segments, then MRAM banks."""
    return tuple(domain for domain in power_domains(config) if domain.level is Level.FAST)


@dataclass(frozen=True, kw_only=True)
class ModeEntry:
    """What a mode asks for.

    ``on``: coarse domains that are on; all others with retention are retained, and the rest off.
    ``core``: the core clock runs.  ``permits``: fast domains, by the beginning of their names, that
    the core may switch on; those that it may not fall to RETAIN or OFF.
    """

    on: tuple[str, ...]
    core: bool
    permits: tuple[str, ...]


MODES: dict[Mode, ModeEntry] = {
    Mode.SLEEP: ModeEntry(on=(), core=False, permits=()),
    Mode.AUDIO_WATCH: ModeEntry(on=("audio",), core=False, permits=()),
    Mode.IMAGE_WATCH: ModeEntry(on=("image",), core=False, permits=()),
    Mode.INFER: ModeEntry(on=("engine", "wcache", "mctl"), core=True, permits=("act", "mram")),
    Mode.TRAIN: ModeEntry(
        on=("cpu", "engine", "wcache", "mctl"), core=True, permits=("act", "mram")
    ),
    Mode.ACTIVE: ModeEntry(
        on=("cpu", "engine", "wcache", "mctl", "audio", "image", "jpeg"),
        core=True,
        permits=("act", "mram"),
    ),
    Mode.AUDIO_INFER: ModeEntry(
        on=("engine", "wcache", "mctl", "audio"), core=True, permits=("act", "mram")
    ),
    Mode.IMAGE_INFER: ModeEntry(
        on=("engine", "wcache", "mctl", "image", "jpeg"), core=True, permits=("act", "mram")
    ),
}
"""In the watch modes the front end's own clock runs, and nothing else.  A wake-up of one leads to
the mode in which it goes on while the engine works, or to one with the CPU."""
