"""What a UPF file says, against the description of the domains: `check` lists all that is wrong."""

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from upf_parser import Command, evaluate, names_in, parse, split_list, state_options

from hdl.config import ChipConfig
from hdl.power.domains import (
    MODES,
    Level,
    PowerDomain,
    PowerState,
    Retention,
    power_domains,
)
from hdl.power.upf import place, retained_elements

UP, RAMP, DOWN = "{FULL_ON 0.8}", "PARTIAL_ON", "OFF"


@dataclass
class Intent:
    """Objects of a file, by name; filled in the order of the commands."""

    problems: list[str] = field(default_factory=list)
    ports: dict[str, Command] = field(default_factory=dict)
    nets: dict[str, Command] = field(default_factory=dict)
    sets: dict[str, dict[str, str]] = field(default_factory=dict)
    domains: dict[str, Command] = field(default_factory=dict)
    switches: dict[str, Command] = field(default_factory=dict)
    isolations: dict[str, Command] = field(default_factory=dict)
    retentions: dict[str, Command] = field(default_factory=dict)
    groups: dict[str, Command] = field(default_factory=dict)
    port_states: dict[str, dict[str, str]] = field(default_factory=dict)
    states: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of supply sets, domains and groups: state and its expression."""

    def add(self, table: str, command: Command, value: object = None) -> None:
        """Create an object; a second one of its name is a problem."""
        objects = getattr(self, table)
        (name,) = command.names
        if name in objects:
            self.problems.append(f"line {command.line}: {name} is there twice")
        objects[name] = command if value is None else value

    def need(self, table: str, name: str, command: Command) -> None:
        """An object must be there already."""
        if name not in getattr(self, table):
            self.problems.append(f"line {command.line}: {name} is not in {table}")


def load(text: str) -> Intent:
    """Follow the commands and check that each one's references are there by then."""
    intent = Intent()
    for command in parse(text):
        handler = HANDLERS.get(command.name)
        if handler:
            handler(intent, command)
    return intent


def connect(intent: Intent, command: Command) -> None:
    intent.need("nets", command.names[0], command)
    for port in split_list(command.one("-ports")):
        intent.need("ports", port, command)


def supply_set(intent: Intent, command: Command) -> None:
    functions = dict(command.lists("-function"))
    for net in functions.values():
        intent.need("nets", net, command)
    if set(functions) != {"power", "ground"}:
        intent.problems.append(f"line {command.line}: {command.names[0]} is no supply")
    intent.add("sets", command, functions)


def domain(intent: Intent, command: Command) -> None:
    for _, supply in command.lists("-supply"):
        intent.need("sets", supply, command)
    intent.add("domains", command)


def switch(intent: Intent, command: Command) -> None:
    intent.need("domains", command.one("-domain"), command)
    for _, net in command.lists("-input_supply_port") + command.lists("-output_supply_port"):
        intent.need("nets", net, command)
    for port, _ in command.lists("-input_supply_port") + command.lists("-output_supply_port"):
        intent.ports[f"{command.names[0]}/{port}"] = command
    inputs = {port for port, _ in command.lists("-input_supply_port")}
    controls = {port for port, _ in command.lists("-control_port")}
    for option in ("-on_state", "-on_partial_state", "-off_state", "-error_state", "-ack_port"):
        for _, *middle, expression in command.lists(option):
            if option.startswith("-on") and middle[0] not in inputs:
                intent.problems.append(f"line {command.line}: no input {middle[0]}")
            unknown = names_in(expression) - controls
            if unknown:
                intent.problems.append(f"line {command.line}: no control {unknown}")
    intent.add("switches", command)


def isolation(intent: Intent, command: Command) -> None:
    intent.need("domains", command.one("-domain"), command)
    intent.need("sets", command.one("-isolation_supply"), command)
    intent.add("isolations", command)


def retention(intent: Intent, command: Command) -> None:
    intent.need("domains", command.one("-domain"), command)
    intent.need("sets", command.one("-retention_supply"), command)
    intent.add("retentions", command)


def port_state(intent: Intent, command: Command) -> None:
    intent.need("ports", command.names[0], command)
    intent.add("port_states", command, dict(command.lists("-state")))


def power_state(intent: Intent, command: Command) -> None:
    """Add states; what an expression compares must exist, and have the state compared with."""
    tables = {"-supply": "sets", "-domain": "domains", "-group": "groups"}
    (kind,) = command.options.keys() - {"-state"}
    owner = command.one(kind)
    intent.need(tables[kind], owner, command)
    option = "-supply_expr" if kind == "-supply" else "-logic_expr"
    for value in command.options["-state"]:
        name, expression = split_list(value)[0], state_options(value).get(option)
        if expression is None:
            intent.problems.append(f"line {command.line}: {owner}.{name} has no {option}")
            continue
        simstate = {"ON": "NORMAL", "OFF": "CORRUPT"}.get(name) if kind == "-supply" else None
        if state_options(value).get("-simstate") != simstate:
            intent.problems.append(f"line {command.line}: {owner}.{name} -simstate")
        states = intent.states.setdefault(owner, {})
        if name in states:
            intent.problems.append(f"line {command.line}: {owner}.{name} is there twice")
        states[name] = expression
        for thing in names_in(expression):
            if kind == "-supply" and thing in {"power", "ground"}:
                continue
            if thing not in intent.states:
                intent.problems.append(f"line {command.line}: {thing} has no states")
        for thing, state in re.findall(r"(\w+) == (\w+)", expression):
            if kind != "-supply" and state not in intent.states.get(thing, ()):
                intent.problems.append(f"line {command.line}: {thing} has no state {state}")


HANDLERS: dict[str, Callable[[Intent, Command], None]] = {
    "create_supply_port": lambda intent, command: intent.add("ports", command),
    "create_supply_net": lambda intent, command: intent.add("nets", command),
    "connect_supply_net": connect,
    "create_supply_set": supply_set,
    "create_power_domain": domain,
    "create_power_switch": switch,
    "set_isolation": isolation,
    "set_retention": retention,
    "add_port_state": port_state,
    "create_power_state_group": lambda intent, command: intent.add("groups", command),
    "add_power_state": power_state,
}


def check(text: str, config: ChipConfig) -> list[str]:
    """All that is wrong with a file for a configuration."""
    intent = load(text)
    domains = power_domains(config)
    found = list(intent.problems)
    expected = {f"PD_{d.name}" for d in domains}
    found += [f"domain {name}" for name in sorted(expected ^ set(intent.domains))]
    if not found:
        for d in domains:
            found += [f"{d.name}: {problem}" for problem in check_domain(intent, d, config)]
        found += check_supplies(intent)
        found += check_modes(intent, domains)
        found += check_counts(intent, domains)
    return found


def primary(intent: Intent, d: PowerDomain) -> str:
    """Supply set of a domain's logic."""
    return dict(intent.domains[f"PD_{d.name}"].lists("-supply"))["primary"]


def strategies(table: dict[str, Command], d: PowerDomain) -> list[Command]:
    return [command for command in table.values() if command.one("-domain") == f"PD_{d.name}"]


def check_domain(intent: Intent, d: PowerDomain, config: ChipConfig) -> Iterator[str]:
    """One domain: elements, supply, switches, isolation, retention, states."""
    elements = split_list(intent.domains[f"PD_{d.name}"].one("-elements"))
    power = intent.sets[primary(intent, d)]
    switches = strategies(intent.switches, d)
    isolations, retentions = strategies(intent.isolations, d), strategies(intent.retentions, d)
    if power["ground"] != "VSS":
        yield "ground"
    if d.level is Level.ALWAYS_ON:
        if elements != ["."] or power["power"] != "VDD" or switches or isolations or retentions:
            yield "is always on"
        states = intent.states.get("PD_aon", {})
        if list(states) != ["ON"] or [
            names_in(states["ON"]) <= {"SS_aon"} and evaluate(states["ON"], {"SS_aon": value})
            for value in ("ON", "")
        ] != [True, False]:
            yield "states"
        return
    where = place(d)
    if elements != ([where.instance] if d.present else []):
        yield f"elements {elements}"
    by_output = {command.lists("-output_supply_port")[0][1]: command for command in switches}
    main = by_output.pop(power["power"], None)
    if main is None:
        yield "no switch drives the primary supply"
        return
    yield from check_switch(main, d)
    if len(isolations) != 1:
        yield f"{len(isolations)} isolation strategies"
    for command in isolations:
        wanted = {
            "-applies_to": "outputs", "-clamp_value": "0", "-isolation_sense": "high",
            "-isolation_signal": f"{where.island}isolate", "-isolation_supply": "SS_aon",
            "-location": "parent",
        }  # fmt: skip
        yield from (f"isolation: {key}" for key, v in wanted.items() if command.one(key) != v)
    array = yield from check_retention(intent, d, config, retentions, by_output)
    if by_output:
        yield f"switches of {sorted(by_output)}"
    yield from check_states(intent, d, array)


def check_switch(command: Command, d: PowerDomain) -> Iterator[str]:
    """The header switches: wires, and what every combination of the steps means."""
    if [net for _, net in command.lists("-input_supply_port")] != ["VDD"]:
        yield "switch: input"
    ports = [port for port, _ in command.lists("-control_port")]
    if [net for _, net in command.lists("-control_port")] != [
        f"{place(d).sequencer}switches[{step}]" for step in range(d.steps)
    ]:
        yield "switch: control ports"
    states = [
        (option, expression)
        for option in ("-on_state", "-on_partial_state", "-off_state", "-error_state")
        for *_, expression in command.lists(option)
    ]
    for closed in itertools.product((False, True), repeat=len(ports)):
        values = dict(zip(ports, closed, strict=True))
        options = [option for option, expression in states if evaluate(expression, values)]
        in_order = list(closed) == sorted(closed, reverse=True)
        wanted = "-on_partial_state" if in_order else "-error_state"
        wanted = "-on_state" if all(closed) else wanted if any(closed) else "-off_state"
        if options != [wanted]:
            yield f"switch: {closed} is {options}"
        if any(evaluate(ack[-1], values) != all(closed) for ack in command.lists("-ack_port")):
            yield f"switch: acknowledges {closed}"
    ack = command.lists("-ack_port")
    if d.retention is Retention.NON_VOLATILE:
        if ack:
            yield "switch: a macro acknowledges itself"
    elif [words[1:-1] for words in ack] != [[place(d).good]]:
        yield "switch: acknowledge"


def check_retention(
    intent: Intent, d: PowerDomain, config: ChipConfig, retentions: list[Command],
    by_output: dict[str, Command],
):  # fmt: skip
    """What is kept, and on which supply; returns the set of an array's supply."""
    island, sequencer = place(d).island, place(d).sequencer
    if d.retention not in (Retention.REGISTERS, Retention.ARRAY):
        if retentions:
            yield "has nothing to retain"
        return None
    if len(retentions) != 1:
        yield f"{len(retentions)} retention strategies"
        return None
    (command,) = retentions
    supply = command.one("-retention_supply")
    elements = [name for names in command.lists("-elements") for name in names]
    if elements != list(retained_elements(d, config)) or bool(elements) != d.present:
        yield f"retained elements {elements}"
    saved = [*command.lists("-save_signal"), *command.lists("-restore_signal")]
    condition = command.options.get("-retention_condition", ())
    if d.retention is Retention.REGISTERS:
        if saved != [[f"{island}save", "high"], [f"{island}restore", "high"]] or condition:
            yield "save and restore"
        if intent.sets[supply]["power"] != "VDD":
            yield "shadows are on a supply that is switched"
        return None
    if saved or condition != (f"{sequencer}retain",):
        yield "retain"
    switch_of_array = by_output.pop(intent.sets[supply]["power"], None)
    if switch_of_array is None:
        yield "no switch drives the array's supply"
        return None
    if [net for _, net in switch_of_array.lists("-control_port")] != [f"{sequencer}retain"]:
        yield "array switch: control"
    for value in (False, True):
        states = [
            option
            for option in ("-on_state", "-off_state")
            for *_, expression in switch_of_array.lists(option)
            if evaluate(expression, dict.fromkeys(names_in(expression), value))
        ]
        if states != ["-on_state" if value else "-off_state"]:
            yield f"array switch: {states} while retain is {value}"
    return supply


def check_states(intent: Intent, d: PowerDomain, array: str | None) -> Iterator[str]:
    """For every combination of its supplies a domain has the right state, or none."""
    retained = d.retention in (Retention.REGISTERS, Retention.ARRAY)
    sets = [primary(intent, d), *([array] if array else []), "SS_aon"]
    for levels in itertools.product((UP, RAMP, DOWN), repeat=len(sets) - 1):
        supplies = dict(zip(sets, (*levels, UP), strict=True))
        state = {name: {UP: "ON", RAMP: "", DOWN: "OFF"}[level] for name, level in supplies.items()}
        logic = intent.states.get(f"PD_{d.name}", {})
        holds = [s for s, expr in logic.items() if evaluate(expr, state)]
        kept = supplies[array] if array else (UP if retained else DOWN)
        below = {UP: ["RETAIN"], RAMP: [], DOWN: ["OFF"]}[kept]
        wanted = {UP: ["ON"], RAMP: [], DOWN: below}[levels[0]]
        if holds != wanted:
            yield f"is {holds} with {supplies}"


def check_supplies(intent: Intent) -> Iterator[str]:
    """Supply sets are on at each of the voltages, off without, and neither while they ramp."""
    for name in intent.sets:
        for power, ground in itertools.product((UP, "{FULL_ON 0.6}", RAMP, DOWN), (True, False)):
            values = {"power": power, "ground": "{FULL_ON 0.0}" if ground else "OFF"}
            holds = [s for s, expr in intent.states.get(name, {}).items() if evaluate(expr, values)]
            wanted = ["OFF"] if power == DOWN and name != "SS_aon" else []
            wanted = ["ON"] if power.startswith("{") else wanted
            if holds != (wanted if ground else []):
                yield f"{name} is {holds} with {values}"


def allowed_states(mode_entry, d: PowerDomain) -> set[str]:
    """What a mode leaves to a domain; the empty string: between two states."""
    kept = d.retention in (Retention.REGISTERS, Retention.ARRAY)
    every = {"ON", "OFF", ""} | ({"RETAIN"} if kept else set())
    if d.level is Level.ALWAYS_ON or d.name in mode_entry.on:
        return {"ON"}
    if d.level is Level.COARSE:
        return {"RETAIN"} if kept else {"OFF"}
    if any(d.name.startswith(prefix) for prefix in mode_entry.permits):
        return every
    return every - {"ON", ""}


def check_modes(intent: Intent, domains: tuple[PowerDomain, ...]) -> Iterator[str]:
    """Each mode allows each domain exactly the states that `MODES` has for it."""
    if list(intent.groups) != ["modes"]:
        yield "no group of modes"
        return
    modes = intent.states.get("modes", {})
    if set(modes) != {mode.name for mode in MODES}:
        yield f"modes {sorted(modes)}"
        return
    everything = {"", *(state.name for state in PowerState)}
    for mode, entry in MODES.items():
        base = {f"PD_{d.name}": min(allowed_states(entry, d) - {""}) for d in domains}
        for d in domains:
            states = {
                state
                for state in everything
                if evaluate(modes[mode.name], {**base, f"PD_{d.name}": state})
            }
            wanted = allowed_states(entry, d)
            if states != (everything if "" in wanted else wanted):
                yield f"{mode.name}: {d.name} in {sorted(states)}"
        also = [name for name, expression in modes.items() if evaluate(expression, base)]
        if also != [mode.name]:
            yield f"{mode.name} is {also}"


def check_counts(intent: Intent, domains: tuple[PowerDomain, ...]) -> Iterator[str]:
    """Nothing is there that no domain asks for, and every supply port has its states."""
    arrays = sum(d.retention is Retention.ARRAY for d in domains)
    switched = len(domains) - 1
    counts = {
        "ports": 2 + 2 * (switched + arrays), "nets": 2 + switched + arrays,
        "sets": 1 + switched + arrays, "switches": switched + arrays, "isolations": switched,
        "port_states": 2 + switched + arrays,
    }  # fmt: skip
    for table, count in counts.items():
        if len(getattr(intent, table)) != count:
            yield f"{len(getattr(intent, table))} {table}, not {count}"
    for port, states in intent.port_states.items():
        volts = (
            {"0.8", "0.6", "off"} if "/" in port else {"0.0"} if port == "VSS" else {"0.8", "0.6"}
        )
        if set(states.values()) != volts:
            yield f"{port}: states {states}"
