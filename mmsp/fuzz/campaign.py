"""Judges many random networks, counts what they covered, and keeps what fails."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hdl.config import ChipConfig
from hdl.engine.descriptor import Operation
from mmsp.compiler import Program
from mmsp.fuzz.generator import random_network
from mmsp.fuzz.judge import Judge, Verdict
from mmsp.fuzz.shrinker import shrink
from mmsp.graph import Graph
from mmsp.importers.tflite_writer import write_tflite

__all__ = ["FAILURES", "Campaign", "Failure", "coverage", "network_of"]

FAILURES = Path("build/fuzz")
"""Where networks that failed are kept, under the directory in which the fuzzer is started."""


@dataclass(frozen=True)
class Failure:
    """A network that failed, as drawn and as shrunk."""

    seed: int
    index: int
    config: str
    verdict: Verdict
    """Of the shrunk network, which fails in the same way as the drawn one."""
    nodes: int
    graph: Graph
    samples: list[dict[str, NDArray]]

    @property
    def command(self) -> str:
        """Draws and judges the network again."""
        return (
            f"python -m mmsp.fuzz --seed {self.seed} --first {self.index} --count 1 "
            f"--config {self.config}"
        )

    def save(self, directory: Path = FAILURES) -> Path:
        """Write the shrunk network, its inputs and how to reproduce it; return the .tflite file."""
        directory.mkdir(parents=True, exist_ok=True)
        stem = f"{self.config}_{self.seed}_{self.index}"
        path = directory / f"{stem}.tflite"
        path.write_bytes(write_tflite(self.graph))
        # Samples are stacked: one batch, as `mmsp run --input` takes it.
        batch = {name: np.stack([s[name] for s in self.samples]) for name in self.graph.inputs}
        np.savez(directory / f"{stem}.npz", allow_pickle=False, **batch)
        ops = " ".join(node.op for node in self.graph.nodes)
        (directory / f"{stem}.txt").write_text(
            f"{self.verdict.kind}: {self.verdict.reason}\n"
            f"{self.nodes} nodes, shrunk to {len(self.graph.nodes)}: {ops}\n{self.command}\n"
        )
        return path


@dataclass
class Campaign:
    """Random networks on one chip; ``seed`` and an index determine each of them."""

    judge: Judge
    seed: int
    networks: int = 0
    covered: Counter = field(default_factory=Counter)
    refused: Counter = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    unsaturated: list[float] = field(default_factory=list)

    def run(
        self,
        count: int,
        *,
        first: int = 0,
        done: Callable[[], None] = lambda: None,
        failed: Callable[[Failure], None] = lambda failure: None,
    ) -> None:
        """Judge networks ``first`` to ``first + count - 1``; ``done`` is called after each."""
        for index in range(first, first + count):
            self.judge_one(index, failed)
            done()

    def judge_one(self, index: int, failed: Callable[[Failure], None]) -> None:
        """Draw, judge and count one network; shrink it when it fails."""
        config = self.judge.config
        graph, samples = network_of(self.seed, index, config)
        verdict = self.judge.judge(graph, samples)
        self.networks += 1
        if verdict.kind == "refused":
            self.refused[verdict.reason] += 1
            return
        if verdict.program is not None:
            self.covered.update(coverage(verdict.program))
        if not verdict.failed:
            self.unsaturated.append(verdict.unsaturated)
            return
        kind = verdict.kind
        small, few = shrink(graph, samples, lambda *case: self.judge.judge(*case).kind == kind)
        final = self.judge.judge(small, few)
        failure = Failure(self.seed, index, config.name, final, len(graph.nodes), small, few)
        self.failures.append(failure)
        failed(failure)


def network_of(seed: int, index: int, config: ChipConfig) -> tuple[Graph, list[dict[str, NDArray]]]:
    """Network ``index`` of a campaign, and its inputs."""
    rng = np.random.default_rng([seed, index])
    return random_network(rng, config, f"fuzz_{seed}_{index}")


def coverage(program: Program) -> Counter:
    """What one program exercises: operators by node, the rest at most once a program."""
    graph, jobs, plan = program.graph, program.jobs, program.plan
    covered = Counter(f"operator {node.op}" for node in graph.nodes)
    fields = [job.fields for job in jobs]
    features = {f"feed {f['feed'].name}" for f in fields if f["operation"] is Operation.JOB}
    features |= {f"drain {f['drain'].name}" for f in fields if "drain" in f}
    readers = Counter(name for node in graph.nodes for name in set(node.inputs))
    activations = {name for name, tensor in graph.tensors.items() if tensor.data is None}
    stored = {program.storage[name] for name in activations} & plan.placements.keys()
    # A sum that overwrites its operand has the very same placement.
    shared = len({id(plan.placements[name]) for name in stored}) < len(stored)
    with_jobs = {job.layer for job in jobs}
    ops = {op for i, op in enumerate(n.op for n in graph.nodes) if i not in with_jobs}
    features |= {f"folded {op}" for op in ops}
    features |= {
        name
        for name, holds in {
            "refetch": any(f.get("refetch") for f in fields),
            "stripes > 1": any(f.get("stripes_last") for f in fields),
            "groups > 1": any(f.get("groups_last") for f in fields),
            "inner passes > 1": any(
                f.get("inner_last") for f in fields if f["operation"] is Operation.JOB
            ),
            "in place": shared,
            "packed": any(place.packed for place in plan.placements.values()),
            "several inputs": len(graph.inputs) > 1,
            "several outputs": len(graph.outputs) > 1,
            "read by several": any(readers[name] > 1 for name in activations),
            "output read further": any(readers[name] for name in graph.outputs),
        }.items()
        if holds
    }
    return covered + Counter(features)
