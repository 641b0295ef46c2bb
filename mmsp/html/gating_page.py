"""The page of ``mmsp bench --gating --report``."""

from collections.abc import Sequence
from html import escape

from hdl.config import ChipConfig
from mmsp.bench.gating import BARS, Ablation
from mmsp.bench.gating_table import MEANINGS
from mmsp.html.page import definition_list, make_page, section
from mmsp.html.power import ablation_table

__all__ = ["gating_page"]


def gating_page(config: ChipConfig, ablations: Sequence[Ablation], *, seed: int) -> str:
    """All figures of an ablation of the gating policies."""
    bars = (
        f"At a wake-up of 1 us per_burst may take {BARS['cycles_ratio']:g} times the cycles of "
        f"always_on, be awake {BARS['active_ratio']:g} cycles for each word, and take "
        f"{BARS['bank_ratio']:g} bank cycles for each word besides those of wake-ups."
    )
    parts = [
        f"<header><h1>Gating policies on {escape(config.name)}</h1>"
        '<p class="muted">simulated RTL; one inference of each network with each policy, from a '
        f"cold cache, random input (seed {seed})</p></header>",
        section("Policies", [f"<p>{bars}</p>", ablation_table(ablations, networks=True)]),
        f"<footer>{definition_list(MEANINGS)}</footer>",
    ]
    return make_page(f"Gating policies on {config.name}", parts)
