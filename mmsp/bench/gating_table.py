"""Gating policies as a table for people."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mmsp.bench.gating import BARS, Ablation, PolicyCost

__all__ = ["MEANINGS", "TITLES", "cells", "print_ablations"]

WIDEST = 1000
TITLES = (
    "cycles", "/ always\non", "words\nread", "MRAM\nawake", "/ words", "bank\ncycles",
    "less wake-\nups / words", "wake-\nups", "mram on", "act on", "act\nretained",
)  # fmt: skip
"""Of `cells`."""

MEANINGS = (
    ("words read", "of 16 bytes, from the MRAM"),
    ("MRAM awake", "cycles in which at least one bank takes current: awake, or waking up"),
    ("bank cycles", "the same, summed over the banks; their ratio leaves out wake-ups, a bank's "
     "wake-up time each"),
    ("mram on, act on, act retained", "cycles summed over the banks of the MRAM and the segments "
     "of the activation memory"),
)  # fmt: skip


def cells(cost: PolicyCost) -> list[str]:
    """Figures of one policy, in the order of `TITLES`."""
    return [
        f"{cost.cycles:,}",
        f"{cost.cycles_ratio:.3f}",
        f"{cost.mram_reads:,}",
        f"{cost.mram_active_cycles:,}",
        f"{cost.active_ratio:.2f}",
        f"{cost.mram_bank_cycles:,}",
        f"{cost.bank_ratio:.2f}",
        f"{cost.mram_wakeups:,}",
        f"{cost.mram_on_cycles:,}",
        f"{cost.act_on_cycles:,}",
        f"{cost.act_retain_cycles:,}",
    ]


def print_ablations(console: Console, ablations: Sequence[Ablation]) -> None:
    """Print a table of all of them and what its words mean."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for title in ("network", "wake-\nup us", "gating"):
        table.add_column(title, no_wrap=True, justify="right" if "us" in title else "left")
    for title in TITLES:
        table.add_column(title, justify="right", no_wrap=True)
    for ablation in ablations:
        names = [ablation.model.removesuffix(".tflite"), f"{ablation.wakeup_us:g}"]
        for cost in ablation.costs:
            table.add_row(*names, cost.gating.name.lower(), *cells(cost))
            names = ["", ""]
    # A narrow terminal may break the lines, but no figure is ever cut.
    width = console.width
    widest = console.measure(table, options=console.options.update(width=WIDEST)).maximum
    console.width = max(width, widest)
    console.print(table, crop=False)
    console.width = width
    console.print()
    for word, meaning in MEANINGS:
        console.print(f"{word}: {meaning}", soft_wrap=True)
    console.print(
        f"bars of per_burst at 1 us: {BARS['cycles_ratio']:g} of the cycles of always_on, awake "
        f"{BARS['active_ratio']:g} cycles a word, {BARS['bank_ratio']:g} bank cycles a word",
        soft_wrap=True,
    )
