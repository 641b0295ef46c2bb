"""What the host knows of a compiled network: tensors at its ends, memory plan, layers and jobs.

It is the part of an image that the chip does not need: names, quantisation and placements, so that
a file alone is enough to feed the chip, to read its outputs and to say what its program does.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdl.config import ACT_BANKS, ChipConfig
from hdl.engine.descriptor import Operation
from mmsp.arrangement import Steps, rearrange
from mmsp.checked_json import COUNT_LIMIT, Fields, integer, positive, rows, text
from mmsp.compiler.lower.jobs import Job
from mmsp.compiler.placement import Placement
from mmsp.compiler.program import Program, layer_macs
from mmsp.errors import InputError
from mmsp.graph import Graph, HostConversion, Quantization, Tensor

__all__ = [
    "Description",
    "JobEntry",
    "LayerEntry",
    "Port",
    "StoredTensor",
    "describe",
    "graph_ports",
]

INSIDE_DTYPES = {
    "int8": ("int8",),
    "int16": ("int16",),
    "uint8": ("int8",),
    "float32": ("int8", "int16"),
}
"""Types that a tensor may have on the chip, by the type that the file declares."""

MOST_TURNS = 1 << 12
"""Turns that a LOOP descriptor can ask for."""

OUTSIDE_DTYPES = tuple(INSIDE_DTYPES)


@dataclass(frozen=True, kw_only=True)
class Port:
    """An input or output of a network, outside (as the file declares it) and inside (on the chip).

    ``scale`` and ``zero_point`` are those of the tensor inside, None when it has none.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str  # outside: one of `OUTSIDE_DTYPES`
    scale: float | None
    zero_point: int | None
    tensor: str  # where it is stored, a key of `Description.tensors`
    inside: str = "int8"  # or int16
    steps: Steps = ()  # how the host reorders elements on their way in or out
    softmax_axis: int | None = None  # of `HostConversion`

    def conversion(self, dtype: str) -> HostConversion:
        """The arithmetic between type ``dtype`` outside and the type inside."""
        scale = 1.0 if self.scale is None else self.scale
        quantization = Quantization((scale,), (self.zero_point or 0,))
        outside = Tensor(self.name, self.shape, np.dtype(dtype))
        return HostConversion(
            "", "QUANTIZE", "", outside, self.tensor, quantization, np.dtype(self.inside),
            softmax_axis=self.softmax_axis,
        )  # fmt: skip

    def rearrange(self, values: NDArray) -> NDArray:
        """Bring elements from the order outside to that inside, or back for an output."""
        return rearrange(values, self.steps)

    def to_inside(self, values: NDArray) -> NDArray:
        """Convert values of type ``dtype`` to the type inside."""
        same = self.dtype == self.inside
        return values if same else self.conversion(self.dtype).to_inside(values)

    def to_outside(self, values: NDArray) -> NDArray:
        """Convert values of the type inside to type ``dtype``."""
        same = self.dtype == self.inside
        return values if same else self.conversion(self.dtype).to_outside(values)

    def quantize(self, values: NDArray) -> NDArray:
        """Convert real values to the type inside, rounding half away from zero."""
        return self.conversion("float32").to_inside(values)


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
        return cls(
            model=root.text("model"),
            inputs=[read_port(Fields(port, "input"), tensors) for port in root.list("inputs")],
            outputs=[read_port(Fields(port, "output"), tensors) for port in root.list("outputs")],
            tensors=tensors,
            layers=layers,
            jobs=jobs,
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
    )


def loop_turns(job: Job) -> int:
    """`JobEntry.turns` of a job."""
    sign = {Operation.LOOP: 1, Operation.AGAIN: -1}.get(job.fields["operation"], 0)
    return sign * (job.fields.get("turns_last", 0) + 1)


def graph_ports(graph: Graph) -> tuple[list[Port], list[Port]]:
    """Inputs and outputs of a graph that has not been compiled, stored under their own names."""
    return (
        [make_port(graph, name, "input", name) for name in graph.inputs],
        [make_port(graph, name, "output", name) for name in graph.outputs],
    )


def make_port(graph: Graph, name: str, direction: str, storage: str) -> Port:
    """The port of graph input or output ``name``."""
    inside = graph.tensors[name]
    conversion = find_conversion(graph, name, direction)
    outside = conversion.outside if conversion else inside
    quantization = inside.quantization
    single = quantization is not None and len(quantization.scale) == 1
    return Port(
        name=outside.name,
        shape=outside.shape,
        dtype=str(outside.dtype),
        scale=quantization.scale[0] if quantization and single else None,
        zero_point=quantization.zero_point[0] if quantization and single else None,
        tensor=storage,
        inside=str(inside.dtype),
        steps=conversion.steps if conversion else (),
        softmax_axis=conversion.softmax_axis if conversion else None,
    )


def find_conversion(graph: Graph, name: str, direction: str) -> HostConversion | None:
    """What the host does between graph input or output ``name`` and the model's file."""
    for conversion in graph.host_conversions:
        if (conversion.inside, conversion.direction) == (name, direction):
            return conversion
    return None


def port_to_json(port: Port) -> dict[str, Any]:
    """Plain values of a port."""
    return {**vars(port), "shape": list(port.shape)}


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


def read_port(fields: Fields, tensors: dict[str, StoredTensor]) -> Port:
    """Read an input or output and check that its tensor is stored in its size."""
    port = Port(
        name=fields.text("name"),
        shape=fields.shape("shape"),
        dtype=fields.text("dtype"),
        scale=fields.optional("scale", positive),
        zero_point=fields.optional("zero_point", lambda v: integer(v, "zero_point", -128, 127)),
        tensor=fields.text("tensor"),
        inside=fields.text("inside"),
        steps=read_steps(fields),
        softmax_axis=fields.optional("softmax_axis", lambda v: integer(v, "softmax_axis", -8, -1)),
    )
    if port.dtype not in OUTSIDE_DTYPES:
        raise InputError(
            f"{fields.what} {port.name!r} of the image is {port.dtype!r}, not one of "
            f"{', '.join(OUTSIDE_DTYPES)}"
        )
    if port.inside not in INSIDE_DTYPES[port.dtype]:
        raise InputError(
            f"{fields.what} {port.name!r} of the image is {port.dtype} outside and "
            f"{port.inside!r} inside, not {' or '.join(INSIDE_DTYPES[port.dtype])}"
        )
    if port.tensor not in tensors:
        raise InputError(f"{fields.what} {port.name!r} of the image is stored nowhere")
    placement = tensors[port.tensor].placement
    if port.inside != str(placement.dtype):
        raise InputError(
            f"{fields.what} {port.name!r} of the image is {port.inside}, and is stored as "
            f"{placement.dtype}"
        )
    pixels = placement.pixels
    if math.prod(port.shape) != math.prod(pixels):
        raise InputError(
            f"{fields.what} {port.name!r} of the image has shape {port.shape}, and is stored as "
            f"{pixels}"
        )
    return port


def read_steps(fields: Fields) -> Steps:
    """Read how the host reorders an input or output."""
    size = math.prod(fields.shape("shape"))
    steps = []
    for entry in rows(fields.list("steps"), 2, "steps"):
        shape, order = (tuple(part) if isinstance(part, list) else () for part in entry)
        whole = all(type(each) is int for each in (*shape, *order)) and all(s > 0 for s in shape)
        if not whole or math.prod(shape) != size or sorted(order) != list(range(len(shape))):
            raise InputError(f"{fields.what} of the image has the step {entry}, which is none")
        steps.append((shape, order))
    return tuple(steps)
