"""A component in a power domain that can be switched off: clock gate, reset, isolation, retention.

The component knows nothing of it.  It is changed after its elaboration, with the tools that
Amaranth's own `ResetInserter` and `EnableInserter` are made of.  They have no public names: one
reason for the exact pin of Amaranth's version.
"""

import zlib
from collections.abc import Mapping, Sequence

from amaranth.hdl import (
    Const,
    EnableInserter,
    Fragment,
    Instance,
    Module,
    Mux,
    ResetInserter,
    Signal,
    Value,
)
from amaranth.hdl._ast import SignalDict, Statement, Switch
from amaranth.hdl._xfrm import (
    FragmentTransformer,
    LHSMaskCollector,
    StatementTransformer,
)
from amaranth.lib import wiring
from amaranth.lib.wiring import Component, Flow, In

from hdl.power.domains import PowerDomain, Retention
from hdl.power.scramble import Noise, Scrambler
from hdl.power.signals import DomainControl

__all__ = ["Switched"]


class Switched(wiring.Component):
    """``component``, with the same ports, inside the power domain ``domain``.

    In hardware: its flip-flops and memories move only while ``control.clock``; ``control.reset`` is
    a synchronous reset, which needs that clock; while ``control.isolate`` its outputs, those inside
    of its streams and other interfaces too, are at their clamp values; each retained register has a
    shadow outside, which takes its value while ``control.save`` and gives it back while
    ``control.restore``, and that wins over the reset.

    The component's own assertions are checked while its clock runs and it is not in reset.

    With ``power_aware``, for simulation, the loss of the supply destroys everything inside: see
    `hdl.power.scramble.Scrambler`.  Its outputs are then pseudo-random until they are isolated.

    Parameters
    ----------
    component : Component
        All of it in clock domain ``sync``.
    domain : PowerDomain
        Where it lies.  With `Retention.ARRAY` the contents of its memories survive while
        ``control.retain``; otherwise they are lost like all else.
    power_aware : bool
        Model the loss of supply.
    clamps : mapping of str to int, optional
        Value that an output is clamped to, by its path, as in ``o.valid`` or ``reads.0.data``; 0
        for all others.
    retained : sequence of Signal, optional
        Registers that survive, only with `Retention.REGISTERS`.  They belong to ``component`` from
        before its elaboration.

    Members
    -------
    control : In(DomainControl(domain.steps))
        From the domain's sequencer.  ``good`` is ``supply``.
    supply : In(1)
        The supply is up, as the switches tell it; in simulation `SwitchModel` does.
    seed : In(32)
        Only if ``power_aware``: chooses the pseudo-random values.

    Raises
    ------
    ValueError
        For ports of ``component`` with the names of those below; for a clamp of no output or out of
        range; for retained registers that do not fit ``domain``
        or, at elaboration, are none of the component's; for clock domains other than ``sync`` or
        instances of foreign modules inside.
    """

    def __init__(
        self,
        component: Component,
        domain: PowerDomain,
        *,
        power_aware: bool,
        clamps: Mapping[str, int] | None = None,
        retained: Sequence[Signal] = (),
    ):
        self.component, self.domain, self.power_aware = component, domain, power_aware
        self.clamps, self.retained = dict(clamps or {}), tuple(retained)
        outputs = {
            dotted(path): len(Value.cast(value))
            for path, member, value in component.signature.flatten(component)
            if member.flow is Flow.Out
        }
        for path, clamp in self.clamps.items():
            if path not in outputs:
                raise ValueError(
                    f"clamp {path!r} is no output of domain {domain.name!r}; those are "
                    f"{', '.join(outputs)}"
                )
            if clamp not in range(1 << outputs[path]):
                raise ValueError(
                    f"clamp {path!r} must be in 0..{(1 << outputs[path]) - 1}, not {clamp!r}"
                )
        if self.retained and domain.retention is not Retention.REGISTERS:
            raise ValueError(f"domain {domain.name!r} retains no registers")
        ports = {"control": In(DomainControl(domain.steps)), "supply": In(1)}
        if power_aware:
            ports["seed"] = In(32)
        taken = [name for name in ports if name in component.signature.members]
        if taken:
            raise ValueError(f"domain {domain.name!r} has a port {taken[0]!r} of its own")
        super().__init__({**component.signature.members, **ports})

    def elaborate(self, platform):
        """Change the component, and connect it."""
        control = self.control
        fragment = Fragment.get(self.component, platform)
        check(fragment, self.domain)
        shadows = SignalDict(
            (register, Signal.like(register, name_suffix="_shadow")) for register in self.retained
        )
        retention = RetentionInserter(control.restore, shadows)
        fragment = PropertyGate(control.reset | ~self.supply)(fragment)
        fragment = retention(ResetInserter(control.reset)(fragment))
        missing = [register.name for register in shadows if register not in retention.found]
        if missing:
            raise ValueError(
                f"domain {self.domain.name!r} has no register {', '.join(missing)} to retain"
            )
        fragment = EnableInserter(control.clock)(fragment)

        m = Module()
        m.d.comb += control.good.eq(self.supply)
        with m.If(control.save):
            m.d.sync += [shadow.eq(register) for register, shadow in shadows.items()]
        if self.power_aware:
            m.submodules.noise = noise = Noise(zlib.crc32(self.domain.name.encode()))
            kept = control.retain if self.domain.retention is Retention.ARRAY else Const(0)
            m.d.comb += [
                noise.seed.eq(self.seed),
                noise.down.eq(~self.supply),
                noise.lost.eq(~self.supply & ~kept),
            ]
            fragment = Scrambler(noise)(fragment)
        m.submodules.component = fragment

        for path, member, value in self.component.signature.flatten(self.component):
            outside, inside = Value.cast(port(self, path)), Value.cast(value)
            if member.flow is Flow.In:
                m.d.comb += inside.eq(outside)
                continue
            if self.power_aware:
                inside = Mux(self.supply, inside, noise.choose(len(inside)))
            clamp = Const(self.clamps.get(dotted(path), 0), len(inside))
            m.d.comb += outside.eq(Mux(control.isolate, clamp, inside))
        return m


class PropertyGate(FragmentTransformer, StatementTransformer):
    """Let assertions rest without supply and in reset: the state is anything."""

    def __init__(self, rest: Value):
        self.rest = rest

    def on_Property(self, stmt):
        """Put it under a condition."""
        gated = super().on_Property(stmt)
        gated._MustUse__used = True
        return Switch(self.rest, [(0, [gated], None)])


class RetentionInserter(FragmentTransformer):
    """Write retained registers back from their shadows while ``restore``: that wins."""

    def __init__(self, restore: Value, shadows: Mapping[Signal, Signal]):
        self.restore, self.shadows = restore, shadows
        self.found = SignalDict()

    def on_fragment(self, fragment: Fragment) -> Fragment:
        """Add the write to the fragment that drives a register."""
        changed = super().on_fragment(fragment)
        if "sync" in changed.statements:
            written = LHSMaskCollector()
            written.visit_stmt(changed.statements["sync"])
            restored: list[Statement] = []
            for signal, start, stop in written.chunks():
                if signal in self.shadows:
                    self.found[signal] = True
                    shadow = Value.cast(self.shadows[signal])
                    restored.append(Value.cast(signal)[start:stop].eq(shadow[start:stop]))
            if restored:
                changed.add_statements("sync", Switch(self.restore, [(1, restored, None)]))
        return changed


def check(fragment: Fragment, domain: PowerDomain) -> None:
    """Refuse what cannot be switched off."""
    if isinstance(fragment, Instance):
        raise ValueError(
            f"domain {domain.name!r} has an instance of {fragment.type!r}, "
            "whose state cannot be switched off"
        )
    ports = [*getattr(fragment, "_read_ports", ()), *getattr(fragment, "_write_ports", ())]
    clocks = {*fragment.statements, *(port._domain for port in ports)} - {"comb", "sync"}
    if clocks:
        raise ValueError(
            f"domain {domain.name!r} has logic in clock domain {', '.join(sorted(clocks))}; "
            "only sync can be switched off"
        )
    for part, _, _ in fragment.subfragments:
        check(part, domain)


def dotted(path: Sequence[str | int]) -> str:
    """A port's path as one word."""
    return ".".join(map(str, path))


def port(component: Component, path: Sequence[str | int]) -> Value:
    """The port of ``component`` at ``path``."""
    found = component
    for step in path:
        found = found[step] if isinstance(step, int) else getattr(found, step)
    return found
