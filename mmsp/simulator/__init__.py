"""The simulator: the chip's own RTL, verilated, at hundreds of thousands of cycles a second."""

from mmsp.simulator.build import BuildError
from mmsp.simulator.model import ChipModel, Counters, RunResult, SimulationError

__all__ = ["BuildError", "ChipModel", "Counters", "RunResult", "SimulationError"]
