"""Faults to order: what protects a domain is switched off one by one, to see a test fail."""

from amaranth.hdl import Module
from amaranth.lib import data

from hdl.power.domains import PowerDomain
from hdl.power.signals import DomainControl

__all__ = ["Tamper", "tampered"]


class Tamper(data.Struct):
    """What is missing from a domain, a bit each."""

    isolate: 1
    """Its outputs are never clamped."""
    reset: 1
    """It is not reset after it was off."""
    keep: 1
    """Its retained registers are neither saved nor restored."""
    retain: 1
    """Its arrays have no supply of their own."""


def tampered(m: Module, control: DomainControl, tamper: Tamper, *, domain: PowerDomain):
    """Pass ``control`` of a sequencer on, without what ``tamper`` names.

    For verification only: the wires go between a sequencer and its `Switched`, so that one build
    has all mutants.

    Parameters
    ----------
    m : Module
        Gets the logic.
    control : interface of DomainControl(domain.steps)
        The sequencer's port.
    tamper : Tamper
        May change while the domain is off.
    domain : PowerDomain
        Whose.

    Returns
    -------
    interface of DomainControl(domain.steps)
        In the place of ``control``.
    """
    passed = DomainControl(domain.steps).create(path=(f"tampered_{domain.name}",))
    m.d.comb += [
        passed.switches.eq(control.switches),
        passed.clock.eq(control.clock),
        passed.isolate.eq(control.isolate & ~tamper.isolate),
        passed.reset.eq(control.reset & ~tamper.reset),
        passed.save.eq(control.save & ~tamper.keep),
        passed.restore.eq(control.restore & ~tamper.keep),
        passed.retain.eq(control.retain & ~tamper.retain),
        control.good.eq(passed.good),
    ]
    return passed
