"""The neural engine: a weight-stationary multiplier array run by a program stream."""

from hdl.engine.engine import Engine

__all__ = ["Engine"]
