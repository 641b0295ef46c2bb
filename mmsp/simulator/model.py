"""One simulated chip: its MRAM, its activation memory, and runs of programs."""

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from amaranth.lib.wiring import Component
from numpy.typing import ArrayLike, NDArray

from hdl.config import ACT_BANKS, ChipConfig
from hdl.power.domains import Gating, Mode, power_domains
from mmsp.clock import AON_HZ, CORE_HZ
from mmsp.errors import InputError
from mmsp.simulator.binding import ERROR_PORT, RUNNING, STOPPED, load
from mmsp.simulator.build import library
from mmsp.simulator.mram_contents import MramContents, as_words
from mmsp.simulator.results import (
    ChipError,
    RunResult,
    SimulationError,
    read_result,
)

__all__ = [
    "AON_RATIO",
    "MAX_CYCLES",
    "ChipError",
    "ChipModel",
    "RunResult",
    "SimulationError",
]

MAX_CYCLES = 100_000_000
"""Default limit of a run: two seconds at 50 MHz, several times the largest network we know."""

SLICE_CYCLES = 200_000
"""Cycles between two looks at the keyboard and the progress bar, well under a second."""

AON_RATIO = round(CORE_HZ / AON_HZ)
"""Core cycles in a period of the always-on clock."""

RESET_RATIO = 64
"""The same from a reset to mode INFER, when the core only waits: a second less to simulate."""

SETTLE_SLACK = 128
"""Cycles that a sequencer needs at most, besides the wake-up of an MRAM bank."""

# Verilator's words after those of a failed `Assert`, and its own sentence about the stop.
# Outside the chip are the testbench and its registers (top.py), which are left away.
ASSERTION = re.compile(
    r"(.*?)\[\d+\] %Error: \S+: Assertion failed in TOP\.chip\.([\w.]+)", re.DOTALL
)


class ChipModel:
    """A chip after reset, in mode INFER, with zeroed memories.

    Zeros are no code words: an MRAM with check bits must be programmed before it is read.

    Building the simulator takes about a minute for a new design, and nothing after that.  Use it as
    a context manager, or `close` it, to complete a waveform.

    Parameters
    ----------
    config : ChipConfig
        Which chip.
    waves : Path or str, optional
        An ``.fst`` file to record everything to.  Slow: for thousands of cycles, not millions.
    design : callable, optional
        Makes another component with the ports of `hdl.soc.chip.Chip`, to take its place.
    aon_ratio : int
        Core cycles in a period of the always-on clock.

    Raises
    ------
    InputError
        If ``waves`` cannot be written.
    BuildError
        If the simulator cannot be built.
    """

    def __init__(
        self,
        config: ChipConfig,
        waves: Path | str | None = None,
        *,
        design: Callable[[], Component] | None = None,
        aon_ratio: int = AON_RATIO,
    ):
        self.handle = None
        if aon_ratio < 1:
            raise ValueError(f"aon_ratio must be at least 1, not {aon_ratio}")
        self.config, self.aon_ratio = config, aon_ratio
        self.domains = [domain.name for domain in power_domains(config)]
        self.stopped = ""  # why nothing more can be simulated
        if waves is not None:
            try:
                Path(waves).open("wb").close()
            except OSError as error:
                raise InputError(f"cannot record to {str(waves)!r}: {error.strerror}") from None
        self.library = load(library(config, waves=waves is not None, design=design))
        self.handle = self.library.harness_open(None if waves is None else os.fsencode(waves))
        if not self.handle:
            raise SimulationError("the design cannot be set up")
        assert self.library.harness_row_bytes(self.handle) == config.rows, "another chip's library"
        word_bytes = self.library.harness_word_bytes(self.handle)
        self.contents = MramContents(config.mram_words, word_bytes)
        every_segment = (1 << config.activation_segments) - 1
        self.policy = Gating.PER_BURST, every_segment, every_segment
        self.reset()

    def __enter__(self) -> "ChipModel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """End the simulation and complete the waveform; calling it again does nothing."""
        if self.handle:
            self.library.harness_close(self.handle)
            self.handle = None

    def reset(self) -> None:
        """Apply reset for one cycle, and go to mode INFER.  Memories keep their contents."""
        self.set_ratio(min(self.aon_ratio, RESET_RATIO))
        self.call("wake_mode", Mode.INFER.value)
        self.call("reset")
        self.enter(Mode.INFER)
        self.set_ratio(self.aon_ratio)
        self.apply(self.policy)

    def set_ratio(self, aon_ratio: int) -> None:
        """Let the always-on clock have a period of so many core cycles."""
        settled = self.config.mram_wakeup + SETTLE_SLACK
        self.library.harness_configure(self.handle, aon_ratio, len(self.domains), settled)

    def enter(self, mode: Mode) -> None:
        """Ask for a power mode, and wait until it is reached.

        Raises
        ------
        SimulationError
            When it is not reached in 4096 periods of the always-on clock.
        """
        self.call("enter", mode.value)

    @property
    def mode(self) -> Mode:
        """The power mode, SLEEP for a chip that has none."""
        return Mode(self.library.harness_mode(self.handle))

    def wake(self, sources: int) -> None:
        """Set the inputs of the wake sources, a bit each in the order of `WakeSource`."""
        self.call("wake", sources)

    def wait(self, periods: int) -> None:
        """Let periods of the always-on clock pass."""
        self.call("wait", periods)

    @property
    def corrected(self) -> int:
        """Wrong bits of the MRAM that have been corrected since the last run began."""
        return self.library.harness_corrected(self.handle)

    def set_policy(
        self,
        gating: Gating = Gating.PER_BURST,
        footprint: int | None = None,
        held: int | None = None,
    ) -> None:
        """Tell the chip when to switch memories, and wait until it has switched what it can.

        Parameters
        ----------
        gating : Gating
            The policy, per burst at first.
        footprint, held : int, optional
            Activation segments that the network uses at all, and those that the host may access
            and that keep their contents between runs; a bit each, by default all.
        """
        every_segment = (1 << self.config.activation_segments) - 1
        policy = (
            gating,
            every_segment if footprint is None else footprint & every_segment,
            every_segment if held is None else held & every_segment,
        )
        if policy != self.policy:
            self.apply(policy)
            self.policy = policy

    def apply(self, policy: tuple[Gating, int, int]) -> None:
        """Set the inputs of `set_policy`."""
        gating, footprint, held = policy
        self.call("policy", gating.value, footprint, held)

    def program(self, words: NDArray[np.uint64] | bytes, address: int = 0) -> None:
        """Write the MRAM through the programming port, with check bits if the chip has them.

        Parameters
        ----------
        words : bytes or ndarray of uint64, shape (n, 2)
            128-bit words: 16 bytes each, or (low half, high half); little-endian both.
        address : int
            Word address of the first.
        """
        self.program_codes(self.contents.encode(as_words(words)), address)

    def program_codes(self, codes: NDArray[np.uint8], address: int = 0) -> None:
        """Write stored words as they are, right or wrong.

        Parameters
        ----------
        codes : ndarray of uint8, shape (n, 18)
            Words of `models.mram.secded.encode`; (n, 16) for a chip without check bits.
        address : int
            Word address of the first.
        """
        stored = self.contents.put(codes, address)
        self.call("program", address, stored.ctypes.data, len(stored))

    def flip(self, address: int, bits: Iterable[int] = ()) -> None:
        """Invert stored bits of a word as it was programmed: none of them restores it.

        Parameters
        ----------
        address : int
            Word address.
        bits : iterable of int
            Bits of the stored word, 0 to 143.
        """
        word = self.contents.flipped(address, bits)
        self.call("program", address, word.ctypes.data, 1)

    def write_activations(
        self, bank: ArrayLike, address: ArrayLike, data: NDArray[np.uint8]
    ) -> None:
        """Write words of the activation memory.

        Parameters
        ----------
        bank, address : int or array-like of int, shape (n,)
            Where each word goes.  Two integers: consecutive addresses of one bank.
        data : ndarray of uint8, shape (n, rows)
            The words.
        """
        if data.dtype != np.uint8 or data.shape[1:] != (self.config.rows,):
            raise ValueError(
                f"data must be uint8 of shape (n, {self.config.rows}), not {data.dtype} of shape "
                f"{data.shape}"
            )
        data = np.ascontiguousarray(data)
        banks, addresses = self.places(bank, address, len(data))
        self.call("write", banks.ctypes.data, addresses.ctypes.data, data.ctypes.data, len(data))

    def read_activations(
        self, bank: ArrayLike, address: ArrayLike, count: int | None = None
    ) -> NDArray[np.uint8]:
        """Read words of the activation memory.

        Parameters
        ----------
        bank, address : int or array-like of int, shape (n,)
            Where each word is.  Two integers: consecutive addresses of one bank.
        count : int, optional
            How many words; by default as many as ``bank`` and ``address`` name.

        Returns
        -------
        ndarray of uint8, shape (n, rows)
        """
        if count is None:
            count = np.broadcast(np.asarray(bank), np.asarray(address)).size
        banks, addresses = self.places(bank, address, count)
        data = np.zeros((count, self.config.rows), np.uint8)
        self.call("read", banks.ctypes.data, addresses.ctypes.data, data.ctypes.data, count)
        return data

    def run(
        self,
        address: int = 0,
        max_cycles: int = MAX_CYCLES,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> RunResult:
        """Run the program at MRAM word ``address`` to its end.

        Parameters
        ----------
        address : int
            Word address of the first descriptor.
        max_cycles : int
            Cycles after which the program counts as hung.
        progress : callable, optional
            Called now and then with the cycles and the jobs done so far.

        Raises
        ------
        ChipError
            When the chip has ended the run with an error.
        SimulationError
            After ``max_cycles``; call `reset` before the next run.  When an assertion in the design
            has failed; nothing more can be simulated then.
        """
        if address not in range(self.config.mram_words):
            raise ValueError(f"address must be in 0..{self.config.mram_words - 1}, not {address}")
        self.call("begin", address)
        while self.call("advance", min(SLICE_CYCLES, max_cycles - self.cycles)) == RUNNING:
            jobs = self.library.harness_job_count(self.handle)
            if progress is not None:
                progress(self.cycles, jobs)
            if self.cycles >= max_cycles:
                raise SimulationError(
                    f"the program at MRAM word {address} has not ended after {self.cycles} cycles "
                    f"and {jobs} jobs"
                )
        return read_result(self.library, self.handle, self.domains)

    @property
    def cycles(self) -> int:
        """Cycles since the start of the last run."""
        return self.library.harness_counters(self.handle).contents.cycles

    def places(
        self, bank: ArrayLike, address: ArrayLike, count: int
    ) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """Bank and address of ``count`` words, checked."""
        banks, addresses = np.asarray(bank), np.asarray(address)
        if banks.ndim == addresses.ndim == 0:
            addresses = addresses + np.arange(count)
        banks, addresses = (
            np.ascontiguousarray(np.broadcast_to(value, (count,))) for value in (banks, addresses)
        )
        for name, values, limit in (
            ("bank", banks, ACT_BANKS),
            ("address", addresses, self.config.bank_words),
        ):
            if count and not (values.min() >= 0 and values.max() < limit):
                wrong = values[(values < 0) | (values >= limit)][0]
                raise ValueError(f"{name} must be in 0..{limit - 1}, not {wrong}")
        return banks.astype(np.uint32), addresses.astype(np.uint32)

    def call(self, function: str, *arguments: int | bytes) -> int:
        """Call ``harness_<function>``; whatever stops the design becomes an exception."""
        if self.handle is None:
            raise SimulationError("the simulation has been closed")
        if self.stopped:
            raise SimulationError(f"the simulation has stopped before: {self.stopped}")
        status = getattr(self.library, f"harness_{function}")(self.handle, *arguments)
        if status == STOPPED:
            self.stopped = self.reason()
            raise SimulationError(self.stopped)
        if status == ERROR_PORT:
            error = self.library.harness_error(self.handle).contents
            raise ChipError(error.cycle, error.kind, error.address)
        return status

    def reason(self) -> str:
        """One sentence about why the design stopped; cycle 0 is the one with ``start``."""
        message = self.library.harness_message(self.handle).decode()
        if match := ASSERTION.match(message):
            return f"assertion failed in {match[2]} in cycle {self.cycles}: {match[1]}"
        return f"the design stopped in cycle {self.cycles}: {message.strip()}"
