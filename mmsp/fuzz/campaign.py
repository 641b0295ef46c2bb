"""Judges many random networks, counts what they covered, and keeps what fails."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hdl.config import ChipConfig
from mmsp.fuzz.coverage import network_coverage, program_coverage
from mmsp.fuzz.generator import random_network
from mmsp.fuzz.judge import Judge, Verdict
from mmsp.fuzz.shrinker import shrink
from mmsp.graph import Graph
from mmsp.importers.tflite_writer import write_tflite

__all__ = ["FAILURES", "Campaign", "Failure", "network_of"]

FAILURES = Path("build/fuzz")
"""Where networks that failed are kept, under the directory in which the fuzzer is started."""


@dataclass(frozen=True)
class Failure:
    """A network that failed, as drawn and as shrunk."""

    seed: int
    index: int
    config: str
    target: str
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
            f"--config {self.config}" + (f" --target {self.target}" if self.target != "rtl" else "")
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
        self.covered.update(network_coverage(graph))
        if verdict.program is not None:
            self.covered.update(program_coverage(verdict.program))
        if not verdict.failed:
            self.unsaturated.append(verdict.unsaturated)
            return
        kind = verdict.kind
        small, few = shrink(graph, samples, lambda *case: self.judge.judge(*case).kind == kind)
        final = self.judge.judge(small, few)
        failure = Failure(
            self.seed, index, config.name, self.judge.target, final, len(graph.nodes), small, few
        )
        self.failures.append(failure)
        failed(failure)


def network_of(seed: int, index: int, config: ChipConfig) -> tuple[Graph, list[dict[str, NDArray]]]:
    """Network ``index`` of a campaign, and its inputs."""
    rng = np.random.default_rng([seed, index])
    return random_network(rng, config, f"fuzz_{seed}_{index}")
