"""Benchmarks as one table for people, with the sources of what is not ours below it."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hdl.config import ChipConfig
from mmsp.bench.further_networks import FURTHER
from mmsp.bench.measurement import Measurement, Unsupported
from mmsp.bench.mlperf_tiny import PEERS
from mmsp.report import CORE_HZ, layer_table

__all__ = ["print_benchmark"]

NAME_COLUMNS = 23
WIDEST = 1000
TITLES = (
    "MACs", "cycles", "MAC/\ncycle", "utili-\nsation", "roofline\nor peer", "ratio", "MRAM\nbytes",
    "uJ", f"us at\n{CORE_HZ // 1_000_000} MHz",
)  # fmt: skip


def print_benchmark(
    console: Console,
    config: ChipConfig,
    measurements: Sequence[Measurement],
    unsupported: Sequence[Unsupported] = (),
    *,
    seed: int,
    layers: bool,
) -> None:
    """Print the table and what could not run, footnotes, layers if asked for, and verdicts."""
    console.print(Text(f"{config.name}: {config.macs_per_cycle} MAC/cycle, simulated RTL", "bold"))
    console.print(
        f"one inference of each network from a cold cache, random input (seed {seed})",
        soft_wrap=True,
    )
    table = network_table(measurements)
    # A narrow terminal may break the lines, but no figure is ever cut.
    width = console.width
    widest = console.measure(table, options=console.options.update(width=WIDEST)).maximum
    console.width = max(width, widest)
    console.print(table, crop=False)
    console.width = width
    for entry in unsupported:
        name = entry.model.removesuffix(".tflite")
        console.print(f"{name}  not supported yet: {entry.reason}", soft_wrap=True)
    if unsupported:
        console.print()
    for line in footnotes(measurements):
        console.print(line, soft_wrap=True)
    if layers:
        for measurement in measurements:
            console.print(Text(f"\nlayers of {measurement.model}", "bold"), soft_wrap=True)
            console.print(layer_table(measurement.result))
    console.print()
    for measurement in measurements:
        comparison = measurement.comparison
        style = "bold red" if comparison.total else "bold green"
        console.print(Text(f"{measurement.model}: {comparison.sentence}", style), soft_wrap=True)


def network_table(measurements: Sequence[Measurement]) -> Table:
    """A row for each network, and below it one for each peer that published a figure for it."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("network", overflow="ellipsis", no_wrap=True, max_width=NAME_COLUMNS)
    for title in TITLES:
        table.add_column(title, justify="right", no_wrap=True)
    for measurement in measurements:
        table.add_row(measurement.model.removesuffix(".tflite"), *cells(measurement), style="bold")
        for peer, kilocycles, ratio in measurement.peers:
            name = f"  {peer.name} [{PEERS.index(peer) + 1}]"
            table.add_row(name, "", "", "", "", f"{kilocycles:,.1f} k", f"{ratio:.2f}")
    return table


def cells(measurement: Measurement) -> list[str]:
    """Figures of one network, in the order of `TITLES`."""
    result = measurement.result
    return [
        f"{result.macs:,}",
        f"{result.cycles:,}",
        f"{measurement.macs_per_cycle:.1f}",
        f"{result.mac_utilisation:.1%}",
        f"{result.roofline_cycles:,}",
        f"{measurement.roofline_ratio:.2f}",
        f"{result.mram_bytes_read:,}",
        "-",  # there is no energy model yet
        f"{measurement.microseconds:,.1f}",
    ]


def footnotes(measurements: Sequence[Measurement]) -> list[str]:
    """What was recognised, what the columns mean, and the sources of the peers that are shown."""
    recognised = [
        f"{measurement.model}: MLPerf Tiny {network.key}, {network.title}, recognised by its "
        f"{network.macs:,} MACs and {network.weight_bytes:,} bytes of weights"
        for measurement in measurements
        if (network := measurement.network) is not None
    ]
    further = [
        f"{entry.file}: {entry.title}, {entry.origin}"
        for measurement in measurements
        for entry in FURTHER
        if measurement.network is None and entry.file == measurement.model
    ]
    shown = {peer.name for measurement in measurements for peer, _, _ in measurement.peers}
    meaning = "ratio: our cycles / those of the roofline"
    if shown:
        meaning += " or of the peer, whose are in thousands (k); below 1 we need fewer"
    return [
        *recognised,
        *further,
        meaning,
        *(
            f"[{number}] {peer.name}: {peer.source}"
            for number, peer in enumerate(PEERS, 1)
            if peer.name in shown
        ),
    ]
