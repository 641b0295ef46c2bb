"""The vector unit: element-wise operators, tables, and movement of elements, one at a time."""

from hdl.engine.vector.unit import Vector

__all__ = ["Vector"]
