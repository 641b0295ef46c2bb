"""Inputs and outputs of a network: what a file declares, and what the chip has of them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsp.arrangement import Steps, rearrange
from mmsp.checked_json import Fields, integer, positive, rows
from mmsp.compiler.placement import Placement
from mmsp.errors import InputError
from mmsp.graph import Graph, HostConversion, Quantization, Tensor

__all__ = ["Port", "graph_ports", "make_port", "port_to_json", "read_port"]

INSIDE_DTYPES = {
    "int8": ("int8",),
    "int16": ("int16",),
    "uint8": ("int8",),
    "float32": ("int8", "int16"),
}
"""Types that a tensor may have on the chip, by the type that the file declares."""

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


def read_port(fields: Fields, placements: Mapping[str, Placement]) -> Port:
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
    if port.tensor not in placements:
        raise InputError(f"{fields.what} {port.name!r} of the image is stored nowhere")
    placement = placements[port.tensor]
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
