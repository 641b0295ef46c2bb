"""Golden model of the vector unit: one job, from activation banks to activation banks.

Elements of the output are numbered in the order rows, columns, channels.  Everything is computed
for all elements at once: of what a job reads, nothing may have been written by the same job.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.engine.curves import curve
from models.fixedpoint import IntArray, multiply_by_quantized_multiplier, wrap

__all__ = ["AS_THEY_ARE", "BINARY", "FUNCTIONS", "Level", "Place", "VectorJob", "run_vector"]

ROW, COLUMN, CHANNEL = range(3)
"""Axes of an element."""

Banks = NDArray[np.uint8]
"""``(banks, words, rows)``: the activation memory."""

AS_THEY_ARE = ("copy", "load", "table", "logistic", "tanh")
"""Functions whose results are neither shifted by a zero point nor clamped."""

BINARY = ("multiply", "add", "subtract", "sum", "difference", "maximum", "minimum")
"""Functions of two operands."""

FUNCTIONS = (*AS_THEY_ARE, "scale", *BINARY)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a tensor lies; see `hdl.engine.vector_descriptor.Place`."""

    base: int = 0
    row0: int = 0
    row_words: int = 0
    pixel_words: int = 0
    wide: int = 0
    channel: int = 0
    zero_point: int = 0


@dataclass(frozen=True, kw_only=True)
class Level:
    """One counter of a walk: ``last + 1`` turns, each ``step`` further along ``axis``."""

    last: int = 0
    axis: int = ROW
    step: int = 0


@dataclass(frozen=True, kw_only=True)
class VectorJob:
    """What to do; see `hdl.engine.vector_descriptor.VectorDescriptor`.

    ``a_levels`` has the innermost counter first; ``size`` is the output's ``(H, W, C)``.
    """

    function: str
    a: Place = field(default_factory=Place)
    a_levels: tuple[Level, Level, Level] = (Level(), Level(), Level())
    b: Place = field(default_factory=Place)
    b_moves: tuple[int, int, int] = (0, 0, 0)
    out: Place
    size: tuple[int, int, int]
    out_min: int = 0
    out_max: int = 0
    multiplier: int = 0
    shift: int = 0
    a_multiplier: int = 0
    a_shift: int = 0
    b_multiplier: int = 0
    b_shift: int = 0
    left_shift: int = 0

    @property
    def elements(self) -> int:
        """Elements of the output."""
        return int(np.prod(self.size))


def run_vector(job: VectorJob, banks: Banks, payload: bytes = b"") -> Banks:
    """Return the activation memory after a job.

    Parameters
    ----------
    job : VectorJob
        What to do.
    banks : (banks, words, rows) uint8
        The memory before.
    payload : bytes
        The table of ``table``, or what ``load`` stores.

    Raises
    ------
    ValueError
        When the function is unknown.
    IndexError
        When a coordinate leads out of the memory.
    """
    if job.function not in FUNCTIONS:
        raise ValueError(f"function must be one of {', '.join(FUNCTIONS)}, not {job.function!r}")
    result = compute(job, banks, payload)
    if job.function not in AS_THEY_ARE:
        result = np.clip(wrap(result + job.out.zero_point), job.out_min, job.out_max)
    after = banks.copy()
    places = locate(job.out, output_coordinates(job), banks)
    for plane, place in enumerate(places):
        after[place] = (result >> (8 * plane) & 0xFF).astype(np.uint8)
    return after


def compute(job: VectorJob, banks: Banks, payload: bytes) -> IntArray:
    """Results of all elements, less zero point and clamp."""
    if job.function == "load":
        raw = np.frombuffer(payload, np.uint8)[: job.elements << job.out.wide]
        return raw.view("<i2" if job.out.wide else "i1").astype(np.int64)
    a = fetch(job.a, level_coordinates(job), banks)
    if job.function == "copy":
        return a
    if job.function == "table":
        return np.frombuffer(payload, np.int8)[a & 0xFF].astype(np.int64)
    a = a - job.a.zero_point
    if job.function in BINARY:
        b = fetch(job.b, repeated_coordinates(job), banks) - job.b.zero_point
        return compute_binary(job, a, b)
    if job.function == "scale":
        negative = a < 0
        multiplier = np.where(negative, job.b_multiplier, job.multiplier)
        shift = np.where(negative, job.b_shift, job.shift)
        return multiply_by_quantized_multiplier(a, multiplier, shift)
    kind = "logistic" if job.function == "logistic" else "tanh"
    values = curve(a, kind=kind, multiplier=job.a_multiplier, shift=job.left_shift)
    return values.astype(np.int64)


def compute_binary(job: VectorJob, a: IntArray, b: IntArray) -> IntArray:
    """Results of two operands less their zero points."""
    if job.function == "multiply":
        return multiply_by_quantized_multiplier(wrap(a * b), job.multiplier, job.shift)
    if job.function in ("add", "subtract"):
        first = rescale(a, job.left_shift, job.a_multiplier, job.a_shift)
        second = rescale(b, job.left_shift, job.b_multiplier, job.b_shift)
        total = wrap(first + second if job.function == "add" else first - second)
        return multiply_by_quantized_multiplier(total, job.multiplier, job.shift)
    plain: dict[str, Callable[[IntArray, IntArray], IntArray]] = {
        "sum": np.add,
        "difference": np.subtract,
        "maximum": np.maximum,
        "minimum": np.minimum,
    }
    return plain[job.function](a, b)


def rescale(x: IntArray, left_shift: int, multiplier: int, shift: int) -> IntArray:
    """An operand of ADD or SUBTRACT on the common scale of both; the left shift wraps."""
    return multiply_by_quantized_multiplier(wrap(x << left_shift), multiplier, shift)


def output_coordinates(job: VectorJob) -> IntArray:
    """``(3, elements)``: row, column, channel of each element."""
    return np.indices(job.size).reshape(3, -1)


def repeated_coordinates(job: VectorJob) -> IntArray:
    """The same of the second operand, which stands still along some axes."""
    return output_coordinates(job) * np.array(job.b_moves)[:, np.newaxis]


def level_coordinates(job: VectorJob) -> IntArray:
    """The same of the first operand; the outermost counter begins again after its last turn."""
    coordinates = np.zeros((3, job.elements), np.int64)
    index = np.arange(job.elements)
    for level in job.a_levels:
        index, turn = np.divmod(index, level.last + 1)
        coordinates[level.axis] += turn * level.step
    return coordinates


def locate(place: Place, coordinates: IntArray, banks: Banks) -> list[tuple[IntArray, ...]]:
    """Bank, word and byte of every element; for int16 those of its low and of its high byte."""
    bank_count, words, rows = banks.shape
    row, channel = coordinates[ROW] + place.row0, coordinates[CHANNEL] + place.channel
    word = (
        place.base
        + row // bank_count * place.row_words
        + coordinates[COLUMN] * place.pixel_words
        + channel // rows * (1 + place.wide)
    )
    if np.any((word < 0) | (word + place.wide >= words)):
        raise IndexError(f"words {word.min()}..{word.max()} of {words}")
    return [(row % bank_count, word + plane, channel % rows) for plane in range(1 + place.wide)]


def fetch(place: Place, coordinates: IntArray, banks: Banks) -> IntArray:
    """Values of all elements, zero point included."""
    raw = [banks[where].astype(np.int64) for where in locate(place, coordinates, banks)]
    value = raw[0] + (raw[1] << 8) if place.wide else raw[0]
    return wrap(value, 16 if place.wide else 8)
