"""Rules of the house that a machine can check."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_LINES = 400

MAY_IMPORT = {
    "hdl": {"hdl"},
    "models": {"models"},
    "verif": {"verif", "hdl", "models"},
    "fpga": {"fpga", "hdl"},
    "mmsp": {"mmsp", "verif", "hdl", "models"},
}
"""Arrows run one way; `firmware` is C and imports nothing."""


def sources(*suffixes: str) -> list[Path]:
    """Files of the project: known to git, or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode != 0:
        pytest.skip("needs git to tell sources from generated files")
    paths = [ROOT / line for line in listed.stdout.splitlines()]
    return [path for path in paths if path.suffix in suffixes and path.is_file()]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_every_dependency_has_a_reason():
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    project = tomllib.loads("\n".join(lines))
    listed = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *(name for group in project["project"]["optional-dependencies"].values() for name in group),
    ]
    assert len(listed) > 10
    for dependency in listed:
        (line,) = [line for line in lines if f'"{dependency}"' in line]
        assert re.search(r"# \S.{10,}", line), f"{dependency} has no reason next to it"


def test_packages_are_listed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sorted(packages) == sorted(MAY_IMPORT)


def test_no_file_is_long():
    long = {
        name_of(path): count
        for path in sources(".py", ".c", ".h", ".cpp")
        if (count := len(path.read_text().splitlines())) > MAX_LINES
    }
    assert not long, f"more than {MAX_LINES} lines"


def imports(path: Path) -> set[str]:
    """Top-level names that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno}: a relative import"
            found.add(node.module or "")
            assert all(alias.name != "*" for alias in node.names), f"{name_of(path)}: import *"
    return {name.split(".")[0] for name in found}


def test_imports_run_one_way():
    checked = 0
    for path in sources(".py"):
        package = path.relative_to(ROOT).parts[0]
        if package not in MAY_IMPORT:
            continue
        wrong = (imports(path) & (MAY_IMPORT.keys() | {"tests"})) - MAY_IMPORT[package]
        assert not wrong, f"{name_of(path)} imports {sorted(wrong)}"
        checked += 1
    assert checked > 10


def test_nothing_of_this_machine():
    pattern = re.compile(r"(?<![\w.)\]}])/(?:home|root|work|Users|tmp|opt)/\w|site-packages/")
    suffixes = (".py", ".md", ".toml", ".c", ".h", ".cpp", ".v", ".json", ".csv", ".svd", ".lpf")
    found = [
        f"{name_of(path)}:{number}"
        for path in [*sources(*suffixes), ROOT / "Makefile"]
        if path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, "absolute paths"


def read_testplan(path: Path) -> list[tuple[str, list[str]]]:
    """(testpoint, test functions) of every table whose last heading is 'test function'."""
    rows, inside = [], False
    for line in path.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.lstrip().startswith("|"):
            inside = False
        elif cells[-1].lower() == "test function":
            inside = True
        elif inside and not set(cells[-1]) <= set("-: "):
            rows.append((cells[0], re.findall(r"`([^`]+)`", cells[-1])))
    return rows


def test_testplans_name_functions_that_exist():
    defined: dict[str, set[str]] = {}  # function: modules
    for path in [*(ROOT / "tests").glob("*.py"), *(ROOT / "verif").glob("tb_*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                defined.setdefault(node.name, set()).add(path.stem)
    for page in (ROOT / "docs").glob("*.md"):
        for testpoint, names in read_testplan(page):
            assert names, f"{page.name}: {testpoint!r} names no test function"
            for name in names:
                module, _, function = name.replace(".py", "").rpartition("::")
                assert function in defined, f"{page.name}: {testpoint!r}: no function {function}"
                assert not module or module in defined[function], f"{page.name}: no {name}"


def test_testplan_rows_are_read(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "| a | b |\n|---|---|\n| not | this |\n\n"
        "| testpoint | what is checked | test function |\n|---|---|---|\n"
        "| one | x | `test_a`, `test_b` |\n| two | y | `test_c.py::test_d` |\n\n| z | z |\n"
    )
    assert read_testplan(page) == [("one", ["test_a", "test_b"]), ("two", ["test_c.py::test_d"])]
