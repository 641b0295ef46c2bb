"""One simulated chip: its MRAM, its activation memory, and runs of programs."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from amaranth.lib.wiring import Component
from numpy.typing import ArrayLike, NDArray

from hdl.config import ACT_BANKS, MRAM_WORD_BYTES, ChipConfig
from mmsp.errors import InputError
from mmsp.simulator.binding import ERROR_PORT, RUNNING, STOPPED, counts, load, table
from mmsp.simulator.build import library

__all__ = ["MAX_CYCLES", "ChipModel", "Counters", "RunResult", "SimulationError"]

MAX_CYCLES = 100_000_000
"""Default limit of a run: two seconds at 50 MHz, several times the largest network we know."""

SLICE_CYCLES = 200_000
"""Cycles between two looks at the keyboard and the progress bar, well under a second."""

# Verilator's words after those of a failed `Assert`, and its own sentence about the stop.
# Outside the chip are the testbench and its registers (top.py), which are left away.
ASSERTION = re.compile(
    r"(.*?)\[\d+\] %Error: \S+: Assertion failed in TOP\.chip\.([\w.]+)", re.DOTALL
)


class SimulationError(RuntimeError):
    """The design stopped, or did not end in time; the message says which and at what cycle."""


@dataclass(frozen=True, kw_only=True)
class Counters:
    """Counts since the cycle in which ``start`` was high, that cycle included.

    A count that the chip has no port for is 0.
    """

    cycles: int
    mram_reads: int  # 16-byte words
    mram_active_cycles: int  # the macro is awake
    mac_active_cycles: int  # the multiplier array computes
    wait_weights_cycles: int  # the engine waits for the MRAM
    wait_drain_cycles: int  # the engine waits for the post-processing


@dataclass(frozen=True, kw_only=True)
class RunResult(Counters):
    """A whole run: up to the first cycle, not counted, in which ``busy`` is low again."""

    layers: tuple[Counters, ...]
    """Counts at the end of each job of the program, its last cycle included: cumulative."""
    samples: NDArray[np.uint64] = field(compare=False, repr=False)
    """Counts at equal distances of 8 cycles or a power of two times that, fewer than 2048 rows:
    cumulative, columns in the order of `Counters`.  What is left of the run follows the last."""

    @property
    def layer_cycles(self) -> list[int]:
        """Cycle counts at the end of each job, cumulative."""
        return [layer.cycles for layer in self.layers]


class ChipModel:
    """A chip after reset, with zeroed memories.

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
    ):
        self.config = config
        self.handle = None
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
        """Apply reset for one cycle.  Memories keep their contents."""
        self.call("reset")

    def program(self, words: NDArray[np.uint64] | bytes, address: int = 0) -> None:
        """Write the MRAM through the programming port.

        Parameters
        ----------
        words : bytes or ndarray of uint64, shape (n, 2)
            128-bit words: 16 bytes each, or (low half, high half); little-endian both.
        address : int
            Word address of the first.
        """
        if isinstance(words, (bytes, bytearray, memoryview)):
            data = np.frombuffer(words, np.uint8)
        elif words.dtype == np.uint64 and words.shape[1:] == (2,):
            data = np.ascontiguousarray(words).view(np.uint8).reshape(-1)
        else:
            raise ValueError(
                f"words must be uint64 of shape (n, 2), not {words.dtype} of shape {words.shape}"
            )
        count, rest = divmod(data.size, MRAM_WORD_BYTES)
        if rest:
            raise ValueError(f"words must be whole MRAM words of 16 bytes, not {data.size} bytes")
        if address < 0 or address + count > self.config.mram_words:
            raise ValueError(
                f"{count} words at address {address} do not fit the {self.config.mram_words} words "
                "of the MRAM"
            )
        self.call("program", address, data.ctypes.data, count)

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
        SimulationError
            After ``max_cycles``; call `reset` before the next run.  If an assertion in the design
            failed or its ``error`` port went high; nothing more can be simulated then.
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
        jobs = self.library.harness_jobs(self.handle)
        layers = tuple(
            Counters(**counts(jobs[i])) for i in range(self.library.harness_job_count(self.handle))
        )
        samples = self.library.harness_samples(self.handle)
        return RunResult(
            **counts(self.library.harness_counters(self.handle).contents),
            layers=layers,
            samples=table(samples, self.library.harness_sample_count(self.handle)),
        )

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

    def call(self, function: str, *arguments: int) -> int:
        """Call ``harness_<function>``; whatever stops the design becomes an exception."""
        if self.handle is None:
            raise SimulationError("the simulation has been closed")
        if self.stopped:
            raise SimulationError(f"the simulation has stopped before: {self.stopped}")
        status = getattr(self.library, f"harness_{function}")(self.handle, *arguments)
        if status in (STOPPED, ERROR_PORT):
            self.stopped = self.reason(status)
            raise SimulationError(self.stopped)
        return status

    def reason(self, status: int) -> str:
        """One sentence about why the design stopped; cycle 0 is the one with ``start``."""
        if status == ERROR_PORT:
            return f"the chip reported an error in cycle {self.cycles}"
        message = self.library.harness_message(self.handle).decode()
        if match := ASSERTION.match(message):
            return f"assertion failed in {match[2]} in cycle {self.cycles}: {match[1]}"
        return f"the design stopped in cycle {self.cycles}: {message.strip()}"
