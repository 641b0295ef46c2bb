"""What the host knows of a compiled network: tensors at its ends, memory plan, layers and jobs.

It is the part of an image that the chip does not need: names, quantisation and placements, so that
a file alone is enough to feed the chip, to read its outputs and to say what its program does.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hdl.config import ACT_BANKS, ChipConfig
from hdl.engine.descriptor import Operation
from mmsp.checked_json import COUNT_LIMIT, Fields, integer, rows, text
from mmsp.compiler.lower.jobs import Job
from mmsp.compiler.placement import Placement
from mmsp.compiler.power import placement_segments
from mmsp.compiler.program import Program, layer_macs
from mmsp.errors import InputError
from mmsp.ports import Port, graph_ports, make_port, port_to_json, read_port

__all__ = [
    "Description",
    "JobEntry",
    "LayerEntry",
    "Port",
    "StoredTensor",
    "describe",
    "graph_ports",
]

MOST_TURNS = 1 << 12
"""Turns that a LOOP descriptor can ask for."""


@dataclass(frozen=True, kw_only=True)
class StoredTensor:
    """A tensor in the activation memory, alive from step ``first`` to step ``last``.

    Steps count the layers that have jobs; -1 is before the first of them.
    """

    placement: Placement
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class LayerEntry:
    """A layer of the network."""

    name: str
    op: str
    macs: int


@dataclass(frozen=True, kw_only=True)
class JobEntry:
    """A job: its first word in the program, and the index of its layer.

    ``turns`` is 0 for a job that runs; how often the loop runs that a LOOP descriptor begins, and
    the same, negative, for the AGAIN that ends it.
    """

    offset: int
    layer: int
    turns: int = 0


@dataclass(frozen=True, kw_only=True)
class Description:
    """Everything about a program besides its words."""

    model: str
    inputs: list[Port]
    outputs: list[Port]
    tensors: dict[str, StoredTensor]
    layers: list[LayerEntry]
    jobs: list[JobEntry]
    footprint: int
    """Segments of the activation memory that hold any tensor, a bit each."""
    held: int
    """Those of inputs, outputs and variables, whose contents stay between runs."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(layer.macs for layer in self.layers)

    @property
    def executed(self) -> list[JobEntry]:
        """Jobs in the order in which they run, those of a loop once in every turn."""
        order: list[JobEntry] = []
        start = 0
        for job in self.jobs:
            if job.turns > 0:
                start = len(order)
            elif job.turns < 0:
                order.extend(order[start:] * (-job.turns - 1))
            else:
                order.append(job)
        return order

    @property
    def steps(self) -> list[int]:
        """Index of the layer of each step of the memory plan."""
        return list(dict.fromkeys(job.layer for job in self.jobs))

    def to_json(self) -> dict[str, Any]:
        """Plain values, the inverse of `from_json`."""
        return {
            "model": self.model,
            "inputs": [port_to_json(port) for port in self.inputs],
            "outputs": [port_to_json(port) for port in self.outputs],
            "tensors": [
                {
                    "name": name,
                    "pixels": list(tensor.placement.pixels),
                    "packed": tensor.placement.packed,
                    "wide": tensor.placement.wide,
                    "base": tensor.placement.base,
                    "row0": tensor.placement.row0,
                    "first": tensor.first,
                    "last": tensor.last,
                }
                for name, tensor in self.tensors.items()
            ],
            "layers": [[layer.name, layer.op, layer.macs] for layer in self.layers],
            "jobs": [[job.offset, job.layer, job.turns] for job in self.jobs],
            "footprint": self.footprint,
            "held": self.held,
        }

    @classmethod
    def from_json(cls, value: Any, config: ChipConfig, words: int) -> "Description":
        """Read what `to_json` made, and check all of it.

        Parameters
        ----------
        value : object
            Parsed JSON.
        config : ChipConfig
            Whose activation memory the tensors must fit.
        words : int
            Length of the program, which the jobs' offsets must not exceed.

        Raises
        ------
        InputError
            When a field is missing or has a value that no compiler writes.
        """
        root = Fields(value, "description")
        tensors = {}
        for entry in root.list("tensors"):
            name, tensor = read_tensor(Fields(entry, "tensor"), config)
            tensors[name] = tensor
        layers = [
            LayerEntry(name=text(name), op=text(op), macs=integer(macs, "macs", 0, 1 << 60))
            for name, op, macs in rows(root.list("layers"), 3, "layers")
        ]
        jobs = [
            JobEntry(
                offset=integer(offset, "job offset", 0, words - 1),
                layer=integer(layer, "job layer", 0, len(layers) - 1),
                turns=integer(turns, "job turns", -MOST_TURNS, MOST_TURNS),
            )
            for offset, layer, turns in rows(root.list("jobs"), 3, "jobs")
        ]
        ends = [job.turns for job in jobs if job.turns]
        if any(turns < 0 for turns in ends[::2]) or [-n for n in ends[::2]] != ends[1::2]:
            raise InputError("the image's loops do not begin and end in pairs")
        offsets = [job.offset for job in jobs]
        if offsets != sorted(set(offsets)):
            raise InputError("the image's job offsets do not ascend")
        placements = {name: tensor.placement for name, tensor in tensors.items()}
        inputs, outputs = (
            [read_port(Fields(port, what), placements) for port in root.list(f"{what}s")]
            for what in ("input", "output")
        )
        everything = (1 << config.activation_segments) - 1
        footprint, held = (root.integer(name, 0, everything) for name in ("footprint", "held"))
        ends = [placements[port.tensor] for port in (*inputs, *outputs)]
        check_segments("footprint", footprint, placements.values(), config)
        check_segments("held", held, ends, config)
        if held & ~footprint:
            raise InputError(f"the image holds segments {held:#b} and uses only {footprint:#b}")
        return cls(
            model=root.text("model"),
            inputs=inputs,
            outputs=outputs,
            tensors=tensors,
            layers=layers,
            jobs=jobs,
            footprint=footprint,
            held=held,
        )


def check_segments(
    name: str, segments: int, placements: Iterable[Placement], config: ChipConfig
) -> None:
    """Require that segments of the activation memory, a bit each, contain tensors."""
    for placement in placements:
        needed = placement_segments(placement, config)
        if needed & ~segments:
            raise InputError(
                f"{name} in the image has segments {segments:#b}, and a tensor lies in {needed:#b}"
            )


def describe(program: Program) -> Description:
    """Describe a compiled program."""
    graph = program.graph
    return Description(
        model=graph.name,
        inputs=[make_port(graph, name, "input", program.storage[name]) for name in graph.inputs],
        outputs=[make_port(graph, name, "output", program.storage[name]) for name in graph.outputs],
        tensors={
            name: StoredTensor(placement=placement, first=life.first, last=life.last)
            for name, placement in program.plan.placements.items()
            for life in (program.plan.lifetimes[name],)
        },
        layers=[
            LayerEntry(name=layer.name, op=layer.op, macs=layer_macs(layer, graph))
            for layer in program.layers
        ],
        jobs=[
            JobEntry(offset=offset, layer=job.layer, turns=loop_turns(job))
            for offset, job in zip(program.job_offsets, program.jobs, strict=True)
        ],
        footprint=program.footprint,
        held=program.held,
    )


def loop_turns(job: Job) -> int:
    """`JobEntry.turns` of a job."""
    sign = {Operation.LOOP: 1, Operation.AGAIN: -1}.get(job.fields["operation"], 0)
    return sign * (job.fields.get("turns_last", 0) + 1)


def read_tensor(fields: Fields, config: ChipConfig) -> tuple[str, StoredTensor]:
    """Read a stored tensor and check that it lies within the activation memory."""
    name, pixels = fields.text("name"), fields.shape("pixels")
    if len(pixels) != 3:  # noqa: PLR2004  (height, width, channels)
        raise InputError(f"tensor {name!r} of the image has pixels {pixels}, not three sizes")
    packed, wide = fields.flag("packed"), fields.flag("wide")
    if packed and wide:
        raise InputError(f"tensor {name!r} of the image is packed and int16, which never meet")
    placement = Placement(
        pixels=pixels,
        word_bytes=config.rows,
        packed=packed,
        wide=wide,
        base=fields.integer("base", 0, config.bank_words - 1),
        row0=fields.integer("row0", 0, ACT_BANKS - 1),
    )
    if placement.base + placement.words > config.bank_words:
        raise InputError(
            f"tensor {name!r} of the image ends at word {placement.base + placement.words} of a "
            f"bank, and configuration {config.name} has {config.bank_words}"
        )
    first = fields.integer("first", -1, COUNT_LIMIT)
    last = fields.integer("last", first, COUNT_LIMIT)
    return name, StoredTensor(placement=placement, first=first, last=last)
