"""Which files of ``hdl/`` decide what a design is: those that its module imports, all the way."""

import ast
from collections.abc import Iterator
from pathlib import Path

import hdl

__all__ = ["SOURCE_ROOT", "sources"]

SOURCE_ROOT = Path(hdl.__file__).parent


def sources(module: str) -> list[Path]:
    """Files that ``module``, as in ``hdl.soc.chip``, and what it imports from ``hdl`` are made of.

    Imports are read, not executed.  What the rest of ``hdl/`` says does not matter to the design.
    """
    found: dict[Path, None] = {}
    waiting = [module]
    while waiting:
        for path in files(waiting.pop()):
            if path not in found:
                found[path] = None
                waiting.extend(imported(path))
    return sorted(found)


def files(module: str) -> Iterator[Path]:
    """The file of a module and the ``__init__.py`` of every package around it."""
    place = SOURCE_ROOT.parent
    for part in module.split("."):
        place /= part
        if (place / "__init__.py").exists():
            yield place / "__init__.py"
        elif place.with_suffix(".py").exists():
            yield place.with_suffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Names that a file imports from ``hdl``, of modules or of what is in them."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "hdl")
