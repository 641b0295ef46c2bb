"""The chip with faults to order in its power control: what each protects, a test must miss."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import In

from hdl.config import ChipConfig
from hdl.power.domains import Level, Retention, power_domains
from hdl.power.fast import FastLevel
from hdl.power.pmu import Pmu
from hdl.power.tamper import Tamper, tampered
from hdl.soc.chip import Chip
from hdl.soc.islands import Islands

__all__ = ["Mutant", "TamperedChip", "mutants"]


@dataclass(frozen=True)
class Mutant:
    """``kind`` of protection, a field of `Tamper`, that is missing from a domain."""

    domain: str
    kind: str

    def __str__(self) -> str:
        return f"{self.domain}-{self.kind}"


def mutants(config: ChipConfig) -> list[Mutant]:
    """Every protection that a domain with a block in it has."""
    found = []
    for domain in power_domains(config):
        if domain.level is Level.ALWAYS_ON or not domain.present:
            continue
        kinds = ["isolate"]
        if domain.level is Level.COARSE:  # memories and macros have nothing to reset
            kinds.append("reset")
        if domain.retention is Retention.REGISTERS:
            kinds.append("keep")
        if domain.retention is Retention.ARRAY:
            kinds.append("retain")
        found += [Mutant(domain.name, kind) for kind in kinds]
    return found


class TamperedIslands(Islands):
    """Passes what a sequencer does through a `Tamper`."""

    def __init__(self, *args, chip: "TamperedChip", **kwargs):
        super().__init__(*args, **kwargs)
        self.chip = chip

    def sequencer_control(self, name: str):
        """The sequencer's wires, less what the mutant leaves out."""
        return self.chip.tamper_with(self.m, super().sequencer_control(name), name)


class TamperedChip(Chip):
    """`Chip` with an input that chooses a mutant.

    Members
    -------
    mutant : In(8)
        0: none; ``k``: that of index ``k - 1`` in `mutants`.  Constant in a simulation.
    """

    def __init__(self, config: ChipConfig, **kwargs):
        super().__init__(config, **kwargs)
        self.mutants = mutants(config)
        self.mutant = Signal(8)

    @property
    def signature(self):
        """The chip's, and the choice."""
        members = dict(super().signature.members)
        return type(super().signature)({**members, "mutant": In(8)})

    def islands(self, m: Module, pmu: Pmu, fast: FastLevel) -> Islands:
        """Make domains that can be tampered with."""
        return TamperedIslands(m, self.config, pmu, fast, power_aware=self.power_aware, chip=self)

    def bank_control(self, m: Module, fast: FastLevel, name: str):
        """The same for a bank."""
        return self.tamper_with(m, super().bank_control(m, fast, name), name)

    def tamper_with(self, m: Module, control, name: str):
        """``control`` of domain ``name`` without what the chosen mutant leaves out."""
        tamper: Any = Signal(Tamper, name=f"tamper_{name}")
        for index, mutant in enumerate(self.mutants):
            if mutant.domain == name:
                m.d.comb += getattr(tamper, mutant.kind).eq(self.mutant == index + 1)
        (domain,) = (d for d in power_domains(self.config) if d.name == name)
        return tampered(m, control, tamper, domain=domain)
