"""Reads jobs back out of the words of a program."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdl.config import ChipConfig
from hdl.engine.descriptor import (
    DESCRIPTOR_WORDS,
    SOFTMAX_TABLE_WORDS,
    WAKE_UNIT,
    WORD_BITS,
    Drain,
    Feed,
    Operation,
    Reduction,
    WeightFormat,
    parameter_words,
)
from mmsp.compiler.lower.feeds import HISTORY
from mmsp.compiler.lower.jobs import decode_descriptor
from mmsp.description import Description
from mmsp.errors import InputError
from mmsp.image import Image

__all__ = ["DecodedJob", "disassemble"]

TILES = {WeightFormat.INT16: (3, 8), WeightFormat.INT4: (1, 4), WeightFormat.INT2: (1, 2)}
"""Tiles a pass and bits of their elements, by the format of the weights; one of int8 otherwise."""

TWO_OPERANDS = (Drain.ADD, Drain.SUBTRACT, Drain.MULTIPLY)


@dataclass(frozen=True, kw_only=True)
class DecodedJob:
    """One job as the program has it; words of everything that follows its descriptor.

    ``fields`` are those of the descriptor in the layout of its operation, enumerations as such;
    ``table_words`` is what follows a descriptor of softmax or the vector unit.
    """

    index: int
    offset: int
    layer: str
    op: str
    fields: dict[str, Any]
    parameter_words: int
    table_words: int
    weight_words: int
    rows: int

    @property
    def words(self) -> int:
        """All words of the job."""
        return DESCRIPTOR_WORDS + self.parameter_words + self.table_words + self.weight_words

    @property
    def groups(self) -> int:
        """Groups of output channels."""
        return self.fields["groups_last"] + 1

    @property
    def passes(self) -> tuple[int, int, int]:
        """Passes over kernel rows, over kernel columns, and within a kernel position."""
        names = ("rows_passes_last", "cols_passes_last", "inner_last")
        rows, columns, inner = (self.fields[name] + 1 for name in names)
        return rows, columns, inner

    @property
    def stripes(self) -> int:
        """Stripes that the output pixels are cut into."""
        return self.fields["stripes_last"] + 1

    @property
    def weight_words_read(self) -> int:
        """Words of weights that come out of the MRAM, repeats included."""
        refetched = self.weight_words and self.fields["refetch"]
        return self.weight_words * (self.stripes if refetched else 1)

    @property
    def kind(self) -> str:
        """How the job feeds, reduces and drains."""
        fields = self.fields
        if fields["operation"] == Operation.SOFTMAX:
            return "softmax"
        how = "" if fields["drain"] == Drain.SCALE else " " + fields["drain"].name.lower()
        if fields["reduction"] == Reduction.MAX:
            how = " max"
        return fields["feed"].name.lower() + how

    def lines(self) -> tuple[str, str]:
        """Two lines about it: what it computes, and how."""
        f = self.fields
        if f["operation"] in (Operation.LOOP, Operation.AGAIN):
            what = {Operation.LOOP: "what follows", Operation.AGAIN: "once more"}[f["operation"]]
            kept = "kept in the cache" if f["keep"] else "fetched in every turn"
            return f"{what}, {count(f['turns_last'] + 1, 'turn')} in all", kept
        if f["operation"] == Operation.VECTOR:
            return self.vector_lines()
        out = f"{f['out_h_last'] + 1} x {f['out_w_last'] + 1}"
        if f["operation"] == Operation.SOFTMAX:
            channels = f["inner_last"] + 1
            return (
                f"softmax of {out} pixels, {channels} channels",
                f"table of {self.table_words} words",
            )
        packed = f["feed"] == Feed.PACKED
        unit = " bytes" if packed else ""
        source = f"{f['in_h']} x {f['in_w']}{unit}"
        first = (
            f"{self.kind}: {source} at {place(f['a'])}"
            + (f" and {place(f['b'])}" if f["drain"] in TWO_OPERANDS else "")
            + f" -> {out} at {f['out_base']}+{f['out_row0']}"
        )
        if (f["stride_h"], f["stride_w"]) != (1, 1):
            first += f", stride {f['stride_h']}, {f['stride_w']}{unit}"
        if f["pad_h"] or f["pad_w"]:
            first += f", pad {f['pad_h']}, {f['pad_w']}{unit}"
        second = f"{count(self.groups, 'group')} of {self.rows} x "
        second += f"{count(self.stripes, 'stripe')} of {f['stripe_pixels_last'] + 1} x "
        second += f"{' x '.join(map(str, self.passes))} passes, "
        if f["ones"]:
            return first, second + "no weights"
        second += f"{self.weight_words:,} words of weights"
        if f["weight_format"] != WeightFormat.INT8:
            second += f" in {f['weight_format'].name.lower()}"
        if f["refetch"]:
            second += f" read {self.stripes} times"
        return first, second

    def power_line(self) -> str:
        """One line: segments of the activation memory, and when the MRAM wakes for what follows."""
        used, kept = (segments(self.fields[name]) for name in ("used", "live"))
        mark = self.fields["wake_mark"] * WAKE_UNIT
        return f"segments {used} used, {kept} kept, MRAM wakes at {mark} words"

    def vector_lines(self) -> tuple[str, str]:
        """The same for a job of the vector unit."""
        f = self.fields
        size = " x ".join(str(f[f"out_{axis}_last"] + 1) for axis in "hwc")
        name = f["function"].name
        read = [operand for operand in "ab" if f[operand]["row_words"]]
        source = " and ".join(place(f[operand]) for operand in read)
        first = f"vector {name.lower()}: {source + ' ' if source else ''}-> {size} at "
        return first + place(f["out"]), (
            f"{count(self.table_words, 'word')} behind the descriptor"
            if self.table_words
            else f"{f['a_levels'][0]['last'] + 1} elements in a run"
        )


def place(operand: dict[str, int]) -> str:
    """First word and first row of an operand."""
    return f"{operand['base']}+{operand['row0']}"


def segments(mask: int) -> str:
    """Numbers of the bits of a mask."""
    return ",".join(str(k) for k in range(mask.bit_length()) if mask >> k & 1) or "none"


def count(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def disassemble(image: Image) -> list[DecodedJob]:
    """Decode all jobs of a program, from its words.

    Raises
    ------
    InputError
        When a job is not where the image says, or its length is not what its descriptor asks for.
    """
    return list(decode_jobs(image.program_words, image.description, image.config))


def decode_jobs(
    words: NDArray[np.uint8], description: Description, config: ChipConfig
) -> Sequence[DecodedJob]:
    """Decode the jobs in ``words``, which must be followed by END."""
    starts = [job.offset for job in description.jobs]
    ends = [*starts[1:], len(words) - DESCRIPTOR_WORDS]
    jobs = []
    for index, (job, end) in enumerate(zip(description.jobs, ends, strict=True)):
        fields = decode(words, job.offset, end)
        if fields["operation"] == Operation.END:
            raise InputError(f"job {index} of the program, at word {job.offset}, is END")
        parameters, table, weights = payload_words(fields, config)
        asked, there = DESCRIPTOR_WORDS + parameters + table + weights, end - job.offset
        if asked != there:
            raise InputError(
                f"job {index} of the program has {there} words from word {job.offset}, and its "
                f"descriptor asks for {asked}"
            )
        layer = description.layers[job.layer]
        jobs.append(
            DecodedJob(
                index=index,
                offset=job.offset,
                layer=layer.name,
                op=layer.op,
                fields=fields,
                parameter_words=parameters,
                table_words=table,
                weight_words=weights,
                rows=config.rows,
            )
        )
    last = decode(words, ends[-1], len(words))
    if last["operation"] != Operation.END:
        raise InputError(f"the program does not end with END, but {last['operation'].name}")
    return jobs


def decode(words: NDArray[np.uint8], offset: int, end: int) -> dict[str, Any]:
    """Fields of the descriptor at ``offset``."""
    if offset < 0 or end - offset < DESCRIPTOR_WORDS:
        raise InputError(
            f"the program has {max(end - offset, 0)} words at word {offset}, and a descriptor "
            f"takes {DESCRIPTOR_WORDS}"
        )
    try:
        descriptor = decode_descriptor(words[offset : offset + DESCRIPTOR_WORDS])
        return plain(descriptor)
    except ValueError as error:
        raise InputError(f"the descriptor at word {offset} of the program: {error}") from None


def payload_words(fields: dict[str, Any], config: ChipConfig) -> tuple[int, int, int]:
    """Words of parameters, of a table and of weights that a descriptor asks for."""
    if fields["operation"] == Operation.SOFTMAX:
        return 0, SOFTMAX_TABLE_WORDS, 0
    if fields["operation"] == Operation.VECTOR:
        return 0, fields["payload_words"], 0
    if fields["operation"] in (Operation.LOOP, Operation.AGAIN):
        return 0, 0, 0
    groups = fields["groups_last"] + 1
    tiles = 0 if fields["ones"] else tile_words(fields, config)
    return groups * parameter_words(config.rows), 0, groups * tiles


def tile_words(fields: dict[str, Any], config: ChipConfig) -> int:
    """Words of one group's tiles, each of which takes whole words."""
    inner = fields["inner_last"] + 1
    match fields["feed"]:
        case Feed.WINDOW:
            lanes = [config.window_rows * HISTORY] * inner
        case Feed.PACKED:
            lanes = [fields["packed_lanes"]] * (inner - 1) + [fields["lanes_last"]]
        case Feed.DENSE:
            # A word of activations is cut into passes of all lanes and one of the rest.
            full, rest = divmod(config.rows, config.lanes)
            block = [config.lanes] * full + [rest] * bool(rest)
            lanes = [block[at % len(block)] for at in range(inner - 1)] + [fields["lanes_last"]]
        case feed:
            raise InputError(f"feed {feed!r} of the program has no name")
    tiles, bits = TILES.get(fields["weight_format"], (1, 8))
    words = tiles * sum(-(-count * config.rows * bits // WORD_BITS) for count in lanes)
    return words * (fields["rows_passes_last"] + 1) * (fields["cols_passes_last"] + 1)


def plain(value: Any) -> Any:
    """A field's value: an integer, an enumeration, or the members of a structure or array."""
    shape = getattr(value, "shape", None)
    if shape is None:
        return value
    return {name: plain(value[name]) for name, _ in shape()}
