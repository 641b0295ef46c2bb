"""Power intent of the chip in IEEE 1801 (UPF 3.0): ``python -m hdl.power.upf``.

Written from `hdl.power.domains`, the description that the hardware is built from.  The modes are
states of a power state group and not rows of a power state table (``create_pst``): a row gives
every supply exactly one state, and INFER leaves each MRAM bank two and each activation segment
three, which would be 2^8 * 3^4 rows for FULL.  A group's state says what a mode fixes, and no more.
"""

import argparse
import itertools
import sys
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from string import ascii_lowercase

from hdl.config import ACT_BANKS, CONFIGS, ChipConfig
from hdl.mram.controller import MramController
from hdl.mram.scrubber import Scrubber
from hdl.power.domains import (
    MODES,
    Level,
    Mode,
    ModeEntry,
    PowerDomain,
    PowerState,
    Retention,
    power_domains,
)

__all__ = ["Place", "main", "mode_states", "place", "power_intent", "retained_elements"]

FOLDER = Path("build/upf")
TOP = "chip"
"""Module name of the chip, `mmsp.simulator.build`."""
VOLTAGES = {"nominal": 0.8, "low": 0.6}
"""Supply voltages in V; the slower core clock needs only the low one."""
CLAMP = 0
"""What isolated outputs are held at."""


@dataclass(frozen=True)
class Place:
    """Where a domain is in the chip: hierarchical names below the top, with its name and number.

    ``instance`` holds the domain's logic; empty if the block is to come.  ``sequencer`` and
    ``island`` begin the names of its `DomainControl` in its sequencer, and at its isolation, to
    which a coarse domain's wires cross into the core clock.  ``good`` is what the switches
    acknowledge with; empty if a macro does.
    """

    instance: str
    sequencer: str
    island: str
    good: str


COARSE = Place(
    "{name}/component", "pmu/{name}/control__", "{name}/control__", "{name}_supply/good"
)  # fmt: skip
EMPTY = Place("", "pmu/{name}/control__", "pmu/{name}/control__", "{name}_supply/good")
ACTIVATIONS = Place(
    "memory/segment_{number}/component", "fast/{name}/control__",
    "memory/segment_{number}/control__", "{name}_supply/good",
)  # fmt: skip
MRAM = Place("mram/{name}", "fast/{name}/control__", "mram/control__{number}__", "")
"""`hdl.soc.chip`, `hdl.soc.islands` and `hdl.mram.array` give these names; a test looks them up."""


def place(domain: PowerDomain) -> Place:
    """Where a switchable domain is."""
    if domain.level is Level.FAST:
        entry = MRAM if domain.retention is Retention.NON_VOLATILE else ACTIVATIONS
    else:
        entry = COARSE if domain.present else EMPTY
    names = {"name": domain.name, "number": domain.name.lstrip(ascii_lowercase)}
    return Place(*(name.format(**names) for name in astuple(entry)))


def retained_elements(domain: PowerDomain, config: ChipConfig) -> tuple[str, ...]:
    """Registers with a shadow, or memories with a supply of their own, below the top."""
    if not domain.present:
        return ()
    instance = place(domain).instance
    if domain.retention is Retention.ARRAY:
        return tuple(f"{instance}/bank_{bank}" for bank in range(ACT_BANKS))
    if domain.retention is Retention.REGISTERS:
        blocks = {"controller": MramController(config), "scrubber": Scrubber(config)}
        found = []
        for name, block in blocks.items():
            block._MustUse__used = True  # asked for its names only
            found += [f"{instance}/{name}/{register.name}" for register in block.retained]
        return tuple(found)
    return ()


def command(name: str, *words: str) -> str:
    """Lay out one command: options on lines of their own once it is long."""
    line = " ".join((name, *words))
    if len(line) <= 100:
        return line + "\n"
    first = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
    return " \\\n    ".join((" ".join((name, *words[:first])), *words[first:])) + "\n"


def heading(text: str) -> str:
    """Comment above a section."""
    return f"\n# {text}\n"


def array_supply(domain: PowerDomain) -> str:
    """Name of the supply that a retained array has for itself."""
    return f"{domain.name}_array"


def supplies(domains: tuple[PowerDomain, ...]) -> Iterator[str]:
    """Ports of the chip, a net and a set for every supply, the switched ones included."""
    yield heading("Supplies.  VDD_<domain> is behind the domain's header switches.")
    for net in ("VDD", "VSS"):
        yield command("create_supply_port", net, "-direction in")
        yield command("create_supply_net", net)
        yield command("connect_supply_net", net, f"-ports {{{net}}}")
    yield command("create_supply_set", "SS_aon", "-function {power VDD}", "-function {ground VSS}")
    for domain in domains:
        if domain.level is Level.ALWAYS_ON:
            continue
        names = [domain.name]
        if domain.retention is Retention.ARRAY:
            names.append(array_supply(domain))
        for name in names:
            yield command("create_supply_net", f"VDD_{name}")
            yield command(
                "create_supply_set", f"SS_{name}",
                f"-function {{power VDD_{name}}}", "-function {ground VSS}",
            )  # fmt: skip


def domain_lines(domains: tuple[PowerDomain, ...]) -> Iterator[str]:
    """Declare the domains; the one that is always on holds what no other does."""
    yield heading("Domains")
    for domain in domains:
        note = "" if domain.present else "  Not in this configuration: an empty domain."
        yield f"# {domain.name}: {domain.contents}.{note}\n"
        elements = "." if domain.level is Level.ALWAYS_ON else place(domain).instance
        yield command(
            "create_power_domain", f"PD_{domain.name}",
            f"-elements {{{elements}}}", f"-supply {{primary SS_{domain.name}}}",
        )  # fmt: skip


def switch(domain: PowerDomain) -> str:
    """Describe the header switches: all steps closed is on, the first few are a ramp, none is off.

    Any other combination is an error.  A macro acknowledges its wake-up itself; for all other
    domains the switches do.
    """
    where = place(domain)
    ports = [f"step{step}" for step in range(domain.steps)]
    closed = " && ".join(ports)
    words = [
        f"-domain PD_{domain.name}",
        "-input_supply_port {vin VDD}",
        f"-output_supply_port {{vout VDD_{domain.name}}}",
    ]
    for step, port in enumerate(ports):
        words.append(f"-control_port {{{port} {where.sequencer}switches[{step}]}}")
    if where.good:
        words.append(f"-ack_port {{ack {where.good} {{{closed}}}}}")
    words.append(f"-on_state {{closed vin {{{closed}}}}}")
    for count in range(1, domain.steps):
        states = [port if step < count else f"!{port}" for step, port in enumerate(ports)]
        words.append(f"-on_partial_state {{ramp{count} vin {{{' && '.join(states)}}}}}")
    words.append(f"-off_state {{open {{{' && '.join(f'!{port}' for port in ports)}}}}}")
    # A later step closed before an earlier one.
    wrong = [f"(!{first} && {second})" for first, second in itertools.pairwise(ports)]
    if wrong:
        words.append(f"-error_state {{out_of_order {{{' || '.join(wrong)}}}}}")
    return command("create_power_switch", f"SW_{domain.name}", *words)


def switches(domains: tuple[PowerDomain, ...]) -> Iterator[str]:
    """Describe the header switches, and those of retained arrays."""
    yield heading("Switches: step0 closes first; vout is the domain's supply")
    for domain in domains:
        if domain.level is Level.ALWAYS_ON:
            continue
        yield switch(domain)
        if domain.retention is Retention.ARRAY:
            name = array_supply(domain)
            yield command(
                "create_power_switch", f"SW_{name}", f"-domain PD_{domain.name}",
                "-input_supply_port {vin VDD}", f"-output_supply_port {{vout VDD_{name}}}",
                f"-control_port {{retain {place(domain).sequencer}retain}}",
                "-on_state {closed vin {retain}}", "-off_state {open {!retain}}",
            )  # fmt: skip


def isolation(domains: tuple[PowerDomain, ...]) -> Iterator[str]:
    """Hold the outputs of every switchable domain."""
    yield heading("Isolation: outputs are held outside of the domain while `isolate` is high")
    for domain in domains:
        if domain.level is not Level.ALWAYS_ON:
            yield command(
                "set_isolation", f"iso_{domain.name}", f"-domain PD_{domain.name}",
                "-applies_to outputs", f"-clamp_value {CLAMP}",
                f"-isolation_signal {place(domain).island}isolate", "-isolation_sense high",
                "-isolation_supply SS_aon", "-location parent",
            )  # fmt: skip


def retention(domains: tuple[PowerDomain, ...], config: ChipConfig) -> Iterator[str]:
    """Keep registers in shadows on the always-on supply, arrays on their own one."""
    yield heading("Retention")
    for domain in domains:
        words = [f"ret_{domain.name}", f"-domain PD_{domain.name}"]
        elements = retained_elements(domain, config)
        if elements:
            words.append(f"-elements {{{' '.join(elements)}}}")
        if domain.retention is Retention.REGISTERS:
            island = place(domain).island
            yield command(
                "set_retention", *words, "-retention_supply SS_aon",
                f"-save_signal {{{island}save high}}", f"-restore_signal {{{island}restore high}}",
            )  # fmt: skip
        elif domain.retention is Retention.ARRAY:
            yield command(
                "set_retention", *words, f"-retention_supply SS_{array_supply(domain)}",
                f"-retention_condition {{{place(domain).sequencer}retain}}",
            )  # fmt: skip


def states_of(domain: PowerDomain) -> dict[PowerState, str]:
    """States of a domain as expressions of its supplies.

    Without its supply a domain with retained registers is in RETAIN: whether the shadows are
    still wanted is not a matter of supplies.
    """
    name = domain.name
    if domain.level is Level.ALWAYS_ON:
        return {PowerState.ON: "SS_aon == ON"}
    on = {PowerState.ON: f"SS_{name} == ON"}
    if domain.retention is Retention.REGISTERS:
        return {**on, PowerState.RETAIN: f"SS_{name} == OFF && SS_aon == ON"}
    if domain.retention is Retention.ARRAY:
        array = f"SS_{array_supply(domain)}"
        return {
            **on,
            PowerState.RETAIN: f"SS_{name} == OFF && {array} == ON",
            PowerState.OFF: f"SS_{name} == OFF && {array} == OFF",
        }
    return {**on, PowerState.OFF: f"SS_{name} == OFF"}


def supply_states(domains: tuple[PowerDomain, ...]) -> Iterator[str]:
    """Voltages of ports and supply sets, and from them the states of the domains."""
    volts = [f"-state {{{name} {value}}}" for name, value in VOLTAGES.items()]
    yield heading("Port states, in V")
    yield command("add_port_state", "VDD", *volts)
    yield command("add_port_state", "VSS", "-state {ground 0.0}")
    names = []
    for domain in domains:
        if domain.level is not Level.ALWAYS_ON:
            names.append(domain.name)
            if domain.retention is Retention.ARRAY:
                names.append(array_supply(domain))
    for name in names:
        yield command("add_port_state", f"SW_{name}/vout", *volts, "-state {off off}")

    yield heading("States of the supply sets")
    levels = " || ".join(f"power == {{FULL_ON {value}}}" for value in VOLTAGES.values())
    grounded = "ground == {FULL_ON 0.0}"
    on = f"-state {{ON -supply_expr {{({levels}) && {grounded}}} -simstate NORMAL}}"
    off = f"-state {{OFF -supply_expr {{power == OFF && {grounded}}} -simstate CORRUPT}}"
    yield command("add_power_state", "-supply SS_aon", on)
    for name in names:
        yield command("add_power_state", f"-supply SS_{name}", on, off)

    yield heading("States of the domains; between them, while switches close, a domain has none")
    for domain in domains:
        yield command(
            "add_power_state", f"-domain PD_{domain.name}",
            *(
                f"-state {{{state.name} -logic_expr {{{expression}}}}}"
                for state, expression in states_of(domain).items()
            ),
        )  # fmt: skip


def mode_states(entry: ModeEntry, domain: PowerDomain) -> tuple[PowerState, ...]:
    """States that a mode leaves to a domain; of a domain's own states, in their order."""
    own = tuple(states_of(domain))
    if domain.level is Level.ALWAYS_ON or domain.name in entry.on:
        return (PowerState.ON,)
    if domain.level is Level.FAST:
        permitted = domain.name.startswith(entry.permits) if entry.permits else False
        return own if permitted else tuple(state for state in own if state is not PowerState.ON)
    return (PowerState.RETAIN,) if PowerState.RETAIN in own else (PowerState.OFF,)


def mode_expression(entry: ModeEntry, domains: tuple[PowerDomain, ...]) -> str:
    """Say what a mode fixes; a domain that is free, also to ramp, is left out."""
    terms = []
    for domain in domains:
        allowed = mode_states(entry, domain)
        if allowed == tuple(states_of(domain)) and len(allowed) > 1:
            continue
        choices = [f"PD_{domain.name} == {state.name}" for state in allowed]
        terms.append(choices[0] if len(choices) == 1 else f"({' || '.join(choices)})")
    return " && ".join(terms)


def modes(domains: tuple[PowerDomain, ...]) -> Iterator[str]:
    """Write the modes of the PMU."""
    yield heading("Modes.  Domains that a mode does not name are in any state, or between two.")
    yield command("create_power_state_group", "modes")
    for mode in Mode:
        yield command(
            "add_power_state", "-group modes",
            f"-state {{{mode.name} -logic_expr {{{mode_expression(MODES[mode], domains)}}}}}",
        )  # fmt: skip


def power_intent(config: ChipConfig) -> str:
    """Return the UPF text of one configuration."""
    domains = power_domains(config)
    return "".join(
        [
            f"# Power intent of MMSP, configuration {config.name}; generated: `make upf`.\n",
            command("upf_version", "3.0"),
            command("set_design_top", TOP),
            command("set_scope", "."),
            *supplies(domains), *domain_lines(domains), *switches(domains), *isolation(domains),
            *retention(domains, config), *supply_states(domains), *modes(domains),
        ]
    )  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Write the files of one configuration, or of all."""
    parser = argparse.ArgumentParser(prog="python -m hdl.power.upf", description=__doc__)
    parser.add_argument(
        "--config", type=str.upper, choices=list(CONFIGS),
        help="configuration of the chip (default: one file each)",
    )  # fmt: skip
    chosen = parser.parse_args(arguments).config
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for config in [CONFIGS[chosen]] if chosen else CONFIGS.values():
            path = FOLDER / f"mmsp_{config.name.lower()}.upf"
            path.write_text(power_intent(config))
            print(path)
    except OSError as error:
        print(f"The power intent cannot be written: {error}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
