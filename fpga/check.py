"""Check that the chip fits an ECP5 and its budget: ``python -m fpga.check``."""

import argparse
import sys
import time

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from fpga.budget import Usage, by_block, excesses, usages
from fpga.resources import LFE5U_85F, Resources
from fpga.synthesis import STAGES, SynthesisError, synthesize
from fpga.top import SynthesisTop
from hdl.config import CONFIGS, ECP5, ChipConfig

__all__ = ["main"]

PART = "LFE5U-85F"


class StageDisplay:
    """Says which stage runs: a bar on a terminal, a line a stage on a pipe; on stderr."""

    def __init__(self):
        self.console = Console(stderr=True)
        self.started = time.monotonic()
        self.progress = Progress(
            SpinnerColumn(), BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"),
            console=self.console, transient=True, disable=not self.console.is_terminal,
        )  # fmt: skip
        self.task = self.progress.add_task("", total=2 * len(STAGES))

    def show(self, what: str, *, advance: int = 1) -> None:
        """Announce the beginning of a stage."""
        self.progress.update(self.task, description=what, advance=advance)
        if not self.console.is_terminal:
            seconds = time.monotonic() - self.started
            print(f"{seconds:5.0f} s  {what}", file=sys.stderr, flush=True)


def measure(config: ChipConfig) -> tuple[Resources, dict[str, Resources]]:
    """Synthesize the chip twice: flattened for the total, module by module for the blocks."""
    results = []
    display = StageDisplay()
    with display.progress:
        for flatten, prefix in ((False, "modules apart"), (True, "flattened")):
            display.show(f"{prefix}: writing RTLIL", advance=0)
            results.append(
                synthesize(
                    SynthesisTop(config),
                    name=f"chip_{config.name.lower()}",
                    flatten=flatten,
                    on_stage=lambda stage, prefix=prefix: display.show(f"{prefix}: {stage}"),
                )
            )
    modules, flat = results
    (cells,) = flat.values()
    return Resources.of_cells(cells), by_block(modules)


def usage_table(lines: list[Usage], title: str) -> Table:
    """Lay out the budget."""
    table = Table("cell class", title=title, title_justify="left", box=SIMPLE_HEAD)
    for heading in ("used", "budget", PART, "of part"):
        table.add_column(heading, justify="right")
    for line in lines:
        table.add_row(
            line.what, f"{line.used:,}", f"{line.budget:,}", f"{line.available:,}",
            f"{100 * line.used / line.available:.1f} %",
        )  # fmt: skip
    return table


def block_table(blocks: dict[str, Resources], total: Resources) -> Table:
    """Lay out where the cells are."""
    table = Table("block", title="by block", title_justify="left", box=SIMPLE_HEAD)
    for heading in ("LUT4", "flip-flops", "MULT18X18D", "DP16KD"):
        table.add_column(heading, justify="right")
    rows = {**blocks, "sum": sum(blocks.values(), Resources()), "flattened": total}
    for name, used in rows.items():
        counts = (used.luts, used.flip_flops, used.multipliers, used.block_rams)
        table.add_row(name, *(f"{count:,}" for count in counts), end_section=name == [*blocks][-1])
    return table


def main(arguments: list[str] | None = None) -> int:
    """Check one configuration; the status is 1 if it does not fit."""
    parser = argparse.ArgumentParser(prog="python -m fpga.check", description=__doc__)
    parser.add_argument(
        "--config", type=str.upper, choices=list(CONFIGS), default=ECP5.name,
        help=f"configuration of the chip (default: {ECP5.name})",
    )  # fmt: skip
    config = CONFIGS[parser.parse_args(arguments).config]
    try:
        total, blocks = measure(config)
    except SynthesisError as error:
        print(error, file=sys.stderr)
        return 1
    lines = usages(config, total, blocks, LFE5U_85F)
    console = Console()
    console.print(usage_table(lines, f"{config.name} on an {PART}"), block_table(blocks, total))
    too_much = excesses(lines, PART)
    if too_much:
        print(f"{config.name} does not fit: {'; '.join(too_much)}.", file=sys.stderr)
        return 1
    print(f"{config.name} fits an {PART} within its budget.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
