"""What a run did and cost, as a table for people and as JSON for programs."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmsp.clock import CORE_HZ
from mmsp.description import Port
from mmsp.references import Comparison
from mmsp.simulator.simulator import LayerResult, Result

__all__ = ["CORE_HZ", "PIPE_WIDTH", "Report", "make_console"]

PIPE_WIDTH = 100
"""Columns where there is no terminal."""
LAYER_COLUMNS, OPERATOR_COLUMNS = 19, 17
"""Of a table of layers, so that all figures of a network of millions of cycles have room."""
SHOWN_VALUES = 16
"""Outputs up to this size are printed."""


def make_console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal, and of a fixed width without one."""
    console = Console(stderr=stderr, highlight=False, emoji=False, markup=False)
    return (
        console
        if console.is_terminal
        else Console(stderr=stderr, highlight=False, emoji=False, markup=False, width=PIPE_WIDTH)
    )


@dataclass(frozen=True, kw_only=True)
class Report:
    """One run.  ``result`` is None when no chip was simulated; ``outputs`` are of declared types.

    ``layers`` are ``(name, op, macs)`` of the network.
    """

    model: str
    target: str
    notes: Sequence[str]
    count: int
    layers: Sequence[tuple[str, str, int]]
    ports: Sequence[Port]
    outputs: dict[str, NDArray]
    result: Result | None
    comparison: Comparison

    def to_json(self) -> dict[str, Any]:
        """Plain values; a field that the target does not have is null."""
        result = self.result
        no_figures = {field.name: None for field in fields(LayerResult)}
        return {
            "model": self.model,
            "target": self.target,
            "config": result.config.name if result else None,
            "cycles": result.cycles if result else None,
            "cycles_each": result.cycles_each if result else None,
            "macs": self.macs,
            "mac_utilisation": result.mac_utilisation if result else None,
            "roofline_cycles": result.roofline_cycles if result else None,
            "mram_bytes_read": result.mram_bytes_read if result else None,
            "mram_active_cycles": result.mram_active_cycles if result else None,
            "gating": result.gating.name.lower() if result else None,
            "mram_bank_cycles": result.first.mram_bank_cycles if result else None,
            "mram_wakeups": result.first.mram_wakeups if result else None,
            "corrected": result.first.corrected if result else None,
            "power": {name: vars(power) for name, power in result.first.power.items()}
            if result
            else None,
            "energy_uj": None,
            "layers": [vars(layer) for layer in result.layers]
            if result
            else [no_figures | {"name": name, "op": op, "macs": m} for name, op, m in self.layers],
            "outputs": [
                {
                    "name": port.name,
                    "shape": list(self.outputs[port.name].shape),
                    "dtype": port.dtype,
                    "scale": port.scale,
                    "zero_point": port.zero_point,
                }
                for port in self.ports
            ],
            "bit_exact": {
                "against": list(self.comparison.mismatches),
                "mismatches": self.comparison.total,
            },
        }

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(macs for _, _, macs in self.layers)

    def print(self, console: Console) -> None:
        """Print it all."""
        chip = f" on {self.result.config.name}" if self.result else ""
        runs = "1 inference" if self.count == 1 else f"{self.count} inferences"
        console.print(Text(f"{self.model}{chip} ({self.target}): {runs}", "bold"))
        for note in self.notes:
            console.print(f"  {note}", soft_wrap=True)
        if self.result:
            console.print(layer_table(self.result))
            for line in totals(self.result):
                console.print(line)
        else:
            console.print(f"{self.macs:,} MACs an inference, no chip simulated")
        for port in self.ports:
            console.print(output_line(port, self.outputs[port.name], self.count), soft_wrap=True)
        good = not self.comparison.total
        style = "bold red" if not good else "bold green" if self.comparison.mismatches else "dim"
        console.print(Text(self.comparison.sentence, style), soft_wrap=True)


def layer_table(result: Result) -> Table:
    """Layers of the first inference."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    # Long names give way to figures.
    for title, columns in (("layer", LAYER_COLUMNS), ("operator", OPERATOR_COLUMNS)):
        table.add_column(title, overflow="ellipsis", no_wrap=True, max_width=columns)
    for title in ("cycles", "share", "MACs", "utilisation", "MRAM bytes"):
        table.add_column(title, justify="right", no_wrap=True)
    for layer in result.layers:
        table.add_row(layer.name, layer.op, *layer_cells(layer, result.cycles))
    return table


def layer_cells(layer: LayerResult, total: int) -> list[str]:
    """Figures of one layer; one that was folded into another has none."""
    if not layer.cycles:
        return ["folded", "", "", "", ""]
    macs = [f"{layer.macs:,}", f"{layer.mac_utilisation:.1%}"] if layer.macs else ["", ""]
    return [f"{layer.cycles:,}", f"{layer.cycles / total:.1%}", *macs, f"{layer.mram_bytes_read:,}"]


def totals(result: Result) -> list[str]:
    """The figures of the whole network."""
    milliseconds = result.cycles * 1e3 / CORE_HZ
    ratio = result.cycles / result.roofline_cycles
    lines = [
        f"cycles      {result.cycles:>13,}  ({milliseconds:.3f} ms at {CORE_HZ / 1e6:.0f} MHz)",
        f"MACs        {result.macs:>13,}  ({result.mac_utilisation:.1%} of "
        f"{result.config.macs_per_cycle} a cycle)",
        f"roofline    {result.roofline_cycles:>13,}  cycles at best: {ratio:.2f} times as many",
        f"MRAM read   {result.mram_bytes_read:>13,}  bytes, awake in "
        f"{result.mram_active_cycles / result.cycles:.1%} of the cycles",
        f"wake-ups    {result.first.mram_wakeups:>13,}  of MRAM banks, gating "
        f"{result.gating.name.lower()}",
    ]
    if result.first.corrected:
        lines.append(f"corrected   {result.first.corrected:>13,}  bits of the MRAM")
    if len(result.cycles_each) > 1:
        low, high = min(result.cycles_each), max(result.cycles_each)
        lines.append(
            f"cycles each {low:>13,}  to {high:,} over {len(result.cycles_each)} inferences"
        )
    return lines


def output_line(port: Port, values: NDArray, count: int) -> str:
    """Name and type of an output, with its values when they are few."""
    line = f"output {port.name!r}: {values.dtype} {values.shape}"
    if count > 1 or np.prod(port.shape) > SHOWN_VALUES:
        return line
    shown = " ".join(f"{value:.6g}" for value in values.reshape(-1).tolist())
    return f"{line}: {shown}"
