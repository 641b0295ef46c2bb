"""When the MRAM has to wake so that the next burst arrives in time.

The loader's consumption of the stream is estimated word by word, as fast as it can possibly be: the
array and the vector unit never wait.  A job's mark is the most words that are taken within the time
of a wake-up, counted from any moment in which this job's descriptor is the last one read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hdl.config import ChipConfig
from hdl.engine.descriptor import (
    DESCRIPTOR_WORDS,
    SOFTMAX_TABLE_WORDS,
    WAKE_UNIT,
    Drain,
    Feed,
    Operation,
    WeightFormat,
    parameter_words,
)
from hdl.engine.vector_descriptor import VectorFunction
from mmsp.compiler.lower.jobs import Job
from mmsp.compiler.lower.weights import weight_words

__all__ = ["Timeline", "consumption", "wake_cycles", "wake_marks"]

RING_CYCLES = 3
"""From the ring's decision to `wake`, and from a word's arrival to its offer: docs/mram.md."""

SEQUENCER_CYCLES = 7
"""From `wake` to `ready`, beside the macro's own time: `hdl.power.sequencer.Sequencer`."""

RAMP_CYCLES = 8
"""A segment of the activation memory that is just being switched on is let through first."""

MOST_TURNS = 3
"""Turns of a loop that are followed: the later ones are like the last of them."""

WHOLE = 5
"""Groups, and stripes, up to which all of them are followed: of more, the first and last two."""

SCALE_TURNS = {Drain.ADD: 3, Drain.SUBTRACT: 3}
"""Turns of an output through the requantisers, where it is not one."""

THREE_CYCLES = (VectorFunction.ADD, VectorFunction.SUBTRACT)
"""Functions of the vector unit that take three cycles an element."""


@dataclass
class Timeline:
    """The loader's way along the stream, and the units' times that hold it up, in cycles."""

    now: int = 0
    """Cycle in which the loader can take its next word."""
    taken: int = 0
    """The job before has begun: the next descriptor can be read."""
    free: int = 0
    """The array or another unit is done with what it was given so far."""
    shadow: int = 0
    """The last tile was swapped in: the next one can be loaded."""
    begun: int = 0
    """The last group began: the parameters of the one before it are done with, and there are places
    for two."""
    mark: int = 0
    """Job whose descriptor was read last."""
    address: int = 0
    """Of the next word, counted from the first one that is followed."""
    runs: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    """First cycle, words, cycles from one to the next, job, address of the first word."""

    def take(self, words: int, not_before: int = 0, spacing: int = 1) -> None:
        """Take words of the stream."""
        start = max(self.now, not_before)
        if words:
            self.runs.append((start, words, spacing, self.mark, self.address))
        self.address += words
        self.now = start + words * spacing

    def skip(self, cycles: int) -> None:
        """Let time pass as it does in turns that are not followed."""
        self.now += cycles
        self.free += cycles
        self.shadow += cycles
        self.begun += cycles

    def words(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Of each word that is taken, in order: cycle, job whose mark counts then, address."""
        runs = np.array(self.runs, np.int64).reshape(-1, 5)
        counts = runs[:, 1]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        start, spacing, job, address = (np.repeat(runs[:, c], counts) for c in (0, 2, 3, 4))
        return start + within * spacing, job, address + within


def wake_cycles(config: ChipConfig) -> int:
    """Cycles from the decision to wake to the first word of the burst, at most."""
    around = RING_CYCLES + SEQUENCER_CYCLES + RAMP_CYCLES
    return config.mram_wakeup + config.mram_latency + around


def wake_marks(jobs: Sequence[Job], config: ChipConfig) -> list[int]:
    """`hdl.engine.descriptor.Header.wake_mark` of each job.

    At most three quarters of the ring: the MRAM is not to wake for less than the rest of it.
    """
    times, owners, _ = consumption(jobs, config).words()
    behind = np.searchsorted(times, times + wake_cycles(config), side="right")
    needed = np.zeros(len(jobs) + 1, np.int64)
    np.maximum.at(needed, owners, behind - np.arange(1, len(times) + 1))
    most = config.cache_words * 3 // 4 // WAKE_UNIT
    return np.minimum(-(-needed[: len(jobs)] // WAKE_UNIT), most).tolist()


def consumption(jobs: Sequence[Job], config: ChipConfig) -> Timeline:
    """How a program's words are taken at the earliest."""
    line = Timeline()
    body = start = 0
    for index, job in enumerate(jobs):
        follow(line, index, job, config)
        match job.fields["operation"]:
            case Operation.LOOP:
                body, start = index + 1, line.address
            case Operation.AGAIN:
                for _ in range(min(job.fields["turns_last"], MOST_TURNS - 1)):
                    line.address = start
                    for again in range(body, index + 1):
                        follow(line, again, jobs[again], config)
    line.take(DESCRIPTOR_WORDS, line.taken)
    return line


def follow(line: Timeline, index: int, job: Job, config: ChipConfig) -> None:
    """Take a descriptor and what follows it."""
    line.take(DESCRIPTOR_WORDS, line.taken)
    line.mark = index
    line.now += 1
    operation = job.fields["operation"]
    if operation in (Operation.LOOP, Operation.AGAIN):
        return
    line.taken = max(line.now, line.free)
    pixels = (job.fields["out_h_last"] + 1) * (job.fields["out_w_last"] + 1)
    match operation:
        case Operation.JOB:
            follow_array(line, job, pixels, config)
        case Operation.SOFTMAX:
            line.take(SOFTMAX_TABLE_WORDS, line.taken)
            line.free = line.now + 3 * pixels * (job.fields["inner_last"] + 1)
        case Operation.VECTOR:
            follow_vector(line, job, pixels * (job.fields["out_c_last"] + 1))


def follow_vector(line: Timeline, job: Job, elements: int) -> None:
    """A table at once; values as they are stored, an element a cycle."""
    words = 0 if job.payload is None else len(job.payload)
    function = job.fields["function"]
    spacing = elements // words if function is VectorFunction.LOAD else 1
    if words:
        line.take(words, line.taken, spacing)
    cycles = elements * (3 if function in THREE_CYCLES else 1)
    line.free = max(line.taken + cycles, line.now)


def follow_array(line: Timeline, job: Job, pixels: int, config: ChipConfig) -> None:
    """Groups, stripes and passes of a job of the array."""
    fields = job.fields
    form = fields.get("weight_format", WeightFormat.INT8)
    size = fields["stripe_pixels_last"] + 1
    lengths = [size] * fields["stripes_last"] + [pixels - size * fields["stripes_last"]]
    steps = 1 + fields.get("wide_in", 0)
    if fields["feed"] is Feed.WINDOW:
        steps *= min(fields["stride_w"], fields["window_cols"])
    turns = config.rows // config.requantizers * SCALE_TURNS.get(fields["drain"], 1)
    passes = (fields["rows_passes_last"] + 1) * (fields["cols_passes_last"] + 1)
    line.free = max(line.free, line.taken)

    begin, groups = 0, fields["groups_last"] + 1
    for group in range(groups):
        if group == WHOLE - 2 and groups > WHOLE:
            line.skip((groups - WHOLE) * (line.free - begin))
        if groups > WHOLE and WHOLE - 2 <= group < groups - 2:
            continue
        begin = line.free
        line.take(parameter_words(config.rows), line.begun)
        if fields.get("ones"):
            follow_ones(line, lengths * passes, steps, pixels * turns)
            continue
        tiles = [weight_words(tile, form) for tile in job.tiles[group]]
        follow_group(line, tiles, lengths, steps, turns)


def follow_ones(line: Timeline, lengths: Sequence[int], steps: int, drained: int) -> None:
    """A group whose tiles take no words: the loader hands them out one after another all the same.

    ``lengths``: pixels of each tile.  ``drained``: cycles of the drain.
    """
    line.now = max(line.now, line.shadow) + 1
    line.begun = max(line.free, line.now)
    line.free = line.begun + sum(lengths) * steps
    line.shadow = line.free - lengths[-1] * steps
    if len(lengths) > 1:  # the last one, when the last but one is in the array
        line.now = line.shadow - lengths[-2] * steps + 1
    line.free = max(line.free, line.begun + drained)


def follow_group(
    line: Timeline, tiles: Sequence[int], lengths: Sequence[int], steps: int, turns: int
) -> None:
    """Tiles of a group, once for each stripe.

    ``tiles``: words of each.  ``lengths``: pixels of each stripe.  ``steps``: cycles of a pixel.
    ``turns``: cycles of a finished pixel in the drain.
    """
    first, begin, start = True, 0, line.address
    for stripe, length in enumerate(lengths):
        if len(lengths) > WHOLE and stripe == WHOLE - 2:
            line.skip((len(lengths) - WHOLE) * (line.free - begin))
        if len(lengths) > WHOLE and WHOLE - 2 <= stripe < len(lengths) - 2:
            continue
        begin, line.address = line.free, start
        for at, words in enumerate(tiles):
            line.take(words, line.shadow)
            line.shadow = max(line.free, line.now)
            if first:
                line.begun = line.shadow
                first = False
            last = at == len(tiles) - 1
            line.free = line.shadow + length * (max(steps, turns) if last else steps)
