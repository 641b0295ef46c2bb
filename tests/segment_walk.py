"""Follows a compiled program word by word: is everything that is read still there?

Not a test: `test_power_points.py` imports this.  It reads descriptors out of the program's words
and knows nothing of the compiler but where inputs, outputs and variables lie.  Which words a job
touches is worked out pass by pass, as `hdl.engine.walker` and `hdl.engine.fetch` have it, and for
the vector unit by its golden model.
"""

from dataclasses import dataclass, field

import numpy as np

from hdl.config import ACT_BANKS
from hdl.engine.descriptor import DESCRIPTOR_WORDS, Drain, Feed, Operation
from mmsp.inspection.disassembly import decode
from models.engine import vector

LOST, WRITTEN = False, True
TWO_OPERANDS = (Drain.ADD, Drain.SUBTRACT, Drain.MULTIPLY)


class RetentionError(AssertionError):
    """A job touches what is switched off, or reads what has been lost."""


def positions(size, stride, padding, passes, step, width, limit):
    """Coordinates, within the tensor, of all taps of all passes along one axis."""
    taps = np.concatenate([at * step + np.arange(width(at)) for at in range(passes)])
    found = np.unique(np.arange(size)[:, None] * stride - padding + taps)
    return found[(found >= 0) & (found < limit)]


def words_at(place, rows, columns, blocks):
    """Bank and address of every word of some rows, columns and words of a pixel."""
    rows = np.asarray(rows)[:, None, None] + place["row0"]
    address = (
        place["base"] + rows // ACT_BANKS * place["row_words"]
        + np.asarray(columns)[:, None] * place["pixel_words"] + np.asarray(blocks)
    )  # fmt: skip
    return np.broadcast_to(rows % ACT_BANKS, address.shape).ravel(), address.ravel()


def array_reads(job, config):
    """What the multiplier array reads."""
    planes = 1 + job["wide_in"]
    chunks = -(-config.rows // config.lanes)
    in_w, blocks = job["in_w"], np.arange(planes * (job["inner_last"] // chunks + 1))
    heights, widths = [1] * (job["rows_passes_last"] + 1), [1] * (job["cols_passes_last"] + 1)
    packed = job["feed"] == Feed.PACKED
    if packed:
        total = job["inner_last"] * job["packed_lanes"] + job["lanes_last"]
        heights, in_w = [-(-total // job["segment"])], 1 << 20
    if job["feed"] == Feed.WINDOW:
        heights = [job["window_rows"]] * job["rows_passes_last"] + [job["window_rows_last"]]
        widths = [job["window_cols"]] * job["cols_passes_last"] + [job["window_cols_last"]]
        blocks = np.arange(planes * (job["groups_last"] + 1))
    rows = positions(
        job["out_h_last"] + 1, job["stride_h"], job["pad_h"], len(heights), job["row_step"],
        lambda at: heights[at], job["in_h"],
    )  # fmt: skip
    if packed:  # the words of the first and of the last byte of a segment
        left = np.arange(job["out_w_last"] + 1)[:, None] * job["stride_w"] - job["pad_w"]
        left = left + np.arange(len(widths)) * job["col_step"]
        ends = np.concatenate([left, left + job["segment"] - 1], axis=None)
        columns = np.unique(ends // config.rows)
        columns = columns[(columns >= 0) & (columns < job["a"]["row_words"])]
        return [words_at(job["a"] | {"pixel_words": 1}, rows, columns, [0])]
    columns = positions(
        job["out_w_last"] + 1, job["stride_w"], job["pad_w"], len(widths), job["col_step"],
        lambda at: widths[at], in_w,
    )  # fmt: skip
    names = ("a", "b") if job["drain"] in TWO_OPERANDS else ("a",)
    return [
        words_at(job[name], rows[:1] * 0 if job[name]["one_row"] else rows, columns, blocks)
        for name in names
    ]


def output_words(job, row_step, blocks):
    """What the array or the serial path writes."""
    place = {
        "base": job["out_base"], "row0": job["out_row0"], "row_words": job["out_row_words"],
        "pixel_words": job["out_pixel_step"],
    }  # fmt: skip
    rows = np.arange(job["out_h_last"] + 1) * row_step
    return words_at(place, rows, np.arange(job["out_w_last"] + 1), np.arange(blocks))


def vector_words(fields, config):
    """What a job of the vector unit reads and writes."""
    levels = tuple(
        vector.Level(last=level["last"], axis=level["axis"].value, step=level["step"])
        for level in (fields["a_levels"][index] for index in range(3))
    )
    job = vector.VectorJob(
        function=fields["function"].name.lower(),
        a=vector.Place(**fields["a"]), b=vector.Place(**fields["b"]),
        out=vector.Place(**fields["out"]), a_levels=levels,
        b_moves=tuple(fields["b_moves"][axis] for axis in range(3)),
        size=tuple(fields[f"out_{axis}_last"] + 1 for axis in "hwc"),
    )  # fmt: skip
    banks = np.empty((ACT_BANKS, config.bank_words, config.rows), np.uint8)
    reads = []
    if job.function != "load":
        reads += vector.locate(job.a, vector.level_coordinates(job), banks)
    if job.function in vector.BINARY:
        reads += vector.locate(job.b, vector.repeated_coordinates(job), banks)
    writes = vector.locate(job.out, vector.output_coordinates(job), banks)
    return [place[:2] for place in reads], [place[:2] for place in writes]


def touched(job, config):
    """Words that a job reads, and that it writes: lists of (banks, addresses)."""
    match job["operation"]:
        case Operation.JOB:
            blocks = (job["groups_last"] + 1) << job["wide_out"]
            return array_reads(job, config), [output_words(job, job["out_row_step"], blocks)]
        case Operation.SOFTMAX:
            blocks = job["inner_last"] // config.rows + 1
            rows, columns = np.arange(job["out_h_last"] + 1), np.arange(job["out_w_last"] + 1)
            source = words_at(job["a"], rows, columns, np.arange(blocks))
            return [source], [output_words(job, 1, blocks)]
        case Operation.VECTOR:
            return vector_words(job, config)
    return [], []


def moved(job, turn):
    """A job in a later turn of a loop."""
    changed = {
        name: job[name] | {"base": job[name]["base"] + turn * job[f"{name}_step"]}
        for name in ("a", "b", "out")
        if name in job
    }
    if "out_base" in job:
        changed["out_base"] = job["out_base"] + turn * job["out_step"]
    return job | changed


@dataclass
class Walk:
    """The activation memory while programs run: what has been written and not been lost since.

    ``defined``: ``(banks, words)``, a word's contents are those that somebody wrote.
    """

    config: object
    defined: np.ndarray = field(init=False)
    retained: int = 0
    off: int = 0
    """How often a segment was retained, or off, while a job ran."""

    def __post_init__(self):
        self.defined = np.full((ACT_BANKS, self.config.bank_words), LOST)
        self.segment = np.arange(self.config.bank_words) // self.config.segment_words

    def chosen(self, mask):
        """Words of the segments of a mask."""
        return (mask >> self.segment & 1).astype(bool)

    def lose(self, mask):
        """Switch off all segments that are not in a mask."""
        self.defined[:, ~self.chosen(mask)] = LOST

    def write(self, place):
        """The host writes a tensor."""
        self.defined[place.addresses()] = WRITTEN

    def require(self, place, what):
        """A tensor must be there."""
        if not self.defined[place.addresses()].all():
            raise RetentionError(f"{what} was lost")

    def execute(self, jobs):
        """Run a program: descriptors in order, loops unrolled, END last."""
        at, turn, body = 0, 0, 0
        while True:
            job = jobs[at]
            self.lose(job["live"])
            match job["operation"]:
                case Operation.END:
                    return
                case Operation.LOOP:
                    body, turn = at, 0
                case Operation.AGAIN:
                    turn += 1
                    if turn <= job["turns_last"]:
                        at = body
                    else:
                        turn = 0
                case _:
                    self.run(moved(job, turn), at)
            at += 1

    def run(self, job, index):
        """One job."""
        used, live = job["used"], job["live"]
        if used & ~live:
            raise RetentionError(f"job {index} uses {used:#b} of which only {live:#b} is live")
        on, count = self.chosen(used), self.config.activation_segments
        self.retained += (live & ~used).bit_count()
        self.off += count - live.bit_count()
        reads, writes = touched(job, self.config)
        assert writes
        for _, address in (*reads, *writes):
            if not on[address].all():
                raise RetentionError(f"job {index} touches a segment that is not in {used:#b}")
        for bank, address in reads:
            if not self.defined[bank, address].all():
                raise RetentionError(f"job {index} reads what was lost or never written")
        for bank, address in writes:
            self.defined[bank, address] = WRITTEN


def walk(program, jobs=None, reset=None):
    """Two runs of a network, as the host sees them, from programming on; the walk afterwards.

    ``jobs``: descriptors that take the place of the program's own.
    """
    graph, plan = program.graph, program.plan
    jobs = descriptors(program) if jobs is None else jobs
    memory = Walk(program.config)
    place = {name: plan.placements[program.storage[name]] for name in graph.tensors
             if program.storage[name] in plan.placements}  # fmt: skip
    if program.reset is not None:
        memory.execute(reset_descriptors(program) if reset is None else reset)
        memory.lose(program.held)
    for _ in range(2):
        for name in graph.inputs:
            memory.write(place[name])
        memory.lose(program.held)
        memory.execute(jobs)
        memory.lose(program.held)
        for name in (*graph.outputs, *graph.variables):
            memory.require(place[name], name)
    return memory


def descriptors(program):
    """Of the program's words, END included."""
    ends = [*program.job_offsets, len(program.words) - DESCRIPTOR_WORDS]
    return [decode(program.words, at, len(program.words)) for at in ends]


def reset_descriptors(program):
    """Of the program that gives variables their values: LOAD after LOAD."""
    jobs, at = [], 0
    while not jobs or jobs[-1]["operation"] != Operation.END:
        jobs.append(decode(program.reset, at, len(program.reset)))
        at += DESCRIPTOR_WORDS + jobs[-1].get("payload_words", 0)
    assert at == len(program.reset)
    return jobs
