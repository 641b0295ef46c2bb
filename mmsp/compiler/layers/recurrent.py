"""Layers that run again and again over the time steps of a sequence."""

from dataclasses import dataclass, field

from mmsp.compiler.layers.base import Layer

__all__ = ["Loop"]


@dataclass(frozen=True, kw_only=True)
class Loop(Layer):
    """``body`` runs ``count`` times.

    ``views`` names what the body sees of a whole sequence: ``views[name]`` is a tensor of ``count``
    pixels in one row, and in turn ``t`` the name stands for its pixel ``t`` alone, read or written.
    Everything else keeps its value from turn to turn.  ``reads`` are the tensors from outside that
    the body reads, ``output`` is the sequence that it writes.
    """

    count: int
    body: tuple[Layer, ...]
    views: dict[str, str] = field(default_factory=dict)
    reads: tuple[str, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors that the layer reads, in order."""
        return self.reads
