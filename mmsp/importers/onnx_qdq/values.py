"""What a value of an ONNX network can be while the network is imported.

An ONNX network in QDQ form computes in float between DequantizeLinear and QuantizeLinear.  An
operator's result therefore waits (`Pending`) until a QuantizeLinear says with which scale and zero
point the engine has to write it; then it is `Stored`.

ONNX images are NCHW, the engine's NHWC.  No element is moved for that: a stored value knows which
of its dimensions lies where (``layout``), and only a consumer that needs another order moves it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mmsp.arrangement import Steps
from mmsp.errors import InputError
from mmsp.graph import Quantization

__all__ = [
    "Clamp",
    "Constant",
    "Layout",
    "Outside",
    "Pending",
    "Shape",
    "Stored",
    "Value",
    "Weight",
    "activation_of",
    "in_order",
]

Shape = tuple[int, ...]
Layout = tuple[int, ...]
"""``layout[i]`` is the dimension of the ONNX value that dimension ``i`` in memory is."""

Clamp = tuple[float, float]
UNLIMITED: Clamp = (-np.inf, np.inf)

ACTIVATIONS: dict[str, Clamp] = {
    "NONE": UNLIMITED,
    "RELU": (0.0, np.inf),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}


@dataclass(frozen=True, eq=False)
class Constant:
    """A constant as the file holds it: float values, indices or quantised integers."""

    array: NDArray
    bits: int = 0
    """Bits of an integer where NumPy's type has more."""


@dataclass(frozen=True, eq=False)
class Weight:
    """A constant behind DequantizeLinear: ``real = scale * (data - zero_point)``.

    ``scale`` and ``zero_point`` have one entry, or one for each index of dimension ``axis``.
    ``data`` is signed: unsigned data have been shifted, with their zero point, by half their range.
    """

    data: NDArray
    scale: NDArray[np.float32]
    zero_point: NDArray
    axis: int
    bits: int

    @property
    def real(self) -> NDArray[np.float64]:
        """What the integers stand for."""
        shape = [1] * self.data.ndim
        if self.scale.size > 1:
            shape[self.axis] = -1
        scale, zero_point = self.scale.reshape(shape), self.zero_point.reshape(shape)
        return (self.data.astype(np.int64) - zero_point) * scale.astype(np.float64)


@dataclass(frozen=True)
class Outside:
    """An input of the network before it is quantised; ``steps`` is how the host reorders it."""

    name: str
    shape: Shape
    steps: Steps = ()


@dataclass(frozen=True)
class Stored:
    """A tensor of the graph.

    In memory it has the dimensions ``base[layout[0]], base[layout[1]], ...``; the ONNX value is
    the row-major reshaping of ``base`` to ``shape``.  ``integer``: read as int8, not as real
    values, that is, between QuantizeLinear and DequantizeLinear.
    """

    tensor: str
    base: Shape
    layout: Layout
    shape: Shape
    integer: bool = False


@dataclass(eq=False)
class Pending:
    """The float result of a node, to be written when its scale and zero point are known.

    ``build(quantization, activation, stem)`` adds the nodes; ``stem`` is the wanted tensor name.
    ``fuses``: the activation may be other than NONE.  ``natural`` is the quantisation that the
    operator has in TFLite whatever follows.  ``with_bias`` adds a bias to a node that has none.
    ``softmax`` is the operand and the axis, if the node is a Softmax.
    """

    node: str
    shape: Shape
    build: Callable[[Quantization, str, str], Stored]
    fuses: bool = False
    clamp: Clamp = UNLIMITED
    natural: Quantization | None = None
    with_bias: "Callable[[Constant | Weight], Pending] | None" = None
    softmax: tuple[Stored, int] | None = None
    built: dict[tuple[Quantization, str], Stored] = field(default_factory=dict)

    def make(self, quantization: Quantization, activation: str, stem: str) -> Stored:
        """Add the nodes, once for each quantisation and activation."""
        key = quantization, activation
        if key not in self.built:
            self.built[key] = self.build(quantization, activation, stem)
        return self.built[key]

    def then(self, move: Callable[[Stored], Stored], shape: Shape) -> "Pending":
        """What ``move``, which only moves elements or takes maxima, makes of the result."""
        return replace(
            self,
            shape=shape,
            build=lambda quantization, activation, stem: move(
                self.make(quantization, activation, stem)
            ),
            with_bias=None,
            softmax=None,
            built={},
        )

    def clamped(self, clamp: Clamp) -> "Pending":
        """The result between two limits."""
        low, high = max(self.clamp[0], clamp[0]), min(self.clamp[1], clamp[1])
        return replace(self, clamp=(low, high), with_bias=None, softmax=None, built={})


Value = Constant | Weight | Outside | Stored | Pending


def in_order(shape: Shape, layout: Layout) -> bool:
    """Whether ``layout`` leaves all elements where row-major order has them."""
    moved = [axis for axis in layout if shape[axis] != 1]
    return moved == sorted(moved)


def activation_of(clamp: Clamp, quantization: Quantization) -> str:
    """Name of the activation that leaves the int8 codes that ``clamp`` leaves.

    Limits that lie beyond the range of the codes ask for nothing.

    Raises
    ------
    InputError
        When there is no such activation.
    """
    (scale,), (zero_point,) = quantization.scale, quantization.zero_point

    def codes(limits: Clamp) -> list[float]:
        return [
            float(np.clip(np.rint(np.float64(limit) / scale) + zero_point, -128, 127))
            for limit in limits
        ]

    for name, limits in ACTIVATIONS.items():
        if codes(limits) == codes(clamp):
            return name
    raise InputError(
        f"its result is limited to {clamp[0]:.6g}..{clamp[1]:.6g}, and must be limited to 0..inf, "
        f"0..6, -1..1 or to what scale {scale:.6g} and zero point {zero_point} can hold"
    )
