"""What a run cost, layer by layer: from the chip's counters to figures a reader can use."""

from collections.abc import Iterator
from dataclasses import dataclass

from hdl.config import MRAM_WORD_BYTES, ChipConfig
from hdl.engine.descriptor import DESCRIPTOR_WORDS
from mmsp.description import Description
from mmsp.simulator.results import Counters, RunResult

__all__ = ["LayerResult", "Span", "layer_results", "layer_spans"]


@dataclass(frozen=True, kw_only=True)
class LayerResult:
    """What one layer cost in the first inference; a layer that needs no job costs nothing."""

    name: str
    op: str
    cycles: int
    macs: int
    mac_utilisation: float
    mram_bytes_read: int
    """Read while it ran: weights are prefetched, so these may be its successors'."""
    program_bytes: int
    """Its own part of the program: descriptors, parameters and weights."""
    mac_active_cycles: int
    wait_weights_cycles: int
    wait_drain_cycles: int
    """See `mmsp.simulator.model.Counters`."""


@dataclass(frozen=True)
class Span:
    """Layer ``layer``, an index, ran from cycle ``first`` until before cycle ``end``."""

    layer: int
    first: int
    end: int


def finished_jobs(description: Description, run: RunResult) -> Iterator[tuple[int, Counters]]:
    """Layer of each job that ended, in the order of time, and the counters at its end."""
    for job, counters in zip(description.executed, run.layers, strict=True):
        yield job.layer, counters


def layer_results(
    description: Description, config: ChipConfig, program_words: int, run: RunResult
) -> list[LayerResult]:
    """Add up the jobs of each layer.

    Parameters
    ----------
    description : Description
        Of the program that ran.
    config : ChipConfig
        Of the chip that it ran on.
    program_words : int
        MRAM words of the program, END included.
    run : RunResult
        One inference.
    """
    columns = ("cycles", "mram_reads", "mac_active_cycles", "wait_weights_cycles",
               "wait_drain_cycles")  # fmt: skip
    sums = [dict.fromkeys(columns, 0) for _ in description.layers]
    before = dict.fromkeys(columns, 0)
    for layer, counters in finished_jobs(description, run):
        for column in columns:
            sums[layer][column] += getattr(counters, column) - before[column]
            before[column] = getattr(counters, column)

    words = [0] * len(description.layers)
    starts = [job.offset for job in description.jobs]  # none when the network only renames
    ends = [*starts, program_words - DESCRIPTOR_WORDS][1:]
    for job, end in zip(description.jobs, ends, strict=True):
        words[job.layer] += end - job.offset
    return [
        LayerResult(
            name=layer.name,
            op=layer.op,
            macs=layer.macs,
            mac_utilisation=(
                layer.macs / (spent["cycles"] * config.macs_per_cycle) if spent["cycles"] else 0.0
            ),
            mram_bytes_read=spent.pop("mram_reads") * MRAM_WORD_BYTES,
            program_bytes=own * MRAM_WORD_BYTES,
            **spent,
        )
        for layer, spent, own in zip(description.layers, sums, words, strict=True)
    ]


def layer_spans(description: Description, run: RunResult) -> list[Span]:
    """When each layer ran: a layer whose jobs follow one another has one span."""
    spans: list[Span] = []
    for layer, counters in finished_jobs(description, run):
        first = spans[-1].end if spans else 0
        if spans and spans[-1].layer == layer:
            first = spans.pop().first
        spans.append(Span(layer, first, counters.cycles))
    return spans
