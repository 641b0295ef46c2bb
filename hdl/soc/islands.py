"""Puts blocks into their power domains: switches, crossing of clocks, isolation, reset."""

from collections.abc import Sequence

from amaranth.hdl import Assert, Cat, DomainRenamer, Module, Signal, Value
from amaranth.lib.wiring import Component, Flow

from hdl.config import ChipConfig
from hdl.power.control_crossing import ControlCrossing
from hdl.power.domains import Level, power_domains
from hdl.power.fast import FastLevel
from hdl.power.pmu import Pmu
from hdl.power.scramble import SwitchModel
from hdl.power.signals import DomainControl
from hdl.power.switched import Switched

__all__ = ["Islands"]

SWITCH_DELAY = 1
"""Cycles of the sequencer's clock from the last switch closed to a good supply."""


class Islands:
    """Makes the power domains of a chip.

    Parameters
    ----------
    m : Module
        The chip's; gets all that is made.
    config : ChipConfig
        Its domains.
    pmu, fast : Pmu, FastLevel
        Whose sequencers control them.
    power_aware : bool
        See `Switched`.
    """

    def __init__(
        self, m: Module, config: ChipConfig, pmu: Pmu, fast: FastLevel, *, power_aware: bool
    ):
        self.m, self.pmu, self.fast, self.power_aware = m, pmu, fast, power_aware
        self.domains = {domain.name: domain for domain in power_domains(config)}

    def sequencer_control(self, name: str):
        """What the sequencer of domain ``name`` does; a place for tests to interfere."""
        of_pmu = self.domains[name].level is Level.COARSE
        return getattr((self.pmu if of_pmu else self.fast).control, name)

    def coarse(
        self,
        name: str,
        block: Component,
        *,
        reset: Value | None = None,
        retained: Sequence[Signal] = (),
    ) -> Component:
        """``block`` in a domain of the PMU; ``reset`` is one more reason to reset it."""
        m, steps, clock = self.m, self.domains[name].steps, self.domains[name].clock
        crossing = ControlCrossing(steps)
        m.submodules[f"{name}_crossing"] = on_clock(clock, crossing)
        self.pass_on(self.sequencer_control(name), crossing.i)
        control = DomainControl(steps).create(path=(f"{name}_control",))
        self.pass_on(crossing.o, control)
        if reset is not None:
            m.d.comb += control.reset.eq(crossing.o.reset | reset)
        island = self.switched(name, block, control, clock="aon", retained=retained)
        m.submodules[name] = on_clock(clock, island)
        return island

    def fast_domain(self, name: str, block: Component) -> Component:
        """``block`` in a domain that is switched on the core clock; who wants it has to add it."""
        return self.switched(name, block, self.sequencer_control(name), clock="sync")

    def empty(self, name: str) -> None:
        """A domain whose block is to come: switches without a load."""
        control = self.sequencer_control(name)
        self.m.d.comb += control.good.eq(self.supply(name, control.switches, clock="aon"))

    def switched(self, name: str, block: Component, control, *, clock: str, retained=()):
        """``block`` under ``control``, with its switches on ``clock``: not yet a submodule."""
        island = Switched(
            block, self.domains[name], power_aware=self.power_aware, retained=retained
        )
        self.pass_on(control, island.control)
        self.m.d.comb += island.supply.eq(self.supply(name, control.switches, clock=clock))
        outputs = Cat(
            value for _, member, value in block.signature.flatten(island) if member.flow is Flow.Out
        )
        # Seen by a clock that runs: a front end's own stands while it is off.
        self.m.d["sync" if self.domains[name].clock == "sync" else "aon"] += Assert(
            island.supply | ~outputs.any(), f"domain {name} is dead and drives its neighbours"
        )
        return island

    def supply(self, name: str, switches: Value, *, clock: str) -> Value:
        """Whether the supply of a domain is up: its switches, modelled."""
        model = SwitchModel(self.domains[name].steps, SWITCH_DELAY)
        self.m.submodules[f"{name}_supply"] = on_clock(clock, model)
        self.m.d.comb += model.switches.eq(switches)
        return model.good

    def pass_on(self, source, target) -> None:
        """Connect two ends of a `DomainControl`."""
        names = ("switches", "isolate", "save", "restore", "retain", "clock", "reset")
        self.m.d.comb += [getattr(target, name).eq(getattr(source, name)) for name in names]
        self.m.d.comb += source.good.eq(target.good)


def on_clock(clock: str, component: Component):
    """``component``, written for ``sync``, on ``clock``."""
    return component if clock == "sync" else DomainRenamer(clock)(component)
