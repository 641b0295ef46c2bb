"""Legalisation: a graph becomes layers, or is refused with a reason."""

from mmsp.compiler.legalize.network import LEGALIZERS, legalize

__all__ = ["LEGALIZERS", "legalize"]
