"""The simulator: the chip's own RTL, verilated, at hundreds of thousands of cycles a second."""

from mmsp.simulator.build import BuildError
from mmsp.simulator.model import ChipModel
from mmsp.simulator.results import (
    ChipError,
    Counters,
    DomainPower,
    PowerEvents,
    RunResult,
    SimulationError,
)

__all__ = [
    "BuildError",
    "ChipError",
    "ChipModel",
    "Counters",
    "DomainPower",
    "PowerEvents",
    "RunResult",
    "SimulationError",
]
