"""What a run of the simulated chip left behind: counts, power states over time, and errors."""

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsp.simulator.binding import COUNTERS, counts, power_counts, power_events, table

__all__ = [
    "ERROR_KINDS",
    "ChipError",
    "Counters",
    "DomainPower",
    "PowerEvents",
    "RunResult",
    "SimulationError",
    "read_result",
]

ERROR_KINDS = ("none", "uncorrectable", "no wake", "power")
"""Values of the chip's port ``error_kind``."""


class SimulationError(RuntimeError):
    """The design stopped, or did not end in time; the message says which and at what cycle."""


class ChipError(SimulationError):
    """The chip gave a run up, and said why; it can be used again.

    ``cycle`` counts from the one with ``start``, ``kind`` is one of `ERROR_KINDS`, and ``address``
    the MRAM word that was read.
    """

    def __init__(self, cycle: int, kind: int, address: int):
        self.cycle, self.kind, self.address = cycle, ERROR_KINDS[kind], address
        reason = {
            "none": "reported an error",
            "uncorrectable": f"found MRAM word {address} damaged beyond correction",
            "no wake": f"could not wake the MRAM bank of word {address}",
            "power": "reported a power domain that did not come up",
        }[self.kind]
        super().__init__(f"the chip {reason} in cycle {cycle}, and ended the run")


@dataclass(frozen=True, kw_only=True)
class Counters:
    """Counts since the cycle in which ``start`` was high, that cycle included.

    A count that the chip has no port for is 0.
    """

    cycles: int
    mram_reads: int  # 16-byte words
    mram_active_cycles: int  # at least one bank takes current: awake, or waking up
    mac_active_cycles: int  # the multiplier array computes
    wait_weights_cycles: int  # the engine waits for the MRAM
    wait_drain_cycles: int  # the engine waits for the post-processing
    mram_bank_cycles: int  # as `mram_active_cycles`, summed over the banks
    mram_wakeups: int  # how often a bank's supply came on, banks added up
    corrected: int  # wrong bits in what was read from the MRAM, put right


@dataclass(frozen=True)
class DomainPower:
    """One power domain in a run.

    ``wakeups`` counts how often it came on, from off or from retention.
    """

    on_cycles: int
    retain_cycles: int
    wakeups: int


@dataclass(frozen=True)
class PowerEvents:
    """The states of all power domains over a run.

    From cycle ``cycles[i]`` on, the first of which is 0, domain ``d`` is in the
    `hdl.power.PowerState` ``states[i, d]``.  Of more than a million changes the rest, ``dropped``
    of them, are left away.
    """

    cycles: NDArray[np.uint64]
    states: NDArray[np.uint8]
    dropped: int = 0


@dataclass(frozen=True, kw_only=True)
class RunResult(Counters):
    """A whole run: up to the first cycle, not counted, in which ``busy`` is low again."""

    layers: tuple[Counters, ...]
    """Counts at the end of each job of the program, its last cycle included: cumulative."""
    samples: NDArray[np.uint64] = field(compare=False, repr=False)
    """Counts at equal distances of 8 cycles or a power of two times that, fewer than 2048 rows:
    cumulative, columns in the order of `Counters`.  What is left of the run follows the last."""
    power: Mapping[str, DomainPower] = field(default_factory=dict)
    """By the name of the domain, in the order of `hdl.power.power_domains`."""
    events: PowerEvents | None = field(default=None, compare=False, repr=False)

    @property
    def layer_cycles(self) -> list[int]:
        """Cycle counts at the end of each job, cumulative."""
        return [layer.cycles for layer in self.layers]


def read_result(library: ctypes.CDLL, handle: Any, domains: Sequence[str]) -> RunResult:
    """The run that has just ended, from the harness ``handle`` of ``library``."""
    jobs = table(library.harness_jobs(handle), library.harness_job_count(handle)).tolist()
    powers = power_counts(library, handle, len(domains)).tolist()
    return RunResult(
        **counts(library.harness_counters(handle).contents),
        layers=tuple(Counters(**dict(zip(COUNTERS, job, strict=True))) for job in jobs),
        samples=table(library.harness_samples(handle), library.harness_sample_count(handle)),
        power={name: DomainPower(*row) for name, row in zip(domains, powers, strict=True)},
        events=PowerEvents(
            *power_events(library, handle, len(domains)), library.harness_power_dropped(handle)
        ),
    )
