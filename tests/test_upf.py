import random
import re
from collections import Counter
from dataclasses import replace

import pytest
from amaranth.back import rtlil
from upf_checker import check
from upf_parser import UpfError, evaluate, parse, split_list, words_of

from hdl.config import CONFIGS, SMALL
from hdl.power.domains import power_domains
from hdl.power.upf import main, power_intent
from hdl.soc.chip import Chip

FEW = replace(SMALL, mram_banks=2, activation_segments=1)  # a domain of each kind
TEXT = power_intent(FEW)


def commands(text: str) -> list[str]:
    """The text of each command, comments and empty lines left out."""
    lines = [line for line in text.replace("\\\n", "\0").splitlines() if line[:1] not in ("", "#")]
    return [line.replace("\0", "\\\n") for line in lines]


def problems(text: str) -> list[str]:
    try:
        return check(text, FEW)
    except UpfError as error:
        return [str(error)]


@pytest.mark.parametrize("name", CONFIGS)
def test_says_what_the_description_says(name):
    config = CONFIGS[name]
    text = power_intent(config)
    assert check(text, config) == []
    parsed = parse(text)
    assert sum(command.name == "create_power_domain" for command in parsed) == len(
        power_domains(config)
    )
    assert [command.name for command in parsed] == [line.split()[0] for line in commands(text)]


def test_configurations_differ():
    assert check(power_intent(CONFIGS["ECP5"]), SMALL)


def test_every_command_is_needed():
    """Without any of its commands the file is wrong; the first three only set the scene."""
    lines = commands(TEXT)
    assert problems("\n".join(lines)) == []
    connections = 0
    for index, line in enumerate(lines):
        if line.startswith("connect_supply_net"):  # nothing refers to a connection
            connections += 1
        elif index >= 3:
            assert problems("\n".join(lines[:index] + lines[index + 1 :])), f"without {line}"
    assert connections == 2
    assert len(lines) > 100


def test_no_command_is_there_twice():
    lines = commands(TEXT)
    for index, line in enumerate(lines[3:], 3):
        if not line.startswith("connect_supply_net"):
            assert problems("\n".join([*lines[:index], line, *lines[index:]])), f"twice: {line}"


def test_every_option_is_needed():
    """Three of each kind, of the commands for domains of different kinds."""
    checked = Counter()
    lines = commands(TEXT)
    for index, line in enumerate(lines):
        for option in re.findall(r"\s-\w+ (?:\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}|\S+)", line):
            kind = line.split()[0], option.split()[0]
            if option.strip() == "-direction in" or checked[kind] == 3:  # "in" is the default
                continue
            text = "\n".join([*lines[:index], line.replace(option, "", 1), *lines[index + 1 :]])
            assert problems(text), f"{line} without {option}"
            checked[kind] += 1
    options = {(command.name, option) for command in parse(TEXT) for option in command.options} - {
        ("create_supply_port", "-direction")
    }
    assert checked.keys() == options


def test_a_wrong_word_is_seen():
    """Each word but states' names, replaced by another one of the file of the same kind."""
    seed = 20261123
    print("seed", seed)
    draw = random.Random(seed)
    body = [
        line for line in commands(TEXT) if not line.startswith(("upf_", "set_design", "set_sc"))
    ]
    changed = 0
    kinds = [
        r"PD_\w+", r"SS_\w+", r"VDD_\w+", r"\w+/control__\w+", r"\bstep\d", r"\bON\b",
        r"\bOFF\b", r"\bRETAIN\b", r"&&", r"\|\|", r"==", r"\bhigh\b", r"!step\d",
        r"switches\[\d\]",
    ]  # fmt: skip
    swaps = {
        "ON": "OFF", "OFF": "ON", "RETAIN": "ON", "&&": "||", "||": "&&", "==": "!=", "high": "low",
    }  # fmt: skip
    for kind in kinds:
        spots = [
            (index, found) for index, line in enumerate(body) for found in re.finditer(kind, line)
        ]
        assert spots, kind
        words = sorted({found[0] for _, found in spots})
        for index, found in draw.sample(spots, min(len(spots), 8)):
            old = found[0]
            new = swaps.get(old) or draw.choice([word for word in words if word != old])
            line = body[index]
            line = line[: found.start()] + new + line[found.end() :]
            text = "\n".join([*body[:index], line, *body[index + 1 :]])
            assert problems(text), f"{body[index]}: {old} -> {new}"
            changed += 1
    assert changed > 100


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("create_power_domian PD -elements {}", "unknown command 'create_power_domian'"),
        ("create_supply_net VDD -colour red", "create_supply_net has no option '-colour'"),
        ("create_supply_net", "takes 1 names, not 0"),
        ("create_supply_net A B", "takes 1 names, not 2"),
        ("create_supply_port A -direction", "-direction has no value"),
        ("create_supply_port A -direction up", "-direction is not 'up'"),
        ("create_supply_set S", "has -function 0 times"),
        ("create_supply_set S -function {power}", "-function does not take 'power'"),
        ("create_supply_set S -function {power VDD", "a brace is not closed"),
        ('create_supply_net "VDD', "a quote is not closed"),
        ("create_supply_net {VDD}x", "'x' follows a closing '}'"),
        ("create_supply_net $VDD", "needs a substitution"),
        ("\n\ncreate_supply_net [vdd]", "line 3: '.vdd.' needs a substitution"),
        ("add_power_state -state {A -logic_expr {x}}", "takes one of -supply, -domain, -group"),
        ("add_port_state VDD -state {on high}", "is no state of a port"),
        ("add_power_state -group g -state {A -logic {x}}", "is no power state"),
        ("add_power_state -supply s -state {A -simstate BROKEN}", "-simstate is not 'BROKEN'"),
    ],
)
def test_what_is_no_upf_is_refused(text, message):
    with pytest.raises(UpfError, match=message):
        parse(text)


def test_tcl():
    script = '# one; {\ncreate "a b" {c {d e}} \\\n  -x {\n y } ; set_scope . # not a comment\n'
    assert list(words_of(script)) == [
        (2, ["create", "a b", "c {d e}", "-x", "\n y "]),
        (4, ["set_scope", ".", "#", "not", "a", "comment"]),
    ]
    assert split_list('a {b c} "d e" {}') == ["a", "b c", "d e", ""]
    assert parse("") == []


def test_expressions():
    values = {"a": True, "b": False, "s": "ON", "power": "{FULL_ON 0.8}"}
    assert evaluate("a || b && b", values)
    assert not evaluate("(a || b) && b", values)
    assert evaluate("!b && s == ON && power == {FULL_ON 0.8}", values)
    assert not evaluate("s != ON", values)
    for wrong in ("a &&", "c", "(a", "a b", "s", "s ==", "a @ b"):
        with pytest.raises(UpfError):
            evaluate(wrong, values)


def modules_of(text: str) -> dict[str, tuple[dict[str, int], dict[str, str]]]:
    """Wires and memories with their widths, and instances with their modules, of an RTLIL text."""
    modules = {}
    for line in text.splitlines():
        words = line.split()
        match words:
            case ["module", name]:
                wires, instances = modules[name[1:]] = {}, {}
            case ["wire" | "memory", *options, name]:
                width = options[options.index("width") + 1] if "width" in options else 1
                wires[name[1:]] = int(width)
            case ["cell", kind, name]:
                instances[name[1:]] = kind[1:]
    return modules


@pytest.mark.sim  # half a minute
def test_names_are_in_the_chip():
    """Instances, wires, registers and memories exist under the names that the file has for them."""
    text = rtlil.convert(Chip(SMALL, power_aware=False), name="chip", emit_src=False)
    modules = modules_of(text)

    def widths(path: str) -> int | None:
        """Width of a wire or memory, 0 for an instance; None: there is no such thing."""
        *instances, last = path.split("/")
        module = "chip"
        for instance in instances:
            module = modules[module][1].get(instance)
            if module not in modules:
                return None
        wires, cells = modules[module]
        return wires.get(last, 0 if last in cells else None)

    kinds = {
        "-elements": 0, "-control_port": 1, "-ack_port": 1, "-isolation_signal": 0,
        "-save_signal": 0, "-restore_signal": 0, "-retention_condition": 0,
    }  # fmt: skip
    seen = dict.fromkeys(kinds, 0)
    for command in parse(power_intent(SMALL)):
        for option, position in kinds.items():
            for words in command.lists(option):
                names = words if option == "-elements" else [words[position]]
                for name in names:
                    if name == ".":
                        continue
                    path, _, index = name.rstrip("]").partition("[")
                    width = widths(path)
                    assert width is not None, f"{command.name} {command.names}: no {path}"
                    if option == "-elements" and command.name == "create_power_domain":
                        assert width == 0, f"{path} is no instance"
                    elif index:
                        assert int(index) < width, name
                    elif option != "-elements":
                        assert width == 1, name
                    seen[option] += 1
    assert min(seen.values()) > 0, seen


def test_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([]) == 0
    written = {path.name: path.read_text() for path in tmp_path.glob("build/upf/*")}
    assert written == {f"mmsp_{n.lower()}.upf": power_intent(c) for n, c in CONFIGS.items()}
    assert capsys.readouterr().out.split() == [f"build/upf/mmsp_{n.lower()}.upf" for n in CONFIGS]
    assert main(["--config", "small"]) == 0
    assert capsys.readouterr().out.split() == ["build/upf/mmsp_small.upf"]
    (tmp_path / "build/upf/mmsp_small.upf").unlink()
    (tmp_path / "build/upf/mmsp_small.upf").mkdir()
    assert main(["--config", "small"]) == 1
    assert "cannot be written" in capsys.readouterr().err
