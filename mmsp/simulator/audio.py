"""The audio front end of a simulated chip: a microphone at its pins, windows in its memory."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING

import numpy as np
from amaranth.hdl import Shape
from numpy.typing import ArrayLike

from hdl.audio.domain import AudioMode, AudioStatus, Table
from hdl.power.domains import Mode
from hdl.soc.audio_path import AudioPort
from mmsp.simulator.binding import RUNNING, SILENT
from mmsp.simulator.results import SimulationError

if TYPE_CHECKING:
    from mmsp.simulator.model import ChipModel

__all__ = ["AudioPulse", "ChipAudio", "Elapsed"]

REGISTERS = ("mode", "microphone", "vad", "constants", "place", "automatic")
"""Fields of `hdl.soc.audio_path.AudioPort` in the order of audio_port.h."""

ROW_BYTES = 16
IDLE_PERIODS = 4_000
"""Of the always-on clock, an eighth of a second: more than any frame takes."""


class AudioPulse(IntFlag):
    """Pulses of `hdl.soc.audio_path.AudioPort`, bits of audio_port.h."""

    CLEAR = 1
    RESUME = 2
    RELEASE = 4


@dataclass(frozen=True)
class Elapsed:
    """Time since the reset in periods of the core clock, and rising edges that each clock had."""

    time: int
    core: int
    aon: int
    audio: int


class ChipAudio:
    """What a CPU would write to the registers of the audio front end, and a microphone says.

    Parameters
    ----------
    chip : ChipModel
        In a mode with the core clock, unless a method says otherwise.
    """

    def __init__(self, chip: "ChipModel"):
        self.chip = chip
        self.members = AudioPort(chip.config).members

    def write(self, name: str, value: int) -> None:
        """Set one of `REGISTERS` to an integer, as wide as that is."""
        size = 8 * (-(-self.width(name) // 64) or 1)
        self.chip.call("audio", REGISTERS.index(name), value.to_bytes(size, "little"))

    def width(self, name: str) -> int:
        """Bits of a register."""
        return Shape.cast(self.members[name].shape).width

    def write_tables(self, tables: dict[str, list[int]]) -> None:
        """Write rows from address 0 on, by the names of the tables; waits until all are there.

        The front end must be OFF or WATCH.
        """
        layout = self.members["tables"].signature.members["payload"].shape
        rows = [
            layout.const({"table": Table[name.upper()], "address": address, "data": row}).as_bits()
            for name, table in tables.items()
            for address, row in enumerate(table)
        ]
        data = b"".join(row.to_bytes(ROW_BYTES, "little") for row in rows)
        self.chip.call("tables", data, len(rows), ROW_BYTES)
        self.wait_for("idle")

    def enter(self, mode: AudioMode) -> None:
        """Change the mode of the front end and wait until it has arrived."""
        self.write("mode", mode.value)
        listens = mode in (AudioMode.WATCH, AudioMode.FEATURES)
        self.wait_for("listening", listens)
        if not listens:
            self.wait_for("idle")

    def wait_for(self, flag: str, value: bool = True) -> None:
        """Wait until a field of the status has a value, periods of the always-on clock."""
        for _ in range(IDLE_PERIODS):
            self.chip.wait(1)
            if bool(getattr(self.status, flag)) == value:
                return
        raise SimulationError(f"the audio front end's {flag} did not become {int(value)}")

    @property
    def status(self):
        """`AudioStatus`, as the core sees it: stands still with its clock."""
        return AudioStatus.from_bits(self.chip.library.harness_audio_status(self.chip.handle))

    @property
    def losses(self) -> list[str]:
        """Sticky flags that are set."""
        status = self.status
        names = ("frame_errors", "overruns", "missed", "clipped")
        return [name for name in names if getattr(status, name)]

    def pulse(self, pulses: AudioPulse) -> None:
        """One core cycle of each."""
        self.chip.call("audio_pulse", int(pulses))

    def hear(self, samples: ArrayLike) -> None:
        """Let the microphone say int16 samples at 16 kHz, after those that are left, then zeros."""
        words = np.ascontiguousarray(samples, np.int16)
        self.chip.library.harness_hear(self.chip.handle, words.ctypes.data, words.size)

    def hush(self) -> None:
        """The microphone stops: its pins stand still until `hear`."""
        self.chip.library.harness_hush(self.chip.handle)

    @property
    def unheard(self) -> int:
        """Samples that are left."""
        return self.chip.library.harness_unheard(self.chip.handle)

    @property
    def elapsed(self) -> Elapsed:
        """Time and clocks since the reset."""
        record = self.chip.library.harness_elapsed(self.chip.handle).contents
        return Elapsed(record.time, record.core, record.aon, record.audio)

    def sleep(self, wake_mode: Mode = Mode.AUDIO_INFER) -> None:
        """Ask for AUDIO_WATCH, and for a mode after each wake-up of the microphone's."""
        self.chip.call("wake_mode", wake_mode.value)
        self.chip.call("request", Mode.AUDIO_WATCH.value)

    def windows(self, quiet: int, budget: int = 1 << 16) -> Iterable[None]:
        """Go to sleep; stop at every window that is complete, its network run if it starts itself.

        What is asked for then is done with the chip awake; after that it takes the next window.

        Parameters
        ----------
        quiet : int
            Periods of the always-on clock after the last sample until there are no more windows.
        budget : int
            Such periods between two looks at the keyboard.
        """
        self.sleep()
        while True:
            while (status := self.chip.call("listen", budget, quiet)) == RUNNING:
                pass
            if status == SILENT:
                return
            yield
            # Events first: one that comes after that is the next window's.
            self.chip.call("clear_wake")
            self.pulse(AudioPulse.RELEASE | AudioPulse.RESUME)
