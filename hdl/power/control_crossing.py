"""Brings what the PMU does to a coarse domain from its clock to that of the domain."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from hdl.power.signals import DomainControl

__all__ = ["ControlCrossing"]

LEVELS = {"isolate": 1, "reset": 1, "clock": 0, "save": 0, "restore": 0, "retain": 0}
"""Wires that the domain's clock samples, with their values at rest."""


class ControlCrossing(wiring.Component):
    """Synchronises the wires of a domain's control, one by one, into ``sync``.

    The sequencer moves one wire in a period of its clock, which is a thousand periods of this one:
    two flip-flops each keep them in their order.  A clock that stands still leaves a domain as it
    is, and the PMU stops it only when the domains that it serves are off and isolated.

    Parameters
    ----------
    steps : int
        As of `DomainControl`.

    Members
    -------
    i : In(DomainControl(steps))
        From the sequencer.
    o : Out(DomainControl(steps))
        To the domain.  ``switches`` and ``good`` are wires of the supply and pass as they are.
    """

    def __init__(self, steps: int):
        super().__init__({"i": In(DomainControl(steps)), "o": Out(DomainControl(steps))})

    def elaborate(self, platform):
        """Build two flip-flops a wire; a reset of the chip has them at rest at once, too."""
        m = Module()
        for name, init in LEVELS.items():
            m.submodules[name] = FFSynchronizer(
                getattr(self.i, name), getattr(self.o, name), init=init, reset_less=False
            )
        m.d.comb += [self.o.switches.eq(self.i.switches), self.i.good.eq(self.o.good)]
        return m
