"""What every cocotb bench starts with: its parameters, clock and reset, and honest stimulus."""

import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from numpy.typing import NDArray

__all__ = ["CLOCK_NS", "coin", "log_uniform", "parameters", "start"]

CLOCK_NS = 10
"""Clock period of every bench; only counts of cycles mean anything."""


def parameters() -> dict[str, Any]:
    """What the test passed to `verif.sim.simulate` as ``parameters``."""
    return json.loads(os.environ.get("BENCH_PARAMETERS", "{}"))


async def start(dut) -> None:
    """Start the clock ``clk`` and apply reset for two cycles.

    Drive inputs before this call to have them defined from the first edge.
    """
    Clock(dut.clk, CLOCK_NS, unit="ns").start()
    dut.rst.value = 1
    await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)
    dut.rst.value = 0


def coin(rng: np.random.Generator, probability: float) -> Iterator[bool]:
    """Yield True with the given probability, for ever: the stalls of a stream."""
    while True:
        yield bool(rng.random() < probability)


def log_uniform(rng: np.random.Generator, *, bits: int, size: int) -> NDArray[np.int64]:
    """Signed ``bits``-wide integers whose magnitudes, not values, are spread evenly.

    Uniform values are almost all of full magnitude, and so would saturate everything.
    """
    full_scale = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), size=size)
    return full_scale >> rng.integers(0, bits, size=size)
