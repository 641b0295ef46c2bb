"""A run of layers that is computed a few rows at a time."""

from dataclasses import dataclass

from mmsp.compiler.layers.base import Layer

__all__ = ["Strip", "Tiled"]


@dataclass(frozen=True)
class Strip:
    """Rows ``first`` up to but not ``end`` of a tensor."""

    first: int
    end: int

    @property
    def rows(self) -> int:
        """How many."""
        return self.end - self.first


@dataclass(frozen=True, kw_only=True)
class Tiled(Layer):
    """``chain``, each layer reading what the one before writes, in turns of a few output rows.

    ``strips[t][i]`` are the rows of layer ``i``'s output that turn ``t`` computes; together the
    turns give each row of the last output once, and rows in between as often as they are needed.
    Between two layers only the strip of a turn is stored, in ``strip_rows[name]`` rows.
    ``indices`` are the chain's positions among the layers of the network.
    """

    chain: tuple[Layer, ...]
    indices: tuple[int, ...]
    strips: tuple[tuple[Strip, ...], ...]
    strip_rows: dict[str, int]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors that the layer reads, in order."""
        return self.chain[0].inputs

    @property
    def temporaries(self) -> tuple[str, ...]:
        """Tensors that live within the layer only."""
        return tuple(self.strip_rows)
