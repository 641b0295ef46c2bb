"""Programs on the simulated chip, for tests that compare it with the golden models.

Not a test.  One simulator a configuration and process is built (or taken from the cache) and kept.
"""

from functools import cache

import numpy as np

from hdl.config import CONFIGS
from mmsp.compiler import Program
from mmsp.simulator.model import ChipModel, RunResult

MAX_CYCLES = 3_000_000


@cache
def chip(name: str) -> ChipModel:
    """The simulated chip of a configuration."""
    return ChipModel(CONFIGS[name])


def run_rtl(
    program: Program, batches: list[dict[str, np.ndarray]]
) -> list[tuple[dict[str, np.ndarray], RunResult]]:
    """Program the chip once and run every set of inputs on it."""
    model = chip(program.config.name)
    model.program(program.words.tobytes())
    results = []
    for inputs in batches:
        for name, values in inputs.items():
            place = program.plan.placements[program.storage[name]]
            model.write_activations(*place.addresses(), place.pack(values))
        counts = model.run(max_cycles=MAX_CYCLES)
        outputs = {}
        for name in program.graph.outputs:
            place = program.plan.placements[program.storage[name]]
            words = model.read_activations(*place.addresses())
            shape = program.graph.tensors[name].shape
            outputs[name] = place.unpack(words).reshape(shape)
        results.append((outputs, counts))
    return results
