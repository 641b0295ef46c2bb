"""Registers that keep what goes beside a pipeline in step with it."""

from amaranth.hdl import Module, Signal, Value

__all__ = ["delays"]


def delays(m: Module, value: Value, clocks: int) -> list[Signal]:
    """``value`` 1 to ``clocks`` clocks later, each a register."""
    stages = []
    for _ in range(clocks):
        register = Signal.like(value)
        m.d.sync += register.eq(value)
        stages.append(register)
        value = register
    return stages
