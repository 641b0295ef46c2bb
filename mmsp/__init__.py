"""MMSP: compile a quantised network for the chip, simulate it, and report what it costs."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmsp.simulator.simulator import Result, Simulator

__all__ = ["Result", "Simulator"]


def __getattr__(name: str) -> Any:
    """Import the simulator when it is first asked for: the command line starts without it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mmsp.simulator import simulator  # noqa: PLC0415

    return getattr(simulator, name)
