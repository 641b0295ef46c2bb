"""A parser for the commands of IEEE 1801 (UPF 3.0) that the chip's power intent uses.

UPF is Tcl.  What is read here: words, quotes, braces, lists, continuation lines and comments; no
substitution, so ``$`` and ``[`` outside of braces are refused.  Commands, options, their number
and their values' form are checked against the standard's syntax; whatever is not in the tables
below is refused.
"""

import functools
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

BOOLEAN = re.compile(r"\s*(\|\||&&|==|!=|!|\(|\)|\{[^{}]*\}|[\w./]+(?:\[\d+\])?)")

BRACE = re.compile(r"[{}]")
ONE, MANY, OPTIONAL = "one", "many", "optional"

COMMANDS: dict[str, tuple[int, dict[str, str]]] = {
    "upf_version": (1, {}),
    "set_design_top": (1, {}),
    "set_scope": (1, {}),
    "create_supply_port": (1, {"-direction": OPTIONAL}),
    "create_supply_net": (1, {"-resolve": OPTIONAL}),
    "connect_supply_net": (1, {"-ports": ONE}),
    "create_supply_set": (1, {"-function": MANY}),
    "create_power_domain": (1, {"-elements": ONE, "-supply": MANY}),
    "create_power_switch": (
        1,
        {
            "-domain": ONE,
            "-input_supply_port": MANY,
            "-output_supply_port": ONE,
            "-control_port": MANY,
            "-ack_port": OPTIONAL,
            "-on_state": MANY,
            "-on_partial_state": "any",
            "-off_state": "any",
            "-error_state": "any",
        },
    ),
    "set_isolation": (
        1,
        {
            "-domain": ONE,
            "-applies_to": ONE,
            "-clamp_value": ONE,
            "-isolation_signal": ONE,
            "-isolation_sense": ONE,
            "-isolation_supply": ONE,
            "-location": ONE,
        },
    ),
    "set_retention": (
        1,
        {
            "-domain": ONE,
            "-elements": OPTIONAL,
            "-retention_supply": ONE,
            "-save_signal": OPTIONAL,
            "-restore_signal": OPTIONAL,
            "-retention_condition": OPTIONAL,
        },
    ),
    "add_port_state": (1, {"-state": MANY}),
    "create_power_state_group": (1, {}),
    "add_power_state": (
        0,
        {"-supply": OPTIONAL, "-domain": OPTIONAL, "-group": OPTIONAL, "-state": MANY},
    ),
}
"""Number of names that follow a command, and how often each of its options comes."""

VALUES = {
    "-direction": {"in", "out", "inout"},
    "-applies_to": {"inputs", "outputs", "both"},
    "-clamp_value": {"0", "1", "Z", "latch"},
    "-isolation_sense": {"high", "low"},
    "-location": {"self", "other", "parent", "fanout"},
}

LENGTHS = {
    "-function": {2}, "-supply": {2}, "-input_supply_port": {2}, "-output_supply_port": {2},
    "-control_port": {2}, "-ack_port": {2, 3}, "-on_state": {3}, "-on_partial_state": {3},
    "-off_state": {2}, "-error_state": {2}, "-save_signal": {2}, "-restore_signal": {2},
}  # fmt: skip
"""Elements of the list that an option takes; ``-supply`` and ``-state`` depend on the command."""


class UpfError(ValueError):
    """The text is not UPF, or not of the subset."""


@dataclass(frozen=True)
class Command:
    """One command: its names, its options' values in their order, and its first line's number."""

    name: str
    names: tuple[str, ...]
    options: Mapping[str, tuple[str, ...]]
    line: int

    def one(self, option: str) -> str:
        """Value of an option that is there once."""
        (value,) = self.options[option]
        return value

    def lists(self, option: str) -> list[list[str]]:
        """Values of an option that takes lists; none if it is absent."""
        return [split_list(value) for value in self.options.get(option, ())]


def braced(text: str, start: int) -> int:
    """Index behind the brace that closes the one at ``start``."""
    depth = 0
    for found in BRACE.finditer(text, start):
        depth += 1 if found[0] == "{" else -1
        if depth == 0:
            return found.end()
    raise UpfError(f"line {text.count(chr(10), 0, start) + 1}: a brace is not closed")


def word_at(text: str, index: int) -> tuple[str, int]:
    """Read the word that begins at ``index``, without its braces or quotes, and where it ends."""

    def error(what: str) -> UpfError:
        return UpfError(f"line {text.count(chr(10), 0, index) + 1}: {what}")

    if text[index] in '{"':
        if text[index] == "{":
            end = braced(text, index)
        else:
            end = text.find('"', index + 1) + 1
            if end == 0:
                raise error("a quote is not closed")
        if end < len(text) and not text[end].isspace() and text[end] != ";":
            raise error(f"{text[end]!r} follows a closing {text[end - 1]!r}")
        return text[index + 1 : end - 1], end
    found = re.compile(r"[^\s;\\]+").match(text, index)
    if not found:
        raise error(f"{text[index]!r} begins no word")
    return found[0], found.end()


def words_of(text: str) -> Iterator[tuple[int, list[str]]]:
    """Split a script into commands: line number and words of each."""
    index, line, words, counted = 0, 1, [], 0
    while index < len(text):
        if text[index] in "\n;":
            if words:
                yield line, words
            words, index = [], index + 1
        elif text.startswith("\\\n", index):
            index += 2
        elif text[index].isspace():
            index += 1
        elif text[index] == "#" and not words:
            index = text.find("\n", index) % (len(text) + 1)
        else:
            begin = index
            if not words:
                line += text.count("\n", counted, index)
                counted = index
            word, index = word_at(text, index)
            if text[begin] != "{" and re.search(r"[$\[\]{}]", word):
                raise UpfError(f"line {line}: {word!r} needs a substitution")
            words.append(word)
    if words:
        yield line, words


def split_list(text: str) -> list[str]:
    """Split a Tcl list into its elements."""
    elements, index = [], 0
    while index < len(text):
        if text[index].isspace():
            index += 1
        else:
            word, index = word_at(text, index)
            elements.append(word)
    return elements


def parse(text: str) -> list[Command]:
    """Read a script.

    Raises
    ------
    UpfError
        An unknown command or option, one that is missing or there too often, a value that the
        standard does not have, or text that is not Tcl.
    """
    commands = []
    for line, (name, *words) in words_of(text):
        if name not in COMMANDS:
            raise UpfError(f"line {line}: unknown command {name!r}")
        count, known = COMMANDS[name]
        names = list(itertools.takewhile(lambda word: not word.startswith("-"), words))
        if len(names) != count:
            raise UpfError(f"line {line}: {name} takes {count} names, not {len(names)}")
        options: dict[str, list[str]] = {}
        rest = iter(words[count:])
        for option in rest:
            if option not in known:
                raise UpfError(f"line {line}: {name} has no option {option!r}")
            value = next(rest, None)
            if value is None:
                raise UpfError(f"line {line}: {option} has no value")
            check_value(line, name, option, value)
            options.setdefault(option, []).append(value)
        for option, number in known.items():
            there = len(options.get(option, ()))
            allowed = {ONE: there == 1, MANY: there >= 1, OPTIONAL: there <= 1, "any": True}
            if not allowed[number]:
                raise UpfError(f"line {line}: {name} has {option} {there} times")
        if name == "add_power_state" and len(options) != 2:
            raise UpfError(f"line {line}: {name} takes one of -supply, -domain, -group")
        commands.append(
            Command(name, tuple(names), {key: tuple(v) for key, v in options.items()}, line)
        )
    return commands


def check_value(line: int, name: str, option: str, value: str) -> None:
    """Refuse a value that the option does not take."""
    if option in VALUES and value not in VALUES[option]:
        raise UpfError(f"line {line}: {option} is not {value!r}")
    if name == "add_power_state":
        if option == "-state":
            check_power_state(line, value)
    elif option in LENGTHS and len(split_list(value)) not in LENGTHS[option]:
        raise UpfError(f"line {line}: {option} does not take {value!r}")
    if name == "add_port_state" and option == "-state":
        _, *levels = split_list(value)
        if len(levels) != 1 or not re.fullmatch(r"off|\d+\.\d+", levels[0]):
            raise UpfError(f"line {line}: {value!r} is no state of a port")


def check_power_state(line: int, value: str) -> None:
    """Refuse what is no state: a name, then ``-supply_expr``, ``-logic_expr``, ``-simstate``."""
    words = split_list(value)
    options = words[1::2]
    known = {"-supply_expr", "-logic_expr", "-simstate"}
    if len(words) % 2 == 0 or not set(options) <= known or len(set(options)) != len(options):
        raise UpfError(f"line {line}: {value!r} is no power state")
    simstate = state_options(value).get("-simstate", "NORMAL")
    if simstate not in {"NORMAL", "CORRUPT"}:
        raise UpfError(f"line {line}: -simstate is not {simstate!r}")


def state_options(value: str) -> dict[str, str]:
    """Options of a power state, without its name."""
    words = split_list(value)
    return dict(zip(words[1::2], words[2::2], strict=True))


@functools.cache
def tokens(expression: str) -> tuple[str, ...]:
    """Split a Boolean expression."""
    found, index = [], 0
    expression = expression.strip()
    while index < len(expression):
        token = BOOLEAN.match(expression, index)
        if not token:
            raise UpfError(f"{expression!r}: nothing begins with {expression[index]!r}")
        found.append(token[1])
        index = token.end()
    return tuple(found)


def names_in(expression: str) -> set[str]:
    """Everything that an expression names, the values that it compares with left out."""
    found = tokens(expression)
    return {
        token
        for before, token in itertools.pairwise(("", *found))
        if re.match(r"[A-Za-z_]", token) and before not in {"==", "!="}
    }


def evaluate(expression: str, values: Mapping[str, str | bool]) -> bool:
    """Evaluate a Boolean expression; precedence as in SystemVerilog: ``!``, ``==``, ``&&``, ``||``.

    ``values`` has every name's value; literals in braces, as ``{FULL_ON 0.8}``, are values.
    """
    rest = list(tokens(expression))

    def take(*wanted: str) -> str | None:
        return rest.pop(0) if rest and rest[0] in wanted else None

    def either() -> str | bool:
        value = both()
        while take("||"):
            other = both()
            value = bool(value) or bool(other)
        return value

    def both() -> str | bool:
        value = comparison()
        while take("&&"):
            other = comparison()
            value = bool(value) and bool(other)
        return value

    def comparison() -> str | bool:
        value = operand()
        operator = take("==", "!=")
        if operator is None:
            if isinstance(value, str):
                raise UpfError(f"{expression!r}: {value!r} is not compared")
            return value
        if not rest or not re.match(r"[\w{]", rest[0]):
            raise UpfError(f"{expression!r}: {operator} has no value")
        return (value == rest.pop(0)) == (operator == "==")

    def operand() -> str | bool:
        if take("!"):
            return not operand()
        if take("("):
            value = either()
            if not take(")"):
                raise UpfError(f"{expression!r}: a parenthesis is not closed")
            return value
        name = rest.pop(0) if rest else ""
        if name not in values:
            raise UpfError(f"{expression!r}: what is {name!r}?")
        return values[name]

    result = either()
    if rest:
        raise UpfError(f"{expression!r}: {rest[0]!r} is too much")
    return bool(result)
