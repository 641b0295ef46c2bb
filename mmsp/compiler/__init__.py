"""The compiler: a graph of tensors becomes a program for the engine."""

from mmsp.compiler.program import Program, compile_graph

__all__ = ["Program", "compile_graph"]
