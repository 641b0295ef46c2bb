"""The audio front end of a simulated chip: a microphone at its pins, windows in its memory."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from hdl.audio.domain import AudioMode, AudioStatus, Table
from hdl.power.domains import Mode
from hdl.soc.audio_path import AudioPort
from hdl.soc.window_writer import WindowSource
from mmsp.simulator.front_ends import ChipWindows, FrontEndPorts, wait_for

if TYPE_CHECKING:
    from mmsp.simulator.model import ChipModel

__all__ = ["ChipAudio"]

FLAGS = ("frame_errors", "overruns", "missed", "clipped")


class ChipAudio(FrontEndPorts):
    """What a CPU would write to the registers of the audio front end, and a microphone says.

    Parameters
    ----------
    chip : ChipModel
        In a mode with the core clock, unless a method says otherwise.
    """

    def __init__(self, chip: "ChipModel"):
        super().__init__(chip, "audio", AudioPort(chip.config).members)
        self.windows = ChipWindows(
            chip, self, WindowSource.AUDIO, Mode.AUDIO_WATCH, Mode.AUDIO_INFER
        )

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
        self.send("tables", rows)
        wait_for(self, "idle")

    def enter(self, mode: AudioMode) -> None:
        """Change the mode of the front end and wait until it has arrived."""
        self.write("mode", mode.value)
        listens = mode in (AudioMode.WATCH, AudioMode.FEATURES)
        wait_for(self, "listening", listens)
        if not listens:
            wait_for(self, "idle")

    def forget(self) -> None:
        """Flags to 0, and a window that nobody has taken is given up."""
        self.pulse("clear")
        self.windows.release()

    @property
    def status(self) -> Any:
        """`AudioStatus`, as the core sees it: stands still with its clock."""
        return self.status_of(AudioStatus)

    @property
    def losses(self) -> list[str]:
        """Sticky flags that are set."""
        status = self.status
        return [name for name in FLAGS if getattr(status, name)]

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
