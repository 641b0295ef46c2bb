"""The table of layers: what each cost, and where its cycles went."""

from collections.abc import Sequence
from html import escape

from hdl.config import ChipConfig
from mmsp.html.activity import KINDS, shares
from mmsp.html.page import bar, table_row
from mmsp.simulator.costs import LayerResult

__all__ = ["layer_table"]

HEADINGS = (
    ("", "#"), ("left", "layer"), ("left", "operator"), ("", "cycles"), ("left", "share of all"),
    ("left", "where they go"), ("", "MACs"), ("", "MAC/cycle"), ("left", "utilisation"),
    ("", "MRAM bytes read"),
)  # fmt: skip


def layer_table(layers: Sequence[LayerResult], total: int, config: ChipConfig) -> str:
    """A row for each layer.

    Parameters
    ----------
    layers : sequence of LayerResult
        All of the network, those without cycles included.
    total : int
        Cycles of the inference.
    config : ChipConfig
        Whose array is at 100 %.
    """
    head = "".join(
        f'<th class="{name}">{text}</th>' if name else f"<th>{text}</th>" for name, text in HEADINGS
    )
    longest = max((layer.cycles for layer in layers), default=1)
    rows = [layer_row(n, layer, longest, total, config) for n, layer in enumerate(layers, 1)]
    return (
        f'<div class="scroll"><table class="layers"><thead><tr>{head}</tr></thead><tbody>'
        f"{''.join(rows)}</tbody></table></div>"
    )


def layer_row(number: int, layer: LayerResult, longest: int, total: int, config: ChipConfig) -> str:
    """Figures of one layer; the first bar is longest for the layer with most cycles."""
    name = f'<span title="{escape(layer.name)}">{escape(layer.name)}</span>'
    cells = [("", f"{number}"), ("left name", name), ("left", escape(layer.op))]
    if not layer.cycles:
        return table_row([*cells, ("", "folded"), *[("", "")] * 6])
    share = layer.cycles / total
    parts = shares(
        layer.cycles, layer.mac_active_cycles, layer.wait_drain_cycles, layer.wait_weights_cycles
    )
    said = ", ".join(f"{kind} {part:.1%}" for kind, part in zip(KINDS, parts, strict=True))
    macs = [("", ""), ("", ""), ("left", "")]
    if layer.macs:
        macs = [
            ("", f"{layer.macs:,}"),
            ("", f"{layer.macs / layer.cycles:.1f}"),
            ("left", labelled_bar("busy", layer.mac_utilisation, layer.mac_utilisation)),
        ]
    return table_row(
        [
            *cells,
            ("", f"{layer.cycles:,}"),
            ("left", labelled_bar("busy", layer.cycles / longest, share)),
            ("left", bar(list(zip(KINDS, parts, strict=True)), said)),
            *macs,
            ("", f"{layer.mram_bytes_read:,}"),
        ]
    )


def labelled_bar(colour: str, width: float, share: float) -> str:
    """A bar with its figure as text."""
    return (
        f'<div class="labelled">{bar([(colour, min(width, 1))], f"{share:.1%}")}{share:.1%}</div>'
    )
