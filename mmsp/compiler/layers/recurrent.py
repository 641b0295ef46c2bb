"""Layers that run again and again over the time steps of a sequence."""

from dataclasses import dataclass, field

from mmsp.compiler.layers.base import Layer

__all__ = ["Loop", "View"]


@dataclass(frozen=True, kw_only=True)
class View:
    """A rectangle of pixels of ``tensor``, with all channels, under a name of its own.

    It is ``height x width`` pixels from ``(row, column)`` on, and ``step`` columns further right in
    every turn of the loop.
    """

    tensor: str
    row: int = 0
    column: int = 0
    height: int = 1
    width: int = 1
    step: int = 0


@dataclass(frozen=True, kw_only=True)
class Loop(Layer):
    """``body`` runs ``count`` times.

    Its layers name tensors from outside, the loop's ``temporaries``, and ``views`` of either; what
    they write keeps its value from turn to turn.  ``reads`` are the tensors from outside that the
    body reads, or changes and leaves behind (variables); ``output`` is the tensor that it writes.
    ``layouts`` has the ``(H, W, C)`` of variables that only this loop uses, in an order of its own.
    """

    count: int
    body: tuple[Layer, ...]
    views: dict[str, View] = field(default_factory=dict)
    layouts: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    reads: tuple[str, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors that the layer reads, in order."""
        return self.reads

    @property
    def temporaries(self) -> tuple[str, ...]:
        """Tensors that live within the layer only, in the order of their first use."""
        outside = {*self.reads, self.output}
        return tuple(name for name in self.tensors if name not in outside)

    @property
    def tensors(self) -> tuple[str, ...]:
        """All tensors that the body works on, in the order of their first use."""
        names = [name for layer in self.body for name in (*layer.inputs, layer.output)]
        return tuple(
            dict.fromkeys(self.views[name].tensor if name in self.views else name for name in names)
        )
