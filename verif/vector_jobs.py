"""Random jobs for the vector unit, their descriptors, and what they find in memory."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from hdl.config import MRAM_WORD_BYTES, ChipConfig
from hdl.engine.descriptor import Operation
from hdl.engine.vector_descriptor import Axis, VectorDescriptor, VectorFunction
from models.engine.vector import (
    CHANNEL,
    COLUMN,
    ROW,
    Level,
    Place,
    VectorJob,
    level_coordinates,
    locate,
    output_coordinates,
    repeated_coordinates,
)
from models.fixedpoint import IntArray
from verif.bench import log_uniform
from verif.vector_numbers import random_numbers

__all__ = ["KINDS", "Stimulus", "describe", "random_job"]

OVERWRITING = ("in place", "down")
"""Walks whose output lies upon the first operand."""

KINDS = ("natural", "repeated", "strided", "mirrored", "transposed", "reshaped", *OVERWRITING)
"""How the first operand is walked."""

LARGEST_SIZES = (6, 7, 50)
MOST_ELEMENTS = 300
LARGEST_STEP = 3

END_PROBABILITY = 0.1
"""Of the smallest or the largest value of a type."""

FAR_PROBABILITY = 0.2
FAR_BITS = 11
"""Of a first row or channel that is far away, and how far at most."""


@dataclass(frozen=True)
class Stimulus:
    """A job, what follows its descriptor, and the name of its walk."""

    job: VectorJob
    payload: bytes
    kind: str

    @property
    def words(self) -> list[int]:
        """The payload as 128-bit words."""
        padded = self.payload + bytes(-len(self.payload) % MRAM_WORD_BYTES)
        return [
            int.from_bytes(padded[at : at + MRAM_WORD_BYTES], "little")
            for at in range(0, len(padded), MRAM_WORD_BYTES)
        ]


def describe(stimulus: Stimulus) -> int:
    """The descriptor's bits."""
    job = stimulus.job
    fields = asdict(job) | {
        "operation": Operation.VECTOR,
        "function": VectorFunction[job.function.upper()],
        "payload_words": len(stimulus.words),
        "a_levels": [vars(level) | {"axis": Axis(level.axis)} for level in job.a_levels],
        "b_moves": list(job.b_moves),
        **dict(
            zip(("out_h_last", "out_w_last", "out_c_last"), np.array(job.size) - 1, strict=True)
        ),
    }
    del fields["size"]
    return VectorDescriptor.const(fields).as_value().value


def random_job(
    rng: np.random.Generator,
    config: ChipConfig,
    banks: NDArray[np.uint8],
    function: str,
    kind: str,
    widths: int,
) -> Stimulus:
    """Draw a job, and write operands of log-uniform magnitudes into ``banks``.

    The low bits of ``widths`` say which of ``a``, ``b`` and the output are int16, as far as the
    function and the kind of walk leave a choice.
    """
    while True:
        stimulus = draw(rng, config, function, kind, widths)
        try:
            fill(rng, stimulus, banks)
        except IndexError:  # it does not fit the memory
            continue
        return stimulus


def draw(
    rng: np.random.Generator, config: ChipConfig, function: str, kind: str, widths: int
) -> Stimulus:
    """Any geometry, which may be too large."""
    size = random_size(rng, config)
    wide_in, wide_b, wide_out = possible_widths(function, kind, widths)
    levels = random_levels(rng, kind, size)
    third = config.bank_words // 3
    probe = VectorJob(function=function, a_levels=levels, out=Place(), size=size)
    out = random_place(rng, config, output_coordinates(probe), wide_out, 2 * third)
    if kind == "in place":
        a = Place(**vars(out) | {"zero_point": 0})
    elif kind == "down":
        out, a = further_down(rng, out, size)
    else:
        a = random_place(rng, config, level_coordinates(probe), wide_in, 0)
    moves = (int(rng.integers(2)), int(rng.integers(2)), int(rng.integers(2)))
    moving = VectorJob(function=function, b_moves=moves, out=Place(), size=size)
    b = random_place(rng, config, repeated_coordinates(moving), wide_b, third)
    elements = int(np.prod(size))
    payload = {"load": elements << wide_out, "table": 256}.get(function, 0)
    return Stimulus(
        job=VectorJob(
            function=function,
            a_levels=levels,
            b_moves=moves,
            size=size,
            **random_numbers(rng, function, a, b, out),
        ),
        payload=rng.bytes(payload),
        kind=kind,
    )


def random_size(rng: np.random.Generator, config: ChipConfig) -> tuple[int, int, int]:
    """Log-uniform; whole words now and then."""
    while True:
        height, width, channels = (int(2 ** rng.uniform(0, np.log2(n + 1))) for n in LARGEST_SIZES)
        if rng.integers(4) == 0:
            channels = -(-channels // config.rows) * config.rows
        if height * width * channels <= MOST_ELEMENTS:
            return height, width, channels


def possible_widths(function: str, kind: str, widths: int) -> tuple[int, int, int]:
    """Whether ``a``, ``b`` and the output are int16."""
    if function in ("logistic", "tanh"):
        return 1, 0, 1
    if function == "table":
        return 0, 0, 0
    wide_in, wide_b, wide_out = (widths >> i & 1 for i in range(3))
    same = function == "copy" or kind in OVERWRITING
    return wide_in, wide_b, wide_in if same else wide_out


def random_levels(
    rng: np.random.Generator, kind: str, size: tuple[int, int, int]
) -> tuple[Level, Level, Level]:
    """A walk of the given kind over as many elements as ``size`` has, or more."""
    order, lasts = [CHANNEL, COLUMN, ROW], [n - 1 for n in reversed(size)]
    steps = [1, 1, 1]
    if kind == "repeated":
        steps = rng.integers(0, 2, 3).tolist()
    elif kind in ("strided", "mirrored"):
        low = 1 if kind == "strided" else -LARGEST_STEP
        steps = rng.integers(low, LARGEST_STEP + 1, 3).tolist()
    elif kind == "transposed":
        order = rng.permutation(3).tolist()
    elif kind == "reshaped":
        # Any two counters, perhaps along one axis, and a third one for what is left.
        order = rng.integers(0, 3, 3).tolist()
        turns = [int(2 ** rng.uniform(0, 4)) for _ in range(2)]
        rest = -(-int(np.prod(size)) // (turns[0] * turns[1]))
        lasts = [turn - 1 for turn in (*turns, rest)]
    return tuple(
        Level(last=last, axis=axis, step=step)
        for last, axis, step in zip(lasts, order, steps, strict=True)
    )  # type: ignore[return-value]


def random_place(
    rng: np.random.Generator, config: ChipConfig, coordinates: IntArray, wide: int, base: int
) -> Place:
    """A place for these coordinates, with gaps, and with room for those below 0."""
    low, high = coordinates.min(axis=1), coordinates.max(axis=1)
    first_channel = first_coordinate(rng) - int(low[CHANNEL])
    blocks = (first_channel + int(high[CHANNEL])) // config.rows + 1
    pixel_words = (blocks << wide) + int(rng.integers(0, 3))
    before = -int(low[COLUMN])
    row_words = (before + int(high[COLUMN]) + 1) * pixel_words + int(rng.integers(0, 4))
    return Place(
        base=base + before * pixel_words + int(rng.integers(0, 30)),
        row0=first_coordinate(rng) - int(low[ROW]),
        row_words=row_words,
        pixel_words=pixel_words,
        wide=wide,
        channel=first_channel,
    )


def first_coordinate(rng: np.random.Generator) -> int:
    """Mostly within the first two words."""
    if rng.random() < FAR_PROBABILITY:
        return int(2 ** rng.uniform(0, FAR_BITS))
    return int(rng.integers(0, 9))


def further_down(
    rng: np.random.Generator, out: Place, size: tuple[int, int, int]
) -> tuple[Place, Place]:
    """An output, and an operand some rows or pixels behind it: the job moves a tensor down."""
    rows, pixels = int(rng.integers(0, 3)), int(rng.integers(0, 3))
    row_words = (size[COLUMN] + pixels) * out.pixel_words + int(rng.integers(0, 3))
    out = Place(**vars(out) | {"row_words": row_words})
    moved = {"base": out.base + pixels * out.pixel_words, "row0": out.row0 + rows}
    return out, Place(**vars(out) | moved)


def fill(rng: np.random.Generator, stimulus: Stimulus, banks: NDArray[np.uint8]) -> None:
    """Give both operands values, after a look at whether each stays in its third of the memory."""
    job, third = stimulus.job, banks.shape[1] // 3
    operands = (
        (job.a, level_coordinates(job), 2 if stimulus.kind in OVERWRITING else 0),
        (job.b, repeated_coordinates(job), 1),
        (job.out, output_coordinates(job), 2),
    )
    places = [locate(place, coordinates, banks) for place, coordinates, _ in operands]
    for planes, (_, _, part) in zip(places, operands, strict=True):
        for _, words, _ in planes:
            if np.any(words // third != part):
                raise IndexError("a tensor leaves its part of the memory")
    for planes, (place, _, _) in zip(places[:2], operands[:2], strict=True):
        bits = 16 if place.wide else 8
        values = log_uniform(rng, bits=bits, size=job.elements)
        ends = rng.random(job.elements) < END_PROBABILITY
        values = np.where(ends, ((1 << (bits - 1)) - 1) ^ -rng.integers(0, 2, job.elements), values)
        for plane, where in enumerate(planes):
            banks[where] = (values >> 8 * plane & 0xFF).astype(np.uint8)
