"""Front ends of a simulated chip as a CPU would see them: registers, streams, tables, windows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from amaranth.hdl import Shape

from hdl.power.domains import Mode
from hdl.soc.window_writer import WindowPort, WindowSource
from mmsp.simulator.binding import RUNNING, SILENT
from mmsp.simulator.results import SimulationError

if TYPE_CHECKING:
    from mmsp.simulator.model import ChipModel

__all__ = ["ChipWindows", "Elapsed", "FrontEndPorts"]

ROW_BYTES = 16
LONGEST_PORT = 4096
IDLE_PERIODS = 4_000
"""Of the always-on clock, an eighth of a second: more than any frame of a recording takes."""


@dataclass(frozen=True)
class Elapsed:
    """Time since the reset in periods of the core clock, and rising edges that each clock had."""

    time: int
    core: int
    aon: int
    audio: int
    pixel: int


class FrontEndPorts:
    """Ports of one group, such as ``audio``; mirrors front_ports.h.

    Parameters
    ----------
    chip : ChipModel
        In a mode with the core clock, unless a method says otherwise.
    group : str
        Name of the chip's port.
    members : mapping
        Members of its signature.
    """

    def __init__(self, chip: "ChipModel", group: str, members: Any):
        self.chip, self.group, self.members = chip, group, members

    def write(self, name: str, value: int) -> None:
        """Set a register to an integer, as wide as that is."""
        width = Shape.cast(self.members[name].shape).width
        size = 8 * (-(-width // 64) or 1)
        self.chip.call("poke", self.port(name), value.to_bytes(size, "little"))

    def read(self, name: str) -> int:
        """What a port is now."""
        buffer = bytes(LONGEST_PORT)
        self.chip.call("peek", self.port(name), buffer)
        return int.from_bytes(buffer, "little")

    def pulse(self, name: str) -> None:
        """One core cycle of a port of one bit."""
        self.chip.call("pulse", self.port(name), 1)

    def send(self, name: str, words: Sequence[int]) -> None:
        """Give words to a stream."""
        self.chip.call("send", self.port(name), *packed(words))

    def fill(self, name: str, rows: Sequence[int]) -> None:
        """Write a table from its first row on."""
        self.chip.call("fill", self.port(name), *packed(rows))

    def port(self, name: str) -> bytes:
        """Its name in the harness."""
        return f"{self.group}.{name}".encode()

    def status_of(self, layout: Any) -> Any:
        """The status, as the core sees it: stands still with its clock."""
        return layout.from_bits(self.read("status"))

    @property
    def elapsed(self) -> Elapsed:
        """Time and clocks since the reset."""
        record = self.chip.library.harness_elapsed(self.chip.handle).contents
        return Elapsed(record.time, record.core, record.aon, record.audio, record.pixel)


class ChipWindows(FrontEndPorts):
    """What becomes of a front end's words: see `hdl.soc.window_writer`.

    Parameters
    ----------
    chip : ChipModel
    front_end : FrontEndPorts
        Who gives the words; its ``resume`` lets it wake the chip again.
    source : WindowSource
        The same.
    watch, wake : Mode
        The modes of a chip that waits for a window, and of one that takes it.
    """

    def __init__(
        self,
        chip: "ChipModel",
        front_end: FrontEndPorts,
        source: WindowSource,
        watch: Mode,
        wake: Mode,
    ):
        super().__init__(chip, "window", WindowPort().members)
        self.front_end, self.watch, self.wake = front_end, watch, wake
        self.write("source", source.value)

    def sleep(self) -> None:
        """Ask for the watch mode, and for the other after each wake-up."""
        self.chip.call("wake_mode", self.wake.value)
        self.chip.call("request", self.watch.value)

    def each(self, quiet: int, budget: int = 1 << 16, *, asleep: bool = True) -> Iterable[None]:
        """Go to sleep, or stay awake; stop at every window that is complete.

        If windows start their network, it has run then.

        What is asked for then is done with the chip awake; after that it takes the next window.

        Parameters
        ----------
        quiet : int
            Periods of the always-on clock after the last sample or pixel until there are no more
            windows.
        budget : int
            Such periods between two looks at the keyboard.
        asleep : bool
            Wait in the watch mode: only audio wakes for a window, images for a change.
        """
        if asleep:
            self.sleep()
        while True:
            while (status := self.chip.call("listen", budget, quiet)) == RUNNING:
                pass
            if status == SILENT:
                return
            yield
            # Events first: one that comes after that is the next window's.
            self.chip.call("clear_wake")
            self.release()

    def release(self) -> None:
        """Let the memory take the next window, and the front end wake the chip for it."""
        self.front_end.pulse("resume")
        self.pulse("release")


def packed(words: Sequence[int]) -> tuple[bytes, int, int]:
    """Words as the harness takes them."""
    return b"".join(word.to_bytes(ROW_BYTES, "little") for word in words), len(words), ROW_BYTES


def wait_for(front_end: Any, flag: str, value: bool = True) -> None:
    """Wait until a field of the status has a value, periods of the always-on clock."""
    for _ in range(IDLE_PERIODS):
        front_end.chip.wait(1)
        if bool(getattr(front_end.status, flag)) == value:
            return
    raise SimulationError(f"{flag} of the {front_end.group} front end did not become {int(value)}")
