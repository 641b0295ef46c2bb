"""What gating policies cost and save: one network on one chip, under each of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hdl.config import ChipConfig
from hdl.power.domains import Gating
from mmsp.bench.measurement import prepare
from mmsp.bench.mlperf_tiny import Network, recognise
from mmsp.clock import CORE_HZ
from mmsp.inputs import Batch, random_batch
from mmsp.loading import Source
from mmsp.simulator.results import SimulationError
from mmsp.simulator.simulator import Result, Simulator
from mmsp.variants import make_variant

__all__ = ["BARS", "Ablation", "PolicyCost", "ablate", "measure_gating"]

BARS = {"cycles_ratio": 1.03, "active_ratio": 1.25, "bank_ratio": 1.3}
"""What `Gating.PER_BURST` may cost at most on the networks of MLPerf Tiny, at a wake-up of 1 us."""


@dataclass(frozen=True, kw_only=True)
class PolicyCost:
    """One inference under one policy: counts as in `mmsp.simulator.results.Counters`.

    ``*_cycles`` of ``act`` and ``mram`` are summed over the domains of that kind.  The ratios are
    those of the bars: cycles over those of ``always_on``; cycles with a bank awake over words read;
    bank cycles without those of wake-ups over words read.
    """

    gating: Gating
    cycles: int
    mram_reads: int
    mram_active_cycles: int
    mram_bank_cycles: int
    mram_wakeups: int
    act_on_cycles: int
    act_retain_cycles: int
    act_wakeups: int
    mram_on_cycles: int
    cycles_ratio: float
    active_ratio: float
    bank_ratio: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return vars(self) | {"gating": self.gating.name.lower()}


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """One network under all policies.  ``network`` is None when it is none of MLPerf Tiny."""

    model: str
    network: Network | None
    config: ChipConfig
    costs: Sequence[PolicyCost]

    @property
    def wakeup_us(self) -> float:
        """Microseconds that a bank takes to wake up."""
        return self.config.mram_wakeup * 1e6 / CORE_HZ

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "model": self.model,
            "mlperf_tiny": self.network.key if self.network else None,
            "config": self.config.name,
            "wakeup_us": self.wakeup_us,
            "wakeup_cycles": self.config.mram_wakeup,
            "policies": [cost.to_json() for cost in self.costs],
        }


def policy_cost(result: Result, always_on: Result) -> PolicyCost:
    """The figures of one policy."""
    first = result.first
    words = max(first.mram_reads, 1)

    def total(kind: str, count: str) -> int:
        domains = (power for name, power in first.power.items() if name.startswith(kind))
        return sum(getattr(power, count) for power in domains)

    waking = first.mram_wakeups * result.config.mram_wakeup
    return PolicyCost(
        gating=result.gating,
        cycles=first.cycles,
        mram_reads=first.mram_reads,
        mram_active_cycles=first.mram_active_cycles,
        mram_bank_cycles=first.mram_bank_cycles,
        mram_wakeups=first.mram_wakeups,
        act_on_cycles=total("act", "on_cycles"),
        act_retain_cycles=total("act", "retain_cycles"),
        act_wakeups=total("act", "wakeups"),
        mram_on_cycles=total("mram", "on_cycles"),
        cycles_ratio=first.cycles / always_on.cycles,
        active_ratio=first.mram_active_cycles / words,
        bank_ratio=(first.mram_bank_cycles - waking) / words,
    )


def ablate(
    simulator: Simulator,
    batch: Batch,
    *,
    model: str,
    network: Network | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Ablation:
    """Run the first inference of ``batch`` under each policy, from the initial state.

    Parameters
    ----------
    simulator : Simulator
        Of the network.
    batch : Batch
        Its inputs.
    model : str
        What to call the network.
    network : Network, optional
        What it is in MLPerf Tiny.
    progress : callable, optional
        Called now and then with the policies and the jobs of the current one that are done.

    Raises
    ------
    SimulationError
        When the design stops, or outputs depend on the policy.
    """
    one = Batch({name: values[:1] for name, values in batch.values.items()}, 1, True, [])
    results: list[Result] = []
    for index, gating in enumerate(Gating):

        def report(_: int, jobs: int, done: int = index) -> None:
            if progress is not None:
                progress(done, jobs)

        results.append(simulator.run(one, reset_state=True, gating=gating, progress=report))
        for name, values in results[0].int8_outputs.items():
            if not np.array_equal(values, results[-1].int8_outputs[name]):
                raise SimulationError(
                    f"output {name!r} of {model} with gating {gating.name.lower()} differs from "
                    f"that with {Gating.ALWAYS_ON.name.lower()}"
                )
    return Ablation(
        model=model,
        network=network,
        config=simulator.config,
        costs=[policy_cost(result, results[0]) for result in results],
    )


def measure_gating(
    source: Source,
    config: ChipConfig,
    *,
    name: str | None = None,
    wakeup: int | None = None,
    seed: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Ablation:
    """Compile a network for a chip whose banks wake up in ``wakeup`` cycles, and `ablate` it.

    Parameters
    ----------
    source : str, Path, bytes, Graph or Program
        The network.
    config : ChipConfig
        The chip.
    name : str, optional
        What to call the network, by default the file's name.
    wakeup : int, optional
        Core cycles, by default those of ``config``.
    seed : int
        Of the random inputs.
    progress : callable, optional
        As `ablate` takes it.

    Raises
    ------
    InputError, SimulationError, BuildError
        As `prepare` and `ablate` do.
    """
    model = prepare(source, make_variant(config, wakeup=wakeup), name=name)
    assert model.image is not None, "prepare compiles"
    assert model.graph is not None, "only an image has no graph"
    description = model.image.description
    constants = (tensor.data for tensor in model.graph.tensors.values())
    weight_bytes = sum(data.nbytes for data in constants if data is not None)
    with Simulator(model) as simulator:
        return ablate(
            simulator,
            random_batch(description.inputs, seed),
            model=model.name,
            network=recognise(description.macs, weight_bytes),
            progress=progress,
        )
