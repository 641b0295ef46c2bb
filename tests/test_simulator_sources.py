"""The files on which a simulator depends are those that its design imports."""

import subprocess
import sys
from pathlib import Path

import pytest

from mmsp.simulator.sources import SOURCE_ROOT, sources

LOADED = """
import importlib, sys
importlib.import_module(sys.argv[1])
print(*(module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "hdl"))
"""


@pytest.mark.parametrize("module", ["hdl.soc.chip", "hdl.audio.frontend"])
def test_sources_are_what_is_imported(module):
    command = [sys.executable, "-c", LOADED, module]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert sources(module) == sorted(map(Path, loaded))


def test_what_is_not_imported_does_not_count():
    names = {path.relative_to(SOURCE_ROOT).as_posix() for path in sources("hdl.soc.chip")}
    assert {"soc/chip.py", "config.py", "power/__init__.py", "mram/secded.py"} <= names
    assert "power/upf.py" not in names
