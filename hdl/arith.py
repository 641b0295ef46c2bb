"""Arithmetic helpers that return Amaranth expressions."""

from amaranth.hdl import Const, Mux, Shape, ShapeLike, Value, ValueLike

__all__ = ["clamp", "saturate"]


def saturate(value: ValueLike, shape: ShapeLike) -> Value:
    """Clamp ``value`` to the range that ``shape`` can represent."""
    value, shape = Value.cast(value), Shape.cast(shape)
    low = -(1 << (shape.width - 1)) if shape.signed else 0
    high = low + (1 << shape.width) - 1
    return Mux(value < low, Const(low, shape), Mux(value > high, Const(high, shape), value))


def clamp(value: ValueLike, low: ValueLike, high: ValueLike) -> Value:
    """Limit ``value`` to ``low`` .. ``high``, both signals of one signedness with ``value``.

    ``low <= high`` is the caller's business; where it does not hold, ``low`` wins for values
    below it and ``high`` for the others.
    """
    return Mux(value < low, low, Mux(value > high, high, value))
